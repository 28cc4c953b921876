"""Arguments of Keras's ``fit`` and ``predict``, from parameters and from calls: which are known, what they may be."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import keras

from .parameters import Parameters, arguments_of, check_arguments, takes_any
from .plain_values import check_plain_values

# Arguments of keras.Model.fit that a training run has fields for; the others go to Keras's own fit.
SETTINGS_ARGUMENTS = (
    "batch_size",
    "epochs",
    "initial_epoch",
    "shuffle",
    "validation_batch_size",
    "verbose",
)
# Numbers of rows and epochs: the least of each, and what may stand in its place.
_COUNTS: tuple[tuple[str, int, tuple[Any, ...]], ...] = (
    ("epochs", 0, ()),
    ("initial_epoch", 0, ()),
    ("batch_size", 1, (None, -1)),
    ("validation_batch_size", 1, (None, -1)),
)


def is_count(value: Any, least: int) -> bool:
    """Whether a value is an int of at least ``least``."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


class Schedule(NamedTuple):
    """How long one call trains, and from where.

    ``arguments`` are those of ``keras.Model.fit``, from the parameters and from the call, ``class_weight`` what holds
    in it, ``callbacks`` those of the call alone. ``declared`` are attributes
    that the call sets, such as the classes that there will ever be.
    """

    keeps_network: bool
    is_partial: bool
    epochs: Any
    initial_epoch: int
    arguments: Mapping[str, Any]
    class_weight: Any = None
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    declared: Mapping[str, Any] = MappingProxyType({})


class KerasArguments(Parameters):
    """What a call of ``fit`` or ``predict`` may be given beside data."""

    # What ``batch_size`` may be beside a number, None and -1, and ``epochs`` beside a number.
    _count_words: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    # The least that they may be, where it is more than Keras's own.
    _least_counts: ClassVar[Mapping[str, int]] = {}

    def _fit_arguments(self) -> dict[str, Any]:
        """Arguments for ``keras.Model.fit`` from parameters: those routed with ``fit__`` win."""
        flat = {name: getattr(self, name) for name in SETTINGS_ARGUMENTS if hasattr(self, name)}
        routed = {name: value for name, value in self._routed("fit").items() if not name.startswith("callbacks")}
        self._check_fit_arguments(routed, prefix="fit__")
        return flat | routed

    def _check_fit_arguments(self, arguments: Mapping[str, Any], prefix: str = "") -> None:
        """Raise for an argument that ``fit`` does not know; that of a user's model may know more than Keras's."""
        if not self._has_model_function:
            self._check_arguments_for(keras.Model.fit, arguments, prefix)

    def _check_arguments_for(self, fit: Callable[..., Any], arguments: Iterable[str], prefix: str = "") -> None:
        own = ("callbacks", "class_weight") if hasattr(self, "class_weight") else ("callbacks",)
        if fit is not keras.Model.fit and not _takes_what_keras_gives(fit):
            raise TypeError(
                f"The model of {type(self).__name__} has a fit of its own, {fit.__qualname__}. It must take what "
                "keras.Model.fit takes: x, which gives batches of rows and targets, and keywords: "
                "def fit(self, x, **keywords)."
            )
        if fit is not keras.Model.fit and takes_any(fit):
            return
        known = [*arguments_of(keras.Model.fit), *arguments_of(fit), *own]
        routed = {name.removeprefix("fit__") for name in vars(self) if name.startswith("fit__")}
        for name in arguments:
            is_routed = name in routed and not prefix
            check_arguments(f"{type(self).__name__}.fit", [name], known, "fit__" if is_routed else prefix)

    def _check_counts(self, arguments: Mapping[str, Any]) -> None:
        """Raise for numbers of rows or epochs that are out of range."""
        for name, least, words in _COUNTS:
            words += self._count_words.get(name, ())
            least = max(least, self._least_counts.get(name, 0))
            value = arguments.get(name, words[0] if words else least)
            if not (is_count(value, least) or any(value is word or value == word for word in words)):
                raise ValueError(
                    f"The {name!r} parameter of {type(self).__name__} must be an int in the range [{least}, inf)"
                    f"{''.join(f' or {word!r}' for word in words)}. Got {value!r} instead."
                )
        check_plain_values(type(self).__name__, arguments)
        fraction = arguments.get("validation_split", getattr(self, "validation_split", 0))
        if not isinstance(fraction, Real) or not 0 <= float(fraction) < 1:
            raise ValueError(
                f"The 'validation_split' parameter of {type(self).__name__} must be a float in the range [0, 1). "
                f"Got {fraction!r} instead."
            )

    def _callbacks_of_call(self, callbacks: Any) -> tuple[keras.callbacks.Callback, ...]:
        """Return the callbacks that ``fit`` was given beside those of the parameter, classes among them made."""
        self._check_callbacks(callbacks)
        return tuple(one() if inspect.isclass(one) else one for one in _flat_callbacks(callbacks))

    def _check_callbacks(self, callbacks: Any) -> None:
        for callback in _flat_callbacks(callbacks):
            kind = callback if inspect.isclass(callback) else type(callback)
            if not issubclass(kind, keras.callbacks.Callback):
                raise TypeError(
                    f"The 'callbacks' parameter of {type(self).__name__} must hold Keras callbacks, as instances or "
                    f"classes. Got {callback!r} instead. Callbacks of scikit-learn are set with set_callbacks."
                )


def _takes_what_keras_gives(fit: Callable[..., Any]) -> bool:
    """Whether a model's own ``fit`` can be called as Keras's is."""
    given: dict[str, Any] = dict.fromkeys(("epochs", "initial_epoch", "verbose", "callbacks", "shuffle"))
    try:
        inspect.signature(fit).bind(None, None, **given)
    except TypeError:
        return False
    return True


def _flat_callbacks(callbacks: Any) -> Iterator[Any]:
    """Each callback in a single one, a list or a dict, which may be nested."""
    if isinstance(callbacks, Mapping):
        callbacks = list(callbacks.values())
    if isinstance(callbacks, list | tuple):
        for item in callbacks:
            yield from _flat_callbacks(item)
    elif callbacks is not None:
        yield callbacks
