"""What is decided after each epoch, whoever trained it: divergence, the best weights so far, whether to stop."""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skneural._engine.records import EarlyStopping, Settings, State
from skneural.exceptions import TrainingDivergedError

StoppedBy = Literal["early_stopping", "callback"]
# What a run that goes on has to know again, all of plain values.
_JUDGED = ("_best", "_reference", "_wait", "history", "n_epochs", "best_epoch", "stopped_by")


def averaged(states: Sequence[State]) -> State:
    """Give the mean of the weights of several states; what is no number between others is that of the last."""
    if len(states) == 1:
        return states[0]
    variables = [
        np.mean(values, axis=0, dtype=np.float64).astype(values[-1].dtype)
        if values[-1].dtype.kind == "f"
        else values[-1]
        for values in zip(*(state.variables for state in states), strict=True)
    ]
    return State(variables, states[-1].optimizer)


class EpochJudge:
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
        self.kept: State | None = None
        self.recent: deque[State] = deque(maxlen=settings.n_averaged)
        self.stopped_by: StoppedBy | None = None

    def end_epoch(self, epoch: int, logs: Mapping[str, float], read_state: Callable[[], State]) -> bool:
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
        if self._settings.n_averaged > 1:
            self.recent.append(read_state())

        def worth_keeping() -> State:
            return averaged(self.recent) if self.recent else read_state()

        rule = self._settings.early_stopping
        if rule is None:
            self.kept = worth_keeping()
        else:
            value = self._monitored(rule, logs)
            if value < self._best or self.best_epoch is None:
                self._best, self.best_epoch = value, epoch
                self.kept = worth_keeping()
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
    def weights_to_restore(self) -> State | None:
        """The best weights, or the averaged ones, where these are asked for."""
        rule = self._settings.early_stopping
        is_asked_for = self._settings.n_averaged > 1 if rule is None else rule.restore_best_weights
        return self.kept if is_asked_for else None

    def judged(self) -> dict[str, Any]:
        """Give what was decided so far."""
        return {name: getattr(self, name) for name in _JUDGED}

    def go_on(
        self, judged: Mapping[str, Any], kept: list[NDArray[Any]] | None, recent: Sequence[list[NDArray[Any]]]
    ) -> None:
        """Take up what was decided before."""
        for name in _JUDGED:
            setattr(self, name, judged[name])
        self.kept = None if kept is None else State(kept, [])
        self.recent.extend(State(variables, []) for variables in recent)
