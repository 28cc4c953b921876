"""Which models of a user's own share a program, and the engine's own copy of one."""

from __future__ import annotations

import inspect
import json
from collections.abc import Hashable, Mapping
from typing import Any

import keras

from skneural._compat import compile_arguments, flatten_layers, untouched_python_random

# What tells models apart without changing the code of their programs.
_WITHOUT_EFFECT = {"name", "seed", "build_config", "shared_object_id", "learning_rate"}
_PARTS_OF_LAYERS = (keras.regularizers.Regularizer, keras.constraints.Constraint)
_NUMBERS_OF = {
    "Dropout": {"rate"},
    "SpatialDropout1D": {"rate"},
    "SpatialDropout2D": {"rate"},
    "SpatialDropout3D": {"rate"},
    "L1": {"l1"},
    "L2": {"l2"},
    "L1L2": {"l1", "l2"},
}


def architecture_key(model: keras.Model) -> Hashable:
    """Give a key that models share when their programs differ only in numbers and initial weights.

    Functions and classes that a user has written stand in it themselves, since two may have the same name.
    """
    arguments = compile_arguments(model)
    parts = [
        (type(model), _key_of_config(model.get_config())),
        tuple(_key_of_layer(layer) for layer in flatten_layers(model)),
        tuple(weight.trainable for weight in model.weights),
        _key_of_object(model.optimizer),
        *(_key_of(arguments[name]) for name in ("loss", "loss_weights", "metrics", "weighted_metrics")),
    ]
    return tuple(parts)


def copy_of(model: keras.Model) -> keras.Model:
    """Build and compile a model of the same architecture, with fresh weights and metrics."""
    arguments = compile_arguments(model)
    with untouched_python_random():
        copy = keras.models.clone_model(model, clone_function=_copy_of_layer)
        for own, given in zip(copy.weights, model.weights, strict=True):
            own.trainable = given.trainable
        copy.compile(
            optimizer=type(model.optimizer).from_config(model.optimizer.get_config()),
            loss=arguments["loss"],
            loss_weights=arguments["loss_weights"],
            metrics=_fresh(arguments["metrics"]),
            weighted_metrics=_fresh(arguments["weighted_metrics"]),
        )
    return copy


def _copy_of_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Build a layer from its configuration, which tells functions and classes of users by name only."""
    own: dict[str, Any] = {}
    for one in (layer, *flatten_layers(layer)):
        for part in filter(_is_users_own, vars(one).values()):
            named = part if inspect.isfunction(part) else type(part)
            own[named.__name__] = named
    with keras.saving.CustomObjectScope(own):
        return type(layer).from_config(layer.get_config())


def _fresh(metrics: Any) -> Any:
    """Copy metric objects, which hold a state."""
    if isinstance(metrics, (list, tuple)):
        return [_fresh(metric) for metric in metrics]
    if isinstance(metrics, dict):
        return {name: _fresh(metric) for name, metric in metrics.items()}
    return type(metrics).from_config(metrics.get_config()) if isinstance(metrics, keras.metrics.Metric) else metrics


def _key_of_layer(layer: keras.layers.Layer) -> Hashable:
    """Give what a layer's configuration tells only by name: its class, its dtypes, and what users have written."""
    own = [(name, _key_of_own(value)) for name, value in sorted(vars(layer).items()) if _is_users_own(value)]
    return type(layer), layer.dtype_policy.name, tuple(own)


def _is_users_own(value: Any) -> bool:
    """Tell whether an attribute is a function, or an object such as a regularizer, from outside of Keras."""
    kind = value if inspect.isfunction(value) else type(value)
    is_object = isinstance(value, _PARTS_OF_LAYERS)
    return (inspect.isfunction(value) or is_object) and not str(kind.__module__).startswith("keras.")


def _key_of_own(value: Any) -> Hashable:
    return value if inspect.isfunction(value) else (type(value), _key_of_config(value.get_config()))


def _key_of(thing: Any) -> Hashable:
    """Give a key of a loss or metrics: names as they are, objects by class and configuration, functions themselves."""
    if isinstance(thing, (list, tuple)):
        return tuple(_key_of(item) for item in thing)
    if isinstance(thing, dict):
        return tuple((name, _key_of(item)) for name, item in sorted(thing.items()))
    return _key_of_object(thing) if hasattr(thing, "get_config") else thing


def _key_of_object(thing: Any) -> Hashable:
    # The name of a metric stands in the history.
    name = thing.name if isinstance(thing, keras.metrics.Metric) else None
    function = getattr(thing, "fn", None) or getattr(thing, "_fn", None)
    return type(thing), name, function, _key_of_config(thing.get_config())


def _key_of_config(config: Mapping[str, Any]) -> str:
    return json.dumps(_without_numbers(config), sort_keys=True, default=repr)


def _without_numbers(config: Any, class_name: str = "") -> Any:
    """Drop names, seeds, initializers and numbers from a nested configuration; a number of zero stays one."""
    if isinstance(config, (list, tuple)):
        return [_without_numbers(item) for item in config]
    if not isinstance(config, Mapping):
        return config
    kept = {}
    for name, value in config.items():
        is_number = isinstance(value, float) and name in _NUMBERS_OF.get(class_name, ())
        if is_number:
            kept[name] = value > 0
        elif name == "weight_decay" and value is not None:
            kept[name] = True
        elif name == "learning_rate" and isinstance(value, Mapping):
            kept[name] = _without_names(value)
        elif name not in _WITHOUT_EFFECT and not name.endswith("initializer"):
            kept[name] = _without_numbers(value, config.get("class_name", "") if name == "config" else "")
    return kept


def _without_names(schedule: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schedule.items() if name != "name"}
