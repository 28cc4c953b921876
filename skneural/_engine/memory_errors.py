"""Running out of memory: what was wanted, and what would need less."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def telling_memory_errors(doing: str, remedy: str) -> Iterator[None]:
    """Turn TensorFlow's and NumPy's errors of the block into a ``MemoryError`` with a remedy.

    Where XLA runs out of memory it ends the process itself.
    """
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        wanted = _what_was_wanted(str(error))
        raise MemoryError(f"There is not enough memory {doing}{wanted}. {remedy}") from error


def _what_was_wanted(message: str) -> str:
    """Pick what could not be had out of a message of TensorFlow's or NumPy's; the native engine's is empty."""
    found = _OF_TENSORFLOW.search(message)
    if found is not None:
        return f", for one array of shape {found[1]} and type {found[2]}"
    first_line = message.strip().partition("\n")[0].rstrip(".")
    return f": {first_line}" if first_line else ""


_OF_TENSORFLOW = re.compile(r"tensor with shape(\S+) and type (\w+)")
