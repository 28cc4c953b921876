"""Contract: in all families and with all runners a fit that was stopped goes on, and ends at the same bits."""

from __future__ import annotations

import datetime
import os
import pickle
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skneural import (
    Autoencoder,
    ConvNetClassifier,
    DeepEmbeddedClustering,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    NeighborEmbedding,
    RecurrentNetRegressor,
    Seq2SeqTranslator,
    TabularNetClassifier,
    load,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
LABELS = np.where(X[:, 0] > X[:, 1], "one", "other")
VALUES = X @ [1.0, 2.0, 3.0]
IMAGES, SEQUENCES = RNG.random((24, 8, 8)), RNG.normal(size=(24, 6, 2))
SHORT = {"epochs": 4, "random_state": 0}


def build_plain(meta):
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dropout(0.3)]
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2, activation="softmax")])


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def build_with_own_step(meta):
    inputs = keras.Input((3,))
    hidden = keras.layers.Dropout(0.3)(keras.layers.Dense(4, activation="tanh")(inputs))
    return OwnStep(inputs, keras.layers.Dense(1)(hidden))


OF_KERAS = {"loss": "mse", "optimizer": "adam", **SHORT}
FITS = {
    "native": (
        DenseNetClassifier((4,), dropout=0.3, learning_rate_schedule="cosine", early_stopping=True, **SHORT),
        X,
        LABELS,
    ),
    "patience": (DenseNetRegressor((4,), early_stopping=True, n_iter_no_change=2, tol=10.0, **SHORT), X, VALUES),
    "programs": (DenseNetClassifier((4,), batch_normalization=True, dropout=0.3, **SHORT), X, LABELS),
    "conv": (ConvNetClassifier(filters=(4,), dropout=0.3, **SHORT), IMAGES, np.arange(24) % 2),
    "recurrent": (RecurrentNetRegressor(units=(4,), **SHORT), SEQUENCES, np.arange(24.0)),
    "members": (TabularNetClassifier((4,), n_members=2, dropout=0.3, **SHORT), X, LABELS),
    "autoencoder": (Autoencoder(2, hidden_layer_sizes=(4,), noise=0.1, **SHORT), X, None),
    "embedding": (NeighborEmbedding(n_neighbors=5, hidden_layer_sizes=(4,), **SHORT), X, None),
    "clusters": (DeepEmbeddedClustering(2, hidden_layer_sizes=(4,), **SHORT), X, None),
    "idec": (DeepEmbeddedClustering(2, method="idec", hidden_layer_sizes=(4,), **SHORT), X, None),
    "model": (KerasClassifier(build_plain, **OF_KERAS | {"loss": "sparse_categorical_crossentropy"}), X, LABELS),
    "Keras's fit": (KerasRegressor(build_with_own_step, **OF_KERAS), X, VALUES),
    "schedule in Keras's fit": (
        DenseNetRegressor((4,), learning_rate_schedule="linear", dropout=0.3, compile__run_eagerly=True, **SHORT),
        X,
        VALUES,
    ),
}
WAYS = {"native": "native", "programs": "compiled", "Keras's fit": "keras", "schedule in Keras's fit": "keras"}
quiet = pytest.mark.filterwarnings("ignore:The clusters:sklearn.exceptions.ConvergenceWarning")


class StopsIn(keras.callbacks.Callback):
    """Ends a fit by an error in an epoch, as a kill does."""

    def __init__(self, epoch=None):
        super().__init__()
        self.last, self.begun = epoch, []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)
        if epoch == self.last:
            raise RuntimeError("killed")


def fitted(estimator, rows, target, **parameters):
    estimator = clone(estimator).set_params(**parameters)
    return estimator.fit(rows) if target is None else estimator.fit(rows, target)


def states_of(estimator):
    states = estimator._network.state
    return [
        array
        for state in (states if isinstance(states, tuple) else [states])
        for array in state.variables + state.optimizer
    ]


def assert_equal_fits(one, other):
    assert one.history_ == other.history_
    assert one.engine_ == other.engine_
    assert getattr(one, "best_epoch_", None) == getattr(other, "best_epoch_", None)
    for array, same in zip(states_of(one), states_of(other), strict=True):
        np.testing.assert_array_equal(array, same)


@quiet
@pytest.mark.parametrize("name", FITS)
def test_a_fit_goes_on_and_ends_at_the_same_bits(name, tmp_path):
    estimator, rows, target = FITS[name]
    whole = fitted(estimator, rows, target)
    assert whole.engine_ == WAYS.get(name, whole.engine_)
    n_epochs = len(whole.history_["loss"])
    # Each time one epoch further, so that the end has gone through every moment between two epochs.
    for epoch in range(1, n_epochs):
        with pytest.raises(RuntimeError, match="killed"):
            fitted(estimator, rows, target, checkpoint=tmp_path, callbacks=StopsIn(epoch))
    watcher = StopsIn()
    again = fitted(estimator, rows, target, checkpoint=tmp_path, callbacks=watcher)
    assert watcher.begun == [n_epochs - 1]
    assert_equal_fits(again, whole)
    # What has ended comes back at once.
    watcher.begun.clear()
    assert_equal_fits(fitted(estimator, rows, target, checkpoint=tmp_path, callbacks=watcher), whole)
    assert not watcher.begun


@quiet
@pytest.mark.parametrize(("method", "parts"), [("idec", ["autoencoder"]), ("n2d", ["autoencoder", "embedding"])])
def test_what_is_trained_first_is_kept_in_a_part_of_the_folder(method, parts, tmp_path):
    estimator = DeepEmbeddedClustering(2, method=method, hidden_layer_sizes=(4,), **SHORT)
    once, again = (clone(estimator).set_params(checkpoint=tmp_path).fit(X) for _ in range(2))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == parts
    for found in (once, again):
        np.testing.assert_array_equal(found.predict_proba(X), clone(estimator).fit(X).predict_proba(X))


@pytest.mark.parametrize("name", ["native", "Keras's fit"])
def test_it_is_kept_every_so_many_epochs(name, tmp_path):
    estimator, rows, target = FITS[name]
    kept = {"checkpoint": tmp_path, "checkpoint_every": 2, "epochs": 6}
    with pytest.raises(RuntimeError, match="killed"):
        fitted(estimator, rows, target, callbacks=StopsIn(5), **kept)
    watcher = StopsIn()
    again = fitted(estimator, rows, target, callbacks=watcher, **kept)
    assert watcher.begun == [4, 5]
    assert_equal_fits(again, fitted(estimator, rows, target, epochs=6))


class TakesItsTime(StopsIn):
    """Lets an epoch take 40 seconds, by a clock of its own."""

    now = 0.0

    def on_epoch_end(self, epoch, logs=None):
        self.now += 40.0


@pytest.mark.parametrize(
    ("name", "every", "first"),
    [
        ("native", datetime.timedelta(0), 5),
        ("native", "1min", 4),
        ("native", pd.Timedelta("90s"), 3),
        ("native", "365 days", 0),
        ("programs", "1min", 4),
        ("Keras's fit", "1min", 4),
    ],
)
def test_it_is_kept_in_the_epoch_in_which_a_span_of_time_has_passed(name, every, first, tmp_path, monkeypatch):
    estimator, rows, target = FITS[name]
    slow = TakesItsTime(5)
    monkeypatch.setattr("skneural._engine.loop.job.monotonic", lambda: slow.now)
    kept = {"checkpoint": tmp_path, "checkpoint_every": every, "epochs": 6}
    with pytest.raises(RuntimeError, match="killed"):
        fitted(estimator, rows, target, callbacks=slow, **kept)
    watcher = StopsIn()
    again = fitted(estimator, rows, target, callbacks=watcher, **kept)
    assert watcher.begun == list(range(first, 6))
    assert_equal_fits(again, fitted(estimator, rows, target, epochs=6))


@pytest.mark.parametrize("every", [datetime.timedelta(seconds=1.5), pd.Timedelta("1h"), "1h"], ids=repr)
@pytest.mark.parametrize("estimator", [DenseNetClassifier((3,)), KerasRegressor(), Seq2SeqTranslator()], ids=type)
def test_a_span_of_time_goes_where_the_estimator_goes(estimator, every, tmp_path):
    kept = clone(estimator).set_params(checkpoint_every=every)
    kept.save(tmp_path / "kept.skn")
    for one in (clone(kept), pickle.loads(pickle.dumps(kept)), load(tmp_path / "kept.skn")):
        assert repr(one.checkpoint_every) == repr(every)


@pytest.mark.parametrize(
    "every", ["5", "soon", "NaT", pd.NaT, "-1min", datetime.timedelta(-1), 2.0, 0, True, None], ids=repr
)
def test_what_is_no_span_of_time_is_told_of(every, tmp_path):
    with pytest.raises((ValueError, TypeError), match=r"'checkpoint_every' parameter of \w+ must be an? .*"):
        KerasRegressor(build_plain, checkpoint=tmp_path, checkpoint_every=every, random_state=0).fit(X, VALUES)
    with pytest.raises((ValueError, TypeError), match=r"'checkpoint_every' parameter of \w+ must be an? .*"):
        DenseNetRegressor((3,), checkpoint=tmp_path, checkpoint_every=every, random_state=0).fit(X, VALUES)


@pytest.mark.parametrize("build", [build_plain, build_with_own_step])
def test_keras_s_own_callbacks_go_on_with_what_they_knew(build, tmp_path):
    def stops():
        return keras.callbacks.EarlyStopping("loss", patience=2, min_delta=10.0, restore_best_weights=True)

    estimator, target = KerasRegressor(build, loss="mse"), VALUES
    if build is build_plain:
        estimator, target = KerasClassifier(build, loss="sparse_categorical_crossentropy"), LABELS
    estimator.set_params(epochs=9, random_state=0)
    whole = fitted(estimator, X, target, callbacks=[stops()])
    assert whole.n_iter_ == 3
    with pytest.raises(RuntimeError, match="killed"):
        fitted(estimator, X, target, checkpoint=tmp_path, callbacks=[stops(), StopsIn(2)])
    assert_equal_fits(fitted(estimator, X, target, checkpoint=tmp_path, callbacks=[stops()]), whole)


def other_activation(x):
    return keras.ops.tanh(x)


@pytest.mark.parametrize(
    "other",
    [
        {"learning_rate": 0.5},
        {"random_state": 1},
        {"epochs": 5},
        {"loss": keras.losses.Huber(delta=0.5)},
        {"activation": other_activation},
        {"metrics": ["mae"]},
        {"early_stopping": True},
    ],
    ids=lambda other: next(iter(other)),
)
def test_other_parameters_are_refused(other, tmp_path):
    estimator = DenseNetRegressor(
        (3,), loss=keras.losses.Huber(delta=1.5), epochs=1, random_state=0, checkpoint=tmp_path
    )
    estimator.fit(X, VALUES)
    with pytest.raises(ValueError, match="is of a fit on other data or with other parameters"):
        clone(estimator).set_params(**other).fit(X, VALUES)
    clone(estimator).set_params(verbose=0, checkpoint_every=3).fit(X, VALUES)


def test_other_data_are_refused(tmp_path):
    estimator = DenseNetClassifier((3,), epochs=1, random_state=0, checkpoint=tmp_path).fit(X, LABELS)
    moved = X.copy()
    moved[7, 2] += 1e-9
    for rows, labels, weights in ((moved, LABELS, None), (X, LABELS[::-1], None), (X, LABELS, np.arange(60))):
        with pytest.raises(ValueError, match="is of a fit on other data or with other parameters"):
            clone(estimator).fit(rows, labels, sample_weight=weights)


def test_each_fit_may_have_a_folder_of_its_own(tmp_path):
    estimator = DenseNetClassifier((3,), epochs=2, random_state=0, checkpoint=f"{tmp_path}/{{fit}}")
    one = clone(estimator).fit(X, LABELS)
    other = clone(estimator).set_params(learning_rate=0.1).fit(X, LABELS)
    assert len(list(tmp_path.iterdir())) == 2
    watcher = StopsIn()
    assert_equal_fits(clone(one).set_params(callbacks=watcher).fit(X, LABELS), one)
    assert_equal_fits(clone(other).fit(X, LABELS), other)
    assert not watcher.begun


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"checkpoint": "folder"}, "'checkpoint' parameter of KerasRegressor needs a fit that is the same each time"),
        ({"checkpoint": 3, "random_state": 0}, "'checkpoint' parameter of KerasRegressor must be the name of a folder"),
        (
            {"checkpoint": "a", "random_state": 0, "checkpoint_every": 0},
            "'checkpoint_every' parameter of KerasRegressor",
        ),
    ],
)
def test_parameters_that_cannot_be_are_told_of(parameters, said):
    with pytest.raises((ValueError, TypeError), match=said):
        KerasRegressor(build_with_own_step, loss="mse", **parameters).fit(X, VALUES)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_resumed_fits import FITS, X, fitted, states_of
estimator, rows, target = FITS[sys.argv[3]]
done = fitted(estimator, np.tile(rows, (50, 1)), np.tile(target, 50), checkpoint=sys.argv[2], epochs=300)
np.savez(sys.argv[2] + "/weights.npz", *states_of(done))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as there are on POSIX")
@pytest.mark.parametrize("name", ["native", "Keras's fit"])
def test_a_fit_that_is_killed_again_and_again_ends_at_the_same_bits(name, tmp_path):
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), str(tmp_path), name]
    file = tmp_path / "checkpoint.npz"
    for n_seen in (1, 3):
        process = subprocess.Popen(command, cwd=os.path.dirname(os.path.dirname(__file__)))
        seen = {file.stat().st_mtime_ns} if file.exists() else set()
        while len(seen) <= n_seen:
            assert process.poll() is None
            if file.exists():
                seen.add(file.stat().st_mtime_ns)
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "weights.npz").exists()
    subprocess.run(command, check=True, cwd=os.path.dirname(os.path.dirname(__file__)))
    estimator, rows, target = FITS[name]
    whole = fitted(estimator, np.tile(rows, (50, 1)), np.tile(target, 50), epochs=300)
    found = np.load(tmp_path / "weights.npz")
    for array, same in zip((found[key] for key in found.files), states_of(whole), strict=True):
        np.testing.assert_array_equal(array, same)
