"""A layer that gives categories trained vectors in the place of a one among zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Runs = tuple[tuple[int, int], ...]


@keras.saving.register_keras_serializable(package="skneural")
class ColumnEmbedding(keras.layers.Layer):
    """Replaces runs of its inputs, each a category of one column as a one among zeros, by trained vectors.

    The other inputs come first, as they are, then for each run the vector of its category; of zeros alone, a vector of
    zeros. Vectors begin as normal numbers of an expected squared length of one, which is that of the run they replace.

    Parameters
    ----------
    runs : sequence of pairs of int
        Where each run begins and ends, the end not within.
    size : int
        The numbers of a vector.
    """

    is_row_wise = True

    def __init__(self, runs: Sequence[Sequence[int]], size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.runs: Runs = tuple((int(first), int(last)) for first, last in runs)
        self.size = int(size)
        self.embeddings_initializer = keras.initializers.RandomNormal(stddev=self.size**-0.5)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the vectors, those of all runs below each other."""
        n_vectors = sum(last - first for first, last in self.runs)
        self.embeddings = self.add_weight(
            shape=(n_vectors, self.size), initializer=self.embeddings_initializer, name="embeddings"
        )
        within = [np.arange(first, last) for first, last in self.runs]
        self._others = np.setdiff1d(np.arange(input_shape[-1] or 0), np.concatenate(within))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return outputs of shape (n, n_others + n_runs * size)."""
        embeddings = tf.convert_to_tensor(self.embeddings)
        parts, begin = [tf.gather(inputs, self._others, axis=1)], 0
        for first, last in self.runs:
            end = begin + last - first
            parts.append(tf.matmul(inputs[:, first:last], embeddings[begin:end]))
            begin = end
        return tf.concat(parts, axis=1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        n_within = sum(last - first for first, last in self.runs)
        return (input_shape[0], (input_shape[-1] or 0) - n_within + len(self.runs) * self.size)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"runs": [list(run) for run in self.runs], "size": self.size}
