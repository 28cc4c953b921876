"""A Keras model's architecture with its state, built as a model only when somebody asks for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat.keras_names import untouched_python_random
from skneural._engine.cache import TRACING
from skneural._engine.data.rows import target_dtype
from skneural._engine.identity.architecture import architecture_key, copy_of
from skneural._engine.identity.compilable import why_not_loss, why_not_model
from skneural._engine.identity.stored_model import RebuiltModel, StoredModel, stored
from skneural._engine.records import State

from .numbers import apply_numbers, number_slots
from .template import Template, build_model, kept_template, template_of

if TYPE_CHECKING:
    from skneural._engine.records import Blueprint, RowArray


class Network:
    """A model's architecture and its state: weights, other variables, and the optimizer's.

    A network from a blueprint holds arrays until ``model`` is asked for. From then on, and always when it was made
    from a model, the model's variables are the state.
    """

    def __init__(
        self,
        blueprint: Blueprint | None,
        numbers: Mapping[Any, float],
        state: State | None,
        model: keras.Model | None = None,
        stored_model: StoredModel | RebuiltModel | None = None,
    ) -> None:
        self.blueprint = blueprint
        self._numbers = dict(numbers)
        self._state = state
        self._model = model
        self._stored_model = stored_model
        self._make = stored_model.make if isinstance(stored_model, RebuiltModel) else None
        self._lock = threading.RLock()
        self._architecture: Hashable | None = None
        self.forward: Any = None

    @classmethod
    def from_model(cls, model: keras.Model, make: Callable[[], keras.Model] | None = None) -> Network:
        """Take a compiled model; its variables are the network's state. ``make`` makes another like it."""
        network = cls(None, {}, None, model)
        network._make = make
        return network

    @classmethod
    def from_blueprint(cls, blueprint: Blueprint, seed: int) -> Network:
        """Draw the first weights of a blueprint's architecture from ``seed``, without building a model."""
        template = _template_of(blueprint)
        state = State(template.initial_weights.draw(seed), list(template.optimizer_values))
        network = cls(blueprint, {}, state)
        network.update_numbers(blueprint.numbers)
        return network

    @property
    def is_materialised(self) -> bool:
        """Whether the Keras model exists."""
        return self._model is not None

    @property
    def model(self) -> keras.Model:
        """The Keras model, whose variables hold the state from the first time it is asked for."""
        with self._lock:
            if self._model is None:
                model = self._build_model()
                if self._state is not None:
                    self._state.write_to(model)
                apply_numbers(model, self._numbers)
                self._model, self._state, self._stored_model = model, None, None
            return self._model

    def _build_model(self) -> keras.Model:
        if self.blueprint is not None:
            return build_model(self.blueprint)
        assert self._stored_model is not None
        return self._stored_model.restore()

    @property
    def any_model(self) -> keras.Model:
        """A model of this architecture: the network's own where there is one, else the engine's."""
        return _template_of(self.blueprint).model if self._model is None and self.blueprint is not None else self.model

    @property
    def obstacle(self) -> str | None:
        """What keeps the model from being compiled, None when nothing is known to."""
        if self._model is None and self.blueprint is not None:
            return _template_of(self.blueprint).obstacle
        return why_not_model(self.model)

    @property
    def loss_obstacle(self) -> str | None:
        """What keeps the model's loss from being compiled."""
        return why_not_loss(self.any_model)

    def build_for(self, row_shape: tuple[int, ...]) -> None:
        """Build a model that has not seen any data yet."""
        if self._model is not None and not self._model.built:
            with untouched_python_random():
                self._model.build((None, *row_shape))

    @property
    def template_key(self) -> Hashable:
        """What networks share that may use one template."""
        if self.blueprint is not None:
            return ("blueprint", self.blueprint.key)
        with self._lock:
            if self._architecture is None:
                self._architecture = ("model", architecture_key(self.model))
            return self._architecture

    def template(self, *variant: Hashable) -> Template:
        """Give the engine's own model of this architecture, one more for each variant."""
        blueprint = self.blueprint
        make = partial(template_of, blueprint) if blueprint is not None else lambda: Template(copy_of(self.model))
        return kept_template((self.template_key, *variant), make)

    def program_template(self, targets: RowArray | None) -> Template:
        """Give a template that is prepared for targets like these, or for a step that sees to them itself."""
        self._architecture = None  # the user may have compiled the model anew
        y_shape: tuple[int, ...] = () if targets is None else targets.shape[1:]
        y_dtype = "float32" if targets is None else target_dtype(targets)
        with TRACING:
            template = self.template()
            if template.y_shape not in (None, y_shape):
                template = self.template(y_shape)
            if template.y_shape is None:
                template.prepare(y_shape, y_dtype)
            return template

    def program_numbers(self, template: Template) -> NDArray[np.float32]:
        """Give the numbers that a program of the template takes as inputs, in the template's order."""
        if self.blueprint is None:
            return np.array([slot.read() for slot in number_slots(self.model)], np.float32)
        numbers = zip(template.number_kinds, template.built_numbers, strict=True)
        return np.array([self._numbers.get(kind, built) for kind, built in numbers], np.float32)

    @property
    def state(self) -> State:
        """The present values, copied from the model where there is one."""
        with self._lock:
            if self._state is not None and self._model is None:
                return self._state.copy()
            return State.of_model(self.model)

    @state.setter
    def state(self, state: State) -> None:
        with self._lock:
            if self._model is None or (self.blueprint is not None and not state.optimizer):
                # Without values of its optimizer a network goes back to where none was built.
                self._model, self._state, self.forward = None, state, None
            else:
                state.write_to(self._model)

    def variable_values(self) -> list[NDArray[Any]]:
        """Give the present values in the order of ``model.variables``, to be read only."""
        with self._lock:
            if self._state is not None and self._model is None:
                return self._state.variables
            return [variable.value.numpy() for variable in self.model.variables]

    def get_weights(self) -> list[NDArray[Any]]:
        """Copy the weights in the order of ``keras.Model.get_weights``."""
        with self._lock:
            if self._model is not None or self.blueprint is None:
                return [weight.value.numpy() for weight in self.model.weights]
            variables, template = self.state.variables, _template_of(self.blueprint)
            return [variables[index].copy() for index in template.weight_indices]

    def hold_arrays(self) -> None:
        """Let go of a model that can be built anew, and with it of the devices that its variables are on."""
        with self._lock:
            if self._model is not None and self.blueprint is not None:
                self._state, self._model, self.forward = State.of_model(self._model), None, None

    def update_numbers(self, numbers: Mapping[Any, float]) -> None:
        """Set the learning rate and its like for the training to come."""
        with self._lock:
            self._numbers.update(numbers)
            if self._model is not None:
                apply_numbers(self._model, numbers)
            elif self.blueprint is not None and self._state is not None and "learning_rate" in numbers:
                index = _template_of(self.blueprint).learning_rate_index
                if index is not None:
                    present = self._state.optimizer[index]
                    self._state.optimizer[index] = np.asarray(numbers["learning_rate"], present.dtype)

    def assign_weights(self, layer: str, values: Sequence[NDArray[Any]]) -> None:
        """Set the weights of the layer of this name."""
        with self._lock:
            model, state = self.any_model, self.state
            weights = {id(weight): value for weight, value in zip(model.get_layer(layer).weights, values, strict=True)}
            variables = [
                np.asarray(weights.get(id(variable), value), value.dtype)
                for variable, value in zip(model.variables, state.variables, strict=True)
            ]
            self.state = State(variables, state.optimizer)

    def snapshot(self) -> Network:
        """Make a network of the same architecture with a copy of the present state."""
        with self._lock:
            model = self._store_model() if self.blueprint is None else None
            return Network(self.blueprint, self._numbers, self.state if model is None else None, None, model)

    def _store_model(self) -> StoredModel | RebuiltModel:
        return stored(self.model, self._make) if self._stored_model is None else self._stored_model

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:
            if self.blueprint is None:
                return {"blueprint": None, "numbers": {}, "state": None, "stored_model": self._store_model()}
            return {"blueprint": self.blueprint, "numbers": self._numbers, "state": self.state, "stored_model": None}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        Network.__init__(self, kept["blueprint"], kept["numbers"], kept["state"], None, kept["stored_model"])


def _template_of(blueprint: Blueprint) -> Template:
    """Give the kept template of the blueprint's key, built if there is none."""
    return kept_template((("blueprint", blueprint.key),), partial(template_of, blueprint))
