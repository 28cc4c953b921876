"""What in the layers of a model a user has written: functions, parts, classes, and what their configs leave out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from skneural._compat.keras_names import is_of_tensorflow, names_of_every_layer, untracked
from skneural._engine.obstacles import ObstacleError

from .parts import copy_of_part, fingerprint, is_of_keras_or_ours, is_plain

PARTS_OF_LAYERS = (
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
)
# What Keras keeps in each layer, and what its layers are told apart by without computing anything else.
_OF_EVERY_LAYER = {*names_of_every_layer(), "seed"} - {"activity_regularizer"}


def named_by_users(layers: Sequence[keras.Layer]) -> dict[str, Any]:
    """Give the functions and classes of users in layers, by the names under which their configs have them.

    Raises
    ------
    ObstacleError
        Where two of them have one name.
    """
    named: dict[str, Any] = {}
    for one in users_parts(layers):
        other = named.setdefault(one.__name__, one)
        # What is registered with Keras stands in a config by its package too.
        if other is not one and one.__name__ in map(keras.saving.get_registered_name, (one, other)):
            raise ObstacleError(
                f"two of its parts have the name {one.__name__!r}, by which alone a config tells them: "
                f"{_place_of(other)} and {_place_of(one)}. Give one of them another name, or register both with "
                "keras.saving.register_keras_serializable under different packages"
            )
    return named


def _place_of(part: Any) -> str:
    return f"{part.__module__}.{part.__qualname__}"


def users_parts(layers: Sequence[keras.Layer]) -> list[Any]:
    """Give the functions and classes of users in layers."""
    # Keras puts functions of its own making round the methods of a class into each of its layers.
    attributes = [(layer, *item) for layer in layers for item in vars(layer).items()]
    parts = [part for layer, name, part in attributes if _is_named_in(layer, part) and not _is_method(name, part)]
    named = [part if inspect.isfunction(part) else type(part) for part in parts]
    classes = [type(layer) for layer in layers if not is_of_keras_or_ours(type(layer))]
    return [*named, *classes]


def users_attributes(layer: keras.Layer) -> dict[str, Any]:
    """Give what users have put into a layer: functions and parts, and in a class of theirs all else too."""
    is_known = is_of_keras_or_ours(type(layer))
    own = {
        name: untracked(value)
        for name, value in vars(layer).items()
        if name not in _OF_EVERY_LAYER and not is_of_tensorflow(name)
    }
    if isinstance(layer, keras.Model):
        return {
            name: value for name, value in own.items() if _is_users_own(value) or (not is_known and is_plain(value))
        }
    return {
        name: value
        for name, value in own.items()
        if _is_named_in(layer, value) or (not is_known and _is_foreign(value))
    }


def give_users_attributes(layer: keras.Layer, attributes: Mapping[str, Any]) -> None:
    """Set what ``users_attributes`` gave where a layer has something else."""
    for name, value in attributes.items():
        if fingerprint(vars(layer).get(name)) != fingerprint(value):
            vars(layer)[name] = copy_of_part(value)


def _is_named_in(layer: keras.Layer, value: Any) -> bool:
    """Tell whether an attribute is what configs have by name only; in layers also an object that can be called."""
    is_function_like = callable(value) and not (inspect.isroutine(value) or inspect.isclass(value))
    return _is_users_own(value) or (is_function_like and _is_foreign(value) and not isinstance(layer, keras.Model))


def _is_foreign(value: Any) -> bool:
    """Tell whether a value is, and consists of, nothing that Keras makes itself: variables, layers and their like."""
    if isinstance(value, list | tuple):
        return all(_is_foreign(item) for item in value)
    if isinstance(value, dict):
        return all(_is_foreign(item) for item in value.values())
    if isinstance(value, keras.Variable | keras.Operation | keras.random.SeedGenerator | keras.KerasTensor):
        return False
    kind = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    is_part = isinstance(value, keras.metrics.Metric | keras.optimizers.Optimizer)
    return not is_part and not str(getattr(kind, "__module__", "")).startswith(
        ("keras.", "tensorflow.python.trackable")
    )


def penalties_of(model: keras.Model) -> list[tuple[Any, Any]]:
    """Give the regularizer and the constraint of each variable, those from outside of Keras: None for others."""
    parts = [(variable.regularizer, variable.constraint) for variable in model.variables]
    return [(_users_own_or_none(one), _users_own_or_none(other)) for one, other in parts]


def give_penalties(model: keras.Model, penalties: Sequence[tuple[Any, Any]]) -> None:
    """Set what ``penalties_of`` gave: a layer within another has been built before its attributes were set."""
    for variable, parts in zip(model.variables, penalties, strict=True):
        for name, part in zip(("regularizer", "constraint"), parts, strict=True):
            if part is not None and fingerprint(getattr(variable, name)) != fingerprint(part):
                setattr(variable, name, copy_of_part(part))


def _users_own_or_none(part: Any) -> Any:
    return part if _is_users_own(part) else None


def _is_users_own(value: Any) -> bool:
    """Tell whether an attribute is a function, or an object such as a regularizer, from outside of Keras."""
    kind = value if inspect.isfunction(value) else type(value)
    is_object = isinstance(value, PARTS_OF_LAYERS)
    return (inspect.isfunction(value) or is_object) and not str(kind.__module__).startswith("keras.")


def _is_method(name: str, part: Any) -> bool:
    return inspect.isfunction(part) and name in _OF_EVERY_LAYER
