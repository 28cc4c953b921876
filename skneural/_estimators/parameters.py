"""The parameters of an estimator: by name, routed to a part of the training, or those of the user's model function."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, cast

import keras
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin

from .compiling import resolve_loss, resolve_metrics, resolve_optimizer
from .copying import Copied
from .foreign_names import argument_hint, parameter_hint
from .recipe import is_same

_ROUTING_PREFIXES = ("model", "fit", "compile", "predict", "optimizer", "loss", "metrics", "callbacks", "score")


@functools.lru_cache
def signature_parameters(cls: Any) -> tuple[str, ...]:
    """Names of the constructor's parameters, sorted; ``**kwargs`` left out."""
    parameters = inspect.signature(cls.__init__).parameters.values()
    return tuple(sorted(p.name for p in parameters if p.name != "self" and p.kind is not p.VAR_KEYWORD))


@functools.lru_cache
def _inherited_parameters(cls: Any) -> frozenset[str]:
    """Names of the parameters of a class's and its bases' constructors."""
    return frozenset(name for base in cls.__mro__ if "__init__" in vars(base) for name in signature_parameters(base))


@functools.lru_cache
def _defaults(cls: Any) -> Mapping[str, Any]:
    """Default values of the parameters of a class's and its bases' constructors, those of the class itself first."""
    signatures = [
        inspect.signature(vars(base)["__init__"]) for base in reversed(cls.__mro__) if "__init__" in vars(base)
    ]
    found = (parameter for signature in signatures for parameter in signature.parameters.values())
    return {parameter.name: parameter.default for parameter in found if parameter.default is not parameter.empty}


def is_routed(name: str) -> bool:
    """Whether a parameter's name sends it on, as ``optimizer__beta_1`` does."""
    prefix, delimiter, _ = name.partition("__")
    return bool(delimiter) and prefix in _ROUTING_PREFIXES


class Parameters(Copied, CallbackSupportMixin):
    """What an estimator's parameters are, and how they are set."""

    # Whether the network is the user's own, from a function or ready.
    _has_model_function = True

    def _get_param_names(self) -> list[str]:
        owner = cast(Any, type(self))
        # A subclass may hand keywords on to the constructor of its base, which then stores them.
        inherited = _inherited_parameters(owner)
        extra = (name for name in vars(self) if is_routed(name) or name in inherited)
        return sorted({*signature_parameters(owner), *extra, *getattr(self, "_user_params", ())})

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator, routed ones such as ``optimizer__beta_1`` among them.

        Parameters
        ----------
        **params : dict
            Parameters by name.

        Returns
        -------
        self : estimator
            The estimator itself.
        """
        for name, value in params.items():
            if is_routed(name):
                setattr(self, name, value)
        flat = {name: value for name, value in params.items() if not is_routed(name)}
        # The model first: which other names there are depends on it.
        for name in sorted(flat, key=lambda name: name not in ("model", "build_fn")):
            self._set_parameter(name, flat[name])
        return self

    def _set_parameter(self, name: str, value: Any) -> None:
        """Set a parameter of the constructor, or one that the model function takes."""
        if name in self._get_param_names() or "__" in name:
            BaseEstimator.set_params(self, **{name: value})
        elif name in self._function_parameters():
            self._user_params = {*getattr(self, "_user_params", ()), name}
            setattr(self, name, value)
        else:
            known = sorted({*self._get_param_names(), *self._function_parameters()})
            raise ValueError(
                f"Invalid parameter {name!r} for estimator {type(self).__name__}.{self._hint_for(name)} "
                f"Known parameters: {', '.join(known)}."
            )

    def _model_function(self) -> Callable[..., Any] | None:
        """Return the user's function that makes a model, None where there is none."""
        model = next((item for item in (self.model, self.build_fn) if item is not None), None)
        model = getattr(self, "_keras_build_fn", None) if model is None else model
        return model if inspect.isroutine(model) or isinstance(model, functools.partial) else None

    def _function_parameters(self) -> Mapping[str, inspect.Parameter]:
        """Return the parameters of the model function, those of ``**kwargs`` left out."""
        function = self._model_function()
        parameters = {} if function is None else inspect.signature(function).parameters
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}

    def _takes_any_parameter(self) -> bool:
        """Whether the model function takes ``**kwargs``."""
        function = self._model_function()
        return function is not None and takes_any(function)

    def _hint_for(self, name: str) -> str:
        """Say what to write instead of a parameter that there is not: sentences, each behind a space, or nothing."""
        own = cast(Any, type(self))
        known = [*self._function_parameters(), *signature_parameters(own)]
        if hint := parameter_hint(name, known, has_model_function=self._has_model_function):
            return hint
        for prefix, method in (("fit", keras.Model.fit), ("compile", keras.Model.compile)):
            if name in arguments_of(method):
                return f" Give {prefix}__{name}=... instead."
        if self._model_function() is None:
            return ""
        return f" Let the model function take an argument {name!r}; then {name}=... and model__{name}=... set it."

    def _shared_parameters(self) -> set[str]:
        """Names of parameters of the constructor that the model function takes too, and that it is to be given."""
        return {
            name
            for name, parameter in self._function_parameters().items()
            if name in _defaults(cast(Any, type(self)))
            and (parameter.default is parameter.empty or not self._is_default(name))
        }

    def _is_default(self, name: str) -> bool:
        """Whether a parameter of the constructor has its default value."""
        return is_same(getattr(self, name), _defaults(cast(Any, type(self))).get(name))

    def _routed(self, prefix: str) -> dict[str, Any]:
        """Parameters named ``prefix__*``, by the rest of their names."""
        start = prefix + "__"
        return {name.removeprefix(start): value for name, value in vars(self).items() if name.startswith(start)}

    def _flat_routed(self, prefix: str) -> dict[str, Any]:
        """Routed parameters that are values of their own, not parts of an item in a list or dict."""
        return {name: value for name, value in self._routed(prefix).items() if "__" not in name}

    def _check_model_parameter(self) -> None:
        """Raise for a model that is none, and for parameters that the model function does not take."""
        owner = type(self).__name__
        model = next((item for item in (self.model, self.build_fn) if item is not None), None)
        model = getattr(self, "_keras_build_fn", None) if model is None else model
        if model is None:
            raise ValueError(
                f"{owner} needs a model. Give model=..., a function that returns a keras.Model or a ready one."
            )
        is_ready = isinstance(model, keras.Model)
        if not (is_ready or inspect.isroutine(model) or isinstance(model, functools.partial)):
            raise TypeError(
                f"The 'model' parameter of {owner} must be a function that returns a keras.Model, or a ready one. "
                f"Got {model!r} instead."
            )
        if self._takes_any_parameter():
            return
        own = [name for name in getattr(self, "_user_params", ()) if not is_routed(name)]
        for name in sorted({*own, *self._routed("model")} - set(self._function_parameters())):
            reason = "a ready model takes none" if is_ready else "neither has its model function"
            raise TypeError(f"{owner} has no parameter {name!r}, and {reason}.{self._hint_for(name)}")

    def _check_names(self) -> None:
        """Raise for an optimizer, a loss or a metric that Keras does not know."""
        owner = type(self).__name__
        if self.optimizer is not None:
            resolve_optimizer(owner, self.optimizer, self._flat_routed("optimizer"))
        self._check_loss_parameter()
        for metric in _items(self.metrics):
            if isinstance(metric, str) or not (metric is None or callable(metric)):
                resolve_metrics(owner, [metric], {})
        for prefix in ("loss", "metrics"):
            if getattr(self, prefix) is None and (routed := self._routed(prefix)):
                raise ValueError(
                    f"The parameter '{prefix}__{next(iter(routed))}' of {owner} has nothing to go to: "
                    f"{prefix}=None. Give {prefix} as a class."
                )

    def _check_loss_parameter(self) -> None:
        owner, arguments = type(self).__name__, self._flat_routed("loss")
        if self.loss is None:
            return
        is_one = not isinstance(self.loss, list | tuple | Mapping)
        for loss in _items(self.loss) if not is_one else [self.loss]:
            if isinstance(loss, str) or not callable(loss):
                resolve_loss(owner, loss, arguments)
            if isinstance(loss, str) and arguments:
                raise ValueError(
                    f"The parameters {', '.join(repr(f'loss__{name}') for name in arguments)} of {owner} need a "
                    f"loss given as a class, such as keras.losses.{type(resolve_loss(owner, loss, {})).__name__}. "
                    f"Got {self.loss!r}."
                )
            if inspect.isclass(loss) and issubclass(loss, keras.losses.Loss) and is_one:
                resolve_loss(owner, loss, {} if any("__" in name for name in self._routed("loss")) else arguments)


def _items(nested: Any) -> list[Any]:
    """Each item of a list or dict, which may be nested."""
    if isinstance(nested, Mapping):
        nested = list(nested.values())
    if isinstance(nested, list | tuple):
        return [item for one in nested for item in _items(one)]
    return [nested]


@functools.cache
def arguments_of(method: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the arguments of a method of ``keras.Model`` that a user of an estimator may give."""
    taken = ("self", "x", "y", "sample_weight", "callbacks", "class_weight")
    return tuple(name for name in inspect.signature(method).parameters if name not in taken)


def takes_any(function: Callable[..., Any]) -> bool:
    """Whether a function takes keywords of any name."""
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(function).parameters.values())


def check_arguments(owner: str, given: Iterable[str], known: Sequence[str], prefix: str = "") -> None:
    """Raise for a name that is not among the known ones, with the nearest of them."""
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = argument_hint(name) or (
                f"Did you mean {prefix + nearest[0]!r}?" if nearest else f"Known: {', '.join(known)}."
            )
            raise TypeError(f"{owner} got an unexpected argument {prefix + name!r}. {hint}")
