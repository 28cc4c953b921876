"""Which models of a user's own share a program, and the engine's own copy of one."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import keras

from skneural._compat import (
    compile_arguments,
    flatten_layers,
    is_of_tensorflow,
    names_of_every_layer,
    optimizer_config,
    uncompiled,
    unconnected,
    untouched_python_random,
    untracked,
)

from .obstacles import ObstacleError
from .parts import copy_of_part, fingerprint, is_plain, optimizer_from

# What tells models apart without changing the code of their programs.
_WITHOUT_EFFECT = {"name", "seed", "build_config", "shared_object_id", "learning_rate"}
PARTS_OF_LAYERS = (
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.initializers.Initializer,
)
# What Keras keeps in each layer, and what its layers are told apart by without computing anything else.
_OF_EVERY_LAYER = {*names_of_every_layer(), "seed"} - {"activity_regularizer"}
_NUMBERS_OF = {
    "Dropout": {"rate"},
    "SpatialDropout1D": {"rate"},
    "SpatialDropout2D": {"rate"},
    "SpatialDropout3D": {"rate"},
    "L1": {"l1"},
    "L2": {"l2"},
    "L1L2": {"l1", "l2"},
}


def global_settings() -> Hashable:
    """Give those of Keras's global settings that layers and losses look up when they are traced."""
    return keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format()


def architecture_key(model: keras.Model) -> Hashable:
    """Give a key that models share when their programs differ only in numbers and initial weights.

    Functions and classes that a user has written stand in it themselves, since two may have the same name.
    """
    arguments = compile_arguments(model)
    parts = [
        global_settings(),
        (type(model), _key_of_config(model.get_config())),
        tuple(_key_of_layer(layer) for layer in flatten_layers(model)),
        tuple(weight.trainable for weight in model.weights),
        fingerprint(penalties_of(model)),
        (type(model.optimizer), _key_of_config(optimizer_config(model.optimizer))),
        *(fingerprint(arguments[name]) for name in ("loss", "loss_weights", "metrics", "weighted_metrics")),
    ]
    return tuple(parts)


def copy_of(model: keras.Model) -> keras.Model:
    """Build and compile a model of the same architecture, with fresh weights and metrics.

    Raises
    ------
    ObstacleError
        Where the copy is another model, for a layer's config does not tell what it is made of.
    """
    with untouched_python_random():
        with uncompiled(model):
            copy = keras.models.clone_model(model, clone_function=_copy_of_operation)
        _check_weights(model, copy)
        give_penalties(copy, penalties_of(model))
        for own, given in zip(copy.weights, model.weights, strict=True):
            own.trainable = given.trainable
        arguments = compile_arguments(model)
        copy.compile(
            optimizer=optimizer_from(type(model.optimizer), optimizer_config(model.optimizer)),
            loss=arguments["loss"],
            loss_weights=arguments["loss_weights"],
            metrics=copy_of_part(arguments["metrics"]),
            weighted_metrics=copy_of_part(arguments["weighted_metrics"]),
        )
    return copy


def _check_weights(model: keras.Model, copy: keras.Model) -> None:
    shapes, copied = ([tuple(weight.shape) for weight in one.weights] for one in (model, copy))
    if shapes != copied:
        raise ObstacleError("the configs of the model's layers do not tell all of their arguments")


def _copy_of_operation(operation: keras.Operation) -> keras.Operation:
    """Build a layer from its configuration; an operation such as that of ``x + y`` is copied as it is."""
    if isinstance(operation, keras.Layer):
        return _copy_of_layer(operation)
    return unconnected(operation)


def _copy_of_layer(layer: keras.Layer) -> keras.Layer:
    """Build a layer from its configuration, which tells functions and classes of users by name only."""
    with keras.saving.CustomObjectScope(named_by_users([layer, *flatten_layers(layer)])):
        copy = type(layer).from_config(layer.get_config())
    _bring_along(layer, copy)
    return copy


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
    classes = [type(layer) for layer in layers if not type(layer).__module__.startswith("keras.")]
    return [*named, *classes]


def _bring_along(layer: keras.Layer, copy: keras.Layer) -> None:
    """Give a copy of a layer what the configs of users' classes have left out."""
    for given, one in zip((layer, *flatten_layers(layer)), (copy, *flatten_layers(copy)), strict=False):
        if type(given) is not type(one):
            raise ObstacleError(f"the config of the layer {layer.name} does not tell all of its arguments")
        give_users_attributes(one, users_attributes(given))


def give_users_attributes(layer: keras.Layer, attributes: Mapping[str, Any]) -> None:
    """Set what ``users_attributes`` gave where a layer has something else."""
    for name, value in attributes.items():
        if fingerprint(vars(layer).get(name)) != fingerprint(value):
            vars(layer)[name] = copy_of_part(value)


def users_attributes(layer: keras.Layer) -> dict[str, Any]:
    """Give what users have put into a layer: functions and parts, and in a class of theirs all else too."""
    is_keras = type(layer).__module__.startswith("keras.")
    own = {
        name: untracked(value)
        for name, value in vars(layer).items()
        if name not in _OF_EVERY_LAYER and not is_of_tensorflow(name)
    }
    if isinstance(layer, keras.Model):
        return {
            name: value for name, value in own.items() if _is_users_own(value) or (not is_keras and is_plain(value))
        }
    return {
        name: value
        for name, value in own.items()
        if _is_named_in(layer, value) or (not is_keras and _is_foreign(value))
    }


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


def _key_of_layer(layer: keras.Layer) -> Hashable:
    """Give what a layer's configuration tells only by name: its class, its dtypes, and what users have written."""
    return type(layer), layer.dtype_policy.name, fingerprint(users_attributes(layer))


def _is_users_own(value: Any) -> bool:
    """Tell whether an attribute is a function, or an object such as a regularizer, from outside of Keras."""
    kind = value if inspect.isfunction(value) else type(value)
    is_object = isinstance(value, PARTS_OF_LAYERS)
    return (inspect.isfunction(value) or is_object) and not str(kind.__module__).startswith("keras.")


def _is_method(name: str, part: Any) -> bool:
    return inspect.isfunction(part) and name in _OF_EVERY_LAYER


def _places_of_layers(config: Mapping[str, Any]) -> dict[str, int]:
    """Tell where the layers of a functional model stand in its config, which connects them by their names."""
    if "input_layers" not in config or "layers" not in config:
        return {}
    return {layer["name"]: place for place, layer in enumerate(config["layers"])}


def _by_places(value: Any, places: Mapping[str, int]) -> Any:
    """Put places for names in connections: a layer's name and two numbers. Keras counts such names up in a process."""
    if isinstance(value, Mapping):
        return {name: _by_places(item, places) for name, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    if len(value) == 3 and isinstance(value[0], str) and value[0] in places:
        return [places[value[0]], *value[1:]]
    return [_by_places(item, places) for item in value]


def _key_of_config(config: Mapping[str, Any]) -> Hashable:
    return fingerprint(_without_numbers(config))


def _without_numbers(config: Any, class_name: str = "") -> Any:
    """Drop names, seeds, initializers and numbers from a nested configuration; a number of zero stays one."""
    if isinstance(config, (list, tuple)):
        return [_without_numbers(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    places = _places_of_layers(config)
    kept = {}
    for name, value in config.items():
        if places and name in ("layers", "input_layers", "output_layers"):
            value = _by_places(value, places)
        is_number = isinstance(value, float) and name in _NUMBERS_OF.get(class_name, ())
        if is_number:
            kept[name] = value > 0
        elif name == "weight_decay" and value is not None:
            kept[name] = True
        elif name == "learning_rate" and isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
            kept[name] = value
        elif name not in _WITHOUT_EFFECT and not name.endswith("initializer"):
            kept[name] = _without_numbers(value, config.get("class_name", "") if name == "config" else "")
    return kept
