"""Keras models in operators of ONNX, layer after layer."""

from __future__ import annotations

from typing import Any

import keras

from skneural._architectures.fixed_kernels import FixedKernels
from skneural._architectures.sequence_layers import (
    MeanOfSteps,
    PoolOverTime,
    SequenceScaling,
    SideBySide,
    WeightedMean,
)
from skneural._compat.keras_names import calls_of

from .codes import CODE_WRITINGS
from .fixed_kernels import fixed_kernels, mean_of_steps, weighted_mean
from .graph import Graph
from .layers import WRITINGS, Inputs, Value, told
from .sequences import SEQUENCE_WRITINGS, sequence_scaling

_WRITINGS = {**WRITINGS, **SEQUENCE_WRITINGS, **CODE_WRITINGS, FixedKernels: fixed_kernels, WeightedMean: weighted_mean}
# These tell anew which steps are there.
_TELL_STEPS = {SequenceScaling: sequence_scaling, MeanOfSteps: mean_of_steps}
# Behind these there are no steps any more.
_END_OF_STEPS = (PoolOverTime, SideBySide, FixedKernels)


def write_model(graph: Graph, model: keras.Model, inputs: Inputs, until: str | None = None) -> Value:
    """Write a model of one output; of a Sequential ``until`` names the last layer to be written, if not all are.

    Raises
    ------
    ValueError
        For a model that is no graph of layers, or for a layer that skneural cannot write.
    """
    if isinstance(model, keras.Sequential):
        value = inputs[0]
        for layer in model.layers:
            value = _written(graph, layer, [value])
            if layer.name == until:
                break
        return value
    calls = calls_of(model)
    if calls is None or len(model.outputs) != 1:
        raise ValueError(
            f"The model {model.name!r} ({type(model).__name__}) is no Sequential or functional model of one output, of "
            "which skneural could write the layers to ONNX."
        )
    known = {id(tensor): value for tensor, value in zip(model.inputs, inputs, strict=True)}
    for layer, taken, given in calls:
        known[id(given)] = _written(graph, layer, [known[id(one)] for one in taken])
    return known[id(model.outputs[0])]


def _written(graph: Graph, layer: Any, inputs: Inputs) -> Value:
    if isinstance(layer, keras.Model):
        return write_model(graph, layer, inputs)
    if type(layer) in _TELL_STEPS:
        return _TELL_STEPS[type(layer)](graph, layer, inputs)
    if type(layer) is SideBySide:
        branches = [write_model(graph, branch, inputs).name for branch in layer.branches]
        return Value(graph.node("Concat", *branches, axis=-1))
    if type(layer) not in _WRITINGS:
        raise ValueError(f"{told(layer)} cannot be written to ONNX: skneural knows no operators for it.")
    name = _WRITINGS[type(layer)](graph, layer, inputs)
    has_steps = not isinstance(layer, _END_OF_STEPS) and len(layer.output.shape) == 3
    return Value(name, inputs[0].mask if has_steps else None)
