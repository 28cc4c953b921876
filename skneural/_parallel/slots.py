"""Which tasks may compute, and which may begin."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar


class HasLevel(Protocol):
    """A task; ``level`` tells how many tasks wait for it, each for the next."""

    level: int


Task = TypeVar("Task", bound=HasLevel)


class Slots(Generic[Task]):
    """As many slots as tasks may compute at once, and the tasks that have yet to begin.

    Who comes back for a slot goes first, since it holds memory already. New tasks begin while fewer than ``max_lent``
    have lent theirs: more would only hold memory while they wait for a turn to train. A task that others wait for
    begins before those that nobody waits for.
    """

    def __init__(self, n_slots: int, max_lent: int) -> None:
        self._n_free = n_slots
        self._n_coming_back = 0
        self._n_lent = 0
        self._max_lent = max_lent
        self._new: list[tuple[int, int, Task]] = []
        self._numbers = itertools.count()
        self._n_idle = 0
        self._lock = threading.Lock()
        self._may_come_back = threading.Condition(self._lock)
        self._may_begin = threading.Condition(self._lock)

    def add(self, task: Task) -> None:
        """Let a task begin when its time comes."""
        with self._lock:
            heapq.heappush(self._new, (-task.level, next(self._numbers), task))
            self._wake_one()

    def remove(self, tasks: Iterable[Task]) -> list[Task]:
        """Let tasks never begin; give those that have not begun yet."""
        unwanted = set(tasks)
        with self._lock:
            removed = [entry[2] for entry in self._new if entry[2] in unwanted]
            self._new = [entry for entry in self._new if entry[2] not in unwanted]
            heapq.heapify(self._new)
            self._may_begin.notify_all()
            return removed

    def new_for_another_thread(self) -> Task | None:
        """Give the next task, with a slot, if one may begin and no idle thread will take it."""
        with self._lock:
            return self._taken() if self._can_begin() and not self._n_idle else None

    def new_for_idle_thread(self) -> Task | None:
        """Wait for the next task that may begin, and give it with a slot; None when there are no more."""
        with self._lock:
            self._n_idle += 1
            self._may_begin.wait_for(lambda: not self._new or self._can_begin())
            self._n_idle -= 1
            return self._taken() if self._new else None

    def _can_begin(self) -> bool:
        return bool(self._new and self._n_free and not self._n_coming_back and self._n_lent < self._max_lent)

    def _taken(self) -> Task:
        self._n_free -= 1
        task = heapq.heappop(self._new)[2]
        if not self._new:
            self._may_begin.notify_all()
        return task

    def acquire(self, *, was_lent: bool = False) -> None:
        """Take a slot for a task that goes on."""
        with self._lock:
            self._n_coming_back += 1
            self._may_come_back.wait_for(lambda: self._n_free > 0)
            self._n_coming_back -= 1
            self._n_free -= 1
            self._n_lent -= was_lent
            if self._n_free:
                self._wake_one()

    def release(self, *, is_lent: bool = False) -> None:
        """Give a slot back, or lend it."""
        with self._lock:
            self._n_free += 1
            self._n_lent += is_lent
            self._wake_one()

    def _wake_one(self) -> None:
        """Wake one of those that wait: to wake them all takes each of them a turn at Python's lock."""
        if self._n_coming_back:
            self._may_come_back.notify()
        elif self._can_begin():
            self._may_begin.notify()
