"""The choice between the ways to train a network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import numpy as np

from skneural._compat import compiled_metrics
from skneural.exceptions import TrainingDivergedError

from .conduct import Conduct
from .identity.compilable import why_not_settings
from .loop.alone import train_alone
from .loop.job import Job, make_job
from .loop.keras_fit import fit_with_keras
from .model.ends import ModelInputs
from .model.network import Network
from .obstacles import ObstacleError
from .records import Data, Result, Settings

_logger = logging.getLogger("skneural")
# Keras's own fit keeps state that is global to the process. Who is in it and calls others, from a callback, stands
# still meanwhile: these have a lock of their own.
_OUTERMOST = threading.Lock()
_KERAS_FIT = ContextVar("_KERAS_FIT", default=_OUTERMOST)


def fit(network: Network, train: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network on dense or sparse rows and leave the trained weights in it.

    Raises
    ------
    TrainingDivergedError
        When the loss of an epoch, or a weight in the end, is NaN or infinite.
    """
    result = _fit(network, train, validation, settings)
    _check_weights(network, result, settings)
    return result


def _check_weights(network: Network, result: Result, settings: Settings) -> None:
    """Raise for weights that are not finite: the loss of an epoch was computed before its last step."""
    model = network.any_model
    trained = {id(variable) for variable in model.trainable_variables}
    for variable, value in zip(model.variables, network.variable_values(), strict=True):
        if id(variable) in trained and value.dtype.kind == "f" and not np.isfinite(value).all():
            losses = result.history.get("loss", [np.nan])
            raise TrainingDivergedError(settings.initial_epoch + result.n_epochs, losses[-1], "weights")


def _fit(network: Network, train: Data, validation: Data | None, settings: Settings) -> Result:
    train, validation, settings = _split_off(train, validation, settings)
    if settings.step is not None:
        return _fit_by_step(network, train, validation, settings)
    if len(train.inputs) == 1:
        network.build_for(train.inputs[0].shape[1:])
    takes = ModelInputs.of(network.any_model)
    train, validation = takes.rows_of(train), validation and takes.rows_of(validation)
    why_keras = why_not_settings(settings) or network.obstacle or network.loss_obstacle
    if why_keras is None:
        try:
            return _train(make_job(network, train, validation, settings))
        except ObstacleError as error:
            why_keras = str(error)
    _logger.info("Training goes through Keras's own fit: %s.", why_keras)
    with _keras_fit_alone(settings.conduct), _counted(settings) as counted:
        return fit_with_keras(network, train, validation, counted, why_keras)


def _fit_by_step(network: Network, train: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network by a step of a family's own; what XLA cannot compile of it, TensorFlow runs."""
    why_not = why_not_settings(settings) or network.obstacle or _why_not_for_step(network)
    if why_not is not None:
        raise ValueError(
            f"A network cannot be trained by the step {settings.step and settings.step.key!r}: {why_not}. Keras's own "
            "fit, which could do that, knows losses of outputs and targets alone."
        )
    try:
        return _train(make_job(network, train, validation, settings))
    except ObstacleError as error:
        not_for_xla = network.program_template(None).not_for_xla
        if settings.step in not_for_xla:
            # What is wrong is so in the step: let its author see that.
            raise error.__cause__ or error from None
        _logger.debug("XLA does not compile a step: %s.", error)
        not_for_xla.add(settings.step)
    return _fit_by_step(network, train, validation, settings)


def _why_not_for_step(network: Network) -> str | None:
    model = network.any_model
    has_loss = model.loss is not None or compiled_metrics(model) is not None
    return "it was compiled with a loss or metrics, not with an optimizer alone" if has_loss else None


def _train(job: Job) -> Result:
    """Train a network, counted among those that are under way."""
    conduct = job.settings.conduct
    conduct.begin(job.n_epochs_left)
    try:
        return train_alone(job)
    finally:
        conduct.end(job.n_epochs_left)


@contextmanager
def _keras_fit_alone(conduct: Conduct) -> Iterator[None]:
    """Let no other thread be in Keras's own fit; others go on while one waits for that."""
    lock = _KERAS_FIT.get()
    if not lock.acquire(blocking=False):
        with conduct.away():
            lock.acquire()
    within = _KERAS_FIT.set(threading.Lock())
    try:
        yield
    finally:
        _KERAS_FIT.reset(within)
        lock.release()


@contextmanager
def _counted(settings: Settings) -> Iterator[Settings]:
    """Let a run in Keras's own fit be counted among those under way, and end with its epoch where it is to end."""
    conduct, n_left = settings.conduct, settings.epochs
    conduct.begin(n_left)

    def begin(epoch: int) -> None:
        nonlocal n_left
        conduct.ask()
        conduct.advance()
        n_left -= 1
        if settings.on_epoch_begin is not None:
            settings.on_epoch_begin(epoch)

    try:
        yield replace(settings, on_epoch_begin=begin)
    finally:
        conduct.end(n_left)


def _split_off(train: Data, validation: Data | None, settings: Settings) -> tuple[Data, Data | None, Settings]:
    """Do what Keras's ``validation_split`` does: the last rows, before any shuffling."""
    arguments = dict(settings.keras_fit_arguments)
    fraction = arguments.pop("validation_split", 0.0)
    settings = replace(settings, keras_fit_arguments=arguments)
    if validation is not None or not fraction:
        return train, validation, settings
    n_train = int(train.n_rows * (1.0 - fraction))
    return train.take(slice(None, n_train)), train.take(slice(n_train, None)), settings
