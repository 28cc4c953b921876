"""Keras models as JSON and arrays, and back: private names of Keras's own saving, with version and reason.

Keras 3.15, ``keras.src.saving.saving_lib``: the public ``save`` writes a file and compiles, and importing scikeras
replaces the pickling of ``keras.Model`` by one that registers classes globally and refuses Lambda layers when it loads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import keras
import numpy as np
from keras.src.saving import saving_lib
from keras.src.saving.serialization_lib import SafeModeScope
from numpy.typing import NDArray

Weights = dict[str, dict[str, NDArray[Any]]]


class _ArraysByPath(saving_lib.H5IOStore):
    """Keeps what the parts of a model store of themselves, by their paths in the model."""

    def __init__(self, weights: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.contents: dict[str, dict[str, Any]] = {path: dict(one) for path, one in (weights or {}).items()}

    def make(self, path: str, metadata: Any = None) -> dict[str, Any]:
        return self.contents.setdefault(path, {})

    def get(self, path: str) -> dict[str, Any]:
        return self.contents.get(path, {})

    def has_path(self, path: str) -> bool:
        """Tell whether there is something of a part or of what is in it (Keras 3.16 asks)."""
        return any(one == path or one.startswith(f"{path}/") for one in self.contents)

    def __bool__(self) -> bool:
        """There is no file that may be closed."""
        return True


def _has_assets(model: keras.Model) -> bool:
    """Whether a model has layers that write files, such as their vocabularies."""
    return any(hasattr(layer, "save_assets") for layer in model._flatten_layers(include_self=True, recursive=True))


def _as_array(value: Any) -> NDArray[Any]:
    is_keras = isinstance(value, keras.Variable) or keras.ops.is_tensor(value)
    return np.array(keras.ops.convert_to_numpy(value) if is_keras else value)


def model_to_plain(model: keras.Model) -> tuple[str, Weights, dict[str, bytes]]:
    """Return a model's config as JSON, its arrays by path and name, and the files of its layers."""
    config, _ = saving_lib._serialize_model_as_json(model)
    arrays = _ArraysByPath()
    assets = saving_lib.DiskIOStore("assets", mode="w") if _has_assets(model) else None
    try:
        saving_lib._save_state(model, arrays, assets, inner_path="", visited_saveables=set())
        files = {} if assets is None else _read_files(Path(assets.working_dir))
    finally:
        if assets is not None:
            assets.close()
    weights = {
        path: {name: _as_array(value) for name, value in values.items()}
        for path, values in arrays.contents.items()
        if values
    }
    return config, weights, files


def _read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder).as_posix()): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def model_from_plain(
    config: str, weights: Mapping[str, Mapping[str, Any]], assets: Mapping[str, bytes], *, is_safe: bool
) -> keras.Model:
    """Make a model of what ``model_to_plain`` has given; a safe one runs no code of its config."""
    model = saving_lib._model_from_config(config, None, compile=False, safe_mode=is_safe)
    failed: set[int] = set()
    messages: dict[int, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, data in assets.items():
            parts = PurePosixPath(name).parts
            if not parts or name.startswith("/") or any(part == ".." or "\\" in part or ":" in part for part in parts):
                raise ValueError(f"{name!r} is no name of a file of a layer.")
            path = Path(folder, *parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        files = saving_lib.DiskIOStore(folder, mode="r") if assets else None
        saving_lib._load_state(
            model,
            _ArraysByPath(weights),
            files,
            inner_path="",
            visited_saveables=set(),
            failed_saveables=failed,
            error_msgs=messages,
        )
    if failed:
        saving_lib._raise_loading_failure(messages)
    return model


@contextmanager
def safe_mode(*, is_safe: bool) -> Iterator[None]:
    """Let Keras refuse, or allow, configs that run code (Keras 3.15: public is only a switch for the whole process)."""
    with SafeModeScope(is_safe):
        yield


def check_config(config: Any, names: Any) -> None:
    """Raise for a config of a class or function that is neither Keras's, nor registered with it, nor in ``names``.

    Keras itself would import the module that the config names.
    """
    if isinstance(config, list):
        for item in config:
            check_config(item, names)
    if not isinstance(config, dict):
        return
    for item in config.values():
        check_config(item, names)
    if "class_name" not in config or not ({"module", "registered_name"} & set(config)):
        return
    module = str(config.get("module"))
    is_keras = module in ("keras", "builtins") or module.startswith("keras.")
    name = config["config"] if config["class_name"] == "function" else config.get("registered_name")
    said = name or config["class_name"]
    if not is_keras and said not in names and keras.saving.get_registered_object(said) is None:
        raise ValueError(f"The network has a part {said!r} of {module!r}, which is neither Keras's nor was given.")
