"""Networks for tables: folds left out, members averaged, temperatures, bounds, quantiles."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.metrics import accuracy_score, log_loss, mean_pinball_loss, r2_score
from sklearn.model_selection import GridSearchCV

from skneural import KerasClassifier, KerasRegressor, TabularNetClassifier, TabularNetRegressor, parallel_fits
from skneural._families.tabular_calibration import best_temperature
from skneural._families.tabular_training import auto_epochs, fold_numbers

RNG = np.random.default_rng(0)
N = 200
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(size=N),
        "kind": RNG.choice(["a", "b", "c"], N),
        "count": RNG.integers(0, 6, N),
    }
)
TABLE.loc[::9, "count"] = np.nan
TABLE.loc[::7, "kind"] = None
Z = TABLE["size"] * np.where(TABLE["kind"] == "a", 1, -1) + 0.3 * TABLE["count"].fillna(2)
LABELS = np.where(Z > 0.5, "high", "low")
Y = 100 * np.asarray(Z) + 1000
SMALL = {"hidden_layer_sizes": (32,), "learning_rate": 4e-3, "epochs": 30, "random_state": 0}


def classifier(**parameters):
    return TabularNetClassifier(**SMALL | parameters)


def regressor(**parameters):
    return TabularNetRegressor(**SMALL | parameters)


def test_they_are_scikeras_and_learn():
    assert isinstance(classifier(), KerasClassifier)
    assert isinstance(regressor(), KerasRegressor)
    fitted = classifier(epochs=100).fit(TABLE, LABELS)
    assert fitted.score(TABLE, LABELS) > 0.93
    assert fitted.engine_ == "native"
    assert fitted.feature_names_in_.tolist() == ["size", "kind", "count"]
    assert regressor(epochs=200).fit(TABLE, Y).score(TABLE, Y) > 0.9


# --- members and folds ----------------------------------------------------------------------------------------------


def test_histories_are_those_of_members():
    fitted = classifier(n_members=5, calibrated=False, n_iter_no_change=np.inf).fit(TABLE, LABELS)
    assert len(fitted.histories_) == 5
    assert {tuple(sorted(history)) for history in fitted.histories_} == {
        ("accuracy", "loss", "val_accuracy", "val_loss")
    }
    means = np.mean([history["val_loss"] for history in fitted.histories_], axis=0)
    np.testing.assert_allclose(fitted.history_["val_loss"], means)
    single = classifier(n_members=5, calibrated=False, early_stopping=False).fit(TABLE, LABELS)
    assert "val_loss" not in single.history_
    assert not hasattr(single, "validation_score_")


def test_validation_predictions_are_those_of_members_that_have_not_seen_the_row():
    fitted = regressor(store_validation_predictions=True).fit(TABLE, Y)
    rows = fitted.coded(TABLE)
    answers = np.stack([_answers(network, rows) for network in members(fitted)])
    read = fitted.target_encoder_.inverse_transform
    candidates = np.stack([read(one) for one in answers])
    gaps = np.abs(candidates - fitted.validation_predictions_)
    assert (gaps.min(axis=0) < 1e-3).all()
    # Each member has left a fifth of the rows out.
    np.testing.assert_array_equal(np.bincount(gaps.argmin(axis=0)), [40] * 5)
    assert fitted.validation_score_ == pytest.approx(r2_score(Y, fitted.validation_predictions_), abs=1e-6)
    assert not hasattr(regressor().fit(TABLE, Y), "validation_predictions_")


def members(fitted):
    return fitted._network.networks


def _answers(network, rows):
    return network.model.predict(rows, verbose=0)


def test_validation_predictions_of_a_classifier_are_probabilities():
    weights = np.where(np.arange(N) % 10 == 0, 0.0, 1.0)
    fitted = classifier(store_validation_predictions=True).fit(TABLE, LABELS, sample_weight=weights)
    predictions = fitted.validation_predictions_
    np.testing.assert_array_equal(np.isnan(predictions).any(axis=1), weights == 0)
    known = predictions[weights > 0]
    np.testing.assert_allclose(known.sum(axis=1), 1, atol=1e-5)
    labels = fitted.classes_[known.argmax(axis=1)]
    assert fitted.validation_score_ == pytest.approx(accuracy_score(LABELS[weights > 0], labels))


def test_importances_tell_which_columns_count():
    table = TABLE.assign(noise=RNG.normal(size=N), same=1.0)
    fitted = regressor(compute_importances=True, epochs=100).fit(table, Y)
    size, kind, _, noise, same = fitted.feature_importances_
    assert size > 0.5
    assert kind > 0.3
    assert abs(noise) < 0.1
    assert same == 0
    assert not hasattr(regressor().fit(table, Y), "feature_importances_")


def test_few_members_leave_out_a_fifth_each():
    fitted = regressor(n_members=2, store_validation_predictions=True).fit(TABLE, Y)
    assert np.isnan(fitted.validation_predictions_).sum() == N - 2 * N // 5


def test_folds_have_their_share_of_each_class():
    strata = np.repeat([0, 1, 2], [50, 9, 2])
    folds = fold_numbers(strata, 61, 5, seed=3)
    assert np.ptp(np.bincount(folds)) <= 1
    for stratum in range(3):
        assert np.ptp(np.bincount(folds[strata == stratum], minlength=5)) <= 1
    assert (folds != fold_numbers(strata, 61, 5, seed=4)).any()


def test_rows_of_the_users_own_judge_all_members():
    fitted = classifier(n_iter_no_change=3, epochs=200, l2=0.0).fit(
        TABLE[:150], LABELS[:150], X_val=TABLE[150:], y_val=LABELS[150:]
    )
    assert "val_loss" in fitted.history_
    assert not hasattr(fitted, "validation_score_")
    assert not hasattr(fitted, "temperature_")
    for network, history in zip(members(fitted), fitted.histories_, strict=True):
        shares = _answers(network, fitted.coded(TABLE[150:]))[:, 0]
        loss = log_loss(LABELS[150:] == "low", shares)
        assert loss == pytest.approx(min(history["val_loss"]), abs=1e-4)


def test_a_row_of_weight_two_is_the_row_twice():
    table, y = TABLE[:60], Y[:60]
    twice = np.arange(60) % 3 == 0
    weighted = regressor(epochs=10).fit(table, y, sample_weight=1.0 + twice)
    repeated = regressor(epochs=10).fit(pd.concat([table, table[twice]]), np.append(y, y[twice]))
    np.testing.assert_array_equal(weighted.predict(TABLE), repeated.predict(TABLE))


# --- one network ----------------------------------------------------------------------------------------------------


def test_the_model_takes_coded_rows_and_can_be_stored(tmp_path):
    fitted = classifier().fit(TABLE, LABELS)
    rows = fitted.coded(TABLE)
    np.testing.assert_allclose(
        fitted.model_.predict(rows, verbose=0)[:, 0], fitted.predict_proba(TABLE)[:, 1], atol=1e-6
    )
    fitted.model_.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(again.predict(rows, verbose=0), fitted.model_.predict(rows, verbose=0))


def test_pickles_clones_and_searches():
    fitted = classifier().fit(TABLE, LABELS)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(TABLE), fitted.predict_proba(TABLE))
    np.testing.assert_array_equal(clone(fitted).fit(TABLE, LABELS).predict_proba(TABLE), fitted.predict_proba(TABLE))
    grid = {"n_bins": [4, 8]}
    serial = GridSearchCV(classifier(epochs=5), grid, cv=2).fit(TABLE, LABELS)
    with parallel_fits():
        side_by_side = GridSearchCV(classifier(epochs=5), grid, cv=2).fit(TABLE, LABELS)
    np.testing.assert_array_equal(serial.cv_results_["mean_test_score"], side_by_side.cv_results_["mean_test_score"])


def test_training_goes_on():
    fitted = classifier(warm_start=True).fit(TABLE, LABELS)
    before = fitted.predict_proba(TABLE)
    longer = fitted.fit(TABLE, LABELS)
    assert (longer.predict_proba(TABLE) != before).any()
    parts = classifier().partial_fit(TABLE[:100], LABELS[:100], classes=["high", "low"])
    parts.partial_fit(TABLE[100:], LABELS[100:])
    assert parts.n_iter_ == 2
    assert not hasattr(parts, "validation_score_")


# --- calibration ----------------------------------------------------------------------------------------------------


def test_the_temperature_is_the_best_one():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4000, 3)) * 2
    classes = np.array([rng.choice(3, p=p) for p in softmax(logits, axis=1)])
    assert best_temperature(3 * logits, np.eye(3)[classes], None, "softmax") == pytest.approx(3, rel=0.05)
    labels = (rng.random((4000, 1)) < 1 / (1 + np.exp(-logits[:, :1]))) * 1.0
    assert best_temperature(0.5 * logits[:, :1], labels, None, "sigmoid") == pytest.approx(0.5, rel=0.1)
    # Rows of weight zero do not count.
    weights = np.repeat([1.0, 0.0], 2000)
    classes[2000:] = 0
    assert best_temperature(3 * logits, np.eye(3)[classes], weights, "softmax") == pytest.approx(3, rel=0.07)


@pytest.mark.parametrize("y", [LABELS, load_iris().target], ids=["two classes", "three classes"])
def test_members_are_divided_by_the_temperature(y):
    X = TABLE if len(y) == N else load_iris().data
    plain, calibrated = (classifier(calibrated=one, n_members=1).fit(X, y) for one in (False, True))
    logits, divided = (np.log(one.predict_proba(X)) for one in (plain, calibrated))
    logits, divided = (one - one[:, :1] for one in (logits, divided))
    assert calibrated.temperature_ != pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(divided * calibrated.temperature_, logits, rtol=1e-2, atol=1e-2)
    assert not hasattr(plain, "temperature_")


def test_weights_of_classes_reach_calibration_and_stopping():
    even = classifier().fit(TABLE, LABELS)
    heavy = classifier(class_weight={"high": 20.0, "low": 1.0}).fit(TABLE, LABELS)
    assert heavy.predict_proba(TABLE)[:, 0].mean() > even.predict_proba(TABLE)[:, 0].mean() + 0.1


def test_labels_that_stand_together():
    y = np.stack([Z > 0.5, TABLE["kind"] == "a"], axis=1).astype(int)
    fitted = classifier(store_validation_predictions=True, epochs=60).fit(TABLE, y)
    assert fitted.predict_proba(TABLE).shape == (N, 2)
    assert fitted.score(TABLE, y) > 0.8
    labels = fitted.validation_predictions_ > 0.5
    assert fitted.validation_score_ == pytest.approx(accuracy_score(y, labels))


# --- numbers --------------------------------------------------------------------------------------------------------


def test_predictions_stay_within_the_range_of_y():
    X = np.linspace(-1, 1, 60).reshape(-1, 1)
    fitted = regressor(epochs=100, learning_rate=0.01).fit(X, 5 * X[:, 0])
    far = fitted.predict([[-9.0], [9.0]])
    assert far[0] >= -5
    assert far[1] <= 5
    assert far[0] < far[1]


def test_several_outputs():
    both = regressor(epochs=100).fit(TABLE, np.stack([Y, -Y], axis=1))
    predictions = both.predict(TABLE)
    assert predictions.shape == (N, 2)
    assert r2_score(Y, predictions[:, 0]) > 0.7
    assert r2_score(-Y, predictions[:, 1]) > 0.7


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_losses(loss):
    y = np.exp(Z / 2)
    fitted = regressor(loss=loss, epochs=60).fit(TABLE, y)
    assert fitted.score(TABLE, y) > 0.6
    assert (fitted.predict(TABLE) > 0).all()


def test_quantiles_never_cross_and_are_those_of_y():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (1200, 1))
    y = X[:, 0] + rng.normal(size=1200) * 0.3
    shares = [0.1, 0.5, 0.9]
    fitted = regressor(loss="quantile", quantiles=shares, n_members=2, epochs=30).fit(X, y)
    predictions = fitted.predict(X)
    assert predictions.shape == (1200, 3)
    assert (np.diff(predictions, axis=1) >= 0).all()
    for column, share in zip(predictions.T, shares, strict=True):
        assert (y < column).mean() == pytest.approx(share, abs=0.05)
    constant = [mean_pinball_loss(y, np.full(1200, np.quantile(y, share)), alpha=share) for share in shares]
    own = [mean_pinball_loss(y, column, alpha=share) for column, share in zip(predictions.T, shares, strict=True)]
    assert fitted.score(X, y) == pytest.approx(
        np.mean([1 - a / b for a, b in zip(own, constant, strict=True)]), abs=1e-3
    )
    assert regressor(loss="quantile", quantiles=0.9, n_members=1, epochs=2).fit(X, y).predict(X).shape == (1200,)


def test_epochs_make_enough_steps():
    assert auto_epochs(10**6, 256) == 20
    assert auto_epochs(100, 64) == 400
    assert auto_epochs(640, 64) * 10 == pytest.approx(1200)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        (
            {"quantiles": [0.5]},
            Y,
            "The 'quantiles' parameter of TabularNetRegressor needs loss='quantile'. Got \\[0.5\\]",
        ),
        ({"loss": "quantile", "quantiles": [0.5, 1.0]}, Y, "must hold numbers in the range \\(0, 1\\)"),
        ({"loss": "quantile", "quantiles": [0.5, 0.1]}, Y, "must be in ascending order"),
        ({"loss": "quantile"}, np.stack([Y, Y], axis=1), "'quantile' is for one output, but y has 2"),
        ({"loss": "poisson"}, -Y, "'poisson' needs y >= 0"),
        ({"numeric_encoding": "fourier"}, Y, "The 'numeric_encoding' parameter of TabularNetRegressor must be"),
        ({"n_members": 0}, Y, "The 'n_members' parameter of TabularNetRegressor must be an int in the range"),
    ],
)
def test_parameters_that_do_not_fit(parameters, y, message):
    with pytest.raises(ValueError, match=message):
        regressor(**parameters).fit(TABLE, y)
