"""Memory maps of files: what was read of one stays in this process's memory until it is given back."""

from __future__ import annotations

import contextlib
import mmap
from typing import Any

import numpy as np

# A map of fewer bytes is not worth the trouble.
LARGE_BYTES = 64 * 2**20


def is_large_map(X: Any) -> bool:
    """Whether X lies in a large memory map whose pages this process can do without."""
    return _map_behind(X) is not None


def give_pages_back(X: Any) -> None:
    """Let go of the pages of a large memory map that X lies in; the file, or the kernel's cache of it, holds them."""
    pages = _map_behind(X)
    if pages is not None:
        # Pages that somebody has locked stay.
        with contextlib.suppress(OSError):
            pages.madvise(mmap.MADV_DONTNEED)


def _map_behind(X: Any) -> mmap.mmap | None:
    if not isinstance(X, np.ndarray) or X.nbytes < LARGE_BYTES or not hasattr(mmap, "MADV_DONTNEED"):
        return None
    base: Any = X
    is_of_file = False
    while isinstance(base, np.ndarray):
        # What was changed in a map of another mode is in memory only.
        is_of_file |= isinstance(base, np.memmap) and base.mode in ("r", "r+", "w+")
        base = base.base
    return base if is_of_file and isinstance(base, mmap.mmap) else None
