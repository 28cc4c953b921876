"""Optimizers, losses and metrics: from names, classes or instances to the arguments of ``compile``."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import keras

from skneural._compat.keras_names import optimizer_config
from skneural._compat.plain_numbers import plain_arguments
from skneural._engine import copy_of_part, fingerprint
from skneural._seeds import seeded_global_generators

from .foreign_names import value_hint
from .plain_values import check_argument_kinds


@dataclass(frozen=True)
class Compilation:
    """The arguments of ``keras.Model.compile``, from which any number of models can be compiled.

    ``owner`` is the class of the estimator that they are parameters of.
    """

    owner: str
    optimizer: type[keras.optimizers.Optimizer]
    optimizer_arguments: Mapping[str, Any]
    loss: Any
    metrics: Sequence[Any] = ()
    extras: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, model: keras.Model) -> None:
        """Compile ``model`` with an optimizer and metrics of its own."""
        model.compile(
            optimizer=_made(self.owner, "optimizer", self.optimizer, self.optimizer_arguments),
            loss=copy_of_part(self.loss),
            # Weighted as the loss is, so that a row of weight two counts twice in them too.
            weighted_metrics=[copy_of_part(metric) for metric in self.metrics] or None,
            **self.extras,
        )

    def key(self, *, without: Iterable[str]) -> Hashable:
        """Return what tells this compilation from others, but for the optimizer arguments named in ``without``."""
        # Keras counts the names of optimizers, and a pickle does not keep that number.
        left_out = {*without, "name"}
        arguments = {name: value for name, value in self.optimizer_arguments.items() if name not in left_out}
        return (
            self.optimizer,
            fingerprint((arguments, self.loss, tuple(self.metrics), dict(self.extras))),
        )


def resolve_optimizer(owner: str, optimizer: Any, arguments: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """Return the optimizer's class and its arguments, checked against the class's signature.

    ``optimizer`` is a name, a class or an instance, whose own configuration ``arguments`` may change.
    """
    _check_learning_rate(owner, arguments.get("learning_rate", 1e-3))
    arguments = plain_arguments(arguments)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return type(optimizer), optimizer_config(optimizer) | dict(arguments)
    if inspect.isclass(optimizer) and issubclass(optimizer, keras.optimizers.Optimizer):
        found = optimizer
    elif not isinstance(optimizer, str):
        raise ValueError(
            f"The 'optimizer' parameter of {owner} must be a name, a Keras optimizer or its class. Got {optimizer!r}."
        )
    else:
        found = _class_named(owner, "optimizer", optimizer, keras.optimizers, keras.optimizers.Optimizer)
    _check_arguments(owner, "optimizer", found, arguments)
    return found, dict(arguments)


def _check_learning_rate(owner: str, rate: Any) -> None:
    if isinstance(rate, Real) and 0 < float(rate) < math.inf:
        return
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        raise ValueError(
            f"The 'optimizer__learning_rate' parameter of {owner} must be a float in the range (0, inf) or a Keras "
            f"LearningRateSchedule. Got {rate!r} instead."
        )


def resolve_loss(owner: str, loss: Any, arguments: Mapping[str, Any]) -> Any:
    """Return a loss object, or the user's own function, from a name, a class, an instance or a function."""
    if inspect.isclass(loss) and issubclass(loss, keras.losses.Loss):
        found = loss
    elif isinstance(loss, str):
        name = _LOSS_SYNONYMS.get(loss.lower(), loss)
        found = _class_named(owner, "loss", name, keras.losses, keras.losses.Loss)
    elif isinstance(loss, keras.losses.Loss) or callable(loss):
        if arguments:
            raise ValueError(
                f"The parameters {_routed('loss', arguments)} of {owner} need a loss given by name or class. "
                f"Got the ready loss {loss!r}."
            )
        return loss
    else:
        raise ValueError(f"The 'loss' parameter of {owner} must be a name, a Keras loss or a function. Got {loss!r}.")
    _check_arguments(owner, "loss", found, arguments)
    return _made(owner, "loss", found, arguments)


_LOSS_SYNONYMS = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "logcosh": "log_cosh",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
}


def loss_name(loss: Any) -> str:
    """Return a loss's name in snake case: "mean_squared_error" for the class, its instances and functions."""
    if isinstance(loss, str):
        return _LOSS_SYNONYMS.get(loss.lower(), _snake(loss))
    if isinstance(loss, keras.losses.Loss):
        return _snake(type(loss).__name__)
    return _snake(getattr(loss, "__name__", type(loss).__name__))


def single_loss(model: keras.Model) -> Any:
    """Return the loss that a model with one output was compiled with, also from a list or dict of one; None without."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, Mapping):
        loss = list(loss.values())
    return loss[0] if isinstance(loss, list | tuple) and len(loss) == 1 else loss


def is_loss_of_keras(loss: Any) -> bool:
    """Whether a loss is one of Keras's own, given as a name, an instance or a function."""
    if isinstance(loss, keras.losses.Loss):
        return getattr(keras.losses, type(loss).__name__, None) is type(loss)
    return isinstance(loss, str) or getattr(keras.losses, loss_name(loss), None) is loss


def averages_rows(loss: Any) -> bool:
    """Whether a loss is known to be a mean over the rows of a batch, each of which counts alone."""
    mixes_rows = loss_name(loss) in ("circle", "dice", "tversky")
    return is_loss_of_keras(loss) and not mixes_rows and getattr(loss, "reduction", "mean") not in ("sum", "none", None)


def resolve_metrics(owner: str, metrics: Any, arguments: Mapping[str, Any]) -> list[Any]:
    """Return a list of names that Keras resolves by the loss ("accuracy"), metric objects and functions."""
    if metrics is None:
        return []
    listed = list(metrics) if isinstance(metrics, list | tuple) else [metrics]
    return [_resolve_metric(owner, metric, arguments) for metric in listed]


def _resolve_metric(owner: str, metric: Any, arguments: Mapping[str, Any]) -> Any:
    if isinstance(metric, str) and metric.lower() in ("acc", "accuracy", "ce", "crossentropy"):
        return metric
    if isinstance(metric, keras.metrics.Metric):
        return metric
    if inspect.isclass(metric) and issubclass(metric, keras.metrics.Metric):
        _check_arguments(owner, "metrics", metric, arguments)
        return _made(owner, "metrics", metric, arguments)
    if isinstance(metric, str):
        if arguments:
            found = _class_named(owner, "metrics", metric, keras.metrics, keras.metrics.Metric)
            return _resolve_metric(owner, found, arguments)
        try:
            keras.metrics.get(metric)
        except ValueError:
            _class_named(owner, "metrics", metric, keras.metrics, keras.metrics.Metric)
        return metric
    if callable(metric):
        return metric
    raise ValueError(f"The 'metrics' parameter of {owner} must hold names, Keras metrics or functions. Got {metric!r}.")


def check_activation(owner: str, activation: str | Callable[..., Any]) -> None:
    """Raise unless ``activation`` is a function or the name of one of Keras's."""
    if callable(activation):
        return
    names = _function_names(keras.activations)
    if activation not in names:
        raise_unknown(owner, "activation", activation, names)


def check_initializer(owner: str, parameter: str, initializer: Any) -> None:
    """Raise unless ``initializer`` is a Keras initializer, a function, or the name of one of Keras's."""
    if not isinstance(initializer, str):
        if callable(initializer):
            return
        raise ValueError(
            f"The {parameter!r} parameter of {owner} must be a name or a Keras initializer. Got {initializer!r}."
        )
    try:
        # Keras draws a seed for each initializer that it makes.
        with seeded_global_generators(0):
            keras.initializers.get(initializer)
    except ValueError:
        raise_unknown(owner, parameter, initializer, _class_names(keras.initializers, keras.initializers.Initializer))


def raise_unknown(owner: str, parameter: str, name: Any, known: Iterable[str]) -> None:
    """Raise the error for an unknown name, with the nearest known one."""
    hint = value_hint(parameter, str(name), known)
    raise ValueError(f"The {parameter!r} parameter of {owner} is unknown: {name!r}. {hint}")


def _class_named(owner: str, parameter: str, name: Any, module: Any, base: type) -> type:
    """Class of ``module`` whose name is ``name``, in camel or snake case."""
    classes = _classes_by_name(module, base)
    wanted = _snake(name) if isinstance(name, str) else None
    for label, item in classes.items():
        if wanted is not None and label.replace("_", "") == wanted.replace("_", ""):
            return item
    raise_unknown(owner, parameter, name, classes)
    raise AssertionError("unreachable")


@functools.cache
def _classes_by_name(module: Any, base: type) -> dict[str, type]:
    spell = str.lower if base is keras.optimizers.Optimizer else _snake
    return {spell(label): item for label, item in _classes(module, base)}


def _classes(module: Any, base: type) -> list[tuple[str, type]]:
    members = inspect.getmembers(module, lambda item: inspect.isclass(item) and issubclass(item, base))
    return [(label, item) for label, item in members if item is not base]


def _class_names(module: Any, base: type) -> list[str]:
    return [_snake(label) for label, _ in _classes(module, base)]


def _function_names(module: Any) -> list[str]:
    return [name for name, _ in inspect.getmembers(module, inspect.isfunction) if name not in _NOT_ACTIVATIONS]


_NOT_ACTIVATIONS = ("get", "serialize", "deserialize")


def _check_arguments(owner: str, parameter: str, target: type, arguments: Mapping[str, Any]) -> None:
    """Raise unless the class takes each of the routed arguments."""
    accepted = _accepted(target)
    for name in arguments:
        if name.split("__")[0] not in accepted:
            nearest = difflib.get_close_matches(name, accepted, n=1, cutoff=0.5)
            hint = f" Did you mean '{parameter}__{nearest[0]}'?" if nearest else ""
            raise ValueError(
                f"The parameter '{parameter}__{name}' of {owner} does not fit: {target.__name__} takes "
                f"{', '.join(accepted)}.{hint}"
            )
    check_argument_kinds(owner, parameter, target, arguments)


def _made(owner: str, parameter: str, target: type, arguments: Mapping[str, Any]) -> Any:
    """Call a class with routed arguments, whose values only Keras can judge."""
    try:
        return target(**plain_arguments(arguments))
    except (TypeError, ValueError) as error:
        given = _routed(parameter, arguments) or "none given"
        raise ValueError(
            f"Keras cannot make a {target.__name__} of the parameters of {owner} ({given}): {error}"
        ) from error


@functools.cache
def _accepted(target: type) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(target).parameters if name != "kwargs")


def _routed(parameter: str, arguments: Iterable[str]) -> str:
    return ", ".join(f"'{parameter}__{name}'" for name in arguments)


def _snake(name: str) -> str:
    """CamelCase to snake_case, a run of capitals as one word: "KLDivergence" -> "kl_divergence", "SGD" -> "sgd"."""
    letters = []
    for position, letter in enumerate(name):
        starts_word = letter.isupper() and position > 0 and not name[position - 1].isupper()
        ends_run = (
            letter.isupper()
            and position > 0
            and name[position - 1].isupper()
            and position + 1 < len(name)
            and name[position + 1].islower()
        )
        letters.append(("_" if starts_word or ends_run else "") + letter.lower())
    return "".join(letters).replace("__", "_")
