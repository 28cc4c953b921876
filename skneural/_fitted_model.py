"""The Keras model in an estimator: built, checked, taken over from the user, and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from sklearn.utils.validation import check_is_fitted

from . import _engine
from ._compiling import averages_rows, loss_name, single_loss
from ._features import zero_rows
from ._parameters import Parameters
from ._scikit_compat import build_users_model, users_compile_arguments
from ._seeds import seeded_global_generators


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


class FittedModel(Parameters):
    """The network of an estimator, as a Keras model."""

    _network: Any
    _last_run: Run | None = None

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
        with seeded_global_generators(seed):
            model = build_users_model(self, self._shared_parameters())
        if not isinstance(model, keras.Model):
            raise TypeError(f"The model function of {type(self).__name__} must return a keras.Model. Got {model!r}.")
        if model is self.model:
            # A ready model is a parameter, and a fit leaves parameters as they are.
            model = _engine.duplicate(model)
        self._complete(model)
        self._check_loss_of(model)
        self._check_shapes_of(model)
        self._take_model(model)
        return _engine.Network.from_model(model)

    def _network_of(self, model: Any) -> _engine.Network:
        """Return a network of a model that takes the place of the one that was fitted."""
        owner = type(self).__name__
        if not isinstance(model, keras.Model):
            raise TypeError(f"The attribute 'model_' of {owner} must be a keras.Model or None. Got {model!r} instead.")
        if "target_encoder_" not in vars(self):
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
        if not model.built:
            model(zero_rows(self._encoded_shape))
        if not model.compiled:
            self._compile(model)
        if model.optimizer is not None:
            # Without its variables an optimizer cannot be restored from a pickle.
            model.optimizer.build(model.trainable_variables)

    def _compile(self, model: keras.Model) -> None:
        """Compile a model with the parameters."""
        model.compile(**users_compile_arguments(self))

    def _take_model(self, model: keras.Model) -> None:
        """Learn from the model what its targets and outputs are."""

    def _check_loss_of(self, model: keras.Model) -> None:
        owner = type(self).__name__
        if not getattr(model, "loss", None):
            raise ValueError(f"{owner} has no loss to train with. Give loss=..., or compile the model in its function.")
        given: Any = getattr(self, "loss", None)
        if isinstance(given, str) and isinstance(model.loss, str | keras.losses.Loss):
            got = loss_name(model.loss)
            if loss_name(given) != got:
                raise ValueError(
                    f"The 'loss' parameter of {owner} is {given!r}, but the model was compiled with {got!r}. "
                    "Give it in one place, or pass compile_kwargs['loss'] on to compile."
                )

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


def misfitting_rows(model: keras.Model, X_shape: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """The shape of the rows that a model takes, unless X of shape (n, ...) has such rows."""
    taken: tuple[int | None, ...] = (getattr(model, "input_shape", None) or (None,))[1:]
    # Keras itself adds or drops a last axis of length one.
    fits = len(taken) != len(X_shape) - 1 or all(
        size in (None, given) for size, given in zip(taken, X_shape[1:], strict=True)
    )
    return None if fits else taken
