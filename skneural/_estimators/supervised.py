"""What estimators with a y share: what y is to the network and back, weights of classes, a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import InputTags, Tags, TargetTags

from skneural import _engine
from skneural._rows.containers import check_container, check_one_array, shape_of
from skneural._rows.features import network_inputs
from skneural._rows.stores import in_memory
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import check_lengths
from skneural._rows.weights import finite_sum, normalize_weights
from skneural._types import Rows

from .base import NeuralEstimator, Validation
from .targets import ClassTargets, RegressionTargets, Target


class SupervisedEstimator(NeuralEstimator):
    """An estimator that learns y; it stands in front of scikeras's wrapper and replaces what broke there."""

    # Whether predictions for a y that is a column, shape (n, 1), are a column again.
    _keeps_columns = True

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any = None) -> TrainingRows:
        if y is None:
            check_container(type(self).__name__, X)
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        check_one_array(type(self).__name__, X, y)
        y, sample_weight = in_memory(y), in_memory(sample_weight)
        rows = super()._validate(X, y, sample_weight, reset=reset)
        if reset:
            if rows.X.ndim > 2 and self._has_model_function:
                # scikit-learn counts features in tables only; a model function finds the second axis here.
                self.n_features_in_ = rows.X.shape[1]
            self._gives_columns = self._keeps_columns and shape_of(y)[1:] == (1,)
        y = self._validate_y(y)
        check_lengths(rows.X, y)
        by_class = self._class_weights(class_weight, y, None if reset else getattr(self, "classes_", None))
        return rows._replace(y=y, class_weights=by_class)

    def _validate_y(self, y: Any) -> NDArray[Any]:
        raise NotImplementedError

    def _class_weights(self, class_weight: Any, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        """Weights of shape (n,) that the classes give to the rows; ``classes`` are those of an earlier fit."""
        return None

    def _learn(self, rows: TrainingRows) -> None:
        assert rows.y is not None
        self.y_dtype_, self.y_ndim_ = rows.y.dtype, 2 if self._gives_columns else rows.y.ndim
        self.target_encoder_ = self._fit_target_encoder(rows)
        self._take_over_metadata(self.target_encoder_)
        self.feature_encoder_ = self.feature_encoder.fit(rows.X)
        self._take_over_metadata(self.feature_encoder_)
        self._encoded_shape = None
        encoded = self._encode_features(rows.X[:1])
        self._encoded_shape = encoded.shapes if isinstance(encoded, _engine.ManyInputs) else encoded.shape

    def _take_over_metadata(self, encoder: Any) -> None:
        """Make what an encoder tells of the data attributes of the estimator, as scikeras does."""
        for name, value in getattr(encoder, "get_metadata", dict)().items():
            setattr(self, name, value)

    def _fit_target_encoder(self, rows: TrainingRows) -> Any:
        encoder = self.target_encoder
        if isinstance(encoder, ClassTargets | RegressionTargets):
            return encoder.fit(rows.y, rows.weights)
        of_the_user: Target = encoder
        return of_the_user.fit(rows.y)

    def _encode_features(self, X: Any) -> Any:
        encoder: Any = self.feature_encoder_
        if isinstance(encoder, FunctionTransformer) and encoder.func is None:
            return X
        are_many = isinstance(vars(self).get("_encoded_shape"), list)
        return network_inputs(type(self).__name__, encoder.transform(X), X.shape[0], are_many=are_many)

    def _encode(self, rows: TrainingRows) -> TrainingRows:
        encoded = self.target_encoder_.transform(rows.y)
        return super()._encode(rows._replace(y=encoded))

    def _data(self, rows: TrainingRows) -> _engine.Data:
        assert rows.y is not None
        return _engine.Data.of(rows.X, rows.y, normalize_weights(rows.weights))

    def initialize(self, X: Rows, y: ArrayLike) -> Self:
        """Build the network for data of this shape without training it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows like those to come.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.

        Returns
        -------
        self : estimator
            The estimator itself, ready to predict.
        """
        return self._initialize(X, y, {})

    def _train(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        validation: Validation,
        keeps_network: bool,
        is_partial: bool,
        arguments: dict[str, Any],
        declared: Mapping[str, Any] | None = None,
    ) -> None:
        """Run one training, Keras's argument for rows to validate on taken as X_val and y_val."""
        arguments, validation = self._with_validation_data(arguments, validation)
        super()._train(X, y, sample_weight, validation, keeps_network, is_partial, arguments, declared)

    def _with_validation_data(
        self, arguments: dict[str, Any], validation: Validation
    ) -> tuple[dict[str, Any], Validation]:
        """Take Keras's ``validation_data`` as X_val, y_val and sample_weight_val."""
        rest = {name: value for name, value in arguments.items() if name != "validation_data"}
        given = arguments.get("validation_data")
        if given is not None and all(value is None for value in validation):
            X_val, y_val, weights_val = (*given, None) if len(given) == 2 else given
            validation = X_val, y_val, weights_val
        missing = [name for name, value in zip(("X_val", "y_val"), validation, strict=False) if value is None]
        if missing and any(value is not None for value in validation):
            raise ValueError(
                f"{type(self).__name__}.fit needs X_val and y_val together. {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing."
            )
        return rest, validation

    def _as_column(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Give predictions of shape (n,) the shape (n, 1) where y had it in fit."""
        is_ours = isinstance(self.target_encoder_, ClassTargets | RegressionTargets)
        return predictions[:, np.newaxis] if is_ours and self._gives_columns and predictions.ndim == 1 else predictions

    def score(self, X: Rows, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean accuracy of a classifier or the R2 of a regressor.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows to be judged on.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their true targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            Accuracy in [0, 1], or R2, at most 1.
        """
        y, predictions = self._for_scorer(in_memory(y), self.predict(X))
        return float(self.scorer(y, predictions, sample_weight=finite_sum(sample_weight), **self._routed("score")))

    def _for_scorer(self, y: Any, predictions: Any) -> tuple[Any, Any]:
        """Return y as ``fit`` reads it, and predictions of it."""
        return y, predictions

    def _tags(self, kind: str, **specific: Any) -> Tags:
        """Return all tags: scikeras's base order keeps those of scikit-learn's mixins from being inherited."""
        return Tags(
            estimator_type=kind,
            target_tags=TargetTags(required=True, multi_output=kind == "regressor"),
            transformer_tags=None,
            input_tags=InputTags(sparse=True, three_d_array=self._allows_nd),
            **specific,
        )
