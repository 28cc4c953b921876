"""Where fits that run at the same time in threads meet, to be trained as one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Train = Callable[[Sequence[Any], Callable[[], bool]], Sequence[Any]]


class MeetingCancelledError(BaseException):
    """The block that a fit ran in was aborted. Not an ``Exception``: nobody may take it for a failed fit."""


class Task:
    """One thread's work inside a meeting.

    It is *active* (computing, or about to), *waiting* (at the meeting, with something to train) or *away* (waiting for
    tasks that it has started itself).
    """

    def __init__(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self.is_cancelled = False
        self._item: Any = None
        self._outcome: Any = None
        self._turn = threading.Event()
        self._leads = False

    @property
    def n_models(self) -> int:
        """How many tasks of the meeting may be under way at once."""
        return self.meeting.n_models

    def train(self, item: Any) -> Any:
        """Wait until every other task waits or is away, and give what training them together gave for ``item``."""
        return self.meeting._train(self, item)


_threads = threading.local()


def current_task() -> Task | None:
    """The task that this thread works on, if any."""
    task: Task | None = getattr(_threads, "task", None)
    return task


@contextmanager
def set_aside() -> Iterator[None]:
    """Let another task of this thread's meeting compute, while this one waits for something or nearly so."""
    task = current_task()
    if task is None:
        yield
        return
    with task.meeting.slot_lent(task):
        yield


class Meeting:
    """Lets tasks wait for each other and trains together what they bring.

    A deadlock is impossible. Every change of state (a task registers, waits, goes away, comes back or ends; a dispatch
    starts or ends) happens under one lock and ends with the same question: is no task active and no dispatch open, and
    does a task wait? If so, the first of those that wait is woken to lead, so there is no state in which all wait for
    each other. A task that is neither waiting nor away is computing and will change state by itself; one that is away
    waits only for tasks it has started, which are active, waiting or away in turn, and the innermost of them are not
    away. The processor slots below are held by active tasks only, and given back before anything is waited for.
    """

    def __init__(self, train: Train, n_models: int = 64, n_slots: int | None = None) -> None:
        self.n_models = n_models
        self._train_together = train
        self._lock = threading.Lock()
        self._n_active = 0
        self._n_dispatches = 0
        self._waiting: list[Task] = []
        # As many tasks compute at once as there are processors, however many threads there are.
        self._slots = threading.Semaphore(n_slots or os.cpu_count() or 1)

    # --- tasks --------------------------------------------------------------------------------------------------

    def register(self) -> Task:
        """Announce a task that a thread is going to run; until it waits or ends, the others wait for it."""
        with self._lock:
            self._n_active += 1
        return Task(self)

    @contextmanager
    def running(self, task: Task) -> Iterator[None]:
        """Run a registered task in this thread; it ends with the block."""
        _threads.task = task
        self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()
            _threads.task = None
            self._leave()

    @contextmanager
    def slot_lent(self, task: Task) -> Iterator[None]:
        """Give a task's processor slot to another for as long as the block runs; the task stays active."""
        self._slots.release()
        try:
            yield
        finally:
            self._slots.acquire()

    def go_away(self, task: Task) -> None:
        """Let the others go on without a task that is about to wait for tasks of its own."""
        self._slots.release()
        self._leave()

    def come_back(self, task: Task) -> None:
        """Count a task in again."""
        with self._lock:
            self._n_active += 1
        self._slots.acquire()

    def open_dispatch(self) -> None:
        """Announce that tasks are about to be registered, one after the other."""
        with self._lock:
            self._n_dispatches += 1

    def close_dispatch(self) -> None:
        """Say that no more tasks will be registered for now."""
        with self._lock:
            self._n_dispatches -= 1
            self._appoint_leader()

    def cancel(self, tasks: Sequence[Task]) -> None:
        """Make these tasks raise when they wait, or are about to, and stop the training that they take part in."""
        with self._lock:
            for task in tasks:
                task.is_cancelled = True
                # One that was woken to lead trains for the others first.
                if task in self._waiting and not task._leads:
                    self._waiting.remove(task)
                    self._n_active += 1
                    task._turn.set()

    # --- meeting ------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        with self._lock:
            self._n_active -= 1
            self._appoint_leader()

    def _appoint_leader(self) -> None:
        """Wake the first waiting task to lead, when there is nobody left to wait for. Called under the lock."""
        if self._waiting and self._n_active == 0 and self._n_dispatches == 0:
            leader = self._waiting[0]
            leader._leads = True
            self._n_active += 1
            leader._turn.set()

    def _train(self, task: Task, item: Any) -> Any:
        task._item, task._outcome, task._leads = item, None, False
        task._turn.clear()
        self._slots.release()
        try:
            self._wait(task)
            if task._leads:
                self._lead(task)
        finally:
            task._item = None
            self._slots.acquire()
        if task.is_cancelled:
            raise MeetingCancelledError
        if isinstance(task._outcome, BaseException):
            raise task._outcome
        return task._outcome

    def _wait(self, task: Task) -> None:
        with self._lock:
            if task.is_cancelled:
                return
            self._waiting.append(task)
            self._n_active -= 1
            self._appoint_leader()
        task._turn.wait()

    def _lead(self, leader: Task) -> None:
        """Train what all waiting tasks brought, and wake them."""
        with self._lock:
            together, self._waiting = self._waiting, []
        try:
            outcomes = self._train_together(
                [task._item for task in together], lambda: all(task.is_cancelled for task in together)
            )
        except BaseException as error:  # every task must wake, whatever happened
            outcomes = [error] * len(together)
        with self._lock:
            # The leader was counted in when it was appointed.
            self._n_active += len(together) - 1
            for task, outcome in zip(together, outcomes, strict=True):
                task._outcome = outcome
                if task is not leader:
                    task._turn.set()
