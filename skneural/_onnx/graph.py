"""Nodes and constants of a graph of ONNX, as they are written one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The version of the operators that nodes are of, and the first one that has all of them.
OPSET = 18


class Graph:
    """Adds to a container of skl2onnx; values go by their names.

    ``add_node`` and ``add_initializer`` are the container's own, ``unique`` gives a name that is not taken.
    """

    def __init__(self, container: Any, unique: Any) -> None:
        self._container = container
        self._unique = unique

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Add an array, and give its name."""
        from onnx import TensorProto, helper

        array: NDArray[Any] = np.asarray(values, dtype)
        name: str = self._unique("constant")
        is_text = array.dtype.kind == "U"
        kind = TensorProto.STRING if is_text else helper.np_dtype_to_tensor_dtype(array.dtype)
        items = [text.encode() for text in array.tolist()] if is_text else array.ravel().tolist()
        self._container.add_initializer(name, kind, list(array.shape), items)
        return name

    def integers(self, *values: int) -> str:
        """Add a vector of numbers such as axes and shapes."""
        return self.constant(values, np.int64)

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node of one output, and give the name of that."""
        return self.nodes(kind, *inputs, outputs=[output or self._unique(kind)], **attributes)[0]

    def nodes(self, kind: str, *inputs: str, outputs: list[str], **attributes: Any) -> list[str]:
        """Add a node of several outputs; those without a name are not asked for."""
        self._container.add_node(
            kind, list(inputs), outputs, op_version=OPSET, name=self._unique(f"node_{kind}"), **attributes
        )
        return outputs

    def unique(self, kind: str) -> str:
        """Give a name that is not taken."""
        name: str = self._unique(kind)
        return name

    def transposed(self, value: str, *axes: int) -> str:
        """Reorder the axes of a value."""
        return self.node("Transpose", value, perm=list(axes))
