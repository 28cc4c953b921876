"""Layers of Keras, and of skneural's families, in operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._architectures.augmentation import RandomAffine, Standardization
from skneural._architectures.column_embedding import ColumnEmbedding
from skneural._engine import ColumnEncoding

from .activations import activated
from .graph import Graph

_L = keras.layers
# What does something in training alone.
_NOTHING = (
    _L.InputLayer,
    _L.Dropout,
    _L.SpatialDropout1D,
    _L.SpatialDropout2D,
    _L.GaussianNoise,
    _L.GaussianDropout,
    _L.ActivityRegularization,
    RandomAffine,
)
_FAR = 1e6


@dataclass(frozen=True)
class Value:
    """A value of a graph; ``mask`` says which steps of sequences there are, shape (n, timesteps), where some lack."""

    name: str
    mask: str | None = None


Inputs = Sequence[Value]
Writing = Callable[[Graph, Any, Inputs], str]


def array_of(weight: Any) -> NDArray[Any]:
    """Return the values of a weight."""
    return np.asarray(weight.value.numpy())


def told(layer: keras.Layer) -> str:
    """Return how errors tell of a layer."""
    return f"The layer {layer.name!r} ({type(layer).__name__})"


def dense(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """X W + b, of the last axis."""
    product = graph.node("MatMul", inputs[0].name, graph.constant(array_of(layer.kernel)))
    if layer.bias is not None:
        product = graph.node("Add", product, graph.constant(array_of(layer.bias)))
    return activated(graph, product, layer.activation, told(layer))


def _activation(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return activated(graph, inputs[0].name, layer.activation, told(layer))


def _relu(graph: Graph, layer: Any, inputs: Inputs) -> str:
    if layer.max_value is not None or layer.negative_slope or layer.threshold:
        raise ValueError(f"{told(layer)} has arguments for which skneural knows no operator of ONNX.")
    return graph.node("Relu", inputs[0].name)


def _leaky_relu(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("LeakyRelu", inputs[0].name, alpha=float(layer.negative_slope))


def _elu(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Elu", inputs[0].name, alpha=float(layer.alpha))


def _prelu(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("PRelu", inputs[0].name, graph.constant(array_of(layer.alpha)))


def _softmax(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Softmax", inputs[0].name, axis=int(layer.axis))


def _check_last_axis(layer: Any) -> None:
    axes = layer.axis if isinstance(layer.axis, list | tuple) else [layer.axis]
    if list(axes) not in ([-1], [len(layer.input.shape) - 1]):
        raise ValueError(
            f"{told(layer)} normalises the axis {layer.axis}, and is written to ONNX for the last one only."
        )


def batch_normalization(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, as one product and one sum."""
    _check_last_axis(layer)
    mean, variance = (array_of(one).astype(np.float64) for one in (layer.moving_mean, layer.moving_variance))
    gamma = 1.0 if layer.gamma is None else array_of(layer.gamma)
    factor = gamma / np.sqrt(variance + layer.epsilon)
    shift = (0.0 if layer.beta is None else array_of(layer.beta)) - mean * factor
    return graph.node("Add", graph.node("Mul", inputs[0].name, graph.constant(factor)), graph.constant(shift))


def _layer_normalization(graph: Graph, layer: Any, inputs: Inputs) -> str:
    _check_last_axis(layer)
    size = layer.input.shape[-1]
    gamma = np.ones(size) if layer.gamma is None else array_of(layer.gamma)
    beta = np.zeros(size) if layer.beta is None else array_of(layer.beta)
    constants = (graph.constant(gamma), graph.constant(beta))
    return graph.node("LayerNormalization", inputs[0].name, *constants, axis=-1, epsilon=float(layer.epsilon))


def _normalization(graph: Graph, layer: Any, inputs: Inputs) -> str:
    if layer.invert:
        raise ValueError(f"{told(layer)} inverts, for which skneural writes no operators of ONNX.")
    mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    scale = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return graph.node("Div", graph.node("Sub", inputs[0].name, graph.constant(mean)), graph.constant(scale))


def _rescaling(graph: Graph, layer: Any, inputs: Inputs) -> str:
    scaled = graph.node("Mul", inputs[0].name, graph.constant(layer.scale))
    return graph.node("Add", scaled, graph.constant(layer.offset))


def _standardization(graph: Graph, layer: Any, inputs: Inputs) -> str:
    centred = graph.node("Sub", inputs[0].name, graph.constant(array_of(layer.mean)))
    return graph.node("Div", centred, graph.constant(array_of(layer.scale)))


def _flatten(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Reshape", inputs[0].name, graph.integers(0, int(np.prod(layer.output.shape[1:]))))


def _reshape(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Reshape", inputs[0].name, graph.integers(0, *layer.output.shape[1:]))


def _embedding(graph: Graph, layer: Any, inputs: Inputs) -> str:
    if layer.mask_zero:
        raise ValueError(f"{told(layer)} masks zeros, for which skneural writes no operators of ONNX.")
    from onnx import TensorProto

    places = graph.node("Cast", inputs[0].name, to=TensorProto.INT64)
    return graph.node("Gather", graph.constant(array_of(layer.embeddings)), places, axis=0)


def _merged(kind: str) -> Writing:
    def write(graph: Graph, layer: Any, inputs: Inputs) -> str:
        name = inputs[0].name
        for other in inputs[1:]:
            name = graph.node(kind, name, other.name)
        return name

    return write


def _average(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Mean", *(one.name for one in inputs))


def _concatenate(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Concat", *(one.name for one in inputs), axis=int(layer.axis))


def _column_encoding(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """(f(t) - shift) * gain with t = (x - place) * factor; zero for what is missing."""
    from onnx import TensorProto

    numbers, parts = array_of(layer.numbers), []
    for kind, part in layer.parts():
        place, factor, shift, gain = (graph.constant(one) for one in numbers[:, part])
        x = graph.node("Gather", inputs[0].name, graph.integers(*layer.columns[kind]), axis=1)
        is_missing = graph.node("IsNaN", x)
        if kind == "missing":
            values = graph.node("Cast", is_missing, to=TensorProto.FLOAT)
        elif kind == "equal":
            values = graph.node("Cast", graph.node("Equal", x, place), to=TensorProto.FLOAT)
        else:
            values = _function_of(graph, kind, graph.node("Mul", graph.node("Sub", x, place), factor))
        values = graph.node("Mul", graph.node("Sub", values, shift), gain)
        if kind in ("clipped", "ramp", "wave"):
            values = graph.node("Where", is_missing, graph.constant(0.0), values)
        parts.append(values)
    return graph.node("Concat", *parts, axis=1)


def _function_of(graph: Graph, kind: str, t: str) -> str:
    if kind == "wave":
        return graph.node("Cos", t)
    if kind == "ramp":
        return graph.node("Clip", t, graph.constant(0.0), graph.constant(1.0))
    t = graph.node("Clip", t, graph.constant(-_FAR), graph.constant(_FAR))
    square = graph.node("Div", graph.node("Mul", t, t), graph.constant(9.0))
    return graph.node("Div", t, graph.node("Sqrt", graph.node("Add", square, graph.constant(1.0))))


def _column_embedding(graph: Graph, layer: Any, inputs: Inputs) -> str:
    vectors, begin = array_of(layer.embeddings), 0
    parts = [graph.node("Gather", inputs[0].name, graph.integers(*layer._others.tolist()), axis=1)]
    for first, last in layer.runs:
        run = graph.node("Gather", inputs[0].name, graph.integers(*range(first, last)), axis=1)
        end = begin + last - first
        parts.append(graph.node("MatMul", run, graph.constant(vectors[begin:end])))
        begin = end
    return graph.node("Concat", *parts, axis=1)


def _convolution(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """ONNX has the channels first, as Keras has them last."""
    _check_channels_last(layer)
    rank = len(layer.kernel_size)
    if layer.padding == "causal":
        raise ValueError(f"{told(layer)} is causal, for which skneural writes no operators of ONNX.")
    kernel = np.moveaxis(array_of(layer.kernel), (-1, -2), (0, 1))
    constants = [graph.constant(kernel)] + ([] if layer.bias is None else [graph.constant(array_of(layer.bias))])
    first = graph.transposed(inputs[0].name, 0, rank + 1, *range(1, rank + 1))
    found = graph.node(
        "Conv",
        first,
        *constants,
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=int(layer.groups),
        auto_pad="SAME_UPPER" if layer.padding == "same" else "VALID",
        kernel_shape=list(layer.kernel_size),
    )
    return activated(graph, graph.transposed(found, 0, *range(2, rank + 2), 1), layer.activation, told(layer))


def _check_channels_last(layer: Any) -> None:
    if layer.data_format != "channels_last":
        raise ValueError(f"{told(layer)} has its channels first, and is written to ONNX with channels last only.")


def _pooling(kind: str) -> Writing:
    def write(graph: Graph, layer: Any, inputs: Inputs) -> str:
        _check_channels_last(layer)
        sizes, strides = ([one] if isinstance(one, int) else list(one) for one in (layer.pool_size, layer.strides))
        rank = len(sizes)
        padding = "SAME_UPPER" if layer.padding == "same" else "VALID"
        first = graph.transposed(inputs[0].name, 0, rank + 1, *range(1, rank + 1))
        found = graph.node(kind, first, kernel_shape=sizes, strides=strides, auto_pad=padding)
        return graph.transposed(found, 0, *range(2, rank + 2), 1)

    return write


def _global_pooling(kind: str) -> Writing:
    def write(graph: Graph, layer: Any, inputs: Inputs) -> str:
        _check_channels_last(layer)
        axes, keeps = list(range(1, len(layer.input.shape) - 1)), int(layer.keepdims)
        if kind == "ReduceMax":
            return graph.node(kind, inputs[0].name, graph.integers(*axes), keepdims=keeps)
        return graph.node(kind, inputs[0].name, graph.integers(*axes), keepdims=keeps)

    return write


WRITINGS: dict[type, Writing] = {
    **dict.fromkeys(_NOTHING, lambda graph, layer, inputs: inputs[0].name),
    _L.Dense: dense,
    _L.Activation: _activation,
    _L.ReLU: _relu,
    _L.LeakyReLU: _leaky_relu,
    _L.ELU: _elu,
    _L.PReLU: _prelu,
    _L.Softmax: _softmax,
    _L.BatchNormalization: batch_normalization,
    _L.LayerNormalization: _layer_normalization,
    _L.Normalization: _normalization,
    _L.Rescaling: _rescaling,
    _L.Flatten: _flatten,
    _L.Reshape: _reshape,
    _L.Embedding: _embedding,
    _L.Add: _merged("Add"),
    _L.Multiply: _merged("Mul"),
    _L.Subtract: _merged("Sub"),
    _L.Average: _average,
    _L.Concatenate: _concatenate,
    _L.Conv1D: _convolution,
    _L.Conv2D: _convolution,
    _L.MaxPooling1D: _pooling("MaxPool"),
    _L.MaxPooling2D: _pooling("MaxPool"),
    _L.AveragePooling1D: _pooling("AveragePool"),
    _L.AveragePooling2D: _pooling("AveragePool"),
    _L.GlobalAveragePooling1D: _global_pooling("ReduceMean"),
    _L.GlobalAveragePooling2D: _global_pooling("ReduceMean"),
    _L.GlobalMaxPooling1D: _global_pooling("ReduceMax"),
    _L.GlobalMaxPooling2D: _global_pooling("ReduceMax"),
    Standardization: _standardization,
    ColumnEncoding: _column_encoding,
    ColumnEmbedding: _column_embedding,
}
