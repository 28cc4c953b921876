"""What is stored and restored predicts the same, bit for bit, and goes on training as the original would."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import (
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    TabularNetClassifier,
    TabularNetRegressor,
)

X = np.random.default_rng(0).normal(size=(40, 3))
LABELS = np.where(X[:, 0] > X[:, 1], "one", "other")
VALUES = 1000 * X[:, 0] - 10


def build_classifier(meta):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def build_regressor(meta):
    return keras.Sequential([keras.Input((meta["n_features_in_"],)), keras.layers.Dense(meta["n_outputs_"])])


def double_tanh(x):
    return 2 * keras.ops.tanh(x)


ESTIMATORS = {
    "DenseNetClassifier": DenseNetClassifier(
        (4,), dropout=0.2, batch_normalization=True, epochs=2, batch_size=16, random_state=0
    ),
    "DenseNetRegressor": DenseNetRegressor(
        (4,), optimizer="adamw", optimizer__weight_decay=0.01, epochs=2, batch_size=16, random_state=0
    ),
    "callable activation": DenseNetRegressor((4,), activation=double_tanh, epochs=2, batch_size=16, random_state=0),
    "KerasClassifier": KerasClassifier(
        build_classifier, loss="sparse_categorical_crossentropy", optimizer="adam", epochs=2, random_state=0
    ),
    "KerasRegressor": KerasRegressor(build_regressor, loss="mse", optimizer="rmsprop", epochs=2, random_state=0),
    "TabularNetClassifier": TabularNetClassifier((4,), n_members=2, epochs=2, random_state=0),
    "TabularNetRegressor": TabularNetRegressor((4,), loss="quantile", quantiles=[0.2, 0.8], epochs=2, random_state=0),
}


def target_of(estimator):
    return LABELS if hasattr(estimator, "predict_proba") else VALUES


def answers(estimator):
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def through_pickle(estimator, directory):
    return pickle.loads(pickle.dumps(estimator))


def through_cloudpickle(estimator, directory):
    return pickle.loads(pickle.dumps(joblib.wrap_non_picklable_objects(estimator, keep_wrapper=False)))


def through_joblib(estimator, directory):
    joblib.dump(estimator, directory / "estimator.joblib", compress=3)
    return joblib.load(directory / "estimator.joblib")


def through_deepcopy(estimator, directory):
    return copy.deepcopy(estimator)


every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
every_way = pytest.mark.parametrize("restore", [through_pickle, through_cloudpickle, through_joblib, through_deepcopy])


@every_estimator
@every_way
def test_restored_estimator_predicts_the_same_and_goes_on_training(estimator, restore, tmp_path):
    y = target_of(estimator)
    original = clone(estimator).fit(X, y)
    before = answers(original)
    restored = restore(original, tmp_path)
    assert_array_equal(answers(restored), before)
    assert restored.history_ == original.history_
    original.partial_fit(X, y).partial_fit(X, y)
    assert_array_equal(answers(restored), before)
    restored.partial_fit(X, y).partial_fit(X, y)
    assert_array_equal(answers(restored), answers(original))
    assert restored.history_ == original.history_
    assert len(restored.history_["loss"]) == 4
    assert np.abs(answers(restored) - before).max() > 0


def optimizer_of(estimator):
    """The optimizer of the network, or of the first of several."""
    members = getattr(estimator._network, "networks", None)
    return members[0].model.optimizer if members else estimator.model_.optimizer


@every_estimator
def test_optimizer_state_is_kept(estimator):
    original = clone(estimator).fit(X, target_of(estimator))
    restored = pickle.loads(pickle.dumps(original))
    here, there = optimizer_of(original), optimizer_of(restored)
    assert type(here) is type(there)
    assert int(there.iterations) == int(here.iterations) > 0
    for kept, variable in zip(there.variables, here.variables, strict=True):
        assert_array_equal(kept.numpy(), variable.numpy())
    moments = [variable.numpy() for variable in here.variables[2:]]
    assert moments
    assert all(np.abs(moment).max() > 0 for moment in moments)


@every_estimator
def test_warm_start_goes_on_after_restoring(estimator):
    y = target_of(estimator)
    original = clone(estimator).set_params(warm_start=True).fit(X, y)
    restored = pickle.loads(pickle.dumps(original))
    assert_array_equal(answers(restored.fit(X, y)), answers(original.fit(X, y)))
    assert int(optimizer_of(restored).iterations) == int(optimizer_of(original).iterations)


@every_estimator
def test_clone_is_not_fitted_and_fits_to_the_same(estimator):
    fitted = clone(estimator).fit(X, target_of(estimator))
    twin = clone(fitted)
    assert twin.get_params() == fitted.get_params()
    assert not [name for name in vars(twin) if name.endswith("_") and not name.startswith("_")]
    with pytest.raises(NotFittedError):
        twin.predict(X)
    assert_array_equal(answers(twin.fit(X, target_of(estimator))), answers(fitted))


@every_estimator
def test_not_fitted_estimator_survives(estimator):
    restored = pickle.loads(pickle.dumps(estimator))
    assert restored.get_params() == estimator.get_params()
    assert repr(restored) == repr(estimator)
    assert not restored.initialized_


@every_estimator
def test_initialized_estimator_survives(estimator):
    initialized = clone(estimator).initialize(X, target_of(estimator))
    restored = pickle.loads(pickle.dumps(initialized))
    assert_array_equal(answers(restored), answers(initialized))
    for twin in (initialized, restored):
        twin.partial_fit(X, target_of(estimator))
    assert_array_equal(answers(restored), answers(initialized))


@pytest.mark.parametrize("estimator", [ESTIMATORS["DenseNetClassifier"], ESTIMATORS["KerasClassifier"]])
def test_it_does_not_matter_whether_the_model_was_asked_for(estimator):
    asked = clone(estimator).fit(X, LABELS)
    model = asked.model_
    not_asked = clone(estimator).fit(X, LABELS)
    stored = [pickle.loads(pickle.dumps(each)) for each in (asked, not_asked)]
    assert_array_equal(answers(stored[0]), answers(stored[1]))
    assert stored[0].model_ is not model
    stored[0].model_.set_weights([0 * weight for weight in model.get_weights()])
    assert_array_equal(answers(asked), answers(not_asked))


def test_lambda_survives_deepcopy_clone_and_cloudpickle(tmp_path):
    classifier = DenseNetClassifier((4,), activation=lambda x: keras.ops.maximum(x, -x), epochs=1, random_state=0)
    classifier.fit(X, LABELS)
    for restore in (through_deepcopy, through_cloudpickle):
        restored = restore(classifier, tmp_path)
        assert_array_equal(answers(restored), answers(classifier))
        assert_array_equal(
            answers(restored.partial_fit(X, LABELS)), answers(copy.deepcopy(classifier).partial_fit(X, LABELS))
        )
    assert_array_equal(answers(clone(classifier).fit(X, LABELS)), answers(classifier))


def test_ready_model_as_parameter_survives():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
    classifier = KerasClassifier(model, epochs=2, random_state=0).fit(X, LABELS)
    for restored in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        assert_array_equal(answers(restored), answers(classifier))
    assert_array_equal(answers(clone(classifier).fit(X, LABELS)), answers(classifier))


def test_search_over_a_pipeline_survives():
    pipeline = make_pipeline(StandardScaler(), clone(ESTIMATORS["DenseNetClassifier"]))
    search = GridSearchCV(pipeline, {"densenetclassifier__l2": [0.0, 0.1]}, cv=2).fit(X, LABELS)
    restored = pickle.loads(pickle.dumps(search))
    assert_array_equal(restored.predict_proba(X), search.predict_proba(X))
    assert restored.best_params_ == search.best_params_


def test_stored_size_is_that_of_the_weights():
    wide = DenseNetClassifier((2000,), epochs=1, random_state=0).fit(X, LABELS)
    n_bytes = 4 * sum(weight.size for weight in wide.model_.get_weights())
    assert len(pickle.dumps(wide)) < 3 * n_bytes + 100_000


def test_pickle_does_not_hold_the_training_data():
    rows = np.random.default_rng(0).normal(size=(5000, 20))
    fitted = DenseNetClassifier((2,), epochs=1, batch_size=1000).fit(rows, rows[:, 0] > 0)
    assert len(pickle.dumps(fitted)) < rows.nbytes / 10


@pytest.mark.slow
def test_another_process_predicts_the_same_and_goes_on_training(tmp_path):
    classifier = clone(ESTIMATORS["DenseNetClassifier"]).fit(X, LABELS)
    joblib.dump((classifier, X, LABELS), tmp_path / "stored.joblib")
    code = (
        "import joblib, sys\n"
        "classifier, X, y = joblib.load(sys.argv[1])\n"
        "before = classifier.predict_proba(X)\n"
        "joblib.dump((before, classifier.partial_fit(X, y).predict_proba(X)), sys.argv[2])\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "stored.joblib", tmp_path / "answers.joblib"],
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    before, after = joblib.load(tmp_path / "answers.joblib")
    assert_array_equal(before, answers(classifier))
    assert_array_equal(after, answers(classifier.partial_fit(X, LABELS)))
