"""What fixed kernels see in sequences: shares of time above thresholds, and how often each of a group wins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Array = NDArray[Any]

WIDTH = 9
# Three weights of 2 among six of -1, in each of the 84 ways (Dempster et al., 2021, section 3.1.2).
TERNARY = np.full((math.comb(WIDTH, 3), WIDTH), -1.0, np.float32)
for _kernel, _places in enumerate(combinations(range(WIDTH), 3)):
    TERNARY[_kernel, list(_places)] = 2.0
N_TERNARY = len(TERNARY)
# Random kernels that compete with the others of their group (Dempster et al., 2023, section 3).
N_GROUPS, GROUP_SIZE = 64, 8
_MOST_DILATIONS = 12
# Thresholds of each kernel, over all dilations.
N_THRESHOLDS = 60


def dilations_for(n_steps: int, n_per_kernel: int = N_THRESHOLDS) -> tuple[tuple[int, int], ...]:
    """Return dilations whose kernels fit into ``n_steps``, each with its share of the thresholds of a kernel."""
    longest = math.log2(max(n_steps - 1, WIDTH - 1) / (WIDTH - 1))
    drawn = np.floor(2.0 ** np.linspace(0.0, longest, min(n_per_kernel, _MOST_DILATIONS))).astype(int)
    dilations, counts = np.unique(drawn, return_counts=True)
    ends = np.round(np.cumsum(counts) / counts.sum() * n_per_kernel).astype(int)
    shares = np.diff(ends, prepend=0)
    return tuple((int(d), int(n)) for d, n in zip(dilations, shares, strict=True) if n)


def competing_dilations(n_steps: int) -> tuple[int, ...]:
    """Return the powers of two whose kernels fit into ``n_steps``."""
    return tuple(2**power for power in range(int(math.log2(max(n_steps - 1, WIDTH - 1) / (WIDTH - 1))) + 1))


@keras.saving.register_keras_serializable("skneural")
class FixedKernels(keras.layers.Layer):
    """Features of sequences and of their differences from step to step, by kernels that no training changes.

    For each of 84 kernels with weights of 2 and -1, at each dilation, the shares of the steps at which the response is
    above some thresholds; and for random kernels in groups of eight how often each responds least of its group, and
    the sum of its responses where it is the largest, as square roots. Channels are added up, some for each kernel.

    Parameters
    ----------
    dilations : list of (int, int)
        Dilations of the kernels with thresholds, and how many thresholds each kernel has there.
    competing : list of int
        Dilations of the random kernels.

    References
    ----------
    A. Dempster, D. F. Schmidt, G. I. Webb (2021), MiniRocket, https://arxiv.org/abs/2012.08791; the same (2023),
    Hydra: competing convolutional kernels, https://arxiv.org/abs/2203.13652.
    """

    is_row_wise = True

    def __init__(self, dilations: Any, competing: Any, **keywords: Any) -> None:
        super().__init__(trainable=False, **{key: one for key, one in keywords.items() if key != "trainable"})
        self.dilations = tuple((int(dilation), int(count)) for dilation, count in dilations)
        self.competing = tuple(int(dilation) for dilation in competing)
        self.supports_masking = True

    @property
    def n_features(self) -> int:
        """Length of the vector for a sequence."""
        n_shares = N_TERNARY * sum(count for _, count in self.dilations)
        return 2 * (n_shares + 2 * N_GROUPS * GROUP_SIZE * len(self.competing))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the numbers of the kernels, for the sequences and for their differences."""
        n_channels, n_dilations = int(input_shape[-1] or 1), len(self.dilations)
        n_thresholds = sum(count for _, count in self.dilations)
        self.difference_scale = self._fixed("difference_scale", (n_channels,), "ones")
        # Which channels a kernel adds up, 1 or 0.
        self.channels = self._fixed("channels", (2, n_dilations, n_channels, N_TERNARY), "ones")
        self.thresholds = self._fixed("thresholds", (2, N_TERNARY, n_thresholds), "zeros")
        self.random_kernels = self._fixed("random_kernels", (2, WIDTH * n_channels, N_GROUPS * GROUP_SIZE), "zeros")

    def _fixed(self, name: str, shape: tuple[Any, ...], initializer: str) -> keras.Variable:
        return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False)

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Give features of shape (batch, n_features) to sequences of shape (batch, timesteps, channels)."""
        is_there = tf.ones(tf.shape(inputs)[:2], inputs.dtype) if mask is None else tf.cast(mask, inputs.dtype)
        # One after the other: the memory is that of one sequence, and no answer depends on the others.
        features = tf.map_fn(
            self._of_one,
            (inputs * is_there[..., None], is_there),
            fn_output_signature=tf.TensorSpec((self.n_features,), inputs.dtype),
        )
        features.set_shape((None, self.n_features))
        return features

    def _of_one(self, sequence: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Give the features of one sequence, shape (timesteps, channels), with the steps that are there, 1 or 0."""
        values, is_there = sequence
        later = is_there[1:] * is_there[:-1]
        differences = (values[1:] - values[:-1]) * later[:, None] / tf.cast(self.difference_scale, values.dtype)
        features: list[tf.Tensor] = []
        for form, (numbers, counted) in enumerate([(values, is_there), (differences, later)]):
            features += [self._shares(form, numbers, counted), self._wins(form, numbers, counted)]
        return tf.concat(features, axis=0)

    def _shares(self, form: int, values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        """Give the share of steps above each threshold; every other kernel leaves out steps near both ends."""
        thresholds = tf.split(tf.cast(self.thresholds[form], values.dtype), [n for _, n in self.dilations], axis=1)
        channels = tf.cast(self.channels[form], values.dtype)
        kernels = tf.reshape(TERNARY.T[:, None] * channels[:, None], (len(self.dilations), -1, N_TERNARY))
        shares: list[tf.Tensor] = []
        for place, ((dilation, _), limits) in enumerate(zip(self.dilations, thresholds, strict=True)):
            responses = tf.matmul(_windows(values, [dilation])[0], kernels[place])
            is_above = tf.cast(responses[..., None] > limits, values.dtype)
            steps = tf.stack([counted, _inner(counted, dilation)])
            sums = tf.matmul(steps, tf.reshape(is_above, (-1, N_TERNARY * limits.shape[1])))
            both = tf.reshape(sums / tf.maximum(tf.reduce_sum(steps, axis=1, keepdims=True), 1.0), (2, N_TERNARY, -1))
            takes_all = (np.arange(N_TERNARY)[:, None] + place) % 2 == 0
            shares.append(tf.reshape(tf.where(takes_all, both[0], both[1]), (-1,)))
        return tf.concat(shares, axis=0)

    def _wins(self, form: int, values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
        """Give what random kernels add up to where they are the largest of their group, and how often the smallest."""
        kernels = tf.cast(self.random_kernels[form], values.dtype)
        responses = tf.matmul(_windows(values, self.competing), kernels)
        groups = tf.reshape(responses, (len(self.competing), -1, N_GROUPS, GROUP_SIZE))
        largest = tf.where(groups >= tf.reduce_max(groups, axis=-1, keepdims=True), groups, 0.0)
        smallest = tf.cast(groups <= tf.reduce_min(groups, axis=-1, keepdims=True), values.dtype)
        won = tf.reshape(tf.stack([largest, smallest]), (2 * len(self.competing), -1, N_GROUPS * GROUP_SIZE))
        sums = tf.linalg.matvec(won, tf.broadcast_to(counted, tf.shape(won)[:2]), transpose_a=True)
        return tf.reshape(tf.sqrt(tf.maximum(sums, 0.0)), (-1,))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """There are no steps any more."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Give a vector for each sequence."""
        return (input_shape[0], self.n_features)

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer anew."""
        own = {"dilations": [list(one) for one in self.dilations], "competing": list(self.competing)}
        return super().get_config() | own


def _windows(values: tf.Tensor, dilations: Sequence[int]) -> tf.Tensor:
    """Put what each step's kernels see side by side, for each dilation: shape (n, timesteps, 9 * channels).

    Beyond both ends are zeros.
    """
    offsets = np.array(dilations)[:, None, None] * (np.arange(WIDTH) - WIDTH // 2)
    reach = int(offsets.max())
    padded = tf.pad(values, [[reach, reach], [0, 0]])
    steps = tf.range(tf.shape(values)[0])[None, :, None] + (offsets + reach).astype(np.int32)
    seen = tf.gather(padded, steps)
    return tf.reshape(seen, (len(dilations), -1, WIDTH * values.shape[1]))


def _inner(counted: tf.Tensor, dilation: int) -> tf.Tensor:
    """Leave steps out whose kernels reach beyond an end, unless that is all of them."""
    reach = dilation * (WIDTH - 1) // 2
    steps = tf.range(tf.shape(counted)[0])
    n_steps = tf.cast(tf.reduce_sum(counted), tf.int32)
    inner = counted * tf.cast((steps >= reach) & (steps < n_steps - reach), counted.dtype)
    return tf.where(tf.reduce_sum(inner) > 0, inner, counted)
