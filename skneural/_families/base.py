"""What the ready-made families share: flat parameters -> a compiled network and its targets."""

from __future__ import annotations

import datetime
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar

import keras
import numpy as np

from skneural import _engine
from skneural._compat.keras_names import optimizer_config
from skneural._compat.plain_numbers import plain
from skneural._compat.scikit_names import Interval, Options, StrOptions, validate_parameter_constraints
from skneural._estimators.base import NeuralEstimator
from skneural._estimators.compiling import (
    Compilation,
    averages_rows,
    check_activation,
    check_initializer,
    resolve_loss,
    resolve_metrics,
    resolve_optimizer,
)
from skneural._estimators.foreign_names import foreign_value
from skneural._estimators.keras_arguments import Schedule
from skneural._estimators.parameters import is_routed
from skneural._estimators.recipe import Recipe
from skneural._estimators.schedules import SCHEDULES, learning_rate_factors
from skneural._rows.validation import unpacked

from .blueprint import FamilyBlueprint, Plan
from .paragraphs import ATTRIBUTES, PARAMETERS, Paragraphs

SHARED_CONSTRAINTS: Mapping[str, list[Any]] = {
    "activation": [str, callable, list, tuple],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "batch_normalization": ["boolean"],
    "l2": [Interval(Real, 0, None, closed="left")],
    "learning_rate": [
        Interval(Real, 0, None, closed="neither"),
        keras.optimizers.schedules.LearningRateSchedule,
    ],
    "learning_rate_schedule": [StrOptions(set(SCHEDULES))],
    "epochs": [Interval(Integral, 1, None, closed="left")],
    "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "checkpoint": [str, PathLike, None],
    "checkpoint_every": [Interval(Integral, 1, None, closed="left"), datetime.timedelta, str],
    "random_state": ["random_state"],
    "verbose": ["verbose", StrOptions({"auto"})],
}
CLASSIFIER_CONSTRAINTS: Mapping[str, list[Any]] = {
    "class_weight": [dict, list, StrOptions({"balanced"}), None],
}

# A flat parameter and the routed one that says the same.
_SAME_MEANING = (
    ("learning_rate", "optimizer__learning_rate"),
    ("epochs", "fit__epochs"),
    ("batch_size", "fit__batch_size"),
    ("shuffle", "fit__shuffle"),
    ("verbose", "fit__verbose"),
    ("class_weight", "fit__class_weight"),
    ("optimizer", "compile__optimizer"),
    ("loss", "compile__loss"),
    ("metrics", "compile__metrics"),
    ("metrics", "compile__weighted_metrics"),
)


@dataclass(frozen=True)
class Head:
    """The end of a network: its loss, and how many outputs of which activation suit that."""

    loss: Any
    n_outputs: int
    activation: str

    @property
    def gives_logits(self) -> bool:
        """Whether the loss takes the outputs before their sigmoid or softmax."""
        return bool(getattr(self.loss, "from_logits", False))


class FamilyEstimator(NeuralEstimator):
    """An estimator that builds its own network from flat parameters.

    A family gives ``_architecture(head)`` and the function ``_build`` that makes a Keras model of what it returns.
    """

    _allows_nd = False
    _has_model_function = False
    _parameter_paragraphs: ClassVar[Paragraphs] = PARAMETERS
    _attribute_paragraphs: ClassVar[Paragraphs] = ATTRIBUTES
    # Parameters that act only when the network is made.
    _first_fit_parameters: ClassVar[tuple[str, ...]] = ()
    # As those of scikit-learn's own: a column warns, and predictions have shape (n,).
    _keeps_columns = False
    _count_words: ClassVar[Mapping[str, tuple[str, ...]]] = {"batch_size": ("auto",)}
    _least_counts: ClassVar[Mapping[str, int]] = {"epochs": 1}
    _build: Callable[[Any], keras.Model]

    def _architecture(self, head: Head) -> Any:
        """Return the architecture, a frozen dataclass, for this estimator's parameters and data."""
        raise NotImplementedError

    def _head(self) -> Head:
        """Return the end of the network that the loss and the target ask for."""
        raise NotImplementedError

    def _store_further(self, further: Mapping[str, Any]) -> None:
        """Keep the routed parameters of a constructor, and unknown ones, which ``fit`` reports."""
        for name, value in further.items():
            setattr(self, name, value)
        if unknown := {name for name in further if not is_routed(name)}:
            self._user_params = unknown

    # --- checks -------------------------------------------------------------------------------------------------

    def _model_function(self) -> None:
        return None

    def _check_parameters(self) -> None:
        if hint := foreign_value("learning_rate", self.learning_rate):
            raise ValueError(
                f"The 'learning_rate' parameter of {type(self).__name__} is unknown: {self.learning_rate!r}. {hint}"
            )
        parameters = {name: plain(value) for name, value in self.get_params(deep=False).items()}
        validate_parameter_constraints(self._parameter_constraints, parameters, caller_name=type(self).__name__)
        super()._check_parameters()
        self._check_routed()
        owner = type(self).__name__
        check_initializer(owner, "kernel_initializer", self.kernel_initializer)
        for activation in self.activation if isinstance(self.activation, list | tuple) else [self.activation]:
            check_activation(owner, activation)
        self._check_schedules()
        # Unknown optimizers and metrics are reported here, before anything is built.
        self._optimizer()
        self._resolved_metrics()

    def _check_routed(self) -> None:
        owner = type(self).__name__
        for name in getattr(self, "_user_params", ()):
            raise TypeError(f"{owner} has no parameter {name!r}.{self._hint_for(name)}")
        if model_parameters := [name for name in vars(self) if name.startswith("model__")]:
            raise ValueError(
                f"{owner} has no model function that could take {model_parameters[0]!r}. "
                "Its own parameters describe the network; for a model function use KerasClassifier or KerasRegressor."
            )
        for flat, routed in _SAME_MEANING:
            if routed not in vars(self) or not hasattr(self, flat):
                continue
            defaults = inspect.signature(type(self)).parameters
            given, value = getattr(self, flat), getattr(self, routed)
            if routed.startswith("compile__") or (given != defaults[flat].default and given != value):
                raise ValueError(
                    f"The parameters {flat!r} and {routed!r} of {owner} say the same thing. "
                    f"Got {given!r} and {value!r}: give only {flat!r}."
                )

    def _check_schedules(self) -> None:
        if self.learning_rate_schedule != "constant" and _is_scheduled(self.learning_rate, self.optimizer):
            raise ValueError(
                f"The 'learning_rate_schedule' parameter of {type(self).__name__} conflicts with a learning rate that "
                f"is a schedule itself. Got {self.learning_rate_schedule!r}: give a number, or set "
                "learning_rate_schedule='constant'."
            )

    def _activations(self, counts: Mapping[str, int]) -> tuple[Any, ...]:
        """Return one activation per layer; ``counts`` says how many layers of each kind there are, in their order."""
        owner = type(self).__name__
        activation = self.activation
        n_layers = sum(counts.values())
        listed = tuple(activation) if isinstance(activation, list | tuple) else (activation,) * n_layers
        if len(listed) != n_layers:
            raise ValueError(
                f"The 'activation' parameter of {owner} must be one activation, or one per "
                f"{' and then one per '.join(counts)}. "
                f"Got {len(listed)} for {' and '.join(f'{count} {part}s' for part, count in counts.items())}."
            )
        return listed

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        X = unpacked(X)
        self._check_rows(X, is_first=reset)
        return super()._validate_rows(X, reset=reset)

    def _check_rows(self, X: Any, *, is_first: bool) -> None:
        """Raise for rows of more than one dimension that differ in shape, from each other or from those of fit."""
        owner = type(self).__name__
        _check_one_shape(owner, X)
        shape = getattr(np.array(X, dtype=object) if isinstance(X, list | tuple) else X, "shape", ())
        if shape and not is_first and max(len(shape), len(self.X_shape_)) > 2 and shape[1:] != self.X_shape_[1:]:
            raise ValueError(
                f"X has rows of shape {shape[1:]}, but {owner} was fitted with rows of shape {self.X_shape_[1:]}."
            )

    # --- the network --------------------------------------------------------------------------------------------

    def _optimizer(self) -> tuple[type, dict[str, Any]]:
        """Class and arguments of the optimizer, the learning rate among them."""
        owner = type(self).__name__
        routed = self._routed("optimizer")
        if isinstance(self.optimizer, keras.optimizers.Optimizer):
            default = inspect.signature(type(self)).parameters["learning_rate"].default
            if self.learning_rate != default:
                raise ValueError(
                    f"The 'learning_rate' parameter of {owner} conflicts with an optimizer that is ready and has a "
                    f"learning rate of its own. Got {self.learning_rate!r}: give the optimizer by name or class."
                )
            return resolve_optimizer(owner, self.optimizer, routed)
        return resolve_optimizer(owner, self.optimizer, {"learning_rate": self._first_learning_rate()} | routed)

    def _first_learning_rate(self) -> Any:
        return self.learning_rate

    def _resolved_metrics(self) -> list[Any]:
        return resolve_metrics(type(self).__name__, self.metrics, self._routed("metrics"))

    def _metrics_beside(self, head: Head) -> list[Any]:
        """Return the metrics, those that Keras would resolve by the shapes of y and outputs as the head means them."""
        return self._resolved_metrics()

    def _resolved_loss(self, loss: Any) -> Any:
        return resolve_loss(type(self).__name__, loss, self._routed("loss"))

    def _blueprint(self) -> _engine.Blueprint:
        """Describe the network so that the engine can share what it has built and compiled for its like."""
        return FamilyBlueprint.of(self._plan())

    def _plan(self) -> Plan:
        """Return what the network is made of."""
        head = self._head()
        architecture = self._architecture(head)
        optimizer, arguments = self._optimizer()
        metrics = self._metrics_beside(head)
        compilation = Compilation(
            type(self).__name__, optimizer, arguments, head.loss, metrics, self._routed("compile")
        )
        rates = {
            name: float(arguments[name])
            for name in ("learning_rate", "weight_decay")
            if isinstance(arguments.get(name), Real)
        }
        policy, settings = keras.config.dtype_policy().name, _engine.global_settings()
        return Plan(type(self)._build, architecture, policy, settings, compilation, rates)

    def _build_network(self, seed: int) -> _engine.Network:
        self._recipe = self._present_recipe()
        return _engine.Network.from_blueprint(self._blueprint(), seed)

    def _present_recipe(self) -> Recipe:
        # The others stand in the blueprint, or act in each call.
        return Recipe.of({name: getattr(self, name) for name in self._first_fit_parameters}, {})

    def _compile(self, model: keras.Model) -> None:
        self._blueprint().compile(model)

    def _check_kept_network(self) -> None:
        self._recipe.new_rates(type(self).__name__, self._present_recipe())
        blueprint = self._blueprint()
        if self._network.blueprint is None:
            # The user has put a model in the place of ours: it is trained as it was compiled.
            return
        if blueprint.key != self._network.blueprint.key:
            raise ValueError(
                f"{type(self).__name__} was to go on training the network of an earlier fit, but its parameters or the "
                "classes now describe another network. Set warm_start=False, or use a new estimator."
            )
        self._network.update_numbers(blueprint.numbers)

    def _merges_rows(self, network: _engine.Network) -> bool:
        return not self.dropout and not self.batch_normalization and averages_rows(self._head().loss)

    # --- one training run ---------------------------------------------------------------------------------------

    def _settings(self, train: Any, held_out: Any, schedule: Schedule) -> _engine.Settings:
        settings = super()._settings(train, held_out, schedule)
        if schedule.is_partial:
            # Nobody knows how many more epochs will come.
            return settings
        factors = learning_rate_factors(self.learning_rate_schedule, settings.epochs)
        return replace(settings, learning_rate_factors=factors)

    def _validation_share(self, schedule: Schedule) -> float:
        return float(self.validation_fraction) if self.early_stopping and not schedule.is_partial else 0.0

    def _early_stopping(self, schedule: Schedule, *, is_judged: bool) -> _engine.EarlyStopping | None:
        if not self.early_stopping or schedule.is_partial:
            return None
        patience = int(min(self.n_iter_no_change, sys.maxsize))
        monitor = "val_loss" if is_judged else "loss"
        return _engine.EarlyStopping(monitor, patience=patience, min_delta=float(self.tol))

    def _batch_size(self, batch_size: Any, n_rows: int) -> int:
        if batch_size == "auto":
            return min(self._auto_batch_size(n_rows), n_rows)
        return super()._batch_size(batch_size, n_rows)

    def _auto_batch_size(self, n_rows: int) -> int:
        return auto_batch_size(n_rows)


def _check_one_shape(owner: str, X: Any) -> None:
    """Raise for a list of arrays that do not all have one shape."""
    shapes = [row.shape for row in X if hasattr(row, "shape")] if isinstance(X, list | tuple) else []
    for position, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"The rows in X of {owner} must all have one shape. Got {shapes[0]} in row 0 and {shape} in row "
                f"{position}."
            )


def auto_batch_size(n_rows: int) -> int:
    """Return the power of two nearest to n_rows / 256, but at least 32 and at most 256 rows."""
    return int(np.clip(2 ** round(np.log2(max(n_rows, 1) / 256)), 32, 256))


def _is_scheduled(learning_rate: Any, optimizer: Any) -> bool:
    """Whether the learning rate changes with the steps by itself."""
    schedules = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(optimizer, keras.optimizers.Optimizer):
        learning_rate = optimizer_config(optimizer)["learning_rate"]
    return isinstance(learning_rate, schedules)


def is_one_size(sizes: Any) -> bool:
    """Whether a parameter of sizes is a single number, which may stand in an array without dimensions."""
    return isinstance(sizes, Integral) or (isinstance(sizes, np.ndarray) and sizes.ndim == 0)


def check_sizes(owner: str, parameter: str, sizes: Any) -> tuple[int, ...]:
    """Return layer sizes as a tuple of ints from an int or a sequence of them."""
    if isinstance(sizes, Mapping | set | frozenset):
        raise ValueError(f"The {parameter!r} parameter of {owner} must be an int or a sequence of them. Got {sizes!r}.")
    listed = [sizes] if isinstance(sizes, Integral) else np.atleast_1d(sizes).tolist() if is_one_size(sizes) else sizes
    for position, size in enumerate(listed):
        if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
            raise ValueError(
                f"Each entry of the {parameter!r} parameter of {owner} must be an int in the range [1, inf). "
                f"Got {size!r} at position {position}."
            )
    return tuple(int(size) for size in listed)


def check_image_shape(owner: str, image_shape: Any) -> tuple[int, ...] | None:
    """Return the ``image_shape`` parameter as (height, width) or (height, width, channels); None where it is None."""
    if image_shape is None:
        return None
    shape = check_sizes(owner, "image_shape", image_shape)
    if len(shape) not in (2, 3):
        raise ValueError(
            f"The 'image_shape' parameter of {owner} must be (height, width) or (height, width, channels). Got {shape}."
        )
    return shape
