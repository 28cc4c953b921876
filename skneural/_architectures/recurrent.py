"""From sizes to a ``keras.Sequential`` that reads sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from .dense import dropout_layers, seeded_initializer
from .sequence_layers import MaskedConv1D, MeanOfSteps, PoolOverTime, SequenceScaling, SideBySide

CELLS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "simple": keras.layers.SimpleRNN}


@dataclass(frozen=True)
class RecurrentArchitecture:
    """Scaling -> recurrent layers and pooling, beside them convolutions and pooling -> dense layers -> outputs.

    ``n_averaged_steps`` are averaged after the scaling. ``activations`` has one entry per convolution and then one per
    dense layer.
    """

    n_channels: int
    cell: str
    units: tuple[int, ...]
    bidirectional: bool
    pooling: str
    filters: tuple[int, ...]
    kernel_sizes: tuple[int, ...]
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    n_outputs: int
    output_activation: str
    dropout: float = 0.0
    batch_normalization: bool = False
    l2: float = 0.0
    kernel_initializer: Any = "glorot_uniform"
    n_averaged_steps: int = 1

    @property
    def sequence_shape(self) -> tuple[None, int]:
        """Timesteps, of which there may be any number, and channels."""
        return (None, self.n_channels)


def build_recurrent(architecture: RecurrentArchitecture) -> keras.Sequential:
    """Build the network of a recurrent architecture, not compiled."""
    shortened = [MeanOfSteps(architecture.n_averaged_steps)] if architecture.n_averaged_steps > 1 else []
    layers = [SequenceScaling(), *shortened, *_body(architecture), *_head(architecture)]
    return keras.Sequential([keras.Input(architecture.sequence_shape), *layers])


def _body(architecture: RecurrentArchitecture) -> list[keras.layers.Layer]:
    """Recurrent layers, beside them convolutions where there are any."""
    branches = {"recurrent": _recurrent_branch(architecture), "convolutional": _convolutional_branch(architecture)}
    if not branches["convolutional"]:
        return branches["recurrent"]
    models = [
        keras.Sequential([keras.Input(architecture.sequence_shape), *layers], name=name)
        for name, layers in branches.items()
        if layers
    ]
    return [SideBySide(models)]


def _recurrent_branch(architecture: RecurrentArchitecture) -> list[keras.layers.Layer]:
    """Recurrent layers, the last of which gives its last state or is pooled over time."""
    layers: list[keras.layers.Layer] = []
    for position, units in enumerate(architecture.units):
        is_last = position + 1 == len(architecture.units)
        keywords = {} if architecture.cell == "simple" else {"use_cudnn": False}
        layer = CELLS[architecture.cell](
            units,
            return_sequences=not is_last or architecture.pooling != "last",
            kernel_initializer=seeded_initializer(architecture.kernel_initializer, position),
            kernel_regularizer=_penalty(architecture),
            recurrent_regularizer=_penalty(architecture),
            **keywords,
        )
        layers.append(keras.layers.Bidirectional(layer) if architecture.bidirectional else layer)
    if layers and architecture.pooling != "last":
        layers.append(PoolOverTime(architecture.pooling))
    return layers


def _convolutional_branch(architecture: RecurrentArchitecture) -> list[keras.layers.Layer]:
    """The fully convolutional network of Wang et al. (2017, section II.B) and its pooling."""
    layers: list[keras.layers.Layer] = []
    for position, (filters, width) in enumerate(zip(architecture.filters, architecture.kernel_sizes, strict=True)):
        convolution = MaskedConv1D(
            filters,
            width,
            kernel_initializer=seeded_initializer(architecture.kernel_initializer, len(architecture.units) + position),
            kernel_regularizer=_penalty(architecture),
        )
        layers += [convolution, *_normalized_activation(architecture, position)]
    return [*layers, PoolOverTime("average")] if layers else []


def _head(architecture: RecurrentArchitecture) -> list[keras.layers.Layer]:
    """Dense layers from one vector per sequence to the outputs."""
    layers: list[keras.layers.Layer] = []
    n_before = len(architecture.filters)
    for position, size in enumerate(architecture.hidden_layer_sizes):
        layers += [
            *dropout_layers(architecture.dropout),
            _dense(architecture, position, size, "linear"),
            *_normalized_activation(architecture, n_before + position),
        ]
    n_hidden = len(architecture.hidden_layer_sizes)
    output = _dense(architecture, n_hidden, architecture.n_outputs, architecture.output_activation)
    return [*layers, *dropout_layers(architecture.dropout), output]


def _normalized_activation(architecture: RecurrentArchitecture, position: int) -> list[keras.layers.Layer]:
    activation = keras.layers.Activation(architecture.activations[position])
    return [keras.layers.BatchNormalization(), activation] if architecture.batch_normalization else [activation]


def _dense(architecture: RecurrentArchitecture, position: int, size: int, activation: str) -> keras.layers.Dense:
    n_before = len(architecture.units) + len(architecture.filters)
    return keras.layers.Dense(
        size,
        activation=activation,
        kernel_initializer=seeded_initializer(architecture.kernel_initializer, n_before + position),
        kernel_regularizer=_penalty(architecture),
    )


def _penalty(architecture: RecurrentArchitecture) -> keras.regularizers.Regularizer | None:
    return keras.regularizers.L2(architecture.l2) if architecture.l2 > 0 else None
