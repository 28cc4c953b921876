"""Tasks meet, whatever their order, delays, failures and nesting."""

import random
import threading
import time

import pytest

from skneural._engine._meeting import Meeting, MeetingCancelledError, current_task

TIMEOUT = 20.0


def run_tasks(meeting, bodies):
    """Run each body in a thread of its own as a task of the meeting, and give what they returned or raised."""
    outcomes = [None] * len(bodies)

    def run(position, task):
        try:
            with meeting.running(task):
                outcomes[position] = bodies[position]()
        except BaseException as error:
            outcomes[position] = error

    meeting.open_dispatch()
    threads = [
        threading.Thread(target=run, args=(position, meeting.register()), daemon=True)
        for position in range(len(bodies))
    ]
    for thread in threads:
        thread.start()
    meeting.close_dispatch()
    return outcomes, threads


def join(threads):
    deadline = time.monotonic() + TIMEOUT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
        assert not thread.is_alive(), "a task hangs"


def squares(batches):
    def train(items, should_stop):
        batches.append(sorted(items))
        return [item**2 for item in items]

    return train


def test_all_tasks_are_trained_in_one_batch_and_each_gets_its_own_outcome():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)
    outcomes, threads = run_tasks(meeting, [lambda item=item: current_task().train(item) for item in range(20)])
    join(threads)
    assert outcomes == [item**2 for item in range(20)]
    assert batches == [list(range(20))]


def test_a_task_that_trains_nothing_is_not_waited_for_once_it_ends():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)
    bodies = [lambda: current_task().train(3), lambda: time.sleep(0.05), lambda: current_task().train(4)]
    outcomes, threads = run_tasks(meeting, bodies)
    join(threads)
    assert outcomes == [9, None, 16]
    assert batches == [[3, 4]]


def test_a_failing_task_fails_alone():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)

    def fail():
        raise ValueError("mine alone")

    outcomes, threads = run_tasks(meeting, [lambda: current_task().train(2), fail])
    join(threads)
    assert outcomes[0] == 4
    assert str(outcomes[1]) == "mine alone"


def test_an_outcome_that_is_an_error_is_raised_in_its_task_only():
    def train(items, should_stop):
        return [ValueError("diverged") if item == 1 else item for item in items]

    meeting = Meeting(train, n_slots=2)
    outcomes, threads = run_tasks(meeting, [lambda item=item: current_task().train(item) for item in range(3)])
    join(threads)
    assert outcomes[0] == 0
    assert outcomes[2] == 2
    assert str(outcomes[1]) == "diverged"


def test_an_error_of_the_training_itself_wakes_every_task():
    def train(items, should_stop):
        raise RuntimeError("broken")

    meeting = Meeting(train, n_slots=2)
    outcomes, threads = run_tasks(meeting, [lambda: current_task().train(1)] * 3)
    join(threads)
    assert [str(outcome) for outcome in outcomes] == ["broken"] * 3


def test_cancelled_tasks_raise_and_the_others_go_on():
    batches = []
    meeting = Meeting(squares(batches), n_slots=2)
    registered = []
    may_go_on = threading.Event()

    def wait_at_the_meeting():
        registered.append(current_task())
        return current_task().train(5)

    outcomes, threads = run_tasks(meeting, [wait_at_the_meeting, may_go_on.wait])
    while len(meeting._waiting) < 1:
        time.sleep(0.01)
    meeting.cancel(registered)
    may_go_on.set()
    join(threads)
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
    outcomes, threads = run_tasks(meeting, [body(item) for item in range(50)])
    join(threads)
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

    _, threads = run_tasks(meeting, [lender(10, "small"), lambda: order.append("other")])
    join(threads)
    assert order == ["other", "small"]
    order.clear()
    _, threads = run_tasks(meeting, [lender(20, "large"), lambda: (time.sleep(0.05), order.append("other"))])
    join(threads)
    assert sorted(order) == ["large", "other"]
    assert meeting._n_bytes_lent == 0


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

    def nest(bodies):
        def body():
            task = current_task()
            meeting.open_dispatch()
            meeting.go_away(task)
            meeting.close_dispatch()
            outcomes, threads = run_tasks(meeting, bodies)
            join(threads)
            meeting.come_back(task)
            return outcomes

        return body

    def leaves(n):
        return [leaf(generator.random() / 50, item, generator.random() < 0.2) for item in range(n)]

    outcomes, threads = run_tasks(meeting, [*leaves(5), nest(leaves(6)), nest([*leaves(3), nest(leaves(4))])])
    join(threads)
    for item, outcome in enumerate(outcomes[:5]):
        assert isinstance(outcome, ValueError) or outcome == (item**2, (item + 1) ** 2)
    assert len(outcomes[5]) == 6
    assert len(outcomes[6][3]) == 4
    assert meeting._n_active == meeting._n_dispatches == 0
    assert not meeting._waiting
