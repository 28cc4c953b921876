"""Where fits that run at the same time in threads meet, to be trained as one."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ._ledger import Ledger
from ._slots import Slots

# Takes None, or the error that keeps it from being done.
Work = Callable[[BaseException | None], None]
Train = Callable[[Sequence[Any], Callable[[], bool]], Sequence[Any]]


class MeetingCancelledError(BaseException):
    """The block that a fit ran in was aborted. Not an ``Exception``: nobody may take it for a failed fit."""


class Task:
    """One thread's work inside a meeting.

    It is *active* (computing, or about to), *waiting* (at the meeting, with something to train) or *away* (waiting for
    tasks that it has started itself, or to be alone in Keras's own fit).
    """

    def __init__(self, meeting: Meeting, work: Work, level: int, context: contextvars.Context) -> None:
        self.meeting = meeting
        self.level = level
        self.is_cancelled = False
        self.has_ended = threading.Event()
        self._work: Work | None = work
        self._context = context
        self._item: Any = None
        self._n_bytes = 0
        self._keeps_slot = False
        self._outcome: Any = None
        self._turn = threading.Event()
        self._leads = False

    def run(self, error: BaseException | None) -> None:
        """Do the task's work, and let go of what it holds: somebody may hold the task until all have ended."""
        work, self._work = self._work, None
        assert work is not None
        self._context.run(work, error)

    def end_before_it_begins(self) -> None:
        """Let go of the work undone."""
        self._work = None
        self.has_ended.set()

    @property
    def n_models(self) -> int:
        """How many tasks of the meeting may be under way at once."""
        return self.meeting.n_models

    def train(self, item: Any, n_bytes: int = 0) -> Any:
        """Wait until every other task waits or is away, and give what training them together gave for ``item``.

        ``n_bytes`` is the memory that the item holds. Items that hold as much as the meeting may keep waiting are
        trained before all have come.
        """
        return self.meeting._train(self, item, n_bytes)


_threads = threading.local()


def current_task() -> Task | None:
    """The task that this thread works on, if any."""
    task: Task | None = getattr(_threads, "task", None)
    return task


class Meeting:
    """Lets tasks wait for each other and trains together what they bring.

    A deadlock is impossible. Every change of state (a task is submitted, waits, goes away, comes back or ends; a
    dispatch starts or ends) happens under one lock and ends with the same question: is no task active and no dispatch
    open, and does a task wait? If so, the first of those that wait is woken to lead, so there is no state in which all
    wait for each other. A task that is neither waiting nor away is computing and will change state by itself, or has
    yet to begin; one that is away waits only for tasks it has started, which are active, waiting or away in turn, and
    the innermost of them are not away, or for Keras's own fit, which who is in it ends by himself. A task begins once a
    slot is free that no other comes back for and some who have lent theirs are back: each of these events happens by
    itself, and wakes a thread for it. To submit a task waits for nothing, since joblib holds a lock of its own
    meanwhile. The slots below are held by active tasks only, and given back before anything is waited for, but where
    what waits already holds ``max_bytes`` and other items are in training, which needs no slot. When that ends, a task
    that has kept its slot is reason enough to wake the next leader. Who has a turn to train runs a program or the
    native engine, no code of a user's, waits for nothing, and gives it back before it asks for a slot again.

    Tasks compute one at a time, as they would without a meeting, since threads that take turns at Python's lock hinder
    each other. Training does without that lock: as many tasks have a turn at it as there are processors, and one
    more, since who has trained waits for the lock before it gives its turn back.
    """

    def __init__(
        self,
        train: Train,
        n_models: int = 64,
        n_slots: int = 1,
        max_bytes: int = sys.maxsize,
        ledger: Ledger | None = None,
    ) -> None:
        self.n_models = n_models
        self.max_bytes = max_bytes
        self.ledger = ledger or Ledger()
        self._train_together = train
        self._lock = threading.Lock()
        self._n_active = 0
        self._n_dispatches = 0
        self._waiting: list[Task] = []
        self._is_leading = False
        self._n_bytes_lent = 0
        n_turns = (os.cpu_count() or 1) + 1
        self._slots: Slots[Task] = Slots(n_slots, max_lent=n_turns + 1)
        self._turns_to_train = threading.BoundedSemaphore(n_turns)
        self._threads: list[threading.Thread] = []

    # --- tasks --------------------------------------------------------------------------------------------------

    def submit(self, work: Work, level: int = 0, context: contextvars.Context | None = None) -> Task:
        """Do some work in a thread, as a task; until it waits or ends, the others wait for it.

        ``level`` tells how many tasks wait for this one, each for the next. Libraries find what they keep for a
        ``context``, by default nothing; what they change in it ends with the task.
        """
        task = Task(self, work, level, contextvars.Context() if context is None else context.copy())
        with self._lock:
            self._n_active += 1
        self.ledger.add_tasks_to_begin(1)
        self._slots.add(task)
        try:
            self._begin_new()
        except BaseException:  # an interruption
            self.cancel([task])
            raise
        return task

    def wait_for(self, tasks: Iterable[Task]) -> None:
        """Wait until these tasks have ended and, unless a task of this meeting calls, the threads too."""
        for task in tasks:
            task.has_ended.wait()
        caller = current_task()
        if caller is None or caller.meeting is not self:
            while threads := [thread for thread in self._threads if thread.is_alive()]:
                for thread in threads:
                    thread.join()

    def _begin_new(self) -> None:
        """Start a thread for each task that may begin and that no idle thread takes."""
        while (task := self._slots.new_for_another_thread()) is not None:
            thread = threading.Thread(target=self._run, args=(task,), name="skneural-fit")
            try:
                thread.start()
            except BaseException as error:
                if thread.ident is None:
                    self._run_one(task, error)
                if not isinstance(error, Exception):
                    raise
            finally:
                if thread.ident is not None:
                    with self._lock:
                        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]

    def _run(self, task: Task | None) -> None:
        """Run a task that has a slot, and then others."""
        try:
            while task is not None:
                self._run_one(task)
                task = self._slots.new_for_idle_thread()
        finally:
            # After an error, which ends this thread but not the others' work.
            self._begin_new()

    def _run_one(self, task: Task, error: BaseException | None = None) -> None:
        """Run a task that has a slot; with an error that keeps it from its work, within whatever this thread does."""
        self.ledger.add_tasks_to_begin(-1)
        outer, _threads.task = current_task(), task
        try:
            task.run(error)
        finally:
            _threads.task = outer
            self._leave()
            self._slots.release()
            task.has_ended.set()

    @contextmanager
    def turn_to_train(self, n_bytes: int) -> Iterator[None]:
        """Let another task compute while the block trains, unless too much memory waits already.

        ``n_bytes`` is the memory that the task holds.
        """
        with self._slot_lent(n_bytes), self._turns_to_train:
            yield

    @contextmanager
    def _slot_lent(self, n_bytes: int) -> Iterator[None]:
        with self._lock:
            is_lent = self._n_bytes_lent + self._n_bytes_waiting() + n_bytes <= self.max_bytes
            self._n_bytes_lent += n_bytes if is_lent else 0
        if not is_lent:
            yield
            return
        self._release_slot(is_lent=True)
        try:
            yield
        finally:
            self._slots.acquire(was_lent=True)
            with self._lock:
                self._n_bytes_lent -= n_bytes

    def _release_slot(self, *, is_lent: bool = False) -> None:
        self._slots.release(is_lent=is_lent)
        self._begin_new()

    def go_away(self, task: Task) -> None:
        """Let the others go on without a task that is about to wait for tasks of its own."""
        self._release_slot()
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
        """End these tasks: some never begin, others raise when they wait, or are about to, or their training stops."""
        with self._lock:
            for task in self._slots.remove(tasks):
                self.ledger.add_tasks_to_begin(-1)
                self._n_active -= 1
                task.end_before_it_begins()
            for task in tasks:
                task.is_cancelled = True
                # One that was woken to lead trains for the others first.
                if task in self._waiting and not task._leads:
                    self._waiting.remove(task)
                    self._n_active += 1
                    task._turn.set()
            self._appoint_leader()

    # --- meeting ------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        with self._lock:
            self._n_active -= 1
            self._appoint_leader()

    def _appoint_leader(self) -> None:
        """Wake the first waiting task to lead, when there is nobody to wait for, or no memory to wait with.

        Called under the lock.
        """
        is_complete = self._n_active == 0 and self._n_dispatches == 0
        is_full = self._n_bytes_waiting() >= self.max_bytes or any(task._keeps_slot for task in self._waiting)
        if self._waiting and (is_complete or (is_full and not self._is_leading)):
            self._is_leading = True
            leader = self._waiting[0]
            leader._leads = True
            self._n_active += 1
            leader._turn.set()

    def _n_bytes_waiting(self) -> int:
        return sum(task._n_bytes for task in self._waiting)

    def _train(self, task: Task, item: Any, n_bytes: int) -> Any:
        task._item, task._outcome, task._leads, task._n_bytes = item, None, False, n_bytes
        task._turn.clear()
        self._begin_to_wait(task)
        try:
            task._turn.wait()
            if task._leads:
                self._lead(task)
        finally:
            task._item, task._n_bytes = None, 0
            if not task._keeps_slot:
                self._slots.acquire()
        if task.is_cancelled:
            raise MeetingCancelledError
        outcome, task._outcome = task._outcome, None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _begin_to_wait(self, task: Task) -> None:
        """Count a task among those that wait; it keeps its slot where another would only bring more than is held."""
        with self._lock:
            task._keeps_slot = task.is_cancelled or (
                self._is_leading and self._n_bytes_waiting() + task._n_bytes >= self.max_bytes
            )
            if task.is_cancelled:
                task._turn.set()
                return
            self._waiting.append(task)
            self._n_active -= 1
            self._appoint_leader()
        if not task._keeps_slot:
            self._release_slot()

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
            self._is_leading = False
            self._appoint_leader()
