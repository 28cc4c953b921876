"""Fits that go on after a kill: the progress of a run in a folder, written whole or not at all."""

from __future__ import annotations

import datetime
import hashlib
import inspect
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from skneural import _engine
from skneural._stored.all_forms import FORMS
from skneural._stored.atomic import write_whole
from skneural._stored.forms import Reader, Writer
from skneural._stored.pickled import digest_of

_FILE = "checkpoint.npz"
_FORMAT = 2
# What stands in the name of a folder for the fit that it belongs to.
_FIT = "{fit}"
_N_DIGITS = 16
_BYTES_AT_ONCE = 1 << 26
# What the length of a training and its course follow from, beside parameters and data.
_OF_SETTINGS = (
    "epochs",
    "batch_size",
    "seed",
    "shuffle",
    "initial_epoch",
    "validation_batch_size",
    "early_stopping",
    "learning_rate_factors",
    "n_averaged",
    "keras_fit_arguments",
)


def fingerprint_of(
    estimator: Any, network: _engine.Network, settings: _engine.Settings, data: Iterable[_engine.Data | None]
) -> str:
    """Return a digest of a training: class, parameters, settings, first weights, rows to learn from and others."""
    parameters = estimator.get_params(deep=False)
    told = {
        **{name: value for name, value in parameters.items() if name not in estimator._without_effect_on_training},
        **{f"settings {name}": getattr(settings, name) for name in _OF_SETTINGS if name != "early_stopping"},
        "settings early_stopping": None if settings.early_stopping is None else vars(settings.early_stopping),
    }
    writer = Writer(FORMS)
    nodes = {name: writer.node(value) for name, value in sorted(told.items())}
    given = [_name_of(one.value) for one in writer.given]
    document = json.dumps([type(estimator).__qualname__, nodes, given])
    digest = hashlib.sha256(digest_of(document, writer.arrays).encode())
    for value in network.variable_values():
        _add(digest, value)
    for one in data:
        for array in () if one is None else (*one.inputs, one.targets, one.sample_weight, *one.tables.values()):
            _add(digest, array)
        digest.update(b"|")
    return digest.hexdigest()


def _name_of(value: Any) -> str:
    """Return what tells an object that is no plain data from others, in each process: a function's or class's name."""
    named = value if inspect.isroutine(value) or inspect.isclass(value) else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _add(digest: Any, array: Any) -> None:
    if sparse.issparse(array):
        for part in (array.data, array.indices, array.indptr):
            _add(digest, part)
    elif array is not None:
        digest.update(f"{array.dtype}{array.shape}".encode())
        # Rows may be more than memory holds.
        n_rows = max(1, _BYTES_AT_ONCE // max(1, array.nbytes // max(1, len(array)))) if array.ndim else 1
        for part in (
            (array[first : first + n_rows] for first in range(0, len(array), n_rows)) if array.ndim else [array]
        ):
            if part.size:
                digest.update(np.ascontiguousarray(part).view(np.uint8).data)


def kept_in(
    estimator: Any,
    network: _engine.Network,
    data: tuple[_engine.Data, _engine.Data | None],
    settings: _engine.Settings,
    part: str = "",
) -> _engine.Settings:
    """Return settings that keep the progress of a training in the estimator's folder, or in a part of that."""
    fingerprint = fingerprint_of(estimator, network, settings, data)
    folder = Path(os.fspath(estimator.checkpoint).replace(_FIT, fingerprint[:_N_DIGITS]), part)
    keeper = CheckpointFolder(type(estimator).__name__, folder, fingerprint)
    every = rhythm_of(type(estimator).__name__, estimator.checkpoint_every)
    return replace(settings, keeper=keeper, keep_every=every)


def rhythm_of(owner: str, every: Any) -> int | datetime.timedelta:
    """Return the number of epochs, or the span of time, after which a training is kept again.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    expected = (
        f"The 'checkpoint_every' parameter of {owner} must be an int of 1 or more, which are epochs, or a span of "
        f"time: a datetime.timedelta, or text such as '5min'. Got {every!r}."
    )
    if isinstance(every, Integral) and not isinstance(every, bool):
        if every < 1:
            raise ValueError(expected)
        return int(every)
    if not isinstance(every, str | datetime.timedelta):
        raise TypeError(expected)
    try:
        span = pd.Timedelta(every) if isinstance(every, str) else every
    except ValueError as error:
        raise ValueError(expected) from error
    # Text without a unit would be nanoseconds to pandas.
    has_unit = not isinstance(every, str) or any(one.isalpha() or one == ":" for one in every)
    if pd.isna(span) or not has_unit or span < datetime.timedelta(0):
        raise ValueError(expected)
    return span


class CheckpointFolder:
    """Keeps the progress of one run in a folder, which no other run may use.

    A file without pickles, which takes the place of the one before only when it is written whole.
    """

    def __init__(self, owner: str, folder: str | os.PathLike[str], fingerprint: str) -> None:
        self._owner = owner
        self._path = Path(folder) / _FILE
        self._fingerprint = fingerprint

    def load(self) -> _engine.Progress | None:
        """Return what was saved last.

        Raises
        ------
        ValueError
            For a file of another run, or one that is no checkpoint.
        """
        if not self._path.exists():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            said = json.loads(bytes(arrays.pop("said")).decode())
            is_of_this_run = said["fingerprint"] == self._fingerprint and said["format"] == _FORMAT
            progress = _progress_of(said, arrays) if is_of_this_run else None
        except Exception as error:
            raise ValueError(f"{self._told} {self._path} is no checkpoint that can be read: {error}") from error
        if progress is None:
            raise ValueError(
                f"{self._told} {self._path} is of a fit on other data or with other parameters. Give another folder, "
                "delete the file, or give the data and parameters that it was begun with. In the name of a folder "
                "{fit} stands for the fit, so that each has one of its own."
            )
        return progress

    def save(self, progress: _engine.Progress) -> None:
        """Write the progress; where that fails, say so and leave the file before as it was."""
        writer = Writer(FORMS)
        said = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "epoch": progress.epoch,
            "is_done": progress.is_done,
            "state": writer.node([progress.state.variables, progress.state.optimizer]),
            "judged": writer.node(dict(progress.judged)),
            "kept": writer.node(progress.kept),
            "recent": writer.node(list(progress.recent)),
            "callbacks": writer.node([dict(one) for one in progress.callbacks]),
        }
        arrays = {str(place): one for place, one in enumerate(writer.arrays)}
        arrays["said"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
        try:
            write_whole(self._path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
        except OSError as error:
            warnings.warn(
                f"{self._told} {self._path} could not be written, and the training goes on without: {error}",
                RuntimeWarning,
                stacklevel=2,
            )

    @property
    def _told(self) -> str:
        return f"The 'checkpoint' of {self._owner}:"


def _progress_of(said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> _engine.Progress:
    reader = Reader(FORMS, [arrays[str(place)] for place in range(len(arrays))], [])
    return _engine.Progress(
        epoch=said["epoch"],
        is_done=said["is_done"],
        state=_engine.State(*reader.value(said["state"])),
        judged=reader.value(said["judged"]),
        kept=reader.value(said["kept"]),
        recent=tuple(reader.value(said["recent"])),
        callbacks=tuple(reader.value(said["callbacks"])),
    )
