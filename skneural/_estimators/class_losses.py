"""What losses and metrics of classes mean: which layout of y they take, and what the network's outputs are to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat.keras_names import compile_arguments

from .compiling import is_loss_of_keras, loss_name

# Losses of margins: labels are -1 and 1 to them, and outputs of any size say by their sign which it is.
MARGIN_LOSSES = ("hinge", "squared_hinge")
# Losses that take the number of each row's class, where all others take its share in every class.
CLASS_NUMBER_LOSSES = ("sparse_categorical_crossentropy", "categorical_generalized_cross_entropy")
# Those of them that compare each row with all others, in Keras 3.15, unless the numbers have the shape (n,).
FLAT_LOSSES = ("categorical_generalized_cross_entropy",)
# What Keras resolves by the shapes of y and outputs, which do not tell labels that stand together from classes.
_ACCURACY, _CROSS_ENTROPY = ("accuracy", "acc"), ("crossentropy", "ce")


def gives_margins(model: keras.Model, loss: Any) -> bool:
    """Whether outputs are margins to a loss; those of a sigmoid or softmax lie in [0, 1] all the same."""
    return loss_name(loss) in MARGIN_LOSSES and not _ends_in_shares(model)


def _ends_in_shares(model: keras.Model) -> bool:
    layers = getattr(model, "layers", None) or [None]
    activation = getattr(layers[-1], "activation", None)
    shares = (keras.activations.sigmoid, keras.activations.softmax, keras.activations.hard_sigmoid)
    return activation in shares or isinstance(layers[-1], keras.layers.Softmax)


def layout_for(loss: Any, n_outputs: int | None) -> str:
    """Tell the layout of ``ClassTargets`` that a loss takes, beside so many outputs.

    What a loss of the user's own takes is asked of the loss itself: in the right layout a prediction of each row's own
    class costs less than one of any other. Where that does not tell, functions get numbers, as in scikeras, and
    instances of ``keras.losses.Loss`` indicators.
    """
    name = loss_name(loss)
    if name in FLAT_LOSSES:
        return "flat"
    if n_outputs == 1 or name in CLASS_NUMBER_LOSSES:
        return "ordinal"
    if is_loss_of_keras(loss):
        return "one-hot"
    found = [] if n_outputs is None else _layouts_where_right_is_cheapest(loss, n_outputs)
    usual = "one-hot" if isinstance(loss, keras.losses.Loss) else "ordinal"
    return usual if not found or {"ordinal", "one-hot"} <= set(found) else found[0]


def _layouts_where_right_is_cheapest(loss: Any, n_outputs: int) -> list[str]:
    """List the layouts in which a loss is lowest where the prediction is right."""
    n_classes = min(n_outputs, 3)
    classes, predicted = (codes.ravel() for codes in np.indices((n_classes, n_classes)))
    outputs = np.full((len(classes), n_outputs), 0.1 / n_outputs, np.float32)
    outputs[np.arange(len(classes)), predicted] += 0.9
    numbers = classes.astype(np.float32)
    layouts = {
        "ordinal": numbers[:, np.newaxis],
        "flat": numbers,
        "one-hot": (classes[:, np.newaxis] == np.arange(n_outputs)).astype(np.float32),
    }
    return [layout for layout, targets in layouts.items() if _separates(loss, targets, outputs, n_classes)]


def _separates(loss: Any, targets: NDArray[Any], outputs: NDArray[Any], n_classes: int) -> bool:
    """Whether the loss is lower for the right prediction than for wrong ones, for each class the rows of a square."""
    y_true, y_pred = keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(outputs)
    # Other than the outputs in number, so that rows cannot be taken for them.
    n_rows = 3 if outputs.shape[1] == 2 else 2
    try:
        costs = [float(np.mean(loss(y_true[row : row + 1], y_pred[row : row + 1]))) for row in range(len(outputs))]
        several = np.shape(loss(y_true[:n_rows], y_pred[:n_rows]))
    except Exception:
        # In a layout that it does not take, a loss may fail in any way.
        return False
    by_class = np.reshape(costs, (n_classes, n_classes))
    wrong = np.where(np.eye(n_classes, dtype=bool), np.inf, by_class)
    return several in ((), (n_rows,), (n_rows, 1)) and bool((np.diagonal(by_class) < wrong.min(axis=1)).all())


def settled_metrics(metrics: Any, threshold: float = 0.5) -> Any:
    """Put metrics of single outputs in the place of the names that Keras would resolve to metrics of exclusive classes.

    An output above ``threshold`` says that its label is there: 0.5 for probabilities, 0 for margins and logits.
    """
    if isinstance(metrics, Mapping):
        return {name: settled_metrics(metric, threshold) for name, metric in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [settled_metrics(metric, threshold) for metric in metrics]
    if isinstance(metrics, str) and metrics.lower() in _ACCURACY:
        return keras.metrics.BinaryAccuracy(name=metrics, threshold=threshold)
    if isinstance(metrics, str) and metrics.lower() in _CROSS_ENTROPY:
        return keras.metrics.BinaryCrossentropy(name=metrics, from_logits=threshold == 0)
    return metrics


def settle_metrics_of(model: keras.Model) -> None:
    """Compile a model anew where Keras would take names of its metrics for those of exclusive classes."""
    if not type(model).compile.__module__.startswith("keras."):
        return
    arguments = compile_arguments(model)
    settled = {name: settled_metrics(arguments[name]) for name in ("metrics", "weighted_metrics")}
    if any(_differ(settled[name], arguments[name]) for name in settled):
        model.compile(**(arguments | settled))


def _differ(settled: Any, given: Any) -> bool:
    """Whether anything but the kind of container has changed."""
    return [id(metric) for metric in keras.tree.flatten(settled)] != [
        id(metric) for metric in keras.tree.flatten(given)
    ]
