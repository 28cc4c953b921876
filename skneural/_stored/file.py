"""Files of estimators: a zip of JSON and arrays that says what is in it, and is read without running its code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import reprlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skneural import __version__
from skneural._versions import versions_of

from .all_forms import FORMS
from .atomic import write_whole
from .forms import Given, Reader, StoredDataError, Writer, checked

FORMAT = 1
_MANIFEST, _DOCUMENT = "manifest.json", "estimator.json"
_PACKAGES = ("keras", "tensorflow", "scikit-learn", "numpy")
# The end of a file: its own SHA-256, in hexadecimal digits, as the comment of the zip.
_N_DIGITS = 64
# A fixed date: equal estimators have equal files.
_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 20


def save_file(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write an estimator to a file, whole or not at all."""
    writer = Writer(FORMS, by_name=True)
    document = writer.node(estimator)
    names = _names_of(type(estimator).__name__, writer.given)
    members = {_DOCUMENT: json.dumps(document, allow_nan=False).encode()}
    for place, array in enumerate(writer.arrays):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=False)
        members[f"arrays/{place}.npy"] = buffer.getvalue()
    manifest = {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "custom_objects": names,
        "versions": {"skneural": __version__, **versions_of(_PACKAGES)},
        "members": {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in members.items()},
    }
    members = {_MANIFEST: json.dumps(manifest, indent=1).encode(), **members}
    write_whole(path, lambda file: _write_zip(file, members))


def _names_of(owner: str, given: Sequence[Given]) -> list[str]:
    """Return the names that who loads must give objects for, in their order."""
    names: dict[str, Any] = {}
    for one in given:
        name = one.name
        if name is None:
            raise ValueError(
                f"This {owner} cannot be saved: it holds {_described(one.value)}, which is neither plain data nor a "
                "function or class with a name. Pickle it with cloudpickle, or put something else in its place."
            )
        if name in names:
            raise ValueError(
                f"This {owner} cannot be saved: two of its parts have the name {name!r}, by which they would be asked "
                "for when it is loaded. Give one of them another name."
            )
        names[name] = one.value
    return list(names)


def _described(value: Any) -> str:
    return "a network with code in its layers" if getattr(value, "needs_trust", False) else reprlib.repr(value)


def _write_zip(file: BinaryIO, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data)
        archive.comment = b"0" * _N_DIGITS
    file.seek(-_N_DIGITS, os.SEEK_END)
    n_bytes = file.tell()
    file.seek(0)
    digest = _digest_of(file, n_bytes)
    file.seek(n_bytes)
    file.write(digest.encode())


def _digest_of(file: BinaryIO, n_bytes: int) -> str:
    digest = hashlib.sha256()
    while n_bytes > 0 and (chunk := file.read(min(n_bytes, _CHUNK))):
        digest.update(chunk)
        n_bytes -= len(chunk)
    return digest.hexdigest()


def load(path: str | os.PathLike[str], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Load an estimator from a file that its method ``save`` has written.

    No code of the file is run, and nothing is unpickled: it holds numbers, text and arrays, and the names of estimators
    and of parts of Keras's networks. A damaged file is refused. So is one that is not as it says; the checksum
    protects from accidents, not from somebody who writes another file.

    Parameters
    ----------
    path : str or path-like
        The file.
    custom_objects : dict, default=None
        What the file does not hold, by name: functions and classes of your own by theirs, any other object by the name
        of the parameter that it was given as. An error says which there must be.

    Returns
    -------
    estimator : estimator
        It predicts the same bits as the one that was saved, and goes on training as that would.

    Raises
    ------
    ValueError
        For a file that is damaged, is none of skneural's, was written by a later version in another format, or needs
        objects that were not given.

    Examples
    --------
    >>> import numpy as np, skneural, tempfile, os
    >>> X = np.random.default_rng(0).normal(size=(50, 3))
    >>> network = skneural.DenseNetClassifier((4,), epochs=2, random_state=0).fit(X, X[:, 0] > 0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     network.save(os.path.join(folder, "model.skn"))
    ...     loaded = skneural.load(os.path.join(folder, "model.skn"))
    >>> bool((loaded.predict_proba(X) == network.predict_proba(X)).all())
    True
    """
    try:
        with open(path, "rb") as file:
            _check_digest(file)
            with zipfile.ZipFile(file) as archive:
                manifest = _manifest_of(archive)
                contents = _read_members(archive, manifest)
        given = _given_objects(path, manifest, dict(custom_objects or {}))
        arrays = [_array_of(contents[f"arrays/{place}.npy"]) for place in range(len(contents) - 1)]
        estimator = Reader(FORMS, arrays, given).value(json.loads(contents[_DOCUMENT]))
        if not isinstance(estimator, BaseEstimator):
            raise StoredDataError("It holds no estimator.")
        return estimator
    except OSError:
        raise
    except Exception as error:
        # Whoever has written such a file, it is the file that is to blame.
        raise StoredDataError(f"{os.fspath(path)!r} cannot be loaded. {_said(error)}") from error


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, StoredDataError) else f"It is not as skneural writes files: {error!r}"


def _check_digest(file: BinaryIO) -> None:
    n_bytes = file.seek(0, os.SEEK_END) - _N_DIGITS
    if n_bytes < 0:
        raise StoredDataError("It is too short for a file of an estimator.")
    file.seek(0)
    if not zipfile.is_zipfile(file):
        raise StoredDataError("It is no file that skneural has written, or its end is missing.")
    file.seek(0)
    if _digest_of(file, n_bytes).encode() != file.read():
        raise StoredDataError("It is damaged: its checksum is not that of its contents.")


def _manifest_of(archive: zipfile.ZipFile) -> dict[str, Any]:
    """Return what a file says of itself, which has to be what it is."""
    infos = archive.infolist()
    if not infos or infos[0].filename != _MANIFEST:
        raise StoredDataError("It does not begin with a manifest.")
    for info in infos:
        # So there are not more bytes than the file has.
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 0x1:
            raise StoredDataError(f"Its member {info.filename!r} is compressed or encrypted.")
    assert archive.fp is not None
    if sum(info.file_size for info in infos) > archive.fp.seek(0, os.SEEK_END):
        raise StoredDataError("Its members have more bytes than it has itself.")
    manifest: dict[str, Any] = checked(json.loads(archive.read(infos[0])), dict)
    if manifest["format"] != FORMAT:
        raise StoredDataError(
            f"It has the format {manifest['format']!r} and was written with {manifest['versions']}, but this version "
            f"of skneural knows the format {FORMAT}. Load it with that version of skneural."
        )
    members = checked(manifest["members"], dict)
    names = [info.filename for info in infos]
    expected = [_MANIFEST, _DOCUMENT, *(f"arrays/{place}.npy" for place in range(len(members) - 1))]
    if names != expected or list(members) != expected[1:]:
        raise StoredDataError("It has other members than it says.")
    for info in infos[1:]:
        if info.file_size != checked(members[info.filename], list, 2)[0]:
            raise StoredDataError(f"Its member {info.filename!r} is not of the size that it says.")
    return manifest


def _read_members(archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> dict[str, bytes]:
    contents = {name: archive.read(name) for name in manifest["members"]}
    for name, data in contents.items():
        if hashlib.sha256(data).hexdigest() != manifest["members"][name][1]:
            raise StoredDataError(f"Its member {name!r} is damaged.")
    return contents


def _array_of(data: bytes) -> NDArray[Any]:
    """Return an array; one that says that it is larger than its data is refused before memory is taken for it."""
    buffer = io.BytesIO(data)
    version = np.lib.format.read_magic(buffer)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
    shape, _, dtype = read_header(buffer, max_header_size=10_000)
    n_items = 1
    for size in shape:
        n_items *= size
    if dtype.hasobject or n_items * dtype.itemsize != len(data) - buffer.tell():
        raise StoredDataError("One of its arrays is not of the size that it says.")
    buffer.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(buffer, allow_pickle=False, max_header_size=10_000)
    return array


def _given_objects(path: str | os.PathLike[str], manifest: Mapping[str, Any], objects: dict[str, Any]) -> list[Any]:
    names = checked(manifest["custom_objects"], list)
    if lacking := [name for name in names if name not in objects]:
        said = ", ".join(f"{name!r}: {name}" for name in lacking)
        raise StoredDataError(
            f"It does not hold functions, classes or parameters of the user's own: {', '.join(map(repr, lacking))}. "
            f"Give them: skneural.load({os.fspath(path)!r}, custom_objects={{{said}}})."
        )
    return [objects[name] for name in names]
