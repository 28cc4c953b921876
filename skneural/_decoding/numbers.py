"""The layers of a network that translates, on arrays; a row's numbers do not depend on how many rows there are."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from skneural._engine import product

Floats = NDArray[np.float32]
_MASKED = np.float32(-1e9)


def one_thread() -> AbstractContextManager[object]:
    """Let products of matrices run in one thread: of a few rows each, others would only wait for their turn."""
    return threadpool_limits(1, user_api="blas")


def softmax(logits: Floats) -> Floats:
    """Return shares over the last axis."""
    shares: Floats = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def log_softmax(logits: Floats) -> Floats:
    """Return logarithms of shares over the last axis."""
    shifted: Floats = logits - logits.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def _sigmoid(values: Floats) -> Floats:
    answer: Floats = np.float32(0.5) * np.tanh(np.float32(0.5) * values) + np.float32(0.5)
    return answer


@dataclass(frozen=True)
class Normalisation:
    """Keras's LayerNormalization."""

    scale: Floats
    shift: Floats
    epsilon: float

    def __call__(self, rows: Floats) -> Floats:
        centred = rows - rows.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        centred *= 1 / np.sqrt(variance + np.float32(self.epsilon))
        return centred * self.scale + self.shift


@dataclass(frozen=True)
class DenseNumbers:
    """Keras's Dense layer, without its activation."""

    kernel: Floats
    bias: Floats

    def __call__(self, rows: Floats) -> Floats:
        return product(rows, self.kernel) + self.bias


@dataclass(frozen=True)
class AttentionNumbers:
    """Keras's MultiHeadAttention: kernels (d_model, heads * size), and back."""

    query: DenseNumbers
    key: DenseNumbers
    value: DenseNumbers
    out: DenseNumbers
    n_heads: int

    def heads(self, rows: Floats) -> Floats:
        """Return vectors (n, length, heads * size) as (n, heads, length, size)."""
        n, length, width = rows.shape
        return np.ascontiguousarray(rows.reshape(n, length, self.n_heads, width // self.n_heads).swapaxes(1, 2))

    def __call__(
        self, looking: Floats, keys: Floats, values: Floats, sees: NDArray[np.bool_] | None
    ) -> tuple[Floats, Floats]:
        """Return what vectors (n, length, d_model) find among keys and values by head, and how much they look at each.

        ``sees`` of a shape like (n, 1, length, n_keys) tells which they may look at; None stands for all.
        """
        queries = self.heads(self.query(looking))
        size = np.float32(1 / np.sqrt(queries.shape[-1]))
        scores = np.matmul(queries * size, keys.swapaxes(2, 3))
        if sees is not None:
            scores = np.where(sees, scores, _MASKED)
        shares = softmax(scores)
        found = np.matmul(shares, values).swapaxes(1, 2)
        return self.out(found.reshape(*looking.shape[:2], -1)), shares


@dataclass(frozen=True)
class GruNumbers:
    """Keras's GRU with ``reset_after``: update, reset and candidate side by side."""

    kernel: Floats
    recurrent_kernel: Floats
    bias: Floats

    @property
    def n_units(self) -> int:
        return int(self.recurrent_kernel.shape[0])

    def step(self, inputs: Floats, state: Floats) -> Floats:
        """Return the states (n, units) behind inputs (n, k)."""
        of_input = np.split(product(inputs, self.kernel) + self.bias[0], 3, axis=1)
        of_state = np.split(product(state, self.recurrent_kernel) + self.bias[1], 3, axis=1)
        update, reset = (_sigmoid(of_input[gate] + of_state[gate]) for gate in range(2))
        candidate = np.tanh(of_input[2] + reset * of_state[2])
        return update * state + (1 - update) * candidate


class NamedWeights:
    """Weights by the path that Keras gives them in a model, such as "decoder_1_self/query/kernel"."""

    def __init__(self, values: Mapping[str, Floats]) -> None:
        self._values = values

    def __getitem__(self, path: str) -> Floats:
        return self._values[path]

    def normalisation(self, name: str) -> Normalisation:
        return Normalisation(self[f"{name}_norm/gamma"], self[f"{name}_norm/beta"], 1e-5)

    def dense(self, name: str) -> DenseNumbers:
        return DenseNumbers(self[f"{name}/kernel"], self[f"{name}/bias"])

    def attention(self, name: str, n_heads: int) -> AttentionNumbers:
        def into(part: str) -> DenseNumbers:
            kernel = self[f"{name}/{part}/kernel"]
            return DenseNumbers(kernel.reshape(len(kernel), -1), self[f"{name}/{part}/bias"].ravel())

        kernel = self[f"{name}/attention_output/kernel"]
        out = DenseNumbers(kernel.reshape(-1, kernel.shape[-1]), self[f"{name}/attention_output/bias"])
        return AttentionNumbers(into("query"), into("key"), into("value"), out, n_heads)

    def gru(self, name: str) -> GruNumbers:
        kernels = (self[f"{name}/{name}_cell/{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
        return GruNumbers(*kernels)
