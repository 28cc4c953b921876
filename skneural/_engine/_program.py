"""Functions of arrays, traced and compiled once and called many times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# Tracing calls layers, optimizers and metrics of a shared template, so one thread traces at a time.
TRACING = threading.RLock()
_ALIGNMENT = 64


class TraceCounter:
    """How many programs were traced in this process."""

    def __init__(self) -> None:
        self.n_traces = 0


traces = TraceCounter()


class Program:
    """A function from nested arrays of fixed shapes to nested arrays.

    It lives in a session of its own. TensorFlow's eager runtime never frees what XLA has compiled (2 MB a program);
    a session takes it along when the program is dropped.
    """

    def __init__(self, function: Callable[[Any], Any], inputs: Any, *, is_compiled: bool) -> None:
        """Trace ``function`` for inputs like the given nested ``tf.TensorSpec``."""
        traces.n_traces += 1
        graph = tf.Graph()
        with TRACING, graph.as_default():
            placeholders = tf.nest.map_structure(lambda spec: tf.compat.v1.placeholder(spec.dtype, spec.shape), inputs)
            if is_compiled:
                function = tf.function(function, jit_compile=True, autograph=False)
            self._outputs = function(placeholders)
        self._inputs = inputs
        self._feeds = tf.nest.flatten(placeholders)
        self._fetches = tf.nest.flatten(self._outputs)
        self._session = tf.compat.v1.Session(graph=graph)

    def __call__(self, inputs: Any) -> Any:
        """Compute the outputs; the first call compiles."""
        tf.nest.assert_same_structure(self._inputs, inputs)
        feeds = dict(zip(self._feeds, tf.nest.flatten(inputs), strict=True))
        return tf.nest.pack_sequence_as(self._outputs, self._session.run(self._fetches, feeds))

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None:
            session.close()


def empty_aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Allocate an array that TensorFlow takes without copying it."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(n_bytes + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + n_bytes].view(dtype).reshape(shape)
