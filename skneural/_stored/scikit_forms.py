"""scikit-learn's objects that estimators hold, as plain data."""

from __future__ import annotations

from typing import Any

from sklearn.preprocessing import FunctionTransformer

from .forms import Form, Node, Reader, Writer, checked


def _node(value: FunctionTransformer, writer: Writer) -> Node:
    return [[name, writer.node(attribute)] for name, attribute in vars(value).items()]


def _made(node: Node, reader: Reader) -> Any:
    pairs = [checked(pair, list, 2) for pair in checked(node, list)]
    transformer = FunctionTransformer()
    vars(transformer).update({checked(name, str): reader.value(attribute) for name, attribute in pairs})
    return transformer


SCIKIT_FORMS = (Form("function_transformer", lambda value: type(value) is FunctionTransformer, _node, _made),)
