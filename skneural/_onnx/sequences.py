"""Layers that read sequences in operators of ONNX; steps that lack come last, and their number is told."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._architectures.sequence_layers import MaskedConv1D, PoolOverTime, SequenceScaling

from .activations import activated, named
from .graph import Graph
from .layers import Inputs, Value, Writing, array_of, told

# The order of gates in ONNX, as places in that of Keras.
_GATES: dict[str, tuple[int, ...]] = {"GRU": (0, 1, 2), "LSTM": (0, 3, 1, 2), "RNN": (0,)}
_KINDS = {keras.layers.GRU: "GRU", keras.layers.LSTM: "LSTM", keras.layers.SimpleRNN: "RNN"}


def recurrent(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """Write a recurrent layer, or one in both directions."""
    layers = [layer.forward_layer, layer.backward_layer] if isinstance(layer, keras.layers.Bidirectional) else [layer]
    if len(layers) == 2 and layer.merge_mode != "concat":
        raise ValueError(
            f"{told(layer)} has merge_mode={layer.merge_mode!r}, and is written to ONNX with 'concat' only."
        )
    first = layers[0]
    if type(first) not in _KINDS or first.stateful or first.return_state or (len(layers) == 1 and first.go_backwards):
        raise ValueError(f"{told(layer)} is a kind of recurrent layer for which skneural writes no operator of ONNX.")
    kind = _KINDS[type(first)]
    numbers = [_numbers_of(one, kind) for one in layers]
    steps = graph.transposed(inputs[0].name, 1, 0, 2)
    lengths = _lengths(graph, inputs[0].mask) if inputs[0].mask else ""
    outputs = [graph.unique("states"), graph.unique("last")]
    graph.nodes(
        kind,
        steps,
        *(graph.constant(np.stack(one)) for one in zip(*numbers, strict=True)),
        lengths,
        outputs=outputs,
        hidden_size=int(first.units),
        direction="bidirectional" if len(layers) == 2 else "forward",
        activations=_activations(first, kind) * len(layers),
        **({"linear_before_reset": int(first.reset_after)} if kind == "GRU" else {}),
    )
    n_channels = len(layers) * int(first.units)
    if first.return_sequences:
        # (timesteps, directions, n, units) -> (n, timesteps, directions * units)
        turned = graph.transposed(outputs[0], 2, 0, 1, 3)
        return graph.node("Reshape", turned, graph.integers(0, 0, n_channels))
    return graph.node("Reshape", graph.transposed(outputs[1], 1, 0, 2), graph.integers(0, n_channels))


def _activations(layer: Any, kind: str) -> list[str]:
    state, gates = (
        named(one, told(layer))
        for one in (layer.activation, getattr(layer, "recurrent_activation", None) or layer.activation)
    )
    return {"RNN": [state], "GRU": [gates, state], "LSTM": [gates, state, state]}[kind]


def _numbers_of(layer: Any, kind: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return kernels of shape (gates * units, inputs) and (gates * units, units), and the biases of both in a row."""
    cell, units = layer.cell, int(layer.units)
    rows = np.concatenate([np.arange(gate * units, (gate + 1) * units) for gate in _GATES[kind]])
    kernel, again = array_of(cell.kernel).T[rows], array_of(cell.recurrent_kernel).T[rows]
    biases = np.zeros((2, len(rows)), np.float32)
    if cell.use_bias:
        given = np.atleast_2d(array_of(cell.bias))
        biases[: len(given)] = given[:, rows]
    return kernel, again, biases.ravel()


def _lengths(graph: Graph, mask: str) -> str:
    """Count the steps that are there, shape (n,)."""
    from onnx import TensorProto

    counted = graph.node("Cast", mask, to=TensorProto.INT32)
    return graph.node("ReduceSum", counted, graph.integers(1), keepdims=0)


def sequence_scaling(graph: Graph, layer: Any, inputs: Inputs) -> Value:
    """(x - mean) / scale of each channel; steps of NaN become zeros, and those that lack."""
    from onnx import TensorProto

    centred = graph.node("Sub", inputs[0].name, graph.constant(array_of(layer.mean)))
    scaled = graph.node("Div", centred, graph.constant(array_of(layer.scale)))
    filled = graph.node("Where", graph.node("IsNaN", scaled), graph.constant(0.0), scaled)
    lacking = graph.node("Cast", graph.node("IsNaN", inputs[0].name), to=TensorProto.FLOAT)
    n_lacking = graph.node("ReduceMax", lacking, graph.integers(2), keepdims=0)
    return Value(filled, graph.node("Less", n_lacking, graph.constant(0.5)))


def _there(graph: Graph, inputs: Inputs) -> str:
    """Return ones for the steps that are there and zeros for others, shape (n, timesteps, 1)."""
    from onnx import TensorProto

    assert inputs[0].mask is not None
    return graph.node("Cast", graph.node("Unsqueeze", inputs[0].mask, graph.integers(2)), to=TensorProto.FLOAT)


def _masked_convolution(graph: Graph, layer: Any, inputs: Inputs) -> str:
    x = inputs[0].name
    if inputs[0].mask is not None:
        x = graph.node("Mul", x, _there(graph, inputs))
    width = int(layer.kernel_size[0])
    kernel = np.moveaxis(array_of(layer.kernel), (-1, -2), (0, 1))
    constants = (graph.constant(kernel), graph.constant(array_of(layer.bias)))
    pads = [(width - 1) // 2, width // 2]
    found = graph.node("Conv", graph.transposed(x, 0, 2, 1), *constants, kernel_shape=[width], pads=pads)
    return activated(graph, graph.transposed(found, 0, 2, 1), layer.activation, told(layer))


def _pool_over_time(graph: Graph, layer: Any, inputs: Inputs) -> str:
    x, axis = inputs[0].name, graph.integers(1)
    if inputs[0].mask is None:
        kinds = {"max": "ReduceMax", "average": "ReduceMean"}
        if layer.pooling not in kinds:
            raise ValueError(
                f"{told(layer)} takes the last step, for which skneural writes no operator without a mask."
            )
        return graph.node(kinds[layer.pooling], x, axis, keepdims=0)
    there = _there(graph, inputs)
    if layer.pooling == "max":
        is_there = graph.node("Unsqueeze", inputs[0].mask, graph.integers(2))
        return graph.node("ReduceMax", graph.node("Where", is_there, x, graph.constant(-np.inf)), axis, keepdims=0)
    if layer.pooling == "last":
        lacks_behind = graph.node("Sub", graph.constant(1.0), _moved_forward(graph, there))
        there = graph.node("Mul", there, lacks_behind)
    summed = graph.node("ReduceSum", graph.node("Mul", x, there), axis, keepdims=0)
    return graph.node("Div", summed, graph.node("ReduceSum", there, axis, keepdims=0))


def _moved_forward(graph: Graph, there: str) -> str:
    """Return for each step whether the next one is there."""
    padded = graph.node("Pad", there, graph.integers(0, 0, 0, 0, 1, 0))
    return graph.node("Slice", padded, graph.integers(1), graph.integers(np.iinfo(np.int64).max), graph.integers(1))


SEQUENCE_WRITINGS: dict[type, Writing] = {
    **dict.fromkeys((*_KINDS, keras.layers.Bidirectional), recurrent),
    MaskedConv1D: _masked_convolution,
    PoolOverTime: _pool_over_time,
}
SCALING = SequenceScaling
