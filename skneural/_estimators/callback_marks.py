"""What a fit leaves in Keras callbacks, which are parameters: results, and nothing that cannot be copied."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from skneural import _engine

_NOTHING = object()


@contextmanager
def without_marks(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Take the model, open files and their like out of callbacks again when the block ends."""
    before = [dict(vars(callback)) for callback in callbacks]
    try:
        yield
    finally:
        for callback, attributes in zip(callbacks, before, strict=True):
            # A callback's own method may want a model.
            keras.callbacks.Callback.set_model(callback, None)
            _put_back(callback, attributes)


def _put_back(callback: keras.callbacks.Callback, before: dict[str, Any]) -> None:
    for name, value in list(vars(callback).items()):
        earlier = before.get(name, _NOTHING)
        if value is earlier or _engine.is_plain(value) or _can_be_copied(value):
            continue
        if earlier is _NOTHING:
            delattr(callback, name)
        else:
            setattr(callback, name, earlier)


def _can_be_copied(value: Any) -> bool:
    try:
        # A copy of TensorFlow's context would break the original.
        pickle.dumps(value)
    except Exception:
        # A file, a thread, a lock, a writer: each has an error of its own.
        return False
    return True
