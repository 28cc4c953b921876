"""First weights with which dense layers of any depth carry a few numbers through, beside what they will learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Carrying:
    """How a pair of units with one activation f carries a number z: f(scale z) - f(-scale z) = gain scale z."""

    scale: Array
    gain: float

    @classmethod
    def of(cls, activation: Callable[[Any], Any], deviations: Array) -> Carrying | None:
        """Find it for numbers of these deviations; None for an activation that does not tell z from -z.

        The difference is a multiple of z for relu, silu, gelu, softplus and the like. For others, such as tanh, it is
        nearly so for small numbers.
        """
        points = np.array([0.05, 0.5, 1.0, 2.0, 4.0], np.float32)
        # Each alone: a softmax looks at all of its units.
        slopes = np.array([_difference(activation, point) / point for point in points])
        if not np.isfinite(slopes).all() or abs(slopes[0]) < 1e-3:
            return None
        is_exact = np.allclose(slopes, slopes[0], rtol=1e-4)
        return cls(np.ones_like(deviations) if is_exact else points[0] / deviations, float(slopes[0]))

    @property
    def read_out(self) -> Array:
        """What the difference of the pair is multiplied with to give z."""
        return 1.0 / (self.gain * self.scale)


def _difference(activation: Callable[[Any], Any], point: float) -> float:
    values = np.asarray(activation(np.array([[point, -point]], np.float32)), np.float64)
    return float(values[0, 0] - values[0, 1])


def carry(kernels: Sequence[Array], carryings: Sequence[Carrying], into: Array, out_of: Array) -> list[Array]:
    """Return drawn kernels of a stack of dense layers, changed so that it computes ``x @ into @ out_of``.

    ``into`` has shape (n_inputs, r), ``out_of`` (r, n_outputs), and there is one ``carryings`` for each kernel but the
    last. The first 2 r units of each hidden layer carry the r numbers; what the others say does not reach the output
    yet, but they have drawn weights, and learn from the first step on.
    """
    r = into.shape[1]
    changed: list[Array] = []
    incoming = into
    for kernel, carrying in zip(kernels, carryings, strict=False):
        new = kernel.copy()
        if len(changed):
            new[2 * r :, : 2 * r] = 0.0
        rows = slice(None, len(incoming))
        new[rows, :r] = incoming * carrying.scale
        new[rows, r : 2 * r] = -incoming * carrying.scale
        changed.append(new)
        read_out = np.diag(carrying.read_out)
        incoming = np.vstack([read_out, -read_out])
    last = np.zeros_like(kernels[-1])
    last[: len(incoming)] = incoming @ out_of
    return [*changed, last]
