"""Which models consist of plain dense layers, in the terms of the native engine, ``native/course.h``."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._engine.model.column_encoding import ColumnEncoding

# The names of activations in the native engine. A softmax can only be the output's.
SOFTMAX = "SOFTMAX"
ACTIVATIONS = {
    keras.activations.linear: "LINEAR",
    keras.activations.relu: "RELU",
    keras.activations.sigmoid: "SIGMOID",
    keras.activations.tanh: "TANH",
    keras.activations.softplus: "SOFTPLUS",
    keras.activations.softmax: SOFTMAX,
}


@dataclass(frozen=True)
class Product:
    """A dense layer before its activation: how many outputs, and where kernel and bias stand among the weights."""

    n_outputs: int
    kernel: int
    bias: int | None


@dataclass(frozen=True)
class Activation:
    """An activation, by its name."""

    function: str


@dataclass(frozen=True)
class Dropout:
    """A dropout layer: its place among the layers that drop, which is that of its rate among the numbers too."""

    index: int


Part = Product | Activation | Dropout
_LINEAR = Activation(ACTIVATIONS[keras.activations.linear])


def parts_of(model: keras.Model, dropout_layers: Sequence[keras.layers.Layer]) -> list[Part] | None:
    """Take a model of plain dense layers apart, the last part its output's activation; None for any other model."""
    if type(model) is not keras.Sequential or len(model.inputs[0].shape) != 2:
        return None
    place_of = {id(weight): place for place, weight in enumerate(model.trainable_variables)}
    parts: list[Part] = []
    for layer in model.layers[encoding_of(model) is not None :]:
        found = _parts_of_layer(layer, place_of, dropout_layers)
        if found is None:
            return None
        parts += [part for part in found if part != _LINEAR]
    if parts and isinstance(parts[-1], Product):
        parts.append(_LINEAR)
    return parts if _is_known(parts, len(place_of)) else None


def encoding_of(model: keras.Model) -> ColumnEncoding | None:
    """Give the layer in front that encodes columns, None where there is none that the engine knows."""
    first = model.layers[0] if model.layers else None
    if type(first) is not ColumnEncoding or first.activity_regularizer is not None:
        return None
    return first if first.compute_dtype == first.variable_dtype == "float32" else None


@dataclass(frozen=True)
class EncodingForm:
    """Of a layer that encodes columns, how many outputs it has of each kind, their columns, and its weight's place."""

    counts: NDArray[np.int32]
    sources: NDArray[np.int32]
    numbers: int

    def given(self, values: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], ...]:
        """Give what the native engine takes, from the values of a model's variables."""
        return self.counts, self.sources, np.require(values[self.numbers], np.float32, ["C", "A"])


def encoding_form(model: keras.Model) -> EncodingForm | None:
    """Give the form of the layer in front that encodes columns, None where there is none."""
    layer = encoding_of(model)
    if layer is None:
        return None
    places = [id(variable) for variable in model.variables]
    return EncodingForm(layer.counts, layer.sources, places.index(id(layer.numbers)))


def _is_known(parts: Sequence[Part], n_weights: int) -> bool:
    """Tell whether parts are all of a model, in an order in which nothing overwrites what a gradient needs."""
    kinds = [type(part) for part in parts]
    is_complete = kinds[-2:] == [Product, Activation] and Activation not in kinds[: kinds.index(Product)]
    weights = [place for part in parts if isinstance(part, Product) for place in (part.kernel, part.bias)]
    return (
        is_complete
        and sorted(place for place in weights if place is not None) == list(range(n_weights))
        and (Activation, Activation) not in itertools.pairwise(kinds)
        and Activation(SOFTMAX) not in parts[:-1]
    )


def _parts_of_layer(
    layer: keras.layers.Layer, place_of: dict[int, int], dropout_layers: Sequence[keras.layers.Layer]
) -> list[Part] | None:
    is_plain = layer.compute_dtype == layer.variable_dtype == "float32" and layer.activity_regularizer is None
    if not is_plain or any(weight.constraint is not None for weight in layer.weights):
        return None
    if is_plain_dense(layer):
        are_trained = all(id(weight) in place_of for weight in layer.weights)
        if not are_trained or layer.activation not in ACTIVATIONS:
            return None
        bias = place_of[id(layer.bias)] if layer.use_bias else None
        return [Product(layer.units, place_of[id(layer.kernel)], bias), Activation(ACTIVATIONS[layer.activation])]
    if type(layer) is keras.layers.Activation and layer.activation in ACTIVATIONS:
        return [Activation(ACTIVATIONS[layer.activation])]
    if type(layer) is keras.layers.Dropout and layer.noise_shape is None:
        return [Dropout(dropout_layers.index(layer))] if layer.rate > 0 else []
    return None


def is_plain_dense(layer: keras.layers.Layer) -> bool:
    """Tell whether a layer is a dense one as Keras makes it at first."""
    return type(layer) is keras.layers.Dense and not layer.lora_enabled and layer.quantization_mode is None
