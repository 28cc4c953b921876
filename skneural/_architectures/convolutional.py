"""From images and sizes to a convolutional ``keras.Sequential``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from .augmentation import RandomAffine, Standardization
from .dense import dropout_layers, seeded_initializer

STANDARDIZATION = "standardization"
# As images are taken, whatever Keras's global setting says.
LAYOUT = {"data_format": "channels_last"}


@dataclass(frozen=True)
class ConvArchitecture:
    """Blocks of convolutions and pooling, then dense layers.

    A block is (Conv2D -> BatchNormalization -> activation) ``convolutions_per_block`` times -> pooling; the dense part
    is (Dropout -> Dense -> BatchNormalization -> activation) for each hidden layer -> Dropout -> output.
    ``activations`` has one entry per block and hidden layer, ``kernel_sizes`` and ``pool_sizes`` have one pair
    (height, width) per block.
    """

    row_shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    filters: tuple[int, ...]
    kernel_sizes: tuple[tuple[int, int], ...]
    convolutions_per_block: int
    pooling: str | None
    pool_sizes: tuple[tuple[int, int], ...]
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    n_outputs: int
    output_activation: str
    augmentation: tuple[tuple[str, Any], ...] = ()
    dropout: float = 0.0
    batch_normalization: bool = False
    l2: float = 0.0
    kernel_initializer: Any = "glorot_uniform"


def build_conv(architecture: ConvArchitecture) -> keras.Sequential:
    """Build the network of a convolutional architecture, not compiled."""
    weighted = _WeightedLayers(architecture)
    blocks = [layer for block in range(len(architecture.filters)) for layer in _block(architecture, weighted, block)]
    return keras.Sequential(
        [
            keras.Input(architecture.row_shape),
            *_front(architecture),
            *blocks,
            keras.layers.Flatten(**LAYOUT),
            *_head(architecture, weighted),
        ]
    )


class _WeightedLayers:
    """Makes the layers with kernels, each with an initializer and a penalty of its own."""

    def __init__(self, architecture: ConvArchitecture) -> None:
        self._architecture = architecture
        self._n_made = 0

    def arguments(self) -> dict[str, Any]:
        """Give the arguments that all such layers share."""
        architecture = self._architecture
        self._n_made += 1
        return {
            "kernel_initializer": seeded_initializer(architecture.kernel_initializer, self._n_made - 1),
            "kernel_regularizer": keras.regularizers.L2(architecture.l2) if architecture.l2 > 0 else None,
        }

    def normalized(self, layer: Any, position: int, **sizes: Any) -> list[keras.layers.Layer]:
        """Make a layer with its normalisation, which comes before the activation (Ioffe and Szegedy, 2015)."""
        activation = self._architecture.activations[position]
        if not self._architecture.batch_normalization:
            return [layer(**sizes, activation=activation, **self.arguments())]
        return [
            layer(**sizes, use_bias=False, **self.arguments()),
            keras.layers.BatchNormalization(),
            keras.layers.Activation(activation),
        ]


def _front(architecture: ConvArchitecture) -> list[keras.layers.Layer]:
    """Layers from rows to images that are scaled and, in training, changed at random."""
    layers: list[keras.layers.Layer] = []
    if architecture.row_shape != architecture.image_shape:
        layers.append(keras.layers.Reshape(architecture.image_shape))
    layers.append(Standardization(name=STANDARDIZATION))
    if architecture.augmentation:
        layers.append(RandomAffine(**dict(architecture.augmentation)))
    return layers


def _block(architecture: ConvArchitecture, weighted: _WeightedLayers, block: int) -> list[keras.layers.Layer]:
    """Convolutions and their pooling."""
    layers: list[keras.layers.Layer] = []
    sizes = {"filters": architecture.filters[block], "kernel_size": architecture.kernel_sizes[block]}
    for _ in range(architecture.convolutions_per_block):
        layers += weighted.normalized(keras.layers.Conv2D, block, padding="same", **LAYOUT, **sizes)
    if architecture.pooling is not None:
        pooling = keras.layers.MaxPooling2D if architecture.pooling == "max" else keras.layers.AveragePooling2D
        layers.append(pooling(architecture.pool_sizes[block], **LAYOUT))
    return layers


def _head(architecture: ConvArchitecture, weighted: _WeightedLayers) -> list[keras.layers.Layer]:
    """Dense layers from the values of an image to the outputs."""
    layers: list[keras.layers.Layer] = []
    for position, size in enumerate(architecture.hidden_layer_sizes, start=len(architecture.filters)):
        layers += [
            *dropout_layers(architecture.dropout),
            *weighted.normalized(keras.layers.Dense, position, units=size),
        ]
    output = keras.layers.Dense(architecture.n_outputs, architecture.output_activation, **weighted.arguments())
    return [*layers, *dropout_layers(architecture.dropout), output]


def image_shape_of(owner: str, given: tuple[int, ...] | None, row_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return height, width and channels of the images in rows of a shape, or raise where the two do not agree."""
    if len(row_shape) not in (1, 2, 3):
        raise ValueError(
            f"X of {owner} must have the shape (n, pixels), (n, height, width) or (n, height, width, channels). "
            f"Got rows of shape {row_shape}."
        )
    if len(row_shape) > 1:
        found = (*row_shape, 1) if len(row_shape) == 2 else row_shape
        if given is not None and (*given, 1)[:3] != found:
            raise ValueError(
                f"The 'image_shape' parameter of {owner} does not fit X: image_shape={given}, but X has images of "
                f"shape {row_shape}. Leave image_shape=None for images that are not flat."
            )
        return found[0], found[1], found[2]
    n_columns = row_shape[0]
    if given is None:
        side = math.isqrt(n_columns)
        return (side, side, 1) if side * side == n_columns else (1, n_columns, 1)
    if math.prod(given) != n_columns:
        raise ValueError(
            f"The 'image_shape' parameter of {owner} does not fit X: {given} makes "
            f"{' * '.join(map(str, given))} = {math.prod(given)} columns, but X has {n_columns}."
        )
    return given[0], given[1], (*given, 1)[2]


def pooled(size: tuple[int, int], pool_size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width after a pooling layer."""
    return size[0] // pool_size[0], size[1] // pool_size[1]
