"""Keras layers round the code of an autoencoder: noise, a drawn code, a decoder's layer with its encoder's weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

_TWO_PI = 6.283185307179586


def _normal_numbers(uniform: tf.Tensor) -> tf.Tensor:
    """Make as many normal numbers of uniform ones in [0, 1), shape (n, 2 k) -> (n, k): Box and Muller (1958)."""
    first, second = tf.split(uniform, 2, axis=1)
    return tf.sqrt(-2.0 * tf.math.log(1.0 - first)) * tf.cos(_TWO_PI * second)


class _Drawing(keras.layers.Layer):
    """A layer that adds normal numbers in training, ``n_normal_numbers`` for each row."""

    is_row_wise = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A seed of its own keeps Keras from drawing one from Python's global generator.
        self.generator = keras.random.SeedGenerator(0)

    n_normal_numbers: int

    @property
    def n_uniform_numbers(self) -> int:
        return 2 * self.n_normal_numbers

    def uniform_numbers(self, n_rows: int | tf.Tensor) -> tf.Tensor:
        """Draw numbers in [0, 1); the engine puts its own source in this place."""
        return keras.random.uniform((n_rows, self.n_uniform_numbers), seed=self.generator)

    def _normal(self, inputs: tf.Tensor) -> tf.Tensor:
        return _normal_numbers(self.uniform_numbers(inputs.shape[0] or tf.shape(inputs)[0]))


@keras.saving.register_keras_serializable(package="skneural")
class AddedNoise(_Drawing):
    """Adds normal numbers of one deviation to each input, in training only.

    Parameters
    ----------
    deviation : float
        The standard deviation of the noise.
    """

    def __init__(self, deviation: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deviation = deviation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Learn how many numbers a row needs."""
        self.n_normal_numbers = int(input_shape[-1] or 0)

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return the inputs, in training with noise."""
        return inputs + self.deviation * self._normal(inputs) if training else inputs

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"deviation": self.deviation}


@keras.saving.register_keras_serializable(package="skneural")
class DrawnCode(_Drawing):
    """Takes means and logarithms of variances side by side, and gives a draw in training, else the mean."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Learn how many numbers a row needs."""
        self.n_normal_numbers = int(input_shape[-1] or 0) // 2

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Return codes of shape (n, k) from inputs of shape (n, 2 k)."""
        mean, log_variance = tf.split(inputs, 2, axis=1)
        return mean + tf.exp(0.5 * log_variance) * self._normal(inputs) if training else mean

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the codes."""
        return (input_shape[0], int(input_shape[-1] or 0) // 2)


class TiedDense(keras.layers.Layer):
    """A dense layer whose kernel is that of another one transposed; only its bias is its own.

    Of a layer that gives more than ``n_inputs`` numbers the first ones count, such as the means of a drawn code.
    """

    is_row_wise = True

    def __init__(
        self, source: keras.layers.Dense, n_inputs: int | None = None, activation: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._n_inputs = n_inputs
        # Keras would count the weights of a layer that is an attribute as this one's.
        self.source_kernel: Callable[[], Any] = lambda: source.kernel
        self.activation: Callable[[Any], Any] = keras.activations.get(activation)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the bias."""
        self.bias = self.add_weight(shape=(self.source_kernel().shape[0],), initializer="zeros", name="bias")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return outputs of shape (n, n_inputs of the other layer)."""
        return self.activation(tf.matmul(inputs, self.kernel()) + self.bias)

    def kernel(self) -> tf.Tensor:
        """Give the kernel of shape (n_inputs, n_outputs)."""
        return tf.transpose(tf.convert_to_tensor(self.source_kernel())[:, : self._n_inputs])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        return (*input_shape[:-1], int(self.source_kernel().shape[0]))


@keras.saving.register_keras_serializable(package="skneural")
class ZeroForMissing(keras.layers.Layer):
    """Puts zero in the place of each NaN."""

    is_row_wise = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return the inputs without NaN."""
        return tf.where(tf.math.is_nan(inputs), tf.zeros_like(inputs), inputs)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the inputs."""
        return input_shape
