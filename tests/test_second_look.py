"""Distances of images whose pixels may move by one, beside loops over all of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits

from skneural._geometry.image_maps import neighbors_of_images
from skneural._geometry.second_look import displaced_distances, distances_after_best_maps

IMAGES = load_digits().images[:6].astype(np.float32)[..., None]


def plain_distance(one, other):
    """Distance of two images of shape (height, width), pixel by pixel."""
    gradients = [np.stack(np.gradient(image.astype(float))) for image in (one, other)]
    first, second = (gradient / np.linalg.norm(gradient) for gradient in gradients)
    height, width = one.shape

    def at(row, column):
        is_inside = 0 <= row < height and 0 <= column < width
        return second[:, row, column] if is_inside else np.zeros(2)

    return sum(
        min(((first[:, i, j] - at(i + a, j + b)) ** 2).sum() for a in (-1, 0, 1) for b in (-1, 0, 1))
        for i in range(height)
        for j in range(width)
    )


def test_distances_are_those_of_each_pixel_in_turn():
    found = displaced_distances(IMAGES[:3], IMAGES[3:])
    expected = [plain_distance(one[..., 0], other[..., 0]) for one, other in zip(IMAGES[:3], IMAGES[3:], strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert expected[0] > 0.1


def test_a_shift_of_one_pixel_and_a_brighter_image_are_no_difference():
    image = np.zeros((1, 12, 12, 1), np.float32)
    image[0, 4:8, 3:7, 0] = np.random.default_rng(0).random((4, 4))
    np.testing.assert_allclose(displaced_distances(image, np.roll(3 * image, (1, -1), (1, 2))), 0, atol=1e-6)
    assert displaced_distances(image, np.roll(image, 3, 1))[0] > 0.1


def test_the_head_of_a_pair_is_changed_by_its_map():
    rows = np.concatenate([IMAGES, 2 * IMAGES[::-1]], axis=3).reshape(6, -1)
    mirror = sparse.csr_array(np.eye(64)[np.arange(64).reshape(8, 8)[:, ::-1].ravel()])
    heads, tails, best = np.array([0, 1, 2]), np.array([3, 4, 0]), np.array([1, 0, 1])
    found = distances_after_best_maps(rows, (heads, tails), best, [sparse.eye_array(64).tocsr(), mirror], (8, 8, 2))
    images = rows.reshape(6, 8, 8, 2)
    changed = np.stack([images[0][:, ::-1], images[1], images[2][:, ::-1]])
    np.testing.assert_allclose(found, displaced_distances(changed, images[tails]), rtol=1e-5)


def test_neighbours_of_small_images_have_their_label():
    digits = load_digits()
    X, y = digits.data[:500].astype(np.float32), digits.target[:500]
    neighbors = neighbors_of_images(X, (8, 8, 1), 10, seed=0)
    assert (y[neighbors.indices] == y[:, None]).mean() > 0.93
    assert (np.diff(neighbors.distances, axis=1) >= 0).all()


@pytest.mark.parametrize("image", [np.zeros((2, 8, 8, 1)), np.ones((2, 8, 8, 1))], ids=["empty", "even"])
def test_images_without_gradients_are_equal(image):
    assert (displaced_distances(image.astype(np.float32), image.astype(np.float32)) == 0).all()
