"""Sentences as users give them: one str a row, or an error that names the row."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Control characters, and halves of surrogate pairs, which no text can be written with.
_NO_CHARACTERS = ("Cc", "Cs")


def check_sentences(owner: str, name: str, sentences: Any) -> NDArray[np.object_]:
    """Return a list, an array, a Series or a column of str as an array of objects, shape (n,).

    Raises
    ------
    TypeError, ValueError
        For a single str, for rows of several columns and for a row that is no str.
    """
    if isinstance(sentences, str | bytes) or not hasattr(sentences, "__len__"):
        raise TypeError(
            f"The {name!r} of {owner} must be a list, array or Series of sentences, each a str. "
            f"Got {_shown(sentences)}: put a single sentence into a list."
        )
    rows = _as_objects(owner, name, sentences)
    for position, sentence in enumerate(rows):
        if not isinstance(sentence, str):
            raise TypeError(
                f"Each row of the {name!r} of {owner} must be a str. Got {_shown(sentence)} in row {position}."
                f"{_remedy(sentence)}"
            )
    return rows


def _as_objects(owner: str, name: str, sentences: Any) -> NDArray[np.object_]:
    if hasattr(sentences, "to_pylist"):
        given = sentences.to_pylist()  # pyarrow
    else:
        given = sentences.to_numpy() if hasattr(sentences, "to_numpy") else sentences
    shape = getattr(given, "shape", None)
    if shape is None:
        rows = np.empty(len(given), dtype=object)
        rows[:] = [str(one) if isinstance(one, str) else one for one in given]
        return rows
    if len(shape) == 2 and shape[1] == 1:
        given = given[:, 0]
    elif len(shape) != 1:
        raise ValueError(
            f"The {name!r} of {owner} must have one sentence a row: shape (n,) or (n, 1). Got shape {tuple(shape)}: "
            "translate one column at a time."
        )
    rows = np.empty(len(given), dtype=object)
    rows[:] = [str(one) if isinstance(one, str) else one for one in given.tolist()]
    return rows


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _remedy(value: Any) -> str:
    if isinstance(value, bytes):
        return " Decode bytes first: value.decode('utf-8')."
    if isinstance(value, list | tuple | np.ndarray):
        return " A row is one sentence: join its parts."
    if value is None or type(value).__name__ == "NAType" or value != value:
        return " Leave rows without a sentence out, or fill them with ''."
    return " Turn other values into text first: str(value)."


def normalised(sentence: str, *, lowercase: bool) -> str:
    """Return a sentence in Unicode's form NFKC, with a space for each control character, and other spaces made one.

    This is the only place where sentences are changed before they become subwords.
    """
    text = unicodedata.normalize("NFKC", sentence)
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(one) in _NO_CHARACTERS else one for one in text)
    text = " ".join(text.split())
    return text.lower() if lowercase else text
