"""Families with a y: the end of the network that suits the target and the loss."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, ClassVar

import keras

from skneural import _engine
from skneural._estimators.class_losses import CLASS_NUMBER_LOSSES, FLAT_LOSSES, MARGIN_LOSSES, settled_metrics
from skneural._estimators.compiling import loss_name, single_loss
from skneural._estimators.interrupts import stacklevel_of_the_user
from skneural._estimators.targets import ClassTargets, RegressionTargets, scaling_for
from skneural._wrappers.classifier import KerasClassifier
from skneural._wrappers.regressor import KerasRegressor

from .base import FamilyEstimator, Head
from .paragraphs import (
    CLASSIFIER_ATTRIBUTES,
    CLASSIFIER_PARAMETERS,
    REGRESSOR_ATTRIBUTES,
    REGRESSOR_PARAMETERS,
    Paragraphs,
)

# Losses by what they can learn, in Keras's names.
_TWO_CLASS_LOSSES = ("binary_crossentropy", "binary_focal_crossentropy")
_EXCLUSIVE_LOSSES = (
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "kl_divergence",
)
_NO_PROBABILITY_LOSSES = (
    "circle",
    "cosine_similarity",
    "ctc",
    "dice",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "tversky",
)
_CLASS_LOSSES = (
    *_TWO_CLASS_LOSSES,
    *CLASS_NUMBER_LOSSES,
    *_EXCLUSIVE_LOSSES,
    *MARGIN_LOSSES,
    "circle",
    "ctc",
    "dice",
    "tversky",
)
_POSITIVE_LOSSES = ("mean_squared_logarithmic_error", "poisson")


class FamilyClassifier(FamilyEstimator, KerasClassifier):
    """A classifier that builds its own network."""

    _parameter_paragraphs: ClassVar[Paragraphs] = CLASSIFIER_PARAMETERS
    _attribute_paragraphs: ClassVar[Paragraphs] = CLASSIFIER_ATTRIBUTES

    @property
    def target_encoder(self) -> ClassTargets:
        """The transformer between labels and what the loss takes."""
        return ClassTargets(
            layout=self._layout(),
            classes=getattr(self, "_all_classes", None),
            exclusive_columns=loss_name(self.loss) in _EXCLUSIVE_LOSSES,
        )

    def _layout(self) -> str:
        """Return the layout of several classes that the loss takes."""
        name = loss_name(self.loss)
        if name == "auto":
            return "one-hot" if "label_smoothing" in self._routed("loss") else "ordinal"
        if name in FLAT_LOSSES:
            return "flat"
        return "ordinal" if name in CLASS_NUMBER_LOSSES else "one-hot"

    def _fit_target_encoder(self, rows: Any) -> ClassTargets:
        encoder: ClassTargets = super()._fit_target_encoder(rows)
        self._check_loss(encoder)
        if encoder.is_multilabel and (rows.y.sum(axis=1) == 1).all():
            warnings.warn(
                "Each row of y has exactly one 1, and y is taken for labels that may stand together. For classes that "
                "exclude each other give the labels themselves (y.argmax(axis=1)), or "
                "loss='categorical_crossentropy'.",
                UserWarning,
                stacklevel=stacklevel_of_the_user(),
            )
        if encoder.n_classes_ <= 2 and loss_name(self.loss) not in (*_EXCLUSIVE_LOSSES, *FLAT_LOSSES):
            encoder.set_params(layout="ordinal")
        return encoder

    def _check_loss(self, encoder: ClassTargets) -> None:
        owner, name = type(self).__name__, loss_name(self.loss)
        if name in _NO_PROBABILITY_LOSSES:
            problem, remedy = "gives no class probabilities", "'auto'"
        elif encoder.is_multilabel and name in (*_EXCLUSIVE_LOSSES, *CLASS_NUMBER_LOSSES):
            problem, remedy = "is for classes that exclude each other, but y is multilabel", "'binary_crossentropy'"
        elif not encoder.is_multilabel and encoder.n_classes_ > 2 and name in _TWO_CLASS_LOSSES:
            problem = f"is for two classes or multilabel y, but y has {encoder.n_classes_} classes"
            remedy = "'sparse_categorical_crossentropy'"
        else:
            return
        raise ValueError(
            f"The 'loss' parameter of {owner} does not fit the target: {name!r} {problem}. Use {remedy} instead."
        )

    def _head(self) -> Head:
        encoder: ClassTargets = self.target_encoder_
        name = loss_name(self.loss)
        exclusive = name in (*_EXCLUSIVE_LOSSES, *CLASS_NUMBER_LOSSES)
        one_output = encoder.target_type_ == "binary" and not exclusive
        independent = one_output or encoder.is_multilabel
        if name == "auto":
            of_many = "categorical_crossentropy" if self._layout() == "one-hot" else "sparse_categorical_crossentropy"
            loss = self._resolved_loss("binary_crossentropy" if independent else of_many)
        else:
            loss = self._resolved_loss(self.loss)
        activation = "sigmoid" if independent else "softmax"
        # A softmax of one output would be one whatever the weights.
        head = Head(loss, 1 if one_output else max(2, encoder.n_classes_), activation)
        return replace(head, activation="linear") if head.gives_logits or name in MARGIN_LOSSES else head

    def _metrics_beside(self, head: Head) -> list[Any]:
        metrics = super()._metrics_beside(head)
        if head.n_outputs > 1 and not self.target_encoder_.is_multilabel:
            return metrics
        settled: list[Any] = settled_metrics(metrics, threshold=0.0 if head.activation == "linear" else 0.5)
        return settled

    def _take_model(self, model: keras.Model) -> None:
        self._gives_logits = bool(getattr(single_loss(model), "from_logits", False))

    def _build_network(self, seed: int) -> _engine.Network:
        head = self._head()
        self._gives_logits = head.gives_logits
        if loss_name(self.loss) in MARGIN_LOSSES:
            self.target_encoder_.set_params(outputs="margins")
        return super()._build_network(seed)


class FamilyRegressor(FamilyEstimator, KerasRegressor):
    """A regressor that builds its own network and scales y for it."""

    _parameter_paragraphs: ClassVar[Paragraphs] = REGRESSOR_PARAMETERS
    _attribute_paragraphs: ClassVar[Paragraphs] = REGRESSOR_ATTRIBUTES

    @property
    def target_encoder(self) -> RegressionTargets:
        """The transformer between the user's units and those the network learns in."""
        return RegressionTargets(scaling=scaling_for(self._loss_name()))

    def _loss_name(self) -> str:
        name = loss_name(self.loss)
        return "mean_squared_error" if name == "auto" else name

    def _fit_target_encoder(self, rows: Any) -> RegressionTargets:
        owner, name = type(self).__name__, self._loss_name()
        if name in _CLASS_LOSSES:
            raise ValueError(
                f"The 'loss' parameter of {owner} does not fit the target: {name!r} is for classes, but y is numeric. "
                "Use 'mean_squared_error', 'mean_absolute_error' or 'huber' instead."
            )
        if name in _POSITIVE_LOSSES and rows.y.min() < 0:
            raise ValueError(
                f"The 'loss' parameter of {owner} does not fit the target: {name!r} needs y >= 0, but y has "
                f"{rows.y.min():g}. Use 'mean_squared_error' instead."
            )
        encoder: RegressionTargets = super()._fit_target_encoder(rows)
        return encoder

    def _head(self) -> Head:
        name = self._loss_name()
        loss = self._resolved_loss(name if self.loss == "auto" else self.loss)
        return Head(loss, int(self.n_outputs_), "softplus" if name in _POSITIVE_LOSSES else "linear")
