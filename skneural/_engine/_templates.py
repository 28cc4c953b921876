"""One built model per architecture, from which many networks draw their first state without building another."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import keras
from numpy.typing import NDArray

from skneural._compat import untouched_python_random

from ._initial_weights import InitialWeights

if TYPE_CHECKING:
    from ._records import Blueprint

MAX_TEMPLATES = 64
Kept = TypeVar("Kept")


class LeastRecentlyUsed(Generic[Kept]):
    """A bounded, thread-safe mapping that makes what is missing and drops what was not asked for longest."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Give the value of ``key``, made in this thread when there is none; others wait for it."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            self._kept.move_to_end(key)
            while len(self._kept) > self._max_size:
                self._kept.popitem(last=False)
            return self._kept[key]


class Template:
    """A built and compiled model that belongs to the engine, and what can be read off it once."""

    def __init__(self, model: keras.Model) -> None:
        model.optimizer.build(model.trainable_variables)
        self.model = model
        self.initial_weights = InitialWeights(model)
        self.optimizer_values: list[NDArray[Any]] = [variable.value.numpy() for variable in model.optimizer.variables]
        self.learning_rate_index = learning_rate_index(model.optimizer)
        index_of = {id(variable): index for index, variable in enumerate(model.variables)}
        self.weight_indices = tuple(index_of[id(weight)] for weight in model.weights)


def learning_rate_index(optimizer: keras.optimizers.Optimizer) -> int | None:
    """Where the learning rate stands among the optimizer's variables; None when a schedule gives it."""
    rate = optimizer.learning_rate
    return next((index for index, variable in enumerate(optimizer.variables) if variable is rate), None)


def build_model(blueprint: Blueprint) -> keras.Model:
    """Build the blueprint's model, leaving Python's global generator as it was."""
    with untouched_python_random():
        return blueprint.build()


_templates: LeastRecentlyUsed[Template] = LeastRecentlyUsed(MAX_TEMPLATES)


def template_of(blueprint: Blueprint) -> Template:
    """Give the kept template of the blueprint's key, built if there is none."""
    return _templates.get(blueprint.key, lambda: Template(build_model(blueprint)))
