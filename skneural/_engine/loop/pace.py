"""How much a call of a compiled program does: Python hears of Ctrl-C only between two calls."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

# A call ends after about so many seconds.
_SECONDS_PER_CALL = 0.2
# Of a program whose speed nobody knows yet.
_FIRST_BATCHES = 8


class Pace:
    """The time that a program takes for a batch, once it has been seen."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def ranges(self, n_batches: int) -> Iterator[tuple[int, int]]:
        """Take so many batches apart into calls, first and last batch; the time between two of them is measured."""
        first = 0
        while first < n_batches:
            last = min(n_batches, first + self._n_batches_a_call())
            started = time.perf_counter()
            yield first, last
            self.note(time.perf_counter() - started, last - first)
            first = last

    def note(self, seconds: float, n_batches: int) -> None:
        """Take note of how long so many batches took."""
        self._seconds = max(seconds, 1e-6) / n_batches

    def _n_batches_a_call(self) -> int:
        return _FIRST_BATCHES if self._seconds is None else max(1, int(_SECONDS_PER_CALL / self._seconds))

    def n_epochs_a_call(self, n_batches: int) -> int:
        """Choose how many epochs of so many batches a call takes; none where an epoch takes several calls."""
        return self._n_batches_a_call() // n_batches


class NoPace:
    """That of the native engine, which hears of Ctrl-C itself."""

    def ranges(self, n_batches: int) -> Iterator[tuple[int, int]]:
        """Give all batches at once."""
        yield 0, n_batches


_paces: WeakKeyDictionary[Any, Pace] = WeakKeyDictionary()


def pace_of(program: Any) -> Pace:
    """Give what is known of the speed of a program, or of a run in the native engine."""
    return _paces.setdefault(program, Pace())
