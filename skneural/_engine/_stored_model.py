"""Models of a user's own as bytes, beside the objects that Keras would lose on the way."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import keras
from numpy.typing import NDArray

from skneural._compat import (
    compile_arguments,
    flatten_layers,
    optimizer_config,
    reduce_model,
    uncompiled,
    untouched_python_random,
)

from ._architecture import give_users_attributes, named_by_users, users_attributes
from ._parts import copy_of_part, mapped, optimizer_from, unwrapped, wrapped


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

    ``data`` is what Keras makes of it, uncompiled. ``attributes`` are what users have put into each of its layers, and
    ``named`` the functions and classes of theirs that Keras knows by name only.
    """

    data: bytes
    compiled: Compiled | None
    attributes: list[dict[str, Any]]
    named: dict[str, Any]

    @classmethod
    def of_model(cls, model: keras.Model) -> StoredModel:
        """Store a model as it is now."""
        compiled = Compiled.of_model(model) if model.compiled else None
        layers = [model, *flatten_layers(model)]
        with uncompiled(model):
            data = pickle.dumps(reduce_model(model))
        return cls(data, compiled, [users_attributes(layer) for layer in layers], named_by_users(layers))

    def restore(self) -> keras.Model:
        """Build the model."""
        with untouched_python_random(), keras.saving.CustomObjectScope(self.named):
            function, arguments = pickle.loads(self.data)
            model = function(*arguments)
        for layer, attributes in zip([model, *flatten_layers(model)], self.attributes, strict=True):
            give_users_attributes(layer, attributes)
        if self.compiled is not None:
            self.compiled.compile(model)
        return model

    def __getstate__(self) -> dict[str, Any]:
        compiled = self.compiled and {name: wrapped(value) for name, value in vars(self.compiled).items()}
        return {**wrapped(dict(vars(self))), "compiled": compiled}

    def __setstate__(self, stored: dict[str, Any]) -> None:
        compiled = stored["compiled"] and Compiled(**unwrapped(stored["compiled"]))
        vars(self).update(unwrapped(stored), compiled=compiled)


def duplicate(model: keras.Model) -> keras.Model:
    """Copy a model with its weights and, where it is compiled, its optimizer state and its very loss."""
    return StoredModel.of_model(model).restore()


def carried(value: Any) -> Any:
    """Put Keras's objects, also within lists and dicts, into what pickles and deep copies leave whole."""
    return wrapped(mapped(value, lambda item: isinstance(item, keras.Model), StoredModel.of_model))


def brought_back(value: Any) -> Any:
    """Take out again what ``carried`` has put in."""
    return unwrapped(mapped(value, lambda item: isinstance(item, StoredModel), StoredModel.restore))
