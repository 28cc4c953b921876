"""What a network that translates minimises."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from skneural import _engine

from .translation_layers import BEGIN, END, PADDING


def translation_step(label_smoothing: float) -> _engine.Step:
    """Cross-entropy of each token of the target, given those before it (teacher forcing), with smoothed labels.

    Inputs are rows of source and of target, and what each token weighs; those of padding weigh nothing. In a row
    "<s> a b <s> c" the tokens to be said are "a b </s> c </s>". Smoothed labels are a mixture of the token and of all
    tokens alike (Szegedy et al. 2016, section 7).
    """

    def losses(call: Any, batch: Any) -> tf.Tensor:
        source, target, weights = batch.inputs
        logits = call((source, target))
        smoothing = batch.numbers["label_smoothing"]
        said = tf.gather(logits, following_tokens(target), batch_dims=2)
        entropy = tf.reduce_logsumexp(logits, axis=-1) - (1 - smoothing) * said
        entropy -= smoothing * tf.reduce_mean(logits, axis=-1)
        return tf.reduce_sum(weights * entropy, axis=1)

    return _engine.Step("translates", losses, {"label_smoothing": label_smoothing})


def following_tokens(target: tf.Tensor) -> tf.Tensor:
    """Return the token that is to be said behind each token of the target; an end where a sentence is over."""
    behind = tf.pad(target[:, 1:], [[0, 0], [0, 1]], constant_values=PADDING)
    is_over = tf.logical_or(tf.equal(behind, BEGIN), tf.equal(behind, PADDING))
    return tf.where(is_over, END, behind)
