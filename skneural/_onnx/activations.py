"""Keras's activations in operators of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from .graph import Graph


def _times_sigmoid(graph: Graph, value: str) -> str:
    return graph.node("Mul", value, graph.node("Sigmoid", value))


def _gelu(graph: Graph, value: str) -> str:
    """X * (1 + erf(x / sqrt(2))) / 2."""
    root = graph.node("Mul", value, graph.constant(np.sqrt(0.5)))
    share = graph.node("Mul", graph.node("Add", graph.node("Erf", root), graph.constant(1.0)), graph.constant(0.5))
    return graph.node("Mul", value, share)


def _of_one_node(kind: str, **attributes: Any) -> Callable[[Graph, str], str]:
    return lambda graph, value: graph.node(kind, value, **attributes)


_activations = keras.activations
_NODES: Mapping[Any, Callable[[Graph, str], str]] = {
    _activations.linear: lambda graph, value: value,
    _activations.relu: _of_one_node("Relu"),
    _activations.sigmoid: _of_one_node("Sigmoid"),
    _activations.tanh: _of_one_node("Tanh"),
    _activations.softmax: _of_one_node("Softmax", axis=-1),
    _activations.elu: _of_one_node("Elu"),
    _activations.selu: _of_one_node("Selu"),
    _activations.softplus: _of_one_node("Softplus"),
    _activations.softsign: _of_one_node("Softsign"),
    _activations.exponential: _of_one_node("Exp"),
    _activations.leaky_relu: _of_one_node("LeakyRelu", alpha=0.2),
    _activations.hard_sigmoid: _of_one_node("HardSigmoid", alpha=1 / 6, beta=0.5),
    _activations.log_softmax: _of_one_node("LogSoftmax", axis=-1),
    _activations.silu: _times_sigmoid,
    _activations.gelu: _gelu,
}


def activated(graph: Graph, value: str, activation: Any, owner: str) -> str:
    """Apply an activation.

    Raises
    ------
    ValueError
        For one that has no operator.
    """
    if isinstance(activation, keras.Layer) or activation not in _NODES:
        name = getattr(activation, "__name__", repr(activation))
        raise ValueError(f"{owner} has the activation {name!r}, for which skneural knows no operator of ONNX.")
    return _NODES[activation](graph, value)


def named(activation: Any, owner: str) -> str:
    """Return what ONNX calls an activation within a recurrent operator."""
    names = {_activations.tanh: "Tanh", _activations.sigmoid: "Sigmoid", _activations.relu: "Relu"}
    if activation not in names:
        raise ValueError(
            f"{owner} has the activation {getattr(activation, '__name__', activation)!r}, but recurrent operators of "
            "ONNX know tanh, sigmoid and relu."
        )
    return names[activation]
