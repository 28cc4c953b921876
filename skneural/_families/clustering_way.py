"""What a way to find clusters is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural import _engine
from skneural._architectures.clustering import Clustering
from skneural._architectures.column_scaling import ColumnScaling
from skneural._rows.training_rows import TrainingRows


class ClusteringWay:
    """A way to find clusters; an object of it belongs to one fit of an estimator, the ``owner``."""

    # None for images that the network scales itself.
    scaling: ColumnScaling | None
    # The layer whose last columns are the probabilities; None for that of the network's output.
    shares_layer: str | None = None
    trains_network = True

    def prepare(self, owner: Any, rows: TrainingRows) -> None:
        """Learn the scale of the columns, and what clusters are looked for in."""
        raise NotImplementedError

    def clusters(self, owner: Any, rows: TrainingRows) -> NDArray[np.intp]:
        """Find the cluster of each row, numbered from zero, and -1 for noise."""
        raise NotImplementedError

    def loss(self, n_clusters: int) -> str | None:
        """Name the loss of the network; None where it is trained by a step of our own, or not at all."""
        return None

    def architecture(self, owner: Any, n_clusters: int) -> Clustering:
        """Describe the network."""
        raise NotImplementedError

    def begin(self, owner: Any, network: _engine.Network, rows: TrainingRows, goals: NDArray[np.intp]) -> None:
        """Give the network its first weights."""
        raise NotImplementedError

    def data(self, X: NDArray[np.float32], goals: NDArray[np.intp], weights: Any, n_clusters: int) -> _engine.Data:
        """Give what the network is trained on."""
        raise NotImplementedError

    def settings(self, settings: _engine.Settings, data: Any) -> _engine.Settings:
        """Change how the network is trained."""
        return settings

    def report(self, owner: Any) -> None:
        """Leave in the owner what was trained beside its network."""

    def scaled(self, X: NDArray[Any]) -> NDArray[np.float32]:
        """Give rows as the network takes them."""
        return np.ascontiguousarray(X, np.float32) if self.scaling is None else self.scaling.scaled(X)
