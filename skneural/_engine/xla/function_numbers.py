"""Names of functions that are the same in every process, so that TensorFlow finds the programs of an earlier one.

TensorFlow counts all functions of a process. Their names are part of what XLA compiles, and so of what TensorFlow's
persistent cache compares with the programs of earlier processes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf


def with_numbered_functions(definition: Any) -> tf.Graph:
    """Make a graph of a definition, in which functions are numbered from zero in the order in which they were made.

    Python functions, which XLA does not take, would be lost here: only the graph in which they were traced keeps them.
    """
    names = sorted((function.signature.name for function in definition.library.function), key=_last_number)
    numbered = {name: f"function_{position}" for position, name in enumerate(names)}
    for function in definition.library.function:
        function.signature.name = numbered[function.signature.name]
    for node in (*definition.node, *(node for function in definition.library.function for node in function.node_def)):
        node.op = numbered.get(node.op, node.op)
        for called in _functions_in(node):
            called.name = numbered.get(called.name, called.name)
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    return graph


def _functions_in(node: Any) -> Iterator[Any]:
    """Give what names a function among the attributes of a node."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func
        yield from value.list.func


def _last_number(name: str) -> tuple[int, str]:
    """Give the number by which TensorFlow tells a function from others of its name, and the name."""
    numbers = re.findall(r"\d+", name)
    return int(numbers[-1]) if numbers else 0, name
