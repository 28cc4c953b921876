"""Keras's losses and metrics in the terms of the native engine, ``native/course.h``."""

from __future__ import annotations

from typing import Any

import keras

from .layers import ACTIVATIONS, SOFTMAX

SPARSE_CROSS_ENTROPY, CATEGORICAL_CROSS_ENTROPY = "SPARSE_CROSS_ENTROPY", "CATEGORICAL_CROSS_ENTROPY"
_LINEAR, _SIGMOID = ACTIVATIONS[keras.activations.linear], ACTIVATIONS[keras.activations.sigmoid]

# The configs of the losses that are known, but for their names and whether they take logits.
_MEAN = {"reduction": "sum_over_batch_size"}
_CONFIGS: dict[type, dict[str, Any]] = {
    keras.losses.SparseCategoricalCrossentropy: _MEAN | {"ignore_class": None},
    keras.losses.CategoricalCrossentropy: _MEAN | {"axis": -1, "label_smoothing": 0.0},
    keras.losses.BinaryCrossentropy: _MEAN | {"axis": -1, "label_smoothing": 0.0},
    keras.losses.MeanSquaredError: _MEAN,
    keras.losses.MeanAbsoluteError: _MEAN,
}
_CLASS_OF_FUNCTION = {
    keras.losses.sparse_categorical_crossentropy: keras.losses.SparseCategoricalCrossentropy,
    keras.losses.categorical_crossentropy: keras.losses.CategoricalCrossentropy,
    keras.losses.binary_crossentropy: keras.losses.BinaryCrossentropy,
    keras.losses.mean_squared_error: keras.losses.MeanSquaredError,
    keras.losses.mean_absolute_error: keras.losses.MeanAbsoluteError,
}
_METRICS: dict[type, str] = {
    keras.metrics.SparseCategoricalAccuracy: "SPARSE_ACCURACY",
    keras.metrics.CategoricalAccuracy: "CATEGORICAL_ACCURACY",
    keras.metrics.MeanSquaredError: "SQUARED_ERROR",
    keras.metrics.MeanAbsoluteError: "ABSOLUTE_ERROR",
}
_BINARY_ACCURACY = {0.5: "BINARY_ACCURACY", 0.0: "SIGN_ACCURACY"}  # by its threshold


def loss_of(loss: Any, activation: str, y_shape: tuple[int, ...], n_outputs: int) -> str | None:
    """Find the name of one of Keras's losses behind an output's activation, or None.

    ``y_shape`` is the shape of one row's targets.
    """
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    loss = _CLASS_OF_FUNCTION[loss]() if loss in _CLASS_OF_FUNCTION else loss
    if not _is_plain(loss):
        return None
    if type(loss) is keras.losses.SparseCategoricalCrossentropy:
        return SPARSE_CROSS_ENTROPY if y_shape in ((), (1,)) and _is_behind(SOFTMAX, loss, activation) else None
    if type(loss) is keras.losses.CategoricalCrossentropy:
        is_known = y_shape == (n_outputs,) and _is_behind(SOFTMAX, loss, activation)
        return CATEGORICAL_CROSS_ENTROPY if is_known else None
    if y_shape != (n_outputs,) and not (y_shape == () and n_outputs == 1):
        return None
    if type(loss) is keras.losses.BinaryCrossentropy:
        return "BINARY_CROSS_ENTROPY" if _is_behind(_SIGMOID, loss, activation) else None
    if activation == SOFTMAX:
        return None
    return "SQUARED_DEVIATION" if type(loss) is keras.losses.MeanSquaredError else "ABSOLUTE_DEVIATION"


def _is_plain(loss: Any) -> bool:
    if type(loss) not in _CONFIGS or loss.dtype != "float32":
        return False
    config = {name: value for name, value in loss.get_config().items() if name not in ("name", "from_logits")}
    return config == _CONFIGS[type(loss)]


def _is_behind(function: str, loss: Any, activation: str) -> bool:
    return activation == (_LINEAR if loss.get_config()["from_logits"] else function)


def metric_of(metric: keras.metrics.Metric, loss: str) -> str | None:
    """Find the name of one of Keras's metrics beside a loss, or None."""
    name = _METRICS.get(type(metric))
    if type(metric) is keras.metrics.BinaryAccuracy:
        name = _BINARY_ACCURACY.get(metric.get_config()["threshold"])
    is_sparse = type(metric) is keras.metrics.SparseCategoricalAccuracy
    if is_sparse != (loss == SPARSE_CROSS_ENTROPY) or metric.dtype != "float32":
        return None
    if type(metric) is keras.metrics.CategoricalAccuracy and loss != CATEGORICAL_CROSS_ENTROPY:
        return None
    return name
