"""Dense networks predict in C: without the cost of a call of TensorFlow on few rows, and with all cores on many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._engine.threads import threads_for

from . import extension
from .layers import ACTIVATIONS, EncodingForm, encoding_form, encoding_of, is_plain_dense

# Rows that must be made dense or converted first are so in blocks of this size at most, as are outputs.
_MAX_BLOCK_VALUES = 2**22
# A step of training takes some four times as long, and meets threads that have begun; here they are waited for.
_SHARED_LATER = 16
# A block takes less than half a second, behind which Ctrl-C is heard.
_MAX_BLOCK_PRODUCTS = 2**33


@dataclass(frozen=True)
class NativeForward:
    """What a stack of dense layers makes of rows of shape (n, n_features).

    ``parts`` has a row for each: its kind and two numbers; ``epsilons`` has one entry for each. ``places`` are those of
    the weights among the model's variables, in the order in which the parts use them. ``predict`` is the engine's.
    """

    predict: Callable[..., None]
    parts: NDArray[np.int32]
    epsilons: NDArray[np.float32]
    places: Sequence[int]
    n_features: int
    n_outputs: int
    n_products: int
    encoding: EncodingForm | None

    @property
    def block_size(self) -> int:
        """How many rows go into a call at most."""
        n_rows = _MAX_BLOCK_VALUES // max(self.n_features, self.n_outputs)
        return max(1, min(n_rows, _MAX_BLOCK_PRODUCTS // max(self.n_products, 1)))

    def __call__(self, values: Sequence[NDArray[Any]], rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the outputs; a row's do not depend on the others, nor on the number of threads."""
        outputs = np.empty((len(rows), self.n_outputs), np.float32)
        # What was read from a stream need not be aligned.
        weights = tuple(np.require(values[place], requirements=["C", "A"]) for place in self.places)
        with threads_for(len(rows) * self.n_products // _SHARED_LATER) as n_threads:
            self.predict(
                *(self.parts, self.epsilons, weights),
                None if self.encoding is None else self.encoding.given(values),
                *(np.require(rows, requirements=["C", "A"]), outputs),
                n_threads,
                extension.IS_PORTABLE,
            )
        return outputs


@dataclass(frozen=True)
class _Part:
    """What the engine is told of a part: three numbers, an epsilon, and its weights."""

    numbers: tuple[int, int, int]
    epsilon: float
    weights: tuple[keras.Variable, ...]


def native_forward(model: keras.Model, place: int | None = None) -> NativeForward | None:
    """Give the way through a model of dense layers, or to the layer at a place, None where anything else is on it."""
    if extension.engine is None or type(model) is not keras.Sequential:
        return None
    rows = model.inputs[0]
    if len(rows.shape) != 2 or rows.shape[1] is None or rows.dtype != "float32":
        return None
    parts: list[_Part] = []
    last = len(model.layers) if place is None else place + 1
    for layer in model.layers[encoding_of(model) is not None : last]:
        found = _parts_of_layer(layer)
        if found is None:
            return None
        parts += found
    if not parts:
        return None
    place_of = {id(variable): place for place, variable in enumerate(model.variables)}
    weights = [weight for part in parts for weight in part.weights]
    return NativeForward(
        predict=extension.engine.predict,
        parts=np.array([part.numbers for part in parts], np.int32),
        epsilons=np.array([part.epsilon for part in parts], np.float32),
        places=[place_of[id(weight)] for weight in weights],
        n_features=rows.shape[1],
        n_outputs=model.layers[last - 1].output.shape[1],
        n_products=sum(math.prod(weight.shape) for weight in weights if len(weight.shape) == 2),
        encoding=encoding_form(model),
    )


def _parts_of_layer(layer: keras.layers.Layer) -> list[_Part] | None:
    if isinstance(layer, keras.layers.Dropout):
        return []
    if not layer.compute_dtype == layer.variable_dtype == "float32":
        return None
    if is_plain_dense(layer) and layer.activation in ACTIVATIONS:
        weights = (layer.kernel, layer.bias) if layer.use_bias else (layer.kernel,)
        product = _Part((extension.number("PRODUCT"), layer.units, int(layer.use_bias)), 0.0, weights)
        return [product, *_activation(layer)]
    if type(layer) is keras.layers.Activation and layer.activation in ACTIVATIONS:
        return _activation(layer)
    if type(layer) is keras.layers.BatchNormalization:
        return [_normalization(layer)]
    return None


def _activation(layer: keras.layers.Layer) -> list[_Part]:
    function = ACTIVATIONS[layer.activation]
    if function == "LINEAR":
        return []
    return [_Part((extension.number("ACTIVATION"), extension.number(function), 0), 0.0, ())]


def _normalization(layer: keras.layers.BatchNormalization) -> _Part:
    """With the moving averages, as in all prediction: (x - mean) / sqrt(variance + epsilon) * gamma + beta."""
    weights = [layer.gamma] * layer.scale + [layer.beta] * layer.center + [layer.moving_mean, layer.moving_variance]
    numbers = (extension.number("NORMALIZATION"), int(layer.scale), int(layer.center))
    return _Part(numbers, layer.epsilon, tuple(weights))
