"""Keras's commonest optimizers in NumPy, many networks at once: their state and one step for all weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat import optimizer_slots

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


class _State:
    """An optimizer's values: how many steps it has made, the learning rate, and arrays like the weights by kind."""

    def __init__(self, indices: dict[str, list[int]], values: Sequence[NDArray[Any]]) -> None:
        # Keras's order: the number of steps, the learning rate, and what the optimizer adds.
        self._values = list(values)
        self._indices = indices
        self._kinds = {
            kind: FlatValues.of([values[index] for index in of_kind]) for kind, of_kind in indices.items() if of_kind
        }
        self.rates: Array = values[1][:, None]

    def flat(self, kind: str) -> Array | None:
        return self._kinds[kind].flat if kind in self._kinds else None

    def steps(self, n_batches: int) -> Array:
        """Number the steps to come, shape (n_batches, n_models, 1)."""
        made: NDArray[np.int64] = self._values[0][:, None]
        return (made + 1 + np.arange(n_batches)[:, None, None]).astype(np.float32)

    def values(self, n_steps: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Give all values after so many steps of each network."""
        values = list(self._values)
        values[0] = values[0] + n_steps
        for kind, flat in self._kinds.items():
            for index, array in zip(self._indices[kind], flat.arrays(), strict=True):
                values[index] = array
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


class NumpyOptimizer:
    """What an optimizer of a template does, read off it once."""

    def __init__(self, optimizer: Any, base: type, weight_decay_index: int | None) -> None:
        self._optimizer = optimizer
        self._class = _STEPS[base]
        self._weight_decay_index = weight_decay_index
        index_of = {id(variable): index for index, variable in enumerate(optimizer.variables)}
        self._indices = {
            kind: [index_of[id(variable)] for variable in variables]
            for kind, variables in optimizer_slots(optimizer).items()
        }

    def begin(self, values: Sequence[NDArray[Any]], numbers: Array, n_batches: int) -> RunningOptimizer:
        """Take the state of many networks, and the numbers of their programs, for so many steps."""
        state = _State(self._indices, values)
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


def is_known(base: type, optimizer: keras.optimizers.Optimizer) -> bool:
    """Tell whether an optimizer of a class of Keras's has a form in NumPy."""
    config = optimizer.get_config()
    return base in _STEPS and not any(config.get(name) for name in _DIFFERENT)
