"""Columns of a table -> columns of mean zero and of a size that networks learn well, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural import _engine
from skneural._rows.temporary_maps import blocks, mapped

from .code_layers import ZeroForMissing


@dataclass(frozen=True)
class ColumnScaling:
    """``mean`` and ``scale`` of each column, shape (n_features,): the scaled columns are (X - mean) / scale."""

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def none(cls, n_features: int) -> ColumnScaling:
        """Leave columns as they are."""
        return cls(np.zeros(n_features), np.ones(n_features))

    @classmethod
    def of(cls, X: NDArray[Any], weights: NDArray[Any] | None, *, each: bool) -> ColumnScaling:
        """Learn it from rows X, in which NaN is missing: one scale for all columns, or one for ``each``."""
        weights = np.ones(len(X)) if weights is None else weights
        # Where the first value is large against the rest, differences from it keep their digits.
        first = _first_known(X)
        total, count = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        squares = np.zeros(X.shape[1])
        for block, share in _blocks(X, weights):
            known = ~np.isnan(block)
            difference = np.where(known, block - first, 0.0)
            total += share @ difference
            count += share @ known
            squares += share @ difference**2
        count = np.where(count > 0, count, 1.0)
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0.0)
        variance[variance <= 1e-12 * squares / count] = 0.0
        if not each:
            variance = np.full_like(variance, variance.mean())
        return cls(first + mean, np.where(variance > 0, np.sqrt(variance), 1.0))

    def scaled(self, X: Any) -> Any:
        """Scale rows of shape (n, n_features); those that are stored, when they are read."""
        if isinstance(X, _engine.StoredRows):
            return X.changed(
                lambda rows: np.asarray((rows - self.mean) / self.scale, np.float32), X.shape[1:], "float32"
            )
        return mapped(X, X.shape, np.float32, lambda part: (X[part] - self.mean) / self.scale)

    def unscaled(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Give rows in the units of X."""
        return rows.astype(np.float64) * self.scale + self.mean

    def layers_in_front(self, *, replaces_missing: bool) -> list[keras.layers.Layer]:
        """Make the layers from raw columns to scaled ones."""
        layers: list[keras.layers.Layer] = [self._normalization("scaling", invert=False)]
        return [*layers, ZeroForMissing(name="missing")] if replaces_missing else layers

    def layers_behind(self) -> list[keras.layers.Layer]:
        """Make the layers from scaled columns to raw ones."""
        return [self._normalization("unscaling", invert=True)]

    def _normalization(self, name: str, *, invert: bool) -> keras.layers.Layer:
        return keras.layers.Normalization(mean=self.mean, variance=self.scale**2, invert=invert, name=name)


def _first_known(X: NDArray[Any]) -> NDArray[np.float64]:
    """Give the first value of each column that is not missing, zero where all are."""
    first = np.zeros(X.shape[1])
    missing = np.ones(X.shape[1], bool)
    for part in blocks(X):
        block = X[part]
        known = ~np.isnan(block)
        found = missing & known.any(axis=0)
        first[found] = block[known.argmax(axis=0)[found], np.flatnonzero(found)]
        missing &= ~found
        if not missing.any():
            break
    return first


def _blocks(X: NDArray[Any], weights: NDArray[Any]) -> Any:
    """Give blocks of rows as float64, with their weights."""
    for part in blocks(X):
        yield X[part].astype(np.float64), weights[part]
        _engine.give_pages_back(X)
