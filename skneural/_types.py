"""Types of what users give, for signatures."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike


class SparseRows(Protocol):
    """A sparse container of SciPy's, which ships no types."""

    def tocsr(self) -> Any:
        """Give the container in the format CSR."""


class StoredRows(Protocol):
    """Rows outside of the memory, or made when they are read."""

    @property
    def shape(self) -> Any:
        """Rows and columns, and what else there is."""

    @property
    def dtype(self) -> Any:
        """The type of a number."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Give rows that follow one another, as an array."""


# DataFrames, Series, lists of arrays and of names of files are array-like.
Rows: TypeAlias = ArrayLike | SparseRows | StoredRows | Sequence[os.PathLike[str]]
RandomState: TypeAlias = int | np.random.RandomState | None
ClassWeight: TypeAlias = Mapping[Any, float] | Sequence[Mapping[Any, float]] | str | None
Folder: TypeAlias = str | os.PathLike[str] | None
# A number of epochs, or a span of time.
Every: TypeAlias = int | str | datetime.timedelta
