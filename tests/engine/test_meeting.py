"""Tasks meet, whatever their order, delays, failures and nesting."""

import os
import random
import threading
import time
import weakref
from functools import partial

import joblib
import numpy as np
import pytest

from skneural._engine._ledger import Ledger
from skneural._engine._meeting import Meeting, MeetingCancelledError, current_task
from skneural._fused import FusedBackend

TIMEOUT = 20.0


def run_tasks(meeting, bodies, level=0):
    """Run each body as a task of the meeting, and give what they returned or raised."""
    outcomes = [None] * len(bodies)

    def run(position, error):
        try:
            if error is not None:
                raise error
            outcomes[position] = bodies[position]()
        except BaseException as error:
            outcomes[position] = error

    meeting.open_dispatch()
    tasks = [meeting.submit(partial(run, position), level) for position in range(len(bodies))]
    meeting.close_dispatch()
    return outcomes, tasks


def join(tasks):
    deadline = time.monotonic() + TIMEOUT
    for task in tasks:
        assert task.has_ended.wait(max(0.0, deadline - time.monotonic())), "a task hangs"


def squares(batches):
    def train(items, should_stop):
        batches.append(sorted(items))
        return [item**2 for item in items]

    return train


def test_all_tasks_are_trained_in_one_batch_and_each_gets_its_own_outcome():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)
    outcomes, tasks = run_tasks(meeting, [lambda item=item: current_task().train(item) for item in range(20)])
    join(tasks)
    assert outcomes == [item**2 for item in range(20)]
    assert batches == [list(range(20))]


def test_a_task_that_trains_nothing_is_not_waited_for_once_it_ends():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)
    bodies = [lambda: current_task().train(3), lambda: time.sleep(0.05), lambda: current_task().train(4)]
    outcomes, tasks = run_tasks(meeting, bodies)
    join(tasks)
    assert outcomes == [9, None, 16]
    assert batches == [[3, 4]]


def test_a_failing_task_fails_alone():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)

    def fail():
        raise ValueError("mine alone")

    outcomes, tasks = run_tasks(meeting, [lambda: current_task().train(2), fail])
    join(tasks)
    assert outcomes[0] == 4
    assert str(outcomes[1]) == "mine alone"


def test_an_outcome_that_is_an_error_is_raised_in_its_task_only():
    def train(items, should_stop):
        return [ValueError("diverged") if item == 1 else item for item in items]

    meeting = Meeting(train, n_slots=2)
    outcomes, tasks = run_tasks(meeting, [lambda item=item: current_task().train(item) for item in range(3)])
    join(tasks)
    assert outcomes[0] == 0
    assert outcomes[2] == 2
    assert str(outcomes[1]) == "diverged"


def test_an_error_of_the_training_itself_wakes_every_task():
    def train(items, should_stop):
        raise RuntimeError("broken")

    meeting = Meeting(train, n_slots=2)
    outcomes, tasks = run_tasks(meeting, [lambda: current_task().train(1)] * 3)
    join(tasks)
    assert [str(outcome) for outcome in outcomes] == ["broken"] * 3


def test_cancelled_tasks_raise_and_the_others_go_on():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)
    registered = []
    may_go_on = threading.Event()

    def wait_at_the_meeting():
        registered.append(current_task())
        return current_task().train(5)

    outcomes, tasks = run_tasks(meeting, [wait_at_the_meeting, may_go_on.wait])
    while len(meeting._waiting) < 1:
        time.sleep(0.01)
    meeting.cancel(registered)
    may_go_on.set()
    join(tasks)
    assert isinstance(outcomes[0], MeetingCancelledError)
    assert batches == []


def test_items_are_trained_before_all_have_come_when_they_hold_the_memory_there_is():
    batches, held, most = [], [0], [0]
    lock = threading.Lock()

    def train(items, should_stop):
        batches.append(len(items))
        time.sleep(0.01)
        return [item**2 for item in items]

    def body(item):
        def run():
            with lock:
                held[0] += 1
                most[0] = max(most[0], held[0])
            try:
                return current_task().train(item, n_bytes=10)
            finally:
                with lock:
                    held[0] -= 1

        return run

    meeting = Meeting(train, n_slots=2, max_bytes=40)
    outcomes, tasks = run_tasks(meeting, [body(item) for item in range(50)])
    join(tasks)
    assert outcomes == [item**2 for item in range(50)]
    assert sum(batches) == 50
    assert len(batches) >= 8
    # What is in training, what waits, and the tasks on their way from and to a slot.
    assert most[0] <= 4 + 4 + 2 * 2 + 4


def test_a_slot_is_lent_while_memory_allows_for_it():
    meeting = Meeting(squares([]), n_slots=1, max_bytes=15)
    order = []

    def lender(n_bytes, name):
        def body():
            with meeting.turn_to_train(n_bytes):
                time.sleep(0.2)
                order.append(name)

        return body

    _, tasks = run_tasks(meeting, [lender(10, "small"), lambda: order.append("other")])
    join(tasks)
    assert order == ["other", "small"]
    order.clear()
    _, tasks = run_tasks(meeting, [lender(20, "large"), lambda: (time.sleep(0.05), order.append("other"))])
    join(tasks)
    assert sorted(order) == ["large", "other"]
    assert meeting._n_bytes_lent == 0


def test_few_tasks_begin_while_others_wait_for_a_turn_and_few_threads_do_them_all():
    meeting = Meeting(squares([]), n_slots=1)
    lock = threading.Lock()
    under_way, most, threads = 0, 0, set()

    def body():
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
            threads.add(threading.current_thread())
        with meeting.turn_to_train(n_bytes=0):
            time.sleep(0.01)
        with lock:
            under_way -= 1

    _, tasks = run_tasks(meeting, [body] * 60)
    join(tasks)
    n_turns = os.cpu_count() + 1
    # Those that train, one that is ready to, and the one that computes.
    assert most <= n_turns + 2
    assert len(threads) <= n_turns + 3
    meeting.wait_for(tasks)
    assert not any(thread.is_alive() for thread in threads)


def test_the_ledger_expects_of_tasks_to_begin_what_the_others_have_brought():
    ledger, may_go_on = Ledger(), threading.Event()
    meeting = Meeting(squares([]), n_slots=1, ledger=ledger)
    begun = threading.Event()

    def first():
        ledger.begin(20)
        ledger.begin(10)
        begun.set()
        may_go_on.wait(TIMEOUT)

    _, tasks = run_tasks(meeting, [first, *[lambda: None] * 3])
    assert begun.wait(TIMEOUT)
    assert (ledger.n_models_expected, ledger.n_epochs_expected) == (2 + 3, 30 + 3 * 15)
    meeting.cancel(tasks[3:])
    assert (ledger.n_models_expected, ledger.n_epochs_expected) == (2 + 2, 30 + 2 * 15)
    may_go_on.set()
    join(tasks)
    assert (ledger.n_models_expected, ledger.n_epochs_expected) == (2, 30)


def test_tasks_of_a_cancelled_call_that_have_not_begun_never_do():
    meeting = Meeting(squares([]), n_slots=1)
    begun, may_go_on = [], threading.Event()

    def first():
        begun.append("first")
        may_go_on.wait(TIMEOUT)

    _, tasks = run_tasks(meeting, [first, *[lambda: begun.append("later")] * 5])
    meeting.cancel(tasks)
    may_go_on.set()
    join(tasks)
    meeting.wait_for(tasks)
    assert begun == ["first"]
    assert meeting._n_active == 0


def test_a_task_that_has_ended_holds_nothing_of_its_work():
    class Held:
        pass

    meeting = Meeting(squares([]), n_slots=1)
    held = Held()
    reference = weakref.ref(held)
    may_go_on = threading.Event()
    first = meeting.submit(partial(setattr, held, "error"))
    del held
    # The thread is idle by now, or works on this one.
    second = meeting.submit(lambda error: may_go_on.wait(TIMEOUT))
    join([first])
    assert reference() is None
    may_go_on.set()
    join([second])


def test_tasks_that_others_wait_for_begin_first():
    meeting = Meeting(squares([]), n_slots=1)
    order, may_go_on = [], threading.Event()
    _, tasks = run_tasks(meeting, [lambda: may_go_on.wait(TIMEOUT), lambda: order.append("outer")])
    _, inner = run_tasks(meeting, [lambda: order.append("inner")], level=1)
    may_go_on.set()
    join([*tasks, *inner])
    assert order == ["inner", "outer"]


def test_an_error_of_the_caller_s_own_ends_no_other_task(monkeypatch):
    errors, done = [], []
    monkeypatch.setattr(threading, "excepthook", lambda error: errors.append(str(error.exc_value)))
    meeting = Meeting(squares([]), n_slots=1)

    def fail(error):
        raise RuntimeError("broken callback")

    tasks = [meeting.submit(work) for work in (fail, lambda _: done.append(1), fail, lambda _: done.append(2))]
    join(tasks)
    meeting.wait_for(tasks)
    assert done == [1, 2]
    assert errors == ["broken callback"] * 2
    assert meeting._n_active == 0


def test_an_interruption_while_a_thread_starts_leaves_nothing_behind(monkeypatch):
    meeting = Meeting(squares([]), n_slots=1)
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
            meeting.submit(lambda error: told.append(type(error)))
        monkeypatch.undo()
        meeting.wait_for([])
        assert meeting._n_active == 0
        assert not any(thread.is_alive() for thread in meeting._threads)
    assert told == [KeyboardInterrupt, type(None)]
    outcomes, tasks = run_tasks(meeting, [lambda: current_task().train(3)])
    join(tasks)
    assert outcomes == [9]


def test_a_task_that_gets_no_thread_fails_and_hinders_nobody(monkeypatch):
    meeting = Meeting(squares([]), n_slots=1)
    error = RuntimeError("can't start new thread")
    n_left, start = [2], threading.Thread.start

    def start_two(thread):
        if n_left[0] == 0:
            raise error
        n_left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_two)
    # The first two wait at the meeting for all others, and there is no thread for these.
    outcomes, tasks = run_tasks(meeting, [lambda item=item: current_task().train(item) for item in range(6)])
    join(tasks)
    meeting.wait_for(tasks)
    assert [outcome for outcome in outcomes if outcome is not error] == [0, 1]
    assert meeting._n_active == 0
    monkeypatch.undo()
    outcomes, tasks = run_tasks(meeting, [lambda: current_task().train(3)])
    join(tasks)
    assert outcomes == [9]


def test_what_a_library_keeps_for_a_thread_ends_with_the_task():
    meeting = Meeting(squares([]), n_slots=1)
    may_go_on = threading.Event()
    bodies = [lambda: may_go_on.wait(TIMEOUT), lambda: np.seterr(all="raise"), lambda: np.geterr()["under"]]
    outcomes, tasks = run_tasks(meeting, bodies)
    may_go_on.set()
    join(tasks)
    assert outcomes[2] == np.geterr()["under"] != "raise"


def test_tasks_find_what_a_library_keeps_for_the_caller_of_joblib():
    with joblib.parallel_config(FusedBackend()), np.errstate(under="print"):
        found = joblib.Parallel()(joblib.delayed(np.geterr)() for _ in range(3))
    assert [errors["under"] for errors in found] == ["print"] * 3


def test_a_meeting_within_a_task_of_another_leaves_the_other_s_counts_alone():
    outer, inner = FusedBackend(max_models=4), FusedBackend(max_models=4)

    def body():
        inner.start_call()
        task = inner.submit(lambda: current_task().meeting is inner._meeting)
        inner._close_dispatch()
        inner.terminate()
        inner.stop_call()
        return task.has_ended.is_set(), current_task().meeting is outer._meeting

    outcomes, tasks = run_tasks(outer._meeting, [body])
    join(tasks)
    assert outcomes == [(True, True)]
    for backend in (outer, inner):
        assert backend._meeting._n_active == backend._meeting._n_dispatches == 0
        assert backend._meeting._slots._n_free == 1


@pytest.mark.parametrize("max_bytes", [10**9, 30, 1])
@pytest.mark.parametrize("seed", range(8))
def test_random_delays_failures_and_nesting_never_hang(seed, max_bytes):
    generator = random.Random(seed)
    meeting = Meeting(squares([]), n_slots=2, max_bytes=max_bytes)

    def leaf(delay, item, fails):
        def body():
            time.sleep(delay)
            if fails:
                raise ValueError(item)
            first = current_task().train(item, n_bytes=10)
            with meeting.turn_to_train(n_bytes=10):
                time.sleep(delay / 2)
            return first, current_task().train(item + 1, n_bytes=20)

        return body

    def nest(bodies, level=1):
        def body():
            task = current_task()
            meeting.open_dispatch()
            meeting.go_away(task)
            meeting.close_dispatch()
            outcomes, tasks = run_tasks(meeting, bodies, level)
            join(tasks)
            meeting.come_back(task)
            return outcomes

        return body

    def leaves(n):
        return [leaf(generator.random() / 50, item, generator.random() < 0.2) for item in range(n)]

    outcomes, tasks = run_tasks(meeting, [*leaves(5), nest(leaves(6)), nest([*leaves(3), nest(leaves(4), level=2)])])
    join(tasks)
    for item, outcome in enumerate(outcomes[:5]):
        assert isinstance(outcome, ValueError) or outcome == (item**2, (item + 1) ** 2)
    assert len(outcomes[5]) == 6
    assert len(outcomes[6][3]) == 4
    assert meeting._n_active == meeting._n_dispatches == 0
    assert not meeting._waiting
