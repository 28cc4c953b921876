"""Fresh weights for a model, drawn from its own initializers with one seed and without any global generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skneural._compat.keras_names import flatten_layers
from skneural._engine.identity.parts import with_seed

# Where the attribute that holds a weight's initializer is not named after the weight.
_INITIALIZER_OF = {
    "recurrent_kernel": "recurrent_initializer",
    "depthwise_kernel": "depthwise_initializer",
    "pointwise_kernel": "pointwise_initializer",
}

# Uniform in [-limit, limit) with limit**2 = 3 * scale / fan.
_UNIFORM_SCALES = {
    keras.initializers.GlorotUniform: ("fan_avg", 1.0),
    keras.initializers.HeUniform: ("fan_in", 2.0),
    keras.initializers.LecunUniform: ("fan_in", 1.0),
}


def derived_seed(seed: int, index: int) -> int:
    """Derive a seed for the ``index``-th thing that is drawn from ``seed``, in [0, 2**31)."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1)


class InitialWeights:
    """Draws values for all variables of one model.

    What no seed touches (biases of zero, a constant, an initializer with a seed of its own) keeps the value that
    the model was built with.
    """

    def __init__(self, model: keras.Model) -> None:
        index_of = {id(variable): index for index, variable in enumerate(model.variables)}
        self._initializers: dict[int, keras.initializers.Initializer] = {}
        self._seed_states: list[int] = []
        for layer in flatten_layers(model):
            for variable in _own_variables(layer):
                index = index_of.get(id(variable))
                if index is not None and (initializer := _random_initializer(layer, variable.name)) is not None:
                    self._initializers[index] = initializer
        self._shapes = [(tuple(variable.shape), variable.dtype) for variable in model.variables]
        self._fixed = first_values(
            {index: one for index, one in enumerate(model.variables) if index not in self._initializers}
        )
        weights = {id(weight) for weight in model.weights}
        self._seed_states = [
            index
            for index, variable in enumerate(model.variables)
            if id(variable) not in weights and variable.name == "seed_generator_state"
        ]

    def draw(self, seed: int) -> list[NDArray[Any]]:
        """Values in the order of ``model.variables``."""
        values = dict(self._fixed)
        for index, initializer in self._initializers.items():
            shape, dtype = self._shapes[index]
            values[index] = _drawn(initializer, derived_seed(seed, index), shape, dtype)
        for index in self._seed_states:
            values[index] = np.array([derived_seed(seed, index), 0], dtype=values[index].dtype)
        return [values[index] for index in range(len(self._shapes))]


def _drawn(initializer: keras.initializers.Initializer, seed: int, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Draw from an initializer; NumPy takes a tenth of TensorFlow's time for the kernel of a dense layer."""
    if type(initializer) in _UNIFORM_SCALES and len(shape) == 2 and dtype == "float32":
        mode, scale = _UNIFORM_SCALES[type(initializer)]
        n = {"fan_in": shape[0], "fan_avg": sum(shape) / 2}[mode]
        limit = np.float32((3 * scale / n) ** 0.5)
        return (2 * np.random.default_rng(seed).random(shape, np.float32) - 1) * limit
    return with_seed(initializer, seed)(shape, dtype=dtype).numpy()


def first_values(variables: Mapping[int, keras.Variable]) -> dict[int, NDArray[Any]]:
    """Give the values that variables begin with, which in a graph stand only where somebody computes them."""
    values: dict[int, NDArray[Any]] = {}
    unknown: dict[int, tf.Tensor] = {}
    for index, variable in variables.items():
        graph = graph_of(variable)
        if graph is None:
            values[index] = variable.value.numpy()
            continue
        with graph.as_default():
            tensor = variable.value.initial_value
            values[index] = tf.get_static_value(tensor)
        if values[index] is None:
            unknown[index] = tensor
    if unknown:
        graph = next(iter(unknown.values())).graph
        with tf.compat.v1.Session(graph=graph) as session:
            values |= session.run(unknown)
    return values


def graph_of(variable: keras.Variable) -> tf.Graph | None:
    """Give the graph that a variable stands in; a variable of the eager runtime stands in none."""
    try:
        return variable.value.graph
    except (AttributeError, RuntimeError):
        return None


def _own_variables(layer: keras.layers.Layer) -> list[keras.Variable]:
    """Find the weights that a layer made itself, those of the layers inside it left out."""
    inner = {id(weight) for part in flatten_layers(layer) for weight in part.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]


def _random_initializer(layer: keras.layers.Layer, weight_name: str) -> keras.initializers.Initializer | None:
    """Find the initializer of a weight, or None where a seed makes no difference to it."""
    attribute = _INITIALIZER_OF.get(weight_name, f"{weight_name}_initializer")
    initializer = getattr(layer, attribute, None)
    if not isinstance(initializer, keras.initializers.Initializer):
        return None
    config = initializer.get_config()
    return initializer if "seed" in config and config["seed"] is None else None
