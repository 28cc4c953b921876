"""Copies, clones and pickles of estimators, in which Keras's objects keep all of their arguments."""

from __future__ import annotations

from typing import Any, Self

import keras
from sklearn.base import BaseEstimator

from skneural import _engine


class Copied:
    """An estimator whose parameters may be Keras objects: by their configs alone these would lose arguments."""

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        settled = {name: _with_first_name(value) for name, value in state.items()}  # type: ignore[attr-defined]
        return {name: _engine.carried(value) for name, value in settled.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        brought = {name: _engine.brought_back(value) for name, value in state.items()}
        super().__setstate__(brought)  # type: ignore[misc]

    def __sklearn_clone__(self) -> Self:
        twin = object.__new__(type(self))
        twin.__dict__ = {name: _engine.carried(value) for name, value in vars(self).items()}
        clone: Self = BaseEstimator.__sklearn_clone__(twin)
        clone.__dict__ = {name: _engine.brought_back(value) for name, value in vars(clone).items()}
        return clone


def _with_first_name(optimizer: Any) -> Any:
    """Return an optimizer, if it is one, without the number that Keras counts all of its kind with: "adam_7" is "adam".

    So estimators of equal parameters have equal pickles, and are the same to ``joblib.hash``.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    first, _, number = str(optimizer.name).rpartition("_")
    if not number.isdigit() or first.replace("_", "") != type(optimizer).__name__.lower():
        return optimizer
    twin = object.__new__(type(optimizer))
    twin.__dict__.update(vars(optimizer), name=first)
    return twin
