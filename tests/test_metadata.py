"""Metadata routing: weights and validation rows reach the fit that asks for them, through all that stands between."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor

FIT_METADATA = {"sample_weight", "X_val", "y_val", "sample_weight_val"}


@pytest.fixture(autouse=True)
def _routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.fixture
def rows():
    """40 rows of 2 features, far from the origin and of different scales, in two classes that overlap."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = np.where(X[:, 0] + 0.5 * rng.normal(size=40) > 0, "right", "left")
    return 100 + X * [30, 2], y


@pytest.fixture
def validation_rows():
    """25 rows of the same kind, with weights that differ."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(25, 2))
    y = np.where(X[:, 0] + 0.5 * rng.normal(size=25) > 0, "right", "left")
    return 100 + X * [30, 2], y, rng.uniform(0.1, 5, 25)


@pytest.fixture
def weights():
    return np.random.default_rng(2).uniform(0.1, 5, 40)


def network(**parameters):
    defaults = {"epochs": 2, "learning_rate": 0.05, "batch_size": 10, "random_state": 0}
    return DenseNetClassifier((4,), **{"l2": 0.0} | defaults | parameters)


def build_users_network(meta):
    return keras.Sequential(
        [keras.Input((meta["n_features_in_"],)), keras.layers.Dense(meta["n_classes_"], activation="softmax")]
    )


def users_network():
    return KerasClassifier(
        build_users_network, loss="sparse_categorical_crossentropy", epochs=2, batch_size=10, random_state=0
    )


both_classifiers = pytest.mark.parametrize("make", [network, users_network])


@pytest.mark.parametrize("estimator", [DenseNetClassifier(), DenseNetRegressor(), KerasClassifier(), KerasRegressor()])
def test_every_argument_of_fit_can_be_requested(estimator):
    requests = estimator.get_metadata_routing()
    assert set(requests.fit.requests) == FIT_METADATA
    assert set(requests.score.requests) == {"sample_weight"}
    assert "sample_weight" in requests.partial_fit.requests
    assert clone(estimator.set_fit_request(X_val=True)).get_metadata_routing().fit.requests["X_val"] is True


@both_classifiers
def test_pipeline_transforms_the_validation_rows_too(rows, validation_rows, weights, make):
    X, y = rows
    X_val, y_val, weights_val = validation_rows
    estimator = make().set_fit_request(X_val=True, y_val=True, sample_weight=True, sample_weight_val=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("net", estimator)], transform_input=["X_val"])
    pipeline["scale"].set_fit_request(sample_weight=False)
    pipeline.fit(X, y, sample_weight=weights, X_val=X_val, y_val=y_val, sample_weight_val=weights_val)
    by_hand = log_loss(y_val, pipeline.predict_proba(X_val), sample_weight=weights_val)
    assert_allclose(pipeline["net"].history_["val_loss"][-1], by_hand, rtol=1e-4)

    scaler = StandardScaler().fit(X)
    alone = make().fit(
        scaler.transform(X), y, weights, X_val=scaler.transform(X_val), y_val=y_val, sample_weight_val=weights_val
    )
    assert alone.history_ == pipeline["net"].history_
    assert_array_equal(alone.predict_proba(scaler.transform(X)), pipeline.predict_proba(X))


def test_early_stopping_judges_by_the_routed_validation_rows(rows, validation_rows):
    X, y = rows
    X_val, y_val, _ = validation_rows
    stopping = network(epochs=30, learning_rate=0.3, early_stopping=True, n_iter_no_change=2)
    stopping.set_fit_request(X_val=True, y_val=True)
    pipeline = make_pipeline(StandardScaler(), stopping, transform_input=["X_val"])
    pipeline.fit(X, y, X_val=X_val, y_val=y_val)
    history = stopping.history_["val_loss"]
    assert len(history) < 30
    assert stopping.best_epoch_ == len(history) - 2
    assert_allclose(log_loss(y_val, pipeline.predict_proba(X_val)), history[stopping.best_epoch_ - 1], rtol=1e-4)


@both_classifiers
def test_cross_validate_slices_the_weights_for_fit_and_score(rows, weights, make):
    X, y = rows
    estimator = make().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    folds = KFold(2, shuffle=True, random_state=0)
    results = cross_validate(
        estimator, X, y, cv=folds, params={"sample_weight": weights}, return_estimator=True, return_indices=True
    )
    for fold, (train, test) in enumerate(folds.split(X)):
        by_hand = make().fit(X[train], y[train], weights[train])
        fitted = results["estimator"][fold]
        assert_array_equal(fitted.predict_proba(X), by_hand.predict_proba(X))
        unweighted = make().fit(X[train], y[train])
        assert np.abs(fitted.predict_proba(X) - unweighted.predict_proba(X)).max() > 1e-5
        score = accuracy_score(y[test], fitted.predict(X[test]), sample_weight=weights[test])
        assert results["test_score"][fold] == pytest.approx(score)


def test_grid_search_over_a_pipeline_routes_weights_and_validation_rows(rows, validation_rows, weights):
    X, y = rows
    X_val, y_val, weights_val = validation_rows
    net = network().set_fit_request(X_val=True, y_val=True, sample_weight=True, sample_weight_val=True)
    net.set_score_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    pipeline = Pipeline([("scale", scaler), ("net", net)], transform_input=["X_val"])
    search = GridSearchCV(pipeline, {"net__l2": [0.0, 0.01]}, cv=2)
    search.fit(X, y, sample_weight=weights, X_val=X_val, y_val=y_val, sample_weight_val=weights_val)
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()

    fitted = StandardScaler().fit(X)
    alone = network(l2=search.best_params_["net__l2"])
    alone.fit(
        fitted.transform(X), y, weights, X_val=fitted.transform(X_val), y_val=y_val, sample_weight_val=weights_val
    )
    assert search.best_estimator_["net"].history_ == alone.history_
    assert_array_equal(search.predict_proba(X), alone.predict_proba(fitted.transform(X)))


def test_metadata_under_another_name_reaches_its_argument(rows, weights):
    X, y = rows
    estimator = network().set_fit_request(sample_weight="trust")
    results = cross_validate(
        estimator.set_score_request(sample_weight=False), X, y, cv=2, params={"trust": weights}, return_estimator=True
    )
    assert all(fitted.initialized_ for fitted in results["estimator"])
    with_weights = make_pipeline(network().set_fit_request(sample_weight="trust")).fit(X, y, trust=weights)
    assert_array_equal(with_weights.predict_proba(X), network().fit(X, y, weights).predict_proba(X))


def test_weights_that_nobody_asked_for_are_an_error(rows, weights):
    X, y = rows
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(network(), X, y, cv=2, params={"sample_weight": weights})
    only_score = network().set_fit_request(sample_weight=False).set_score_request(sample_weight=True)
    everything = [(np.arange(40), np.arange(40))]
    results = cross_validate(only_score, X, y, cv=everything, params={"sample_weight": weights})
    assert results["test_score"][0] == pytest.approx(network().fit(X, y).score(X, y, weights))


def test_without_routing_the_step_name_carries_the_metadata(rows, validation_rows, weights):
    X, y = rows
    X_val, y_val, _ = validation_rows
    with sklearn.config_context(enable_metadata_routing=False):
        pipeline = Pipeline([("pass", "passthrough"), ("net", network())])
        pipeline.fit(X, y, net__sample_weight=weights, net__X_val=X_val, net__y_val=y_val)
        alone = network().fit(X, y, weights, X_val=X_val, y_val=y_val)
        assert pipeline["net"].history_ == alone.history_
        assert_array_equal(pipeline.predict_proba(X), alone.predict_proba(X))
