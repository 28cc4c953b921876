"""Keras's commonest optimizers in NumPy, many networks at once: their state and one step for all weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat import leaves_weights_out

from ._numpy_layers import Array, FlatValues

# What an optimizer's config may hold that changes its steps beside what the classes below know.
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
_STEPS_INDEX, LEARNING_RATE_INDEX, _OWN_INDEX = 0, 1, 2


class _State:
    """An optimizer's values: how many steps it has made, the learning rate, and arrays like the weights by kind."""

    def __init__(self, places: dict[str, slice], values: Sequence[NDArray[Any]]) -> None:
        self._values = list(values)
        self._places = places
        self._kinds = {kind: FlatValues.of(values[place]) for kind, place in places.items()}
        self.rates: Array = values[LEARNING_RATE_INDEX][:, None]

    def flat(self, kind: str) -> Array | None:
        return self._kinds[kind].flat if kind in self._kinds else None

    def steps(self, n_batches: int) -> Array:
        """Number the steps to come, shape (n_batches, n_models, 1)."""
        made: NDArray[np.int64] = self._values[_STEPS_INDEX][:, None]
        return (made + 1 + np.arange(n_batches)[:, None, None]).astype(np.float32)

    def values(self, n_steps: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Give all values after so many steps of each network."""
        values = list(self._values)
        values[_STEPS_INDEX] = values[_STEPS_INDEX] + n_steps
        for kind, flat in self._kinds.items():
            values[self._places[kind]] = flat.arrays()
        return values

    @property
    def flats(self) -> list[Array]:
        return [values.flat for values in self._kinds.values()]


class _Adam:
    def __init__(self, optimizer: Any, state: _State, n_batches: int) -> None:
        momentums, velocities = state.flat("momentum"), state.flat("velocity")
        assert momentums is not None
        assert velocities is not None
        self._momentums, self._velocities = momentums, velocities
        self._keeps = np.float32(1 - optimizer.beta_1), np.float32(1 - optimizer.beta_2)
        self._epsilon = np.float32(optimizer.epsilon)
        steps = state.steps(n_batches)
        powers = [1 - np.power(np.float32(beta), steps) for beta in (optimizer.beta_1, optimizer.beta_2)]
        self._rates = _same_if_equal(state.rates * np.sqrt(powers[1]) / powers[0])
        self._other = np.empty_like(momentums)

    def step(self, index: int, weights: Array, gradients: Array) -> None:
        momentums, velocities, other = self._momentums, self._velocities, self._other
        np.subtract(gradients, momentums, out=other)
        other *= self._keeps[0]
        momentums += other
        gradients *= gradients
        gradients -= velocities
        gradients *= self._keeps[1]
        velocities += gradients
        np.sqrt(velocities, out=other)
        other += self._epsilon
        np.multiply(momentums, self._rates[index], out=gradients)
        gradients /= other
        weights -= gradients


def _same_if_equal(rates: Array) -> Array:
    """Give rates of shape (n_batches, n_models, 1) one entry for all networks where they are equal.

    NumPy multiplies by one number three times as fast as by one for each row.
    """
    return rates[:, :1] if (rates == rates[:, :1]).all() else rates


class _SGD:
    def __init__(self, optimizer: Any, state: _State, n_batches: int) -> None:
        self._rates = state.rates
        self._momentum = np.float32(optimizer.momentum)
        self._momentums = state.flat("momentum")
        self._is_nesterov = optimizer.nesterov

    def step(self, index: int, weights: Array, gradients: Array) -> None:
        gradients *= self._rates
        if self._momentums is None:
            weights -= gradients
            return
        self._momentums *= self._momentum
        self._momentums -= gradients
        if self._is_nesterov:
            weights += self._momentums * self._momentum
            weights -= gradients
        else:
            weights += self._momentums


class _RMSprop:
    def __init__(self, optimizer: Any, state: _State, n_batches: int) -> None:
        velocities = state.flat("velocity")
        assert velocities is not None
        self._velocities = velocities
        self._momentums = state.flat("momentum")
        self._momentum = np.float32(optimizer.momentum)
        self._rho, self._rest = np.float32(optimizer.rho), np.float32(1 - optimizer.rho)
        self._epsilon = np.float32(optimizer.epsilon)
        self._rates = state.rates
        self._other = np.empty_like(velocities)

    def step(self, index: int, weights: Array, gradients: Array) -> None:
        other = np.multiply(gradients, gradients, out=self._other)
        other *= self._rest
        self._velocities *= self._rho
        self._velocities += other
        np.add(self._velocities, self._epsilon, out=other)
        np.sqrt(other, out=other)
        gradients *= self._rates
        gradients /= other
        if self._momentums is None:
            weights -= gradients
        else:
            self._momentums *= self._momentum
            self._momentums += gradients
            weights -= self._momentums


_STEPS: dict[type, Any] = {
    keras.optimizers.Adam: _Adam,
    keras.optimizers.AdamW: _Adam,
    keras.optimizers.SGD: _SGD,
    keras.optimizers.RMSprop: _RMSprop,
}


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
    rate = np.array(optimizer.get_config()["learning_rate"], np.float32)
    return [np.array(0, np.int64), rate, *(np.zeros(shape, np.float32) for shape in shapes)]


def _shapes(weights: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in weights]


class NumpyOptimizer:
    """What a known optimizer does to so many weights."""

    def __init__(self, optimizer: keras.optimizers.Optimizer, n_weights: int, weight_decay_index: int | None) -> None:
        self._optimizer = optimizer
        self._class = _STEPS[type(optimizer)]
        self._weight_decay_index = weight_decay_index
        self._places = _places_of(optimizer, n_weights)

    def begin(self, values: Sequence[NDArray[Any]], numbers: Array, n_batches: int) -> RunningOptimizer:
        """Take the state of many networks, and the numbers of their programs, for so many steps."""
        state = _State(self._places, values)
        decay = None if self._weight_decay_index is None else numbers[:, self._weight_decay_index, None] * state.rates
        return RunningOptimizer(state, self._class(self._optimizer, state, n_batches), decay)


class RunningOptimizer:
    """An optimizer on its way through one epoch of many networks."""

    def __init__(self, state: _State, steps: Any, decay: Array | None) -> None:
        self._steps = steps
        self._decay = decay
        self.values = state.values
        self.flats = state.flats

    def step(self, index: int, weights: Array, gradients: Array) -> None:
        """Move the weights one step; ``gradients`` is overwritten."""
        if self._decay is not None:
            weights -= weights * self._decay
        self._steps.step(index, weights, gradients)


def is_known(optimizer: Any) -> bool:
    """Tell whether an optimizer is one of those above, with a learning rate that is a number."""
    if type(optimizer) not in _STEPS or leaves_weights_out(optimizer):
        return False
    config = optimizer.get_config()
    return isinstance(config["learning_rate"], float) and not any(config.get(name) for name in _DIFFERENT)
