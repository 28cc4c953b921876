"""How a network is to see the columns of a table, learned from training rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural._engine.model.column_encoding import KINDS

Array = NDArray[Any]
ENCODINGS = ("piecewise_linear", "periodic", "plain")
# Of more categories the rarest ones are seen as one that fit has not met.
MOST_CATEGORIES = 256
# Ramps of one column are many: at their full size they would outweigh the other numbers.
_GAIN_OF_RAMPS = 0.5
# The deviation of frequencies, in waves for each deviation of the column.
_FREQUENCY = 0.3
# The standard deviation of a normal distribution lies so far from the middle of its quartiles.
_QUARTILE_OF_NORMAL = 0.6744897501960817


@dataclass(frozen=True)
class _Number:
    """A number that is seen of a column: its kind, and what ``ColumnEncoding`` computes it with."""

    kind: str
    column: int
    place: float = 0.0
    factor: float = 1.0
    shift: float = 0.0
    gain: float = 1.0


@dataclass(frozen=True)
class TableEncoding:
    """``columns`` has the column of each number by its kind, ``numbers`` the weight of ``ColumnEncoding``."""

    columns: tuple[tuple[str, tuple[int, ...]], ...]
    numbers: NDArray[np.float32]

    @classmethod
    def of(
        cls, X: Array, weights: Array | None, n_codes: Sequence[int], numeric: str, n_bins: int, seed: int
    ) -> TableEncoding:
        """Learn it from rows X in which NaN is missing; ``n_codes`` is zero for columns of numbers.

        A category is seen as a one in a place of its own. A number z is seen as itself, scaled by median and quartiles
        and softly clipped, and beside that, piece-wise linear, as one ramp for each of ``n_bins`` bins of equally many
        rows (Gorishniy, Rubachev and Babenko 2022, section 3.2), or periodic, as ``n_bins`` cosines of drawn
        frequencies and phases. Whether an entry is missing is a number too, where any was.
        """
        weights = np.ones(len(X)) if weights is None else weights.astype(np.float64)
        rng = np.random.default_rng(seed)
        seen: list[_Number] = []
        for column, n_of_column in enumerate(n_codes):
            known = ~np.isnan(X[:, column])
            if not known.all():
                seen.append(_Number("missing", column))
            if known.any():
                values = _Values.of(X[known, column], weights[known])
                seen += _codes(column, values) if n_of_column else _numbers(column, values, numeric, n_bins, rng)
        # Where no column says anything, a network still needs an input.
        seen = sorted(seen or [_Number("missing", 0)], key=lambda one: KINDS.index(one.kind))
        columns = tuple((kind, tuple(one.column for one in seen if one.kind == kind)) for kind in KINDS)
        numbers = [(one.place, one.factor, one.shift, one.gain) for one in seen]
        return cls(columns, np.array(numbers, np.float32).T.copy())


@dataclass(frozen=True)
class _Values:
    """The different values of a column, sorted, with the sums of their weights."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, column: Array, weights: Array) -> _Values:
        values, group = np.unique(column.astype(np.float64), return_inverse=True)
        return cls(values, np.bincount(group, weights=weights).astype(np.float64))

    def quantiles(self, shares: Sequence[float] | Array) -> NDArray[np.float64]:
        """Give the least values at or below which these shares of all weight lie."""
        sums = np.cumsum(self.weights)
        places = np.searchsorted(sums, np.asarray(shares) * sums[-1] * (1 - 1e-12))
        return self.values[np.minimum(places, len(self.values) - 1)]

    def edges(self, n_bins: int) -> NDArray[np.float64]:
        """Give the edges of bins of equally much weight; a value with the weight of a bin is an edge, and has none."""
        is_heavy = self.weights * n_bins >= self.weights.sum()
        light = _Values(self.values[~is_heavy], self.weights[~is_heavy])
        n_light = max(n_bins - int(is_heavy.sum()), 2)
        between = light.quantiles(np.linspace(0, 1, n_light + 1)) if len(light.values) else light.values
        return np.unique(np.concatenate([self.values[[0, -1]], self.values[is_heavy], between]))

    def moments_of(self, functions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the weighted means and deviations of functions of the values, shape (n_values, k)."""
        shares = self.weights / self.weights.sum()
        means = shares @ functions
        return means, np.sqrt(shares @ (functions - means) ** 2)


def _codes(column: int, values: _Values) -> Iterator[_Number]:
    """See each of the most frequent categories as a number of its own."""
    frequent = np.sort(np.argsort(-values.weights, kind="stable")[:MOST_CATEGORIES])
    for code in values.values[frequent]:
        yield _Number("equal", column, place=float(code))


def _numbers(column: int, values: _Values, numeric: str, n_bins: int, rng: np.random.Generator) -> Iterator[_Number]:
    """See numbers as themselves and as what ``numeric`` says; a constant as nothing."""
    if len(values.values) < 2:
        return
    low, middle, high = values.quantiles([0.25, 0.5, 0.75])
    spread = (high - low) / (2 * _QUARTILE_OF_NORMAL)
    if not spread:
        spread = (values.values[-1] - values.values[0]) / 2
    yield _Number("clipped", column, place=float(middle), factor=float(1 / spread))
    if numeric == "piecewise_linear":
        yield from _ramps(column, values, n_bins)
    elif numeric == "periodic":
        frequencies, phases = rng.normal(0, _FREQUENCY, n_bins), rng.uniform(0, 2 * np.pi, n_bins)
        for frequency, phase in zip(frequencies, phases, strict=True):
            factor = float(2 * np.pi * frequency / spread)
            yield _Number("wave", column, place=float(middle - phase / factor), factor=factor)


def _ramps(column: int, values: _Values, n_bins: int) -> Iterator[_Number]:
    edges = values.edges(n_bins)
    ramps = np.clip((values.values[:, None] - edges[:-1]) / np.diff(edges), 0, 1)
    means, _ = values.moments_of(ramps)
    for edge, width, mean in zip(edges[:-1], np.diff(edges), means, strict=True):
        yield _Number("ramp", column, float(edge), float(1 / width), float(mean), _GAIN_OF_RAMPS)
