"""Fused training: the same results under unchanged scikit-learn, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc

import joblib
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
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
from skneural._engine import _lane, _native_form, _together

X, Y = load_iris(return_X_y=True)
NETWORK = DenseNetClassifier((6,), epochs=4, batch_size=16, random_state=0)
RATES = {"learning_rate": [1e-3, 1e-2]}


@pytest.fixture(params=["stacked", "in threads", "native"])
def way(request, monkeypatch):
    """Each way of training together, whatever would be faster for these small data."""
    if request.param != "native":
        monkeypatch.setattr(_native_form, "_native", None)
    monkeypatch.setattr(_together, "COMPILE_SECONDS", -1.0 if request.param == "stacked" else 1e9)
    return request.param


@pytest.fixture
def lanes(monkeypatch):
    """Let networks be stacked, and count those that each pass of a lane takes along."""
    monkeypatch.setattr(_native_form, "_native", None)
    counts = []
    run_epoch = _lane.Lane.run_epoch

    def counted(self):
        counts.append(len(self.jobs))
        return run_epoch(self)

    monkeypatch.setattr(_together, "COMPILE_SECONDS", -1.0)
    monkeypatch.setattr(_lane.Lane, "run_epoch", counted)
    return counts


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
    images = ConvNetClassifier((2, 2), filters=2, kernel_size=2, pool_size=1, epochs=3, batch_size=16, random_state=0)
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
    with skneural.fused_training():
        together = in_each_way(name)()
    for one, other in zip(alone, together, strict=True):
        if isinstance(one, dict):
            assert one == other
        else:
            np.testing.assert_allclose(other, one, atol=1e-5)


def test_fits_that_share_a_program_are_stacked(lanes):
    with skneural.fused_training(max_models=8):
        GridSearchCV(clone(NETWORK), RATES, cv=4, refit=False).fit(X, Y)
    assert max(lanes) > 1
    assert sum(lanes) == 2 * 4 * NETWORK.epochs


def test_stopped_networks_leave_their_slots_and_others_take_them(lanes):
    network = clone(NETWORK).set_params(early_stopping=True, epochs=30, n_iter_no_change=2, learning_rate=0.02)
    grid = {"l2": [1e-4, 1e-3], "random_state": [0, 1], "learning_rate": [1e-4, 0.02, 0.1]}
    alone = GridSearchCV(network, grid, cv=3).fit(X, Y)
    with skneural.fused_training(max_models=36):
        together = GridSearchCV(network, grid, cv=3).fit(X, Y)
    np.testing.assert_allclose(together.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], atol=1e-6)
    assert together.best_params_ == alone.best_params_
    assert together.best_estimator_.n_iter_ == alone.best_estimator_.n_iter_
    assert len(set(lanes)) > 1


def test_histories_and_epochs_are_those_of_separate_fits(lanes):
    network = clone(NETWORK).set_params(early_stopping=True, dropout=0.3, batch_normalization=True, epochs=12)
    models = [clone(network).set_params(random_state=seed, n_iter_no_change=2 + seed) for seed in range(6)]
    alone = [clone(model).fit(X[seed:], Y[seed:], np.linspace(1, 2, 150 - seed)) for seed, model in enumerate(models)]
    with skneural.fused_training():
        together = joblib.Parallel()(
            joblib.delayed(model.fit)(X[seed:], Y[seed:], np.linspace(1, 2, 150 - seed))
            for seed, model in enumerate(models)
        )
    assert max(lanes) > 1
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


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CANDIDATES, min_size=2, max_size=5))
def test_any_candidates_give_what_they_give_alone(lanes, candidates):
    grid = [{name: [value] for name, value in candidate.items()} for candidate in candidates]
    alone = GridSearchCV(clone(NETWORK), grid, cv=3, scoring="neg_log_loss").fit(X, Y)
    with skneural.fused_training():
        together = GridSearchCV(clone(NETWORK), grid, cv=3, scoring="neg_log_loss").fit(X, Y)
    np.testing.assert_allclose(together.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], atol=1e-5)
    assert together.best_params_ == alone.best_params_


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_one_fit_that_fails_fails_alone(way):
    grid = {"learning_rate": [1e-3, 1e30, 1e-2], "optimizer": ["sgd"]}
    network = clone(NETWORK)
    with skneural.fused_training(), pytest.warns(FitFailedWarning, match="3 fits failed"):
        search = GridSearchCV(network, grid, cv=3, error_score=np.nan).fit(X, Y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, False]
    with skneural.fused_training(), pytest.raises(skneural.exceptions.TrainingDivergedError):
        GridSearchCV(network, grid, cv=3, error_score="raise").fit(X, Y)


def test_a_stack_that_cannot_be_run_is_trained_one_by_one(lanes, monkeypatch):
    alone = cross_val_score(clone(NETWORK), X, Y, cv=6, scoring="neg_log_loss")

    def refuse(self, state):
        raise RuntimeError("XLA refuses")

    monkeypatch.setattr(_lane._StackedPass, "run", refuse)
    with skneural.fused_training():
        together = cross_val_score(clone(NETWORK), X, Y, cv=6, scoring="neg_log_loss")
    assert lanes
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_joblib_knows_the_backend_by_name():
    alone = cross_val_score(clone(NETWORK), X, Y)
    with joblib.parallel_config(backend="skneural"):
        np.testing.assert_allclose(cross_val_score(clone(NETWORK), X, Y), alone, atol=1e-6)


@pytest.mark.parametrize("name", ["max_models", "max_bytes"])
@pytest.mark.parametrize("value", [0, 1.5, "many", True])
def test_limits_must_be_counts(name, value):
    expected = re.escape(f"{name} must be an int in the range [1, inf). Got {value!r} instead.")
    with pytest.raises(ValueError, match=expected), skneural.fused_training(**{name: value}):
        pass


def test_a_budget_of_memory_cuts_what_is_trained_together(lanes):
    """Sixteen networks that wait with 150 rows each, where the budget has room for the rows of four."""
    grid = {"random_state": list(range(4)), "learning_rate": [1e-3, 1e-2]}
    with skneural.fused_training():
        unbounded = GridSearchCV(clone(NETWORK), grid, cv=2, refit=False).fit(X, Y)
    widest, n_lanes = max(lanes), 16 // max(lanes)
    lanes.clear()
    n_bytes = 75 * 4 * (8 + 4)
    with skneural.fused_training(max_bytes=4 * n_bytes):
        bounded = GridSearchCV(clone(NETWORK), grid, cv=2, refit=False).fit(X, Y)
    assert widest * n_lanes == 16
    assert max(lanes, default=1) * n_lanes <= 4
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(bounded.cv_results_[name], unbounded.cv_results_[name], atol=1e-6)


def test_networks_of_small_images_are_stacked_with_their_random_maps(lanes, caplog):
    images = ConvNetClassifier((2, 2), filters=2, kernel_size=2, pool_size=1, epochs=3, batch_size=16, random_state=0)
    with caplog.at_level("INFO", logger="skneural"), skneural.fused_training():
        cross_val_score(images, X, Y, cv=4)
    assert max(lanes) > 1
    assert not caplog.text


def test_where_stacking_fails_every_network_is_trained_all_the_same(lanes, monkeypatch, caplog):
    """Also those that wait for a slot when the first ones fail."""
    grid = {"random_state": list(range(4)), "learning_rate": [1e-3, 1e-2]}
    alone = GridSearchCV(clone(NETWORK), grid, cv=3, refit=False).fit(X, Y)

    def fail(self):
        lanes.append(len(self.jobs))
        raise RuntimeError("no such program")

    monkeypatch.setattr(_lane.Lane, "run_epoch", fail)
    monkeypatch.setattr(_together, "MAX_SLOTS", 2)
    with caplog.at_level("INFO", logger="skneural"), skneural.fused_training():
        together = GridSearchCV(clone(NETWORK), grid, cv=3, refit=False).fit(X, Y)
    assert lanes
    assert "Networks go on one by one, since training them stacked failed: no such program." in caplog.text
    np.testing.assert_allclose(together.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], atol=1e-6)


def test_verbose_shows_networks_and_epochs_and_nothing_else_prints(way, capfd):
    with skneural.fused_training():
        cross_val_score(clone(NETWORK), X, Y, cv=3)
    assert "networks" not in capfd.readouterr().err
    with skneural.fused_training(verbose=1):
        cross_val_score(clone(NETWORK), X, Y, cv=3)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert re.search(r"networks 3/3 .* epochs 12/12 .*left", printed.err)


def test_networks_that_stop_early_or_go_through_keras_are_counted_to_their_end(capfd):
    stopping = clone(NETWORK).set_params(early_stopping=True, epochs=200, n_iter_no_change=1, learning_rate=0.1)
    eager = clone(NETWORK).set_params(compile__run_eagerly=True, epochs=2)
    with skneural.fused_training(verbose=1):
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
from skneural._engine import _together
_together.COMPILE_SECONDS = float(sys.argv[1])
rng = np.random.default_rng(0)
X, y = rng.normal(size=(400, 5)), rng.integers(0, 2, 400)
network = skneural.DenseNetClassifier((5,), epochs=10**6, batch_size=32)
# What starts the tests in the background may have told its children to ignore interruptions.
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(6, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    with skneural.fused_training():
        cross_val_score(network, X, y, cv=6)
except KeyboardInterrupt:
    print("interrupted", [thread.name for thread in threading.enumerate() if thread.name.startswith("skneural")])
"""


@pytest.mark.slow
@pytest.mark.parametrize("compile_seconds", [-1, 1e9])
def test_ctrl_c_ends_all_fits(compile_seconds):
    command = [sys.executable, "-c", INTERRUPTED, str(compile_seconds)]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=dict(os.environ))
    assert done.stdout.strip() == "interrupted []"
    assert time.monotonic() - started < 100


@pytest.mark.slow
def test_five_hundred_candidates_hold_a_few_copies_of_the_rows_only(way):
    rng = np.random.default_rng(0)
    rows, labels = rng.normal(size=(2000, 200)), rng.integers(0, 2, 2000)
    candidates = {"learning_rate": list(np.geomspace(1e-4, 1e-2, 500))}
    network = DenseNetClassifier((4,), epochs=1, batch_size=256, random_state=0)
    folds = ShuffleSplit(1, test_size=0.5, random_state=0)
    network.fit(rows[:1000], labels[:1000])
    tracemalloc.start()
    try:
        with skneural.fused_training(max_bytes=2**24):
            search = GridSearchCV(network, candidates, cv=folds, refit=False).fit(rows, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    # Rows that wait take 16 MB, those in the slots of a stack as much again; beside them are the rows to be scored.
    n_copies = 24 if way == "in threads" else 64
    assert peak < n_copies * rows[:1000].nbytes


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
        with skneural.fused_training():
            scores.append(cross_validate(network, X, Y, cv=n_folds)["test_score"])

    thread = threading.Thread(target=fit_many, daemon=True)
    thread.start()
    thread.join(240)
    assert not thread.is_alive()
    assert len(scores[0]) == n_folds
