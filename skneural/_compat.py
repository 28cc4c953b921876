"""Keras's private names that skneural needs, each with its version, link and reason."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

_PYTHON_RANDOM = threading.RLock()


@contextmanager
def untouched_python_random() -> Iterator[None]:
    """Put Python's global generator back as it was: Keras draws the seed of every layer that has none from it.

    Keras 3.15, https://github.com/keras-team/keras/blob/v3.15.1/keras/src/random/seed_generator.py
    (``make_default_seed``). It can go when Keras takes such seeds from elsewhere.
    """
    with _PYTHON_RANDOM:
        state = random.getstate()
        try:
            yield
        finally:
            random.setstate(state)


def flatten_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Every layer inside a model or layer, those inside other layers included, outer ones first.

    Keras 3.15, ``Layer._flatten_layers``: the public ``Model.layers`` stops at the first level.
    """
    return list(model._flatten_layers(include_self=False, recursive=True))


def reduce_model(model: keras.Model) -> tuple[Any, ...]:
    """Give what pickle needs to restore a model with its optimizer's state, Lambda layers included.

    Keras 3.15, ``KerasSaveable.__reduce__``; importing scikeras replaces the method on ``keras.Model`` by one that
    registers classes globally and refuses Lambda layers when it loads.
    """
    from keras.src.saving.keras_saveable import KerasSaveable

    reduced: tuple[Any, ...] = KerasSaveable.__reduce__(model)
    return reduced
