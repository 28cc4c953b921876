"""The Keras model in an estimator: built, checked, taken over from the user, and read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import keras
from sklearn.utils.validation import check_is_fitted

from skneural import _engine
from skneural._compat.scikit_names import build_users_model, users_compile_arguments
from skneural._rows.features import zero_rows
from skneural._seeds import seeded_global_generators

from .compiling import averages_rows, resolve_optimizer, single_loss
from .contradictions import check_compiled_as_given
from .keras_arguments import KerasArguments
from .recipe import Recipe


@dataclass(frozen=True)
class Run:
    """What the last call that trained has left: the values of its epochs, from ``initial_epoch`` on."""

    history: Mapping[str, list[float]]
    initial_epoch: int
    epochs: int
    verbose: int

    def show_in(self, model: keras.Model) -> None:
        """Give a model the ``history`` that Keras's own ``fit`` leaves."""
        shown = keras.callbacks.History()
        shown.history = {name: list(values) for name, values in self.history.items()}
        n_epochs = len(next(iter(self.history.values()), ()))
        shown.epoch = list(range(self.initial_epoch, self.initial_epoch + n_epochs))
        shown.set_params({"verbose": self.verbose, "epochs": self.initial_epoch + self.epochs})
        shown.set_model(model)
        model.history = shown


class FittedModel(KerasArguments):
    """The network of an estimator, as a Keras model."""

    # What fit has learned before there is a network: without it, none can be put in the network's place.
    _learned_before_network: ClassVar[str] = "target_encoder_"
    _network: Any
    _last_run: Run | None = None
    _recipe: Recipe

    @property
    def model_(self) -> keras.Model:
        """The Keras model, compiled, with the weights and the optimizer state of now.

        Another model may be put in its place after ``fit`` or ``initialize``, such as one that was stored in a file of
        its own; None leaves the estimator without one.
        """
        network = self._fitted_network()
        if network is None:
            return None
        model = network.model
        if self._last_run is not None and not isinstance(getattr(model, "history", None), keras.callbacks.History):
            self._last_run.show_in(model)
        return model

    @model_.setter
    def model_(self, model: keras.Model | None) -> None:
        network = None if model is None else self._network_of(model)
        self._network, self._last_run = network, None

    @model_.deleter
    def model_(self) -> None:
        self._fitted_network()
        del self._network

    def _fitted_network(self) -> _engine.Network | None:
        if "_network" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} has no 'model_' before fit or initialize.")
        network: _engine.Network | None = vars(self)["_network"]
        return network

    @property
    def initialized_(self) -> bool:
        """Whether there is a network: after ``fit``, ``partial_fit`` or ``initialize``."""
        return vars(self).get("_network") is not None

    @property
    def loss_curve_(self) -> list[float]:
        """The training loss of each epoch."""
        if "history_" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} has no 'loss_curve_' before fit.")
        return list(vars(self)["history_"]["loss"])

    def summary(self) -> None:
        """Print the network's layers, output shapes and parameter counts."""
        check_is_fitted(self)
        self.model_.summary()

    def _build_network(self, seed: int) -> _engine.Network:
        """Build the user's model, compiled, with initial weights that follow from ``seed``."""
        self._check_model_parameter()
        self._check_names()
        model = self._model_from_function(seed)
        make: Callable[[], keras.Model] | None = partial(build_model_anew, self._without_network(), seed)
        if not isinstance(model, keras.Model):
            raise TypeError(f"The model function of {type(self).__name__} must return a keras.Model. Got {model!r}.")
        if model is self.model:
            # A ready model is a parameter, and a fit leaves parameters as they are.
            model, make = _engine.duplicate(model), None
        comes_compiled, owner = model.compiled, type(self).__name__
        self._complete(model)
        if model.optimizer is None:
            raise ValueError(
                f"The 'optimizer' parameter of {owner} must be a name, a Keras optimizer or its class, unless the "
                "model comes compiled with one. Got None."
            )
        if not single_loss(model):
            raise ValueError(f"{owner} has no loss to train with. Give loss=..., or compile the model in its function.")
        if comes_compiled:
            self._check_compilation(model)
        self._check_shapes_of(model)
        self._take_model(model)
        self._recipe = self._present_recipe()
        return _engine.Network.from_model(model, make)

    def _model_from_function(self, seed: int) -> keras.Model:
        with seeded_global_generators(seed):
            return build_users_model(self, self._shared_parameters())

    def _without_network(self) -> Self:
        """Return another estimator with all that a model function can ask for, and no network."""
        own = (*self._get_param_names(), "_user_params", "_encoded_shape")
        names = [name for name in vars(self) if name in own or (name.endswith("_") and not name.startswith("_"))]
        bare = object.__new__(type(self))
        bare.__dict__ = {name: vars(self)[name] for name in names}
        return bare

    def _network_of(self, model: Any) -> _engine.Network:
        """Return a network of a model that takes the place of the one that was fitted."""
        owner = type(self).__name__
        if not isinstance(model, keras.Model):
            raise TypeError(f"The attribute 'model_' of {owner} must be a keras.Model or None. Got {model!r} instead.")
        if self._learned_before_network not in vars(self):
            raise ValueError(
                f"{owner} knows nothing of X and y yet, and so takes no 'model_'. Call initialize(X, y) first; "
                "to train a ready model give it to the constructor."
            )
        self._complete(model)
        self._check_shapes_of(model)
        self._take_model(model)
        return _engine.Network.from_model(model)

    def _complete(self, model: keras.Model) -> None:
        """Build and compile what is not."""
        if not model.built or getattr(model, "inputs", None) is None:
            model(zero_rows(self._encoded_shape))
        if not model.compiled:
            self._compile(model)
        if model.optimizer is not None:
            # Without its variables an optimizer cannot be restored from a pickle.
            model.optimizer.build(model.trainable_variables)

    def _compile(self, model: keras.Model) -> None:
        """Compile a model with the parameters."""
        try:
            arguments = users_compile_arguments(self)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Keras cannot make the optimizer, loss and metrics of {type(self).__name__} of its parameters: {error}"
            ) from error
        model.compile(**arguments)

    def _check_indices(self, X: Any) -> None:
        """Raise for numbers in X that stand for no row of the table of an Embedding which X goes into."""
        network = self._fitted_network()
        if not self._has_model_function or network is None or isinstance(X, _engine.ManyInputs) or not X.shape[0]:
            return
        for layer, n_entries in tables_of(network.model):
            lowest, highest = X.min(), X.max()
            if lowest < 0 or highest >= n_entries:
                wrong = lowest if lowest < 0 else highest
                raise ValueError(
                    f"X of {type(self).__name__} holds the number {wrong:g}, but the layer {layer!r} has a table of "
                    f"{n_entries} entries: X may hold 0 to {n_entries - 1}. Give Embedding a larger input_dim, or "
                    "numbers that it does not know one of their own."
                )

    def _take_model(self, model: keras.Model) -> None:
        """Learn from the model what its targets and outputs are."""

    def _check_compilation(self, model: keras.Model) -> None:
        """Raise for a parameter that goes to ``compile`` and that a model which came compiled does not heed."""
        owner, function = type(self).__name__, self._model_function()
        taken = self._function_parameters()
        names = ("loss", "optimizer", "metrics", "run_eagerly")
        flat = [name for name in names if name not in taken and not self._is_default(name)]
        rates = {} if "optimizer" in taken else self._flat_routed("optimizer")
        given = {name: getattr(self, name) for name in flat}
        given |= {f"optimizer__{name}": value for name, value in rates.items()}
        check_compiled_as_given(owner, model, given)
        if {"compile_kwargs", "params"} & set(taken) or self._takes_any_parameter() or inspect.ismethod(function):
            return
        for prefix in ("compile", "loss", "metrics"):
            for name in self._routed(prefix):
                raise ValueError(
                    f"The '{prefix}__{name}' parameter of {owner} has no effect, because the model comes compiled. Let "
                    "its function take compile_kwargs and pass them on to compile, or leave the model uncompiled."
                )

    def _present_recipe(self) -> Recipe:
        """Return the parameters that a network would be built from now, and those that a running training heeds."""
        names = {"model", "build_fn", "loss", "metrics", "run_eagerly", *getattr(self, "_user_params", ())}
        names |= {name for name in self._function_parameters() if name in self._get_param_names()} - {"optimizer"}
        prefixes = ("model__", "loss__", "metrics__", "compile__", "optimizer__")
        routed = {name: value for name, value in vars(self).items() if name.startswith(prefixes)}
        parameters = {name: getattr(self, name, None) for name in sorted(names)} | routed
        if not isinstance(self.optimizer, str | type | keras.optimizers.Optimizer):
            return Recipe.of(parameters | {"optimizer": self.optimizer}, {})
        optimizer, arguments = resolve_optimizer(type(self).__name__, self.optimizer, self._flat_routed("optimizer"))
        rates = {
            name: float(arguments[name])
            for name in ("learning_rate", "weight_decay")
            if isinstance(arguments.get(name), Real)
        }
        for name in rates:
            parameters.pop(f"optimizer__{name}", None)
        rest = {name: value for name, value in arguments.items() if name not in (*rates, "name")}
        return Recipe.of(parameters | {"optimizer": (optimizer, rest)}, rates)

    def _check_kept_network(self) -> None:
        """Bring the network of an earlier fit up to date with the parameters, or raise where that cannot be."""
        owner, model = type(self).__name__, self._network.model
        if not single_loss(model):
            raise ValueError(f"{owner} has no loss to train with. Compile the model before it becomes 'model_'.")
        now = self._present_recipe()
        rates = self._recipe.new_rates(owner, now)
        numbers = resolve_optimizer(owner, model.optimizer, {})[1]
        for name, rate in rates.items():
            if not isinstance(numbers.get(name), Real):
                raise ValueError(
                    f"The 'optimizer__{name}' parameter of {owner} cannot become {rate:g} in the training that goes "
                    f"on: its optimizer has {name}={numbers.get(name)!r}. Set warm_start=False, or use a new estimator."
                )
        self._network.update_numbers(rates)
        self._recipe = now

    def _check_shapes_of(self, model: keras.Model) -> None:
        owner, shape = type(self).__name__, self._encoded_shape
        if len(getattr(model, "outputs", None) or [None]) != 1:
            raise ValueError(f"{owner} needs a model with one output. Got one with {len(model.outputs)} outputs.")
        n_inputs = 1 if isinstance(shape, tuple) else len(shape)
        n_taken = len(getattr(model, "inputs", None) or [None] * n_inputs)
        if n_taken != n_inputs:
            remedy = " Let a feature_encoder of a subclass split X into a list of arrays." if n_inputs == 1 else ""
            raise ValueError(
                f"{owner} needs a model with {'one input' if n_inputs == 1 else f'{n_inputs} inputs'}. "
                f"Got one with {n_taken} input{'s' if n_taken > 1 else ''}.{remedy}"
            )
        if isinstance(shape, tuple) and (taken := misfitting_rows(model, shape)):
            raise ValueError(
                f"The model of {owner} takes rows of shape {taken}, but X has rows of shape {shape[1:]}. "
                "Build it from meta['n_features_in_'] or meta['X_shape_'] in a model function."
            )
        self._check_outputs(model)

    def _check_outputs(self, model: keras.Model) -> None:
        """Raise for a model whose number of outputs does not suit y."""

    def _merges_rows(self, network: _engine.Network) -> bool:
        """Whether equal rows may be merged in training with one batch: nothing draws for rows, mixes or counts them."""
        model = network.model
        # Beside the loss, the first of them, metrics count each row once, whatever its weight.
        is_plain = not model.non_trainable_variables and len(model.metrics) == 1
        return is_plain and averages_rows(single_loss(model))


def build_model_anew(estimator: FittedModel, seed: int) -> keras.Model:
    """Call the model function again, as for the fit that ``estimator`` was taken from."""
    model = estimator._model_from_function(seed)
    estimator._complete(model)
    return model


def misfitting_rows(model: keras.Model, X_shape: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """The shape of the rows that a model takes, unless X of shape (n, ...) has such rows."""
    taken: tuple[int | None, ...] = (getattr(model, "input_shape", None) or (None,))[1:]
    # Keras itself adds or drops a last axis of length one.
    fits = len(taken) != len(X_shape) - 1 or all(
        size in (None, given) for size, given in zip(taken, X_shape[1:], strict=True)
    )
    return None if fits else taken


def tables_of(model: keras.Model) -> list[tuple[str, int]]:
    """Name and number of entries of each Embedding that takes a model's input as it is."""
    if isinstance(model, keras.Sequential):
        first = next(iter(model.layers), None)
        if isinstance(first, keras.Sequential):
            return tables_of(first)
        return [(first.name, first.input_dim)] if isinstance(first, keras.layers.Embedding) else []
    inputs = {id(one) for one in getattr(model, "inputs", None) or ()}
    embeddings = [layer for layer in getattr(model, "layers", ()) if isinstance(layer, keras.layers.Embedding)]
    return [(layer.name, layer.input_dim) for layer in embeddings if _only_input(layer) in inputs]


def _only_input(layer: keras.layers.Layer) -> int | None:
    """Identity of the tensor that a layer takes, None for one that is used several times or not yet."""
    try:
        return id(layer.input)
    except (AttributeError, ValueError):
        return None
