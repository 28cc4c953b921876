"""First weights of a network that keeps neighbours: with landmarks it begins near the layout that it is to learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from skneural import _engine
from skneural._geometry.principal import PrincipalColumns

from .embedding import COLUMNS, EMBEDDING, LANDMARKS, ROWS_AGAIN

# Landmarks that a row is seen by in the beginning, in the geometric mean.
_LANDMARKS_SEEN = 1.2
_ROWS_LOOKED_AT = 1000
_BISECTIONS = 50


def project_on_axes(network: _engine.Network, axes: PrincipalColumns, *, is_image: bool, reconstructs: bool) -> None:
    """Give the layers from rows to principal columns, and back, their weights, which training leaves as they are."""
    if not is_image:
        network.assign_weights(COLUMNS, [axes.kernel, -axes.mean @ axes.kernel])
    if reconstructs:
        network.assign_weights(ROWS_AGAIN, [np.linalg.pinv(axes.kernel), axes.mean])


def begin_at_landmarks(
    network: _engine.Network, columns: NDArray[np.float32], layout: NDArray[np.float32], n_landmarks: int, seed: int
) -> None:
    """Make rows drawn at random landmarks, each of which says its place in the layout.

    A softmax of s (x . c - |c|^2 / 2) weighs landmarks c by exp(-s |x - c|^2 / 2): the answer is the mean of their
    places with these weights (Moody and Darken 1989, normalised radial units).
    """
    chosen = np.random.default_rng(seed).choice(len(columns), n_landmarks, replace=False)
    landmarks = columns[chosen].astype(np.float64)
    sharpness = _sharpness(columns[:: max(1, len(columns) // _ROWS_LOOKED_AT)].astype(np.float64), landmarks)
    network.assign_weights(
        LANDMARKS, [sharpness * landmarks.T, -sharpness / 2 * np.einsum("ij,ij->i", landmarks, landmarks)]
    )
    network.assign_weights(EMBEDDING, [layout[chosen], np.zeros(layout.shape[1])])


def _sharpness(rows: NDArray[np.float64], landmarks: NDArray[np.float64]) -> float:
    """Find s by bisection, so that the entropy of the weights exp(-s d^2 / 2) is log(1.2) in the mean over the rows."""
    squares = ((rows**2).sum(axis=1)[:, None] + (landmarks**2).sum(axis=1) - 2 * rows @ landmarks.T) / 2
    squares -= squares.min(axis=1, keepdims=True)
    unit = squares.mean()
    if unit <= 0:
        return 1.0
    low, high = np.log(1e-3), np.log(1e9)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        weights = np.exp(-np.exp(middle) * squares / unit)
        shares = weights / weights.sum(axis=1, keepdims=True)
        entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1).mean()
        low, high = (middle, high) if entropy > np.log(_LANDMARKS_SEEN) else (low, middle)
    return float(np.exp(middle) / unit)
