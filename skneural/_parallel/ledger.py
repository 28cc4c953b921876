"""What has been trained so far in a block of fits, counted for whoever wants to show it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Counts of networks and epochs: those begun with all their epochs, and those done; and of tasks yet to begin.

    ``on_change`` is called after each change, by the thread that made it.
    """

    n_models: int = 0
    n_models_done: int = 0
    n_epochs: int = 0
    n_epochs_done: int = 0
    n_tasks_to_begin: int = 0
    on_change: Callable[[Ledger], None] = field(default=lambda ledger: None)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def n_models_expected(self) -> int:
        """The networks begun, and one for each task that has yet to begin."""
        return self.n_models + self.n_tasks_to_begin

    @property
    def n_epochs_expected(self) -> int:
        """The epochs of the networks begun, and for each task yet to begin as many as these have on average."""
        return self.n_epochs + round(self.n_tasks_to_begin * self.n_epochs / max(1, self.n_models))

    def add_tasks_to_begin(self, n_tasks: int) -> None:
        """Count tasks that have yet to begin; a negative number of those that have begun, or never will."""
        self._add(n_tasks_to_begin=n_tasks)

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
