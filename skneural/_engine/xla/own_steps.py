"""Steps of a family's own in a program that is being traced: what they see, and what is minimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from skneural._compat.keras_names import clear_losses
from skneural._engine.model.dropout import key_of_call, uniform_numbers
from skneural._engine.model.template import StepInputs, Template

# Streams of random numbers that neither dropout nor augmentation draws from.
_FIRST_STREAM = 2**17
Shape = Sequence[int]


@dataclass(frozen=True)
class StepBatch:
    """What a step sees of a batch.

    ``inputs`` and ``targets`` are the rows, of shape (size, ...); ``tables`` and ``numbers`` are those of the data and
    of the step, by name. ``row_mask`` is one for rows that count and zero for those that only fill the batch up, which
    are like its last row: a loss that compares the rows of a batch with each other has to heed it.
    """

    inputs: tuple[tf.Tensor, ...]
    targets: tf.Tensor | None
    tables: Mapping[str, tf.Tensor]
    numbers: Mapping[str, tf.Tensor]
    row_mask: tf.Tensor
    key: tf.Tensor

    @property
    def size(self) -> int:
        """The number of rows, with those that do not count."""
        return int(self.row_mask.shape[0])

    def uniform(self, shape: Shape, stream: int = 0) -> tf.Tensor:
        """Draw numbers in [0, 1): others for each seed, epoch, batch and ``stream``, and always the same for these."""
        return uniform_numbers(self.key, _FIRST_STREAM + stream, list(shape))

    def integers(self, below: int | tf.Tensor, shape: Shape, stream: int = 0) -> tf.Tensor:
        """Draw whole numbers from 0 to ``below`` - 1, which must be at most 2**24, as int32."""
        drawn = tf.cast(self.uniform(shape, stream) * tf.cast(below, tf.float32), tf.int32)
        return tf.minimum(drawn, tf.cast(below, tf.int32) - 1)


class StepCall:
    """A network's model as a function of rows, with the weights of the moment; a step may call it several times."""

    def __init__(
        self, template: Template, present: StepInputs, scope: keras.StatelessScope, size: int, *, training: bool
    ) -> None:
        self._template = template
        self._present = present
        self._scope = scope
        self._size = size
        self._training = training
        self._n_calls = 0
        self._added: list[tf.Tensor] = []

    def __call__(
        self,
        inputs: Any,
        output: str | Sequence[str] | None = None,
        *,
        training: bool | None = None,
        row_mask: tf.Tensor | None = None,
    ) -> Any:
        """Give what the model makes of rows, as many as there may be, or the outputs of the layers that are named.

        ``training`` is by default true in training and false in validation. ``row_mask`` tells which of the rows count,
        where they are not those of the batch and layers normalise over rows. Each call has dropout masks of its own.
        """
        first = tf.convert_to_tensor(keras.tree.flatten(inputs)[0])
        self._template.step = replace(
            self._present,
            row_mask=self._mask_of(first, row_mask),
            dropout_key=key_of_call(self._present.dropout_key, self._n_calls),
        )
        self._n_calls += 1
        model = self._template.part(output)
        outputs = model(inputs, training=self._training if training is None else training)
        self._added += self._take_added_losses()
        self._template.step = self._present
        return outputs

    def layer(self, name: str) -> keras.Layer:
        """Give a layer of the model: its weights are those of the moment, and it may be called on its own."""
        return self._template.model.get_layer(name)

    def _mask_of(self, rows: tf.Tensor, row_mask: tf.Tensor | None) -> tf.Tensor | None:
        if row_mask is not None or self._present.row_mask is None:
            return row_mask
        if rows.shape[0] == self._size:
            return self._present.row_mask
        if self._template.looks_at_all_rows:
            raise ValueError(
                f"The model has layers that look at all rows of a call. Tell which of these {rows.shape[0]} count "
                f"(row_mask=...): they are not the {self._size} of the batch."
            )
        return None

    def _take_added_losses(self) -> list[tf.Tensor]:
        """Give what layers have added to the loss in this call; the next call would drop it."""
        added = [tf.reduce_sum(loss) for loss in self._scope.losses]
        clear_losses(self._template.model)
        return [tf.add_n(added)] if added else []

    def penalties(self) -> list[tf.Tensor]:
        """Give the penalties on weights, and the mean over the calls of what layers have added in them."""
        added = [tf.add_n(self._added) / len(self._added)] if self._added else []
        return added + [tf.reduce_sum(loss) for loss in self._template.model.losses]
