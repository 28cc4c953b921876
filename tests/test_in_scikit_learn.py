"""Every place of scikit-learn where an estimator can stand: one test each, against what the place is defined to do."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import make_blobs
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.impute import SimpleImputer
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor

NAMES = np.array(["wasp", "ant", "moth"])


@pytest.fixture
def insects():
    """90 rows of 4 features, sorted by their three classes: 50 wasps, 25 ants, 15 moths."""
    X, y = make_blobs([50, 25, 15], n_features=4, cluster_std=2.0, center_box=(-6, 6), shuffle=False, random_state=1)
    return X, NAMES[y]


@pytest.fixture
def slope():
    """60 rows of 3 features, the first adding three times to y, the second taking once, the third idle."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    return X, 3.0 * X[:, 0] - X[:, 1]


def network(**parameters):
    """A classifier that learns the insects in a moment."""
    return DenseNetClassifier(
        (8,), **{"epochs": 12, "learning_rate": 0.03, "batch_size": 16, "random_state": 0} | parameters
    )


def linear_regressor(**parameters):
    return DenseNetRegressor(
        (), **{"epochs": 40, "learning_rate": 0.1, "batch_size": 20, "random_state": 0} | parameters
    )


def build_classifier(meta, units=8):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def build_regressor(meta):
    return keras.Sequential([keras.Input((meta["n_features_in_"],)), keras.layers.Dense(meta["n_outputs_"])])


def users_network(**parameters):
    """The same as a Keras model of the user's own."""
    defaults = {
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "adam",
        "optimizer__learning_rate": 0.03,
        "epochs": 12,
        "batch_size": 16,
        "random_state": 0,
    }
    return KerasClassifier(build_classifier, **defaults | parameters)


both_classifiers = pytest.mark.parametrize("make", [network, users_network])


def small_folds():
    return StratifiedKFold(2, shuffle=True, random_state=0)


@both_classifiers
def test_pipeline_hands_transformed_rows_on(insects, make):
    X, y = insects
    pipeline = make_pipeline(StandardScaler(), make()).fit(X * 1000, y)
    assert pipeline.score(X * 1000, y) > 0.9
    alone = make().fit(StandardScaler().fit_transform(X * 1000), y)
    assert_array_equal(pipeline.predict_proba(X * 1000), alone.predict_proba(StandardScaler().fit_transform(X * 1000)))
    assert_array_equal(pipeline.classes_, ["ant", "moth", "wasp"])


def beetles():
    """80 rows with a string and two numbers, missing values among them; long or red beetles are pests."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "colour": rng.choice(["red", "green", "blue"], 80),
            "length": rng.normal(20, 4, 80),
            "noise": rng.normal(size=80),
        }
    )
    pest = np.where((table["colour"] == "red") | (table["length"] > 23), "pest", "harmless")
    table.loc[3:6, "colour"] = None
    table.loc[10:13, "length"] = np.nan
    return table, pest


@pytest.mark.parametrize("output", ["sparse", "dense", "pandas"])
def test_column_transformer_in_front_takes_strings_and_missing_values(output):
    table, pest = beetles()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=output != "pandas"), ["colour"]),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["length", "noise"]),
        sparse_threshold=1.0 if output == "sparse" else 0.0,
    )
    if output == "pandas":
        columns.set_output(transform="pandas")
    pipeline = make_pipeline(columns, network(epochs=30)).fit(table, pest)
    assert pipeline.score(table, pest) > 0.9
    newcomers = pd.DataFrame({"colour": ["red", "green", "violet"], "length": [15.0, 15.0, np.nan], "noise": 0.0})
    assert_array_equal(pipeline.predict(newcomers)[:2], ["pest", "harmless"])
    assert pipeline.predict_proba(newcomers).shape == (3, 2)
    assert hasattr(pipeline[-1], "feature_names_in_") == (output == "pandas")


def test_grid_search_finds_the_parameters_that_learn(insects):
    X, y = insects
    grid = {"densenetclassifier__learning_rate": [1e-6, 0.03], "densenetclassifier__optimizer__beta_1": [0.5]}
    search = GridSearchCV(make_pipeline(StandardScaler(), network()), grid, cv=small_folds()).fit(X, y)
    assert search.best_params_ == {
        "densenetclassifier__learning_rate": 0.03,
        "densenetclassifier__optimizer__beta_1": 0.5,
    }
    assert search.best_estimator_[-1].model_.optimizer.beta_1 == 0.5
    bad, good = search.cv_results_["mean_test_score"]
    assert good > 0.85 > bad
    expected = cross_val_score(make_pipeline(StandardScaler(), network(optimizer__beta_1=0.5)), X, y, cv=small_folds())
    assert good == expected.mean()
    assert search.score(X, y) > 0.9


def test_grid_search_reaches_the_parameters_of_a_model_function(insects):
    X, y = insects
    grid = {"model__units": [3, 5], "optimizer__learning_rate": [0.03]}
    search = GridSearchCV(users_network(epochs=2), grid, cv=small_folds(), refit=lambda results: 1).fit(X, y)
    assert search.best_estimator_.model_.layers[0].units == 5
    assert float(search.best_estimator_.model_.optimizer.learning_rate) == np.float32(0.03)


def test_randomized_search_draws_from_distributions(insects):
    X, y = insects
    distributions = {"learning_rate": loguniform(1e-3, 1e-1), "hidden_layer_sizes": [(4,), (4, 4)]}
    search = RandomizedSearchCV(network(), distributions, n_iter=3, cv=small_folds(), random_state=0).fit(X, y)
    best = clone(network()).set_params(**search.best_params_).fit(X, y)
    assert_array_equal(search.predict_proba(X), best.predict_proba(X))
    assert len({*search.cv_results_["param_learning_rate"]}) == 3


def test_halving_search_spends_more_epochs_on_the_better(insects):
    X, y = insects
    search = HalvingGridSearchCV(
        network(),
        {"learning_rate": [1e-6, 1e-5, 1e-4, 0.03]},
        resource="epochs",
        min_resources=3,
        max_resources=12,
        factor=2,
        cv=small_folds(),
        random_state=0,
    ).fit(X, y)
    assert search.n_resources_ == [3, 6, 12]
    assert search.n_candidates_ == [4, 2, 1]
    assert search.best_params_ == {"learning_rate": 0.03, "epochs": 12}
    assert search.best_estimator_.n_iter_ == 12


def test_cross_validation_stratifies(insects):
    X, y = insects
    tested = cross_validate(network(epochs=1), X, y, cv=5, return_indices=True)["indices"]["test"]
    for fold in tested:
        labels, counts = np.unique(y[fold], return_counts=True)
        assert dict(zip(labels.tolist(), counts.tolist(), strict=True)) == {"wasp": 10, "ant": 5, "moth": 3}


@both_classifiers
def test_cross_validate_reports_every_scorer(insects, make):
    X, y = insects
    scorers = ["accuracy", "neg_log_loss", "roc_auc_ovr"]
    results = cross_validate(
        make(), X, y, cv=small_folds(), scoring=scorers, return_estimator=True, return_indices=True
    )
    for fold, (estimator, rows) in enumerate(zip(results["estimator"], results["indices"]["test"], strict=True)):
        probabilities = estimator.predict_proba(X[rows])
        assert results["test_accuracy"][fold] == accuracy_score(y[rows], estimator.predict(X[rows]))
        assert_allclose(results["test_neg_log_loss"][fold], -log_loss(y[rows], probabilities))
        assert_allclose(results["test_roc_auc_ovr"][fold], roc_auc_score(y[rows], probabilities, multi_class="ovr"))
    assert results["test_accuracy"].mean() > 0.85
    assert results["test_neg_log_loss"].mean() > -0.5
    assert results["test_roc_auc_ovr"].mean() > 0.9


def test_cross_val_predict_gives_probabilities_of_rows_not_trained_on(insects):
    X, y = insects
    probabilities = cross_val_predict(network(), X, y, cv=small_folds(), method="predict_proba")
    assert probabilities.shape == (90, 3)
    expected = np.empty((90, 3))
    for train, test in small_folds().split(X, y):
        expected[test] = network().fit(X[train], y[train]).predict_proba(X[test])
    assert_allclose(probabilities, expected, atol=1e-7)
    assert accuracy_score(y, np.unique(y)[probabilities.argmax(axis=1)]) > 0.85


@pytest.mark.parametrize("incremental", [False, True], ids=["fit", "partial_fit"])
def test_learning_curve_rises_with_the_rows(insects, incremental):
    X, y = insects
    sizes, _, tested = learning_curve(
        network(epochs=20, learning_rate=0.05, batch_size=4),
        X,
        y,
        train_sizes=[4, 45],
        cv=small_folds(),
        shuffle=True,
        random_state=0,
        exploit_incremental_learning=incremental,
    )
    assert_array_equal(sizes, [4, 45])
    assert tested.shape == (2, 2)
    few, many = tested.mean(axis=1)
    assert many > few
    assert many > (0.7 if incremental else 0.85)


def test_bagging_averages_the_probabilities_of_its_networks(insects):
    X, y = insects
    bag = BaggingClassifier(network(), n_estimators=3, max_features=3, random_state=0).fit(X, y)
    alone = [
        member.predict_proba(X[:, features])
        for member, features in zip(bag.estimators_, bag.estimators_features_, strict=True)
    ]
    assert_allclose(bag.predict_proba(X), np.mean(alone, axis=0), atol=1e-6)
    assert len({member.random_state for member in bag.estimators_}) == 3
    assert bag.score(X, y) > 0.85


def test_soft_voting_weighs_the_probabilities(insects):
    X, y = insects
    others = LogisticRegression()
    vote = VotingClassifier([("net", network()), ("linear", others)], voting="soft", weights=[3, 1]).fit(X, y)
    expected = (3 * network().fit(X, y).predict_proba(X) + others.fit(X, y).predict_proba(X)) / 4
    assert_allclose(vote.predict_proba(X), expected, atol=1e-6)
    assert vote.score(X, y) > 0.9


def test_stacking_learns_from_out_of_fold_probabilities(insects):
    X, y = insects
    stack = StackingClassifier([("net", network()), ("linear", LogisticRegression())], cv=small_folds()).fit(X, y)
    assert stack.stack_method_ == ["predict_proba", "predict_proba"]
    codes = np.searchsorted(np.unique(y), y)
    assert_allclose(stack.transform(X)[:, :3], network().fit(X, codes).predict_proba(X), atol=1e-6)
    assert stack.score(X, y) > 0.9


def test_adaboost_gives_its_weights_to_the_networks():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 2))
    y = rng.permutation(np.where(X[:, 0] + rng.normal(size=80) > 0, "yes", "no"))
    boost = AdaBoostClassifier(network(epochs=5), n_estimators=2, random_state=0).fit(X, y)
    first, second = boost.estimators_
    weights = np.full(80, 1 / 80)
    wrong = first.predict(X) != y
    assert 0 < wrong.mean() < 0.5
    assert_allclose(boost.estimator_weights_[0], np.log((1 - wrong.mean()) / wrong.mean()))
    weights[wrong] *= np.exp(boost.estimator_weights_[0])
    expected = clone(second).fit(X, y, sample_weight=weights / weights.sum())
    assert_allclose(second.predict_proba(X), expected.predict_proba(X), atol=1e-5)
    unweighted = clone(second).fit(X, y)
    assert np.abs(second.predict_proba(X) - unweighted.predict_proba(X)).max() > 1e-3


def test_one_vs_rest_fits_one_binary_network_per_class(insects):
    X, y = insects
    one_vs_rest = OneVsRestClassifier(network()).fit(X, y)
    ants = network().fit(X, (y == "ant").astype(int)).predict_proba(X)[:, 1]
    assert_array_equal(one_vs_rest.estimators_[0].predict_proba(X)[:, 1], ants)
    assert_allclose(one_vs_rest.predict_proba(X).sum(axis=1), 1, atol=1e-6)
    assert one_vs_rest.score(X, y) > 0.9


def test_multi_output_fits_one_network_per_column(insects):
    X, y = insects
    columns = np.column_stack([y, np.where(X[:, 0] > X[:, 1], "left", "right")])
    several = MultiOutputClassifier(network(epochs=20)).fit(X, columns)
    kinds, sides = several.predict_proba(X)
    assert (kinds.shape, sides.shape) == ((90, 3), (90, 2))
    assert_array_equal(sides, network(epochs=20).fit(X, columns[:, 1]).predict_proba(X))
    assert (several.predict(X) == columns).mean(axis=0).min() > 0.85


def test_calibration_fits_on_folds_and_keeps_the_order_of_classes(insects):
    X, y = insects
    calibrated = CalibratedClassifierCV(network(), cv=small_folds(), method="sigmoid").fit(X, y)
    assert_array_equal(calibrated.classes_, ["ant", "moth", "wasp"])
    assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1, atol=1e-6)
    assert calibrated.score(X, y) > 0.9
    for member, (train, _) in zip(calibrated.calibrated_classifiers_, small_folds().split(X, y), strict=True):
        assert_array_equal(member.estimator.predict_proba(X), network().fit(X[train], y[train]).predict_proba(X))


def test_transformed_target_is_learned_and_transformed_back(slope):
    X, y = slope
    growth = np.exp(y)
    regressor = TransformedTargetRegressor(linear_regressor(), func=np.log, inverse_func=np.exp).fit(X, growth)
    assert_allclose(regressor.predict(X), np.exp(linear_regressor().fit(X, y).predict(X)))
    assert regressor.score(X, growth) > 0.9


@pytest.mark.parametrize("kind", ["flat", "users"])
def test_permutation_importance_ranks_the_features(slope, kind):
    X, y = slope
    users = KerasRegressor(
        build_regressor, loss="mse", optimizer="adam", optimizer__learning_rate=0.1, epochs=40, random_state=0
    )
    regressor = (linear_regressor() if kind == "flat" else users).fit(X, y)
    importances = permutation_importance(regressor, X, y, n_repeats=5, random_state=0).importances_mean
    assert importances[0] > 5 * importances[1] > 0
    assert abs(importances[2]) < 0.1 * importances[1]


def test_partial_dependence_shows_the_slopes(slope):
    X, y = slope
    regressor = linear_regressor().fit(X, y)
    display = PartialDependenceDisplay.from_estimator(regressor, X, [0, 1], grid_resolution=5)
    for part, slope_of_feature in zip(display.pd_results, [3.0, -1.0], strict=True):
        change = np.diff(part["average"][0]) / np.diff(part["grid_values"][0])
        assert_allclose(change, slope_of_feature, rtol=0.1)
    fixed = X.copy()
    fixed[:, 0] = display.pd_results[0]["grid_values"][0][2]
    assert_allclose(display.pd_results[0]["average"][0][2], regressor.predict(fixed).mean(), rtol=1e-5)


@pytest.mark.slow
def test_two_processes_give_what_one_gives(insects):
    X, y = insects
    arguments = {"cv": small_folds(), "scoring": "neg_log_loss", "return_estimator": True}
    for estimator in (network(epochs=3), users_network(epochs=3)):
        serial = cross_validate(estimator, X, y, **arguments)
        parallel = cross_validate(estimator, X, y, n_jobs=2, **arguments)
        assert_allclose(parallel["test_score"], serial["test_score"], rtol=1e-4)
        for here, there in zip(serial["estimator"], parallel["estimator"], strict=True):
            assert_allclose(there.predict_proba(X), here.predict_proba(X), atol=1e-5)
            assert there.history_["loss"] == pytest.approx(here.history_["loss"], rel=1e-4)
