"""y -> what the network learns, and what the network says -> y.

Both classes follow scikeras's protocol of a target transformer: ``fit``, ``transform``, ``inverse_transform`` and
``get_metadata``, whose entries become attributes of the estimator.
"""

from __future__ import annotations

from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_array, column_or_1d

from skneural._rows.containers import check_no_tags
from skneural._rows.validation import check_real, check_sparse, is_missing, sums_may_be_infinite

# What type_of_target calls a problem -> what it takes to learn it.
_LEARNABLE = ("binary", "multiclass", "multilabel-indicator")


class Target(Protocol):
    """What y is to a network, and what the network says is to the user; scikeras's protocol of a target transformer.

    Estimators without a y have none: rows are their own targets (an autoencoder), or a step of the family's own
    knows what is to be learned.
    """

    def fit(self, y: Any) -> Self:
        """Learn from the user's y."""

    def transform(self, y: Any) -> NDArray[Any]:
        """Give what the loss compares the network's outputs with."""

    def inverse_transform(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Give outputs as the user reads them."""


class ClassTargets(TransformerMixin, BaseEstimator):
    """Labels <-> the targets and outputs of a classification network.

    Parameters
    ----------
    layout : {"ordinal", "flat", "one-hot"}, default="ordinal"
        How a multiclass target is given to the loss: class numbers of shape (n, 1) or (n,), or indicators of shape
        (n, n_classes). Two classes in ordinal layout are 0 and 1 and suit one sigmoid output or two softmax outputs.
    classes : array-like of shape (n_classes,), default=None
        All classes, where y need not have each of them. None takes those of y.
    exclusive_columns : bool, default=True
        Whether a y of indicators with one 1 in each row means exclusive classes, as in scikeras, or labels that
        happen to be alone.
    outputs : {"probabilities", "margins"}, default="probabilities"
        What the network gives: shares in [0, 1], or numbers of any size whose sign tells one class from the other.
    n_columns : int, default=None
        Columns of indicators in "one-hot" layout, where a network has more outputs than y has classes.
    """

    def __init__(
        self,
        layout: str = "ordinal",
        classes: ArrayLike | None = None,
        exclusive_columns: bool = True,
        outputs: str = "probabilities",
        n_columns: int | None = None,
    ) -> None:
        self.layout = layout
        self.classes = classes
        self.exclusive_columns = exclusive_columns
        self.outputs = outputs
        self.n_columns = n_columns

    def fit(self, y: Any, sample_weight: NDArray[Any] | None = None) -> Self:
        """Learn the classes of y, those of rows of weight zero too."""
        y, self.target_type_ = check_labels(y, self.classes)
        self.y_dtype_ = y.dtype
        if self.target_type_ == "multilabel-indicator":
            self.classes_ = np.arange(y.shape[1])
            self.n_outputs_ = y.shape[1]
            if self.exclusive_columns and (y.sum(axis=1) == 1).all():
                self.target_type_ = "multiclass-onehot"
        else:
            self.classes_ = np.unique(y if self.classes is None else np.asarray(_with_native_dtype(self.classes)))
            self.n_outputs_ = 1
        self.n_classes_ = len(self.classes_)
        return self

    @property
    def is_multilabel(self) -> bool:
        """Whether y is an indicator matrix of labels that may stand together."""
        return self.target_type_ == "multilabel-indicator"

    def transform(self, y: Any) -> NDArray[Any]:
        """Return float32 indicators of shape (n, n_classes) or class numbers of shape (n, 1) or (n,)."""
        if self.target_type_ in ("multilabel-indicator", "multiclass-onehot"):
            return _indicators(y).astype(np.float32)
        codes = self._codes(column_or_1d(y))
        if self.layout == "one-hot":
            indicators = np.zeros((len(codes), self.n_columns or max(2, self.n_classes_)), np.float32)
            indicators[np.arange(len(codes)), codes] = 1.0
            return indicators
        return codes.astype(np.float32) if self.layout == "flat" else codes.astype(np.float32)[:, np.newaxis]

    def _codes(self, y: NDArray[Any]) -> NDArray[np.intp]:
        """Position of each label in ``classes_``, shape (n,)."""
        known = set(self.classes_.tolist())
        unknown = [label for label in np.unique(y).tolist() if label not in known]
        if unknown:
            raise ValueError(
                f"y has the labels {unknown} that are not among the classes {self.classes_.tolist()}. "
                "Give all classes to the first partial_fit (classes=...), or fit anew."
            )
        return np.searchsorted(self.classes_, y)

    def inverse_transform(self, outputs: NDArray[Any], return_proba: bool = False) -> NDArray[Any]:
        """Return labels, or with ``return_proba`` probabilities of shape (n, n_classes)."""
        if return_proba:
            return self._probabilities(outputs)
        outputs = outputs.reshape(len(outputs), -1)
        threshold = 0.0 if self.outputs == "margins" else 0.5
        if self.is_multilabel:
            return (outputs > threshold).astype(int)
        codes = (outputs[:, 0] > threshold).astype(int) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
        if self.target_type_ == "multiclass-onehot":
            return np.eye(self.n_classes_, dtype=int)[codes]
        # With one class there is but one answer, whatever a network of more outputs says.
        return self.classes_[np.minimum(codes, self.n_classes_ - 1)]

    def margins(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return how far each row lies on the side of each class: of the second one, shape (n,), where there are two.

        For more classes, and for labels that may stand together, the shape is (n, n_classes).
        """
        outputs = outputs.reshape(len(outputs), -1)
        if self.is_multilabel or self.n_classes_ > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def _probabilities(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Probabilities of shape (n, n_classes) from outputs of shape (n, n_classes) or, for two classes, (n, 1)."""
        outputs = outputs.reshape(len(outputs), -1)
        if self.n_classes_ == 1 and not self.is_multilabel:
            return np.ones((len(outputs), 1), outputs.dtype)
        is_single = self.n_classes_ == 2 and outputs.shape[1] == 1
        if outputs.shape[1] != self.n_classes_ and not is_single:
            raise ValueError(
                f"The network has {outputs.shape[1]} outputs, but y has {self.n_classes_} classes. "
                f"Give its last layer {self.n_classes_} units (meta['n_classes_'] in a model function)."
            )
        is_exclusive = not (self.is_multilabel or is_single)
        _check_shares(outputs, is_exclusive)
        outputs = np.minimum(outputs, 1.0)
        if self.is_multilabel:
            return outputs
        return outputs / outputs.sum(axis=1, keepdims=True) if is_exclusive else np.hstack([1 - outputs, outputs])

    def get_metadata(self) -> dict[str, Any]:
        """Return the attributes that the estimator takes over."""
        return {
            "classes_": self.classes_,
            "n_classes_": self.n_classes_,
            "n_outputs_": self.n_outputs_,
            "n_outputs_expected_": 1,
            "target_type_": self.target_type_,
        }


# How far rounding takes a share beyond one.
_ROUNDING = 1e-5


def _check_shares(outputs: NDArray[Any], is_exclusive: bool) -> None:
    """Raise unless outputs are probabilities, of exclusive classes or of labels each by itself."""
    if not (outputs >= 0).all():
        problem = "are not a number" if np.isnan(outputs).any() else "are negative"
    elif (outputs > 1 + _ROUNDING).any():
        problem = "are above one"
    elif is_exclusive and not outputs.any(axis=1).all():
        problem = "are zero for every class of a row"
    else:
        return
    end = "softmax" if is_exclusive else "sigmoid"
    raise ValueError(
        f"The network's outputs are no probabilities: some {problem}. End the model in a {end}, or give a "
        "loss with from_logits=True."
    )


def check_labels(y: Any, classes: ArrayLike | None = None, *, warn: bool = True) -> tuple[NDArray[Any], str]:
    """Return labels of shape (n,) or indicators of shape (n, n_labels), and the type of the target."""
    check_sparse(y, "y")
    check_no_tags(y)
    check_real(y, "y")
    if sparse.issparse(y):
        y = _indicators(y)
    _check_label_array(y)
    y = _with_native_dtype(y)
    kind = type_of_target(y, input_name="y", raise_unknown=True)
    if kind not in _LEARNABLE:
        raise ValueError(
            f"Unknown label type: {kind}. A classifier needs discrete labels of shape (n,) or a 0/1 indicator matrix "
            "of shape (n, n_labels). For a continuous target use a regressor."
        )
    if kind == "multilabel-indicator":
        return _indicators(y), kind
    labels = column_or_1d(y, warn=warn)
    n_classes = len(np.unique(labels if classes is None else np.asarray(classes)))
    return labels, "binary" if n_classes <= 2 else "multiclass"


def _check_label_array(y: Any) -> None:
    """Raise for labels that are missing, of several types, or of more than two dimensions."""
    labels = np.asarray(y)
    if labels.ndim > 2:
        raise ValueError(
            "y must have the shape (n,), or (n, n_labels) for 0/1 indicators of labels. "
            f"Got an array of shape {labels.shape} instead."
        )
    if labels.dtype.kind != "O":
        assert_all_finite(labels, input_name="y")
        return
    rows = [row for row, label in enumerate(labels.ravel().tolist()) if is_missing(label)]
    if rows:
        raise ValueError(
            f"y has missing labels (None or NaN), the first of {len(rows)} in row {rows[0]}. "
            "Leave such rows out of X and y."
        )
    try:
        np.unique(labels)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.ravel().tolist()})
        raise ValueError(
            f"The labels in y must be of one type. Got {' and '.join(kinds)} instead. Turn all of them into str."
        ) from error


def _with_native_dtype(y: Any) -> Any:
    """Turn labels in an object array, which may be numbers or bools, into the dtype of their kind; strings stay.

    pandas's own dtypes for integers and bools become those of NumPy, where scikit-learn would take floats.
    """
    labels = np.asarray(y)
    if labels.dtype.kind != "O":
        return labels
    return y if isinstance(labels.flat[0], str) else np.array(labels.tolist())


def _indicators(y: Any) -> NDArray[Any]:
    return y.toarray() if sparse.issparse(y) else np.asarray(y)


# Losses that need a target of one sign: dividing keeps it, moving the mean would not.
_SIGNED_LOSSES = ("poisson", "mean_squared_logarithmic_error", "mean_absolute_percentage_error")


class RegressionTargets(TransformerMixin, BaseEstimator):
    r"""Targets in the user's units <-> targets that a network learns well.

    Parameters
    ----------
    scaling : {"standard", "scale", None}, default="standard"
        "standard" learns (y - mean) / std of each output, "scale" y / mean(\\|y\\|), None y itself.
    """

    def __init__(self, scaling: str | None = "standard") -> None:
        self.scaling = scaling

    def fit(self, y: Any, sample_weight: NDArray[Any] | None = None) -> Self:
        """Learn the mean and scale of each column of y."""
        y = check_values(y)
        self.y_ndim_ = y.ndim
        columns = y.reshape(len(y), -1)
        self.n_outputs_ = columns.shape[1]
        self.target_type_ = "continuous" if self.n_outputs_ == 1 else "continuous-multioutput"
        if sample_weight is not None:
            columns, sample_weight = columns[sample_weight > 0], sample_weight[sample_weight > 0]
        # Squares and sums of numbers of these sizes are neither infinite nor zero.
        self.exponents_ = np.array([0 if self.scaling is None else _exponent(column) for column in columns.T])
        scaled = np.ldexp(columns, -self.exponents_)
        moments = [mean_and_scale(column, sample_weight, self.scaling) for column in scaled.T]
        self.mean_, self.scale_ = np.ldexp(np.array(moments).T, self.exponents_)
        return self

    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and scale of each column of y divided by two to the power of its exponent."""
        return np.ldexp(self.mean_, -self.exponents_), np.ldexp(self.scale_, -self.exponents_)

    def transform(self, y: Any) -> NDArray[np.float32]:
        """Return float32 targets of shape (n, n_outputs)."""
        y = check_values(y)
        columns = y.reshape(len(y), -1)
        if columns.shape[1] != self.n_outputs_:
            raise ValueError(f"y has {columns.shape[1]} outputs, but the estimator was fitted with {self.n_outputs_}.")
        mean, scale = self._moments()
        with np.errstate(over="ignore"):
            targets = ((np.ldexp(columns, -self.exponents_) - mean) / scale).astype(np.float32)
        self._check_float32(columns, targets)
        return targets

    def _check_float32(self, columns: NDArray[np.float64], targets: NDArray[np.float32]) -> None:
        """Raise for values of y that the network would not see as they are."""
        row, column = np.unravel_index(np.argmax(np.abs(columns)), columns.shape)
        largest = f"y holds a value of size {abs(columns[row, column]):g}"
        if not np.isfinite(targets).all():
            reason = (
                "float32, in which networks compute" if self.scaling is None else "the units learned from the first y"
            )
            raise ValueError(f"{largest}, too large for {reason}. Divide y by a large number first.")
        if self.scaling is None and columns.any() and not (np.abs(targets) >= np.finfo(np.float32).tiny).any():
            raise ValueError(
                f"{largest} at most, too small for float32, in which networks compute. Multiply y by a large number "
                "first."
            )

    def inverse_transform(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """Return predictions in the units of y, shape (n,) or (n, n_outputs)."""
        mean, scale = self._moments()
        values = outputs.reshape(len(outputs), -1).astype(np.float64) * scale + mean
        if self.exponents_.any():
            # Beyond the largest number there is, the largest one is the nearest.
            largest = np.finfo(np.float64).max
            with np.errstate(over="ignore"):
                values = np.clip(np.ldexp(values, self.exponents_), -largest, largest)
        return values[:, 0] if self.y_ndim_ == 1 else values

    def get_metadata(self) -> dict[str, Any]:
        """Return the attributes that the estimator takes over."""
        return {"n_outputs_": self.n_outputs_, "n_outputs_expected_": 1, "target_type_": self.target_type_}


# Squares and sums of numbers within two to these powers are safe.
_SAFE_EXPONENT = 400


def _exponent(column: NDArray[np.float64]) -> int:
    """Exponent of the largest number, zero where that is of a usual size."""
    exponent = int(np.frexp(np.abs(column).max())[1])
    return exponent if abs(exponent) > _SAFE_EXPONENT else 0


def to_safe_sizes(y: Any, predictions: Any) -> tuple[Any, Any]:
    """Divide y and predictions of it by one power of two for each column, where their squares would not be finite."""
    values = np.asarray(y, np.float64)
    columns = values.reshape(len(values), -1)
    exponents = np.array([_exponent(column) for column in columns.T])
    if not exponents.any():
        return y, predictions
    return tuple(np.ldexp(np.reshape(one, columns.shape), -exponents) for one in (values, predictions))


def scaling_for(loss: str) -> str | None:
    """Return how a target is scaled for a loss of this name."""
    if loss == "mean_squared_logarithmic_error":
        return None
    return "scale" if loss in _SIGNED_LOSSES else "standard"


@sums_may_be_infinite
def check_values(y: Any) -> NDArray[np.float64]:
    """Return finite float64 targets of shape (n,) or (n, n_outputs); a single column becomes (n,)."""
    check_real(y, "y")
    if getattr(y, "ndim", 2) > 2:
        raise ValueError(
            f"y must have the shape (n,) or (n, n_outputs). Got an array of shape {y.shape} instead. Put all outputs "
            "of a row side by side: y.reshape(len(y), -1)."
        )
    try:
        values = np.asarray(check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"))
    except ValueError as error:
        if "setting an array element with a sequence" in str(error):
            raise ValueError(
                "y must have the shape (n,) or (n, n_outputs), but its rows have unequal lengths."
            ) from error
        if "could not convert" not in str(error):
            raise
        found = next(label for label in np.ravel(np.asarray(y, dtype=object)).tolist() if isinstance(label, str))
        raise ValueError(
            f"y of a regressor must be numeric, but it holds the string {found!r}. For labels use a classifier."
        ) from error
    if values.ndim == 2 and values.shape[1] == 1:
        return np.asarray(column_or_1d(values, warn=True))
    return values


def mean_and_scale(
    column: NDArray[np.float64], sample_weight: NDArray[Any] | None, scaling: str | None
) -> tuple[float, float]:
    """Mean and scale of one output, summed over its sorted values so that a row twice counts as weight two exactly."""
    if scaling is None:
        return 0.0, 1.0
    values, group = np.unique(column, return_inverse=True)
    weights = np.bincount(group, weights=sample_weight)
    if scaling == "scale":
        mean, scale = 0.0, float(np.average(np.abs(values), weights=weights))
    else:
        mean = float(np.average(values, weights=weights))
        scale = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    # A constant column has a scale of rounding errors only.
    tiny = 10 * np.finfo(np.float64).eps * float(np.max(np.abs(values)))
    return mean, scale if scale > tiny else 1.0
