"""Names from other libraries: the error says what to write here, from constructor, set_params and searches alike."""

from __future__ import annotations

import inspect
import re

import keras
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skneural import (
    ConvNetClassifier,
    ConvNetRegressor,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    RecurrentNetClassifier,
    RecurrentNetRegressor,
)

X = np.random.default_rng(0).normal(size=(12, 4))
Y = np.array([0, 1, 2] * 4)


def build(meta):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


def exactly(message):
    return f"^{re.escape(message)}$"


FAMILIES = {
    cls: lambda cls=cls, **parameters: cls(**parameters)
    for cls in (
        DenseNetClassifier,
        DenseNetRegressor,
        ConvNetClassifier,
        ConvNetRegressor,
        RecurrentNetClassifier,
        RecurrentNetRegressor,
    )
}
WRAPPERS = {
    cls: lambda cls=cls, **parameters: cls(build, loss="mse", **parameters) for cls in (KerasClassifier, KerasRegressor)
}

OF_ALL = {
    "nb_epoch": "Give epochs=....",
    "max_iter": "Give epochs=..., passes over the rows.",
    "solver": "Give optimizer=..., 'adam' or 'sgd' for example; Keras has no L-BFGS.",
    "momentum": "Give optimizer__momentum=... with optimizer='sgd'.",
    "beta_1": "Give optimizer__beta_1=....",
}
OF_FAMILIES = {
    "alpha": "Give l2=..., times the sum of squared weights (MLP divides it by 2 and by the rows of a batch).",
    "learning_rate_init": "Give learning_rate=....",
    "build_fn": "Give a function or a ready model to KerasClassifier or KerasRegressor.",
}
OF_WRAPPERS = {
    "alpha": "Give kernel_regularizer=... to the layers in the model function.",
    "learning_rate_init": "Give optimizer__learning_rate=....",
    "early_stopping": "Give callbacks=keras.callbacks.EarlyStopping(...) with validation_split=....",
}
CASES = [
    (cls, makers[cls], name, hint)
    for makers, hints in ((FAMILIES, OF_ALL | OF_FAMILIES), (WRAPPERS, OF_ALL | OF_WRAPPERS))
    for cls in makers
    for name, hint in hints.items()
]


@pytest.mark.parametrize(("cls", "make", "name", "hint"), CASES, ids=[f"{c[0].__name__}-{c[2]}" for c in CASES])
def test_parameter_of_another_library(cls, make, name, hint):
    start = f"{cls.__name__} has no parameter {name!r}"
    reason = ", and neither has its model function. " if cls in WRAPPERS else ". "
    with pytest.raises(TypeError, match=exactly(start + reason + hint)):
        make(**{name: 1}).fit(X, Y)
    known = sorted({*make().get_params(), *(inspect.signature(build).parameters if cls in WRAPPERS else ())})
    set_message = (
        f"Invalid parameter {name!r} for estimator {cls.__name__}. {hint} Known parameters: {', '.join(known)}."
    )
    with pytest.raises(ValueError, match=exactly(set_message)):
        make().set_params(**{name: 1})
    with pytest.raises(ValueError, match=exactly(set_message)):
        GridSearchCV(make(), {name: [1]}, cv=2, error_score="raise").fit(X, Y)


@pytest.mark.parametrize(
    ("parameter", "value", "hint"),
    [
        ("activation", "logistic", "Give 'sigmoid'."),
        ("activation", "identity", "Give 'linear'."),
        (
            "optimizer",
            "lbfgs",
            "Give 'adam'; Keras has no L-BFGS, and for few rows more epochs and a larger learning rate do its work.",
        ),
        (
            "learning_rate",
            "adaptive",
            "Give a number, with callbacks=keras.callbacks.ReduceLROnPlateau(monitor='loss', patience=2).",
        ),
        (
            "learning_rate",
            "constant",
            "Give a number, which stays constant unless learning_rate_schedule says otherwise.",
        ),
        ("loss", "log_loss", "Give 'binary_crossentropy' or 'sparse_categorical_crossentropy'."),
        ("metrics", "f1", "Give 'f1_score'."),
    ],
)
@pytest.mark.parametrize("cls", FAMILIES)
def test_value_of_another_library(cls, parameter, value, hint):
    message = f"The {parameter!r} parameter of {cls.__name__} is unknown: {value!r}. {hint}"
    for estimator in (cls(**{parameter: value}), cls().set_params(**{parameter: value})):
        with pytest.raises(ValueError, match=exactly(message)):
            estimator.fit(X, Y)


@pytest.mark.parametrize("cls", WRAPPERS)
def test_optimizer_of_another_library(cls):
    with pytest.raises(
        ValueError, match=rf"^The 'optimizer' parameter of {cls.__name__} is unknown: 'lbfgs'. Give 'adam'"
    ):
        WRAPPERS[cls](optimizer="lbfgs").fit(X, Y)


def test_old_argument_of_fit():
    message = "DenseNetClassifier.fit got an unexpected argument 'nb_epoch'. Give epochs=...."
    with pytest.raises(TypeError, match=exactly(message)):
        DenseNetClassifier((2,)).fit(X, Y, nb_epoch=3)


@pytest.mark.parametrize("make", [*FAMILIES.values(), *WRAPPERS.values()], ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("predict_classes", " Use predict, which gives labels."),
        ("history", " Use history_, a dict of losses and metrics, or model_.history."),
        ("coefs_", " Use model_.get_weights(), kernels and biases in turn."),
        ("best_validation_score_", " Use min(history_['val_loss']), or best_epoch_."),
        ("nothing_like_that", ""),
    ],
)
def test_attribute_of_another_library(make, name, hint):
    estimator = make()
    with pytest.raises(
        AttributeError, match=exactly(f"{type(estimator).__name__!r} object has no attribute {name!r}.{hint}")
    ):
        getattr(estimator, name)
    assert not hasattr(estimator, name)


@pytest.mark.parametrize(
    ("parameter", "left_out"),
    [("optimizer", "lossscaleoptimizer"), ("metrics", "mean_metric_wrapper"), ("loss", "ctc")],
)
def test_known_names_are_those_that_can_be_chosen(parameter, left_out):
    with pytest.raises(ValueError, match=r"is unknown: 'xyzzy'\. Known names: ") as caught:
        DenseNetClassifier((2,), **{parameter: "xyzzy"}).fit(X, Y)
    assert left_out not in str(caught.value)


def test_every_optimizer_that_is_listed_can_be_made():
    with pytest.raises(ValueError, match="Known names") as caught:
        DenseNetClassifier((2,), optimizer="xyzzy").fit(X, Y)
    names = str(caught.value).partition("Known names: ")[2].rstrip(".").split(", ")
    classes = {name.lower(): item for name, item in vars(keras.optimizers).items() if isinstance(item, type)}
    assert len(names) > 10
    assert all(classes[name]() for name in names)
