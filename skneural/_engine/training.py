"""The choice between the ways to train a network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import numpy as np

from skneural._compat.keras_names import compiled_metrics
from skneural.exceptions import TrainingDivergedError

from .conduct import Conduct
from .distribution import WORKER_IS_GONE, strategy_in_scope
from .identity.compilable import why_not_settings
from .loop.job import Job
from .loop.keras_fit import KerasFit
from .loop.runners import runner_of
from .loop.train import train
from .model.ends import ModelInputs
from .model.network import Network
from .obstacles import ObstacleError
from .records import Data, Result, Settings

_logger = logging.getLogger("skneural")
# Keras's own fit keeps state that is global to the process. Who is in it and calls others, from a callback, stands
# still meanwhile: these have a lock of their own.
_OUTERMOST = threading.Lock()
_KERAS_FIT = ContextVar("_KERAS_FIT", default=_OUTERMOST)


def fit(network: Network, data: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network on dense or sparse rows and leave the trained weights in it.

    Raises
    ------
    TrainingDivergedError
        When the loss of an epoch, or a weight in the end, is NaN or infinite.
    """
    result = _fit(network, data, validation, settings)
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


def _fit(network: Network, data: Data, validation: Data | None, settings: Settings) -> Result:
    data, validation, settings = _split_off(data, validation, settings)
    if settings.step is not None:
        return _fit_by_step(network, data, validation, settings)
    if data.targets is None:
        raise ValueError("Data without targets can be learnt from by a step only (Settings.step).")
    if len(data.inputs) == 1:
        network.build_for(data.inputs[0].shape[1:])
    takes = ModelInputs.of(network.any_model)
    data, validation = takes.rows_of(data), validation and takes.rows_of(validation)
    why_keras = why_not_settings(settings) or network.obstacle or network.loss_obstacle
    if why_keras is None:
        try:
            return _train(network, data, validation, settings)
        except ObstacleError as error:
            why_keras = str(error)
    _logger.info("Training goes through Keras's own fit: %s.", why_keras)
    with _keras_fit_alone(settings.conduct), _on_devices_in_scope(network):
        job = Job(network, settings)
        return train(job, KerasFit(job, data, validation, why_keras))


def _fit_by_step(network: Network, data: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network by a step of a family's own; what XLA cannot compile of it, TensorFlow runs."""
    why_not = why_not_settings(settings) or network.obstacle or _why_not_for_step(network)
    if why_not is not None:
        raise ValueError(
            f"A network cannot be trained by the step {settings.step and settings.step.key!r}: {why_not}. Keras's own "
            "fit, which could do that, knows losses of outputs and targets alone."
        )
    try:
        return _train(network, data, validation, settings)
    except ObstacleError as error:
        not_for_xla = network.program_template(None).not_for_xla
        if settings.step in not_for_xla:
            # It is not XLA: let the author of the step see what is wrong in it.
            not_for_xla.discard(settings.step)
            raise error.__cause__ or error from None
        _logger.debug("XLA does not compile a step: %s.", error)
        not_for_xla.add(settings.step)
    return _fit_by_step(network, data, validation, settings)


def _why_not_for_step(network: Network) -> str | None:
    model = network.any_model
    has_loss = model.loss is not None or compiled_metrics(model) is not None
    return "it was compiled with a loss or metrics, not with an optimizer alone" if has_loss else None


def _train(network: Network, data: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network by the engine's own epochs."""
    job = Job(network, settings)
    return train(job, runner_of(job, data, validation))


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
def _on_devices_in_scope(network: Network) -> Iterator[None]:
    """Have the network's variables on the devices of a strategy in scope, and afterwards in memory."""
    strategy = strategy_in_scope()
    if strategy is None:
        yield
        return
    network.hold_arrays()
    try:
        yield
    except WORKER_IS_GONE as error:
        raise RuntimeError(
            f"Another worker of the {strategy} has ended or cannot be reached, so that training cannot go on. "
            "Start all workers anew: with the parameter 'checkpoint' they go on from the last epoch that was kept, "
            "without it they begin again."
        ) from error
    finally:
        network.hold_arrays()


def _split_off(data: Data, validation: Data | None, settings: Settings) -> tuple[Data, Data | None, Settings]:
    """Do what Keras's ``validation_split`` does: the last rows, before any shuffling."""
    arguments = dict(settings.keras_fit_arguments)
    fraction = arguments.pop("validation_split", 0.0)
    settings = replace(settings, keras_fit_arguments=arguments)
    if validation is not None or not fraction:
        return data, validation, settings
    n_train = int(data.n_rows * (1.0 - fraction))
    return data.take(slice(None, n_train)), data.take(slice(n_train, None)), settings
