"""Tasks compute one at a time, train side by side and end, whatever their order, delays, failures and nesting."""

import os
import random
import threading
import time
import weakref
from functools import partial

import joblib
import numpy as np
import pytest

from skneural._engine import CancelledRunError
from skneural._parallel.backend import ParallelFitsBackend
from skneural._parallel.ledger import Ledger
from skneural._parallel.scheduler import Scheduler, current_task

TIMEOUT = 20.0


def run_tasks(scheduler, bodies, level=0):
    """Run each body as a task, and give what they returned or raised."""
    outcomes = [None] * len(bodies)

    def run(position, error):
        try:
            if error is not None:
                raise error
            outcomes[position] = bodies[position]()
        except BaseException as error:
            outcomes[position] = error

    return outcomes, [scheduler.submit(partial(run, position), level) for position in range(len(bodies))]


def join(tasks):
    deadline = time.monotonic() + TIMEOUT
    for task in tasks:
        assert task.has_ended.wait(max(0.0, deadline - time.monotonic())), "a task hangs"


def is_idle(scheduler, n_slots=1):
    return scheduler._slots._n_free == n_slots and scheduler._slots._n_lent == scheduler._n_bytes_lent == 0


def test_each_task_has_its_own_outcome_and_fails_alone():
    scheduler = Scheduler(n_slots=2)

    def fail():
        raise ValueError("mine alone")

    outcomes, tasks = run_tasks(scheduler, [*[lambda item=item: item**2 for item in range(20)], fail])
    join(tasks)
    assert outcomes[:-1] == [item**2 for item in range(20)]
    assert str(outcomes[-1]) == "mine alone"


def test_one_task_computes_at_a_time_while_others_train():
    scheduler, lock, computing, most = Scheduler(), threading.Lock(), 0, 0
    are_two = threading.Barrier(2)

    def body():
        nonlocal computing, most
        for _ in range(3):
            with lock:
                computing += 1
                most = max(most, computing)
            with lock:
                computing -= 1
            # Both are in a turn at once, or nobody would come through.
            with current_task().turn(n_bytes=0):
                are_two.wait(TIMEOUT)

    _, tasks = run_tasks(scheduler, [body] * 2)
    join(tasks)
    assert most == 1
    assert is_idle(scheduler)


def test_a_slot_is_lent_while_memory_allows_for_it():
    scheduler = Scheduler(max_bytes=15)
    order, other_has_run = [], threading.Event()

    def small():
        with current_task().turn(n_bytes=10):
            assert other_has_run.wait(TIMEOUT)
            order.append("small")

    def large():
        with current_task().turn(n_bytes=20):
            order.append("large")

    _, tasks = run_tasks(scheduler, [small, lambda: (order.append("other"), other_has_run.set())])
    join(tasks)
    assert order == ["other", "small"]
    order.clear()
    _, tasks = run_tasks(scheduler, [large, lambda: order.append("other")])
    join(tasks)
    assert order == ["large", "other"]
    assert is_idle(scheduler)


def test_a_task_that_is_away_lets_others_compute():
    scheduler, has_run = Scheduler(), threading.Event()

    def waits():
        with current_task().away():
            return has_run.wait(TIMEOUT)

    outcomes, tasks = run_tasks(scheduler, [waits, has_run.set])
    join(tasks)
    assert outcomes[0] is True
    assert is_idle(scheduler)


def test_few_tasks_begin_while_others_wait_for_a_turn_and_few_threads_do_them_all():
    scheduler = Scheduler()
    lock = threading.Lock()
    under_way, most, threads = 0, 0, set()

    def body():
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            threads.add(threading.current_thread())
        with current_task().turn(n_bytes=0):
            time.sleep(0.01)
        with lock:
            under_way -= 1

    _, tasks = run_tasks(scheduler, [body] * 60)
    join(tasks)
    n_turns = os.cpu_count() + 1
    # Those that train, one that is ready to, and the one that computes.
    assert most <= n_turns + 2
    assert len(threads) <= n_turns + 3
    scheduler.wait_for(tasks)
    assert not any(thread.is_alive() for thread in threads)


def test_the_ledger_expects_of_tasks_to_begin_what_the_others_have_brought():
    ledger, may_go_on = Ledger(), threading.Event()
    scheduler = Scheduler(ledger=ledger)
    begun = threading.Event()

    def first():
        current_task().begin(20)
        current_task().begin(10)
        begun.set()
        may_go_on.wait(TIMEOUT)

    _, tasks = run_tasks(scheduler, [first, *[lambda: None] * 3])
    assert begun.wait(TIMEOUT)
    assert (ledger.n_models_expected, ledger.n_epochs_expected) == (2 + 3, 30 + 3 * 15)
    scheduler.cancel(tasks[3:])
    assert (ledger.n_models_expected, ledger.n_epochs_expected) == (2 + 2, 30 + 2 * 15)
    may_go_on.set()
    join(tasks)
    assert (ledger.n_models_expected, ledger.n_epochs_expected) == (2, 30)


def test_cancelled_tasks_raise_when_they_ask_and_those_that_have_not_begun_never_do():
    scheduler = Scheduler()
    begun, may_ask = [], threading.Event()

    def first():
        begun.append("first")
        current_task().ask()
        may_ask.wait(TIMEOUT)
        current_task().ask()

    outcomes, tasks = run_tasks(scheduler, [first, *[lambda: begun.append("later")] * 5])
    while not begun:
        time.sleep(0.001)
    scheduler.cancel(tasks)
    may_ask.set()
    join(tasks)
    scheduler.wait_for(tasks)
    assert begun == ["first"]
    assert isinstance(outcomes[0], CancelledRunError)
    assert is_idle(scheduler)


def test_a_task_that_has_ended_holds_nothing_of_its_work():
    class Held:
        pass

    scheduler = Scheduler()
    held = Held()
    reference = weakref.ref(held)
    may_go_on = threading.Event()
    first = scheduler.submit(partial(setattr, held, "error"))
    del held
    # The thread is idle by now, or works on this one.
    second = scheduler.submit(lambda error: may_go_on.wait(TIMEOUT))
    join([first])
    assert reference() is None
    may_go_on.set()
    join([second])


def test_tasks_that_others_wait_for_begin_first():
    scheduler = Scheduler()
    order, may_go_on = [], threading.Event()
    _, tasks = run_tasks(scheduler, [lambda: may_go_on.wait(TIMEOUT), lambda: order.append("outer")])
    _, inner = run_tasks(scheduler, [lambda: order.append("inner")], level=1)
    may_go_on.set()
    join([*tasks, *inner])
    assert order == ["inner", "outer"]


def test_an_error_of_the_caller_s_own_ends_no_other_task(monkeypatch):
    errors, done = [], []
    monkeypatch.setattr(threading, "excepthook", lambda error: errors.append(str(error.exc_value)))
    scheduler = Scheduler()

    def fail(error):
        raise RuntimeError("broken callback")

    tasks = [scheduler.submit(work) for work in (fail, lambda _: done.append(1), fail, lambda _: done.append(2))]
    join(tasks)
    scheduler.wait_for(tasks)
    assert done == [1, 2]
    assert errors == ["broken callback"] * 2
    assert is_idle(scheduler)


def test_an_interruption_while_a_thread_starts_leaves_nothing_behind(monkeypatch):
    scheduler = Scheduler()
    start = threading.Thread.start
    told = []

    def start_and_interrupt(thread):
        start(thread)
        raise KeyboardInterrupt

    def interrupt(thread):
        raise KeyboardInterrupt

    for broken in (interrupt, start_and_interrupt):
        monkeypatch.setattr(threading.Thread, "start", broken)
        with pytest.raises(KeyboardInterrupt):
            scheduler.submit(lambda error: told.append(type(error)))
        monkeypatch.undo()
        scheduler.wait_for([])
        assert is_idle(scheduler)
        assert not any(thread.is_alive() for thread in scheduler._threads)
    assert told == [KeyboardInterrupt, type(None)]
    outcomes, tasks = run_tasks(scheduler, [lambda: 9])
    join(tasks)
    assert outcomes == [9]


def test_a_task_that_gets_no_thread_fails_and_hinders_nobody(monkeypatch):
    scheduler = Scheduler()
    error = RuntimeError("can't start new thread")
    n_left, start = [2], threading.Thread.start

    def start_two(thread):
        if n_left[0] == 0:
            raise error
        n_left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    may_go_on = threading.Event()

    def train(item):
        with current_task().turn(n_bytes=0):
            assert may_go_on.wait(TIMEOUT)
        return item

    # The first two are in a turn, and there is no thread for the others until these are done.
    outcomes, tasks = run_tasks(scheduler, [partial(train, item) for item in range(6)])
    may_go_on.set()
    join(tasks)
    scheduler.wait_for(tasks)
    got = [outcome for outcome in outcomes if outcome is not error]
    assert got[:2] == [0, 1]
    assert is_idle(scheduler)
    monkeypatch.undo()
    outcomes, tasks = run_tasks(scheduler, [lambda: 9])
    join(tasks)
    assert outcomes == [9]


def test_what_a_library_keeps_for_a_thread_ends_with_the_task():
    scheduler = Scheduler()
    may_go_on = threading.Event()
    bodies = [lambda: may_go_on.wait(TIMEOUT), lambda: np.seterr(all="raise"), lambda: np.geterr()["under"]]
    outcomes, tasks = run_tasks(scheduler, bodies)
    may_go_on.set()
    join(tasks)
    assert outcomes[2] == np.geterr()["under"] != "raise"


def test_tasks_find_what_a_library_keeps_for_the_caller_of_joblib():
    with joblib.parallel_config(ParallelFitsBackend()), np.errstate(under="print"):
        found = joblib.Parallel()(joblib.delayed(np.geterr)() for _ in range(3))
    assert [errors["under"] for errors in found] == ["print"] * 3


def test_a_scheduler_within_a_task_of_another_leaves_the_other_s_counts_alone():
    outer, inner = ParallelFitsBackend(), ParallelFitsBackend()

    def body():
        inner.start_call()
        task = inner.submit(lambda: current_task().scheduler is inner._scheduler)
        inner.terminate()
        inner.stop_call()
        return task.has_ended.is_set(), current_task().scheduler is outer._scheduler

    outcomes, tasks = run_tasks(outer._scheduler, [body])
    join(tasks)
    assert outcomes == [(True, True)]
    for backend in (outer, inner):
        assert is_idle(backend._scheduler)


@pytest.mark.parametrize("max_bytes", [10**9, 30, 1])
@pytest.mark.parametrize("seed", range(4))
def test_random_delays_failures_and_nesting_never_hang(seed, max_bytes):
    generator = random.Random(seed)
    scheduler = Scheduler(n_slots=2, max_bytes=max_bytes)

    def leaf(delay, item, fails):
        def body():
            time.sleep(delay)
            if fails:
                raise ValueError(item)
            with current_task().turn(n_bytes=10):
                time.sleep(delay / 2)
            return item**2

        return body

    def nest(bodies, level=1):
        def body():
            with current_task().away():
                outcomes, tasks = run_tasks(scheduler, bodies, level)
                join(tasks)
            return outcomes

        return body

    def leaves(n):
        return [leaf(generator.random() / 50, item, generator.random() < 0.2) for item in range(n)]

    outcomes, tasks = run_tasks(scheduler, [*leaves(5), nest(leaves(6)), nest([*leaves(3), nest(leaves(4), level=2)])])
    join(tasks)
    for item, outcome in enumerate(outcomes[:5]):
        assert isinstance(outcome, ValueError) or outcome == item**2
    assert len(outcomes[5]) == 6
    assert len(outcomes[6][3]) == 4
    assert is_idle(scheduler, n_slots=2)
