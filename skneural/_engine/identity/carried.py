"""Losses, metrics and optimizers on their way through pickles and deep copies, with all of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from skneural._compat.keras_names import optimizer_config

from .parts import attributes_beside_config, copy_of_metric, copy_of_part, optimizer_from, with_attributes


class Carried:
    """A loss, metric or optimizer on its way through a pickle or a deep copy, which would go through its config."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __deepcopy__(self, memo: dict[int, Any]) -> Carried:
        return Carried(copy_of_part(self.part))

    def __reduce__(self) -> tuple[Any, ...]:
        return _carry, _reduced(self.part)


def _carry(make: Callable[..., Any], *arguments: Any) -> Carried:
    return Carried(make(*arguments))


def _reduced(part: Any) -> tuple[Any, ...]:
    if isinstance(part, keras.losses.Loss):
        return with_attributes, type(part), wrapped(dict(vars(part)))
    if isinstance(part, keras.metrics.Metric):
        return copy_of_metric, type(part), part.get_config(), attributes_beside_config(part)
    return optimizer_from, type(part), wrapped(optimizer_config(part))


def is_carried(value: Any) -> bool:
    """Tell whether Keras would pickle a value by its config."""
    return isinstance(value, keras.losses.Loss | keras.metrics.Metric | keras.optimizers.Optimizer)


def wrapped(value: Any) -> Any:
    """Put what Keras would pickle by its config into ``Carried``, also within lists, tuples and dicts."""
    return mapped(value, is_carried, Carried)


def unwrapped(value: Any) -> Any:
    """Take out again what ``wrapped`` has put in."""
    return mapped(value, lambda item: isinstance(item, Carried), lambda carried: carried.part)


def mapped(value: Any, is_meant: Callable[[Any], bool], change: Callable[[Any], Any]) -> Any:
    """Change the items of nested lists, tuples and dicts that are meant; where none is, it is the same object."""
    if is_meant(value):
        return change(value)
    if type(value) in (list, tuple):
        items = [mapped(item, is_meant, change) for item in value]
        return value if all(one is other for one, other in zip(items, value, strict=True)) else type(value)(items)
    if type(value) is dict:
        changed = {name: mapped(item, is_meant, change) for name, item in value.items()}
        return value if all(changed[name] is item for name, item in value.items()) else changed
    return value
