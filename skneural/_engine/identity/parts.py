"""What a Keras object is made of, which its config does not always tell: keys that tell objects apart, and copies.

Keras 3.15 leaves arguments of its own out of ``get_config`` (``delta`` of Huber, ``axis`` of CosineSimilarity and
SparseCategoricalCrossentropy, ``gain`` of Identity, the dtype of every loss), and so do many classes that users write.
So losses, penalties, constraints, initializers and schedules, which are attributes and code, are copied attribute by
attribute; metrics and optimizers, which hold variables, by their config, with plain attributes brought along.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from skneural._compat.keras_names import (
    NAMES_WITHOUT_EFFECT,
    SEED_NAMES,
    TRACKING_NAMES,
    optimizer_config,
    untouched_python_random,
    untracked,
)

# Objects that are attributes and code alone.
STATELESS_PARTS = (
    keras.losses.Loss,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
    keras.optimizers.schedules.LearningRateSchedule,
)
_MAX_DEPTH = 8


def fingerprint(value: Any, depth: int = _MAX_DEPTH) -> Hashable:
    """Give a key that two values share only if nothing tells them apart: type, attributes, numbers, code.

    Functions, classes, layers and what is nested too deeply stand in it themselves.
    """
    if value is None or isinstance(value, bool | int | str | bytes):
        return type(value), value
    if isinstance(value, float | complex | np.generic):
        return type(value), repr(value)
    if isinstance(value, Mapping):
        items = ((fingerprint(name, depth - 1), fingerprint(item, depth - 1)) for name, item in value.items())
        return "mapping", tuple(sorted(items, key=repr))
    if isinstance(value, list | tuple):
        return "sequence", tuple(fingerprint(item, depth - 1) for item in value)
    if isinstance(value, set | frozenset):
        return "set", tuple(sorted((fingerprint(item, depth - 1) for item in value), key=repr))
    if isinstance(value, np.ndarray | tf.Tensor | keras.Variable):
        return _fingerprint_of_array(value)
    if isinstance(value, functools.partial):
        return "partial", fingerprint((value.func, value.args, value.keywords), depth - 1)
    if isinstance(value, keras.DTypePolicy):
        return "policy", value.name
    if isinstance(value, keras.optimizers.Optimizer):
        return type(value), fingerprint(optimizer_config(value), depth - 1)
    return _fingerprint_of_object(value, depth)


def _fingerprint_of_array(value: Any) -> Hashable:
    values = np.asarray(getattr(value, "value", value))
    if values.dtype.kind == "O":
        return "objects", fingerprint(values.tolist(), 1)
    return "array", values.shape, values.dtype.str, hashlib.sha256(values.tobytes()).hexdigest()


def _fingerprint_of_object(value: Any, depth: int) -> Hashable:
    is_code = inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value)
    if is_code or isinstance(value, keras.Layer) or depth < 1 or not hasattr(value, "__dict__"):
        return value if isinstance(value, Hashable) else _Itself(value)
    attributes = ((name, fingerprint(item, depth - 1)) for name, item in sorted(_attributes(value)))
    return type(value), tuple(attributes)


class _Itself:
    """Stands for an object in a key, and keeps it alive: equal to nothing but another of the same object."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """Give what an object holds, but for names and what keeps track of variables."""
    is_metric = isinstance(thing, keras.metrics.Metric)
    for name, value in vars(thing).items():
        if is_metric and (name in TRACKING_NAMES or isinstance(value, keras.Variable)):
            continue
        if name == "name" and is_metric:
            # It stands in the history.
            yield name, value
        elif name not in NAMES_WITHOUT_EFFECT:
            yield name, value


def copy_of_part(part: Any) -> Any:
    """Copy a loss, a metric, a penalty or its like with all of its arguments; anything else is given as it is."""
    if isinstance(part, list | tuple):
        return type(part)(copy_of_part(item) for item in part)
    if isinstance(part, dict):
        return {name: copy_of_part(item) for name, item in part.items()}
    if isinstance(part, STATELESS_PARTS):
        return with_attributes(type(part), dict(vars(part)))
    if isinstance(part, keras.metrics.Metric):
        return copy_of_metric(type(part), part.get_config(), attributes_beside_config(part))
    if isinstance(part, keras.optimizers.Optimizer):
        return optimizer_from(type(part), optimizer_config(part))
    return part


def with_seed(initializer: keras.initializers.Initializer, seed: int) -> keras.initializers.Initializer:
    """Copy an initializer, with another seed."""
    copy = copy_of_part(initializer)
    seeds = {name: seed for name in SEED_NAMES if name in vars(copy)}
    if not seeds:
        return type(initializer).from_config({**initializer.get_config(), "seed": seed})
    vars(copy).update(seeds)
    return copy


def optimizer_from(kind: type[keras.optimizers.Optimizer], config: Mapping[str, Any]) -> keras.optimizers.Optimizer:
    """Make an optimizer from what ``optimizer_config`` gave; its schedule, if any, is shared."""
    return kind.from_config(dict(config))


def with_attributes(kind: type, attributes: Mapping[str, Any]) -> Any:
    """Make an object of a class with these attributes, without its constructor."""
    part: Any = object.__new__(kind)
    vars(part).update(attributes)
    return part


def copy_of_metric(kind: type[keras.metrics.Metric], config: dict[str, Any], attributes: Mapping[str, Any]) -> Any:
    """Make a metric from its config and from what ``attributes_beside_config`` gave."""
    functions = {value.__name__: value for value in attributes.values() if inspect.isfunction(value)}
    with untouched_python_random(), keras.saving.CustomObjectScope(functions):
        metric = kind.from_config(config)
    vars(metric).update(attributes)
    return metric


def attributes_beside_config(metric: keras.metrics.Metric) -> dict[str, Any]:
    """Give numbers, strings and the like, and functions of users, which a config has by their names."""
    attributes = ((name, untracked(value)) for name, value in _attributes(metric) if name not in ("name", "_dtype"))
    return {name: value for name, value in attributes if is_plain(value) or _is_users_function(value)}


def _is_users_function(value: Any) -> bool:
    return inspect.isfunction(value) and not value.__module__.startswith("keras.")


def is_of_keras_or_ours(kind: type) -> bool:
    """Tell whether a class is Keras's or skneural's, none of users: its config and its weights are all of it."""
    return kind.__module__.startswith(("keras.", "skneural."))


def is_plain(value: Any) -> bool:
    """Tell whether a value consists of numbers, strings and arrays only."""
    if type(value) in (list, tuple):
        return all(is_plain(item) for item in value)
    if type(value) is dict:
        return all(is_plain(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, bool | int | float | complex | str | bytes | np.ndarray | np.generic)
