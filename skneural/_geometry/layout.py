"""Places of rows in few dimensions that a graph of neighbours pulls together and pushes apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import curve_fit

# The rows begin within so many units of the middle, as in UMAP.
_FIRST_RADIUS = 10.0
_FIRST_NOISE = 1e-4
_PASSES = 100
_MAX_EDGES_PER_STEP = 4096
_LARGEST_STEP = 4.0
# Squared distances of rows that push each other apart are taken to be at least about this.
_LEAST_SQUARE = 1e-3


@dataclass(frozen=True)
class LikenessCurve:
    """How like each other two places are: 1 / (1 + a d ** (2 b)) for a distance d."""

    a: float
    b: float

    @classmethod
    def of(cls, min_dist: float, spread: float = 1.0) -> LikenessCurve:
        """Fit it to 1 up to ``min_dist`` and exp(-(d - min_dist) / spread) beyond (McInnes et al. 2018, section 4)."""
        distances = np.linspace(0, 3 * spread, 300)
        wanted = np.where(distances < min_dist, 1.0, np.exp(-(distances - min_dist) / spread))
        (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), distances, wanted)
        return cls(float(a), float(b))


def first_layout(columns: NDArray[np.float32], n_components: int, seed: int) -> NDArray[np.float32]:
    """Begin with the first columns, scaled, and a little noise, which tells equal rows apart."""
    layout = np.random.default_rng(seed).normal(scale=_FIRST_NOISE, size=(len(columns), n_components))
    used = columns[:, :n_components].astype(np.float64)
    largest = np.abs(used).max(initial=0.0)
    layout[:, : used.shape[1]] += used * (_FIRST_RADIUS / largest if largest > 0 else 1.0)
    return layout.astype(np.float32)


def free_layout(
    graph: sparse.csr_array,
    first: NDArray[np.float32],
    curve: LikenessCurve,
    negative_sample_rate: int,
    seed: int,
) -> NDArray[np.float32]:
    """Move the rows, shape (n_rows, n_components), so that likenesses agree with the weights of the graph.

    Stochastic gradient descent on the cross-entropy of the two (McInnes et al. 2018, algorithm 5): edges are drawn by
    their weights, for each the two ends are pulled together and one of them is pushed away from
    ``negative_sample_rate`` rows drawn at random. The step size falls to zero in a straight line. What a row gets from
    the edges of a step, at most half as many as there are rows, is added up.
    """
    n_rows = len(first)
    edges = graph.tocoo()
    if not edges.nnz:
        return first.copy()
    generator = np.random.default_rng(seed)
    cumulative = np.cumsum(edges.data, dtype=np.float64)
    n_edges = min(_MAX_EDGES_PER_STEP, max(1, n_rows // 2))
    n_steps = int(np.ceil(_PASSES * cumulative[-1] / edges.data.max() / n_edges))
    layout = first.astype(np.float32, copy=True)
    for step in range(n_steps):
        drawn = np.searchsorted(cumulative, generator.random(n_edges) * cumulative[-1], side="right")
        drawn = np.minimum(drawn, edges.nnz - 1)
        heads, tails = edges.row[drawn], edges.col[drawn]
        others = generator.integers(0, n_rows, (n_edges, negative_sample_rate), dtype=np.int32)
        moves = _moves(layout, heads, tails, others, curve)
        layout += np.float32(1 - step / n_steps) * moves
    return layout


def _moves(
    layout: NDArray[np.float32],
    heads: NDArray[np.int32],
    tails: NDArray[np.int32],
    others: NDArray[np.int32],
    curve: LikenessCurve,
) -> NDArray[np.float32]:
    """Give what each row moves by: minus the gradient for these edges and negatives, each part clipped."""
    a, b = curve.a, curve.b
    apart = layout[heads] - layout[tails]
    squares = np.maximum((apart**2).sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    pull = np.clip(-2 * a * b * squares ** (b - 1) / (1 + a * squares**b) * apart, -_LARGEST_STEP, _LARGEST_STEP)
    away = layout[heads][:, None] - layout[others]
    squares = (away**2).sum(axis=2, keepdims=True)
    push = np.clip(2 * b / ((_LEAST_SQUARE + squares) * (1 + a * squares**b)) * away, -_LARGEST_STEP, _LARGEST_STEP)
    at_heads = pull + push.sum(axis=1)
    return np.stack(
        [
            np.bincount(heads, at_heads[:, column], len(layout)) - np.bincount(tails, pull[:, column], len(layout))
            for column in range(layout.shape[1])
        ],
        axis=1,
    ).astype(np.float32)
