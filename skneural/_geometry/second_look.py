"""A closer look at images that are nearly neighbours: gradients compared, each pixel free to move by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .search import unit_rows

_PAIRS_AT_ONCE = 2048
_SHIFTS = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


def displaced_distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the distance of each pair of images, both of shape (n, height, width, channels).

    The sum over the pixels of the smallest squared difference of the gradients, over displacements of at most one pixel
    along each axis: the image distortion model of Keysers, Deselaers, Gollan and Ney (2007, section 4.4,
    https://doi.org/10.1109/TPAMI.2007.1153), for each pixel alone. The gradients of an image have the length one.
    """
    fixed, moving = _gradients(one), _gradients(other)
    height, width = one.shape[1:3]
    framed = np.pad(moving, ((0, 0), (1, 1), (1, 1), (0, 0)))
    smallest = np.full(one.shape[:3], np.inf, np.float32)
    for down, right in _SHIFTS:
        moved = framed[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]
        np.minimum(smallest, ((fixed - moved) ** 2).sum(axis=3), out=smallest)
    distances: NDArray[np.float32] = smallest.sum(axis=(1, 2))
    return distances


def _gradients(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give both derivatives of each channel, shape (n, height, width, 2 * channels), of length one for each image."""
    both = np.concatenate(np.gradient(images, axis=(1, 2)), axis=3)
    return unit_rows(both.reshape(len(both), -1)).reshape(both.shape).astype(np.float32)


def distances_after_best_maps(
    images: NDArray[np.float32],
    pairs: tuple[NDArray[Any], NDArray[Any]],
    best_maps: NDArray[np.intp],
    maps: list[sparse.csr_array],
    image_shape: tuple[int, int, int],
) -> NDArray[np.float32]:
    """Give the distance of each pair (head, tail) of images that are rows, the head changed by the map of this number.

    ``maps`` are matrices of shape (pixels, pixels).
    """
    heads, tails = pairs
    height, width, n_channels = image_shape
    distances = np.empty(len(heads), np.float32)
    by_map = np.argsort(best_maps, kind="stable")
    for start in range(0, len(heads), _PAIRS_AT_ONCE):
        chunk = by_map[start : start + _PAIRS_AT_ONCE]
        changed = np.empty((len(chunk), images.shape[1]), np.float32)
        for number in np.unique(best_maps[chunk]):
            places = np.flatnonzero(best_maps[chunk] == number)
            pixels = images[heads[chunk[places]]].reshape(len(places), height * width, n_channels)
            for channel in range(n_channels):
                changed[places[:, None], np.arange(channel, images.shape[1], n_channels)] = (
                    maps[number] @ pixels[:, :, channel].T
                ).T
        shape = (len(chunk), height, width, n_channels)
        distances[chunk] = displaced_distances(changed.reshape(shape), images[tails[chunk]].reshape(shape))
    return distances
