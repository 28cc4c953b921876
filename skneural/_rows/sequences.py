"""Sequences as users have them -> one array of shape (n, timesteps, channels), padded with NaN behind their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from .containers import without_mask
from .validation import check_padded_array, validate_padded_rows


def validate_sequences(
    estimator: Any, X: Any, *, reset: bool, sequence_shape: tuple[int, int] | None, n_channels: int | None
) -> NDArray[Any]:
    """Return X as floats of shape (n, timesteps, channels), NaN only behind the end of a sequence.

    Flat rows have their features set with ``reset`` and checked without. ``n_channels`` is the number of channels seen
    in fit, None in fit itself.
    """
    owner = type(estimator).__name__
    if _is_list_of_sequences(X):
        X = pad_sequences(owner, X)
    knows_columns = reset or hasattr(estimator, "n_features_in_")
    if _n_dimensions(X) > 2 or not knows_columns:
        rows = check_padded_array(estimator, X)
        if reset:
            _forget_columns(estimator)
    else:
        rows = validate_padded_rows(estimator, X, reset=reset)
    rows = _in_shape(owner, rows, sequence_shape)
    if n_channels is not None and rows.shape[2] != n_channels:
        raise ValueError(
            f"X has sequences of {rows.shape[2]} channels, but {owner} was fitted with sequences of {n_channels}."
        )
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    _check_padding(owner, rows)
    return rows


def _n_dimensions(X: Any) -> int:
    return int(X.ndim if hasattr(X, "ndim") else np.asarray(X).ndim)


def _forget_columns(estimator: Any) -> None:
    """Sequences of unequal length have no columns that could be counted or named."""
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimator, name):
            delattr(estimator, name)


def _is_list_of_sequences(X: Any) -> bool:
    """Whether X is a list, or a one-dimensional array of objects, that holds one array or list per sequence."""
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype == object and len(X) > 0 and all(np.ndim(one) > 0 for one in X)
    if not isinstance(X, list | tuple) or not X:
        return False
    if any(isinstance(one, np.ndarray) and one.ndim > 0 for one in X):
        return True
    return all(isinstance(one, list | tuple) for one in X) and len({len(one) for one in X}) > 1


def pad_sequences(owner: str, sequences: Sequence[Any]) -> NDArray[Any]:
    """Return sequences of shape (timesteps_i, channels) or (timesteps_i,) as one array, padded with NaN."""
    arrays = [_one_sequence(owner, number, one) for number, one in enumerate(sequences)]
    channels = [array.shape[1] for array in arrays]
    if len(set(channels)) > 1:
        other = next(number for number, count in enumerate(channels) if count != channels[0])
        raise ValueError(
            f"All sequences in X of {owner} must have the same number of channels. Got {channels[0]} in sequence 0 and "
            f"{channels[other]} in sequence {other}."
        )
    padded = np.full(
        (len(arrays), max(len(array) for array in arrays), channels[0]), np.nan, np.result_type(*arrays, np.float32)
    )
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


def _one_sequence(owner: str, number: int, sequence: Any) -> NDArray[Any]:
    """Return a sequence as numbers of shape (timesteps, channels)."""
    array = np.asarray(without_mask(sequence))
    if array.ndim not in (1, 2):
        raise ValueError(
            f"Each sequence in X of {owner} must have the shape (timesteps, channels) or (timesteps,). "
            f"Got an array of shape {array.shape} as sequence {number}."
        )
    array = array.reshape(len(array), -1) if len(array) else array.reshape(0, 1)
    if not array.size:
        raise ValueError(_empty_message(owner, number))
    return np.asarray(check_array(array, ensure_all_finite="allow-nan", input_name=f"X[{number}]"))


def _empty_message(owner: str, number: int) -> str:
    return (
        f"Each sequence in X of {owner} must have at least one time step. Sequence {number} is empty: leave it out of "
        "X and y."
    )


def _in_shape(owner: str, rows: NDArray[Any], sequence_shape: tuple[int, int] | None) -> NDArray[Any]:
    """Give rows the shape (n, timesteps, channels); flat ones hold the channels of a step side by side."""
    if rows.ndim == 2 and sequence_shape is not None:
        timesteps, channels = sequence_shape
        if rows.shape[1] != timesteps * channels:
            raise ValueError(
                f"The 'sequence_shape' parameter of {owner} does not fit X: {timesteps} timesteps of {channels} "
                f"channels are {timesteps * channels} columns, but X has {rows.shape[1]}."
            )
        return rows.reshape(len(rows), timesteps, channels)
    if rows.ndim == 2:
        return rows[:, :, np.newaxis]
    if rows.ndim != 3:
        raise ValueError(
            f"X of {owner} must have the shape (n_samples, timesteps, channels) or (n_samples, timesteps), or be a "
            f"list of arrays of shape (timesteps, channels). Got an array of shape {rows.shape}."
        )
    if 0 in rows.shape[1:]:
        raise ValueError(_empty_message(owner, 0))
    return rows


def _check_padding(owner: str, rows: NDArray[Any]) -> None:
    """Raise unless NaN stands in whole steps behind the end of sequences only."""
    missing = np.isnan(rows)
    if not missing.any():
        return
    is_padding = missing.all(axis=2)
    is_empty = is_padding.all(axis=1)
    if is_empty.any():
        raise ValueError(_empty_message(owner, int(np.argmax(is_empty))))
    is_behind_end = np.logical_and.accumulate(is_padding[:, ::-1], axis=1)[:, ::-1]
    misplaced = missing & ~is_behind_end[:, :, np.newaxis]
    if misplaced.any():
        row, step, channel = (int(index) for index in np.argwhere(misplaced)[0])
        raise ValueError(
            f"X of {owner} may hold NaN only as padding behind the end of a sequence, in all channels of a time step. "
            f"Got NaN in sequence {row}, time step {step}, channel {channel}. Fill such gaps in first."
        )
