"""Numbers that a table's rows are to give: predictions within the range of those seen, and quantiles in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.metrics import d2_pinball_score

from skneural._estimators.targets import RegressionTargets, check_values


class BoundedTargets(RegressionTargets):
    """Targets whose predictions are never beyond the least and the largest one seen.

    Parameters
    ----------
    scaling : {"standard", "scale", None}, default="standard"
        As in ``RegressionTargets``.
    n_quantiles : int, default=None
        How many quantiles of one target the network gives, side by side and in ascending order; None for targets
        themselves.
    """

    def __init__(self, scaling: str | None = "standard", n_quantiles: int | None = None) -> None:
        super().__init__(scaling)
        self.n_quantiles = n_quantiles

    def fit(self, y: Any, sample_weight: NDArray[Any] | None = None) -> Self:
        """Learn mean, scale and range of each column of y, from rows of a weight above zero."""
        super().fit(y, sample_weight)
        columns = check_values(y).reshape(len(y), -1)
        counted = columns if sample_weight is None else columns[np.asarray(sample_weight) > 0]
        self.low_, self.high_ = counted.min(axis=0), counted.max(axis=0)
        return self

    def inverse_transform(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return predictions in the units of y, shape (n,), (n, n_outputs) or (n, n_quantiles)."""
        outputs = outputs.reshape(len(outputs), -1)
        if self.n_quantiles is None:
            return np.clip(super().inverse_transform(outputs), self._of_y(self.low_), self._of_y(self.high_))
        # Sorted ones are nearer to the true quantiles (Chernozhukov, Fernandez-Val and Galichon 2010).
        ordered = np.sort(outputs, axis=1)
        columns = [super(BoundedTargets, self).inverse_transform(column) for column in ordered.T]
        quantiles = np.clip(np.stack([np.ravel(column) for column in columns], axis=1), self.low_, self.high_)
        return quantiles[:, 0] if self.n_quantiles == 1 else quantiles

    def of_targets(self, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Return what ``transform`` was given, shape (n,) or (n, n_outputs)."""
        return super().inverse_transform(targets)

    def _of_y(self, bounds: NDArray[np.float64]) -> Any:
        return bounds[0] if self.y_ndim_ == 1 else bounds


@keras.saving.register_keras_serializable(package="skneural")
class QuantileLoss(keras.losses.Loss):
    """Mean over the quantiles q of max(q (y - f), (q - 1) (y - f)), which is least where f is the quantile of y.

    Parameters
    ----------
    quantiles : sequence of float
        The shares of y below the outputs, one for each of them.
    """

    # Tells the engine that a row of a batch counts alone.
    is_row_wise = True

    def __init__(self, quantiles: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.quantiles = [float(share) for share in quantiles]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each row from targets of shape (n, 1) and outputs of shape (n, n_quantiles)."""
        shares = tf.constant(self.quantiles, y_pred.dtype)
        below = tf.cast(y_true, y_pred.dtype) - y_pred
        return tf.reduce_mean(tf.maximum(shares * below, (shares - 1.0) * below), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"quantiles": self.quantiles}


class QuantileScore:
    """The mean over quantiles of what share of the pinball loss of a constant is saved."""

    def __init__(self, shares: tuple[float, ...]) -> None:
        self._shares = shares

    def __call__(self, y: Any, predictions: NDArray[Any], sample_weight: Any = None) -> float:
        columns = np.reshape(predictions, (len(predictions), -1)).T
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=share)
            for share, column in zip(self._shares, columns, strict=True)
        ]
        return float(np.mean(scores))
