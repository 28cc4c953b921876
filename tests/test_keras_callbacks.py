"""Keras's callbacks find in a fit of ours what they find in Keras's: same epochs, same weights, same files."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest
from sklearn.base import clone

from skneural import DenseNetClassifier, KerasClassifier

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4)).astype(np.float32)
y = (X[:, 0] + 0.5 * rng.normal(size=60) > 0).astype(np.int32)
X_val, y_val = X[:20], 1 - y[:20]
C = keras.callbacks


def build(use_ema=False):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, "tanh", kernel_initializer="ones"), keras.layers.Dense(2, "softmax")]
    )
    model.set_weights([np.linspace(-1, 1, weight.size).reshape(weight.shape) for weight in model.get_weights()])
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(1, name="top")]
    model.compile(keras.optimizers.Adam(0.05, use_ema=use_ema), "sparse_categorical_crossentropy", metrics=metrics)
    return model


CASES = {
    "early stopping on accuracy": lambda folder: C.EarlyStopping("val_accuracy", patience=1),
    "early stopping on a named metric": lambda folder: C.EarlyStopping("top", patience=2, restore_best_weights=True),
    "early stopping on loss": lambda folder: C.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
    "plateau on accuracy": lambda folder: C.ReduceLROnPlateau("val_accuracy", factor=0.5, patience=1, min_lr=1e-4),
    "checkpoint of the best": lambda folder: C.ModelCheckpoint(
        folder / "{epoch}.weights.h5", monitor="val_accuracy", save_best_only=True, save_weights_only=True
    ),
    "checkpoint of each epoch": lambda folder: C.ModelCheckpoint(folder / "{epoch}-{accuracy:.3f}.keras"),
    "log in a file": lambda folder: C.CSVLogger(folder / "log.csv"),
    "schedule": lambda folder: C.LearningRateScheduler(lambda epoch, rate: rate * 0.5),
    "functions": lambda folder: C.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (folder / f"{epoch}").write_text(str(sorted(logs)))
    ),
    "TerminateOnNaN": lambda folder: C.TerminateOnNaN(),
    "history": lambda folder: C.History(),
    "board": lambda folder: C.TensorBoard(folder / "board", write_graph=False),
    "averages": lambda folder: C.SwapEMAWeights(swap_on_epoch=True),
    "backup": lambda folder: C.BackupAndRestore(folder / "backup", delete_checkpoint=False),
}
# RemoteMonitor talks to a server, OrbaxCheckpoint needs another package; the others are bases, or what fit adds itself.
NOT_TRIED = {"Callback", "CallbackList", "ProgbarLogger", "RemoteMonitor", "OrbaxCheckpoint"}


def test_every_callback_of_keras_is_tried(tmp_path):
    tried = {type(make(tmp_path)).__name__ for make in CASES.values()}
    known = {name for name, kind in vars(C).items() if isinstance(kind, type)}
    assert tried | NOT_TRIED == known


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if "events." not in path.name)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("run_eagerly", [False, True], ids=["engine", "keras"])
def test_a_callback_does_what_it_does_in_keras(case, run_eagerly, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir(), theirs.mkdir()
    own, other = CASES[case](ours), CASES[case](theirs)
    use_ema = case == "averages"
    expected = build(use_ema)
    history = expected.fit(
        *(X, y), epochs=6, batch_size=20, shuffle=False, verbose=0, validation_data=(X_val, y_val), callbacks=[other]
    ).history
    model = build(use_ema)
    model.run_eagerly = run_eagerly
    network = KerasClassifier(model, epochs=6, batch_size=20, shuffle=False, callbacks=own, random_state=0)
    network.fit(X, y, X_val=X_val, y_val=y_val)
    assert (network.engine_ == "keras") == run_eagerly
    assert network.n_iter_ == len(history["loss"])
    for name, values in history.items():
        np.testing.assert_allclose(network.history_[name], values, rtol=1e-4, atol=1e-5, err_msg=name)
    for one, two in zip(network.model_.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
    assert files_in(ours) == files_in(theirs)
    for name in ("log.csv", "0"):
        if (ours / name).exists():
            assert len((ours / name).read_text()) == pytest.approx(len((theirs / name).read_text()), abs=40)
    for name in ("stopped_epoch", "best_epoch", "best", "wait"):
        if getattr(other, name, None) is not None:
            assert getattr(own, name) == pytest.approx(getattr(other, name), rel=1e-4), name


@pytest.mark.parametrize("case", ["board", "log in a file", "checkpoint of the best", "early stopping on accuracy"])
def test_a_fit_leaves_nothing_in_a_callback_that_keeps_it_from_being_copied(case, tmp_path):
    network = DenseNetClassifier(epochs=2, metrics=["accuracy"], callbacks=CASES[case](tmp_path), random_state=0)
    network.fit(X, y, X_val=X_val, y_val=y_val)
    for copied in (pickle.loads(pickle.dumps(network)), copy.deepcopy(network), clone(network)):
        assert copied.fit(X, y, X_val=X_val, y_val=y_val).n_iter_ == network.n_iter_


class Stop(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 3:
            raise RuntimeError("the machine has stopped")


@pytest.mark.parametrize(
    "parameters",
    [{}, {"run_eagerly": True}, {"shuffle": True}, {"shuffle": True, "run_eagerly": True}],
    ids=["engine", "keras", "engine, shuffled", "keras, shuffled"],
)
def test_a_fit_that_was_stopped_goes_on_from_its_backup_and_ends_at_the_same_weights(parameters, tmp_path):
    parameters = {"epochs": 6, "batch_size": 20, "shuffle": False, "random_state": 0} | parameters
    eager = parameters.pop("run_eagerly", False)

    def model():
        one = build()
        one.run_eagerly = eager
        return one

    whole = KerasClassifier(model, **parameters).fit(X, y)
    backup = C.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(RuntimeError, match="stopped"):
        KerasClassifier(model, callbacks=[backup, Stop()], **parameters).fit(X, y)
    resumed = KerasClassifier(model, callbacks=C.BackupAndRestore(tmp_path / "backup"), **parameters).fit(X, y)
    assert resumed.n_iter_ == 3
    np.testing.assert_allclose(resumed.loss_curve_, whole.loss_curve_[3:], rtol=1e-5)
    for one, two in zip(resumed.model_.get_weights(), whole.model_.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    # The backup is used up, and so is the epoch to go on from.
    assert resumed.fit(X, y).n_iter_ == 6
    assert resumed.partial_fit(X, y).n_iter_ == 7
