"""What every estimator does: from data to a trained network."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.callback import with_callbacks

from skneural import _engine
from skneural._compat.scikit_names import has_callbacks, keras_callbacks
from skneural._parallel import current_conduct
from skneural._rows.training_rows import TrainingRows, split_rows
from skneural._rows.validation import are_few, merge_equal_rows, validate_rows
from skneural._rows.weights import validate_weights
from skneural._seeds import draw_seeds
from skneural.exceptions import InterruptedFitWarning

from .callback_marks import without_marks
from .checkpoints import kept_in, rhythm_of
from .documentation_link import LinkedToItsPage
from .epoch_tasks import EpochTasks
from .fitted_model import Run
from .foreign_names import attribute_hint
from .interrupts import is_called_by_the_user, stacklevel_of_the_user
from .keras_arguments import SETTINGS_ARGUMENTS, Schedule
from .one_state import in_one_step, usual_rounding
from .parameters import arguments_of, check_arguments
from .plain_values import check_plain_values
from .predicting import Predicting

_KERAS_BATCH_SIZE = 32
Validation = tuple[Any, Any, Any]


def joined_histories(earlier: Mapping[str, list[float]], later: Mapping[str, list[float]]) -> dict[str, list[float]]:
    """One history of two runs; a value that one of them lacks is NaN."""
    n_earlier = len(earlier.get("loss", ()))
    n_later = len(later["loss"])
    return {
        name: list(earlier.get(name, [np.nan] * n_earlier)) + list(later.get(name, [np.nan] * n_later))
        for name in [*earlier, *(name for name in later if name not in earlier)]
    }


class NeuralEstimator(LinkedToItsPage, Predicting):
    """The path from data to a trained network, for whatever there is to be learned."""

    _seeded_by: Any
    _allows_nd = True
    # Parameters that change nothing in what is learned.
    _without_effect_on_training: ClassVar[tuple[str, ...]] = (
        "checkpoint",
        "checkpoint_every",
        "verbose",
        "callbacks",
        "warm_start",
    )

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

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation: Validation, schedule: Schedule) -> None:
        """Run one training from the user's data to a trained network, or leave everything as it was."""
        with (
            usual_rounding(),
            self._telling_memory_errors(),
            in_one_step(self, trains_in_place=schedule.keeps_network) as fitted,
        ):
            fitted.__dict__.update(schedule.declared)
            fitted._fit_under_callbacks(X, y, sample_weight, validation, schedule)

    def _telling_memory_errors(self) -> AbstractContextManager[None]:
        remedy = "Fewer or smaller layers, a smaller batch_size, or fewer rows, need less."
        return _engine.telling_memory_errors(f"to fit {type(self).__name__}", remedy)

    @with_callbacks
    def _fit_under_callbacks(
        self, X: Any, y: Any, sample_weight: Any, validation: Validation, schedule: Schedule
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
        is_whole = settings.batch_size >= train.n_rows
        if is_whole and are_few(train.X) and self._merges_rows(self._network):
            train = TrainingRows(*merge_equal_rows(train.X, train.y, train.weights))
            settings = dataclasses.replace(settings, batch_size=train.n_rows)
        if settings.epochs == 0:
            self.history_: dict[str, list[float]] = (
                getattr(self, "history_", {}) if settings.initial_epoch else {"loss": []}
            )
            self.n_iter_ = len(self.history_["loss"])
            self._after_training(encoded)
            return
        with without_marks(settings.callbacks), self._scikit_callbacks(settings, X, y, sample_weight) as settings:
            result = self._run(train, held_out, settings, schedule)
        self._record(result, settings)
        self._after_training(encoded)

    def _run(
        self, train: TrainingRows, held_out: TrainingRows | None, settings: _engine.Settings, schedule: Schedule
    ) -> _engine.Result:
        """Train the network."""
        judged = None if held_out is None else self._data(held_out)
        data = self._data(train)
        if self._is_kept(schedule):
            settings = kept_in(self, self._trained_network(), (data, judged), settings)
        return _engine.fit(self._trained_network(), data, judged, settings)

    def _trained_network(self) -> Any:
        """Return the network that is trained in steps."""
        return self._network

    @property
    def _has_checkpoint(self) -> bool:
        """Whether there is a folder in which a training from a new network is kept."""
        return self.checkpoint is not None and "checkpoint" not in self._function_parameters()

    def _is_kept(self, schedule: Schedule) -> bool:
        """Whether a training is kept in the folder of the parameter ``checkpoint``."""
        return self._has_checkpoint and not (schedule.keeps_network or schedule.is_partial)

    def _after_training(self, rows: TrainingRows) -> None:
        """Learn from the trained network what the estimator tells of it."""

    def _check_parameters(self) -> None:
        """Raise for a parameter that is out of range or unknown."""
        self._check_callbacks(self.callbacks)
        owner = type(self).__name__
        names = ("random_state", "warm_start", "run_eagerly")
        check_plain_values(owner, {name: getattr(self, name) for name in names if hasattr(self, name)})
        check_plain_values(owner, self._routed("compile"), "compile__")
        if self._has_checkpoint:
            self._check_checkpoint()
        for prefix, method in (("predict", keras.Model.predict), ("compile", keras.Model.compile)):
            routed = [name for name in self._routed(prefix) if not name.startswith("callbacks")]
            check_arguments(f"{owner}({prefix}__...)", routed, arguments_of(method), prefix + "__")

    def _check_checkpoint(self) -> None:
        owner, folder = type(self).__name__, self.checkpoint
        if not isinstance(folder, str | os.PathLike):
            raise TypeError(f"The 'checkpoint' parameter of {owner} must be the name of a folder. Got {folder!r}.")
        rhythm_of(owner, self.checkpoint_every)
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                f"The 'checkpoint' parameter of {owner} needs a fit that is the same each time. Got random_state="
                f"{self.random_state!r}: give an int."
            )

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any = None) -> TrainingRows:
        """Arrays from what the user gave."""
        X = self._validate_rows(self._opened(X), reset=reset)
        return TrainingRows(X, None, validate_weights(sample_weight, X.shape[0]))

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        """X of shape (n, ...) as the network takes it; with ``reset`` its features are learned."""
        return validate_rows(self, X, reset=reset, allow_nd=self._allows_nd)

    def _prepare(self, rows: TrainingRows) -> None:
        """Learn what the rows are and build a network for them; what an earlier fit has learned is forgotten."""
        for name in [name for name in vars(self) if name.endswith("_") and not name.endswith("__")]:
            if name not in ("n_features_in_", "feature_names_in_"):
                delattr(self, name)
        self._last_run = None
        self._seeds, self._seeded_by = draw_seeds(self.random_state), self.random_state
        self.X_shape_, self.X_dtype_ = rows.X.shape, rows.X.dtype
        self._learn(rows)
        self._network = self._build_network(self._seeds.weights)

    def _learn(self, rows: TrainingRows) -> None:
        """Learn from the rows what the network is to be built for."""

    def _encode(self, rows: TrainingRows) -> TrainingRows:
        """Rows as the network takes them, those of weight zero left out."""
        return rows._replace(X=self._encode_features(rows.X)).without_weightless()

    def _data(self, rows: TrainingRows) -> _engine.Data:
        """Return encoded rows as the engine takes them."""
        raise NotImplementedError

    def _split(
        self, rows: TrainingRows, validation: Validation, schedule: Schedule
    ) -> tuple[TrainingRows, TrainingRows | None]:
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
        trained, held_out = split_rows(self._strata(rows.y), rows.n_rows, fraction, self._seeds.split)
        return self._weighted_by_class(rows.take(trained)), rows.take(held_out).gathered().for_judging()

    def _weighted_by_class(self, rows: TrainingRows) -> TrainingRows:
        """Rows to train on, class weights multiplied in; those of a class of weight zero are left out."""
        weighted = rows.for_training()
        if weighted.weights is not None and not (weighted.weights > 0).any():
            raise ValueError("No row has a weight above zero: class_weight times sample_weight is zero for each.")
        return weighted.without_weightless()

    def _validation_share(self, schedule: Schedule) -> float:
        """Fraction of the rows to split off for validation."""
        return float(self.validation_split)

    def _strata(self, y: Any) -> NDArray[Any] | None:
        """Group of each row of encoded y, shape (n,), whose shares a split keeps; None for any split."""
        return None

    # --- one training run ---------------------------------------------------------------------------------------

    def _settings(self, train: TrainingRows, held_out: TrainingRows | None, schedule: Schedule) -> _engine.Settings:
        arguments = schedule.arguments
        handled = (*SETTINGS_ARGUMENTS, "validation_split")
        rest = {name: value for name, value in arguments.items() if name not in handled}
        callbacks, _ = keras_callbacks(self)
        batch_size = self._batch_size(arguments.get("batch_size"), train.n_rows)
        return _engine.Settings(
            epochs=self._n_epochs(schedule.epochs, train.n_rows, batch_size),
            batch_size=batch_size,
            seed=self._seeds.order,
            shuffle=bool(arguments.get("shuffle", True)),
            initial_epoch=schedule.initial_epoch,
            validation_batch_size=self._validation_batch_size(arguments.get("validation_batch_size"), held_out),
            early_stopping=self._early_stopping(schedule, is_judged=held_out is not None),
            callbacks=(*callbacks, *schedule.callbacks),
            keeps_interrupted=is_called_by_the_user,
            conduct=current_conduct(),
            # Keras shows nothing of the loss beyond 2.
            verbose=1 if arguments.get("verbose") == "auto" else min(int(arguments.get("verbose", 0)), 2),
            keras_fit_arguments=rest,
        )

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        return int(epochs)

    def _batch_size(self, batch_size: int | None, n_rows: int) -> int:
        if batch_size is None:
            return min(_KERAS_BATCH_SIZE, n_rows)
        return n_rows if batch_size == -1 else min(int(batch_size), n_rows)

    def _validation_batch_size(self, batch_size: int | None, held_out: TrainingRows | None) -> int | None:
        return held_out.n_rows if batch_size == -1 and held_out is not None else batch_size

    def _early_stopping(self, schedule: Schedule, *, is_judged: bool) -> _engine.EarlyStopping | None:
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
        epochs = EpochTasks(self, context, seen)
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
                stacklevel=stacklevel_of_the_user(),
            )

    # --- public methods -----------------------------------------------------------------------------------------

    def _initialize(self, X: Any, y: Any, declared: Mapping[str, Any]) -> Self:
        """Build the network, which attributes in ``declared`` are for."""
        self._check_parameters()
        with self._telling_memory_errors(), in_one_step(self) as initialized:
            initialized.__dict__.update(declared)
            initialized._prepare(initialized._validate(X, y, None, reset=True, class_weight=None).for_training())
        return self

    def _fit_from(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: Validation,
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
        validation: Validation,
        keeps_network: bool,
        is_partial: bool,
        arguments: dict[str, Any],
        declared: Mapping[str, Any] | None = None,
    ) -> None:
        """Run one training with arguments of ``keras.Model.fit``."""
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
