"""What a feature encoder gives -> what a network takes: one array of rows, or one for each of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skneural import _engine


def network_inputs(owner: str, encoded: Any, n_rows: int, *, are_many: bool) -> Any:
    """Return rows that a network can be trained on, from what a feature encoder of the user's own gives.

    A list or dict of arrays with a row for each row of X is meant for a model with several inputs. ``are_many`` tells
    that the model has several.
    """
    if sparse.issparse(encoded):
        return _checked(owner, encoded.tocsr(), n_rows)
    if isinstance(encoded, Mapping) and encoded:
        arrays = {name: _checked(owner, _dense(array), n_rows) for name, array in encoded.items()}
        return _engine.ManyInputs(arrays)
    if isinstance(encoded, list | tuple) and (are_many or _are_inputs(encoded, n_rows)):
        inputs = [_checked(owner, _dense(array), n_rows) for array in encoded]
        return inputs[0] if len(inputs) == 1 else _engine.ManyInputs(inputs)
    return _checked(owner, _dense(encoded), n_rows)


def _dense(array: Any) -> Any:
    try:
        return array.toarray() if sparse.issparse(array) else np.asarray(array)
    except ValueError:
        return array


def _are_inputs(arrays: Any, n_rows: int) -> bool:
    """Whether the arrays in a list are inputs; a list of one flat row after the other is one array."""
    are_columns = all(hasattr(array, "shape") and array.shape[:1] == (n_rows,) for array in arrays)
    return bool(arrays) and are_columns and not (len(arrays) == n_rows and all(array.ndim == 1 for array in arrays))


def _checked(owner: str, array: Any, n_rows: int) -> NDArray[Any]:
    shape = getattr(array, "shape", ())
    if shape[:1] != (n_rows,) or array.dtype.kind not in "biuf":
        got = f"an array of shape {shape} and dtype {array.dtype}" if shape else repr(array)
        raise TypeError(
            f"The feature_encoder of {owner} must give an array of numbers with {n_rows} rows, as many as X has, or a "
            f"list or dict of such arrays, one for each input of the model. Got {got} instead."
        )
    rows: NDArray[Any] = array
    return rows


def zero_rows(shapes: Any) -> Any:
    """One row of zeros like those of shape (n, ...), or of each shape in a list or dict, to build a model with."""
    if isinstance(shapes, dict):
        return {name: zero_rows(shape) for name, shape in shapes.items()}
    if isinstance(shapes, list):
        return [zero_rows(shape) for shape in shapes]
    return np.zeros((1, *shapes[1:]), np.float32)
