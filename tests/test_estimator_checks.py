"""Contract: scikit-learn's own checks hold for every estimator, and each counts as what it is."""

from __future__ import annotations

import functools

import keras
import pytest
from sklearn.base import is_classifier, is_regressor
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

from skneural import (
    Autoencoder,
    ConvNetClassifier,
    ConvNetRegressor,
    DeepEmbeddedClustering,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    NeighborEmbedding,
    RecurrentNetClassifier,
    RecurrentNetRegressor,
    TabularNetClassifier,
    TabularNetRegressor,
)


def build_users_network(meta):
    """Two dense layers for whatever target the checks bring."""
    if "n_classes_" not in meta:
        n_outputs, activation, loss = meta["n_outputs_"], "linear", "mse"
    elif meta["target_type_"] == "multilabel-indicator":
        n_outputs, activation, loss = meta["n_outputs_"], "sigmoid", "binary_crossentropy"
    else:
        n_outputs, activation, loss = meta["n_classes_"], "softmax", "sparse_categorical_crossentropy"
    model = keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(n_outputs, activation=activation),
        ]
    )
    model.compile(loss=loss, optimizer=keras.optimizers.Adam(0.01))
    return model


# The checks bring tables: nothing in them may be turned or shifted, and few columns make small images.
SMALL_CONV = {"filters": 16, "augment": False, "batch_normalization": False, "dropout": 0.0, "epochs": 30}
# Rows of the checks are read as sequences of one channel. Dropout and batch normalisation would let a row of weight two
# differ from the row twice.
RECURRENT = {"units": 8, "filters": (), "dropout": 0.0, "learning_rate": 0.03, "epochs": 80, "batch_size": 64}
SMALL_TABULAR = {"hidden_layer_sizes": (32,), "n_members": 2, "epochs": 40}
CLASSIFIERS = [
    ConvNetClassifier(**SMALL_CONV),
    DenseNetClassifier(epochs=30),
    KerasClassifier(build_users_network, epochs=30, batch_size=64),
    RecurrentNetClassifier(**RECURRENT),
    TabularNetClassifier(**SMALL_TABULAR),
]
REGRESSORS = [
    ConvNetRegressor(**SMALL_CONV),
    DenseNetRegressor(epochs=30),
    KerasRegressor(build_users_network, epochs=30, batch_size=64),
    RecurrentNetRegressor(**RECURRENT),
    TabularNetRegressor(**SMALL_TABULAR),
]


TRANSFORMERS = [
    Autoencoder(),
    Autoencoder(hidden_layer_sizes=()),
    Autoencoder(variational=True, epochs=3),
    NeighborEmbedding(epochs=2),
    DeepEmbeddedClustering(4, epochs=10),
    DeepEmbeddedClustering(4, method="idec", epochs=10),
    DeepEmbeddedClustering(4, method="n2d", epochs=3),
]


def _name(estimator):
    return type(estimator).__name__


MIXIN_ORDER = {
    "check_mixin_order": (
        "scikeras puts ClassifierMixin and RegressorMixin behind BaseEstimator, and no subclass can reorder that"
    )
}
# Estimators without a y stand on scikit-learn's bases alone.
ESTIMATORS = [
    *((estimator, MIXIN_ORDER) for estimator in [*CLASSIFIERS, *REGRESSORS]),
    *((estimator, {}) for estimator in TRANSFORMERS),
]


def _checks():
    """Every check of every estimator, named without the addresses that a function's repr has."""
    for number, (estimator, expected_failures) in enumerate(ESTIMATORS):
        for case in estimator_checks_generator(
            estimator, expected_failed_checks=expected_failures, mark="xfail", xfail_strict=True
        ):
            values, marks = (case.values, case.marks) if hasattr(case, "marks") else (case, ())
            yield pytest.param(*values, marks=marks, id=f"{number}-{_name(estimator)}-{_check_name(values[1])}")


def _check_name(check):
    if not isinstance(check, functools.partial):
        return check.__name__
    return "-".join([_check_name(check.func), *(f"{name}={value}" for name, value in check.keywords.items())])


@pytest.mark.slow
# Many checks train so briefly, or on so odd data, that scikit-learn's warnings about it are their subject.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
def test_scikit_learn_check_passes(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=_name)
def test_classifier_counts_as_classifier(estimator):
    assert is_classifier(estimator)
    assert not is_regressor(estimator)
    tags = get_tags(estimator)
    assert tags.classifier_tags.multi_class
    assert tags.classifier_tags.multi_label
    assert tags.regressor_tags is None
    assert tags.target_tags.required


@pytest.mark.parametrize("estimator", REGRESSORS, ids=_name)
def test_regressor_counts_as_regressor(estimator):
    assert is_regressor(estimator)
    assert not is_classifier(estimator)
    tags = get_tags(estimator)
    assert tags.classifier_tags is None
    assert tags.target_tags.required
    assert tags.target_tags.multi_output


@pytest.mark.parametrize("estimator", [*CLASSIFIERS, *REGRESSORS], ids=_name)
def test_no_tag_excuses_an_estimator_from_checks(estimator):
    tags = get_tags(estimator)
    assert not tags.no_validation
    assert not tags.non_deterministic
    assert not tags._skip_test
    assert not tags.requires_fit or hasattr(estimator, "fit")
    specific = tags.classifier_tags or tags.regressor_tags
    assert not specific.poor_score
    assert tags.input_tags.two_d_array
    # Tables may have holes; they and sequences are dense.
    reads_tables = isinstance(estimator, TabularNetClassifier | TabularNetRegressor)
    reads_sequences = isinstance(estimator, RecurrentNetClassifier | RecurrentNetRegressor)
    assert tags.input_tags.allow_nan is reads_tables
    assert tags.input_tags.sparse is not (reads_sequences or reads_tables)
