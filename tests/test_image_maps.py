"""Small deformations of images cost no distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import affine_transform, zoom
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from skneural._geometry import image_maps as _image_maps
from skneural._geometry.image_maps import Deformations, affine_operators, enlarging, neighbors_of_images
from skneural._geometry.search import nearest_neighbors

DIGITS = load_digits()
X, y = DIGITS.data.astype(np.float32), DIGITS.target
STILL = Deformations(rotation=0, zoom=0, shear=0, shift=0)


def purity(neighbors, labels):
    return (labels[neighbors.indices] == labels[:, None]).mean()


def test_no_deformation_is_the_identity():
    (operator,) = affine_operators((5, 7), STILL, 1, np.random.default_rng(0))
    np.testing.assert_allclose(operator.toarray(), np.eye(35), atol=1e-12)


@pytest.mark.parametrize("ranges", [Deformations(), Deformations(rotation=80, shift=0.4)])
def test_maps_are_those_of_scipy(ranges):
    """SciPy reads output pixel o at matrix @ o + offset, with the middle of the image as ours at the same place."""
    shape = (9, 12)
    image = np.random.default_rng(1).normal(size=shape)
    (operator,) = affine_operators(shape, ranges, 1, np.random.default_rng(3))
    signed = np.random.default_rng(3).uniform(-1, 1, (1, 7))
    matrix = _image_maps._matrices(signed, ranges)[0]
    middle = (np.array(shape) - 1) / 2
    offset = middle - matrix @ middle + signed[0, 5:] * ranges.shift * np.array(shape)
    expected = affine_transform(image, matrix, offset, order=1, mode="nearest")
    np.testing.assert_allclose((operator @ image.ravel()).reshape(shape), expected, atol=1e-12)


def test_ranges_are_what_they_say():
    signed = np.array([[1.0, 0, 0, 0, 0, 0, 0], [0, 1, -1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0]])
    rotation, scale, shear = _image_maps._matrices(signed, Deformations(rotation=90, zoom=np.log(2), shear=0.3))
    np.testing.assert_allclose(rotation, [[0, -1], [1, 0]], atol=1e-12)
    np.testing.assert_allclose(scale, [[2, 0], [0, 0.5]])
    np.testing.assert_allclose(shear, [[1, 0.3], [0, 1]])


def test_enlarged_images_are_those_of_scipy():
    image = np.random.default_rng(1).normal(size=(4, 6))
    enlarged = (enlarging((4, 6), 2) @ image.ravel()).reshape(8, 12)
    np.testing.assert_allclose(enlarged, zoom(image, 2, order=1, mode="nearest", grid_mode=True), atol=1e-12)


def test_the_distance_is_the_smallest_over_the_maps_and_both_directions():
    images = X[:40].reshape(-1, 8, 8).repeat(2, axis=1).repeat(2, axis=2).reshape(40, -1)
    maps = affine_operators((16, 16), Deformations(), 3, np.random.default_rng(5))
    copies = [images, *((operator @ images.T).T for operator in maps)]
    # 39 axes hold all that 40 centred images differ in; the copies are seen on them too.
    axes = _image_maps.PrincipalColumns.of(images, 5)
    seen = [copy @ axes.kernel for copy in copies]
    distances = np.min([cdist(copy, seen[0], "cosine") for copy in seen], axis=0)
    distances = np.minimum(distances, distances.T)
    np.fill_diagonal(distances, np.inf)
    found = neighbors_of_images(images, (16, 16, 1), 19, n_maps=3, seed=5)
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :19], atol=1e-5)


def test_neighbours_of_deformed_images_are_of_their_class():
    few, labels = X[:600], y[:600]
    plain = nearest_neighbors(few, 10, metric="euclidean", seed=0)
    assert purity(neighbors_of_images(few, (8, 8, 1), 10, seed=0), labels) > purity(plain, labels) + 0.01


def test_an_image_and_its_shifted_copy_are_neighbours():
    images = np.random.default_rng(0).normal(size=(30, 20, 20))
    images[15:] = np.roll(images[:15], 1, axis=1)
    found = neighbors_of_images(images.reshape(30, -1).astype(np.float32), (20, 20, 1), 1, n_maps=300, seed=0)
    assert (found.indices[:, 0] == np.r_[15:30, 0:15]).mean() > 0.9


def test_colours_are_moved_together():
    grey = X[:50]
    coloured = np.repeat(grey[:, :, None], 3, axis=2).reshape(50, -1)
    one = neighbors_of_images(grey, (8, 8, 1), 5, n_maps=10, seed=0)
    three = neighbors_of_images(coloured, (8, 8, 3), 5, n_maps=10, seed=0)
    assert (one.indices == three.indices).mean() > 0.95


def test_dark_on_light_has_the_neighbours_of_light_on_dark():
    one = neighbors_of_images(X[:100], (8, 8, 1), 5, n_maps=10, seed=0)
    inverted = neighbors_of_images(16 - X[:100], (8, 8, 1), 5, n_maps=10, seed=0)
    assert (one.indices == inverted.indices).mean() > 0.95


def test_cells_find_nearly_all_neighbours(monkeypatch):
    exact = neighbors_of_images(X, (8, 8, 1), 10, n_maps=10, seed=0)
    monkeypatch.setattr(_image_maps, "_MOST_ROWS_COMPARED_WITH_ALL", 1000)
    found = neighbors_of_images(X, (8, 8, 1), 10, n_maps=10, seed=0)
    assert np.mean([np.isin(one, other).mean() for one, other in zip(exact.indices, found.indices, strict=True)]) > 0.97


def test_few_or_equal_images_are_no_trouble():
    assert neighbors_of_images(X[:3], (8, 8, 1), 15, n_maps=2).indices.shape == (3, 2)
    found = neighbors_of_images(np.ones((6, 64), np.float32), (8, 8, 1), 3, n_maps=2)
    assert np.isfinite(found.distances).all()
