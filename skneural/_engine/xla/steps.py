"""One batch through a model, as tensors in and tensors out: loss, gradients, the optimizer's update, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from skneural._compat.keras_names import clear_losses, compiled_metrics
from skneural._engine.model.ends import packed
from skneural._engine.model.template import StepInputs, Template
from skneural._engine.obstacles import ObstacleError
from skneural._engine.records import Step

from .own_steps import StepBatch, StepCall

Tensors = list[tf.Tensor]


class RowsMeetError(Exception):
    """A model turned out to mix the rows of a batch, so that its last batch must not be padded."""


class SelfAssignmentError(ObstacleError):
    """A layer assigns to its own trained weights, which has no gradient outside of Keras's own loop."""


@dataclass
class OwnStep:
    """What trains in the place of a Keras loss, with its tables and numbers."""

    step: Step
    tables: Mapping[str, tf.Tensor]
    numbers: Mapping[str, tf.Tensor]


@dataclass
class Batch:
    """Rows of one step. ``n_rows`` counts; rows behind that repeat others and are masked out.

    Each of ``inputs`` has shape (batch, ...), targets (batch,) or (batch, n_outputs), sample_weight (batch,).
    """

    inputs: list[tf.Tensor]
    targets: tf.Tensor | None
    sample_weight: tf.Tensor | None
    n_rows: tf.Tensor | int
    is_masked: bool
    own: OwnStep | None

    @property
    def size(self) -> int:
        return int(self.inputs[0].shape[0])

    @property
    def row_mask(self) -> tf.Tensor | None:
        """One for rows that count, zero for the others, shape (batch,)."""
        return tf.cast(tf.range(self.size) < self.n_rows, tf.float32) if self.is_masked else None

    @property
    def metric_weight(self) -> tf.Tensor | None:
        """The rows' weights, zero for rows that do not count."""
        if self.row_mask is None or self.sample_weight is None:
            return self.row_mask if self.sample_weight is None else self.sample_weight
        return self.row_mask * self.sample_weight


@dataclass
class ModelState:
    """The values of a template's variables, in the order of its model and of its optimizer."""

    variables: Tensors
    optimizer: Tensors
    metrics: Tensors


def train_on_batch(template: Template, state: ModelState, batch: Batch, step: StepInputs) -> ModelState:
    """Move the weights one step down the gradient of the batch's loss."""
    trainable = [state.variables[index] for index in template.trainable_indices]
    with tf.GradientTape() as tape:
        tape.watch(trainable)
        y_pred, loss, variables = _forward(template, state, batch, step, training=True)
    if any(variables[index] is not value for index, value in zip(template.trainable_indices, trainable, strict=True)):
        raise SelfAssignmentError("a layer changes its own trained weights")
    # A step may leave some of the weights alone.
    none = tf.UnconnectedGradients.NONE if batch.own is None else tf.UnconnectedGradients.ZERO
    gradients = [
        tf.convert_to_tensor(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient
        for gradient in tape.gradient(loss, trainable, unconnected_gradients=none)
    ]
    trainable, optimizer_values = _updated(template, state.optimizer, gradients, trainable, step)
    for index, value in zip(template.trainable_indices, trainable, strict=True):
        variables[index] = value
    return ModelState(variables, optimizer_values, _updated_metrics(template, state, batch, y_pred, loss))


def _updated(
    template: Template, optimizer_values: Tensors, gradients: Tensors, trainable: Tensors, step: StepInputs
) -> tuple[Tensors, Tensors]:
    """Apply the gradients; give the new weights and the new state of the optimizer.

    What makes a model slow in XLA is never in here, and hundreds of small operations become one.
    """

    def update(values: Tensors, gradients: Tensors, trainable: Tensors) -> tuple[Tensors, Tensors]:
        if template.weight_decay_index is not None:
            template.optimizer.weight_decay = step.numbers[template.weight_decay_index]
        return template.optimizer.stateless_apply(values, gradients, trainable)

    if not step.is_compiled:
        update = tf.function(update, jit_compile=True, autograph=False)
    weights, state = update(optimizer_values, gradients, trainable)
    return list(weights), list(state)


def evaluate_on_batch(template: Template, state: ModelState, batch: Batch, step: StepInputs) -> ModelState:
    """Add a batch to the loss and the metrics."""
    y_pred, loss, _ = _forward(template, state, batch, step, training=False)
    return ModelState(state.variables, state.optimizer, _updated_metrics(template, state, batch, y_pred, loss))


def _forward(
    template: Template, state: ModelState, batch: Batch, step: StepInputs, training: bool
) -> tuple[tf.Tensor | None, tf.Tensor, Tensors]:
    """Compute the outputs, the loss, and what the model's variables have become on the way.

    A step of a family's own has no outputs that metrics could look at.
    """
    model = template.model
    template.step = step
    try:
        mapping = [*zip(model.variables, state.variables, strict=True), *_metric_mapping(model, state.metrics)]
        with keras.StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
            clear_losses(model)
            if batch.own is None:
                y_pred, loss = _keras_loss(model, batch, training)
            else:
                y_pred, loss = (
                    None,
                    _loss_of_step(StepCall(template, step, scope, batch.size, training=training), batch, step),
                )
            clear_losses(model)
        variables = [scope.get_current_value(variable) for variable in model.variables]
    finally:
        template.step = None
    return y_pred, loss, variables


def _keras_loss(model: keras.Model, batch: Batch, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """Compute the outputs and the loss that the model was compiled with."""
    inputs = packed(model, batch.inputs)
    y_pred = model(inputs, training=training)
    if batch.is_masked and getattr(y_pred, "_keras_mask", None) is not None:
        raise RowsMeetError
    weight = _loss_weight(model, batch, y_pred)
    loss = model.compute_loss(x=inputs, y=batch.targets, y_pred=y_pred, sample_weight=weight, training=training)
    return y_pred, loss


def _loss_of_step(call: StepCall, batch: Batch, step: StepInputs) -> tf.Tensor:
    """Compute the weighted mean of a step's losses of the rows that count, and the model's penalties."""
    assert batch.own is not None
    mask, weight = batch.row_mask, batch.metric_weight
    seen = StepBatch(
        inputs=tuple(batch.inputs),
        targets=batch.targets,
        tables=batch.own.tables,
        numbers=batch.own.numbers,
        row_mask=tf.ones(batch.size) if mask is None else mask,
        key=step.dropout_key,
    )
    losses = tf.cast(batch.own.step.losses(call, seen), keras.config.floatx())
    if losses.shape != (batch.size,):
        raise ValueError(
            f"The step {batch.own.step.key!r} must give one loss for each row of a batch, a tensor of shape "
            f"({batch.size},). Got one of shape {tuple(losses.shape)} instead."
        )
    losses = losses if weight is None else losses * tf.cast(weight, losses.dtype)
    mean = tf.reduce_sum(losses) / tf.cast(batch.n_rows, losses.dtype)
    return tf.add_n([mean, *(tf.cast(penalty, mean.dtype) for penalty in call.penalties())])


def _loss_weight(model: keras.Model, batch: Batch, y_pred: tf.Tensor) -> tf.Tensor | None:
    """Weights under which Keras's loss of the padded batch is that of the rows that count.

    Keras divides the weighted sum by the number of all rows, so the weights are scaled by batch / n_rows, but not where
    the loss is a plain sum or divides by the sum of the weights.
    """
    weight = batch.metric_weight
    if weight is None:
        return None
    if batch.is_masked and getattr(model.loss, "reduction", "mean") in ("mean", "sum_over_batch_size"):
        weight *= batch.size / tf.cast(batch.n_rows, tf.float32)
    # One loss per row and position of a sequence or image: the last axis holds the outputs.
    return tf.reshape(weight, [-1] + [1] * max(len(y_pred.shape) - 2, 0))


def _updated_metrics(
    template: Template, state: ModelState, batch: Batch, y_pred: tf.Tensor | None, loss: tf.Tensor
) -> Tensors:
    model = template.model
    with keras.StatelessScope(state_mapping=_metric_mapping(model, state.metrics)) as scope:
        model.metrics[0].update_state(loss, sample_weight=batch.n_rows)
        metrics = compiled_metrics(model)
        if metrics is not None:
            with _default_weight(metrics.metrics, batch.row_mask):
                metrics.update_state(batch.targets, y_pred, batch.metric_weight)
    return [scope.get_current_value(variable) for variable in model.metrics_variables]


class _default_weight:
    """Let metrics that are not weighted leave out the rows that do not count."""

    def __init__(self, metrics: list[keras.metrics.Metric], row_mask: tf.Tensor | None) -> None:
        self._metrics = metrics
        self._row_mask = row_mask

    def __enter__(self) -> None:
        if self._row_mask is None:
            return
        for metric in self._metrics:
            metric.update_state = self._weighted(metric.update_state)

    def _weighted(self, update_state: Any) -> Any:
        def update(y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return update_state(y_true, y_pred, self._row_mask if sample_weight is None else sample_weight)

        return update

    def __exit__(self, *exception: object) -> None:
        if self._row_mask is None:
            return
        for metric in self._metrics:
            del metric.update_state


def metric_results(template: Template, values: Tensors) -> dict[str, tf.Tensor]:
    """Compute the loss and the metrics by their Keras names."""
    with keras.StatelessScope(state_mapping=_metric_mapping(template.model, values)):
        results: dict[str, tf.Tensor] = template.model.get_metrics_result()
    return results


def _metric_mapping(model: keras.Model, values: Tensors) -> list[tuple[keras.Variable, tf.Tensor]]:
    return list(zip(model.metrics_variables, values, strict=True))
