"""What a pickle, a deep copy or skops sees of an estimator: text, arrays, and what is the user's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .all_forms import FORMS
from .forms import Node, Reader, StoredDataError, Writer, checked

FORMAT = 1


def to_pickled(nodes_of: Callable[[Writer], Node]) -> dict[str, Any]:
    """Return an estimator's state; ``given`` has those objects of the user's that a pickle stores in its own way."""
    writer = Writer(FORMS)
    document = json.dumps(nodes_of(writer), allow_nan=False)
    return {
        "format": FORMAT,
        "document": document,
        "arrays": writer.arrays,
        "given": [one.value for one in writer.given],
        "sha256": digest_of(document, writer.arrays),
    }


def from_pickled(owner: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of an estimator.

    Raises
    ------
    StoredDataError
        For a state that is not as it was written.
    """
    try:
        if state["format"] != FORMAT:
            raise StoredDataError(
                f"This pickle of {owner} has the format {state['format']!r}; this version of skneural knows {FORMAT}."
            )
        if state["sha256"] != digest_of(state["document"], state["arrays"]):
            raise StoredDataError(f"This pickle of {owner} is damaged: its checksum is not that of its contents.")
        reader = Reader(FORMS, state["arrays"], state["given"])
        nodes = checked(json.loads(state["document"]), dict)
    except (KeyError, TypeError) as error:
        raise StoredDataError(f"This is no pickle of {owner} that this version of skneural reads: {error!r}") from error
    return {name: reader.value(node) for name, node in nodes.items()}


def digest_of(document: str, arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 of a document and its arrays."""
    digest = hashlib.sha256(document.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()
