"""Each way of training gives the same: compiled on resident rows, compiled part after part, and Keras's own fit."""

from __future__ import annotations

import gc
import logging

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import dense_blueprint
from scipy import sparse

from skneural._engine import Data, Network, Settings, fit, predict
from skneural._engine.data import feeding as _feeding
from skneural._engine.model.template import build_model


def trained(make_model, data, **changes):
    keras.utils.set_random_seed(0)
    network = Network.from_model(make_model())
    return network, fit(network, data, None, Settings(**{"epochs": 3, "batch_size": 16, "seed": 5} | changes))


def assert_same(one, other, rtol=1e-4):
    (network, result), (other_network, other_result) = one, other
    assert list(result.history) == list(other_result.history)
    for name, values in other_result.history.items():
        np.testing.assert_allclose(result.history[name], values, rtol=rtol, atol=1e-6, err_msg=name)
    for value, expected in zip(network.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=rtol, atol=1e-5)


def dense():
    return build_model(dense_blueprint((6,)))


# --- what cannot be compiled ----------------------------------------------------------------------------------------


class CountsBatches(keras.callbacks.Callback):
    n_batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.n_batches += 1


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class OnlyInPython(keras.layers.Layer):
    """XLA has no operation for a function of Python."""

    def __init__(self, **keywords):
        super().__init__(**keywords)
        self.supports_jit = False

    def call(self, inputs):
        outputs = tf.numpy_function(np.abs, [inputs], tf.float32)
        outputs.set_shape(inputs.shape)
        return outputs


def with_own_step():
    return compiled(OwnStep(dense().layers))


def with_python_inside():
    return compiled(keras.Sequential([keras.Input((8,)), OnlyInPython(), *dense().layers]))


def run_eagerly():
    return compiled(dense(), run_eagerly=True)


def compiled(model, **arguments):
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **arguments)
    return model


@pytest.mark.parametrize(
    ("make_model", "callbacks", "reason"),
    [
        (dense, [CountsBatches], "the callback CountsBatches acts on every batch"),
        (run_eagerly, [], "run_eagerly=True"),
        (with_own_step, [], "the model's class OwnStep is not Keras's own"),
        (with_python_inside, [], "UnimplementedError|InvalidArgumentError"),
    ],
    ids=["batch callback", "run_eagerly", "train_step", "XLA refuses"],
)
def test_what_cannot_be_compiled_goes_through_keras_and_says_why_once(
    make_model, callbacks, reason, three_blobs, caplog
):
    if make_model is with_python_inside:
        three_blobs = Data.of(np.abs(three_blobs.X), three_blobs.targets)
    callbacks = tuple(make() for make in callbacks)
    with caplog.at_level(logging.INFO, "skneural"):
        network, result = trained(make_model, three_blobs, callbacks=callbacks)
    assert result.way == "keras"
    told = [record for record in caplog.records if record.name == "skneural"]
    assert len(told) == 1
    assert told[0].levelno == logging.INFO
    assert any(part in told[0].getMessage() for part in reason.split("|")), told[0].getMessage()
    assert all(callback.n_batches == 3 * 7 for callback in callbacks)

    plain, expected = trained(dense, three_blobs)
    assert expected.way == "compiled"
    assert_same((network, result), (plain, expected))


def test_a_program_keeps_the_functions_of_python_that_it_calls(three_blobs):
    network = Network.from_model(with_python_inside())
    answers = predict(network, three_blobs.X)
    gc.collect()
    np.testing.assert_array_equal(predict(network, three_blobs.X), answers)


# --- Keras's callbacks ----------------------------------------------------------------------------------------------


CALLBACKS = {
    "EarlyStopping": lambda _: keras.callbacks.EarlyStopping(
        "loss", patience=1, min_delta=10.0, restore_best_weights=True
    ),
    "ReduceLROnPlateau": lambda _: keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=10.0),
    "LearningRateScheduler": lambda _: keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1)),
    "ModelCheckpoint": lambda folder: keras.callbacks.ModelCheckpoint(
        folder / "{epoch}.weights.h5", save_weights_only=True
    ),
    "CSVLogger": lambda folder: keras.callbacks.CSVLogger(folder / "log.csv"),
    "TensorBoard": lambda folder: keras.callbacks.TensorBoard(folder),
}


def loaded(path):
    """Weights and optimizer state in a file."""
    model = dense()
    model.optimizer.build(model.trainable_variables)
    model.load_weights(path)
    return [variable.numpy() for variable in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_of_keras_does_in_a_compiled_run_what_it_does_in_kerass_own(name, three_blobs, tmp_path):
    runs, folders = [], [tmp_path / "compiled", tmp_path / "keras"]
    for folder, arguments in zip(folders, ({}, {"validation_freq": 1}), strict=True):
        folder.mkdir()
        callbacks = (CALLBACKS[name](folder),)
        runs.append(trained(dense, three_blobs, epochs=4, callbacks=callbacks, keras_fit_arguments=arguments))
    assert [result.way for _, result in runs] == ["compiled", "keras"]
    assert_same(*runs)
    assert runs[0][1].n_epochs == (2 if name == "EarlyStopping" else 4)

    files = [sorted(path for path in folder.rglob("*") if path.is_file()) for folder in folders]
    assert len(files[0]) == {"ModelCheckpoint": 4, "CSVLogger": 1, "TensorBoard": 1}.get(name, 0)
    if name == "ModelCheckpoint":
        assert [path.name for path in files[0]] == [path.name for path in files[1]]
        for path, other in zip(*files, strict=True):
            ours, theirs = loaded(path), loaded(other)
            for value, expected in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6)
    if name == "CSVLogger":
        ours, theirs = (pd.read_csv(paths[0]) for paths in files)
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4)
        assert len(ours) == 4


# --- part after part ------------------------------------------------------------------------------------------------


@pytest.fixture
def parts(monkeypatch):
    """Rows reach the program in parts of two batches; the numbers of rows in them."""
    lengths = []
    fetching = _feeding.Rows._fetching

    def counted(self, order):
        fetch = fetching(self, order)

        def fetch_and_count(positions, arrays):
            lengths.append(len(positions))
            return fetch(positions, arrays)

        return fetch_and_count

    monkeypatch.setattr(_feeding, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(_feeding, "PART_BYTES", 2 * 16 * 8 * 4)
    monkeypatch.setattr(_feeding.Rows, "_fetching", counted)
    return lengths


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "int16", "csr"])
def test_rows_that_come_in_parts_train_as_resident_ones(kind, three_blobs, request):
    X = np.round(three_blobs.X * 4).astype("float32" if kind == "csr" else kind)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(X)).astype(np.float32)
    resident = trained(dense, Data.of(X, three_blobs.targets, weights))

    lengths = request.getfixturevalue("parts")
    streamed = trained(dense, Data.of(sparse.csr_array(X) if kind == "csr" else X, three_blobs.targets, weights))

    assert lengths == [32, 32, 32, 7] * 3
    assert streamed[1].way == resident[1].way == "compiled"
    assert_same(streamed, resident, rtol=1e-5)
