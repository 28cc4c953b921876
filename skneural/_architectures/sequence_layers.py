"""Keras layers for sequences whose end is padded with NaN, which no later step may feel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

POOLINGS = ("last", "max", "average")


@keras.saving.register_keras_serializable("skneural")
class SequenceScaling(keras.layers.Layer):
    """(x - mean) / scale of each channel; steps of NaN become zeros, and the mask of the layers behind.

    Mean and scale, shape (channels,), are weights that no training changes.
    """

    is_row_wise = True

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights."""
        shape = (input_shape[-1],)
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones", trainable=False)

    def call(self, inputs: Any) -> Any:
        """Scale sequences of shape (batch, timesteps, channels)."""
        scaled = (inputs - self.mean) / self.scale
        return ops.where(ops.isnan(scaled), ops.zeros_like(scaled), scaled)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Tell which steps are there, shape (batch, timesteps)."""
        return ops.logical_not(ops.any(ops.isnan(inputs), axis=-1))


@keras.saving.register_keras_serializable("skneural")
class MaskedConv1D(keras.layers.Conv1D):
    """A convolution over time that takes masked steps for zeros, as it takes what lies beyond both ends.

    It multiplies the kernel with windows side by side, one product for all: a tenth of the time of XLA's convolution.
    """

    is_row_wise = True

    def __init__(self, filters: int, kernel_size: Any, **keywords: Any) -> None:
        super().__init__(filters, kernel_size, **({"padding": "same", "data_format": "channels_last"} | keywords))
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Convolve (batch, timesteps, channels) to (batch, timesteps, filters)."""
        if mask is not None:
            inputs = inputs * ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        width, n_steps = self.kernel_size[0], ops.shape(inputs)[1]
        padded = ops.pad(inputs, [[0, 0], [(width - 1) // 2, width // 2], [0, 0]])
        windows = ops.concatenate([padded[:, start : start + n_steps] for start in range(width)], axis=-1)
        outputs = ops.matmul(windows, ops.reshape(self.kernel, (-1, self.filters))) + self.bias
        return self.activation(outputs)


@keras.saving.register_keras_serializable("skneural")
class PoolOverTime(keras.layers.Layer):
    """One vector for a sequence: its last, largest or mean values over the steps that are there."""

    is_row_wise = True

    def __init__(self, pooling: str, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.pooling = pooling
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pool (batch, timesteps, channels) to (batch, channels)."""
        if mask is None:
            mask = ops.ones_like(inputs[..., 0], dtype="bool")
        is_there = ops.expand_dims(mask, -1)
        if self.pooling == "max":
            return ops.max(ops.where(is_there, inputs, -float("inf")), axis=1)
        counted = ops.cast(is_there, inputs.dtype)
        if self.pooling == "last":
            # The steps that are there come first.
            behind = ops.pad(counted[:, 1:], [[0, 0], [0, 1], [0, 0]])
            counted = counted * (1 - behind)
        return ops.sum(inputs * counted, axis=1) / ops.sum(counted, axis=1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """There are no steps any more."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Drop the axis of time."""
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer anew."""
        return super().get_config() | {"pooling": self.pooling}


@keras.saving.register_keras_serializable("skneural")
class SideBySide(keras.layers.Layer):
    """Networks that see the same sequences and whose outputs, a vector each, are joined."""

    is_row_wise = True

    def __init__(self, branches: list[keras.Sequential], **keywords: Any) -> None:
        super().__init__(**keywords)
        self.branches = branches
        for branch in branches:
            # Else Keras warns that a Sequential swallows the mask, although its layers get it.
            branch.supports_masking = True
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Build each branch."""
        for branch in self.branches:
            branch.build(input_shape)

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Join the outputs, shape (batch, channels of all branches)."""
        return ops.concatenate([branch(inputs, mask=mask, training=training) for branch in self.branches], axis=-1)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """There are no steps any more."""
        return

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Add up the lengths of the vectors."""
        return (input_shape[0], sum(branch.compute_output_shape(input_shape)[-1] for branch in self.branches))

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer anew."""
        return super().get_config() | {
            "branches": [keras.saving.serialize_keras_object(branch) for branch in self.branches]
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SideBySide:
        """Make the layer from its configuration."""
        branches = [keras.saving.deserialize_keras_object(branch) for branch in config["branches"]]
        return cls(**(config | {"branches": branches}))


@keras.saving.register_keras_serializable("skneural")
class MeanOfSteps(keras.layers.Layer):
    """The mean of each so many steps that follow one another, and whether there is any of them."""

    is_row_wise = True

    def __init__(self, n_steps: int, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.n_steps = n_steps
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Shorten (batch, timesteps, channels) to a length of timesteps / n_steps, rounded up."""
        if mask is None:
            mask = ops.ones_like(inputs[..., 0], dtype="bool")
        counted = ops.cast(ops.expand_dims(mask, -1), inputs.dtype)
        sums, counts = self._sums(inputs * counted), self._sums(counted)
        return sums / ops.maximum(counts, 1)

    def _sums(self, values: Any) -> Any:
        """Add up the values of each group of steps; the last one may lack some."""
        filled = ops.pad(values, [[0, 0], [0, self.n_steps - 1], [0, 0]])
        return ops.average_pool(filled, self.n_steps, self.n_steps) * self.n_steps

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Tell which groups have a step, shape (batch, timesteps / n_steps)."""
        if previous_mask is None:
            return None
        return self._sums(ops.cast(previous_mask, "float32")[..., None])[..., 0] > 0.5

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Divide the length."""
        length = input_shape[1]
        return (input_shape[0], None if length is None else -(-length // self.n_steps), *input_shape[2:])

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer anew."""
        return super().get_config() | {"n_steps": self.n_steps}


@keras.saving.register_keras_serializable("skneural")
class WeightedMean(keras.layers.Layer):
    """The mean of several answers of one shape, with a share for each."""

    is_row_wise = True

    def __init__(self, shares: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.shares = [float(share) for share in shares]

    def call(self, inputs: list[Any]) -> Any:
        """Average tensors of one shape."""
        return sum(share * one for share, one in zip(self.shares, inputs, strict=True))

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """All shapes are the same."""
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        """Return what makes the layer anew."""
        return super().get_config() | {"shares": self.shares}
