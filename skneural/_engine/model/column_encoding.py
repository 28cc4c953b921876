"""What a network sees of the columns of a table: a layer of fixed functions that every engine knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# The kinds of functions in the order of the layer's outputs, as in ``native/c/course.h``.
KINDS = ("clipped", "ramp", "equal", "missing", "wave")
# Squares of larger numbers may overflow.
_FAR = np.float32(1e6)
_TWO_SIDED = ("clipped", "ramp", "wave")


@keras.saving.register_keras_serializable(package="skneural")
class ColumnEncoding(keras.layers.Layer):
    """Gives numbers that are each a function of one column: (f(t) - shift) * gain with t = (x - place) * factor.

    f is one of five kinds, whose outputs stand one behind the other: ``clipped`` t / sqrt(1 + t^2 / 9), which is t for
    small values and never beyond 3; ``ramp`` t within 0 and 1, where it ends; ``equal`` 1 where x is the place;
    ``missing`` 1 where x is NaN; ``wave`` the cosine of t. Where x is NaN, the first two and the last give zero as
    outputs. Place, factor, shift and gain are weights, which no training changes.

    Parameters
    ----------
    clipped, ramp, equal, missing, wave : sequence of int
        The column of each output of that kind.
    """

    # Tells the engine that a row of a batch counts alone.
    is_row_wise = True

    def __init__(
        self,
        clipped: Sequence[int] = (),
        ramp: Sequence[int] = (),
        equal: Sequence[int] = (),
        missing: Sequence[int] = (),
        wave: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.columns = {
            kind: [int(column) for column in columns]
            for kind, columns in zip(KINDS, (clipped, ramp, equal, missing, wave), strict=True)
        }
        self.counts = np.array([len(columns) for columns in self.columns.values()], np.int32)
        self.sources = np.array([column for columns in self.columns.values() for column in columns], np.int32)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make room for the numbers."""
        shape = (4, len(self.sources))
        self.numbers = self.add_weight(shape=shape, initializer="zeros", trainable=False, name="numbers")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return outputs of shape (n, n_outputs) for rows of shape (n, n_columns)."""
        numbers = tf.convert_to_tensor(self.numbers)
        parts = [
            _by_tensorflow(kind, tf.gather(inputs, self.columns[kind], axis=1), tf.unstack(numbers[:, part]))
            for kind, part in self.parts()
        ]
        return tf.concat(parts, axis=1)

    def parts(self) -> list[tuple[str, slice]]:
        """Give the kinds that there are, and where their outputs stand."""
        ends = np.cumsum(self.counts)
        places = zip(KINDS, ends - self.counts, ends, strict=True)
        return [(kind, slice(int(first), int(last))) for kind, first, last in places if first < last]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        return (input_shape[0], len(self.sources))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | self.columns


def _by_tensorflow(kind: str, x: tf.Tensor, numbers: list[tf.Tensor]) -> tf.Tensor:
    place, factor, shift, gain = numbers
    is_missing = tf.math.is_nan(x)
    if kind == "missing":
        values = tf.cast(is_missing, x.dtype)
    elif kind == "equal":
        values = tf.cast(tf.equal(x, place), x.dtype)
    else:
        t = (x - place) * factor
        if kind == "clipped":
            t = tf.clip_by_value(t, -_FAR, _FAR)
            values = t / tf.sqrt(1.0 + t * t / 9.0)
        else:
            values = tf.clip_by_value(t, 0.0, 1.0) if kind == "ramp" else tf.cos(t)
    values = (values - shift) * gain
    return tf.where(is_missing, tf.zeros_like(values), values) if kind in _TWO_SIDED else values
