"""Tasks that compute one at a time and train side by side."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from skneural._engine import CancelledRunError, Conduct

from .ledger import Ledger
from .slots import Slots

# Takes None, or the error that keeps it from being done.
Work = Callable[[BaseException | None], None]


class Task(Conduct):
    """One thread's work, and how the training runs in it behave."""

    def __init__(self, scheduler: Scheduler, work: Work, level: int, context: contextvars.Context) -> None:
        self.scheduler = scheduler
        self.level = level
        self.is_cancelled = False
        self.has_ended = threading.Event()
        self._work: Work | None = work
        self._context = context

    def run(self, error: BaseException | None) -> None:
        """Do the task's work, and let go of what it holds: somebody may hold the task until all have ended."""
        work, self._work = self._work, None
        assert work is not None
        self._context.run(work, error)

    def end_before_it_begins(self) -> None:
        """Let go of the work undone."""
        self._work = None
        self.has_ended.set()

    def ask(self) -> None:
        """Raise once the task is cancelled."""
        if self.is_cancelled:
            raise CancelledRunError

    @contextmanager
    def turn(self, n_bytes: int) -> Iterator[None]:
        """Let another task compute while the block trains, unless too much memory is held already."""
        with self.scheduler.slot_lent(n_bytes), self.scheduler.turns_to_train:
            yield

    @contextmanager
    def away(self) -> Iterator[None]:
        """Give the slot back for the block."""
        self.scheduler.release_slot()
        try:
            yield
        finally:
            self.scheduler.acquire_slot()

    def begin(self, n_epochs: int) -> None:
        """Count a network, and the epochs that it may take."""
        self.scheduler.ledger.begin(n_epochs)

    def advance(self, n_epochs: int = 1) -> None:
        """Count epochs that are done."""
        self.scheduler.ledger.advance(n_epochs)

    def end(self, n_epochs_left: int) -> None:
        """Count a network that is done."""
        self.scheduler.ledger.end(n_epochs_left)


_threads = threading.local()


def current_task() -> Task | None:
    """The task that this thread works on, if any."""
    task: Task | None = getattr(_threads, "task", None)
    return task


def current_conduct() -> Conduct:
    """How a training run in this thread behaves: as its task does, or as if it were alone."""
    return current_task() or Conduct()


class Scheduler:
    """Does tasks in few threads: few begin while others train, and few hold rows at a time.

    Tasks compute one at a time, as they would one after the other, since threads that take turns at Python's lock
    hinder each other: who computes has a slot. Training does without that lock, so a task lends its slot meanwhile: as
    many have a turn to train as there are processors, and one more, since who has trained waits for the lock before it
    gives its turn back.

    A deadlock is impossible. A slot is held by a task that computes, and given back before it waits for tasks of its
    own or for Keras's own fit, which who is in it ends by himself. Who has a turn to train runs a program or the native
    engine, no code of a user's, waits for nothing, and gives it back before it asks for a slot again. A task begins
    once a slot is free that no other comes back for and some who have lent theirs are back: each of these events
    happens by itself, and wakes a thread for it. To submit a task waits for nothing, since joblib holds a lock of its
    own meanwhile.
    """

    def __init__(self, n_slots: int = 1, max_bytes: int = sys.maxsize, ledger: Ledger | None = None) -> None:
        self.max_bytes = max_bytes
        self.ledger = ledger or Ledger()
        self._lock = threading.Lock()
        self._n_bytes_lent = 0
        n_turns = (os.cpu_count() or 1) + 1
        self._slots: Slots[Task] = Slots(n_slots, max_lent=n_turns + 1)
        self.turns_to_train = threading.BoundedSemaphore(n_turns)
        self._threads: list[threading.Thread] = []

    def submit(self, work: Work, level: int = 0, context: contextvars.Context | None = None) -> Task:
        """Do some work in a thread, as a task.

        ``level`` tells how many tasks wait for this one, each for the next. Libraries find what they keep for a
        ``context``, by default nothing; what they change in it ends with the task.
        """
        task = Task(self, work, level, contextvars.Context() if context is None else context.copy())
        self.ledger.add_tasks_to_begin(1)
        self._slots.add(task)
        try:
            self._begin_new()
        except BaseException:  # an interruption
            self.cancel([task])
            raise
        return task

    def wait_for(self, tasks: Iterable[Task]) -> None:
        """Wait until these tasks have ended and, unless a task of this scheduler calls, the threads too."""
        for task in tasks:
            task.has_ended.wait()
        caller = current_task()
        if caller is None or caller.scheduler is not self:
            while threads := [thread for thread in self._threads if thread.is_alive()]:
                for thread in threads:
                    thread.join()

    def cancel(self, tasks: Sequence[Task]) -> None:
        """End these tasks: those that have not begun never do, a training stops with its batch."""
        for task in self._slots.remove(tasks):
            self.ledger.add_tasks_to_begin(-1)
            task.end_before_it_begins()
        for task in tasks:
            task.is_cancelled = True

    # --- threads ------------------------------------------------------------------------------------------------

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
            self._slots.release()
            task.has_ended.set()

    # --- slots --------------------------------------------------------------------------------------------------

    @contextmanager
    def slot_lent(self, n_bytes: int) -> Iterator[None]:
        """Let another task compute in the block, unless those that train hold too much memory with this one."""
        with self._lock:
            is_lent = self._n_bytes_lent + n_bytes <= self.max_bytes
            self._n_bytes_lent += n_bytes if is_lent else 0
        if not is_lent:
            yield
            return
        self.release_slot(is_lent=True)
        try:
            yield
        finally:
            self._slots.acquire(was_lent=True)
            with self._lock:
                self._n_bytes_lent -= n_bytes

    def release_slot(self, *, is_lent: bool = False) -> None:
        """Give a slot back, or lend it."""
        self._slots.release(is_lent=is_lent)
        self._begin_new()

    def acquire_slot(self) -> None:
        """Wait for a slot to go on with."""
        self._slots.acquire()
