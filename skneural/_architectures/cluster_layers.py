"""Keras layers that say how probable each cluster is for a place."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class _OfPlaces(keras.layers.Layer):
    """A layer that takes places, shape (n, d), and knows ``n_clusters``."""

    is_row_wise = True

    def __init__(self, n_clusters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_clusters = n_clusters

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"n_clusters": self.n_clusters}


@keras.saving.register_keras_serializable(package="skneural")
class StudentShares(_OfPlaces):
    """Puts behind each place z the shares q_j of the clusters, in the ratio of 1 / (1 + |z - centre_j|^2).

    Student's t distribution of one degree of freedom (Xie, Girshick and Farhadi 2016, equation 1). With
    ``keeps_places=False`` it gives the shares alone.
    """

    def __init__(self, n_clusters: int, keeps_places: bool = True, **kwargs: Any) -> None:
        super().__init__(n_clusters, **kwargs)
        self.keeps_places = keeps_places

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the centres."""
        shape = (self.n_clusters, int(input_shape[-1] or 0))
        self.centers = self.add_weight(shape=shape, initializer="glorot_uniform", name="centers")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return shares of shape (n, n_clusters), behind the places where these are kept."""
        squares = tf.reduce_sum((inputs[:, None] - tf.convert_to_tensor(self.centers)) ** 2, axis=2)
        likenesses = 1.0 / (1.0 + squares)
        shares = likenesses / tf.reduce_sum(likenesses, axis=1, keepdims=True)
        return tf.concat([inputs, shares], axis=1) if self.keeps_places else shares

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        return (input_shape[0], self.n_clusters + (int(input_shape[-1] or 0) if self.keeps_places else 0))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"keeps_places": self.keeps_places}


@keras.saving.register_keras_serializable(package="skneural")
class GaussianShares(_OfPlaces):
    """Gives the shares of the clusters of a mixture of normal distributions: each one's part of the density.

    ``log_weights`` has the shape (n_clusters,), ``means`` (n_clusters, d), and ``precisions_cholesky`` (n_clusters, d,
    d) is scikit-learn's: the matrix P with P P' the inverse of the covariance.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights."""
        k, d = self.n_clusters, int(input_shape[-1] or 0)
        self.log_weights = self.add_weight(shape=(k,), initializer="zeros", name="log_weights")
        self.means = self.add_weight(shape=(k, d), initializer="zeros", name="means")
        self.precisions_cholesky = self.add_weight(shape=(k, d, d), initializer="ones", name="precisions_cholesky")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return shares of shape (n, n_clusters)."""
        factors = tf.convert_to_tensor(self.precisions_cholesky)
        apart = inputs[:, None] - tf.convert_to_tensor(self.means)
        squares = tf.reduce_sum(tf.einsum("nkd,kde->nke", apart, factors) ** 2, axis=2)
        sizes = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factors)), axis=1)
        logarithms = tf.convert_to_tensor(self.log_weights) + sizes - 0.5 * squares
        largest = tf.reduce_max(logarithms, axis=1, keepdims=True)
        parts = tf.exp(logarithms - largest)
        return parts / tf.reduce_sum(parts, axis=1, keepdims=True)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        return (input_shape[0], self.n_clusters)


@keras.saving.register_keras_serializable(package="skneural")
class FirstColumns(keras.layers.Layer):
    """Gives the first ``n_columns`` columns of what comes in."""

    is_row_wise = True

    def __init__(self, n_columns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_columns = n_columns

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Return them, shape (n, n_columns)."""
        return inputs[:, : self.n_columns]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the outputs."""
        return (input_shape[0], self.n_columns)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return super().get_config() | {"n_columns": self.n_columns}
