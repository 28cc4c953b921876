"""Prediction in blocks of rows of bounded size, through programs that networks of one architecture share."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from skneural._compat import flatten_layers, without_retracing_warnings

from .cache import TRACING, Store
from .data.memory_maps import give_pages_back
from .data.rows import dense_rows, rows_like
from .dense_forward import DenseForward, dense_forward
from .identity.obstacles import obstacle_from
from .model.layer_outputs import part_of
from .model.network import Network
from .xla.program import Program

_logger = logging.getLogger("skneural")
MAX_FORWARD_PROGRAMS = 64
# The largest output of a layer for one block of rows stays about below this.
BLOCK_BYTES = 32 * 2**20
_MAX_BLOCK, _MIN_BLOCK = 8192, 32
# What an axis without a length, such as that of sequences, is taken for.
_UNKNOWN_LENGTH = 256
# TensorFlow computes a row alike wherever it stands among a multiple of so many rows.
_ROW_MULTIPLE = 16
Array = NDArray[Any]


# Who calls looks for outputs that are not finite; what his program does at an underflow is not meant for ours.
@np.errstate(all="ignore")
def predict(
    network: Network, X: Array | sparse.csr_array, batch_size: int | None = None, *, output: str | None = None
) -> NDArray[np.float32]:
    """Compute what the network answers to each row, shape (n, ...); safe to call from many threads at once.

    ``output`` names a layer whose outputs are wanted instead of the last one's.
    """
    forward = _forward_of(network) if output is None else _forward_to(network, output)
    values = network.variable_values()
    step = batch_size or forward.block_size
    blocks: list[Array] = []
    for start in range(0, max(X.shape[0], 1), step):
        rows = rows_like(dense_rows(X, slice(start, start + step), forward.dtype), forward.row_shape)
        blocks.append(forward(values, _padded(rows))[: len(rows)])
        give_pages_back(X)
    outputs = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return np.asarray(outputs, np.float32)


def _padded(rows: Array) -> Array:
    """Append rows of zeros up to a multiple of rows."""
    n_padded = max(-(-len(rows) // _ROW_MULTIPLE), 1) * _ROW_MULTIPLE
    if n_padded == len(rows):
        return rows
    padded = np.zeros((n_padded, *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    return padded


class _ForwardProgram:
    """A program from an architecture's variables and rows to outputs.

    It is not compiled by XLA, whose matrix products depend on the number of rows, and whose convolutions are slower.
    """

    def __init__(self, model: keras.Model, output: str | None = None) -> None:
        self.dtype = str(model.inputs[0].dtype)
        self.row_shape = row_shape_of(model)
        self.block_size = _block_size(model)
        part = model if output is None else part_of(model, output)
        self._program = Program(
            lambda inputs: _outputs(part, model.variables, *inputs),
            (
                [tf.TensorSpec(variable.shape, variable.dtype) for variable in model.variables],
                tf.TensorSpec((None, *model.inputs[0].shape[1:]), self.dtype),
            ),
            is_compiled=False,
        )

    def __call__(self, values: list[Array], rows: Array) -> Array:
        outputs: Array = self._program.run([*values, rows])[0]
        return outputs


class _ForwardFunction:
    """A model of a kind that the engine cannot copy, traced with its own variables."""

    def __init__(self, model: keras.Model) -> None:
        inputs = getattr(model, "inputs", None)
        self.dtype = str(inputs[0].dtype) if inputs else "float32"
        self.row_shape = row_shape_of(model)
        self.block_size = _MIN_BLOCK
        self._function = tf.function(lambda rows: model(rows, training=False), autograph=False, reduce_retracing=True)

    def __call__(self, values: list[Array], rows: Array) -> Array:
        with TRACING, without_retracing_warnings():
            try:
                outputs: Array = self._function(tf.constant(rows)).numpy()
            except (ValueError, tf.errors.InvalidArgumentError) as error:
                raise ValueError(
                    f"The model cannot predict for rows of shape {rows.shape[1:]}: {str(error).strip().splitlines()[0]}"
                ) from error
        return outputs


def predicts_itself(network: Network) -> bool:
    """Tell whether the model's class says in methods of its own what ``keras.Model.predict`` gives."""
    if network.blueprint is not None:
        return False
    kind = type(network.model)
    return any(getattr(kind, name) is not getattr(keras.Model, name) for name in _METHODS_OF_PREDICTION)


_METHODS_OF_PREDICTION = ("predict", "predict_step", "make_predict_function")
_Forward = DenseForward | _ForwardProgram | _ForwardFunction
_forwards: Store[DenseForward | _ForwardProgram | None] = Store(MAX_FORWARD_PROGRAMS, name="programs that predict")


def _forward_of(network: Network) -> _Forward:
    """Give the kept program of the network's architecture, or a function of its own where there can be none."""
    if network.forward is None:
        program = None
        if network.obstacle is None and len(network.any_model.inputs) == len(network.any_model.outputs) == 1:
            try:
                program = _forwards.get(network.template_key, lambda: _shared_forward(network))
            except Exception as error:
                # A part of a user's own may have no config.
                _logger.debug("A model predicts by itself: %s.", obstacle_from(error))
        network.forward = program or _ForwardFunction(network.model)
    forward: _Forward = network.forward
    return forward


def _forward_to(network: Network, output: str) -> _ForwardProgram | _ForwardFunction:
    """Give the kept program from the inputs to a layer, or a function of the network's own."""
    if network.obstacle is not None:
        return _ForwardFunction(part_of(network.model, output))
    key = (network.template_key, output)
    program = _forwards.get(key, lambda: _ForwardProgram(network.template().model, output))
    assert isinstance(program, _ForwardProgram)
    return program


def _shared_forward(network: Network) -> DenseForward | _ForwardProgram | None:
    """What all networks of an architecture can share, None where tracing fails."""
    try:
        model = network.template().model
        return dense_forward(model) or _ForwardProgram(model)
    except Exception as error:
        _logger.debug("A model predicts by itself: %s.", obstacle_from(error))
        return None


def row_shape_of(model: keras.Model) -> tuple[int | None, ...] | None:
    """Give the shape of the rows that a model with one input takes, None where it does not tell."""
    inputs = getattr(model, "inputs", None)
    return tuple(inputs[0].shape[1:]) if inputs and len(inputs) == 1 else None


def _outputs(
    model: keras.Model, variables: list[keras.Variable], values: list[tf.Tensor], rows: tf.Tensor
) -> tf.Tensor:
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
        return model(rows, training=False)


def _block_size(model: keras.Model) -> int:
    """Choose how many rows go through the model at once."""
    tensors = [*model.inputs, *(tensor for layer in flatten_layers(model) for tensor in _built_outputs(layer))]
    largest = max(int(np.prod([size or _UNKNOWN_LENGTH for size in tensor.shape[1:]])) for tensor in tensors)
    n_rows = min(max(BLOCK_BYTES // (4 * largest), _MIN_BLOCK), _MAX_BLOCK)
    return n_rows // _ROW_MULTIPLE * _ROW_MULTIPLE


def _built_outputs(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """Give the outputs of a layer that stands in a functional graph, nothing for the layers inside it."""
    try:
        return list(keras.tree.flatten(layer.output))
    except AttributeError:
        return []
