"""The choice between the ways to train a network."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from ._alone import train_alone
from ._compilable import why_not_model, why_not_settings
from ._compiled_fit import CannotCompileError, Job, make_job
from ._keras_fit import fit_with_keras
from ._meeting import MeetingCancelledError, current_task
from ._network import Network
from ._records import Data, Result, Settings
from ._together import may_be_stacked

_logger = logging.getLogger("skneural")
# Keras's own fit keeps state that is global to the process.
_KERAS_FIT = threading.RLock()


def fit(network: Network, train: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network on dense or sparse rows and leave the trained weights in it.

    Raises
    ------
    TrainingDivergedError
        When the loss of an epoch is NaN or infinite.
    """
    train, validation, settings = _split_off(train, validation, settings)
    network.build_for(train.X.shape[1:])
    why_keras = why_not_settings(settings) or why_not_model(network.any_model)
    if why_keras is None:
        try:
            return _train(make_job(network, train, validation, settings))
        except CannotCompileError as error:
            why_keras = str(error)
    _logger.info("Training goes through Keras's own fit: %s.", why_keras)
    with _KERAS_FIT:
        return fit_with_keras(network, train, validation, _stoppable(settings), why_keras)


def _train(job: Job) -> Result:
    """Train a network now, or in a task of a meeting together with those of other tasks where that pays."""
    task = current_task()
    if task is None:
        return train_alone(job)
    if task.n_models < 2 or not may_be_stacked(job, task.n_models):
        job.should_stop = lambda: task.is_cancelled
        return train_alone(job)
    result: Result = task.train(job)
    return result


def _stoppable(settings: Settings) -> Settings:
    """Let a run in a task of a meeting end with its epoch when the task is cancelled."""
    task = current_task()
    if task is None:
        return settings

    def begin(epoch: int) -> None:
        if task.is_cancelled:
            raise MeetingCancelledError
        if settings.on_epoch_begin is not None:
            settings.on_epoch_begin(epoch)

    return replace(settings, on_epoch_begin=begin)


def _split_off(train: Data, validation: Data | None, settings: Settings) -> tuple[Data, Data | None, Settings]:
    """Do what Keras's ``validation_split`` does: the last rows, before any shuffling."""
    arguments = dict(settings.keras_fit_arguments)
    fraction = arguments.pop("validation_split", 0.0)
    settings = replace(settings, keras_fit_arguments=arguments)
    if validation is not None or not fraction:
        return train, validation, settings
    n_train = int(train.n_rows * (1.0 - fraction))
    parts = [
        Data(train.X[rows], train.y[rows], None if train.sample_weight is None else train.sample_weight[rows])
        for rows in (slice(None, n_train), slice(n_train, None))
    ]
    return parts[0], parts[1], settings
