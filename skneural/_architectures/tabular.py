"""Networks for tables: columns encoded by fixed functions, then dense layers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from skneural._engine import ColumnEncoding

from .column_embedding import ColumnEmbedding
from .dense import DenseArchitecture, hidden_layers, output_layer

ENCODING = "encoding"
# A column of at most so many categories shows them one by one (Holzmüller, Grinsztajn and Steinwart 2024, section 3).
MOST_ONE_HOT = 9


@dataclass(frozen=True)
class TabularArchitecture:
    """What is seen of columns -> for each hidden layer Dense -> activation -> Dropout -> output.

    ``columns`` tells, by the kind of function, which column each number that the encoding gives comes from. With an
    ``embedding_size`` a column of many categories is seen as a vector of so many numbers.
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
    embedding_size: int | None = None


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
    embedding = _embedding_layers(encoding, architecture.embedding_size)
    return keras.Sequential([inputs, encoding, *embedding, *hidden_layers(dense), output_layer(dense)])


def _embedding_layers(encoding: ColumnEncoding, size: int | None) -> list[keras.layers.Layer]:
    """Make the layer that embeds columns of many categories, or none."""
    runs = [] if size is None else [run for run in _runs_of_categories(encoding) if run[1] - run[0] > MOST_ONE_HOT]
    return [ColumnEmbedding(runs, size)] if runs and size is not None else []


def _runs_of_categories(encoding: ColumnEncoding) -> Iterator[tuple[int, int]]:
    """Give where the outputs for the categories of each column begin and end."""
    first = dict(encoding.parts()).get("equal", slice(0, 0)).start
    for _, sources in itertools.groupby(encoding.columns["equal"]):
        last = first + len(list(sources))
        yield first, last
        first = last
