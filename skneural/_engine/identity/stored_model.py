"""Models of a user's own as bytes, beside the objects that Keras would lose on the way."""

from __future__ import annotations

import inspect
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from numpy.typing import NDArray

from skneural._compat.keras_names import (
    compile_arguments,
    flatten_layers,
    optimizer_config,
    uncompiled,
    untouched_python_random,
)
from skneural._compat.keras_saving import Weights, check_config, model_from_plain, model_to_plain, safe_mode
from skneural._engine.obstacles import ObstacleError

from .carried import mapped, unwrapped, wrapped
from .parts import copy_of_part, is_plain, optimizer_from
from .users_parts import (
    PARTS_OF_LAYERS,
    give_penalties,
    give_users_attributes,
    named_by_users,
    penalties_of,
    users_attributes,
    users_parts,
)

# Layers of Keras's whose configs hold code, or the place of a file with code.
_NOT_SAFE = ("__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


@dataclass(frozen=True)
class Compiled:
    """How a model was compiled, its loss and metrics as they are, and its optimizer's values."""

    arguments: dict[str, Any]
    optimizer: tuple[type, dict[str, Any]]
    values: list[NDArray[Any]]

    @classmethod
    def of_model(cls, model: keras.Model) -> Compiled:
        """Read off how a model was compiled."""
        optimizer = model.optimizer
        if model.built:
            optimizer.build(model.trainable_variables)
        arguments = {name: value for name, value in compile_arguments(model).items() if name != "optimizer"}
        arguments["run_eagerly"] = model.run_eagerly  # which may have been set later
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            # It would be wrapped once more.
            arguments["auto_scale_loss"] = False
        values = [variable.value.numpy() for variable in optimizer.variables]
        return cls(arguments, (type(optimizer), optimizer_config(optimizer)), values)

    def compile(self, model: keras.Model) -> None:
        """Compile a model alike, with an optimizer in the same state."""
        optimizer = optimizer_from(*self.optimizer)
        metrics = {name: copy_of_part(self.arguments[name]) for name in ("metrics", "weighted_metrics")}
        model.compile(optimizer=optimizer, **(self.arguments | metrics))
        if model.built:
            optimizer.build(model.trainable_variables)
            for variable, value in zip(optimizer.variables, self.values, strict=True):
                variable.assign(value)


@dataclass(frozen=True)
class StoredModel:
    """A model with its weights, and with its optimizer's state where it is compiled.

    ``config`` is Keras's, as JSON, ``weights`` what its parts store of themselves, by their paths, and ``assets`` their
    files. ``attributes`` are what users have put into each of its layers, ``penalties`` regularizers and constraints of
    theirs at each of its variables, and ``named`` the functions and classes of theirs that Keras knows by name only.
    What ``is_safe`` is restored without running code that a config holds.
    """

    config: str
    weights: Weights
    assets: dict[str, bytes]
    compiled: Compiled | None
    attributes: list[dict[str, Any]]
    penalties: list[tuple[Any, Any]]
    named: dict[str, Any]
    is_safe: bool = False

    @classmethod
    def of_model(cls, model: keras.Model) -> StoredModel:
        """Store a model as it is now."""
        compiled = Compiled.of_model(model) if model.compiled else None
        layers = [model, *flatten_layers(model)]
        with uncompiled(model):
            plain = model_to_plain(model)
        attributes = [users_attributes(layer) for layer in layers]
        return cls(*plain, compiled, attributes, penalties_of(model), named_by_users(layers))

    def restore(self) -> keras.Model:
        """Build the model."""
        with untouched_python_random(), keras.saving.CustomObjectScope(self.named):
            model = model_from_plain(self.config, self.weights, self.assets, is_safe=self.is_safe)
        for layer, attributes in zip([model, *flatten_layers(model)], self.attributes, strict=True):
            give_users_attributes(layer, attributes)
        give_penalties(model, self.penalties)
        if self.compiled is not None:
            self.compiled.compile(model)
        return model

    @property
    def needs_trust(self) -> bool:
        """Whether to restore the model is to run code that its config holds."""
        return _names_one_of(json.loads(self.config), _NOT_SAFE)

    @property
    def fields(self) -> dict[str, Any]:
        """What the model consists of, but for what no pickle holds, such as a lock: a layer's class makes it anew."""
        attributes = [
            {name: value for name, value in one.items() if is_plain(value) or _can_be_pickled(value)}
            for one in self.attributes
        ]
        return {**vars(self), "attributes": attributes}

    @classmethod
    def _from_stored_fields(cls, fields: dict[str, Any]) -> StoredModel:
        """Take fields from who knows where: a config that would run code is refused."""
        stored_model = cls(**{**fields, "is_safe": True})
        check_config(json.loads(stored_model.config), stored_model.named)
        return stored_model

    def __getstate__(self) -> dict[str, Any]:
        compiled = self.compiled and {name: wrapped(value) for name, value in vars(self.compiled).items()}
        return {**wrapped(self.fields), "compiled": compiled}

    def __setstate__(self, stored: dict[str, Any]) -> None:
        compiled = stored["compiled"] and Compiled(**unwrapped(stored["compiled"]))
        vars(self).update(unwrapped(stored), compiled=compiled)


def _can_be_pickled(value: Any) -> bool:
    try:
        pickle.dumps(wrapped(value))
    except Exception:
        # A lock, a file, a local class: each has an error of its own.
        return inspect.isroutine(value) or isinstance(value, PARTS_OF_LAYERS)
    return True


@dataclass(frozen=True)
class RebuiltModel:
    """What a function makes anew, with values of its variables: for parts that no config and no pickle holds."""

    make: Callable[[], keras.Model]
    variables: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]

    @classmethod
    def of_model(cls, model: keras.Model, make: Callable[[], keras.Model]) -> RebuiltModel:
        """Store the values that a model has now."""
        values = [[variable.value.numpy() for variable in one.variables] for one in (model, model.optimizer)]
        return cls(make, *values)

    def restore(self) -> keras.Model:
        """Build the model."""
        with untouched_python_random():
            model = self.make()
        for one, values in ((model, self.variables), (model.optimizer, self.optimizer)):
            for variable, value in zip(one.variables, values, strict=True):
                variable.assign(value)
        return model


def stored(model: keras.Model, make: Callable[[], keras.Model] | None) -> StoredModel | RebuiltModel:
    """Store a model, as what ``make`` makes anew where its parts cannot be stored by config, module and name.

    Raises
    ------
    pickle.PicklingError
        When they cannot, and there is no function.
    """
    own = _own_parts(model)
    if not own:
        return StoredModel.of_model(model)
    try:
        by_config = StoredModel.of_model(model)
        if make is None or all(_is_importable(part) for part in own):
            # What cannot be restored must be said now, when there is still something to store.
            by_config.restore()
            return by_config
    except ObstacleError as error:
        if make is None:
            raise pickle.PicklingError(
                f"The model cannot be stored: {error}, or make the model in a function."
            ) from error
    except Exception as error:
        if make is None:
            names = ", ".join(sorted({part.__name__ for part in own}))
            raise pickle.PicklingError(
                f"The model cannot be stored, because Keras cannot restore it from its config ({names}). Give classes "
                f"of your own a get_config that tells their arguments, or make the model in a function. {error}"
            ) from error
    return RebuiltModel.of_model(model, make)


def _own_parts(model: keras.Model) -> list[Any]:
    """Give the classes and functions from outside of Keras that a model consists of and was compiled with."""
    arguments = compile_arguments(model) if model.compiled else {}
    given = _flat([arguments.get(name) for name in ("loss", "metrics", "weighted_metrics")])
    given += [model.optimizer, getattr(model.optimizer, "_learning_rate", None)]
    parts = [part if inspect.isfunction(part) else type(part) for part in given if not isinstance(part, str)]
    parts += users_parts([model, *flatten_layers(model)])
    return [part for part in parts if part.__module__.partition(".")[0] not in ("keras", "builtins", "skneural")]


def _flat(nested: Any) -> list[Any]:
    if isinstance(nested, dict):
        nested = list(nested.values())
    return [one for item in nested for one in _flat(item)] if isinstance(nested, list | tuple) else [nested]


def _is_importable(part: Any) -> bool:
    """Tell whether a class or function is found again by its module and name."""
    found: Any = sys.modules.get(part.__module__)
    for name in part.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is part


def duplicate(model: keras.Model) -> keras.Model:
    """Copy a model with its weights and, where it is compiled, its optimizer state and its very loss."""
    with _telling_why_not_copied():
        return StoredModel.of_model(model).restore()


@contextmanager
def _telling_why_not_copied() -> Iterator[None]:
    """Let an error of Keras's say what to give in place of a ready model."""
    try:
        yield
    except ObstacleError as error:
        raise ValueError(f"The model cannot be copied: {error}, or give a function that makes the model.") from error
    except (TypeError, ValueError, OSError, NotImplementedError) as error:
        raise ValueError(
            "The ready model cannot be copied, because Keras cannot restore it from its config. Give a function that "
            "makes it (model=function) instead, or classes of your own a get_config that tells their arguments. "
            f"Keras says: {error}"
        ) from error


@dataclass(frozen=True)
class StoredLayer:
    """A layer that stands for itself, such as an activation, and has not been built."""

    name: str
    kind: type[keras.Layer]
    config: dict[str, Any]
    attributes: dict[str, Any]
    named: dict[str, Any]
    is_safe: bool = False

    @property
    def needs_trust(self) -> bool:
        """Whether to restore the layer is to run code that its config holds."""
        return _names_one_of(self.config, _NOT_SAFE) or self.kind.__name__ in _NOT_SAFE

    @classmethod
    def _from_stored_fields(cls, fields: dict[str, Any]) -> StoredLayer:
        """Take fields from who knows where: a config that would run code is refused."""
        layer = cls(**{**fields, "is_safe": True})
        if not (isinstance(layer.kind, type) and issubclass(layer.kind, keras.Layer)) or layer.needs_trust:
            raise ValueError(f"{layer.kind!r} is no layer that may stand in a file.")
        check_config(layer.config, layer.named)
        return layer

    @classmethod
    def of_layer(cls, layer: keras.Layer) -> StoredLayer:
        """Store a layer without weights."""
        layers = [layer, *flatten_layers(layer)]
        config = {name: value for name, value in layer.get_config().items() if name != "name"}
        return cls(layer.name, type(layer), config, users_attributes(layer), named_by_users(layers))

    def restore(self) -> keras.Layer:
        """Make the layer."""
        named = keras.saving.CustomObjectScope(self.named)
        with untouched_python_random(), named, safe_mode(is_safe=self.is_safe):
            layer = self.kind.from_config({**self.config, "name": self.name})
        give_users_attributes(layer, self.attributes)
        return layer


def _names_one_of(config: Any, names: tuple[str, ...]) -> bool:
    if isinstance(config, dict):
        return config.get("class_name") in names or any(_names_one_of(item, names) for item in config.values())
    return isinstance(config, list | tuple) and any(_names_one_of(item, names) for item in config)


def stored_layer(thing: keras.Layer) -> StoredModel | StoredLayer:
    """Store a layer or a model that is a parameter.

    Raises
    ------
    ValueError
        For a model that Keras cannot restore.
    """
    if not isinstance(thing, keras.Model):
        return StoredLayer.of_layer(thing)
    with _telling_why_not_copied():
        return StoredModel.of_model(thing)


def carried(value: Any) -> Any:
    """Put Keras's objects, also within lists and dicts, into what pickles and deep copies leave whole."""
    return wrapped(mapped(value, lambda item: isinstance(item, keras.Layer), stored_layer))


def brought_back(value: Any) -> Any:
    """Take out again what ``carried`` has put in."""
    with _telling_why_not_copied():
        return unwrapped(
            mapped(value, lambda item: isinstance(item, StoredModel | StoredLayer), lambda one: one.restore())
        )
