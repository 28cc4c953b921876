"""Objectives of autoencoders that no loss of Keras says: rows with holes, codes that are drawn."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from skneural import _engine

from .autoencoder import DISTRIBUTION, RECONSTRUCTION

# No variance is taken to be less, in units of the scaled columns.
LEAST_VARIANCE = 1e-6


def squared_error_step() -> _engine.Step:
    """Squared differences from the targets that are known, summed over the columns and divided by their number."""

    def losses(call: Any, batch: Any) -> tf.Tensor:
        known, differences = _differences(batch.targets, call(batch.inputs[0]))
        return tf.reduce_sum(known * differences**2, axis=1) / known.shape[1]

    return _engine.Step("autoencoder: squared error of what is known", losses)


def evidence_step() -> _engine.Step:
    """Minus the evidence lower bound of each row in nats (Kingma and Welling 2014, equation 3).

    The decoder's variance is the one under which the bound of the batch is largest, its mean squared error (Rybkin et
    al. 2021, section 4.2).
    """

    def losses(call: Any, batch: Any) -> tf.Tensor:
        distribution, answers = call(batch.inputs[0], output=[DISTRIBUTION, RECONSTRUCTION])
        known, differences = _differences(batch.targets, answers)
        squares, counts = tf.reduce_sum(known * differences**2, axis=1), tf.reduce_sum(known, axis=1)
        counted = tf.ones_like(counts) if batch.row_mask is None else tf.cast(batch.row_mask, counts.dtype)
        variance = tf.reduce_sum(counted * squares) / tf.maximum(tf.reduce_sum(counted * counts), 1.0)
        variance = tf.maximum(variance, LEAST_VARIANCE)
        surprise = 0.5 * (counts * tf.math.log(2.0 * math.pi * variance) + squares / variance)
        return surprise + divergence(distribution)

    return _engine.Step("autoencoder: evidence bound", losses)


def divergence(distribution: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler divergence of each code's distribution from the standard normal one, in nats, shape (n,)."""
    mean, log_variance = tf.split(distribution, 2, axis=1)
    return 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1.0, axis=1)


def _differences(targets: tf.Tensor, answers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One where a target is known and zero elsewhere, and the differences, zero where it is not."""
    is_known = tf.logical_not(tf.math.is_nan(targets))
    targets = tf.where(is_known, targets, tf.zeros_like(targets))
    known = tf.cast(is_known, answers.dtype)
    return known, known * (targets - answers)
