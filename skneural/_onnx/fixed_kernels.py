"""Fixed kernels, and sequences that are shortened, in operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from skneural._architectures.fixed_kernels import GROUP_SIZE, N_GROUPS, N_TERNARY, TERNARY, WIDTH

from .graph import Graph
from .layers import Inputs, Value, array_of

_LAST = np.iinfo(np.int64).max


def fixed_kernels(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """Write a ``FixedKernels`` layer; values are (n, channels, timesteps), what is there (n, 1, timesteps)."""
    from onnx import TensorProto

    assert inputs[0].mask is not None
    is_there = graph.node("Unsqueeze", inputs[0].mask, graph.integers(1))
    counted = graph.node("Cast", is_there, to=TensorProto.FLOAT)
    values = graph.node("Mul", graph.transposed(inputs[0].name, 0, 2, 1), counted)
    later = graph.node("Mul", _steps(graph, counted, 1, _LAST), _steps(graph, counted, 0, -1))
    added = graph.node("Sub", _steps(graph, values, 1, _LAST), _steps(graph, values, 0, -1))
    scale = graph.constant(array_of(layer.difference_scale)[:, None])
    differences = graph.node("Div", graph.node("Mul", added, later), scale)
    features: list[str] = []
    for form, (numbers, there) in enumerate([(values, counted), (differences, later)]):
        features += [*_shares(graph, layer, form, numbers, there), *_wins(graph, layer, form, numbers, there)]
    return graph.node("Concat", *features, axis=1)


def _steps(graph: Graph, values: str, start: int, end: int) -> str:
    """Take steps from one to another."""
    return graph.node("Slice", values, graph.integers(start), graph.integers(end), graph.integers(2))


def _responses(graph: Graph, values: str, kernels: Any, dilation: int) -> str:
    """Convolve with kernels of shape (n_kernels, channels, 9); beyond both ends are zeros."""
    reach = dilation * (WIDTH - 1) // 2
    return graph.node(
        "Conv", values, graph.constant(kernels), kernel_shape=[WIDTH], dilations=[dilation], pads=[reach, reach]
    )


def _shares(graph: Graph, layer: Any, form: int, values: str, counted: str) -> list[str]:
    """Give the share of steps above each threshold, for each dilation."""
    from onnx import TensorProto

    channels, thresholds = array_of(layer.channels)[form], array_of(layer.thresholds)[form]
    shares: list[str] = []
    n_before = 0
    for place, (dilation, count) in enumerate(layer.dilations):
        kernels = TERNARY[:, None, :] * channels[place].T[:, :, None]
        responses = graph.node("Unsqueeze", _responses(graph, values, kernels, dilation), graph.integers(1))
        # Shape (n, number of thresholds, kernels, timesteps).
        limits = thresholds[:, n_before : n_before + count].T[:, :, None]
        is_above = graph.node("Greater", responses, graph.constant(limits))
        above = graph.node("Cast", is_above, to=TensorProto.FLOAT)
        of_all, of_inner = (
            _share(graph, above, steps) for steps in (counted, _inner(graph, counted, dilation * (WIDTH - 1) // 2))
        )
        takes_all = graph.constant((np.arange(N_TERNARY) + place) % 2 == 0, np.bool_)
        chosen = graph.transposed(graph.node("Where", takes_all, of_all, of_inner), 0, 2, 1)
        shares.append(graph.node("Reshape", chosen, graph.integers(0, N_TERNARY * count)))
        n_before += count
    return shares


def _share(graph: Graph, above: str, counted: str) -> str:
    """Average over the steps that count."""
    weighted = graph.node("Mul", above, graph.node("Unsqueeze", counted, graph.integers(1)))
    total = graph.node("ReduceSum", counted, graph.integers(2))
    divisor = graph.node("Max", total, graph.constant(1.0))
    return graph.node("Div", graph.node("ReduceSum", weighted, graph.integers(3), keepdims=0), divisor)


def _inner(graph: Graph, counted: str, reach: int) -> str:
    """Leave steps out whose kernels reach beyond an end, unless that is all of them."""
    from onnx import TensorProto

    n_steps = graph.node("Gather", graph.node("Shape", counted), graph.constant(2, np.int64))
    steps = graph.node("Range", graph.constant(0, np.int64), n_steps, graph.constant(1, np.int64))
    steps = graph.node("Cast", steps, to=TensorProto.FLOAT)
    end = graph.node("Sub", graph.node("ReduceSum", counted, graph.integers(2)), graph.constant(float(reach)))
    is_inner = graph.node(
        "And", graph.node("GreaterOrEqual", steps, graph.constant(float(reach))), graph.node("Less", steps, end)
    )
    inner = graph.node("Mul", counted, graph.node("Cast", is_inner, to=TensorProto.FLOAT))
    is_any = graph.node("Greater", graph.node("ReduceSum", inner, graph.integers(2)), graph.constant(0.0))
    return graph.node("Where", is_any, inner, counted)


def _wins(graph: Graph, layer: Any, form: int, values: str, counted: str) -> list[str]:
    """Give what kernels add up to where they are the largest of their group, and how often the smallest."""
    from onnx import TensorProto

    n_kernels = N_GROUPS * GROUP_SIZE
    kernels = array_of(layer.random_kernels)[form].reshape(WIDTH, -1, n_kernels).transpose(2, 1, 0)
    there = graph.node("Unsqueeze", counted, graph.integers(1))
    wins: dict[str, list[str]] = {"largest": [], "smallest": []}
    for dilation in layer.competing:
        responses = _responses(graph, values, kernels, dilation)
        groups = graph.node("Reshape", responses, graph.integers(0, N_GROUPS, GROUP_SIZE, -1))
        largest, smallest = (graph.node(kind, groups, graph.integers(2)) for kind in ("ReduceMax", "ReduceMin"))
        is_largest = graph.node("GreaterOrEqual", groups, largest)
        won = {
            "largest": graph.node("Where", is_largest, groups, graph.constant(0.0)),
            "smallest": graph.node("Cast", graph.node("LessOrEqual", groups, smallest), to=TensorProto.FLOAT),
        }
        for name, one in won.items():
            summed = graph.node("ReduceSum", graph.node("Mul", one, there), graph.integers(3), keepdims=0)
            flat = graph.node("Reshape", summed, graph.integers(0, n_kernels))
            wins[name].append(graph.node("Sqrt", graph.node("Max", flat, graph.constant(0.0))))
    return [*wins["largest"], *wins["smallest"]]


def mean_of_steps(graph: Graph, layer: Any, inputs: Inputs) -> Value:
    """Write a ``MeanOfSteps`` layer."""
    from onnx import TensorProto

    assert inputs[0].mask is not None
    there = graph.node("Cast", graph.node("Unsqueeze", inputs[0].mask, graph.integers(1)), to=TensorProto.FLOAT)
    values = graph.node("Mul", graph.transposed(inputs[0].name, 0, 2, 1), there)
    sums, counts = (_summed(graph, one, layer.n_steps) for one in (values, there))
    means = graph.node("Div", sums, graph.node("Max", counts, graph.constant(1.0)))
    mask = graph.node("Greater", graph.node("Squeeze", counts, graph.integers(1)), graph.constant(0.5))
    return Value(graph.transposed(means, 0, 2, 1), mask)


def _summed(graph: Graph, values: str, n_steps: int) -> str:
    """Add up each so many steps; the last ones may be fewer."""
    filled = graph.node("Pad", values, graph.integers(0, 0, 0, 0, 0, n_steps - 1))
    means = graph.node("AveragePool", filled, kernel_shape=[n_steps], strides=[n_steps])
    return graph.node("Mul", means, graph.constant(float(n_steps)))


def weighted_mean(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """Write a ``WeightedMean`` layer."""
    weighted = [
        graph.node("Mul", one.name, graph.constant(share)) for one, share in zip(inputs, layer.shares, strict=True)
    ]
    return graph.node("Sum", *weighted)
