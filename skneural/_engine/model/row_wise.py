"""Whether each row of a batch goes its own way from the input to the loss, so that rows may be masked out."""

from __future__ import annotations

from typing import Any

import keras

from skneural._compat.keras_names import compiled_metrics, flatten_layers, wrapped_arguments, wrapped_function

from .numbers import penalty_kinds

_MIXING_LAYERS = (keras.layers.Lambda, keras.layers.MixUp, keras.layers.CutMix)
_ROW_WISE_LOSSES = {
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
}
_ROW_WISE_LOSS_FUNCTIONS = {
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
}


def is_row_wise(model: keras.Model) -> bool:
    """Tell whether masking a row out of a batch is known to be the same as leaving it out.

    Known are layers that say so themselves (``is_row_wise``), and Keras's own layers, losses and metrics, with batch
    normalisation and activity penalties, which the engine masks itself. What a user has written may mix the rows of a
    batch in ways that nobody can see from outside.
    """
    return (
        all(_is_row_wise_layer(layer) for layer in flatten_layers(model))
        and not any(_has_bare_operations(layer) for layer in (model, *flatten_layers(model)))
        and _is_row_wise_loss(model.loss, len(model.outputs[0].shape))
        and all(_is_keras_metric(metric) for metric in getattr(compiled_metrics(model), "metrics", []))
    )


def averages_rows(model: keras.Model) -> bool:
    """Tell whether the loss over many rows is the same in batches of any size."""
    by_rows = getattr(model.loss, "reduction", "mean") in ("mean", "sum_over_batch_size")
    return by_rows and all(layer.activity_regularizer is None for layer in flatten_layers(model))


def _has_bare_operations(layer: keras.Layer) -> bool:
    """Tell whether a functional model has operations that are no layers, such as ``x + y``: they may mix rows."""
    return any(not isinstance(one, keras.Layer) for one in getattr(layer, "operations", ()))


def _is_from_keras(thing: Any) -> bool:
    return getattr(thing, "__module__", "").startswith("keras.")


def _is_row_wise_layer(layer: keras.layers.Layer) -> bool:
    # A layer of ours says so itself.
    is_known = _is_from_keras(type(layer)) or getattr(type(layer), "is_row_wise", False)
    if not is_known or isinstance(layer, _MIXING_LAYERS):
        return False
    if isinstance(layer, keras.layers.BatchNormalization) and (getattr(layer, "renorm", False) or layer.synchronized):
        return False
    penalty = layer.activity_regularizer
    return penalty is None or bool(penalty_kinds(penalty))


def _is_row_wise_loss(loss: Any, output_rank: int) -> bool:
    if loss is None:
        # A step gives a loss of each row, or heeds the mask.
        return True
    if isinstance(loss, str):
        if loss in ("crossentropy", "ce"):
            return True
        loss = keras.losses.get(loss)
    if isinstance(loss, keras.losses.Loss):
        # Its divisor is the sum of the weights, which is the number of rows only where each row has one loss.
        by_weights = loss.reduction == "mean_with_sample_weight"
        is_known = _is_from_keras(type(loss)) and type(loss).__name__ in _ROW_WISE_LOSSES
        # A loss of ours says so itself.
        return (
            (is_known or getattr(type(loss), "is_row_wise", False))
            and loss.reduction in ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")
            and wrapped_arguments(loss).get("axis", getattr(loss, "axis", -1)) in (-1, output_rank - 1)
            and not (by_weights and output_rank > 2)
        )
    return _is_from_keras(loss) and getattr(loss, "__name__", "") in _ROW_WISE_LOSS_FUNCTIONS


def _is_keras_metric(metric: keras.metrics.Metric) -> bool:
    function = wrapped_function(metric)
    is_by_row = wrapped_arguments(metric).get("axis", -1) == -1
    return is_by_row and _is_from_keras(type(metric)) and (function is None or _is_from_keras(function))
