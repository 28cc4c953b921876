"""A convolution whose results do not depend on the number of cores."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="skneural")
class WindowProduct(keras.layers.Layer):
    """A convolution with zeros round the border, as one product of a kernel with all windows side by side.

    TensorFlow's own convolutions add up their gradients in as many parts as there are cores; a product that XLA
    compiles does not, and with strides it has few windows, so that it takes no longer.

    Parameters
    ----------
    filters : int
        Channels of what comes out.
    size : int
        Height and width of a window, an odd number of pixels.
    strides : int
        Pixels between windows.
    kernel_initializer : str or keras.initializers.Initializer
        What the kernel of shape (size, size, channels, filters) is drawn from.
    """

    is_row_wise = True

    def __init__(
        self, filters: int, size: int, strides: int, kernel_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.size = size
        self.strides = strides
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the kernel."""
        shape = (self.size, self.size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="kernel")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return images of shape (n, height / strides, width / strides, filters), sizes rounded up."""
        n_channels = inputs.shape[-1]
        height, width = (math.ceil(side / self.strides) for side in inputs.shape[1:3])
        before = self.size // 2
        filled = tf.pad(inputs, [[0, 0], [before, before], [before, before], [0, 0]])
        windows = tf.concat(
            [
                filled[:, down : down + self.strides * height : self.strides, right :: self.strides][:, :height, :width]
                for down in range(self.size)
                for right in range(self.size)
            ],
            axis=-1,
        )
        flat = tf.reshape(windows, (-1, self.size**2 * n_channels))
        products = tf.matmul(flat, tf.reshape(self.kernel, (-1, self.filters)))
        return tf.reshape(products, (-1, height, width, self.filters))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the images that come out."""
        n_rows, height, width, _ = input_shape
        assert height is not None
        assert width is not None
        return n_rows, math.ceil(height / self.strides), math.ceil(width / self.strides), self.filters

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"filters": self.filters, "size": self.size, "strides": self.strides, "kernel_initializer": initializer}
        return super().get_config() | own
