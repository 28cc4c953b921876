"""Dense networks predict in NumPy: as fast as in TensorFlow on many rows, and without the cost of a call on few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from .model.column_encoding import ColumnEncoding

Array = NDArray[np.float32]
Values = list[NDArray[Any]]
Product = Callable[[Array, Array], Array]
# From the rows, which it may overwrite, the values of all variables of the model, and how to multiply matrices to the
# layer's outputs.
Step = Callable[[Array, Values, Product], Array]

# A block of rows stays in the processor's cache on its way through the layers.
_BLOCK_VALUES = 2**18
# Rows that must be made dense or converted first are so in blocks of this size at most.
_MAX_INPUT_VALUES = 2**22
_ROW_MULTIPLE = 16
# OpenBLAS keeps a product of fewer multiplications in the thread that calls it.
ALONE_IN_BLAS = 2**18


def _product_alone(rows: Array, kernel: Array) -> Array:
    """Multiply by parts that BLAS keeps in this thread, unless the kernel is too large for that.

    Those that OpenBLAS brings in for larger ones go on waiting for work for some 25 ms, at a core's full power: a
    training that follows a prediction would have one core less.
    """
    part = ALONE_IN_BLAS // kernel.size // _ROW_MULTIPLE * _ROW_MULTIPLE
    if part == 0 or len(rows) <= part:
        return np.matmul(rows, kernel)
    outputs = np.empty((len(rows), kernel.shape[1]), np.float32)
    n_in_parts = len(rows) // part * part
    parts = (-1, part, rows.shape[1]), (-1, part, kernel.shape[1])
    np.matmul(rows[:n_in_parts].reshape(parts[0]), kernel, out=outputs[:n_in_parts].reshape(parts[1]))
    np.matmul(rows[n_in_parts:], kernel, out=outputs[n_in_parts:])
    return outputs


def _relu(outputs: Array) -> Array:
    # The maximum of two arrays takes NumPy a third of the time of that with a number.
    return np.maximum(outputs, np.zeros_like(outputs), out=outputs)


def _sigmoid(outputs: Array) -> Array:
    return expit(outputs, out=outputs)


def _tanh(outputs: Array) -> Array:
    return np.tanh(outputs, out=outputs)


def _softmax(outputs: Array) -> Array:
    outputs -= outputs.max(axis=-1, keepdims=True)
    np.exp(outputs, out=outputs)
    outputs /= outputs.sum(axis=-1, keepdims=True)
    return outputs


def _softplus(outputs: Array) -> Array:
    return np.logaddexp(outputs, np.float32(0), out=outputs)


def _linear(outputs: Array) -> Array:
    return outputs


IN_PLACE_ACTIVATIONS: dict[Any, Callable[[Array], Array]] = {
    keras.activations.linear: _linear,
    keras.activations.relu: _relu,
    keras.activations.sigmoid: _sigmoid,
    keras.activations.tanh: _tanh,
    keras.activations.softmax: _softmax,
    keras.activations.softplus: _softplus,
}


class DenseForward:
    """What a stack of dense layers makes of rows of shape (n, n_features)."""

    def __init__(self, steps: list[Step], n_features: int, widest: int) -> None:
        self._steps = steps
        n_rows = min(_BLOCK_VALUES // widest, _MAX_INPUT_VALUES // n_features)
        self.block_size = max(n_rows // _ROW_MULTIPLE, 1) * _ROW_MULTIPLE

    def __call__(self, values: Values, rows: Array) -> Array:
        multiply: Product = np.matmul if len(rows) >= self.block_size else _product_alone
        for step in self._steps:
            rows = step(rows, values, multiply)
        return rows


def dense_forward(model: keras.Model) -> DenseForward | None:
    """Give the way through a model of dense layers, or None for a model with anything else in it."""
    if type(model) is not keras.Sequential or len(model.inputs[0].shape) != 2:
        return None
    index_of = {id(variable): index for index, variable in enumerate(model.variables)}
    steps: list[Step] = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            continue
        step = _step_of(layer, index_of) if layer.compute_dtype == "float32" else None
        if step is None:
            return None
        steps.append(step)
    # An activation in front would overwrite the caller's rows.
    if not model.layers or type(model.layers[0]) not in (keras.layers.Dense, ColumnEncoding):
        return None
    widths = [layer.output.shape[1] for layer in model.layers]
    return DenseForward(steps, n_features=model.inputs[0].shape[1], widest=max(widths))


def _step_of(layer: keras.layers.Layer, index_of: dict[int, int]) -> Step | None:
    if is_plain_dense(layer):
        return _dense_step(layer, index_of)
    if type(layer) is keras.layers.Activation and layer.activation in IN_PLACE_ACTIVATIONS:
        activation = IN_PLACE_ACTIVATIONS[layer.activation]
        return lambda rows, values, multiply: activation(rows)
    if type(layer) is ColumnEncoding:
        numbers = index_of[id(layer.numbers)]
        return lambda rows, values, multiply: layer.encoded(rows, values[numbers])
    if type(layer) is keras.layers.BatchNormalization:
        return _normalization_step(layer, index_of)
    return None


def is_plain_dense(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer is a dense one as Keras makes it at first."""
    return type(layer) is keras.layers.Dense and not layer.lora_enabled and layer.quantization_mode is None


def _dense_step(layer: keras.layers.Dense, index_of: dict[int, int]) -> Step | None:
    if layer.activation not in IN_PLACE_ACTIVATIONS:
        return None
    activation = IN_PLACE_ACTIVATIONS[layer.activation]
    kernel = index_of[id(layer.kernel)]
    bias = index_of[id(layer.bias)] if layer.use_bias else None

    def step(rows: Array, values: Values, multiply: Product) -> Array:
        outputs = multiply(rows, values[kernel])
        if bias is not None:
            outputs += values[bias]
        return activation(outputs)

    return step


def _normalization_step(layer: keras.layers.BatchNormalization, index_of: dict[int, int]) -> Step:
    """With the moving averages, as in all prediction: (x - mean) / sqrt(variance + epsilon) * gamma + beta."""
    mean, variance = index_of[id(layer.moving_mean)], index_of[id(layer.moving_variance)]
    gamma = index_of[id(layer.gamma)] if layer.scale else None
    beta = index_of[id(layer.beta)] if layer.center else None
    epsilon = np.float32(layer.epsilon)

    def step(rows: Array, values: Values, multiply: Product) -> Array:
        factor = 1 / np.sqrt(values[variance] + epsilon)
        rows -= values[mean]
        rows *= factor if gamma is None else factor * values[gamma]
        if beta is not None:
            rows += values[beta]
        return rows

    return step
