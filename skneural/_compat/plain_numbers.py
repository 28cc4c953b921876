"""Numbers of any real type, as a grid of NumPy's holds them, in the types that Keras takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import keras
import numpy as np


def plain(value: Any, name: str = "") -> Any:
    """Return a number as Python's own int, float or bool, also within lists and dicts; all else as it is.

    Keras takes no int where it wants a float: ``name`` tells of an optimizer's arguments which these are.
    """
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(plain(item, name) for item in value)
    if type(value) is dict:
        return {key: plain(item, str(key)) for key, item in value.items()}
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, Integral) and name.split("__")[-1] not in _names_of_floats():
        return int(value)
    return float(value)


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments by name with plain numbers."""
    return {name: plain(value, name) for name, value in arguments.items()}


@functools.cache
def _names_of_floats() -> frozenset[str]:
    """Names of the arguments of Keras's optimizers that are floats."""
    optimizers = [item for _, item in inspect.getmembers(keras.optimizers, inspect.isclass)]
    parameters = [parameter for one in optimizers for parameter in inspect.signature(one).parameters.values()]
    return frozenset(parameter.name for parameter in parameters if isinstance(parameter.default, float))


@contextmanager
def plain_parameters(
    estimator: Any, adapted: Callable[[dict[str, Any]], dict[str, Any]] = lambda parameters: parameters
) -> Iterator[None]:
    """Let ``get_params`` of an estimator give plain numbers in the block: scikeras reads all parameters through it."""
    given = estimator.get_params
    estimator.__dict__["get_params"] = lambda deep=True: adapted(plain_arguments(given(deep=deep)))
    try:
        yield
    finally:
        del estimator.__dict__["get_params"]
