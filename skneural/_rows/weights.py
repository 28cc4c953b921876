"""Weights of rows and of classes: read, multiplied and brought to a mean of one, of whatever size they are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_array

from .containers import without_mask


def validate_weights(
    sample_weight: ArrayLike | None, n_rows: int, *, name: str = "sample_weight"
) -> NDArray[np.float64] | None:
    """Return weights of shape (n_rows,) as float64, the largest of them about one, or None.

    Raise unless they are finite, not negative and not all zero. Only their ratios count, and these stay exactly.
    """
    if sample_weight is None:
        return None
    sample_weight = without_mask(sample_weight)
    if np.asarray(sample_weight).ndim == 0:
        raise ValueError(
            f"{name} must have one weight per row, shape ({n_rows},). Got the number {sample_weight!r} instead."
        )
    given = np.asarray(sample_weight)
    if given.dtype.kind in "cSU" or any(isinstance(weight, str | bytes) for weight in given.ravel()[:1].tolist()):
        kind = "complex numbers" if given.dtype.kind == "c" else f"the string {str(given.ravel()[0])!r}"
        raise ValueError(f"{name} must hold real numbers, one per row. Got {kind} instead.")
    weights = np.asarray(check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name=name, copy=True))
    if weights.ndim != 1 or weights.shape[0] != n_rows:
        raise ValueError(
            f"{name} must have one weight per row, shape ({n_rows},). Got an array of shape {weights.shape} instead."
        )
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        raise ValueError(f"{name} must not be negative. Got {weights[row]:g} in row {row}.")
    if not (weights > 0).any():
        raise ValueError(f"{name} must have at least one weight above zero. All {n_rows} weights are zero.")
    return _to_about_one(*np.frexp(weights))


def multiplied(one: NDArray[np.float64] | None, other: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Multiply weights row by row, up to a common power of two, so that no product is too large or too small."""
    if one is None or other is None:
        return one if other is None else other
    (mantissas, exponents), (others, more) = np.frexp(one), np.frexp(other)
    return _to_about_one(mantissas * others, exponents + more)


def _to_about_one(mantissas: NDArray[Any], exponents: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``mantissas * 2**exponents`` times the power of two that brings the largest of them to about one."""
    is_positive = mantissas > 0
    largest = exponents[is_positive].max() if is_positive.any() else 0
    weights: NDArray[np.float64] = np.ldexp(mantissas, exponents - largest)
    return weights


def normalize_weights(weights: NDArray[Any] | None) -> NDArray[np.float32] | None:
    """Scale weights to a mean of one, so that only their ratios matter; equal weights become None."""
    if weights is None or (weights == weights[0]).all():
        return None
    return (weights / weights.mean()).astype(np.float32)


def finite_sum(sample_weight: Any) -> Any:
    """Return weights as they are, or brought to about one where their sum would be infinite."""
    if sample_weight is None:
        return None
    sample_weight = without_mask(sample_weight)
    weights = np.asarray(sample_weight)
    if weights.dtype.kind != "f" or not weights.size or float(weights.max()) < np.finfo(np.float64).max / weights.size:
        return sample_weight
    return _to_about_one(*np.frexp(weights.astype(np.float64)))


def class_weights(
    owner: str, class_weight: Any, y: NDArray[Any], classes: NDArray[Any] | None
) -> NDArray[np.float64] | None:
    """Weights of shape (n,) that the classes give to the rows; for multilabel y those of the columns multiply.

    ``class_weight`` is "balanced", a dict by label, or for multilabel y a list with one dict per column.
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        balanced: NDArray[np.float64] = compute_sample_weight(class_weight, y)
        return balanced
    if y.ndim == 1:
        if not isinstance(class_weight, Mapping):
            raise ValueError(
                f"The 'class_weight' parameter of {owner} must be a dict from label to weight, or 'balanced'. "
                f"A list is for multilabel y. Got {class_weight!r}."
            )
        return _weights_of_labels(owner, class_weight, y, y if classes is None else classes)
    if not isinstance(class_weight, list | tuple) or len(class_weight) != y.shape[1]:
        raise ValueError(
            f"The 'class_weight' parameter of {owner} must be 'balanced' or, for multilabel y, a list with one dict "
            f"for each of its {y.shape[1]} columns. Got {class_weight!r}."
        )
    columns = zip(class_weight, y.T, strict=True)
    of_columns = [_weights_of_labels(owner, single, column, [0, 1]) for single, column in columns]
    return reduce(multiplied, of_columns, None)


def _weights_of_labels(
    owner: str, class_weight: Mapping[Any, float], y: NDArray[Any], classes: ArrayLike
) -> NDArray[np.float64]:
    """Weight of each label in y, one where ``class_weight`` does not have it.

    As in scikit-learn, a label that is none of the classes may stand there, for the rows at hand may lack it, unless
    some class has no weight: then it is taken for a mistake.
    """
    known = np.unique(np.asarray(classes)).tolist()
    is_complete = all(label in class_weight for label in known)
    among_known = set(known)
    for label, weight in class_weight.items():
        if label not in among_known and not is_complete:
            raise ValueError(
                f"The 'class_weight' parameter of {owner} has the label {label!r}, which is not among the classes "
                f"{known}."
            )
        if not (isinstance(weight, Real) and 0 <= weight < np.inf):
            raise ValueError(
                f"The 'class_weight' parameter of {owner} must have weights in the range [0, inf). "
                f"Got {weight!r} for the label {label!r}."
            )
    present, codes = np.unique(y, return_inverse=True)
    return np.array([float(class_weight.get(label, 1.0)) for label in present.tolist()])[codes]
