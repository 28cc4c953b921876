"""A fit as scikit-learn's callbacks see it, epoch after epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.callback import CallbackContext


class EpochTasks:
    """The epochs of a fit as scikit-learn's callbacks see them."""

    def __init__(self, estimator: Any, context: CallbackContext, seen: Mapping[str, Any]) -> None:
        self._estimator = estimator
        self._context = context
        self._seen = seen
        self._task: CallbackContext | None = None

    def begin(self, epoch: int) -> None:
        """Open the epoch's task."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(estimator=self._estimator, **self._seen)

    def end(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Close the epoch's task; true when a callback asks to stop."""
        assert self._task is not None
        return bool(
            self._task.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes=self._fitted_attributes, **self._seen
            )
        )

    def _fitted_attributes(self) -> dict[str, Any]:
        return {"_network": self._estimator._network.snapshot()}
