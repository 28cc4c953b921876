"""Keras's commonest optimizers in the terms of the native engine, ``native/course.h``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat.keras_names import leaves_weights_out, optimizer_config

_KINDS = {
    keras.optimizers.Adam: "ADAM",
    keras.optimizers.AdamW: "ADAM",
    keras.optimizers.SGD: "SGD",
    keras.optimizers.RMSprop: "RMSPROP",
}
# What an optimizer's config may hold that changes its steps beside what the native engine knows.
_DIFFERENT = (
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "amsgrad",
    "centered",
)
# Where an optimizer's values stand in Keras's order: the number of steps, the learning rate, and what is its own.
N_STEPS_INDEX, LEARNING_RATE_INDEX, _OWN_INDEX = 0, 1, 2


@dataclass(frozen=True)
class OptimizerForm:
    """An optimizer's kind, by name, and settings, and where what it holds for each weight stands among its values.

    ``settings`` are whether its momentum is Nesterov's, the decay of the first and of the second moments, and epsilon.
    """

    kind: str
    settings: tuple[int, float, float, float]
    first: slice | None
    second: slice | None


def optimizer_form(optimizer: keras.optimizers.Optimizer, n_weights: int) -> OptimizerForm:
    """Give the form of a known optimizer."""
    kind = _KINDS[type(optimizer)]
    places = _places_of(optimizer, n_weights)
    if isinstance(optimizer, keras.optimizers.Adam):
        settings = (0, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
    elif isinstance(optimizer, keras.optimizers.SGD):
        settings = (int(optimizer.nesterov), optimizer.momentum, 0.0, 0.0)
    else:
        settings = (0, optimizer.momentum, optimizer.rho, optimizer.epsilon)
    return OptimizerForm(kind, settings, places.get("momentum"), places.get("velocity"))


def _places_of(optimizer: keras.optimizers.Optimizer, n_weights: int) -> dict[str, slice]:
    """Tell where what an optimizer holds for each weight stands among its values, by kind."""
    if isinstance(optimizer, keras.optimizers.Adam):
        end = _OWN_INDEX + 2 * n_weights
        return {"momentum": slice(_OWN_INDEX, end, 2), "velocity": slice(_OWN_INDEX + 1, end, 2)}
    has_velocities = isinstance(optimizer, keras.optimizers.RMSprop)
    kinds = ["velocity"] * has_velocities + ["momentum"] * (optimizer.momentum > 0)
    starts = [_OWN_INDEX + index * n_weights for index in range(len(kinds))]
    return {kind: slice(start, start + n_weights) for kind, start in zip(kinds, starts, strict=True)}


def first_values_of_known(
    optimizer: keras.optimizers.Optimizer, weights: Sequence[keras.Variable]
) -> list[NDArray[Any]] | None:
    """Give what an optimizer of a known class begins with, which building it would take ten times as long to tell."""
    # The learning rate is a variable of Keras's default dtype.
    if not is_known(optimizer) or {keras.config.floatx(), *(weight.dtype for weight in weights)} != {"float32"}:
        return None
    n_kinds = len(_places_of(optimizer, len(weights)))
    is_paired = isinstance(optimizer, keras.optimizers.Adam)
    shapes = [shape for shape in _shapes(weights) for _ in range(n_kinds)] if is_paired else _shapes(weights) * n_kinds
    rate = np.array(optimizer_config(optimizer)["learning_rate"], np.float32)
    return [np.array(0, np.int64), rate, *(np.zeros(shape, np.float32) for shape in shapes)]


def _shapes(weights: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in weights]


def is_known(optimizer: Any) -> bool:
    """Tell whether an optimizer is one of those above, with a learning rate that is a number."""
    if type(optimizer) not in _KINDS or leaves_weights_out(optimizer):
        return False
    config = optimizer_config(optimizer)
    # Without an epsilon, weights that only fill a panel would become NaN.
    return (
        isinstance(config["learning_rate"], float)
        and bool(np.float32(config.get("epsilon", 1)) > 0)
        and not any(config.get(name) for name in _DIFFERENT)
    )
