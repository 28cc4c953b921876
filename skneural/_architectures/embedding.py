"""From sizes to a network that places rows in few dimensions, and perhaps brings them back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import keras

from .augmentation import RandomAffine, Standardization
from .convolutional import LAYOUT, STANDARDIZATION
from .dense import seeded_initializer
from .window_layers import WindowProduct

# Names of layers: the columns that rows are seen on, what an image begins with, the places, and the way back.
COLUMNS, LANDMARKS, EMBEDDING, RECONSTRUCTION = "columns", "landmarks", "embedding", "reconstruction"
ROWS_AGAIN = "rows_again"
_FILTERS = ((16, 5), (32, 3), (64, 3))


class Encoder(Protocol):
    """What the hidden layers of an encoder are made from."""

    @property
    def hidden_layer_sizes(self) -> tuple[int, ...]: ...
    @property
    def activations(self) -> tuple[str | Callable[..., Any], ...]: ...
    @property
    def image_shape(self) -> tuple[int, int, int] | None: ...
    @property
    def augmentation(self) -> tuple[tuple[str, Any], ...]: ...
    @property
    def kernel_initializer(self) -> Any: ...


@dataclass(frozen=True)
class EmbeddingArchitecture:
    """An encoder, and a decoder where ``reconstructs`` says so.

    Rows: a projection on ``n_columns`` principal axes that stays as it is -> a softmax of ``n_landmarks`` units, or
    dense layers -> places. Images: standardisation -> random maps -> convolutions that halve height and width -> dense
    layers -> places. Back: dense layers -> principal columns -> rows, along the same axes.
    """

    n_features: int
    n_columns: int
    n_components: int
    n_landmarks: int
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    image_shape: tuple[int, int, int] | None = None
    augmentation: tuple[tuple[str, Any], ...] = ()
    reconstructs: bool = False
    kernel_initializer: Any = "glorot_uniform"
    dropout: float = 0.0
    l2: float = 0.0


def build_embedding(architecture: EmbeddingArchitecture) -> keras.Model:
    """Build the network of an embedding, not compiled."""
    layers = [keras.Input((architecture.n_features,)), *layers_of(architecture)]
    if architecture.reconstructs:
        layers += _decoder(architecture)
    return keras.Sequential(layers)


def layers_of(architecture: EmbeddingArchitecture) -> list[keras.layers.Layer]:
    """Make the layers from rows to places."""
    encoder = image_encoder if architecture.image_shape is not None else _row_encoder
    return [*encoder(architecture), _output(architecture)]


def _output(architecture: EmbeddingArchitecture) -> keras.layers.Layer:
    return keras.layers.Dense(architecture.n_components, kernel_initializer=_drawn(architecture, 0), name=EMBEDDING)


def _drawn(architecture: Encoder, position: int) -> Any:
    return seeded_initializer(architecture.kernel_initializer, position)


def _row_encoder(architecture: EmbeddingArchitecture) -> list[keras.layers.Layer]:
    columns = keras.layers.Dense(architecture.n_columns, trainable=False, name=COLUMNS)
    if architecture.n_landmarks:
        return [columns, keras.layers.Dense(architecture.n_landmarks, "softmax", name=LANDMARKS)]
    return [columns, *hidden_layers(architecture, 1)]


def hidden_layers(architecture: Encoder, first: int) -> list[keras.layers.Layer]:
    """Make the dense hidden layers, the kernels of which have seeds from ``first`` on."""
    sizes = zip(architecture.hidden_layer_sizes, architecture.activations, strict=True)
    return [
        keras.layers.Dense(size, activation, kernel_initializer=_drawn(architecture, first + place))
        for place, (size, activation) in enumerate(sizes)
    ]


def image_encoder(architecture: Encoder) -> list[keras.layers.Layer]:
    """Make the layers from flat images to the last hidden layer."""
    assert architecture.image_shape is not None
    layers: list[keras.layers.Layer] = [keras.layers.Reshape(architecture.image_shape)]
    layers.append(Standardization(name=STANDARDIZATION))
    if architecture.augmentation:
        layers.append(RandomAffine(**dict(architecture.augmentation)))
    side = min(architecture.image_shape[:2])
    for place, (filters, size) in enumerate(_FILTERS):
        strides = 2 if side >= 4 else 1
        side = -(-side // strides)
        layers += [
            WindowProduct(filters, size, strides, _drawn(architecture, 20 + place)),
            keras.layers.BatchNormalization(),
            keras.layers.Activation("relu"),
        ]
    return [*layers, keras.layers.Flatten(**LAYOUT), *hidden_layers(architecture, 1)]


def _decoder(architecture: EmbeddingArchitecture) -> list[keras.layers.Layer]:
    hidden = [
        keras.layers.Dense(256, "relu", kernel_initializer=_drawn(architecture, 40 + place)) for place in range(2)
    ]
    columns = keras.layers.Dense(
        architecture.n_columns, kernel_initializer=_drawn(architecture, 42), name=RECONSTRUCTION
    )
    return [*hidden, columns, keras.layers.Dense(architecture.n_features, trainable=False, name=ROWS_AGAIN)]
