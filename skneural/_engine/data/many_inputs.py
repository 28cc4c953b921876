"""Rows of a model with several inputs: one array for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Sequence[NDArray[Any]] | Mapping[str, NDArray[Any]]


class ManyInputs:
    """Arrays of as many rows as each other, in the order of the model's inputs or by their names.

    Rows are taken from all of them at once, as from one array of shape (n,).
    """

    ndim = 1

    def __init__(self, arrays: Arrays) -> None:
        # In a list TensorFlow's data sets would see one array.
        self.for_keras: Any = dict(arrays) if isinstance(arrays, Mapping) else tuple(arrays)

    @property
    def _arrays(self) -> list[NDArray[Any]]:
        return list(self.for_keras.values() if isinstance(self.for_keras, dict) else self.for_keras)

    @property
    def shape(self) -> tuple[int]:
        return (len(self._arrays[0]),)

    @property
    def shapes(self) -> Any:
        """The shape of each array, as a list or a dict."""
        if isinstance(self.for_keras, dict):
            return {name: array.shape for name, array in self.for_keras.items()}
        return [array.shape for array in self.for_keras]

    def __getitem__(self, rows: slice | NDArray[Any]) -> ManyInputs:
        if isinstance(self.for_keras, dict):
            return ManyInputs({name: np.ascontiguousarray(array[rows]) for name, array in self.for_keras.items()})
        return ManyInputs([np.ascontiguousarray(array[rows]) for array in self.for_keras])
