"""Prediction in blocks of rows of bounded size, through programs that networks of one architecture share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse

from skneural._compat.keras_names import flatten_layers, without_retracing_warnings

from .cache import TRACING, Store
from .data.memory_maps import give_pages_back
from .distribution import outside_of_strategies
from .model.ends import ModelInputs, packed, part_of, place_of_layer
from .model.network import Network
from .native.forward import native_forward
from .obstacles import obstacle_from
from .records import Data, ManyInputs
from .xla.program import Program

_logger = logging.getLogger("skneural")
MAX_FORWARD_PROGRAMS = 64
# The largest output of a layer for one block of rows stays about below this.
BLOCK_BYTES = 32 * 2**20
_MAX_BLOCK, _MIN_BLOCK = 8192, 32
# What an axis without a length, such as that of sequences, is taken for.
_UNKNOWN_LENGTH = 256
# TensorFlow computes a row alike wherever it stands among a multiple of so many rows, where there is AVX-512.
_ROW_MULTIPLE = 16
Array = NDArray[Any]


# Who calls looks for outputs that are not finite; what his program does at an underflow is not meant for ours.
@outside_of_strategies
@np.errstate(all="ignore")
def predict(
    network: Network,
    X: Array | sparse.csr_array | ManyInputs,
    batch_size: int | None = None,
    *,
    output: str | None = None,
) -> NDArray[np.float32]:
    """Compute what the network answers to each row, shape (n, ...); safe to call from many threads at once.

    ``output`` names a layer whose outputs are wanted instead of the last one's.
    """
    forward = _forward_of(network) if output is None else _forward_to(network, output)
    values, takes = network.variable_values(), forward.takes
    # Networks that share a way may have other names for their inputs.
    is_one = not isinstance(X, ManyInputs) and len(takes.names) < 2
    inputs = (X,) if is_one else ModelInputs.of(network.any_model).rows_of(Data.of(X)).inputs
    step = batch_size or forward.block_size
    blocks: list[Array] = []
    for start in range(0, max(X.shape[0], 1), step):
        rows = takes.dense(inputs, slice(start, start + step))
        blocks.append(forward.run(values, rows))
        for one in inputs:
            give_pages_back(one)
    outputs = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return np.asarray(outputs, np.float32)


@dataclass(frozen=True)
class _Forward:
    """A way from rows to outputs: what it takes, how many rows at once, and from all variables and rows to outputs."""

    takes: ModelInputs
    block_size: int
    run: Callable[[list[Array], list[Array]], Array]


def _by_program(model: keras.Model, place: int | None = None) -> _Forward:
    """Trace a program from an architecture's variables and rows to outputs, or to those of a layer.

    It is not compiled by XLA, whose matrix products depend on the number of rows, and whose convolutions are slower.
    """
    part, takes = model if place is None else part_of(model, model.layers[place].name), ModelInputs.of(model)
    assert takes.shapes is not None
    n_variables = len(model.variables)
    program = Program(
        lambda inputs: _outputs(part, model.variables, inputs[:n_variables], inputs[n_variables:]),
        [
            *(tf.TensorSpec(variable.shape, variable.dtype) for variable in model.variables),
            *(tf.TensorSpec((None, *shape), dtype) for shape, dtype in zip(takes.shapes, takes.dtypes, strict=True)),
        ],
        is_compiled=False,
    )

    def run(values: list[Array], rows: list[Array]) -> Array:
        outputs: Array = program.run([*values, *map(_padded, rows)])[0]
        return outputs[: len(rows[0])]

    return _Forward(takes, _block_size(model), run)


def _padded(rows: Array) -> Array:
    """Append rows of zeros up to a multiple of rows."""
    n_padded = max(-(-len(rows) // _ROW_MULTIPLE), 1) * _ROW_MULTIPLE
    if n_padded == len(rows):
        return rows
    padded = np.zeros((n_padded, *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    return padded


def _natively(model: keras.Model, place: int | None = None) -> _Forward | None:
    forward = native_forward(model, place)
    if forward is None:
        return None
    return _Forward(ModelInputs.of(model), forward.block_size, lambda values, rows: forward(values, *rows))


def _by_itself(model: keras.Model) -> _Forward:
    """Trace a model of a kind that the engine cannot copy with its own variables."""
    function = tf.function(lambda rows: model(rows, training=False), autograph=False, reduce_retracing=True)
    takes = ModelInputs.of(model)

    def run(values: list[Array], rows: list[Array]) -> Array:
        with TRACING, without_retracing_warnings():
            try:
                outputs: Array = function(_as_given(model, [tf.constant(_padded(one)) for one in rows])).numpy()
            except (ValueError, tf.errors.InvalidArgumentError) as error:
                shapes = ", ".join(str(one.shape[1:]) for one in rows)
                raise ValueError(
                    f"The model cannot predict for rows of shape {shapes}: {str(error).strip().splitlines()[0]}"
                ) from error
        return outputs[: len(rows[0])]

    return _Forward(takes, _MIN_BLOCK, run)


def predicts_itself(network: Network, X: Any) -> bool:
    """Tell whether only ``keras.Model.predict`` knows what a model gives: by methods of its own or for many inputs."""
    if network.blueprint is not None:
        return False
    if isinstance(X, ManyInputs) and not getattr(network.model, "inputs", None):
        return True
    kind = type(network.model)
    return any(getattr(kind, name) is not getattr(keras.Model, name) for name in _METHODS_OF_PREDICTION)


_METHODS_OF_PREDICTION = ("predict", "predict_step", "make_predict_function")
_forwards: Store[_Forward | None] = Store(MAX_FORWARD_PROGRAMS, name="programs that predict")


def _forward_of(network: Network) -> _Forward:
    """Give the kept program of the network's architecture, or a function of its own where there can be none."""
    if network.forward is None:
        outputs = getattr(network.any_model, "outputs", None) or ()
        if len(outputs) > 1:
            raise ValueError(f"The network has {len(outputs)} outputs: name the layer that is wanted (output=...).")
        program = None
        if network.obstacle is None:
            try:
                program = _forwards.get(network.template_key, lambda: _shared_forward(network))
            except Exception as error:
                # A part of a user's own may have no config.
                _logger.debug("A model predicts by itself: %s.", obstacle_from(error))
        network.forward = program or _by_itself(network.model)
    forward: _Forward = network.forward
    return forward


def _forward_to(network: Network, output: str) -> _Forward:
    """Give the kept program from the inputs to a layer, or a function of the network's own."""
    if network.obstacle is not None:
        return _by_itself(part_of(network.model, output))
    # Networks of one architecture may have other names for their layers.
    place = place_of_layer(network.any_model, output)

    def shared() -> _Forward:
        model = network.template().model
        return _natively(model, place) or _by_program(model, place)

    program = _forwards.get((network.template_key, place), shared)
    assert program is not None
    return program


def _shared_forward(network: Network) -> _Forward | None:
    """What all networks of an architecture can share, None where tracing fails."""
    try:
        model = network.template().model
        return _natively(model) or _by_program(model)
    except Exception as error:
        _logger.debug("A model predicts by itself: %s.", obstacle_from(error))
        return None


def _as_given(model: keras.Model, rows: list[tf.Tensor]) -> Any:
    if getattr(model, "inputs", None):
        return packed(model, rows)
    return rows[0] if len(rows) == 1 else rows


def _outputs(
    model: keras.Model, variables: list[keras.Variable], values: list[tf.Tensor], rows: list[tf.Tensor]
) -> tf.Tensor:
    with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
        return model(packed(model, rows), training=False)


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
