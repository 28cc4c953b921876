"""Everything that the engine keeps because it is costly to make, and may be made again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from cachetools import LRUCache

Kept = TypeVar("Kept")
# Tracing calls layers, optimizers and metrics of a shared template, so one thread traces at a time.
TRACING = threading.RLock()
_stores: dict[str, Store[Any]] = {}


class Store(Generic[Kept]):
    """A bounded, thread-safe mapping that makes what is missing and drops what was not asked for longest.

    It drops ``n_at_once`` values when it overflows and then calls ``after_drop``. By its ``name`` it is known to those
    who ask for sizes, or clear all.
    """

    def __init__(
        self, max_size: int, *, name: str = "", n_at_once: int = 1, after_drop: Callable[[], None] | None = None
    ) -> None:
        if name:
            _stores[name] = self
        self.max_size = max_size
        self._n_at_once = n_at_once
        self._after_drop = after_drop
        # With room for one more, so that it drops nothing by itself.
        self._kept: LRUCache[Hashable, Kept] = LRUCache(max_size + 1)
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Give the value of ``key``, made in this thread when there is none; others wait for it."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            value: Kept = self._kept[key]
            if len(self._kept) > self.max_size:
                self._drop(self._n_at_once)
            return value

    def clear(self) -> None:
        """Drop everything; who uses something of it keeps that alive."""
        with self._lock:
            self._drop(len(self._kept))

    def _drop(self, n_values: int) -> None:
        for _ in range(n_values):
            self._kept.popitem()
        if self._after_drop is not None:
            self._after_drop()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._kept

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)


def kept_sizes() -> dict[str, tuple[int, int]]:
    """Tell of each store how many values it keeps, and at most."""
    return {name: (len(store), store.max_size) for name, store in _stores.items()}


def clear_kept() -> None:
    """Drop everything that is kept: what is asked for next is made anew."""
    for store in _stores.values():
        store.clear()
