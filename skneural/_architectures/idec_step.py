"""What improved deep embedded clustering minimises."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skneural import _engine

from .autoencoder import RECONSTRUCTION
from .clustering import PLACES_AND_SHARES

# Guo et al. 2017, section 4.2: how much the divergence counts beside the error of reconstruction.
CLUSTERING_WEIGHT = 0.1
_LEAST_SHARE = 1e-7


def idec_step(n_clusters: int) -> _engine.Step:
    """Error of reconstruction, the mean over the columns, plus 0.1 times KL(p | q) of target and present shares.

    Guo et al. 2017, equation 7, where the error is the sum over the columns in the text and their mean in the authors'
    program, which the weight of 0.1 is for.
    """

    def losses(call: Any, batch: Any) -> tf.Tensor:
        columns = batch.inputs[0]
        both, answers = call(columns, output=[PLACES_AND_SHARES, RECONSTRUCTION])
        shares = tf.maximum(both[:, -n_clusters:], _LEAST_SHARE)
        targets = tf.maximum(batch.targets, _LEAST_SHARE)
        divergence = tf.reduce_sum(targets * tf.math.log(targets / shares), axis=1)
        return tf.reduce_mean((columns - answers) ** 2, axis=1) + batch.numbers["clustering_weight"] * divergence

    return _engine.Step(("idec", n_clusters), losses, {"clustering_weight": CLUSTERING_WEIGHT})


def target_shares(shares: NDArray[Any], weights: NDArray[Any] | None) -> NDArray[np.float32]:
    """Sharpen shares q, shape (n, n_clusters), to p_ij in the ratio of q_ij^2 / sum_i q_ij.

    Xie, Girshick and Farhadi 2016, equation 3, https://arxiv.org/abs/1511.06335.
    """
    sharp = shares.astype(np.float64)
    sharp = sharp**2 / np.maximum(np.average(sharp, axis=0, weights=weights) * len(sharp), 1e-300)
    return (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32)
