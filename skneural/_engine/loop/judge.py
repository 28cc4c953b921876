"""What is decided after each epoch, whoever trained it: divergence, the best weights so far, whether to stop."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Generic, Literal, TypeVar

import numpy as np

from skneural._engine.records import EarlyStopping, Settings
from skneural.exceptions import TrainingDivergedError

Weights = TypeVar("Weights")
StoppedBy = Literal["early_stopping", "callback"]


class EpochJudge(Generic[Weights]):
    """Keeps the history and the weights worth keeping, and says when to stop.

    The weights kept are those of the best monitored value. Patience counts the epochs since the value last improved
    by more than ``min_delta`` on the one that reset the count, as in ``keras.callbacks.EarlyStopping``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._best = self._reference = math.inf
        self._wait = 0
        self.history: dict[str, list[float]] = {}
        self.n_epochs = 0
        self.best_epoch: int | None = None
        self.kept: Weights | None = None
        self.stopped_by: StoppedBy | None = None

    def end_epoch(self, epoch: int, logs: Mapping[str, float], read_weights: Callable[[], Weights]) -> bool:
        """Take the results of an epoch and answer whether training should stop."""
        for name, what in (("loss", "loss"), ("val_loss", "validation loss")):
            if not math.isfinite(logs.get(name, 0.0)):
                raise TrainingDivergedError(epoch + 1, float(logs[name]), what)
        self.n_epochs += 1
        for name, value in logs.items():
            # A metric with a value per class stays an array.
            self.history.setdefault(name, []).append(float(value) if np.ndim(value) == 0 else value)
        hook = self._settings.on_epoch_end
        if hook is not None and hook(epoch, logs):
            self.stopped_by = "callback"
        rule = self._settings.early_stopping
        if rule is None:
            self.kept = read_weights()
        else:
            value = self._monitored(rule, logs)
            if value < self._best or self.best_epoch is None:
                self._best, self.best_epoch = value, epoch
                self.kept = read_weights()
            if self._has_run_out_of_patience(rule, value):
                self.stopped_by = "early_stopping"
        return self.stopped_by is not None

    def _monitored(self, rule: EarlyStopping, logs: Mapping[str, float]) -> float:
        """Give the value that should fall."""
        if rule.monitor not in logs:
            raise ValueError(
                f"Early stopping monitors {rule.monitor!r}, which this training does not report. "
                f"It reports {sorted(logs)}."
            )
        return logs[rule.monitor] if rule.mode == "min" else -logs[rule.monitor]

    def _has_run_out_of_patience(self, rule: EarlyStopping, value: float) -> bool:
        if value < self._reference - rule.min_delta:
            self._reference, self._wait = value, 0
        else:
            self._wait += 1
        return self._wait >= rule.patience

    @property
    def n_epochs_before_stop(self) -> int:
        """How many epochs may run before early stopping can stop, at least one."""
        rule = self._settings.early_stopping
        return sys.maxsize if rule is None else max(1, rule.patience - self._wait)

    @property
    def weights_to_restore(self) -> Weights | None:
        """The best weights, where early stopping asks for them."""
        rule = self._settings.early_stopping
        return self.kept if rule is not None and rule.restore_best_weights else None
