"""Dropout masks from hashed counters: no state, the same everywhere for the same seed, step and place."""

from __future__ import annotations

import tensorflow as tf


def dropped(inputs: tf.Tensor, rate: tf.Tensor, key: tf.Tensor, layer: int, mask_shape: list[int]) -> tf.Tensor:
    """Set a share ``rate`` of the inputs to zero and scale the others up; ``key`` has shape (2,): seed and step."""
    uniform = tf.cast(uniform_numbers(key, layer, mask_shape), inputs.dtype)
    rate = tf.cast(rate, inputs.dtype)
    scale = tf.math.divide_no_nan(tf.ones_like(rate), 1.0 - rate)
    return tf.where(uniform >= rate, inputs * scale, tf.zeros_like(inputs))


def uniform_numbers(key: tf.Tensor, stream: int, shape: list[int]) -> tf.Tensor:
    """Uniform numbers in [0, 1) of the given shape, a function of ``key`` (uint32, seed and step) and ``stream``."""
    size = 1
    for length in shape:
        size *= length
    start = _mixed(key[0] ^ tf.constant((stream * 0x9E3779B9 + 0x7F4A7C15) & 0xFFFFFFFF, tf.uint32))
    start = _mixed(start + key[1] * tf.constant(0x85EBCA6B, tf.uint32))
    counters = tf.cast(tf.range(size), tf.uint32) * tf.constant(0x9E3779B9, tf.uint32)
    bits = _mixed(_mixed(counters + start) ^ start)
    # The 24 highest bits are what a float32 can tell apart.
    return tf.reshape(tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) * 2.0**-24, shape)


def key_of_call(key: tf.Tensor, call: int) -> tf.Tensor:
    """Give the key of the masks of a step's ``call``-th way through the model; that of the first is ``key`` itself."""
    if call == 0:
        return key
    return tf.stack([_mixed(key[0] + tf.constant(call * 0xC2B2AE35 & 0xFFFFFFFF, tf.uint32)), key[1]])


def _mixed(bits: tf.Tensor) -> tf.Tensor:
    """Scramble 32-bit integers one to one: the finaliser ``lowbias32`` of Wellons (2018), bias below 0.18."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = (bits ^ tf.bitwise.right_shift(bits, tf.constant(shift, tf.uint32))) * tf.constant(factor, tf.uint32)
    return bits ^ tf.bitwise.right_shift(bits, tf.constant(16, tf.uint32))
