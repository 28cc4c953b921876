"""Layers of networks that learn without a y, from rows to codes or places, in operators of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from skneural._architectures.code_layers import AddedNoise, DrawnCode, ZeroForMissing
from skneural._architectures.window_layers import WindowProduct

from .graph import Graph
from .layers import Inputs, Writing, array_of


def _noise(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """Nothing: there is noise in training alone."""
    return inputs[0].name


def _mean(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """The first half of the columns, which are the means that codes are drawn round."""
    n_codes = int(layer.output.shape[-1])
    return graph.node("Slice", inputs[0].name, graph.integers(0), graph.integers(n_codes), graph.integers(1))


def _zero_for_missing(graph: Graph, layer: Any, inputs: Inputs) -> str:
    return graph.node("Where", graph.node("IsNaN", inputs[0].name), graph.constant(0.0), inputs[0].name)


def _window_product(graph: Graph, layer: Any, inputs: Inputs) -> str:
    """A convolution with as many zeros on each side; ONNX has the channels first."""
    kernel = np.moveaxis(array_of(layer.kernel), (-1, -2), (0, 1))
    found = graph.node(
        "Conv",
        graph.transposed(inputs[0].name, 0, 3, 1, 2),
        graph.constant(kernel),
        strides=[layer.strides] * 2,
        pads=[layer.size // 2] * 4,
        kernel_shape=[layer.size] * 2,
    )
    return graph.transposed(found, 0, 2, 3, 1)


CODE_WRITINGS: dict[type, Writing] = {
    AddedNoise: _noise,
    DrawnCode: _mean,
    ZeroForMissing: _zero_for_missing,
    WindowProduct: _window_product,
}
