"""Fits that go on after a kill: the progress of a run in a folder, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skneural import _engine
from skneural._stored.atomic import write_whole

_FILE = "checkpoint.npz"
_FORMAT = 1


def fingerprint_of(estimator: Any, data: Iterable[_engine.Data | None]) -> str:
    """Return a digest of an estimator's class and parameters and of the data of its training."""
    digest = hashlib.sha256()
    parameters = {
        name: _written(value)
        for name, value in estimator.get_params(deep=False).items()
        if name not in estimator._without_effect_on_training
    }
    digest.update(json.dumps([type(estimator).__name__, parameters], sort_keys=True).encode())
    for one in data:
        for array in () if one is None else (*one.inputs, one.targets, one.sample_weight, *one.tables.values()):
            _add(digest, array)
        digest.update(b"|")
    return digest.hexdigest()


def _written(value: Any) -> str:
    """Return a value as text that is the same in each process, of objects their class."""
    is_plain = isinstance(value, str | int | float | bool | np.generic | list | tuple | dict | type(None))
    return (
        repr(value) if is_plain else f"{type(value).__module__}.{getattr(value, '__qualname__', type(value).__name__)}"
    )


def _add(digest: Any, array: Any) -> None:
    if sparse.issparse(array):
        for part in (array.data, array.indices, array.indptr):
            _add(digest, part)
    elif array is not None:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")


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
        except Exception as error:
            raise ValueError(f"{self._told} {self._path} is no checkpoint that can be read: {error}") from error
        if said["fingerprint"] != self._fingerprint or said["format"] != _FORMAT:
            raise ValueError(
                f"{self._told} {self._path} is of a fit on other data or with other parameters. Give another folder, "
                "delete the file, or give the data and parameters that it was begun with."
            )
        return _engine.Progress(
            epoch=said["epoch"],
            is_done=said["is_done"],
            state=_engine.State(_listed(arrays, "variables"), _listed(arrays, "optimizer")),
            judged=said["judged"],
            kept=_listed(arrays, "kept") if said["has_kept"] else None,
            recent=tuple(_listed(arrays, f"recent{index}") for index in range(said["n_recent"])),
        )

    def save(self, progress: _engine.Progress) -> None:
        """Write the progress; where that fails, say so and leave the file before as it was."""
        said = {
            "format": _FORMAT,
            "fingerprint": self._fingerprint,
            "epoch": progress.epoch,
            "is_done": progress.is_done,
            "judged": _plain(progress.judged),
            "has_kept": progress.kept is not None,
            "n_recent": len(progress.recent),
        }
        lists = {
            "variables": progress.state.variables,
            "optimizer": progress.state.optimizer,
            "kept": progress.kept or [],
            **{f"recent{index}": one for index, one in enumerate(progress.recent)},
        }
        arrays = {f"{name}-{place}": one for name, values in lists.items() for place, one in enumerate(values)}
        try:
            arrays["said"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
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


def _listed(arrays: Mapping[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    places = sorted(int(key.rpartition("-")[2]) for key in arrays if key.rpartition("-")[0] == name)
    return [arrays[f"{name}-{place}"] for place in places]


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(one) for one in value]
    return value.item() if isinstance(value, np.generic) else value
