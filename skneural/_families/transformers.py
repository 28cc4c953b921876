"""Families without a y: they give each row a place in fewer dimensions."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skneural import _engine
from skneural._estimators.keras_arguments import Schedule
from skneural._estimators.predicting import check_answers
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import are_few, merge_equal_rows
from skneural._types import Rows

from .base import FamilyEstimator

# Of fewer rows none is held out.
_FEWEST_TO_SPLIT = 10


class FamilyTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FamilyEstimator, BaseEstimator):
    """A family that gives each row a place in fewer dimensions."""

    metrics: Any = None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        # Networks compute in float32.
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return int(self.n_components_)

    # --- what the network answers -------------------------------------------------------------------------------

    def _answers(self, network: _engine.Network, rows: Any, output: str | None = None) -> NDArray[np.float32]:
        """Return what a network, or a layer of it, answers to rows as it takes them; they are finite."""
        remedy = "Fewer rows at a time need less."
        with _engine.telling_memory_errors(f"to transform {rows.shape[0]} rows", remedy):
            answers = _engine.predict(network, rows, output=output)
        check_answers(rows, answers)
        return answers

    def _checked_rows(self, X: Any) -> Any:
        """Return rows of the user's as the network takes them."""
        check_is_fitted(self)
        return self._encode_features(self._validate_rows(self._opened(X), reset=False))


class IncrementalTransformer(FamilyTransformer):
    """A transformer that learns from weighted rows one by one, and may go on with others."""

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any = None) -> TrainingRows:
        rows = super()._validate(X, y, sample_weight, reset=reset)
        # A row of weight two is then the row twice, also where rows are split off.
        return TrainingRows(*merge_equal_rows(*rows[:3])) if are_few(rows.X) else rows

    def _split(
        self, rows: TrainingRows, validation: tuple[Any, Any, Any], schedule: Schedule
    ) -> tuple[TrainingRows, TrainingRows | None]:
        if validation[0] is None and rows.n_rows < _FEWEST_TO_SPLIT:
            return rows, None
        return super()._split(rows, validation, schedule)

    def fit(
        self,
        X: Rows,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Rows | None = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train a network on the rows of X.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to learn from.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, of which only the ratios count. A weight of zero equals the row left out.
        X_val, sample_weight_val : array-like, default=None
            Rows for ``early_stopping``; without them a share of X is split off.

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            For data or parameters that cannot be trained on; an earlier fit stays as it was.
        TrainingDivergedError
            When the loss becomes NaN or infinite.
        """
        return self._fit_from(X, None, sample_weight, (X_val, None, sample_weight_val), {})

    def partial_fit(self, X: Rows, y: Any = None, sample_weight: Any = None) -> Self:
        """Train for one more epoch on the rows of X, going on from the present weights.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to learn from. The first call also learns the mean and the scale of the columns.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        self : estimator
            The fitted estimator.
        """
        return self._partial_fit_from(X, None, sample_weight, {})
