"""Random affine maps of images, beside scipy.ndimage and by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from skneural import ConvNetClassifier
from skneural._architectures.augmentation import RandomAffine, affine_maps, augmentation_of, moved

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

HEIGHT, WIDTH = 9, 12
IMAGES = np.random.default_rng(0).random((3, HEIGHT, WIDTH, 2)).astype(np.float32)


def mapped(images, angle=0.0, down=0.0, right=0.0, zoom=1.0, mirror=1.0):
    values = {"angles": angle, "shifts_down": down, "shifts_right": right, "zooms": zoom, "mirrors": mirror}
    tensors = {name: tf.fill([len(images)], tf.constant(value, tf.float32)) for name, value in values.items()}
    return moved(tf.constant(images), affine_maps(**tensors, image_shape=images.shape[1:3])).numpy()


def by_scipy(image, angle, down, right, zoom):
    """Turn about the middle, counter-clockwise with y downwards, grow by the zoom, then shift."""
    forward = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    backward = np.linalg.inv(forward)
    middle = (np.array(image.shape[:2]) - 1) / 2
    offset = middle - backward @ (middle + np.array([down, right]))
    channels = [
        ndimage.affine_transform(image[..., c], backward, offset, order=1, mode="nearest")
        for c in range(image.shape[2])
    ]
    return np.stack(channels, axis=-1)


@pytest.mark.parametrize(
    "values", [(0.4, 0.0, 0.0, 1.0), (0.0, 1.3, -2.1, 1.0), (0.0, 0, 0, 1.4), (-0.3, 0.7, 1.6, 0.8)]
)
def test_maps_are_those_of_scipy(values):
    ours = mapped(IMAGES, *values)
    for image, expected in zip(ours, IMAGES, strict=True):
        np.testing.assert_allclose(image, by_scipy(expected, *values), atol=1e-4)


def test_a_quarter_turn_goes_counter_clockwise():
    square = IMAGES[:, :, :HEIGHT]
    np.testing.assert_allclose(mapped(square, angle=np.pi / 2), np.rot90(square, axes=(1, 2)), atol=1e-4)


def test_shifts_go_down_and_to_the_right():
    ours = mapped(IMAGES, down=2.0, right=3.0)
    np.testing.assert_allclose(ours[:, 2:, 3:], IMAGES[:, :-2, :-3], atol=1e-5)


def test_a_mirror_exchanges_left_and_right():
    np.testing.assert_allclose(mapped(IMAGES, mirror=-1.0), IMAGES[:, :, ::-1], atol=1e-5)


def test_without_strength_and_without_training_images_stay():
    np.testing.assert_array_equal(RandomAffine()(IMAGES, training=True), IMAGES)
    layer = RandomAffine(30.0, 0.2, 0.2, True)
    np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES)
    assert not np.allclose(layer(IMAGES, training=True), IMAGES, atol=0.05)


def test_each_image_has_its_own_map_within_the_ranges():
    corner = np.zeros((500, 21, 21, 1), np.float32)
    corner[:, 10, 10] = 1.0
    shifted = RandomAffine(shift_range=0.2)(corner, training=True).numpy()[..., 0]
    rows, columns = (np.einsum("nij,ij->n", shifted, grid) for grid in np.indices((21, 21)))
    for places in (rows - 10, columns - 10):
        assert 4.0 < np.abs(places).max() <= 4.2 + 1e-4
        assert abs(places.mean()) < 0.4
        assert places.std() == pytest.approx(4.2 / np.sqrt(3), rel=0.1)
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.15


def test_half_of_the_images_are_mirrored_only_when_asked():
    images = np.tile(IMAGES[:1], (400, 1, 1, 1))
    mirrored = RandomAffine(horizontal_flip=True)(images, training=True).numpy()
    are_mirrored = np.isclose(mirrored[:, 0, 0, 0], images[0, 0, -1, 0], atol=1e-4)
    np.testing.assert_allclose(mirrored[are_mirrored], images[are_mirrored, :, ::-1], atol=1e-4)
    np.testing.assert_allclose(mirrored[~are_mirrored], images[~are_mirrored], atol=1e-4)
    assert 0.4 < are_mirrored.mean() < 0.6


def test_layer_survives_its_config():
    layer = RandomAffine(5.0, 0.1, 0.2, True)
    restored = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(restored, RandomAffine)
    assert restored.get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("augment", "got"),
    [
        ({"rotation_range": 10.0}, "'rotation_range': 10.0"),
        ({"shift": 2}, "'shift': 2"),
        ({"zoom": True}, "'zoom': True"),
        ({"horizontal_flip": 1}, "'horizontal_flip': 1"),
        ({"rotation": -1}, "'rotation': -1"),
    ],
    ids=str,
)
def test_what_augment_does_not_know_is_named(augment, got):
    with pytest.raises(ValueError, match=f"must be True, False or a dict with any of the keys.*Got {got}"):
        ConvNetClassifier(image_shape=(8, 8), augment=augment).fit(np.zeros((4, 64)), [0, 1, 0, 1])


def test_augment_changes_some_of_the_defaults():
    assert augmentation_of("", False) == {}
    defaults = {"rotation_range": 10.0, "shift_range": 0.1, "zoom_range": 0.1, "horizontal_flip": False}
    assert augmentation_of("", True) == augmentation_of("", {}) == defaults
    assert augmentation_of("", {"horizontal_flip": True}) == {**defaults, "horizontal_flip": True}
