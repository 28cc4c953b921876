"""A graph of neighbours that heeds labels or numbers of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import type_of_target

from .search import Neighbors

# With a target_weight of one half, neighbours of other labels keep exp(-2.5 * 2 / 2) = .08 of their weight.
_DISTANCE_OF_LABELS = 2.5
_LEAST_REST = 1e-12


def weights_with_labels(
    neighbors: Neighbors, weights: NDArray[np.float32], y: NDArray[Any], target_weight: float
) -> NDArray[np.float32]:
    """Weaken the weights, shape (n_rows, k), to neighbours whose y differs, and bring each row's largest back to one.

    A weight is multiplied by exp(-2.5 t w / (1 - w)), where w is ``target_weight`` and t is 1 for another label, for
    numbers their difference as a share of their range. It falls like that of umap-learn, exp(-2.5 t / (1 - w)), but
    w = 0 leaves the graph as it is.
    """
    other = y[neighbors.indices]
    if type_of_target(y).startswith("continuous"):
        spread = float(np.ptp(y))
        differences = np.abs(other - y[:, None]) / (spread if spread > 0 else 1.0)
    else:
        differences = (other != y[:, None]).astype(np.float64)
    # Weight 0 is no influence at all, 1 tears neighbours with other labels apart.
    steepness = _DISTANCE_OF_LABELS * target_weight / max(1 - target_weight, _LEAST_REST)
    weakened = weights * np.exp(-steepness * differences)
    largest = weakened.max(axis=1, keepdims=True, initial=0)
    # Where all neighbours are of other labels, none is left.
    return (weakened / np.where(largest > 1e-6, largest, 1)).astype(np.float32)
