"""Distances of images that do not see small deformations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from .principal import PrincipalColumns
from .search import Neighbors, neighboring_cells, neighbors_of_graph, unit_rows
from .second_look import distances_after_best_maps

# Images with fewer pixels than this on a side are enlarged twice, and need more maps for the same steps in pixels.
_SMALL_SIDE = 16
_N_MAPS, _N_MAPS_OF_SMALL = 40, 200
# More candidates than neighbours, so that both directions of a pair are among them; small images are looked at again.
_CANDIDATES_PER_NEIGHBOR, _CANDIDATES_PER_NEIGHBOR_OF_SMALL = 2, 3
_BLOCK_ROWS = 128
# What is stored as zero would be lost in a sum of sparse matrices.
_TINY = np.finfo(np.float32).tiny
# Up to so many images each is compared with every other one, above with those of the nearest cells.
_MOST_ROWS_COMPARED_WITH_ALL = 20_000


@dataclass(frozen=True)
class Deformations:
    """How far images are changed at random: degrees, natural logarithm, tangent, fraction of the side."""

    rotation: float = 15.0
    zoom: float = 0.15
    shear: float = 0.2
    shift: float = 0.06

    @classmethod
    def of(cls, owner: str, given: Mapping[str, Any]) -> Deformations:
        """Take some of the ranges from the 'augment' parameter of an estimator."""
        known = [field.name for field in fields(cls)]
        for name, value in given.items():
            if name not in known or not isinstance(value, Real) or value < 0:
                raise ValueError(
                    f"The 'augment' parameter of {owner} must be a bool or a dict of numbers >= 0 with any of the keys "
                    f"{', '.join(map(repr, known))}. Got {name!r}: {value!r}."
                )
        return cls(**{name: float(value) for name, value in given.items()})

    def of_layer(self) -> tuple[tuple[str, float], ...]:
        """Give the arguments of the layer that changes images in training; it zooms both sides alike."""
        return (
            ("rotation_range", self.rotation),
            ("shift_range", self.shift),
            ("zoom_range", self.zoom),
            ("shear_range", self.shear),
        )


def affine_operators(
    image_shape: tuple[int, int], ranges: Deformations, n_maps: int, generator: np.random.Generator
) -> list[sparse.csr_array]:
    """Draw affine maps of images, each as a matrix of shape (pixels, pixels) that images as columns are multiplied by.

    Values between pixels are interpolated (bilinear); beyond the edge they are those of the edge.
    """
    height, width = image_shape
    signed = generator.uniform(-1, 1, (n_maps, 7))
    return [
        resampling(*_places(image_shape, image_shape, matrix, shift), image_shape)
        for matrix, shift in zip(
            _matrices(signed, ranges), signed[:, 5:] * ranges.shift * np.array([height, width]), strict=True
        )
    ]


def _matrices(signed: NDArray[np.float64], ranges: Deformations) -> NDArray[np.float64]:
    """Make the 2 x 2 matrices (row, column) -> (row, column): a rotation, a shear and a scale for each axis."""
    angles = np.deg2rad(ranges.rotation) * signed[:, 0]
    scales = np.exp(ranges.zoom * signed[:, 1:3])
    shears = ranges.shear * signed[:, 3:5]
    rotation = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)
    shear = np.stack([scales[:, 0], shears[:, 0], shears[:, 1], scales[:, 1]], axis=1).reshape(-1, 2, 2)
    return rotation @ shear


def _places(
    to: tuple[int, int], source: tuple[int, int], matrix: NDArray[np.float64], shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give row and column in the source that each pixel of the result is taken from; the middles belong together."""
    rows, columns = np.meshgrid(np.arange(to[0]) - (to[0] - 1) / 2, np.arange(to[1]) - (to[1] - 1) / 2, indexing="ij")
    places = matrix @ np.stack([rows.ravel(), columns.ravel()]) + shift[:, None]
    return places[0] + (source[0] - 1) / 2, places[1] + (source[1] - 1) / 2


def resampling(rows: NDArray[np.float64], columns: NDArray[np.float64], source: tuple[int, int]) -> sparse.csr_array:
    """Make the matrix of shape (n_places, pixels of the source) that reads images at places between pixels."""
    top, left = np.floor(rows), np.floor(columns)
    entries = []
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - (rows - top)) * np.abs(1 - right - (columns - left))
            row = np.clip(top + down, 0, source[0] - 1).astype(int)
            column = np.clip(left + right, 0, source[1] - 1).astype(int)
            entries.append((weight, row * source[1] + column))
    values = np.concatenate([weight for weight, _ in entries])
    pixels = np.concatenate([pixel for _, pixel in entries])
    places = np.tile(np.arange(len(rows)), 4)
    return sparse.csr_array((values, (places, pixels)), shape=(len(rows), source[0] * source[1]))


def enlarging(image_shape: tuple[int, int], factor: int) -> sparse.csr_array:
    """Make the matrix that enlarges images as columns by a whole factor."""
    larger = image_shape[0] * factor, image_shape[1] * factor
    return resampling(*_places(larger, image_shape, np.eye(2) / factor, np.zeros(2)), image_shape)


@threadpool_limits.wrap(limits=1, user_api="blas")
def neighbors_of_images(
    X: NDArray[np.float32],
    image_shape: tuple[int, int, int],
    n_neighbors: int,
    *,
    ranges: Deformations | None = None,
    n_maps: int | None = None,
    seed: int = 0,
) -> Neighbors:
    """Find the images that are most like each other after a small affine map of one of the two.

    The distance of i and j is the smallest cosine distance between j and any of ``n_maps`` maps of i, or between i and
    any of j, on 50 principal axes that begin at an empty image; the same maps are drawn for all images. X has the shape
    (n_images, height * width * channels). Images of less than 16 pixels on a side are enlarged twice and get 200 maps
    instead of 40, and the nearest of them are compared again after the best map, by gradients that may be displaced
    (``second_look``). Memory is bounded: a block of images is compared at a time.
    """
    generator = np.random.default_rng(seed)
    height, width, n_channels = image_shape
    is_small = min(height, width) < _SMALL_SIDE
    n_maps = n_maps or (_N_MAPS_OF_SMALL if is_small else _N_MAPS)
    larger = enlarging((height, width), 2) if is_small else sparse.eye_array(height * width, format="csr")
    size = (height * 2, width * 2) if is_small else (height, width)
    maps = affine_operators(size, ranges or Deformations(), n_maps, generator)
    rows = _on_pixels(X, larger, n_channels) if is_small else X
    axes = PrincipalColumns.of(rows, seed)
    origin = (_background(rows, (*size, n_channels)) @ axes.kernel).astype(np.float32)
    plain = unit_rows(rows @ axes.kernel.astype(np.float32) - origin)
    # A map and the projection are both linear, so that one product of matrices gives the coordinates of a copy.
    kernels = [_kernel_of_map(axes.kernel, matrix, n_channels) for matrix in maps]
    k = min(n_neighbors, len(X) - 1)
    n_candidates = (_CANDIDATES_PER_NEIGHBOR_OF_SMALL if is_small else _CANDIDATES_PER_NEIGHBOR) * k
    found = _nearest_copies(rows, plain, kernels, origin, n_candidates, seed)
    if is_small:
        in_order = np.argsort(found.row, kind="stable")
        heads, tails = found.row[in_order], found.col[in_order]
        best = _best_maps(rows, plain, kernels, origin, heads, tails)
        unchanged = sparse.eye_array(size[0] * size[1], format="csr")
        distances = distances_after_best_maps(rows, (heads, tails), best, [unchanged, *maps], (*size, n_channels))
        found = sparse.coo_array((np.maximum(distances, _TINY), (heads, tails)), shape=found.shape)
    # Both directions of a pair are the same distance: the smaller one.
    return neighbors_of_graph(_smaller_of_both_directions(found), k)


def _on_pixels(X: NDArray[np.float32], matrix: sparse.csr_array, n_channels: int) -> NDArray[np.float32]:
    """Apply a matrix of shape (pixels after, pixels before) to each channel of images that are rows."""
    n_before, n_after = matrix.shape[1], matrix.shape[0]
    by_pixel = X.reshape(len(X), n_before, n_channels).transpose(1, 0, 2).reshape(n_before, -1)
    changed = (matrix @ by_pixel).reshape(n_after, len(X), n_channels)
    return np.ascontiguousarray(changed.transpose(1, 0, 2).reshape(len(X), -1), np.float32)


def _background(X: NDArray[np.float32], image_shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Give an empty image as a row: the median of each channel at the edges of the images."""
    images = X.reshape(-1, *image_shape)
    edges = [images[:, [0, -1]], images[:, :, [0, -1]]]
    per_channel = np.median(np.concatenate([edge.reshape(-1, image_shape[2]) for edge in edges]), axis=0)
    return np.broadcast_to(per_channel, image_shape).ravel().astype(np.float32)


def _kernel_of_map(kernel: NDArray[np.float64], matrix: sparse.csr_array, n_channels: int) -> NDArray[np.float32]:
    """Join a map of images to the projection behind it, of shape (pixels * channels, n_columns)."""
    n_pixels = matrix.shape[0]
    return (matrix.T @ kernel.reshape(n_pixels, -1)).reshape(kernel.shape).astype(np.float32)


def _nearest_copies(
    rows: NDArray[np.float32],
    plain: NDArray[np.float32],
    kernels: list[NDArray[np.float32]],
    origin: NDArray[np.float32],
    n_candidates: int,
    seed: int,
) -> sparse.coo_array:
    """Give for each image the candidates that are nearest to one of its copies, as a graph of cosine distances."""
    n_rows = len(rows)
    everyone = np.arange(n_rows)
    groups = (
        [(everyone, everyone)]
        if n_rows <= _MOST_ROWS_COMPARED_WITH_ALL
        else neighboring_cells(plain, "euclidean", seed)
    )
    graph = []
    for members, others in groups:
        others_plain = np.ascontiguousarray(plain[others].T)
        n_kept = min(n_candidates + 1, len(others))
        for start in range(0, len(members), _BLOCK_ROWS):
            block = members[start : start + _BLOCK_ROWS]
            likeness = _likeness_of_copies(rows[block], plain[block], others_plain, kernels, origin)
            kept = np.argpartition(-likeness, n_kept - 1, axis=1)[:, :n_kept]
            graph.append(
                (np.repeat(block, n_kept), others[kept].ravel(), np.take_along_axis(likeness, kept, 1).ravel())
            )
    heads, tails, likeness = (np.concatenate(parts) for parts in zip(*graph, strict=True))
    distances = np.maximum(1 - likeness, _TINY)
    return sparse.coo_array((distances, (heads, tails)), shape=(n_rows, n_rows))


def _likeness_of_copies(
    images: NDArray[np.float32],
    plain: NDArray[np.float32],
    others: NDArray[np.float32],
    kernels: list[NDArray[np.float32]],
    origin: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Give the largest cosine of any copy of each image, itself included, with each of the others' columns."""
    best = plain @ others
    of_copy = np.empty_like(best)
    for kernel in kernels:
        np.matmul(unit_rows(images @ kernel - origin), others, out=of_copy)
        np.maximum(best, of_copy, out=best)
    return best


def _best_maps(
    rows: NDArray[np.float32],
    plain: NDArray[np.float32],
    kernels: list[NDArray[np.float32]],
    origin: NDArray[np.float32],
    heads: NDArray[Any],
    tails: NDArray[Any],
) -> NDArray[np.intp]:
    """Give for each pair the number of the map of the head that is most like the tail, 0 for none; heads are sorted."""
    best = np.zeros(len(heads), np.intp)
    for start in range(0, len(rows), _BLOCK_ROWS):
        part = slice(*np.searchsorted(heads, [start, start + _BLOCK_ROWS]))
        own, others = heads[part] - start, plain[tails[part]]
        block = rows[start : start + _BLOCK_ROWS]
        largest = np.einsum("pd,pd->p", plain[heads[part]], others)
        for number, kernel in enumerate(kernels, start=1):
            likeness = np.einsum("pd,pd->p", unit_rows(block @ kernel - origin)[own], others)
            better = likeness > largest
            best[part][better] = number
            np.maximum(largest, likeness, out=largest)
    return best


def _smaller_of_both_directions(graph: sparse.coo_array) -> sparse.coo_array:
    """Give each pair that is stored in one direction or both the smaller of its distances in both directions."""
    heads, tails = np.concatenate([graph.row, graph.col]), np.concatenate([graph.col, graph.row])
    distances = np.concatenate([graph.data, graph.data])
    order = np.lexsort((distances, tails, heads))
    heads, tails, distances = heads[order], tails[order], distances[order]
    is_first = np.append(True, (heads[1:] != heads[:-1]) | (tails[1:] != tails[:-1]))
    return sparse.coo_array((distances[is_first], (heads[is_first], tails[is_first])), shape=graph.shape)
