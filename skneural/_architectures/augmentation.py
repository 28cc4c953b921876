"""Keras layers at the front of an image network: small random changes in training, and the scale of the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# What ``augment=True`` means: by the name in a dict of a user's, the layer's argument, its value, and the largest one.
_AUGMENTATIONS: Mapping[str, tuple[str, Any, float]] = {
    "rotation": ("rotation_range", 10.0, 180.0),
    "shift": ("shift_range", 0.1, 1.0),
    "zoom": ("zoom_range", 0.1, 1.0),
    "horizontal_flip": ("horizontal_flip", False, 1.0),
}


def augmentation_of(owner: str, augment: bool | Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``RandomAffine`` that an estimator's ``augment`` means, or raise where it means none."""
    given = augment if isinstance(augment, Mapping) else {}
    for name, value in given.items():
        _, default, largest = _AUGMENTATIONS.get(name, ("", 0.0, 0.0))
        is_bool = isinstance(value, bool | np.bool_)
        is_number = isinstance(value, Real) and not is_bool and 0 <= float(value) <= largest
        fits = is_bool if isinstance(default, bool) else is_number
        if name not in _AUGMENTATIONS or not fits:
            raise ValueError(
                f"The 'augment' parameter of {owner} must be True, False or a dict with any of the keys 'rotation' (in "
                f"degrees, at most 180), 'shift', 'zoom' (fractions, at most 1) and 'horizontal_flip' (a bool). "
                f"Got {name!r}: {value!r}."
            )
    if not (augment or isinstance(augment, Mapping)):
        return {}
    return {argument: given.get(name, default) for name, (argument, default, _) in _AUGMENTATIONS.items()}


@keras.saving.register_keras_serializable(package="skneural")
class Standardization(keras.layers.Layer):
    """Subtracts a mean from all values and divides them by a scale, both of them weights that no gradient reaches."""

    is_row_wise = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights: a mean of zero and a scale of one."""
        self.mean = self.add_weight(shape=(), initializer="zeros", trainable=False, name="mean")
        self.scale = self.add_weight(shape=(), initializer="ones", trainable=False, name="scale")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the standardised inputs, of the same shape."""
        return (inputs - self.mean) / self.scale

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return input_shape


@keras.saving.register_keras_serializable(package="skneural")
class RandomAffine(keras.layers.Layer):
    """Turns, shifts, zooms, slants and mirrors each image at random, in training only.

    One affine map takes the place of several layers, so that pixels are interpolated (bilinear) once. What comes in
    from outside of the image repeats its edge.

    Parameters
    ----------
    rotation_range : float
        The largest angle, in degrees, to either side.
    shift_range : float
        The largest shift along each axis, as a fraction of the image's height or width.
    zoom_range : float
        The largest change of size, as a fraction; 0.1 means factors from 0.9 to 1.1.
    horizontal_flip : bool
        Whether every other image, on average, has its left and right exchanged.
    shear_range : float
        The largest slant to either side, as a shift to the right for each pixel downwards.
    """

    is_row_wise = True

    def __init__(
        self,
        rotation_range: float = 0.0,
        shift_range: float = 0.0,
        zoom_range: float = 0.0,
        horizontal_flip: bool = False,
        shear_range: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rotation_range = rotation_range
        self.shift_range = shift_range
        self.zoom_range = zoom_range
        self.horizontal_flip = horizontal_flip
        self.shear_range = shear_range
        # Angle, shift down, shift to the right, zoom, mirror, and the slant.
        self.n_uniform_numbers = 6 if shear_range else 5
        # A seed of its own keeps Keras from drawing one from Python's global generator.
        self.generator = keras.random.SeedGenerator(0)
        # XLA makes one pass over the pixels of what would be some forty operations.
        self._move = tf.function(moved, jit_compile=True, autograph=False)
        # Keras's own fit then leaves the whole model, whose convolutions would suffer, to TensorFlow's kernels.
        self.supports_jit = False

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return images of the shape (n, height, width, channels) of the inputs."""
        if not training:
            return inputs
        uniform = self.uniform_numbers(inputs.shape[0] or tf.shape(inputs)[0])
        return self._move(inputs, self._maps(uniform, inputs.shape[1:3]))

    def uniform_numbers(self, n_rows: int | tf.Tensor) -> tf.Tensor:
        """Draw numbers in [0, 1), shape (n_rows, 5 or 6); the engine puts its own source in this place."""
        return keras.random.uniform((n_rows, self.n_uniform_numbers), seed=self.generator)

    def _maps(self, uniform: tf.Tensor, image_shape: tuple[int, int]) -> tf.Tensor:
        """Make the map of each image, shape (n, 6), from its uniform numbers, shape (n, 5 or 6)."""
        height, width = image_shape
        signed = 2.0 * uniform - 1.0
        return affine_maps(
            angles=signed[:, 0] * (self.rotation_range * tf.constant(3.141592653589793 / 180.0)),
            shifts_down=signed[:, 1] * self.shift_range * height,
            shifts_right=signed[:, 2] * self.shift_range * width,
            zooms=1.0 + signed[:, 3] * self.zoom_range,
            mirrors=1.0 - 2.0 * tf.cast(uniform[:, 4] < (0.5 if self.horizontal_flip else 0.0), tf.float32),
            slants=signed[:, 5] * self.shear_range if self.shear_range else None,
            image_shape=image_shape,
        )

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("rotation_range", "shift_range", "zoom_range", "horizontal_flip", "shear_range")
        return super().get_config() | {name: getattr(self, name) for name in names}


def affine_maps(
    *,
    angles: tf.Tensor,
    shifts_down: tf.Tensor,
    shifts_right: tf.Tensor,
    zooms: tf.Tensor,
    mirrors: tf.Tensor,
    image_shape: tuple[int, int],
    slants: tf.Tensor | None = None,
) -> tf.Tensor:
    """Give for each image the map from a place in the result to the place in the image that it is taken from.

    Angles are in radians, counter-clockwise as the image is seen, about its middle; shifts in pixels; ``mirrors`` is -1
    to exchange left and right, else 1; ``slants`` in pixels to the right for each pixel downwards. All have shape (n,).
    The maps have the shape (n, 6): the place taken is at x' = a0 x + a1 y + a2, y' = a3 x + a4 y + a5.
    """
    middle_y, middle_x = (image_shape[0] - 1) / 2.0, (image_shape[1] - 1) / 2.0
    cosines, sines = tf.cos(angles) / zooms, tf.sin(angles) / zooms
    # The middle of the result, moved back by the shift, is the middle of the image.
    from_x, from_y = middle_x + shifts_right, middle_y + shifts_down
    a0, a1, a3, a4 = mirrors * cosines, -mirrors * sines, sines, cosines
    if slants is not None:
        a1, a4 = a1 - slants * a0, a4 - slants * a3
    a2 = middle_x - a0 * from_x - a1 * from_y
    a5 = middle_y - a3 * from_x - a4 * from_y
    return tf.stack([a0, a1, a2, a3, a4, a5], axis=1)


def moved(images: tf.Tensor, maps: tf.Tensor) -> tf.Tensor:
    """Move the pixels of images of shape (n, height, width, channels) along maps of shape (n, 6).

    Values between pixels are interpolated (bilinear); beyond the edge they are those of the edge.
    """
    height, width, n_channels = images.shape[1:]
    x, y = tf.range(width, dtype=maps.dtype), tf.range(height, dtype=maps.dtype)[:, None]
    a0, a1, a2, a3, a4, a5 = tf.unstack(tf.reshape(maps, (-1, 1, 1, 6)), axis=-1)
    from_x, from_y = a0 * x + a1 * y + a2, a3 * x + a4 * y + a5
    left, top = tf.floor(from_x), tf.floor(from_y)
    pixels = tf.reshape(images, (-1, height * width, n_channels))

    def at(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        places = tf.clip_by_value(rows, 0, height - 1) * width + tf.clip_by_value(columns, 0, width - 1)
        found = tf.gather(pixels, tf.cast(tf.reshape(places, (-1, height * width)), tf.int32), batch_dims=1)
        return tf.reshape(found, (-1, height, width, n_channels))

    to_right = tf.cast(from_x - left, images.dtype)[..., None]
    down = tf.cast(from_y - top, images.dtype)[..., None]
    above = (1 - to_right) * at(top, left) + to_right * at(top, left + 1)
    below = (1 - to_right) * at(top + 1, left) + to_right * at(top + 1, left + 1)
    return (1 - down) * above + down * below
