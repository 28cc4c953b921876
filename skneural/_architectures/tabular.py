"""Networks for tables: columns encoded by fixed functions, then dense layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from skneural._engine import ColumnEncoding

from .dense import Architecture, DenseArchitecture, hidden_layers, output_layer

ENCODING = "encoding"


@dataclass(frozen=True)
class TabularArchitecture(Architecture):
    """What is seen of columns -> for each hidden layer Dense -> activation -> Dropout -> output.

    ``columns`` tells, by the kind of function, which column each number that the first layer sees comes from.
    """

    n_features: int
    columns: tuple[tuple[str, tuple[int, ...]], ...]
    hidden_layer_sizes: tuple[int, ...]
    activations: tuple[str | Callable[..., Any], ...]
    n_outputs: int
    output_activation: str
    dropout: float = 0.0
    l2: float = 0.0
    kernel_initializer: Any = "glorot_uniform"


def build_tabular(architecture: TabularArchitecture) -> keras.Sequential:
    """Build the network, not compiled; the numbers of its encoding are zero at first."""
    dense = DenseArchitecture(
        n_features=architecture.n_features,
        hidden_layer_sizes=architecture.hidden_layer_sizes,
        activations=architecture.activations,
        n_outputs=architecture.n_outputs,
        output_activation=architecture.output_activation,
        dropout=architecture.dropout,
        l2=architecture.l2,
        kernel_initializer=architecture.kernel_initializer,
    )
    encoding = ColumnEncoding(**dict(architecture.columns), name=ENCODING)
    inputs = keras.Input((architecture.n_features,))
    return keras.Sequential([inputs, encoding, *hidden_layers(dense), output_layer(dense)])
