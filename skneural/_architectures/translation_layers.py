"""Layers of networks that translate: they see several sentences, one behind the other, in each row of tokens.

A row of the source holds sentences that end in ``END``, a row of the target as many that begin with ``BEGIN``; what is
behind them is ``PADDING``. One sentence a row is the simplest case of it. Sentences do not see each other.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

PADDING, BEGIN, END, UNKNOWN = 0, 1, 2, 3
# What padding belongs to: sentences are numbered from zero, and padding of one side is not that of the other.
_NO_SENTENCE = {"source": -1, "target": -2}


@keras.saving.register_keras_serializable(package="skneural")
class SentenceNumbers(keras.layers.Layer):
    """Tokens (n, length) -> the number of the sentence in its row that each token belongs to."""

    is_row_wise = True

    def __init__(self, side: str, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.side = side

    def call(self, tokens: Any) -> Any:
        if self.side == "source":
            ends = ops.cast(ops.equal(tokens, END), "int32")
            numbers = ops.cumsum(ends, axis=1) - ends
        else:
            numbers = ops.cumsum(ops.cast(ops.equal(tokens, BEGIN), "int32"), axis=1) - 1
        return ops.where(ops.equal(tokens, PADDING), _NO_SENTENCE[self.side], numbers)

    def compute_output_spec(self, tokens: Any) -> Any:
        return keras.KerasTensor(tokens.shape, "int32")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"side": self.side}


@keras.saving.register_keras_serializable(package="skneural")
class SameSentence(keras.layers.Layer):
    """Sentence numbers of two sides -> whether a token (n, length, 1) may look at another (n, 1, length)."""

    is_row_wise = True

    def __init__(self, causal: bool = False, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.causal = causal

    def call(self, looking: Any, seen: Any) -> Any:
        return may_look(looking, seen, causal=self.causal)

    def compute_output_spec(self, looking: Any, seen: Any) -> Any:
        return keras.KerasTensor((looking.shape[0], looking.shape[1], seen.shape[1]), "bool")

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"causal": self.causal}


def may_look(looking: Any, seen: Any, *, causal: bool) -> Any:
    """Return whether tokens are of one sentence, and with ``causal`` not behind each other."""
    is_same = ops.equal(ops.expand_dims(looking, 2), ops.expand_dims(seen, 1))
    if not causal:
        return is_same
    places = ops.arange(ops.shape(looking)[1])
    return ops.logical_and(is_same, places[:, None] >= places[None, :])


@keras.saving.register_keras_serializable(package="skneural")
class SharedEmbedding(keras.layers.Layer):
    """One vector a token, for the source, for the target, and (``reverse``) for the logits of the next token.

    Tokens (n, length) -> vectors (n, length, d_model), sqrt(d_model) times those of the table (Vaswani et al. 2017,
    section 3.4); reversed: vectors -> their products with the table, (n, length, n_tokens).
    """

    is_row_wise = True

    def __init__(self, n_tokens: int, d_model: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.n_tokens, self.d_model = n_tokens, d_model

    def build(self, shape: Any) -> None:
        initializer = keras.initializers.RandomNormal(stddev=self.d_model**-0.5)
        self.table = self.add_weight(
            shape=(self.n_tokens, self.d_model), initializer=initializer, name="table", trainable=True
        )

    def call(self, inputs: Any, reverse: bool = False) -> Any:
        if reverse:
            return ops.matmul(inputs, ops.transpose(self.table))
        return ops.take(self.table, inputs, axis=0) * float(np.sqrt(self.d_model))

    def compute_output_spec(self, inputs: Any, reverse: bool = False) -> Any:
        shape = (*inputs.shape[:-1], self.n_tokens) if reverse else (*inputs.shape, self.d_model)
        return keras.KerasTensor(shape, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n_tokens": self.n_tokens, "d_model": self.d_model}


@keras.saving.register_keras_serializable(package="skneural")
class Positions(keras.layers.Layer):
    """Add to each vector sines and cosines of its place in its sentence (Vaswani et al. 2017, section 3.5)."""

    is_row_wise = True

    def call(self, vectors: Any, numbers: Any) -> Any:
        is_earlier = may_look(numbers, numbers, causal=True)
        places = ops.sum(ops.cast(is_earlier, self.compute_dtype), axis=2, keepdims=True) - 1
        angles = places * ops.cast(wave_numbers(vectors.shape[-1]), self.compute_dtype)
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        return vectors + waves

    def compute_output_spec(self, vectors: Any, numbers: Any) -> Any:
        return keras.KerasTensor(vectors.shape, self.compute_dtype)


def wave_numbers(d_model: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return what a place is multiplied with in half of the components."""
    half = d_model // 2
    return (10000.0 ** (-np.arange(half) / half)).astype(np.float32)


@keras.saving.register_keras_serializable(package="skneural")
class SentenceGRUCell(keras.layers.GRUCell):
    """A GRU's cell that begins anew where the last of its inputs, which is no part of the vector, is zero."""

    is_row_wise = True

    def build(self, shape: Any) -> None:
        super().build((*shape[:-1], shape[-1] - 1))

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        state = states[0] if isinstance(states, list | tuple) else states
        return super().call(inputs[..., :-1], [state * inputs[..., -1:]], training=training)


@keras.saving.register_keras_serializable(package="skneural")
class WithinSentences(keras.layers.Layer):
    """Put behind each vector whether its neighbour before it (behind it, with ``backwards``) is of its sentence."""

    is_row_wise = True

    def __init__(self, backwards: bool = False, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.backwards = backwards

    def call(self, vectors: Any, numbers: Any) -> Any:
        goes_on = ops.cast(ops.equal(numbers[:, 1:], numbers[:, :-1]), self.compute_dtype)
        padding = [[0, 0], [0, 1]] if self.backwards else [[0, 0], [1, 0]]
        return ops.concatenate([vectors, ops.pad(goes_on, padding)[:, :, None]], axis=-1)

    def compute_output_spec(self, vectors: Any, numbers: Any) -> Any:
        return keras.KerasTensor((*vectors.shape[:-1], vectors.shape[-1] + 1), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"backwards": self.backwards}


@keras.saving.register_keras_serializable(package="skneural")
class Backwards(keras.layers.Layer):
    """Turn the order of the vectors in each row round."""

    is_row_wise = True

    def call(self, vectors: Any) -> Any:
        return ops.flip(vectors, axis=1)

    def compute_output_spec(self, vectors: Any) -> Any:
        return keras.KerasTensor(vectors.shape, self.compute_dtype)
