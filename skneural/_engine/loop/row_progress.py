"""Tells of passes over many rows how far they are, how fast, and how long they will take."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_logger = logging.getLogger("skneural")
# Between two messages, in seconds.
SECONDS_BETWEEN = 10.0


class RowProgress:
    """Logs at INFO, every ten seconds of a pass, rows a second and the remaining time.

    ``show`` is told each time how many rows are done, and how many a second.
    """

    def __init__(self, n_rows: int, what: str, show: Callable[[int, float], None] | None = None) -> None:
        self._n_rows, self._what, self._show = n_rows, what, show
        self._n_done = 0
        self._started = self._told = time.monotonic()

    def advance(self, n_rows: int) -> None:
        """Take note of rows that are done."""
        self._n_done += n_rows
        now = time.monotonic()
        rate = self._n_done / max(now - self._started, 1e-9)
        if self._show is not None:
            self._show(self._n_done, rate)
        if now - self._told < SECONDS_BETWEEN or self._n_done >= self._n_rows:
            return
        self._told = now
        left = (self._n_rows - self._n_done) / rate
        message = "%s: %d of %d rows, %.0f rows a second, %.0f seconds left."
        _logger.info(message, self._what, self._n_done, self._n_rows, rate, left)
