"""Parameters that say otherwise than the model they are given with was compiled."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from numbers import Real
from typing import Any

import keras

from skneural._compat.keras_names import compile_arguments, optimizer_config, wrapped_arguments

from .compiling import is_loss_of_keras, loss_name, resolve_loss, resolve_optimizer, single_loss
from .recipe import is_same


def check_compiled_as_given(owner: str, model: keras.Model, given: Mapping[str, Any]) -> None:
    """Raise for a parameter that a model which came compiled does not heed.

    ``given`` has the parameters that go to ``compile``, by name, those left out that have their default values.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    found = (
        _of_loss(given.get("loss"), single_loss(model))
        or _of_optimizer(given.get("optimizer"), optimizer)
        or _of_rates(given, optimizer)
        or _of_metrics(given.get("metrics"), model)
        or _of_eager_mode(given.get("run_eagerly"), model)
    )
    if found is not None:
        name, got = found
        key = name.partition("__")[0]
        raise ValueError(
            f"The {name!r} parameter of {owner} is {given[name]!r}, but the model was compiled with {got}. "
            f"Give it in one place, or pass compile_kwargs[{key!r}] on to compile."
        )


def _of_loss(given: Any, compiled: Any) -> tuple[str, str] | None:
    if isinstance(given, list | tuple | dict) and len(given) == 1:
        given = next(iter(given.values() if isinstance(given, dict) else given))
    is_loss_class = inspect.isclass(given) and issubclass(given, keras.losses.Loss)
    if not (isinstance(given, str | keras.losses.Loss) or is_loss_class or inspect.isfunction(given)):
        return None
    if loss_name(given) != loss_name(compiled):
        return "loss", repr(loss_name(compiled))
    if inspect.isfunction(given) and given is not compiled and not is_loss_of_keras(given):
        return "loss", repr(compiled)
    if isinstance(given, keras.losses.Loss) and _arguments(given) != _arguments(compiled):
        return "loss", f"another with {', '.join(f'{name}={value!r}' for name, value in _arguments(compiled).items())}"
    return None


def _arguments(loss: Any) -> dict[str, Any]:
    """Return the arguments of a loss that stand in it as numbers, strings or bools."""
    if not isinstance(loss, keras.losses.Loss):
        # Named or a function: a loss of default arguments.
        loss = resolve_loss("", loss_name(loss), {})
    own = vars(loss) | wrapped_arguments(loss)
    plain = {name: value for name, value in own.items() if isinstance(value, bool | int | float | str | type(None))}
    return {name: value for name, value in plain.items() if not name.startswith("_") and name not in _NOT_ARGUMENTS}


_NOT_ARGUMENTS = ("name", "auto_name", "built")


def _of_optimizer(given: Any, compiled: keras.optimizers.Optimizer) -> tuple[str, str] | None:
    if not isinstance(given, str | type | keras.optimizers.Optimizer):
        return None
    wanted, config = resolve_optimizer("", given, {})
    if wanted not in (type(compiled), keras.optimizers.LossScaleOptimizer):
        return "optimizer", repr(type(compiled).__name__.lower())
    if isinstance(given, keras.optimizers.Optimizer) and wanted is type(compiled):
        theirs = resolve_optimizer("", compiled, {})[1]
        other = [name for name in config if name != "name" and not is_same(config[name], theirs.get(name))]
        return ("optimizer", f"one whose {other[0]} is {theirs.get(other[0])!r}") if other else None
    return None


def _of_rates(given: Mapping[str, Any], compiled: keras.optimizers.Optimizer) -> tuple[str, str] | None:
    config = optimizer_config(compiled)
    for name, value in given.items():
        prefix, _, argument = name.partition("__")
        if prefix != "optimizer" or not isinstance(value, Real) or argument not in config:
            continue
        present = config[argument]
        is_number = isinstance(present, Real)
        if not is_number or abs(float(present) - float(value)) > 1e-6 * abs(float(value)):
            return name, f"{argument}={present:g}" if is_number else f"{argument}={present!r}"
    return None


def _of_metrics(given: Any, model: keras.Model) -> tuple[str, str] | None:
    if given is None or given == []:
        return None
    arguments = compile_arguments(model)
    compiled = [name for key in ("metrics", "weighted_metrics") for name in _metric_names(arguments[key])]
    missing = set(_metric_names(given)) - set(compiled)
    if not missing:
        return None
    return "metrics", f"metrics={compiled}" if compiled else "no metrics"


def _metric_names(metrics: Any) -> list[str]:
    if metrics is None:
        return []
    if isinstance(metrics, dict):
        metrics = list(metrics.values())
    if isinstance(metrics, list | tuple):
        return [name for metric in metrics for name in _metric_names(metric)]
    return [_SYNONYMS.get(loss_name(metrics), loss_name(metrics))]


_SYNONYMS = {"acc": "accuracy", "ce": "crossentropy"}


def _of_eager_mode(given: Any, model: keras.Model) -> tuple[str, str] | None:
    return ("run_eagerly", "run_eagerly=False") if given and not model.run_eagerly else None
