"""Paragraphs of docstrings that several families share, each written once; ``help`` shows them in every class."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
# By the name of a parameter or attribute: its type, and what it says.
Paragraphs = Mapping[str, tuple[str, str]]

PARAMETERS: Paragraphs = {
    "hidden_layer_sizes": ("int or sequence of int", "Units of each hidden layer; ``()`` makes a linear model."),
    "activation": (
        "str, callable or sequence of them",
        'Activation of the hidden layers, one for all or one per layer: "relu", "sigmoid", "tanh", "softmax", or any '
        "other of Keras's.",
    ),
    "dropout": (
        "float",
        "Fraction in [0, 1) of each hidden layer's outputs that is dropped in a training step.",
    ),
    "batch_normalization": ("bool", "Whether each hidden layer is normalised over the batch before its activation."),
    "l2": ("float", "Weight of the sum of squared kernel weights in the objective."),
    "kernel_initializer": (
        "str, keras.initializers.Initializer or callable",
        "What the kernels are drawn from; biases start at zero.",
    ),
    "optimizer": (
        "str, class or keras.optimizers.Optimizer",
        "``optimizer__beta_1`` and the like go to its constructor.",
    ),
    "learning_rate": ("float or keras.optimizers.schedules.LearningRateSchedule", "Step size of the optimizer."),
    "learning_rate_schedule": (
        '{"constant", "cosine", "coslog4", "linear"}',
        '"cosine" lets the learning rate fall over the ``epochs`` from its full size to zero, as half a cosine wave, '
        '"linear" in a straight line; "coslog4" lets it rise and fall four times, each time twice as long as before. '
        "``partial_fit`` ignores it.",
    ),
    "epochs": ("int", "Passes over the rows; the most passes with ``early_stopping``."),
    "batch_size": (
        'int or "auto"',
        'Rows per step. "auto" is the power of two nearest to n_samples / 256, within 32 and 256.',
    ),
    "shuffle": ("bool", "Whether each epoch takes the rows in a new order."),
    "early_stopping": (
        "bool",
        "Whether to stop when the validation loss has not improved by ``tol`` for ``n_iter_no_change`` epochs, and to "
        "keep the weights of the best epoch.",
    ),
    "validation_fraction": (
        "float",
        "Fraction of the rows split off for ``early_stopping``, drawn with ``random_state``; ignored with ``X_val``.",
    ),
    "n_iter_no_change": ("int or np.inf", "Epochs without improvement before ``early_stopping`` stops."),
    "tol": ("float", "The least improvement of the validation loss that counts."),
    "warm_start": ("bool", "Whether ``fit`` goes on from the network of the last fit."),
    "callbacks": (
        "list, dict, keras.callbacks.Callback or class",
        "Keras callbacks. Those of scikit-learn are set with ``set_callbacks``.",
    ),
    "checkpoint": (
        "str, path or None",
        "A folder in which the training is kept. After a kill the same ``fit``, on the same data with the same "
        "parameters, goes on from there and ends at the same weights; one that had ended comes back at once, and any "
        "other is an error. ``{fit}`` in its name stands for the fit: each then has a folder of its own. Needs an int "
        "as ``random_state``. Training that goes on from a network (``partial_fit``, ``warm_start``) is not kept.",
    ),
    "checkpoint_every": (
        "int, str or datetime.timedelta",
        "After how much the training is kept again: epochs, or a span of time, as a timedelta or as text that "
        '``pandas.Timedelta`` reads ("5min"), at the end of the epoch in which it has passed.',
    ),
    "random_state": (
        "int, numpy.random.RandomState or None",
        "Draws initial weights, validation rows, the order of rows and dropout masks. An int gives the same result "
        "each time.",
    ),
    "verbose": ("int", "1 shows Keras's progress bar, 2 one line per epoch."),
    "**routed": (
        "dict",
        "Parameters for a part of the training, by prefix: ``optimizer__``, ``loss__``, ``metrics__``, "
        "``callbacks__``, ``compile__``, ``fit__``, ``predict__``.",
    ),
}
CLASSIFIER_PARAMETERS: Paragraphs = {
    "loss": (
        "str, class, keras.losses.Loss or callable",
        '"auto" is the cross-entropy that fits y. ``loss__label_smoothing`` and the like go to its constructor.',
    ),
    "metrics": ("str, list or None", "What ``history_`` holds beside the loss, with the rows weighted as in the loss."),
    "class_weight": (
        'dict, "balanced" or list of dict',
        'Weights of the classes by label; "balanced" makes all classes weigh the same; for multilabel y one dict with '
        "the keys 0 and 1 per column. They multiply with ``sample_weight``, and as in Keras they do not weigh rows for "
        "validation. A label that the rows lack is ignored where each of their classes has a weight.",
    ),
    "validation_fraction": (
        "float",
        "Fraction of the rows split off for ``early_stopping``, stratified and drawn with ``random_state``; ignored "
        "with ``X_val``.",
    ),
    "tol": ("float", "The least improvement of the validation loss that counts, in nats."),
}
REGRESSOR_PARAMETERS: Paragraphs = {
    "loss": (
        "str, class, keras.losses.Loss or callable",
        '"auto" is "mean_squared_error". ``loss__delta`` and the like go to its constructor.',
    ),
    "metrics": (
        "str, list or None",
        "What ``history_`` holds beside the loss, with the rows weighted as in the loss, in units of the standard "
        "deviation of y.",
    ),
    "tol": (
        "float",
        "The least improvement of the validation loss that counts, in units of the loss of scaled targets.",
    ),
}
ATTRIBUTES: Paragraphs = {
    "model_": ("keras.Sequential", "The trained network."),
    "n_features_in_": ("int", "The number of features seen in fit."),
    "feature_names_in_": ("ndarray of shape (n_features_in_,)", "Their names, where X had names of type str."),
    "history_": (
        "dict of str to list of float",
        "Loss and metrics of each epoch, those of validation behind ``val_``.",
    ),
    "loss_curve_": ("list of float", "The training loss of each epoch."),
    "n_iter_": ("int", "The number of epochs trained."),
    "best_epoch_": (
        "int",
        "The epoch, counted from 1, whose weights were kept; only with ``early_stopping``.",
    ),
    "engine_": (
        '{"compiled", "keras"}',
        "What trained: the compiled engine, or Keras's own ``fit``, with the reason logged at level INFO.",
    ),
}
CLASSIFIER_ATTRIBUTES: Paragraphs = {
    "classes_": (
        "ndarray of shape (n_classes,)",
        "The labels, sorted; for multilabel y the column numbers.",
    ),
    "n_classes_": ("int", "The number of classes."),
    "n_outputs_": ("int", "1, or for multilabel y the number of columns."),
}
REGRESSOR_ATTRIBUTES: Paragraphs = {
    "n_outputs_": ("int", "The number of columns of y."),
    "history_": (
        "dict of str to list of float",
        "Loss and metrics of each epoch, those of validation behind ``val_``, for targets as scaled inside.",
    ),
}
_WIDTH = 116
_HEADING = re.compile(r"^    (\S[^\n]*)\n    -{3,}\n", re.MULTILINE)
_ENTRY = re.compile(r"^    (\S[^\n]*?) ?:[^\n]*(?:\n        [^\n]*|\n(?=\n        ))*", re.MULTILINE)


def with_shared_paragraphs(cls: Class) -> Class:
    """Complete a class's docstring: beside its own parameters and attributes those that its bases tell of.

    Bases tell in ``_parameter_paragraphs`` and ``_attribute_paragraphs``. Parameters stand in the order of the
    constructor, with their defaults; attributes of the class's own behind the first shared one. ``best_epoch_`` is
    told of only where there is ``early_stopping``.
    """
    if cls.__doc__ is None:
        return cls
    summary, sections = _taken_apart(cls.__doc__)
    written = _entries(sections.pop("Parameters", ""))
    shared = _of_bases(cls, "_parameter_paragraphs")
    parameters = {
        "**" + name if one.kind is one.VAR_KEYWORD else name: one
        for name, one in inspect.signature(cls).parameters.items()
    }
    of_parameters = [written.get(name) or _entry(name, shared[name], one) for name, one in parameters.items()]
    own = _entries(sections.pop("Attributes", ""))
    told = _of_bases(cls, "_attribute_paragraphs")
    if "early_stopping" not in parameters:
        del told["best_epoch_"]
    of_bases = {name: _entry(name, one) for name, one in told.items()}
    first = dict(list(of_bases.items())[:1])
    of_attributes = {**first, **own, **{name: one for name, one in of_bases.items() if name not in own}}
    complete = {"Parameters": "\n".join(of_parameters), "Attributes": "\n".join(of_attributes.values()), **sections}
    parts = [f"    {title}\n    {'-' * len(title)}\n{body}" for title, body in complete.items()]
    cls.__doc__ = "\n\n".join([summary, *parts]) + "\n    "
    return cls


def _of_bases(cls: type, attribute: str) -> dict[str, tuple[str, str]]:
    """Merge what a class and its bases tell, those that are nearer to it in front of others."""
    merged: dict[str, tuple[str, str]] = {}
    for base in reversed(cls.__mro__):
        merged.update(vars(base).get(attribute, {}))
    return merged


def _taken_apart(text: str) -> tuple[str, dict[str, str]]:
    """Give a docstring's text before the first section, and its sections by their titles."""
    summary, *rest = _HEADING.split(text)
    return summary.rstrip(), {title: body.rstrip() for title, body in zip(rest[::2], rest[1::2], strict=True)}


def _entries(section: str) -> dict[str, str]:
    """Give the entries of a section by their names."""
    return {entry[1]: entry[0].rstrip() for entry in _ENTRY.finditer(section)}


def _entry(name: str, paragraph: tuple[str, str], parameter: inspect.Parameter | None = None) -> str:
    """Write an entry; of a parameter with its default."""
    kind, text = paragraph
    has_default = parameter is not None and parameter.default is not parameter.empty
    default = f", default={_shown(parameter.default)}" if parameter is not None and has_default else ""
    body = textwrap.fill(text, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8, break_on_hyphens=False)
    return f"    {name} : {kind}{default}\n{body}"


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
