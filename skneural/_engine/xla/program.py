"""Functions of arrays, traced and compiled once and called many times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skneural._compat.keras_names import forget_gradients, make_callable
from skneural._engine.cache import TRACING

from .function_numbers import with_numbered_functions

# The thread that calls runs the few operations of a program itself: handing them to others costs more than they do.
_CONFIG = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1)
# What XLA compiles it optimises itself.
_XLA_CONFIG = tf.compat.v1.ConfigProto(inter_op_parallelism_threads=-1)
_XLA_CONFIG.graph_options.rewrite_options.disable_meta_optimizer = True


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
            outputs = function(placeholders)
        definition = graph.as_graph_def()
        forget_gradients(definition)
        feeds, fetches = ([tensor.name for tensor in tf.nest.flatten(tensors)] for tensors in (placeholders, outputs))
        self._specs = [(tuple(spec.shape), spec.dtype.as_numpy_dtype) for spec in tf.nest.flatten(inputs)]
        self._output_structure = tf.nest.map_structure(lambda tensor: None, outputs)
        if is_compiled:
            graph = with_numbered_functions(definition)
        self._session = tf.compat.v1.Session(graph=graph, config=_XLA_CONFIG if is_compiled else _CONFIG)
        self._callable = make_callable(self._session, feeds, fetches)
        self._compiling = threading.Lock()
        self._is_compiled = False

    def __call__(self, inputs: Any) -> Any:
        """Compute the outputs for inputs of the structure that was traced; the first call compiles."""
        return tf.nest.pack_sequence_as(self._output_structure, self.run(tf.nest.flatten(inputs)))

    def compile(self, inputs: Any) -> None:
        """Compile by a call, unless that is done; threads that come meanwhile wait for it."""
        with self._compiling:
            if not self._is_compiled:
                self(inputs)
                self._is_compiled = True

    def run(self, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the outputs, all in a row as ``tf.nest.flatten`` puts them.

        Raises
        ------
        ValueError
            For inputs of other shapes or dtypes than those that were traced: TensorFlow would end the process.
        """
        for value, (shape, dtype) in zip(inputs, self._specs, strict=True):
            if value.dtype != dtype or not (value.shape == shape or _fits(value.shape, shape)):
                raise ValueError(
                    f"A program was traced for an array of shape {shape} and dtype {np.dtype(dtype)}, but it was "
                    f"called with one of shape {value.shape} and dtype {value.dtype}."
                )
        outputs: list[NDArray[Any]] = self._callable(*inputs)
        return outputs

    def __del__(self) -> None:
        session = getattr(self, "_session", None)
        if session is not None:
            session.close()


def _fits(given: tuple[int, ...], traced: tuple[int | None, ...]) -> bool:
    return len(given) == len(traced) and all(size in (None, one) for size, one in zip(traced, given, strict=True))
