"""The choice between the ways to train a network."""

from __future__ import annotations

import logging
from dataclasses import replace

from ._compilable import why_not_model, why_not_settings
from ._compiled_fit import CannotCompileError, Job, make_job, train_alone
from ._keras_fit import fit_with_keras
from ._meeting import current_task
from ._network import Network
from ._records import Data, Result, Settings
from ._together import is_stackable

_logger = logging.getLogger("skneural")


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
    return fit_with_keras(network, train, validation, settings, why_keras)


def _train(job: Job) -> Result:
    """Train a network now, or in a task of a meeting together with those of other tasks."""
    task = current_task()
    if task is None or not is_stackable(job):
        return train_alone(job)
    result: Result = task.train(job)
    return result


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
