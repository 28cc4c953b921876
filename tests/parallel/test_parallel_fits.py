"""Fits side by side: the same results under unchanged scikit-learn, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import tracemalloc

import joblib
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier, BaggingRegressor, StackingClassifier, VotingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    ShuffleSplit,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skneural
from skneural import (
    ConvNetClassifier,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    RecurrentNetClassifier,
)
from skneural._engine.native import extension as _extension

X, Y = load_iris(return_X_y=True)
NETWORK = DenseNetClassifier((6,), epochs=4, batch_size=16, random_state=0)
RATES = {"learning_rate": [1e-3, 1e-2]}


@pytest.fixture(params=["compiled", "native"])
def way(request, monkeypatch):
    """Either engine for dense networks."""
    if request.param != "native":
        monkeypatch.setattr(_extension, "engine", None)
    return request.param


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("skneural")]
    assert not left


def build(meta, units=5):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(units, activation="tanh"),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def searched(search):
    fitted = search.fit(X, Y)
    scores = {name: value for name, value in fitted.cv_results_.items() if name.endswith("_score")}
    return [np.array([scores[name] for name in sorted(scores)]), fitted.predict_proba(X), fitted.best_params_]


def build_functional(meta):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, "relu")(inputs)
    outputs = keras.layers.Dense(3, "softmax")(keras.layers.Concatenate()([inputs, hidden]))
    return keras.Model(inputs, outputs)


def in_each_way(name):
    pipeline = make_pipeline(StandardScaler(), clone(NETWORK))
    routed = {f"densenetclassifier__{key}": value for key, value in RATES.items()}
    own = KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=3, random_state=1)
    images = ConvNetClassifier(
        image_shape=(2, 2), filters=2, kernel_size=2, pool_size=1, epochs=3, batch_size=16, random_state=0
    )
    sequences = RecurrentNetClassifier(units=2, filters=(), epochs=2, batch_size=16, random_state=0)
    two = np.stack([Y == 0, Y == 1], axis=1).astype(int)
    named = [("one", clone(NETWORK)), ("two", clone(NETWORK).set_params(l2=0.1)), ("plain", GaussianNB())]
    uses = {
        "GridSearchCV": lambda: searched(GridSearchCV(pipeline, routed, cv=3)),
        "RandomizedSearchCV": lambda: searched(RandomizedSearchCV(pipeline, routed, n_iter=2, cv=3, random_state=0)),
        "HalvingGridSearchCV": lambda: searched(HalvingGridSearchCV(pipeline, routed, cv=3, random_state=0)),
        "cross_validate": lambda: [cross_validate(clone(NETWORK), X, Y, cv=4, scoring="neg_log_loss")["test_score"]],
        "cross_val_predict": lambda: [cross_val_predict(clone(NETWORK), X, Y, cv=4, method="predict_proba")],
        "learning_curve": lambda: learning_curve(clone(NETWORK), X, Y, cv=3, shuffle=True, random_state=0),
        "validation_curve": lambda: validation_curve(
            clone(NETWORK), X, Y, param_name="l2", param_range=[1e-4, 1e-1], cv=3
        ),
        "BaggingClassifier": lambda: [
            BaggingClassifier(clone(NETWORK), n_estimators=5, random_state=0).fit(X, Y).predict_proba(X)
        ],
        "BaggingRegressor": lambda: [
            BaggingRegressor(DenseNetRegressor((6,), epochs=3, random_state=0), n_estimators=5, random_state=0)
            .fit(X, Y)
            .predict(X)
        ],
        "VotingClassifier": lambda: [VotingClassifier(named, voting="soft").fit(X, Y).predict_proba(X)],
        "StackingClassifier": lambda: [StackingClassifier(named, cv=3).fit(X, Y).predict_proba(X)],
        "OneVsRestClassifier": lambda: [OneVsRestClassifier(clone(NETWORK)).fit(X, Y).predict_proba(X)],
        "MultiOutputClassifier": lambda: MultiOutputClassifier(clone(NETWORK)).fit(X, two).predict_proba(X),
        "CalibratedClassifierCV": lambda: [CalibratedClassifierCV(clone(NETWORK), cv=3).fit(X, Y).predict_proba(X)],
        "nested": lambda: [cross_val_score(GridSearchCV(pipeline, routed, cv=2), X, Y, cv=3, scoring="neg_log_loss")],
        "KerasClassifier": lambda: searched(GridSearchCV(own, {"optimizer__learning_rate": [1e-3, 1e-2]}, cv=3)),
        "functional model": lambda: searched(
            GridSearchCV(
                clone(own).set_params(model=build_functional), {"optimizer__learning_rate": [1e-3, 1e-2]}, cv=3
            )
        ),
        "convolutions": lambda: [cross_val_score(images, X, Y, cv=3, scoring="neg_log_loss")],
        "recurrent": lambda: [cross_val_score(sequences, X, Y, cv=3, scoring="neg_log_loss")],
        "not ours": lambda: [cross_val_score(GaussianNB(), X, Y)],
    }
    return uses if name is None else uses[name]


@pytest.mark.parametrize("name", list(in_each_way(None)))
def test_everything_that_fits_many_gives_what_it_gives_without(name, way):
    alone = in_each_way(name)()
    with skneural.parallel_fits():
        together = in_each_way(name)()
    for one, other in zip(alone, together, strict=True):
        if isinstance(one, dict):
            assert one == other
        else:
            np.testing.assert_allclose(other, one, atol=1e-5)


def test_histories_and_epochs_are_those_of_separate_fits():
    network = clone(NETWORK).set_params(early_stopping=True, dropout=0.3, batch_normalization=True, epochs=12)
    models = [clone(network).set_params(random_state=seed, n_iter_no_change=2 + seed) for seed in range(6)]
    alone = [clone(model).fit(X[seed:], Y[seed:], np.linspace(1, 2, 150 - seed)) for seed, model in enumerate(models)]
    with skneural.parallel_fits():
        together = joblib.Parallel()(
            joblib.delayed(model.fit)(X[seed:], Y[seed:], np.linspace(1, 2, 150 - seed))
            for seed, model in enumerate(models)
        )
    for one, other in zip(alone, together, strict=True):
        assert other.n_iter_ == one.n_iter_
        assert other.best_epoch_ == one.best_epoch_
        for name, values in one.history_.items():
            np.testing.assert_allclose(other.history_[name], values, atol=1e-5)
        np.testing.assert_allclose(other.predict_proba(X), one.predict_proba(X), atol=1e-5)


CANDIDATES = st.fixed_dictionaries(
    {
        "learning_rate": st.sampled_from([1e-4, 1e-3, 1e-2]),
        "l2": st.sampled_from([1e-5, 1e-3, 1e-1]),
        "dropout": st.sampled_from([0.1, 0.5]),
        "epochs": st.integers(1, 5),
        "random_state": st.integers(0, 100),
        "class_weight": st.sampled_from([None, "balanced", {0: 1.0, 1: 2.0, 2: 0.5}]),
        "hidden_layer_sizes": st.sampled_from([(4,), (7,)]),
    }
)


@settings(max_examples=8, deadline=None)
@given(st.lists(CANDIDATES, min_size=2, max_size=5))
def test_any_candidates_give_what_they_give_alone(candidates):
    grid = [{name: [value] for name, value in candidate.items()} for candidate in candidates]
    alone = GridSearchCV(clone(NETWORK), grid, cv=3, scoring="neg_log_loss").fit(X, Y)
    with skneural.parallel_fits():
        together = GridSearchCV(clone(NETWORK), grid, cv=3, scoring="neg_log_loss").fit(X, Y)
    np.testing.assert_allclose(together.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], atol=1e-5)
    assert together.best_params_ == alone.best_params_


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_one_fit_that_fails_fails_alone(way):
    grid = {"learning_rate": [1e-3, 1e30, 1e-2], "optimizer": ["sgd"]}
    network = clone(NETWORK)
    with skneural.parallel_fits(), pytest.warns(FitFailedWarning, match="3 fits failed"):
        search = GridSearchCV(network, grid, cv=3, error_score=np.nan).fit(X, Y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, False]
    with skneural.parallel_fits(), pytest.raises(skneural.exceptions.TrainingDivergedError):
        GridSearchCV(network, grid, cv=3, error_score="raise").fit(X, Y)


def test_joblib_knows_the_backend_by_name():
    alone = cross_val_score(clone(NETWORK), X, Y)
    with joblib.parallel_config(backend="skneural"):
        np.testing.assert_allclose(cross_val_score(clone(NETWORK), X, Y), alone, atol=1e-6)


@pytest.mark.parametrize("value", [0, 1.5, "many", True])
def test_limits_must_be_counts(value):
    expected = re.escape(f"max_bytes must be an int in the range [1, inf). Got {value!r} instead.")
    with pytest.raises(ValueError, match=expected), skneural.parallel_fits(max_bytes=value):
        pass


def test_verbose_shows_networks_and_epochs_and_nothing_else_prints(way, capfd):
    with skneural.parallel_fits():
        cross_val_score(clone(NETWORK), X, Y, cv=3)
    assert "networks" not in capfd.readouterr().err
    with skneural.parallel_fits(verbose=1):
        cross_val_score(clone(NETWORK), X, Y, cv=3)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert re.search(r"networks 3/3 .* epochs 12/12 .*left", printed.err)


def test_networks_that_stop_early_or_go_through_keras_are_counted_to_their_end(capfd):
    stopping = clone(NETWORK).set_params(early_stopping=True, epochs=200, n_iter_no_change=1, learning_rate=0.1)
    eager = clone(NETWORK).set_params(compile__run_eagerly=True, epochs=2)
    with skneural.parallel_fits(verbose=1):
        cross_val_score(stopping, X, Y, cv=3)
        cross_val_score(eager, X, Y, cv=2)
    done, known = re.findall(r"epochs (\d+)/(\d+)", capfd.readouterr().err)[-1]
    assert done == known
    assert 4 < int(done) < 600


INTERRUPTED = """
import os, signal, sys, threading
import numpy as np
from sklearn.model_selection import cross_val_score
import skneural
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 5)), rng.integers(0, 2, 400)
network = skneural.DenseNetClassifier((5,), epochs=10**6, batch_size=32, batch_normalization=sys.argv[1] == "compiled")
# What starts the tests in the background may have told its children to ignore interruptions.
signal.signal(signal.SIGINT, signal.default_int_handler)
from skneural._parallel.scheduler import Task
advance, done = Task.advance, threading.Semaphore(0)
def counted(task, n_epochs=1):
    advance(task, n_epochs)
    done.release()
Task.advance = counted
def press():
    for _ in range(5):
        done.acquire()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=press).start()
try:
    with skneural.parallel_fits():
        cross_val_score(network, X, y, cv=6)
except KeyboardInterrupt:
    print("interrupted", [thread.name for thread in threading.enumerate() if thread.name.startswith("skneural")])
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["compiled", "native"])
def test_ctrl_c_ends_all_fits(engine):
    command = [sys.executable, "-c", INTERRUPTED, engine]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "interrupted []"


@pytest.mark.slow
def test_many_candidates_hold_a_few_copies_of_the_rows_only(way):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(2000, 200)), rng.integers(0, 2, 2000)
    candidates = {"learning_rate": list(np.geomspace(1e-4, 1e-2, 150))}
    network = DenseNetClassifier((4,), epochs=1, batch_size=256, random_state=0)
    folds = ShuffleSplit(1, test_size=0.5, random_state=0)
    network.fit(rows[:1000], labels[:1000])
    tracemalloc.start()
    try:
        with skneural.parallel_fits(max_bytes=2**24):
            search = GridSearchCV(network, candidates, cv=folds, refit=False).fit(rows, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert peak < 24 * rows[:1000].nbytes


class FitsAnother(keras.callbacks.Callback):
    """Trains a network of its own, and starts tasks that do, while its own network is in training."""

    def on_epoch_end(self, epoch, logs=None):
        DenseNetClassifier((3,), epochs=1, random_state=0).fit(X, Y)
        cross_validate(DenseNetClassifier((3,), epochs=1, random_state=0), X, Y, cv=2)


class WatchesBatches(keras.callbacks.Callback):
    """Brings training to Keras's own fit, which alone tells of batches and which only one thread may be in."""

    def on_train_batch_end(self, batch, logs=None):
        pass


class FitsAnotherWithinKeras(WatchesBatches, FitsAnother):
    """Does the same in Keras's own fit, and starts tasks that go there too."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        watched = DenseNetClassifier((3,), epochs=1, random_state=0, callbacks=WatchesBatches())
        cross_validate(watched, X, Y, cv=2)
        watched.fit(X, Y)


@pytest.mark.parametrize(("callback", "n_folds", "epochs"), [(FitsAnother, 8, 2), (FitsAnotherWithinKeras, 3, 1)])
def test_callbacks_that_train_networks_of_their_own_do_not_hang(way, callback, n_folds, epochs):
    scores = []

    def fit_many():
        network = DenseNetClassifier((4,), epochs=epochs, callbacks=callback(), random_state=0)
        with skneural.parallel_fits():
            scores.append(cross_validate(network, X, Y, cv=n_folds)["test_score"])

    fit_many()
    assert len(scores[0]) == n_folds
