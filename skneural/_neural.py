"""What every estimator shares: parameters, the path from data to a trained network, prediction."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar, cast

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackContext, with_callbacks
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import InputTags, Tags, TargetTags
from sklearn.utils.validation import check_is_fitted

from . import _engine
from ._callback_marks import without_marks
from ._compat import without_retracing_warnings
from ._containers import check_container, check_one_array, shape_of
from ._features import network_inputs
from ._fitted_model import FittedModel, Run
from ._foreign_names import attribute_hint
from ._interrupts import is_called_by_the_user
from ._parallel import current_conduct
from ._parameters import arguments_of, check_arguments, takes_any
from ._plain_values import check_plain_values
from ._scikit_compat import has_callbacks, keras_callbacks
from ._seeds import draw_seeds
from ._targets import ClassTargets, RegressionTargets
from ._types import Rows
from ._validation import are_few, check_lengths, merge_equal_rows, validate_rows
from ._weights import finite_sum, multiplied, normalize_weights, validate_weights
from .exceptions import InterruptedFitWarning

# Arguments of keras.Model.fit that a training run has fields for; the others go to Keras's own fit.
_SETTINGS_ARGUMENTS = (
    "batch_size",
    "epochs",
    "initial_epoch",
    "shuffle",
    "validation_batch_size",
    "verbose",
)
_KERAS_BATCH_SIZE = 32
Estimator = TypeVar("Estimator", bound="NeuralEstimator")
Method = TypeVar("Method", bound=Callable[..., Any])


class _Rows(NamedTuple):
    """Rows on their way to the network: X of shape (n, ...), y, and weights of shape (n,) or None.

    What the classes weigh counts in training only, so it stands apart until it is known which rows are trained on.
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[Any] | None
    class_weights: NDArray[Any] | None = None

    def take(self, rows: NDArray[Any]) -> _Rows:
        weights, by_class = (None if one is None else one[rows] for one in (self.weights, self.class_weights))
        return _Rows(self.X[rows], self.y[rows], weights, by_class)

    def without_weightless(self) -> _Rows:
        return self if self.weights is None or (self.weights > 0).all() else self.take(self.weights > 0)

    def for_training(self) -> _Rows:
        return _Rows(self.X, self.y, multiplied(self.weights, self.class_weights))

    def for_judging(self) -> _Rows:
        return _Rows(self.X, self.y, self.weights)

    def as_data(self) -> _engine.Data:
        return _engine.Data(self.X, self.y, normalize_weights(self.weights))


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


@contextmanager
def _in_one_step(estimator: Estimator, *, trains_in_place: bool = False) -> Iterator[Estimator]:
    """Give a twin to work on, and take over in one step what the block has changed in it once it has succeeded.

    Whoever predicts meanwhile in another thread sees the estimator as it was, and so does the user when it fails. The
    twin shares the network: with ``trains_in_place`` that is put back when the block fails.
    """
    before = dict(vars(estimator))
    twin = object.__new__(type(estimator))
    twin.__dict__ = dict(before)
    state = before["_network"].state if trains_in_place else None
    try:
        yield twin
    except BaseException:
        if state is not None:
            before["_network"].state = state
        raise
    changed = {name: value for name, value in vars(twin).items() if name not in before or value is not before[name]}
    # What the user has set in the meantime stays. One assignment: no thread sees half of it.
    kept = {name: value for name, value in vars(estimator).items() if name in vars(twin) or name not in before}
    estimator.__dict__ = kept | changed


def _usual_rounding() -> np.errstate:
    """Let what is too small for a number be zero, and e to the power of much infinite, whatever the user's program."""
    return np.errstate(under="ignore", over="ignore")


def of_one_state(method: Method) -> Method:
    """Let a method read all attributes as one fit left them, though another thread may fit anew meanwhile."""

    @functools.wraps(method)
    def consistent(self: Any, *arguments: Any, **named: Any) -> Any:
        view = object.__new__(type(self))
        # A later fit gives the estimator another dict.
        view.__dict__ = vars(self)
        with _usual_rounding():
            return method(view, *arguments, **named)

    return cast(Method, consistent)


class NeuralEstimator(FittedModel):
    """What every estimator shares: parameters, the path from data to a trained network, prediction.

    It stands in front of scikeras's wrapper among the bases and replaces what broke there.
    """

    _seeded_by: Any
    _allows_nd = True
    # Whether predictions for a y that is a column, shape (n, 1), are a column again.
    _keeps_columns = True
    # What ``batch_size`` may be beside a number, None and -1, and ``epochs`` beside a number.
    _count_words: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    # The least that they may be, where it is more than Keras's own.
    _least_counts: ClassVar[Mapping[str, int]] = {}

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):
                # A property has raised: let it say why.
                return object.__getattribute__(self, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.{attribute_hint(name)}")

    # The very function: scikit-learn's printer knows estimators inside others by it.
    __repr__ = BaseEstimator.__repr__

    def __sklearn_is_fitted__(self) -> bool:
        return self.initialized_

    # --- fit ----------------------------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any], schedule: Schedule) -> None:
        """Run one training from the user's data to a trained network, or leave everything as it was."""
        with (
            _usual_rounding(),
            self._telling_memory_errors(),
            _in_one_step(self, trains_in_place=schedule.keeps_network) as fitted,
        ):
            fitted.__dict__.update(schedule.declared)
            fitted._fit_under_callbacks(X, y, sample_weight, validation, schedule)

    def _telling_memory_errors(self) -> AbstractContextManager[None]:
        remedy = "Fewer or smaller layers, a smaller batch_size, or fewer rows, need less."
        return _engine.telling_memory_errors(f"to fit {type(self).__name__}", remedy)

    @with_callbacks
    def _fit_under_callbacks(
        self, X: Any, y: Any, sample_weight: Any, validation: tuple[Any, Any, Any], schedule: Schedule
    ) -> None:
        rows = self._validate(X, y, sample_weight, reset=not schedule.keeps_network, class_weight=schedule.class_weight)
        if schedule.keeps_network:
            self._check_kept_network()
            if self.random_state is not self._seeded_by and self.random_state != self._seeded_by:
                self._seeds, self._seeded_by = draw_seeds(self.random_state), self.random_state
        else:
            self._prepare(rows.for_training())
        if self._has_model_function:
            self._check_arguments_for(type(self._network.model).fit, schedule.arguments)
        encoded = self._encode(rows)
        self._check_indices(encoded.X)
        train, held_out = self._split(encoded, validation, schedule)
        settings = self._settings(train, held_out, schedule)
        is_whole = settings.batch_size >= len(train.y)
        if is_whole and are_few(train.X) and self._merges_rows(self._network):
            train = _Rows(*merge_equal_rows(train.X, train.y, train.weights))
            settings = dataclasses.replace(settings, batch_size=len(train.y))
        if settings.epochs == 0:
            self.history_: dict[str, list[float]] = (
                getattr(self, "history_", {}) if settings.initial_epoch else {"loss": []}
            )
            self.n_iter_ = len(self.history_["loss"])
            return
        with without_marks(settings.callbacks), self._scikit_callbacks(settings, X, y, sample_weight) as settings:
            result = _engine.fit(
                self._network, train.as_data(), None if held_out is None else held_out.as_data(), settings
            )
        self._record(result, settings)

    def _check_parameters(self) -> None:
        """Raise for a parameter that is out of range or unknown."""
        self._check_callbacks(self.callbacks)
        owner = type(self).__name__
        names = ("random_state", "warm_start", "run_eagerly")
        check_plain_values(owner, {name: getattr(self, name) for name in names if hasattr(self, name)})
        check_plain_values(owner, self._routed("compile"), "compile__")
        for prefix, method in (("predict", keras.Model.predict), ("compile", keras.Model.compile)):
            routed = [name for name in self._routed(prefix) if not name.startswith("callbacks")]
            check_arguments(f"{owner}({prefix}__...)", routed, arguments_of(method), prefix + "__")

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

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any) -> _Rows:
        """Arrays from what the user gave."""
        check_container(type(self).__name__, X)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        check_one_array(type(self).__name__, X, y)
        X = self._validate_rows(X, reset=reset)
        if reset:
            if X.ndim > 2 and self._has_model_function:
                # scikit-learn counts features in tables only; a model function finds the second axis here.
                self.n_features_in_ = X.shape[1]
            self._gives_columns = self._keeps_columns and shape_of(y)[1:] == (1,)
        y = self._validate_y(y)
        check_lengths(X, y)
        weights = validate_weights(sample_weight, X.shape[0])
        by_class = self._class_weights(class_weight, y, None if reset else getattr(self, "classes_", None))
        return _Rows(X, y, weights, by_class)

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        """X of shape (n, ...) as the network takes it; with ``reset`` its features are learned."""
        return validate_rows(self, X, reset=reset, allow_nd=self._allows_nd)

    def _validate_y(self, y: Any) -> NDArray[Any]:
        raise NotImplementedError

    def _class_weights(self, class_weight: Any, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        """Weights of shape (n,) that the classes give to the rows; ``classes`` are those of an earlier fit."""
        return None

    def _prepare(self, rows: _Rows) -> None:
        """Learn what y means and build a network for it; what an earlier fit has learned is forgotten."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.endswith("__")]:
            if name not in ("n_features_in_", "feature_names_in_"):
                delattr(self, name)
        self._last_run = None
        self._seeds, self._seeded_by = draw_seeds(self.random_state), self.random_state
        self.X_shape_, self.X_dtype_ = rows.X.shape, rows.X.dtype
        self.y_dtype_, self.y_ndim_ = rows.y.dtype, 2 if self._gives_columns else rows.y.ndim
        self.target_encoder_ = self._fit_target_encoder(rows)
        self._take_over_metadata(self.target_encoder_)
        self.feature_encoder_ = self.feature_encoder.fit(rows.X)
        self._take_over_metadata(self.feature_encoder_)
        self._encoded_shape = None
        encoded = self._encode_features(rows.X[:1])
        self._encoded_shape = encoded.shapes if isinstance(encoded, _engine.ManyInputs) else encoded.shape
        self._network = self._build_network(self._seeds.weights)

    def _take_over_metadata(self, encoder: Any) -> None:
        """Make what an encoder tells of the data attributes of the estimator, as scikeras does."""
        for name, value in getattr(encoder, "get_metadata", dict)().items():
            setattr(self, name, value)

    def _fit_target_encoder(self, rows: _Rows) -> Any:
        encoder = self.target_encoder
        if isinstance(encoder, ClassTargets | RegressionTargets):
            return encoder.fit(rows.y, rows.weights)
        return encoder.fit(rows.y)

    def _encode(self, rows: _Rows) -> _Rows:
        """Rows as the network takes them, those of weight zero left out."""
        encoded = rows._replace(X=self._encode_features(rows.X), y=self.target_encoder_.transform(rows.y))
        return encoded.without_weightless()

    def _encode_features(self, X: Any) -> Any:
        encoder: Any = self.feature_encoder_
        if isinstance(encoder, FunctionTransformer) and encoder.func is None:
            return X
        are_many = isinstance(vars(self).get("_encoded_shape"), list)
        return network_inputs(type(self).__name__, encoder.transform(X), X.shape[0], are_many=are_many)

    def _split(self, rows: _Rows, validation: tuple[Any, Any, Any], schedule: Schedule) -> tuple[_Rows, _Rows | None]:
        """Rows to train on and rows to be judged on: the user's own, a share split off, or none."""
        X_val, y_val, weights_val = validation
        if X_val is not None:
            train = self._weighted_by_class(rows)
            try:
                judged = self._encode(self._validate(X_val, y_val, weights_val, reset=False, class_weight=None))
                self._check_indices(judged.X)
                return train, judged
            except ValueError as error:
                raise ValueError(f"In the rows for validation (X_val, y_val, sample_weight_val): {error}") from error
        fraction = schedule.arguments.get("validation_split", self._validation_share(schedule))
        if not fraction:
            return self._weighted_by_class(rows), None
        trained, held_out = split_rows(self._strata(rows.y), len(rows.y), fraction, self._seeds.split)
        return self._weighted_by_class(rows.take(trained)), rows.take(held_out).for_judging()

    def _weighted_by_class(self, rows: _Rows) -> _Rows:
        """Rows to train on, class weights multiplied in; those of a class of weight zero are left out."""
        weighted = rows.for_training()
        if weighted.weights is not None and not (weighted.weights > 0).any():
            raise ValueError("No row has a weight above zero: class_weight times sample_weight is zero for each.")
        return weighted.without_weightless()

    def _validation_share(self, schedule: Schedule) -> float:
        """Fraction of the rows to split off for validation."""
        return float(self.validation_split)

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Group of each row of encoded y, shape (n,), whose shares a split keeps; None for any split."""
        return None

    # --- one training run ---------------------------------------------------------------------------------------

    def _settings(self, train: _Rows, held_out: _Rows | None, schedule: Schedule) -> _engine.Settings:
        arguments = schedule.arguments
        handled = (*_SETTINGS_ARGUMENTS, "validation_split")
        rest = {name: value for name, value in arguments.items() if name not in handled}
        callbacks, _ = keras_callbacks(self)
        batch_size = self._batch_size(arguments.get("batch_size"), len(train.y))
        return _engine.Settings(
            epochs=self._n_epochs(schedule.epochs, len(train.y), batch_size),
            batch_size=batch_size,
            seed=self._seeds.order,
            shuffle=bool(arguments.get("shuffle", True)),
            initial_epoch=schedule.initial_epoch,
            validation_batch_size=self._validation_batch_size(arguments.get("validation_batch_size"), held_out),
            early_stopping=self._early_stopping(schedule),
            callbacks=(*callbacks, *schedule.callbacks),
            keeps_interrupted=is_called_by_the_user,
            conduct=current_conduct(),
            # Keras shows nothing of the loss beyond 2.
            verbose=1 if arguments.get("verbose") == "auto" else min(int(arguments.get("verbose", 0)), 2),
            keras_fit_arguments=rest,
        )

    def _fit_arguments(self) -> dict[str, Any]:
        """Arguments for ``keras.Model.fit`` from parameters: those routed with ``fit__`` win."""
        flat = {name: getattr(self, name) for name in _SETTINGS_ARGUMENTS if hasattr(self, name)}
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

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        return int(epochs)

    def _batch_size(self, batch_size: int | None, n_rows: int) -> int:
        if batch_size is None:
            return min(_KERAS_BATCH_SIZE, n_rows)
        return n_rows if batch_size == -1 else min(int(batch_size), n_rows)

    def _validation_batch_size(self, batch_size: int | None, held_out: _Rows | None) -> int | None:
        return len(held_out.y) if batch_size == -1 and held_out is not None else batch_size

    def _early_stopping(self, schedule: Schedule) -> _engine.EarlyStopping | None:
        return None

    @contextmanager
    def _scikit_callbacks(
        self, settings: _engine.Settings, X: Any, y: Any, sample_weight: Any
    ) -> Iterator[_engine.Settings]:
        """Let scikit-learn's callbacks see the fit as a task with one subtask per epoch."""
        context = self._init_callback_context(max_subtasks=settings.epochs)
        if not has_callbacks(self):
            yield settings
            return
        seen = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
        context.call_on_fit_task_begin(estimator=self, **seen)
        epochs = _EpochTasks(self, context, seen)
        yield dataclasses.replace(settings, on_epoch_begin=epochs.begin, on_epoch_end=epochs.end)
        context.call_on_fit_task_end(estimator=self, reconstruction_attributes={}, **seen)

    def _record(self, result: _engine.Result, settings: _engine.Settings) -> None:
        """Keep what a training run has left, behind what earlier runs left when it goes on from them."""
        earlier: dict[str, list[float]] = getattr(self, "history_", {}) if settings.initial_epoch else {}
        self.history_ = joined_histories(earlier, result.history)
        self._last_run = Run(result.history, settings.initial_epoch, settings.epochs, settings.verbose)
        if self._network.is_materialised and result.way != "keras":
            self._last_run.show_in(self._network.model)
        self.n_iter_ = len(self.history_["loss"])
        self.engine_ = result.way
        if result.best_epoch is not None:
            self.best_epoch_ = result.best_epoch + 1
        elif hasattr(self, "best_epoch_"):
            del self.best_epoch_
        if result.stopped_by == "interrupt":
            warnings.warn(
                f"The fit was interrupted in epoch {settings.initial_epoch + result.n_epochs + 1}. "
                "The best weights so far are kept.",
                InterruptedFitWarning,
                stacklevel=8,
            )

    # --- public methods -----------------------------------------------------------------------------------------

    def initialize(self, X: Rows, y: ArrayLike) -> Self:
        """Build the network for data of this shape without training it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows like those to come.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.

        Returns
        -------
        self : estimator
            The estimator itself, ready to predict.
        """
        return self._initialize(X, y, {})

    def _initialize(self, X: Any, y: Any, declared: Mapping[str, Any]) -> Self:
        """Build the network, which attributes in ``declared`` are for."""
        self._check_parameters()
        with self._telling_memory_errors(), _in_one_step(self) as initialized:
            initialized.__dict__.update(declared)
            initialized._prepare(initialized._validate(X, y, None, reset=True, class_weight=None).for_training())
        return self

    def _fit_from(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: tuple[Any, Any, Any],
        arguments: dict[str, Any],
        declared: Mapping[str, Any] | None = None,
    ) -> Self:
        """Train for ``epochs``, from a new network as ``declared`` unless ``warm_start`` keeps the old one."""
        self._check_parameters()
        self._check_fit_arguments(arguments)
        keeps_network = bool(self.warm_start) and self.initialized_
        arguments = self._fit_arguments() | arguments
        self._train(X, y, sample_weight, validation, keeps_network, False, arguments, declared)
        return self

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: tuple[Any, Any, Any],
        keeps_network: bool,
        is_partial: bool,
        arguments: dict[str, Any],
        declared: Mapping[str, Any] | None = None,
    ) -> None:
        """Run one training with arguments of ``keras.Model.fit``, those for validation taken as X_val and y_val."""
        arguments, validation = self._with_validation_data(arguments, validation)
        self._check_counts(arguments)
        schedule = Schedule(
            keeps_network,
            is_partial,
            epochs=arguments.pop("epochs", 1),
            initial_epoch=int(arguments.pop("initial_epoch", 0)),
            class_weight=arguments.pop("class_weight", getattr(self, "class_weight", None)),
            callbacks=self._callbacks_of_call(arguments.pop("callbacks", None)),
            arguments=arguments,
            declared={} if keeps_network or declared is None else declared,
        )
        self._fit(X, y, sample_weight, validation, schedule)

    def _with_validation_data(
        self, arguments: dict[str, Any], validation: tuple[Any, Any, Any]
    ) -> tuple[dict[str, Any], tuple[Any, Any, Any]]:
        """Take Keras's ``validation_data`` as X_val, y_val and sample_weight_val."""
        rest = {name: value for name, value in arguments.items() if name != "validation_data"}
        given = arguments.get("validation_data")
        if given is not None and all(value is None for value in validation):
            X_val, y_val, weights_val = (*given, None) if len(given) == 2 else given
            validation = X_val, y_val, weights_val
        missing = [name for name, value in zip(("X_val", "y_val"), validation, strict=False) if value is None]
        if missing and any(value is not None for value in validation):
            raise ValueError(
                f"{type(self).__name__}.fit needs X_val and y_val together. {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing."
            )
        return rest, validation

    def _partial_fit_from(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        arguments: dict[str, Any],
        declared: Mapping[str, Any] | None = None,
    ) -> Self:
        """Train for one more epoch."""
        for name in ("epochs", "initial_epoch"):
            if name in arguments:
                raise TypeError(f"{type(self).__name__}.partial_fit trains for one epoch and takes no {name!r}.")
        self._check_parameters()
        self._check_fit_arguments(arguments)
        arguments = self._fit_arguments() | arguments | {"epochs": 1, "initial_epoch": self.current_epoch}
        self._train(X, y, sample_weight, (None, None, None), self.initialized_, True, arguments, declared)
        return self

    @property
    def current_epoch(self) -> int:
        """The number of epochs that the history holds."""
        return len(getattr(self, "history_", {}).get("loss", ()))

    def _as_column(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Give predictions of shape (n,) the shape (n, 1) where y had it in fit."""
        is_ours = isinstance(self.target_encoder_, ClassTargets | RegressionTargets)
        return predictions[:, np.newaxis] if is_ours and self._gives_columns and predictions.ndim == 1 else predictions

    def _predict_raw(self, X: Any, **kwargs: Any) -> NDArray[np.float32]:
        """Outputs of the network, shape (n, n_outputs)."""
        check_is_fitted(self)
        check_container(type(self).__name__, X)
        X = self._encode_features(self._validate_rows(X, reset=False))
        self._check_indices(X)
        called = self._callbacks_of_call(kwargs.pop("callbacks", None))
        arguments = self._routed("predict") | kwargs
        remedy = "Fewer rows at a time, or a smaller batch_size (predict__batch_size=...), need less."
        with _engine.telling_memory_errors(f"to predict for {X.shape[0]} rows", remedy):
            if arguments or called or isinstance(X, _engine.ManyInputs) or _engine.predicts_itself(self._network):
                outputs = self._predict_with_arguments(X, arguments, called)
            else:
                outputs = _engine.predict(self._network, X)
        if not np.isfinite(outputs).all():
            raise ValueError(_why_not_finite(X, outputs))
        return outputs

    def _predict_with_arguments(
        self, X: Any, arguments: dict[str, Any], called: tuple[keras.callbacks.Callback, ...]
    ) -> NDArray[np.float32]:
        """Predict with arguments of ``keras.Model.predict``; most of them only Keras itself can heed.

        ``called`` are callbacks of the call, beside those of the parameters.
        """
        named = [name for name in arguments if not name.startswith("callbacks")]
        check_arguments(f"{type(self).__name__}.predict", named, arguments_of(keras.Model.predict))
        self._check_counts({"batch_size": arguments.get("batch_size")})
        given: Any = arguments.pop("batch_size", None)
        batch_size = int(given) if is_count(given, 1) else None
        if arguments.get("verbose") in (0, "auto"):
            del arguments["verbose"]
        is_single = not isinstance(X, _engine.ManyInputs)
        if not (arguments or called) and is_single and not _engine.predicts_itself(self._network):
            return _engine.predict(self._network, X, batch_size)
        _, callbacks = keras_callbacks(self)
        arguments = {name: value for name, value in arguments.items() if not name.startswith("callbacks")}
        rows = _engine.rows_like(X, _engine.row_shape_of(self.model_)) if is_single else X.for_keras
        with without_retracing_warnings():
            predict = self.model_.predict
            keywords = {"batch_size": batch_size, "callbacks": [*callbacks, *called], "verbose": 0} | arguments
            taken = keywords if takes_any(predict) else inspect.signature(predict).parameters
            outputs: NDArray[np.float32] = predict(
                rows, **{name: value for name, value in keywords.items() if name in taken}
            )
        return outputs

    def score(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean accuracy of a classifier or the R2 of a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to be judged on.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their true targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Accuracy in [0, 1], or R2, at most 1.
        """
        y, predictions = self._for_scorer(y, self.predict(X))
        return float(self.scorer(y, predictions, sample_weight=finite_sum(sample_weight), **self._routed("score")))

    def _for_scorer(self, y: Any, predictions: Any) -> tuple[Any, Any]:
        """Return y as ``fit`` reads it, and predictions of it."""
        return y, predictions

    def _tags(self, kind: str, **specific: Any) -> Tags:
        """Return all tags: scikeras's base order keeps those of scikit-learn's mixins from being inherited."""
        return Tags(
            estimator_type=kind,
            target_tags=TargetTags(required=True, multi_output=kind == "regressor"),
            transformer_tags=None,
            input_tags=InputTags(sparse=True, three_d_array=self._allows_nd),
            **specific,
        )


def _takes_what_keras_gives(fit: Callable[..., Any]) -> bool:
    """Whether a model's own ``fit`` can be called as Keras's is."""
    given: dict[str, Any] = dict.fromkeys(("epochs", "initial_epoch", "verbose", "callbacks", "shuffle"))
    try:
        inspect.signature(fit).bind(None, None, **given)
    except TypeError:
        return False
    return True


def _why_not_finite(X: Any, outputs: NDArray[np.float32]) -> str:
    """Say for which row a network has no finite answer, and what is the likely cause."""
    row = int(np.flatnonzero(~np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))[0])
    message = f"The network's answer to row {row} of X is not finite (NaN or infinite)."
    largest = 0.0 if isinstance(X, _engine.ManyInputs) else float(abs(X[[row]]).max())
    if largest > _LARGEST_SAFE:
        return f"{message} X has a value of size {largest:g} there, with which float32 overflows: scale X."
    return f"{message} Weights of the network are not finite, or so large that float32 overflows: fit it anew."


# The square of what is larger overflows in float32.
_LARGEST_SAFE = 1e18
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


def _flat_callbacks(callbacks: Any) -> Iterator[Any]:
    """Each callback in a single one, a list or a dict, which may be nested."""
    if isinstance(callbacks, Mapping):
        callbacks = list(callbacks.values())
    if isinstance(callbacks, list | tuple):
        for item in callbacks:
            yield from _flat_callbacks(item)
    elif callbacks is not None:
        yield callbacks


class _EpochTasks:
    """The epochs of a fit as scikit-learn's callbacks see them."""

    def __init__(self, estimator: NeuralEstimator, context: CallbackContext, seen: Mapping[str, Any]) -> None:
        self._estimator = estimator
        self._context = context
        self._seen = seen
        self._task: CallbackContext | None = None

    def begin(self, epoch: int) -> None:
        """Open the epoch's task."""
        self._task = self._context.subcontext(task_name="epoch")
        self._task.call_on_fit_task_begin(estimator=self._estimator, **self._seen)

    def end(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Close the epoch's task; true when a callback asks to stop."""
        assert self._task is not None
        return bool(
            self._task.call_on_fit_task_end(
                estimator=self._estimator, reconstruction_attributes=self._fitted_attributes, **self._seen
            )
        )

    def _fitted_attributes(self) -> dict[str, Any]:
        return {"_network": self._estimator._network.snapshot()}


def split_rows(
    strata: NDArray[Any] | None, n_rows: int, fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row numbers to train on and to be judged on, stratified where each stratum has rows for both."""
    n_held_out = max(1, round(fraction * n_rows))
    if n_rows - n_held_out < 1:
        raise ValueError(
            f"Splitting off {fraction:g} of {n_rows} rows for validation leaves none to train on. "
            "Give more rows, a smaller fraction, or X_val and y_val."
        )
    splitter = ShuffleSplit
    if strata is not None:
        sizes = np.unique(strata, return_counts=True)[1]
        if sizes.min() >= 2 and n_held_out >= len(sizes) <= n_rows - n_held_out:
            splitter = StratifiedShuffleSplit
    groups = np.zeros(n_rows) if strata is None else strata
    train, held_out = next(splitter(1, test_size=n_held_out, random_state=seed).split(groups, groups))
    return np.sort(train), np.sort(held_out)


def joined_histories(earlier: Mapping[str, list[float]], later: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """One history of two runs; a value that one of them lacks is NaN."""
    n_earlier = len(earlier.get("loss", ()))
    n_later = len(later["loss"])
    return {
        name: list(earlier.get(name, [np.nan] * n_earlier)) + list(later.get(name, [np.nan] * n_later))
        for name in [*earlier, *(name for name in later if name not in earlier)]
    }
