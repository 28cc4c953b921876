"""Keras's objects as plain data, with all of their arguments."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from skneural import _engine
from skneural._compat.keras_names import optimizer_config
from skneural._compat.keras_saving import check_config

from .forms import Form, Node, Reader, StoredDataError, Writer, checked

_ROOMS = {
    "activations": keras.activations,
    "constraints": keras.constraints,
    "initializers": keras.initializers,
    "layers": keras.layers,
    "losses": keras.losses,
    "metrics": keras.metrics,
    "ops": keras.ops,
    "optimizers": keras.optimizers,
    "optimizers.schedules": keras.optimizers.schedules,
    "regularizers": keras.regularizers,
    "": keras,
}
_CLASSES = (*_engine.STATELESS_PARTS, keras.metrics.Metric, keras.optimizers.Optimizer, keras.Layer)
# Functions of these rooms make or read objects of other configs.
_NO_NAMES = ("get", "serialize", "deserialize")


def _is_storable(room: str, name: str, value: Any) -> bool:
    if name.startswith("_") or name in _NO_NAMES:
        return False
    return (inspect.isclass(value) and issubclass(value, _CLASSES)) or (bool(room) and inspect.isfunction(value))


@functools.cache
def _things() -> dict[str, Any]:
    """Return Keras's public classes and functions that a network may consist of, by name."""
    return {
        f"{room}.{name}".lstrip("."): value
        for room, module in _ROOMS.items()
        for name, value in vars(module).items()
        if _is_storable(room, name, value)
    }


@functools.cache
def _names() -> dict[int, str]:
    names: dict[int, str] = {}
    for name, value in _things().items():
        names.setdefault(id(value), name)
    return names


def _thing(node: Node, reader: Reader) -> Any:
    name = checked(node, str)
    if name not in _things():
        raise StoredDataError(f"Keras has no part called {name[:80]!r}.")
    return _things()[name]


def _kind(node: Node, reader: Reader, *bases: type) -> Any:
    """Return a class that has to be derived from one of others."""
    found = reader.value(node)
    if not (isinstance(found, type) and issubclass(found, bases)):
        raise StoredDataError(f"Expected a class of a part of a network, got {found!r}.")
    return found


def _part_node(value: Any, writer: Writer) -> Node:
    return [writer.node(type(value)), writer.node(dict(vars(value)))]


def _part_of(node: Node, reader: Reader) -> Any:
    kind, attributes = checked(node, list, 2)
    return _engine.with_attributes(
        _kind(kind, reader, *_engine.STATELESS_PARTS), checked(reader.value(attributes), dict)
    )


def _metric_node(value: Any, writer: Writer) -> Node:
    return [
        writer.node(type(value)),
        writer.node(value.get_config()),
        writer.node(_engine.attributes_beside_config(value)),
    ]


def _metric_of(node: Node, reader: Reader) -> Any:
    kind, config, attributes = checked(node, list, 3)
    found = _kind(kind, reader, keras.metrics.Metric)
    made, further = checked(reader.value(config), dict), checked(reader.value(attributes), dict)
    check_config(made, [one.__name__ for one in further.values() if inspect.isfunction(one)])
    return _engine.copy_of_metric(found, made, further)


def config_with_first_name(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return an optimizer's config without the number that Keras counts all of its kind with: "adam_7" is "adam".

    So estimators of equal parameters have equal pickles, and are the same to ``joblib.hash``.
    """
    config = dict(optimizer_config(optimizer))
    first, _, number = str(config.get("name")).rpartition("_")
    if number.isdigit() and first.replace("_", "") == type(optimizer).__name__.lower():
        config["name"] = first
    return config


def _optimizer_node(value: Any, writer: Writer) -> Node:
    return [writer.node(type(value)), writer.node(config_with_first_name(value))]


def _optimizer_of(node: Node, reader: Reader) -> Any:
    kind, config = checked(node, list, 2)
    made = checked(reader.value(config), dict)
    check_config(made, ())
    return _engine.optimizer_from(_kind(kind, reader, keras.optimizers.Optimizer), made)


def _layer_node(value: Any, writer: Writer) -> Node:
    return writer.node(_engine.stored_layer(value))


def _layer_of(node: Node, reader: Reader) -> Any:
    return _engine.brought_back(reader.value(node))


def _bfloat16_of(node: Node, reader: Reader) -> Any:
    is_array, place = checked(node, list, 2)
    values = reader.array(place).view(tf.bfloat16.as_numpy_dtype)
    return values if is_array else values[()]


KERAS_FORMS = (
    Form(
        "keras",
        lambda value: _things().get(_names().get(id(value), "")) is value,
        lambda value, _: _names()[id(value)],
        _thing,
    ),
    Form("part", lambda value: isinstance(value, _engine.STATELESS_PARTS), _part_node, _part_of),
    Form("metric", lambda value: isinstance(value, keras.metrics.Metric), _metric_node, _metric_of),
    Form("optimizer", lambda value: isinstance(value, keras.optimizers.Optimizer), _optimizer_node, _optimizer_of),
    Form("layer", lambda value: isinstance(value, keras.Layer), _layer_node, _layer_of),
    Form(
        "policy",
        lambda value: isinstance(value, keras.DTypePolicy) and type(value) is keras.DTypePolicy,
        lambda value, _: value.name,
        lambda node, _: keras.DTypePolicy(checked(node, str)),
    ),
    Form(
        "bfloat16",
        lambda value: isinstance(value, np.ndarray | np.generic) and value.dtype.name == "bfloat16",
        # NumPy's files know no such numbers.
        lambda value, writer: [np.ndim(value) > 0, writer.array(np.asarray(value).view(np.uint16))],
        _bfloat16_of,
    ),
    Form(
        "tensor",
        keras.ops.is_tensor,
        lambda value, writer: writer.node(np.asarray(value)),
        lambda node, reader: keras.ops.convert_to_tensor(reader.value(node)),
    ),
)
