"""Losses of dense networks in NumPy: gradients batch by batch, values once for all batches of an epoch.

For gradients, values before the output's activation and targets have shape (n_models, batch, ...), for values one more
axis of batches in front.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ._dense_forward import IN_PLACE_ACTIVATIONS
from ._numpy_layers import GRADIENTS, Array

Targets = NDArray[Any]


class SparseCrossEntropy:
    """Softmax and cross-entropy with class numbers."""

    def prepared(self, targets: Targets, n_outputs: int) -> NDArray[np.intp]:
        """Where each row's class stands in a batch's values laid out flat, shape (n_batches, n_models * batch)."""
        n_batches, n_models, n_rows = targets.shape[:3]
        starts = np.arange(n_models * n_rows) * n_outputs
        return targets.reshape(n_batches, n_models * n_rows).astype(np.intp) + starts

    def write_gradient(self, logits: Array, places: NDArray[np.intp], weights: Array, out: Array) -> None:
        _write_softmax(logits, out)
        out.reshape(-1)[places] -= 1
        out *= weights

    def values(self, logits: Array, targets: Targets) -> Array:
        """Give the loss of each row."""
        shifted = logits - logits.max(axis=-1, keepdims=True)
        sums = np.exp(shifted).sum(axis=-1)
        classes = targets.reshape(*logits.shape[:-1], 1).astype(np.intp)
        return np.log(sums) - np.take_along_axis(shifted, classes, axis=-1)[..., 0]


class CategoricalCrossEntropy:
    """Softmax and cross-entropy with a column for each class."""

    def prepared(self, targets: Targets, n_outputs: int) -> Targets:
        return targets

    def write_gradient(self, logits: Array, targets: Targets, weights: Array, out: Array) -> None:
        _write_softmax(logits, out)
        out -= targets
        out *= weights

    def values(self, logits: Array, targets: Targets) -> Array:
        shifted = logits - logits.max(axis=-1, keepdims=True)
        shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        return -(targets * shifted).sum(axis=-1)


class BinaryCrossEntropy:
    """Sigmoid and cross-entropy, averaged over the outputs."""

    def prepared(self, targets: Targets, n_outputs: int) -> Array:
        return targets.reshape(*targets.shape[:3], n_outputs)

    def write_gradient(self, logits: Array, targets: Array, weights: Array, out: Array) -> None:
        expit(logits, out=out)
        out -= targets
        out *= weights / np.float32(logits.shape[-1])

    def values(self, logits: Array, targets: Targets) -> Array:
        targets = self.prepared(targets, logits.shape[-1])
        losses = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
        return losses.mean(axis=-1)


class Deviation:
    """The mean over the outputs of squared or absolute deviations, behind any activation."""

    def __init__(self, activation: Any, *, is_squared: bool) -> None:
        self._activation = IN_PLACE_ACTIVATIONS[activation]
        self._activation_gradient = GRADIENTS[activation]
        self._is_squared = is_squared

    def prepared(self, targets: Targets, n_outputs: int) -> Array:
        return targets.reshape(*targets.shape[:3], n_outputs)

    def write_gradient(self, logits: Array, targets: Array, weights: Array, out: Array) -> None:
        np.copyto(out, logits)
        outputs = self._activation(out)
        deviations = outputs - targets
        upstream = 2 * deviations if self._is_squared else np.sign(deviations)
        upstream *= weights / np.float32(logits.shape[-1])
        self._activation_gradient(outputs, upstream)
        np.copyto(out, upstream)

    def values(self, logits: Array, targets: Targets) -> Array:
        deviations = self._activation(logits.copy()) - self.prepared(targets, logits.shape[-1])
        return (deviations * deviations if self._is_squared else np.abs(deviations)).mean(axis=-1)


Loss = SparseCrossEntropy | CategoricalCrossEntropy | BinaryCrossEntropy | Deviation


def _write_softmax(logits: Array, out: Array) -> None:
    np.subtract(logits, np.maximum.reduce(logits, axis=-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= np.add.reduce(out, axis=-1, keepdims=True)


# The configs of the losses that are known, but for their names and whether they take logits.
_MEAN = {"reduction": "sum_over_batch_size"}
_CONFIGS: dict[type, dict[str, Any]] = {
    keras.losses.SparseCategoricalCrossentropy: _MEAN | {"ignore_class": None},
    keras.losses.CategoricalCrossentropy: _MEAN | {"axis": -1, "label_smoothing": 0.0},
    keras.losses.BinaryCrossentropy: _MEAN | {"axis": -1, "label_smoothing": 0.0},
    keras.losses.MeanSquaredError: _MEAN,
    keras.losses.MeanAbsoluteError: _MEAN,
}


def loss_of(loss: Any, activation: Any, y_shape: tuple[int, ...], n_outputs: int) -> Loss | None:
    """Find the form that a loss of Keras's takes behind an output's activation, or None.

    ``y_shape`` is the shape of one row's targets.
    """
    loss = keras.losses.get(loss) if isinstance(loss, str) else loss
    loss = _CLASS_OF_FUNCTION[loss]() if loss in _CLASS_OF_FUNCTION else loss
    if not _is_plain(loss):
        return None
    if type(loss) is keras.losses.SparseCategoricalCrossentropy:
        return SparseCrossEntropy() if y_shape in ((), (1,)) and _is_softmax(loss, activation) else None
    if type(loss) is keras.losses.CategoricalCrossentropy:
        return CategoricalCrossEntropy() if y_shape == (n_outputs,) and _is_softmax(loss, activation) else None
    if y_shape != (n_outputs,) and not (y_shape == () and n_outputs == 1):
        return None
    if type(loss) is keras.losses.BinaryCrossentropy:
        is_sigmoid = activation is (keras.activations.linear if loss.get_config()["from_logits"] else _SIGMOID)
        return BinaryCrossEntropy() if is_sigmoid else None
    if activation not in GRADIENTS:
        return None
    return Deviation(activation, is_squared=type(loss) is keras.losses.MeanSquaredError)


_SIGMOID = keras.activations.sigmoid
_CLASS_OF_FUNCTION = {
    keras.losses.sparse_categorical_crossentropy: keras.losses.SparseCategoricalCrossentropy,
    keras.losses.categorical_crossentropy: keras.losses.CategoricalCrossentropy,
    keras.losses.binary_crossentropy: keras.losses.BinaryCrossentropy,
    keras.losses.mean_squared_error: keras.losses.MeanSquaredError,
    keras.losses.mean_absolute_error: keras.losses.MeanAbsoluteError,
}


def _is_plain(loss: Any) -> bool:
    if type(loss) not in _CONFIGS or loss.dtype != "float32":
        return False
    config = {name: value for name, value in loss.get_config().items() if name not in ("name", "from_logits")}
    return config == _CONFIGS[type(loss)]


def _is_softmax(loss: Any, activation: Any) -> bool:
    return activation is (keras.activations.linear if loss.get_config()["from_logits"] else keras.activations.softmax)
