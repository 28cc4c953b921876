"""Convolutions of small images and short sequences as products of matrices, pooling as maxima, in programs of XLA's.

XLA's own convolutions on CPUs take ten times as long as TensorFlow's. A product of the kernel with all windows side by
side takes half of TensorFlow's time or less where the windows of a batch are few, and the whole training loop is one
program then. Larger ones stay with TensorFlow's kernels (benchmarks/patterns.py --kernels).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any, Protocol

import keras
import tensorflow as tf

from skneural._compat.keras_names import flatten_layers

# The windows of one layer and batch, in values. Batch normalisation is several passes over its values for TensorFlow's
# kernels, while XLA joins it to what stands around it, and so pays up to larger ones.
MAX_WINDOW_VALUES = 500_000
GAIN_BY_NORMALIZATION = 2.4
GAIN_BY_RECURRENCE = 20.0

# Along each axis, before and after the inputs.
_Zeros = list[tuple[int, int]]

_MAXIMA = (keras.layers.MaxPooling1D, keras.layers.MaxPooling2D)
_MEANS = (keras.layers.AveragePooling1D, keras.layers.AveragePooling2D)
_SLOW_ALONG_SEQUENCES = (
    keras.layers.Conv1D,
    keras.layers.Conv1DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.SeparableConv1D,
)
_SLOW_IN_XLA = (
    keras.layers.Conv2D,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3D,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)


def suits_xla(model: keras.Model, batch_size: int) -> bool:
    """Tell whether XLA runs a model's training loop faster than TensorFlow's own kernels do."""
    layers = flatten_layers(model)
    is_normalized = any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    most = MAX_WINDOW_VALUES * (GAIN_BY_NORMALIZATION if is_normalized else 1)
    if any(_n_values(layer) * batch_size > most for layer in layers if isinstance(layer, _SLOW_IN_XLA)):
        return False
    # What other classes do is theirs to say: those of the recurrent families multiply matrices themselves.
    along_sequences = [layer for layer in layers if type(layer) in _SLOW_ALONG_SEQUENCES]
    if any(isinstance(layer, keras.layers.RNN) for layer in layers):
        # They gain more by XLA than convolutions beside them lose, which keep to XLA's where they have no other form.
        along_sequences = [layer for layer in along_sequences if _n_values(layer) < math.inf]
        most *= GAIN_BY_RECURRENCE
    return all(_n_values(layer) * batch_size <= most for layer in along_sequences)


def _n_values(layer: keras.layers.Layer) -> float:
    """Count the values in the windows of one row, infinitely many for a layer that has no other form or no shape."""
    if not (_is_plain_convolution(layer) or _is_plain_pooling(layer)):
        return math.inf
    try:
        sizes = layer.output.shape[1:-1]
    except AttributeError:
        # It is inside of another layer.
        return math.inf
    if None in sizes:
        return math.inf
    window = layer.kernel.shape[:-1] if _is_plain_convolution(layer) else (*layer.pool_size, layer.output.shape[-1])
    return math.prod(sizes) * math.prod(window)


def _is_plain_convolution(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) in (keras.layers.Conv1D, keras.layers.Conv2D)
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and set(layer.strides) == {1}
    )


def _is_plain_pooling(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) in _MAXIMA + _MEANS
        and layer.padding == "valid"
        and layer.data_format == "channels_last"
        and tuple(layer.strides) == tuple(layer.pool_size)
    )


class _Owner(Protocol):
    """What holds the step that is being traced."""

    @property
    def step(self) -> Any: ...


def let_layers_use_products(model: keras.Model, owner: _Owner) -> None:
    """Give convolutions and pooling layers their other form in steps that XLA compiles (``owner.step.is_compiled``)."""
    for layer in flatten_layers(model):
        if _is_plain_convolution(layer):
            layer.call = _Either(owner, _Convolution(layer), layer.call)
        elif _is_plain_pooling(layer):
            layer.call = _Either(owner, _Pooling(layer.pool_size, type(layer) in _MAXIMA), layer.call)


class _Either:
    """One function in steps that XLA compiles, another elsewhere."""

    def __init__(self, owner: _Owner, compiled: Any, other: Any) -> None:
        self._owner = owner
        self._compiled = compiled
        self._other = other

    def __call__(self, *tensors: Any, **named: Any) -> tf.Tensor:
        step = self._owner.step
        return (self._compiled if step is not None and step.is_compiled else self._other)(*tensors, **named)


class _Convolution:
    """A layer that convolves with steps of one along each axis."""

    def __init__(self, layer: keras.layers.Conv1D | keras.layers.Conv2D) -> None:
        self._layer = layer

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve (batch, *sizes, channels) with a kernel (*window, channels, filters)."""
        layer = self._layer
        kernel = tf.convert_to_tensor(layer.kernel)
        outputs = _convolved(inputs, kernel, layer.dilation_rate, _zeros_around(layer))
        if layer.use_bias:
            outputs += tf.convert_to_tensor(layer.bias)
        return outputs if layer.activation is None else layer.activation(outputs)


def _zeros_around(layer: keras.layers.Conv1D | keras.layers.Conv2D) -> _Zeros:
    reaches = [(size - 1) * rate for size, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    if layer.padding == "causal":
        return [(reach, 0) for reach in reaches]
    return [(reach // 2, reach - reach // 2) if layer.padding == "same" else (0, 0) for reach in reaches]


def _convolved(inputs: tf.Tensor, kernel: tf.Tensor, rates: Sequence[int], zeros: _Zeros) -> tf.Tensor:
    """Convolve inputs with so many zeros before and after them along each axis."""

    @tf.custom_gradient
    def convolution(inputs: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        windows = _windows(inputs, kernel, rates, zeros)

        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            flat = tf.reshape(upstream, (-1, upstream.shape[-1]))
            of_kernel = tf.matmul(tf.reshape(windows, (-1, windows.shape[-1])), flat, transpose_a=True)
            # Each input has met the kernel's values in the opposite order.
            axes = list(range(len(zeros)))
            turned = tf.transpose(tf.reverse(kernel, axes), (*axes, len(axes) + 1, len(axes)))
            reaches = [(size - 1) * rate for size, rate in zip(kernel.shape[:-2], rates, strict=True)]
            of_upstream = [
                (reach - before, reach - after) for reach, (before, after) in zip(reaches, zeros, strict=True)
            ]
            of_inputs = _product(_windows(upstream, turned, rates, of_upstream), turned)
            return of_inputs, tf.reshape(of_kernel, kernel.shape)

        return _product(windows, kernel), gradients

    return convolution(inputs, kernel)


def _windows(inputs: tf.Tensor, kernel: tf.Tensor, rates: Sequence[int], zeros: _Zeros) -> tf.Tensor:
    """Put what each place of the result is computed from side by side, (batch, *sizes, window * channels)."""
    padded = tf.pad(inputs, [(0, 0), *zeros, (0, 0)])
    window = kernel.shape[:-2]
    sizes = [have - (size - 1) * rate for have, size, rate in zip(padded.shape[1:-1], window, rates, strict=True)]
    return tf.concat(
        [
            padded[(slice(None), *(slice(start, start + size) for start, size in zip(starts, sizes, strict=True)))]
            for starts in product(*(range(0, size * rate, rate) for size, rate in zip(window, rates, strict=True)))
        ],
        axis=-1,
    )


def _product(windows: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    n_filters = kernel.shape[-1]
    flat = tf.matmul(tf.reshape(windows, (-1, windows.shape[-1])), tf.reshape(kernel, (-1, n_filters)))
    return tf.reshape(flat, (*windows.shape[:-1], n_filters))


class _Pooling:
    """The largest value or the mean of blocks that lie side by side; what is left over at the ends is dropped."""

    def __init__(self, pool_size: Iterable[int], is_maximum: bool) -> None:
        self._pool_size = tuple(pool_size)
        self._is_maximum = is_maximum

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pool (batch, *sizes, channels)."""
        ends = [size // pool * pool for size, pool in zip(inputs.shape[1:-1], self._pool_size, strict=True)]
        places = [
            inputs[(slice(None), *map(slice, starts, ends, self._pool_size))]
            for starts in product(*map(range, self._pool_size))
        ]
        if not self._is_maximum:
            return tf.add_n(places) / len(places)
        # Of equal values the first one takes the gradient, as in TensorFlow's own kernel.
        largest = places[0]
        for place in places[1:]:
            largest = tf.maximum(largest, place)
        return largest
