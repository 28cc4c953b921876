"""What a network that keeps neighbours minimises."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from skneural import _engine

from .embedding import EMBEDDING, RECONSTRUCTION

# A power of zero has no finite gradient, and rows at one place would be pushed apart without bound.
_LEAST_SQUARE_TOGETHER, _LEAST_SQUARE_APART = 1e-6, 1e-3
# A row is seen at most so far on the way to a neighbour.
_FARTHEST_SEEN = 0.5
# The weight of the distance to the free layout, beside a cross-entropy of about 1 + negative_sample_rate terms.
_WEIGHT_OF_LAYOUT = 4.0


def neighbor_step(*, mixes: bool, n_negatives: int, reconstructs: bool, numbers: dict[str, float]) -> _engine.Step:
    """Cross-entropy of likenesses with negative samples, near a layout, and the error of reconstruction.

    For a row i, a neighbour j drawn by its weight and other rows l of the batch, with places z:
    -log q(z_i, z_j) - sum_l log(1 - q(z_i, z_l)) (Sainburg, McInnes and Gentner 2021, equation 2), where
    q = 1 / (1 + a d ** (2 b)); plus a multiple of the Huber distance of z_i and z_j to their places in the layout. With
    ``mixes`` a row is seen at a random place in the first half of the way to one of its neighbours.
    """

    def losses(call: Any, batch: Any) -> tf.Tensor:
        heads, tables, numbers = batch.inputs[0], batch.tables, batch.numbers
        rows = tf.concat([heads, _drawn_neighbors(batch, heads)], axis=0)
        seen = tf.gather(tables["X"], rows)
        if mixes:
            share = _FARTHEST_SEEN * batch.uniform((2 * batch.size, 1), stream=1)
            seen += share * (tf.gather(tables["X"], _any_neighbor(batch, rows)) - seen)
        mask = tf.tile(batch.row_mask, [2])
        if reconstructs:
            places, answers = call(seen, output=[EMBEDDING, RECONSTRUCTION], row_mask=mask)
        else:
            places = call(seen, row_mask=mask)
        heads_at, tails_at = tf.split(places, 2)
        loss = tf.math.log1p(_odds(heads_at, tails_at, numbers, _LEAST_SQUARE_TOGETHER))
        for shift in range(1, n_negatives + 1):
            # Each row is encoded once: the negatives are neighbours of other rows of the batch.
            odds = _odds(heads_at, tf.roll(tails_at, shift, 0), numbers, _LEAST_SQUARE_APART)
            is_other = tf.not_equal(heads, tf.roll(rows[batch.size :], shift, 0))
            loss += tf.where(is_other, tf.math.log1p(1.0 / odds), 0.0)
        strayed = _huber(places - tf.gather(tables["layout"], rows))
        loss += _WEIGHT_OF_LAYOUT * tf.add_n(tf.split(strayed, 2))
        if reconstructs:
            errors = tf.reduce_mean((tf.gather(tables["columns"], rows) - answers) ** 2, axis=1)
            loss += numbers["reconstruction_weight"] * tf.add_n(tf.split(errors, 2))
        return loss

    return _engine.Step(("keeps neighbours", mixes, n_negatives, reconstructs), losses, numbers)


def _drawn_neighbors(batch: Any, rows: tf.Tensor) -> tf.Tensor:
    """Draw one neighbour of each row by the weights, whose cumulative shares stand in a table."""
    shares = tf.gather(batch.tables["shares"], rows)
    place = tf.reduce_sum(tf.cast(batch.uniform((batch.size, 1)) >= shares[:, :-1], tf.int32), axis=1)
    return tf.gather(tf.gather(batch.tables["neighbors"], rows), place, batch_dims=1)


def _any_neighbor(batch: Any, rows: tf.Tensor) -> tf.Tensor:
    """Draw one neighbour of each of two batches of rows, all with the same chance."""
    neighbors = batch.tables["neighbors"]
    place = batch.integers(neighbors.shape[1], (2 * batch.size,), stream=2)
    return tf.gather(tf.gather(neighbors, rows), place, batch_dims=1)


def _odds(one: tf.Tensor, other: tf.Tensor, numbers: Any, least: float) -> tf.Tensor:
    """(1 - q) / q of two places: a d ** (2 b)."""
    return numbers["a"] * (tf.reduce_sum((one - other) ** 2, axis=1) + least) ** numbers["b"]


def _huber(differences: tf.Tensor) -> tf.Tensor:
    """Half the square of differences below one, beyond in a straight line, the mean over the components."""
    size = tf.abs(differences)
    return tf.reduce_mean(tf.where(size < 1.0, 0.5 * differences**2, size - 0.5), axis=1)
