"""Prediction in blocks of rows of a few fixed sizes, through functions that are traced once per size."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from ._keras_fit import input_dtype
from ._network import Network
from ._rows import dense_rows

MAX_BLOCK = 1024
_TRACING = threading.RLock()


def predict(network: Network, X: NDArray[Any] | sparse.csr_array, batch_size: int | None = None) -> NDArray[np.float32]:
    """Compute what the network answers to each row, shape (n, ...); safe to call from many threads at once."""
    model = network.model
    with _TRACING:
        if network.forward is None:
            network.forward = tf.function(lambda rows: model(rows, training=False), autograph=False)
    blocks = []
    limit = batch_size or MAX_BLOCK
    for start in range(0, X.shape[0], limit):
        rows = dense_rows(X, slice(start, min(start + limit, X.shape[0])), input_dtype(model))
        size = min(limit, 1 << (len(rows) - 1).bit_length())
        padded = np.zeros((size, *rows.shape[1:]), rows.dtype)
        padded[: len(rows)] = rows
        with _TRACING:
            blocks.append(network.forward(tf.constant(padded)).numpy()[: len(rows)])
    return np.concatenate(blocks).astype(np.float32, copy=False)
