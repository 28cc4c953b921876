"""Compilation: which fits share a program, how many epochs a call takes, and that neither changes a result."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
from conftest import dense_blueprint
from sklearn.datasets import load_iris
from tensorflow.python.framework.func_graph import FuncGraph

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier
from skneural._engine import EarlyStopping, Network, Settings, clear_kept, fit, kept_sizes
from skneural._engine.cache import Store
from skneural._engine.data.feeding import Rows
from skneural._engine.loop import pace as _pace
from skneural._engine.xla import runs as _run_programs
from skneural._engine.xla.program import Program, traces

X, Y = load_iris(return_X_y=True)


@pytest.fixture
def calls(monkeypatch):
    """How many epochs each call of a program of several epochs took."""
    taken = []
    call = Program.__call__

    def counted(self, inputs):
        if "n_epochs" in inputs and inputs["n_epochs"] > 0:
            taken.append(int(inputs["n_epochs"]))
        return call(self, inputs)

    monkeypatch.setattr(Program, "__call__", counted)
    return taken


def n_traces_of(work):
    before = traces.n_traces
    work()
    return traces.n_traces - before


REGULAR = {"dropout": 0.1, "early_stopping": True, "optimizer": "adamw", "optimizer__weight_decay": 1e-3}


@pytest.mark.parametrize("parameters", [{}, REGULAR], ids=["plain", "regular"])
def test_a_later_fit_of_the_same_architecture_traces_nothing(parameters):
    def fitted(n_rows, **changes):
        network = DenseNetClassifier((7, 5), epochs=3, batch_size=8).set_params(**parameters).set_params(**changes)
        return network.fit(X[:n_rows], Y[:n_rows]).predict(X[:n_rows])

    fitted(149, random_state=0)
    numbers = {"learning_rate": 0.02, "l2": 0.3, "random_state": 9, "epochs": 4, "class_weight": None}
    if parameters:
        numbers |= {"dropout": 0.4, "optimizer__weight_decay": 0.1, "n_iter_no_change": 2, "tol": 0.1}
    assert n_traces_of(lambda: fitted(149, **numbers)) == 0
    assert n_traces_of(lambda: fitted(140)) == 0
    fitted(149, class_weight={0: 1.0, 1: 2.0, 2: 3.0})
    assert n_traces_of(lambda: fitted(131, class_weight={0: 5.0, 1: 1.0, 2: 2.0}, l2=0.1)) == 0


def test_a_fit_traces_one_program_and_another_architecture_one_more():
    regressor = DenseNetRegressor((9, 4), epochs=2, batch_size=8)
    assert n_traces_of(lambda: regressor.fit(X[:, :3], X[:, 3])) == 1
    # Without the native engine a program predicts.
    assert n_traces_of(lambda: regressor.predict(X[:, :3])) == 1
    assert n_traces_of(lambda: regressor.set_params(hidden_layer_sizes=(9, 5)).fit(X[:, :3], X[:, 3])) == 1


@pytest.mark.parametrize("parameters", [{"l2": 0.1}, {"activation": "silu"}], ids=["l2", "silu"])
def test_a_dropped_program_leaves_no_graph_behind(monkeypatch, parameters):
    """Both have functions with gradients of their own, which TensorFlow keeps with their graphs once traced."""
    monkeypatch.setattr(_run_programs, "_programs", Store(1))

    def graphs_of_fit(width):
        before = {id(one) for one in gc.get_objects() if isinstance(one, FuncGraph)}
        DenseNetClassifier((width,), epochs=1, **parameters).fit(X, Y)
        return [weakref.ref(one) for one in gc.get_objects() if isinstance(one, FuncGraph) and id(one) not in before]

    graphs = graphs_of_fit(21)
    assert any(graph() is not None for graph in graphs)
    graphs_of_fit(22)
    gc.collect()
    assert all(graph() is None for graph in graphs)


def test_models_of_a_users_function_share_a_program():
    def build(meta):
        layers = [keras.layers.Dense(6, activation="tanh"), keras.layers.Dense(3, activation="softmax")]
        return keras.Sequential([keras.Input((meta["n_features_in_"],)), *layers])

    own = KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=2, batch_size=16)
    own.fit(X, Y)
    assert n_traces_of(lambda: own.set_params(optimizer__learning_rate=0.1, random_state=3).fit(X[:140], Y[:140])) == 0


def test_many_epochs_take_few_calls(three_blobs, calls):
    network = Network.from_blueprint(dense_blueprint((11,)), 0)
    fit(network, three_blobs, None, Settings(epochs=30, batch_size=16, seed=0))
    assert sum(calls) == 30
    assert len(calls) < 10


def test_early_stopping_trains_no_epoch_beyond_its_last(three_blobs, calls):
    network = Network.from_blueprint(dense_blueprint((12,), learning_rate=0.05), 0)
    rule = EarlyStopping("val_loss", patience=4, min_delta=1e-4)
    result = fit(network, three_blobs, three_blobs, Settings(epochs=300, batch_size=16, seed=0, early_stopping=rule))
    assert result.stopped_by == "early_stopping"
    assert sum(calls) == result.n_epochs
    assert len(calls) < result.n_epochs


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["one epoch a call", "all that fit"])
@pytest.mark.parametrize("is_judged", [False, True], ids=["alone", "with validation"])
def test_how_many_epochs_a_call_takes_changes_nothing(three_blobs, monkeypatch, seconds, is_judged):
    """Against the passes of a fit that somebody watches, one call each."""

    def trained(**hooks):
        network = Network.from_blueprint(dense_blueprint((10,), dropout=0.2, l2=1e-3), 4)
        rule = EarlyStopping("val_loss", patience=3, min_delta=0.0) if is_judged else None
        settings = Settings(epochs=25, batch_size=16, seed=5, early_stopping=rule, **hooks)
        return network, fit(network, three_blobs, three_blobs if is_judged else None, settings)

    monkeypatch.setattr(_pace, "_SECONDS_PER_CALL", seconds)
    network, result = trained()
    watched, expected = trained(on_epoch_end=lambda epoch, logs: False)
    assert result.n_epochs == expected.n_epochs
    assert result.best_epoch == expected.best_epoch
    for name, values in expected.history.items():
        np.testing.assert_allclose(result.history[name], values, rtol=2e-5, atol=1e-6)
    for value, wanted in zip(network.state.variables, watched.state.variables, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)
    for value, wanted in zip(network.state.optimizer, watched.state.optimizer, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-5)


def test_kept_programs_are_bounded(monkeypatch):
    kept = Store(2)
    monkeypatch.setattr(_run_programs, "_programs", kept)
    for width in (2, 3, 4):
        DenseNetClassifier((width,), epochs=1).fit(X, Y)
    assert len(kept) == 2
    assert n_traces_of(lambda: DenseNetClassifier((4,), epochs=1).fit(X, Y)) == 0
    assert n_traces_of(lambda: DenseNetClassifier((2,), epochs=1).fit(X, Y)) == 1


def test_the_rows_of_a_search_and_of_its_refit_share_a_room():
    network = DenseNetClassifier((13,), epochs=1, batch_size=32)
    wide, labels = np.tile(X, (10, 1)), np.tile(Y, 10)
    network.fit(wide[:1200], labels[:1200])
    assert n_traces_of(lambda: network.fit(wide, labels)) == 0


def test_values_are_dropped_several_at_once_and_then_what_follows_is_done():
    drops = []
    kept = Store(4, n_at_once=3, after_drop=lambda: drops.append(len(kept)))
    for key in range(5):
        assert kept.get(key, lambda key=key: -key) == -key
    assert drops == [2]
    assert [key in kept for key in range(5)] == [False, False, False, True, True]


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"callbacks": keras.callbacks.TerminateOnNaN}])
def test_a_fit_lets_go_of_its_rows_at_once(parameters):
    """Not only when Python's garbage collector comes by, which counts objects, not what they hold."""
    network = DenseNetClassifier((7,), epochs=2, random_state=0).set_params(**parameters)
    network.fit(X, Y)
    gc.collect()
    gc.disable()
    try:
        network.fit(X, Y)
        held = [one for one in gc.get_objects() if isinstance(one, Rows)]
    finally:
        gc.enable()
    assert not held


PROCESS = """
import sys
from sklearn.datasets import load_iris
from skneural import DenseNetClassifier, RecurrentNetClassifier
X, y = load_iris(return_X_y=True)
for size in map(int, sys.argv[1:]):
    dense = DenseNetClassifier((size,), epochs=2, batch_normalization=True, random_state=0).fit(X, y)
    recurrent = RecurrentNetClassifier(cell="gru", units=size, filters=(), epochs=1, random_state=0).fit(X, y)
print(dense.predict_proba(X).tolist(), recurrent.predict_proba(X).tolist())
"""


@pytest.mark.slow
def test_a_process_finds_the_programs_of_an_earlier_one(tmp_path):
    flags = f"{os.environ.get('TF_XLA_FLAGS', '')} --tf_xla_persistent_cache_directory={tmp_path}"
    environment = os.environ | {"TF_XLA_FLAGS": flags.strip()}

    def kept_after(*sizes):
        command = [sys.executable, "-c", PROCESS, *map(str, sizes)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        return done.stdout, {file.name for file in tmp_path.iterdir()}

    first, kept = kept_after(4)
    assert len(kept) == 2
    # Whatever the process has traced before.
    again, kept_later = kept_after(5, 4)
    assert again == first
    assert len(kept_later - kept) == 2


def test_all_that_is_kept_can_be_counted_and_cleared():
    def fitted():
        return DenseNetClassifier((9,), epochs=1, random_state=0).fit(X, Y).predict_proba(X)

    before = fitted()
    sizes = kept_sizes()
    assert all(
        0 < size <= most for name, (size, most) in sizes.items() if name in ("templates", "programs that predict")
    )
    clear_kept()
    assert all(size == 0 for size, _ in kept_sizes().values())
    # One program trains, and one predicts.
    assert n_traces_of(lambda: np.testing.assert_array_equal(fitted(), before)) == 2
