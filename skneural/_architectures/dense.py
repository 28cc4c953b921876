"""From sizes to ``keras.Sequential``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from skneural._engine import copy_of_part, with_seed


@dataclass(frozen=True)
class DenseArchitecture:
    """A stack of dense layers: for each hidden layer Dense -> BatchNormalization -> activation -> Dropout.

    ``activations`` has one entry per hidden layer.
    """

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    n_outputs: int
    output_activation: str
    dropout: float = 0.0
    batch_normalization: bool = False
    l2: float = 0.0
    kernel_initializer: Any = "glorot_uniform"


def build_dense(architecture: DenseArchitecture) -> keras.Sequential:
    """Build the network of a dense architecture, not compiled."""
    inputs = keras.Input((architecture.n_features,))
    return keras.Sequential([inputs, *hidden_layers(architecture), output_layer(architecture)])


def hidden_layers(architecture: DenseArchitecture) -> list[keras.layers.Layer]:
    """Make all layers but that of the outputs."""
    n_hidden = len(architecture.hidden_layer_sizes)
    return [layer for position in range(n_hidden) for layer in _hidden_block(architecture, position)]


def output_layer(architecture: DenseArchitecture) -> keras.layers.Dense:
    """Make the layer of the outputs."""
    position = len(architecture.hidden_layer_sizes)
    return _dense(architecture, position, architecture.n_outputs, architecture.output_activation)


def _hidden_block(architecture: DenseArchitecture, position: int) -> list[keras.layers.Layer]:
    """Layers of one hidden block; Ioffe and Szegedy (2015, section 3.2) normalise before the activation."""
    size, activation = architecture.hidden_layer_sizes[position], architecture.activations[position]
    if architecture.batch_normalization:
        block = [
            _dense(architecture, position, size, "linear"),
            keras.layers.BatchNormalization(),
            activation_layer(activation),
        ]
    elif isinstance(activation, keras.layers.Layer):
        # Inside Dense it would get its weights only in the first call, behind the optimizer's back.
        block = [_dense(architecture, position, size, "linear"), activation_layer(activation)]
    else:
        block = [_dense(architecture, position, size, activation)]
    return [*block, *dropout_layers(architecture.dropout)]


def _dense(
    architecture: DenseArchitecture, position: int, size: int, activation: str | Callable[..., Any]
) -> keras.layers.Dense:
    return keras.layers.Dense(
        size,
        activation=activation,
        kernel_initializer=seeded_initializer(architecture.kernel_initializer, position),
        kernel_regularizer=keras.regularizers.L2(architecture.l2) if architecture.l2 > 0 else None,
    )


def activation_layer(activation: Any) -> keras.layers.Layer:
    """Make an activation a layer; one that is a layer is copied, because its weights belong to one place only."""
    if isinstance(activation, keras.layers.Layer):
        config = activation.get_config()
        # Names are unique in a network; Keras chooses another one.
        config.pop("name", None)
        return type(activation).from_config(config)
    return keras.layers.Activation(activation)


def dropout_layers(rate: float) -> list[keras.layers.Layer]:
    """Make a layer of dropout, or none for a rate of zero."""
    # A seed of its own keeps Keras from drawing one from Python's global generator.
    return [keras.layers.Dropout(rate, seed=0)] if rate > 0 else []


def seeded_initializer(initializer: Any, position: int) -> Any:
    """Give each layer an initializer with a seed of its own: with one seed, equal shapes would start equal."""
    if not isinstance(initializer, keras.initializers.Initializer):
        return initializer
    seed = initializer.get_config().get("seed")
    return with_seed(initializer, seed + position) if isinstance(seed, int) else copy_of_part(initializer)
