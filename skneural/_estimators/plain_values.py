"""Parameters that are one of a few kinds of value: checked alike wherever they are given."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np


def is_bool(value: Any) -> bool:
    """Whether a value is a bool, or 0 or 1 in its place."""
    return isinstance(value, bool | np.bool_) or (isinstance(value, Integral) and int(value) in (0, 1))


def _is_verbosity(value: Any) -> bool:
    return is_bool(value) or value == "auto" or (isinstance(value, Integral) and int(value) >= 0)


def _is_random_state(value: Any) -> bool:
    if value is None or isinstance(value, np.random.RandomState):
        return True
    return isinstance(value, Integral) and not isinstance(value, bool) and 0 <= int(value) < 2**32


def _is_step_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "verbose": (_is_verbosity, "'auto', a bool or an int in the range [0, inf)"),
    "random_state": (_is_random_state, "an int in the range [0, 4294967295], a numpy.random.RandomState or None"),
    "shuffle": (is_bool, "a bool"),
    "warm_start": (is_bool, "a bool"),
    "run_eagerly": (is_bool, "a bool"),
    "auto_scale_loss": (is_bool, "a bool"),
    "jit_compile": (lambda value: is_bool(value) or value in ("auto", None), "'auto' or a bool"),
    "steps_per_execution": (_is_step_count, "an int in the range [1, inf)"),
    "validation_freq": (
        lambda value: _is_step_count(value) or isinstance(value, list | tuple | range | set),
        "an int in the range [1, inf) or a list of epochs",
    ),
}


def check_plain_values(owner: str, given: Mapping[str, Any], prefix: str = "") -> None:
    """Raise for a value of the wrong kind; names that are not known here are left alone."""
    for name, value in given.items():
        fits, wanted = _KINDS.get(name, (None, ""))
        if fits is not None and not fits(value):
            raise ValueError(f"The {prefix + name!r} parameter of {owner} must be {wanted}. Got {value!r} instead.")


# Numbers of Keras's optimizers that may be None, which is their default.
_OPTIONAL_NUMBERS = (
    "weight_decay",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
_CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


def check_argument_kinds(owner: str, parameter: str, target: type, arguments: Mapping[str, Any]) -> None:
    """Raise for routed arguments of Keras classes that are of another kind than their defaults."""
    defaults = {name: one.default for name, one in inspect.signature(target).parameters.items()}
    for name, value in arguments.items():
        wanted = _wanted(name, value, defaults.get(name))
        if wanted is not None:
            raise ValueError(f"The '{parameter}__{name}' parameter of {owner} must be {wanted}. Got {value!r} instead.")
    clips = [f"'{parameter}__{name}'" for name in _CLIPS if arguments.get(name) is not None]
    if len(clips) > 1 and parameter == "optimizer":
        raise ValueError(
            f"Only one of the parameters {' and '.join(clips)} of {owner} can clip gradients. Give one of them."
        )


def _wanted(name: str, value: Any, default: Any) -> str | None:
    """Say what an argument must be, None where it is that or where nobody knows."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if name in _CLIPS:
        return None if value is None or (is_number and float(value) > 0) else "a float in the range (0, inf) or None"
    if name in _OPTIONAL_NUMBERS:
        return None if value is None or is_number else "a number or None"
    if name == "learning_rate":
        # It has a check of its own.
        return None
    if name == "name":
        return None if value is None or (isinstance(value, str) and "/" not in value) else "a str without '/'"
    if isinstance(default, bool):
        return None if is_bool(value) else "a bool"
    if isinstance(default, Real):
        return None if is_number else "a number"
    return None
