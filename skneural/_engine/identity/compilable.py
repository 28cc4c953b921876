"""What cannot be compiled, known before anything is tried."""

from __future__ import annotations

from typing import Any

import keras

from skneural._compat.keras_names import compile_arguments, is_overridden, leaves_weights_out, optimizer_config
from skneural._engine.distribution import strategy_in_scope
from skneural._engine.records import Settings

from .parts import is_of_keras_or_ours

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def why_not_settings(settings: Settings) -> str | None:
    """Tell what in the settings, or around the run, only Keras's own loop can do."""
    strategy = strategy_in_scope()
    if strategy is not None:
        return f"a {strategy} is in scope"
    if settings.keras_fit_arguments:
        return f"fit arguments of Keras's own: {', '.join(sorted(settings.keras_fit_arguments))}"
    for callback in settings.callbacks:
        if _needs_batches(callback):
            return f"the callback {type(callback).__name__} acts on every batch"
    return None


def why_not_model(model: keras.Model) -> str | None:
    """Tell what in a model only Keras's own loop can do."""
    if not is_of_keras_or_ours(type(model)):
        return f"the model's class {type(model).__name__} is not Keras's own"
    if getattr(model, "inputs", None) is None or getattr(model, "outputs", None) is None:
        return "the model has no defined inputs and outputs"
    if model.run_eagerly:
        return "run_eagerly=True"
    return why_not_optimizer(model.optimizer)


def why_not_loss(model: keras.Model) -> str | None:
    """Tell what in a model's loss only Keras's own loop can do."""
    if len(model.outputs) != 1:
        return "the model has several outputs"
    loss = compile_arguments(model)["loss"]
    return "the loss is not a single one" if loss is None or isinstance(loss, (list, tuple, dict)) else None


def why_not_optimizer(optimizer: Any) -> str | None:
    """Tell what in an optimizer only Keras's own loop can do."""
    name = type(optimizer).__name__
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return f"the optimizer {name} scales the loss"
    if not is_of_keras_or_ours(type(optimizer)):
        return f"the optimizer {name} is not Keras's own"
    if leaves_weights_out(optimizer):
        return f"the optimizer {name} leaves weights out of weight decay"
    config = optimizer_config(optimizer)
    if "learning_rate" not in config:
        return f"the optimizer {name} has no learning rate of its own"
    rate = config["learning_rate"]
    is_known = isinstance(rate, float | keras.optimizers.schedules.LearningRateSchedule)
    return None if is_known else "the learning rate is a function"


def _needs_batches(callback: keras.callbacks.Callback) -> bool:
    """Tell whether a callback does something at each batch that it would not do at the end of the epoch."""
    if isinstance(callback, keras.callbacks.TerminateOnNaN):
        return False
    if isinstance(callback, (keras.callbacks.ModelCheckpoint, keras.callbacks.BackupAndRestore)):
        return callback.save_freq != "epoch"
    if type(callback) is keras.callbacks.TensorBoard:
        return callback.update_freq != "epoch"
    return any(is_overridden(callback, hook) for hook in _BATCH_HOOKS)
