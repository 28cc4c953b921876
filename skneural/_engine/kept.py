"""A bounded store for what is costly to make and may be made again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class LeastRecentlyUsed(Generic[Kept]):
    """A bounded, thread-safe mapping that makes what is missing and drops what was not asked for longest.

    It drops ``n_at_once`` values when it overflows and then calls ``after_drop``.
    """

    def __init__(self, max_size: int, *, n_at_once: int = 1, after_drop: Callable[[], None] | None = None) -> None:
        self._max_size = max_size
        self._n_at_once = n_at_once
        self._after_drop = after_drop
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Give the value of ``key``, made in this thread when there is none; others wait for it."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            self._kept.move_to_end(key)
            value = self._kept[key]
            if len(self._kept) > self._max_size:
                for _ in range(self._n_at_once):
                    self._kept.popitem(last=False)
                if self._after_drop is not None:
                    self._after_drop()
            return value

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)
