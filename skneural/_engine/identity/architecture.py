"""Which models of a user's own share a program, and the engine's own copy of one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import keras

from skneural._compat.keras_names import (
    compile_arguments,
    flatten_layers,
    optimizer_config,
    uncompiled,
    unconnected,
    untouched_python_random,
)
from skneural._engine.obstacles import ObstacleError

from .parts import copy_of_part, fingerprint, optimizer_from
from .users_parts import give_penalties, give_users_attributes, named_by_users, penalties_of, users_attributes

# What tells models apart without changing the code of their programs.
_WITHOUT_EFFECT = {"name", "seed", "build_config", "shared_object_id", "learning_rate"}
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
            # A model of a class of ours says itself how it is built again.
            if hasattr(model, "built_again"):
                copy = model.built_again()
            else:
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


def _bring_along(layer: keras.Layer, copy: keras.Layer) -> None:
    """Give a copy of a layer what the configs of users' classes have left out."""
    for given, one in zip((layer, *flatten_layers(layer)), (copy, *flatten_layers(copy)), strict=False):
        if type(given) is not type(one):
            raise ObstacleError(f"the config of the layer {layer.name} does not tell all of its arguments")
        give_users_attributes(one, users_attributes(given))


def _key_of_layer(layer: keras.Layer) -> Hashable:
    """Give what a layer's configuration tells only by name: its class, its dtypes, and what users have written."""
    return type(layer), layer.dtype_policy.name, fingerprint(users_attributes(layer))


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
