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


# DataFrames, Series and lists of arrays are array-like, sparse containers are not.
Rows: TypeAlias = ArrayLike | SparseRows
RandomState: TypeAlias = int | np.random.RandomState | None
ClassWeight: TypeAlias = Mapping[Any, float] | Sequence[Mapping[Any, float]] | str | None
Folder: TypeAlias = str | os.PathLike[str] | None
# A number of epochs, or a span of time.
Every: TypeAlias = int | str | datetime.timedelta
