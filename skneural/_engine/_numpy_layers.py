"""Dense networks in NumPy, many of one architecture side by side: from rows to outputs, and back to the gradients.

Every array has a first axis of networks. What one network's entries become never depends on the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ._dense_forward import IN_PLACE_ACTIVATIONS, is_plain_dense

Array = NDArray[np.float32]


class FlatValues:
    """Arrays of many networks, each network's in one row of ``flat`` of shape (n_models, n_values), and views on them.

    The views have shape (n_models, *shape), in the order of ``shapes``. They hold anything at first.
    """

    def __init__(self, n_models: int, shapes: Sequence[tuple[int, ...]]) -> None:
        sizes = [math.prod(shape) for shape in shapes]
        self.flat: Array = np.empty((n_models, sum(sizes)), np.float32)
        self.views: list[Array] = []
        start = 0
        for shape, size in zip(shapes, sizes, strict=True):
            self.views.append(self.flat[:, start : start + size].reshape(n_models, *shape))
            start += size

    @classmethod
    def of(cls, arrays: Sequence[NDArray[Any]]) -> FlatValues:
        """Copy arrays of shape (n_models, ...)."""
        values = cls(len(arrays[0]), [array.shape[1:] for array in arrays])
        for view, array in zip(values.views, arrays, strict=True):
            view[...] = array
        return values

    def arrays(self) -> list[Array]:
        """Copy the views into arrays of their own."""
        return [view.copy() for view in self.views]


def _relu_gradient(outputs: Array, upstream: Array) -> None:
    # NumPy multiplies two arrays of one dtype several times faster than one of bools.
    slopes = np.empty_like(outputs)
    np.copyto(slopes, outputs > 0)
    upstream *= slopes


def _sigmoid_gradient(outputs: Array, upstream: Array) -> None:
    upstream *= outputs
    upstream *= 1 - outputs


def _tanh_gradient(outputs: Array, upstream: Array) -> None:
    upstream *= 1 - outputs * outputs


def _softplus_gradient(outputs: Array, upstream: Array) -> None:
    upstream *= -np.expm1(-outputs)


def _linear_gradient(outputs: Array, upstream: Array) -> None:
    pass


# Gradients of activations that take each value by itself, from their outputs; in place.
GRADIENTS: dict[Any, Callable[[Array, Array], None]] = {
    keras.activations.linear: _linear_gradient,
    keras.activations.relu: _relu_gradient,
    keras.activations.sigmoid: _sigmoid_gradient,
    keras.activations.tanh: _tanh_gradient,
    keras.activations.softplus: _softplus_gradient,
}


@dataclass(frozen=True)
class Product:
    """A dense layer before its activation: where kernel and bias stand among the trained weights."""

    kernel: int
    bias: int | None


@dataclass(frozen=True)
class Activation:
    """An activation of Keras's."""

    function: Any


@dataclass(frozen=True)
class Dropout:
    """A dropout layer: its place among the layers that drop, which is that of its rate among the numbers too."""

    index: int


Part = Product | Activation | Dropout


def parts_of(model: keras.Model, dropout_layers: Sequence[keras.layers.Layer]) -> list[Part] | None:
    """Take a model of plain dense layers apart, the last part its output's activation; None for any other model."""
    if type(model) is not keras.Sequential or len(model.inputs[0].shape) != 2:
        return None
    place_of = {id(weight): place for place, weight in enumerate(model.trainable_variables)}
    parts: list[Part] = []
    for layer in model.layers:
        found = _parts_of_layer(layer, place_of, dropout_layers)
        if found is None:
            return None
        parts += [part for part in found if part != Activation(keras.activations.linear)]
    if parts and isinstance(parts[-1], Product):
        parts.append(Activation(keras.activations.linear))
    return parts if _is_known(parts, len(place_of)) else None


def _is_known(parts: Sequence[Part], n_weights: int) -> bool:
    """Tell whether parts are all of a model, in an order in which nothing overwrites what a gradient needs."""
    kinds = [type(part) for part in parts]
    is_complete = kinds[-2:] == [Product, Activation] and Activation not in kinds[: kinds.index(Product)]
    weights = [place for part in parts if isinstance(part, Product) for place in (part.kernel, part.bias)]
    return (
        is_complete
        and sorted(place for place in weights if place is not None) == list(range(n_weights))
        and (Activation, Activation) not in itertools.pairwise(kinds)
        and all(map(_has_gradient, parts[:-1]))
    )


def _has_gradient(part: Part) -> bool:
    return not isinstance(part, Activation) or part.function in GRADIENTS


def _parts_of_layer(
    layer: keras.layers.Layer, place_of: dict[int, int], dropout_layers: Sequence[keras.layers.Layer]
) -> list[Part] | None:
    is_plain = layer.compute_dtype == layer.variable_dtype == "float32" and layer.activity_regularizer is None
    if not is_plain or any(weight.constraint is not None for weight in layer.weights):
        return None
    if is_plain_dense(layer):
        if not layer.trainable or layer.activation not in IN_PLACE_ACTIVATIONS:
            return None
        bias = place_of[id(layer.bias)] if layer.use_bias else None
        return [Product(place_of[id(layer.kernel)], bias), Activation(layer.activation)]
    if type(layer) is keras.layers.Activation and layer.activation in IN_PLACE_ACTIVATIONS:
        return [Activation(layer.activation)]
    if type(layer) is keras.layers.Dropout and layer.noise_shape is None:
        return [Dropout(dropout_layers.index(layer))] if layer.rate > 0 else []
    return None


class _BoundProduct:
    """A product with its weights, and room for what comes out of it."""

    def __init__(self, part: Product, weights: FlatValues, gradients: FlatValues, shape: tuple[int, int]) -> None:
        self._kernel = weights.views[part.kernel]
        self._kernel_gradient = gradients.views[part.kernel]
        self._turned = self._kernel.transpose(0, 2, 1)
        n_inputs, n_outputs = self._kernel.shape[1:]
        self._bias = self._bias_gradient = None
        if part.bias is not None:
            self._bias = weights.views[part.bias][:, None]
            self._bias_gradient = gradients.views[part.bias]
        self._outputs = np.empty((*shape, n_outputs), np.float32)
        self._downstream = np.empty((*shape, n_inputs), np.float32)
        self._inputs = self._outputs

    def forward(self, inputs: Array, keys: NDArray[np.uint32] | None) -> Array:
        self._inputs = inputs
        outputs = np.matmul(inputs, self._kernel, out=self._outputs)
        return outputs if self._bias is None else np.add(outputs, self._bias, out=outputs)

    def backward(self, upstream: Array) -> None:
        np.matmul(self._inputs.transpose(0, 2, 1), upstream, out=self._kernel_gradient)
        if self._bias_gradient is not None:
            np.add.reduce(upstream, axis=1, out=self._bias_gradient)

    def downstream(self, upstream: Array) -> Array:
        if upstream.shape[-1] == 1:
            # A product of one pair of numbers at each place, which BLAS takes five times as long for.
            return np.multiply(upstream, self._turned, out=self._downstream)
        return np.matmul(upstream, self._turned, out=self._downstream)


class _BoundActivation:
    def __init__(self, part: Activation) -> None:
        self._function = IN_PLACE_ACTIVATIONS[part.function]
        self._gradient = GRADIENTS[part.function]
        self._outputs = np.empty(0, np.float32)

    def forward(self, inputs: Array, keys: NDArray[np.uint32] | None) -> Array:
        self._outputs = self._function(inputs)
        return self._outputs

    def backward(self, upstream: Array) -> None:
        self._gradient(self._outputs, upstream)

    def downstream(self, upstream: Array) -> Array:
        return upstream


class _BoundDropout:
    """Drops the values that the compiled programs drop, ``_dropout.py``."""

    def __init__(self, part: Dropout, numbers: Array) -> None:
        self._stream = part.index
        self._rates = numbers[:, part.index, None]
        rest = 1 - self._rates
        self._scales = np.divide(1, rest, out=np.zeros_like(rest), where=rest != 0)
        self._factors: NDArray[Any] = self._scales

    def forward(self, inputs: Array, keys: NDArray[np.uint32] | None) -> Array:
        if keys is None:
            return inputs
        shape = inputs.shape[1:]
        kept = uniform_numbers(keys, self._stream, math.prod(shape)) >= self._rates
        self._factors = (kept * self._scales).reshape(inputs.shape)
        return inputs * self._factors

    def backward(self, upstream: Array) -> None:
        upstream *= self._factors

    def downstream(self, upstream: Array) -> Array:
        return upstream


def uniform_numbers(keys: NDArray[np.uint32], stream: int, size: int) -> Array:
    """Give what ``_dropout.uniform_numbers`` gives, for keys of shape (n_models, 2) the shape (n_models, size)."""
    start = _mixed(keys[:, :1] ^ np.uint32((stream * 0x9E3779B9 + 0x7F4A7C15) & 0xFFFFFFFF))
    start = _mixed(start + keys[:, 1:] * np.uint32(0x85EBCA6B))
    counters = np.arange(size, dtype=np.uint32) * np.uint32(0x9E3779B9)
    bits = _mixed(_mixed(counters + start) ^ start)
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _mixed(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return bits ^ (bits >> np.uint32(16))


class BoundLayers:
    """The parts of many networks with their weights: rows in, values before the output's activation out, and back.

    ``shape`` is the number of networks and of rows in a batch. Gradients are written into ``gradients``.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        weights: FlatValues,
        gradients: FlatValues,
        numbers: Array,
        shape: tuple[int, int],
    ) -> None:
        self._parts = [_bound(part, weights, gradients, numbers, shape) for part in parts[:-1]]

    def forward(self, rows: Array, keys: NDArray[np.uint32] | None) -> Array:
        """Give the values before the output's activation; nothing is dropped without ``keys``."""
        values = rows
        for part in self._parts:
            values = part.forward(values, keys)
        return values

    def backward(self, upstream: Array) -> None:
        """Write all gradients from that of the values that ``forward`` gave; ``upstream`` is overwritten."""
        first, *others = self._parts
        for part in reversed(others):
            part.backward(upstream)
            upstream = part.downstream(upstream)
        first.backward(upstream)


def _bound(
    part: Part, weights: FlatValues, gradients: FlatValues, numbers: Array, shape: tuple[int, int]
) -> _BoundProduct | _BoundActivation | _BoundDropout:
    if isinstance(part, Product):
        return _BoundProduct(part, weights, gradients, shape)
    return _BoundActivation(part) if isinstance(part, Activation) else _BoundDropout(part, numbers)
