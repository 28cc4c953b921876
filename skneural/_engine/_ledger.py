"""What has been trained so far in a block of fits, counted for whoever wants to show it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Counts of networks and epochs: those begun with all their epochs, and those done.

    ``on_change`` is called after each change, by the thread that made it.
    """

    n_models: int = 0
    n_models_done: int = 0
    n_epochs: int = 0
    n_epochs_done: int = 0
    on_change: Callable[[Ledger], None] = field(default=lambda ledger: None)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def begin(self, n_epochs: int) -> None:
        """Count a network that is to be trained for at most so many epochs."""
        self._add(n_models=1, n_epochs=n_epochs)

    def advance(self, n_epochs: int = 1) -> None:
        """Count epochs that are done."""
        self._add(n_epochs_done=n_epochs)

    def end(self, n_epochs_left: int) -> None:
        """Count a network as done; the epochs that it has left will not come."""
        self._add(n_models_done=1, n_epochs=-n_epochs_left)

    def _add(self, **counts: int) -> None:
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)
        self.on_change(self)
