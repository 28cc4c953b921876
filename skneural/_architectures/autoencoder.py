"""From sizes to the networks of an autoencoder: columns to a code, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from .code_layers import AddedNoise, DrawnCode, TiedDense
from .dense import activation_layer, dropout_layers, seeded_initializer

# Names of layers: the code, and where it is drawn the layer of its means and logarithms of variances before it.
CODE, DISTRIBUTION, RECONSTRUCTION = "code", "code_distribution", "reconstruction"


@dataclass(frozen=True)
class AutoencoderArchitecture:
    """An encoder and a decoder that mirrors it, on scaled columns.

    ``filters`` is empty where layers are dense. ``noise`` is the standard deviation of what is added to the columns in
    training. ``output_activation`` is that of the reconstruction.
    """

    n_features: int
    n_components: int
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    output_activation: str
    image_shape: tuple[int, int, int] | None = None
    filters: tuple[int, ...] = ()
    noise: float = 0.0
    dropout: float = 0.0
    l2: float = 0.0
    tied_weights: bool = False
    variational: bool = False
    kernel_initializer: Any = "glorot_uniform"

    @property
    def n_distribution(self) -> int:
        """Outputs of the layer that describes the code."""
        return 2 * self.n_components if self.variational else self.n_components


def build_autoencoder(architecture: AutoencoderArchitecture) -> keras.Sequential:
    """Build the network from scaled columns to their reconstruction, not compiled.

    Dense layers stand one behind the other; of images encoder and decoder are models of their own.
    """
    encoder, decoder = layers_of(architecture)
    return keras.Sequential([keras.Input((architecture.n_features,)), *encoder, *decoder])


def layers_of(architecture: AutoencoderArchitecture) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Make the layers from scaled columns to the code, the last one named ``CODE``, and those from there back."""
    layers = _Layers(architecture)
    front = [AddedNoise(architecture.noise)] if architecture.noise > 0 else []
    if architecture.image_shape is None:
        return [*front, *layers.dense_encoder()], layers.dense_decoder()
    # What a model within another says can be asked for only behind it.
    behind_encoder = keras.layers.Activation("linear", name=DISTRIBUTION if architecture.variational else CODE)
    behind_decoder = keras.layers.Activation(architecture.output_activation, name=RECONSTRUCTION)
    encoder = [*front, layers.image_encoder(), behind_encoder, *layers.draw(CODE)]
    return encoder, [layers.image_decoder(), behind_decoder]


class _Layers:
    """Makes the layers, each with a penalty and first weights of its own."""

    def __init__(self, architecture: AutoencoderArchitecture) -> None:
        self.architecture = architecture
        self._n_made = 0

    def _arguments(self) -> dict[str, Any]:
        self._n_made += 1
        penalty = keras.regularizers.L2(self.architecture.l2) if self.architecture.l2 > 0 else None
        initializer = seeded_initializer(self.architecture.kernel_initializer, self._n_made - 1)
        return {"kernel_initializer": initializer, "kernel_regularizer": penalty}

    def _dense(self, units: int, activation: Any = "linear", name: str | None = None) -> keras.layers.Dense:
        return keras.layers.Dense(units, activation=activation, name=name, **self._arguments())

    def _hidden(self, units: int, activation: Any) -> list[keras.layers.Layer]:
        """Make a hidden layer, its activation behind it where that is a layer itself, and its dropout."""
        drops = dropout_layers(self.architecture.dropout)
        if isinstance(activation, keras.layers.Layer):
            return [self._dense(units), activation_layer(activation), *drops]
        return [self._dense(units, activation), *drops]

    def draw(self, name: str) -> list[keras.layers.Layer]:
        """Make the layer that draws codes from their distributions, where there are such."""
        return [DrawnCode(name=name)] if self.architecture.variational else []

    def dense_encoder(self) -> list[keras.layers.Layer]:
        """Make the layers from the columns to the code."""
        architecture = self.architecture
        layers: list[keras.layers.Layer] = []
        for size, activation in zip(architecture.hidden_layer_sizes, architecture.activations, strict=True):
            layers += self._hidden(size, activation)
        name = DISTRIBUTION if architecture.variational else CODE
        layers += [self._dense(architecture.n_distribution, name=name), *self.draw(CODE)]
        self._encoder = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
        return layers

    def dense_decoder(self) -> list[keras.layers.Layer]:
        """Make the layers from the code to the reconstruction."""
        architecture = self.architecture
        layers: list[keras.layers.Layer] = []
        sources = self._encoder[:0:-1] if architecture.tied_weights else [None] * len(architecture.hidden_layer_sizes)
        mirrored = zip(architecture.hidden_layer_sizes[::-1], architecture.activations[::-1], sources, strict=True)
        for size, activation, source in mirrored:
            if source is None:
                layers += self._hidden(size, activation)
            else:
                layers += [self._tied(source), activation_layer(activation), *dropout_layers(architecture.dropout)]
        end = architecture.output_activation
        if architecture.tied_weights:
            return [*layers, self._tied(self._encoder[0], activation=end, name=RECONSTRUCTION)]
        return [*layers, self._dense(architecture.n_features, end, RECONSTRUCTION)]

    def _tied(self, source: keras.layers.Dense, **arguments: Any) -> TiedDense:
        """Make a layer with the kernel of one of the encoder's; of a code that is drawn, that of its means."""
        is_code = source is self._encoder[-1]
        return TiedDense(source, self.architecture.n_components if is_code else None, **arguments)

    # --- images -------------------------------------------------------------------------------------------------

    def image_encoder(self) -> keras.Model:
        """Make the model from flat images to the code: convolutions, and beside them a linear path."""
        architecture = self.architecture
        assert architecture.image_shape is not None
        columns = keras.Input((architecture.n_features,))
        values = keras.layers.Reshape(architecture.image_shape)(columns)
        for n_filters in architecture.filters:
            values = keras.layers.Conv2D(
                n_filters, 3, strides=2, padding="same", activation=architecture.activations[0], **self._arguments()
            )(values)
        values = keras.layers.Flatten()(values)
        for size in architecture.hidden_layer_sizes:
            for layer in self._hidden(size, architecture.activations[0]):
                values = layer(values)
        # Zero at first: the linear path alone speaks.
        curved = keras.layers.Dense(architecture.n_distribution, kernel_initializer="zeros", name="curved_code")(values)
        linear = self._dense(architecture.n_distribution, name="linear_code")(columns)
        return keras.Model(columns, keras.layers.Add()([curved, linear]), name="encoder")

    def image_decoder(self) -> keras.Model:
        """Make the model from the code to flat images: transposed convolutions, and beside them a linear path."""
        architecture = self.architecture
        code = values = keras.Input((architecture.n_components,))
        activation = architecture.activations[0]
        shape = _smallest_shape(architecture)
        for size in (*architecture.hidden_layer_sizes[::-1], math.prod(shape)):
            for layer in self._hidden(size, activation):
                values = layer(values)
        values = keras.layers.Reshape(shape)(values)
        for n_filters in architecture.filters[-2::-1]:
            values = keras.layers.Conv2DTranspose(
                n_filters, 3, strides=2, padding="same", activation=activation, **self._arguments()
            )(values)
        height, width, n_channels = _required(architecture.image_shape)
        values = keras.layers.Conv2DTranspose(
            n_channels, 3, strides=2, padding="same", kernel_initializer="zeros", name="curved_reconstruction"
        )(values)
        grown = values.shape[1:3]
        values = keras.layers.Cropping2D(((0, grown[0] - height), (0, grown[1] - width)))(values)
        curved = keras.layers.Reshape((architecture.n_features,))(values)
        linear = self._dense(architecture.n_features, name="linear_reconstruction")(code)
        return keras.Model(code, keras.layers.Add()([curved, linear]), name="decoder")


def _required(shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
    assert shape is not None
    return shape


def _smallest_shape(architecture: AutoencoderArchitecture) -> tuple[int, int, int]:
    """Height, width and channels behind the last convolution of the encoder."""
    height, width, _ = _required(architecture.image_shape)
    for _ in architecture.filters:
        height, width = -(-height // 2), -(-width // 2)
    return height, width, architecture.filters[-1]
