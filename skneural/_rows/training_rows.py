"""Rows between the user's data and the engine: trained on, judged on, split."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from .temporary_maps import gathered, taken
from .weights import multiplied


class TrainingRows(NamedTuple):
    """Rows on their way to the network: X of shape (n, ...), y if there is one, and weights of shape (n,) or None.

    What the classes weigh counts in training only, so it stands apart until it is known which rows are trained on.
    ``origin`` tells, where rows were merged or left out, which of these each row of the user's is: -1 for none.
    """

    X: Any
    y: NDArray[Any] | None
    weights: NDArray[Any] | None
    class_weights: NDArray[Any] | None = None
    origin: NDArray[np.intp] | None = None

    @property
    def n_rows(self) -> int:
        return int(self.X.shape[0])

    def take(self, rows: NDArray[Any]) -> TrainingRows:
        y, weights, by_class = (
            None if one is None else one[rows] for one in (self.y, self.weights, self.class_weights)
        )
        return TrainingRows(taken(self.X, rows), y, weights, by_class)

    def gathered(self) -> TrainingRows:
        """Give rows that are stored as an array, in one pass over them."""
        return self._replace(X=gathered(self.X))

    def without_weightless(self) -> TrainingRows:
        return self if self.weights is None or (self.weights > 0).all() else self.take(self.weights > 0)

    def for_training(self) -> TrainingRows:
        return TrainingRows(self.X, self.y, multiplied(self.weights, self.class_weights))

    def for_judging(self) -> TrainingRows:
        return TrainingRows(self.X, self.y, self.weights)


def split_rows(
    strata: NDArray[Any] | None, n_rows: int, fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers to train on and to be judged on, stratified where each stratum has rows for both."""
    n_held_out = max(1, round(fraction * n_rows))
    if n_rows - n_held_out < 1:
        raise ValueError(
            f"Splitting off {fraction:g} of {n_rows} rows for validation leaves none to train on. "
            "Give more rows, a smaller fraction, or X_val and y_val."
        )
    splitter = ShuffleSplit
    if strata is not None:
        sizes = np.unique(strata, return_counts=True)[1]
        if sizes.min() >= 2 and n_held_out >= len(sizes) <= n_rows - n_held_out:
            splitter = StratifiedShuffleSplit
    groups = np.zeros(n_rows) if strata is None else strata
    train, held_out = next(splitter(1, test_size=n_held_out, random_state=seed).split(groups, groups))
    return np.sort(train), np.sort(held_out)
