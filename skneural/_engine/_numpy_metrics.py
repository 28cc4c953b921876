"""Metrics of dense networks in NumPy, for all batches of an epoch at once.

Outputs behind their activation and targets have shape (n_batches, n_models, batch, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ._numpy_layers import Array
from ._numpy_losses import CategoricalCrossEntropy, Loss, SparseCrossEntropy, Targets


def _sparse_accuracy(outputs: Array, targets: Targets) -> NDArray[np.bool_]:
    return outputs.argmax(axis=-1) == targets.reshape(outputs.shape[:-1])


def _categorical_accuracy(outputs: Array, targets: Targets) -> NDArray[np.bool_]:
    return outputs.argmax(axis=-1) == targets.argmax(axis=-1)


def _binary_accuracy(outputs: Array, targets: Targets) -> Array:
    return ((outputs > 0.5) == targets.reshape(outputs.shape)).mean(axis=-1, dtype=np.float32)


def _squared_error(outputs: Array, targets: Targets) -> Array:
    return np.square(outputs - targets.reshape(outputs.shape)).mean(axis=-1)


def _absolute_error(outputs: Array, targets: Targets) -> Array:
    return np.abs(outputs - targets.reshape(outputs.shape)).mean(axis=-1)


# From outputs behind their activation and targets to the values of each row.
Metric = Callable[[Array, Targets], NDArray[Any]]
_METRICS: dict[type, Metric] = {
    keras.metrics.SparseCategoricalAccuracy: _sparse_accuracy,
    keras.metrics.CategoricalAccuracy: _categorical_accuracy,
    keras.metrics.BinaryAccuracy: _binary_accuracy,
    keras.metrics.MeanSquaredError: _squared_error,
    keras.metrics.MeanAbsoluteError: _absolute_error,
}


def metric_of(metric: keras.metrics.Metric, loss: Loss) -> Metric | None:
    """Find the form of one of Keras's metrics beside a loss, or None."""
    if type(metric) is keras.metrics.BinaryAccuracy and metric.get_config()["threshold"] != 0.5:
        return None
    is_sparse = type(metric) is keras.metrics.SparseCategoricalAccuracy
    if is_sparse != isinstance(loss, SparseCrossEntropy) or metric.dtype != "float32":
        return None
    if type(metric) is keras.metrics.CategoricalAccuracy and not isinstance(loss, CategoricalCrossEntropy):
        return None
    return _METRICS.get(type(metric))
