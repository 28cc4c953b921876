"""Contract: a fit with a checkpoint goes on after a kill, and ends at the bits of one that was never stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import keras
import numpy as np
import pytest
from sklearn.base import clone

from skneural import KerasRegressor, Seq2SeqTranslator, _engine
from skneural._engine.loop.judge import averaged
from skneural._estimators.checkpoints import CheckpointFolder

SMALL = {
    "d_model": 16,
    "n_heads": 1,
    "d_feedforward": 16,
    "n_encoder_layers": 1,
    "n_decoder_layers": 1,
    "tokenizer": "char",
    "epochs": 4,
    "warmup_steps": 2,
    "n_averaged": 2,
    "random_state": 0,
}
RNG = np.random.default_rng(0)
X = [" ".join(map(str, RNG.integers(0, 10, 4))) for _ in range(30)]
Y = [one[::-1] for one in X]


class StopsIn(keras.callbacks.Callback):
    """Ends a fit by an error in an epoch, as a kill does."""

    def __init__(self, epoch):
        super().__init__()
        self.last = epoch
        self.begun = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(epoch)
        if epoch == self.last:
            raise RuntimeError("killed")


def weights_of(estimator):
    return estimator.model_.get_weights()


def assert_equal_fits(one, other):
    assert one.history_ == other.history_
    assert getattr(one, "best_epoch_", None) == getattr(other, "best_epoch_", None)
    for weight, same in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(weight, same)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True, "validation_fraction": 0.3}], ids=str)
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_fit_goes_on_and_ends_at_the_same_bits(tmp_path, parameters, epoch):
    whole = Seq2SeqTranslator(**SMALL, **parameters).fit(X, Y)
    kept = clone(whole).set_params(checkpoint=tmp_path / "kept", callbacks=StopsIn(epoch))
    with pytest.raises(RuntimeError, match="killed"):
        kept.fit(X, Y)
    watcher = StopsIn(None)
    again = clone(kept).set_params(callbacks=watcher).fit(X, Y)
    assert watcher.begun == list(range(epoch, 4))
    assert_equal_fits(again, whole)
    # What is finished comes back at once.
    watcher.begun.clear()
    assert_equal_fits(clone(again).set_params(callbacks=watcher).fit(X, Y), whole)
    assert not watcher.begun


def test_a_fit_of_other_data_or_parameters_is_refused(tmp_path):
    kept = Seq2SeqTranslator(**SMALL, checkpoint=tmp_path).fit(X, Y)
    for other, rows in ((kept, X[1:]), (clone(kept).set_params(dropout=0.3), X)):
        with pytest.raises(ValueError, match="is of a fit on other data or with other parameters"):
            other.fit(rows, Y[-len(rows) :])
    # What changes nothing in the result is no other fit.
    clone(kept).set_params(verbose=2, beam_size=3).fit(X, Y)


def test_training_that_goes_on_is_not_kept_nor_taken_for_the_fit_before(tmp_path):
    kept = Seq2SeqTranslator(**SMALL, checkpoint=tmp_path).fit(X, Y)
    before = weights_of(kept)
    file = (tmp_path / "checkpoint.npz").read_bytes()
    kept.partial_fit(X, Y)
    assert kept.n_iter_ == 5
    assert any((one != other).any() for one, other in zip(before, weights_of(kept), strict=True))
    kept.partial_fit(X[:7], Y[:7])
    kept.set_params(warm_start=True).fit(X[:7], Y[:7])
    assert (tmp_path / "checkpoint.npz").read_bytes() == file


def test_a_model_function_may_have_a_parameter_of_this_name():
    def build(meta, checkpoint):
        assert checkpoint == "weights.h5"
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    rows = np.zeros((8, 2))
    assert KerasRegressor(build, checkpoint="weights.h5").fit(rows, rows[:, 0]).n_iter_ == 1


def test_a_file_that_is_no_checkpoint_is_told_of(tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"PK rubbish")
    with pytest.raises(ValueError, match="is no checkpoint that can be read"):
        Seq2SeqTranslator(**SMALL, checkpoint=tmp_path).fit(X, Y)


def test_a_checkpoint_that_cannot_be_written_is_told_of_and_training_goes_on(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    kept = Seq2SeqTranslator(**SMALL | {"epochs": 1}, checkpoint=tmp_path)
    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(RuntimeWarning, match="could not be written, and the training goes on without: .*No space left"):
        kept.fit(X, Y)
    assert not list(tmp_path.iterdir())


def progress_of(value):
    state = _engine.State([np.full(3, value, np.float32), np.array(7)], [np.array([value])])
    judged = {"history": {"loss": [value, float("inf")]}, "best_epoch": None, "n_epochs": 2}
    return _engine.Progress(2, False, state, judged, [np.full(3, value)], ([np.zeros(3)], [np.ones(3)]))


def test_progress_comes_back_as_it_was(tmp_path):
    folder = CheckpointFolder("Estimator", tmp_path / "new" / "folder", "print")
    assert folder.load() is None
    folder.save(progress_of(2.5))
    found = folder.load()
    assert (found.epoch, found.is_done) == (2, False)
    assert found.judged == {"history": {"loss": [2.5, float("inf")]}, "best_epoch": None, "n_epochs": 2}
    np.testing.assert_array_equal(found.state.variables[0], np.full(3, 2.5, np.float32))
    assert found.state.variables[0].dtype == np.float32
    assert found.state.variables[1] == 7
    assert len(found.recent) == 2
    np.testing.assert_array_equal(found.recent[1][0], np.ones(3))
    # Nothing in the file can run code.
    np.load(tmp_path / "new" / "folder" / "checkpoint.npz", allow_pickle=False)


def test_a_kill_while_it_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    folder = CheckpointFolder("Estimator", tmp_path, "print")
    folder.save(progress_of(1.0))
    real = np.savez

    def interrupted(file, **arrays):
        real(file, **arrays)
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        folder.save(progress_of(2.0))
    assert folder.load().state.variables[0][0] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


@pytest.mark.slow
def test_a_killed_process_goes_on_in_another(tmp_path):
    """The process is killed when it has written a file for the second time."""
    program = textwrap.dedent(
        """
        import sys, numpy as np
        sys.path.insert(0, sys.argv[1])
        from test_checkpoints import SMALL, X, Y
        from skneural import Seq2SeqTranslator
        fitted = Seq2SeqTranslator(**SMALL | {"epochs": 60}, checkpoint=sys.argv[2]).fit(X, Y)
        np.save(sys.argv[2] + "/weights.npy", np.concatenate([w.ravel() for w in fitted.model_.get_weights()]))
        """
    )
    command = [sys.executable, "-c", program, os.path.dirname(__file__), str(tmp_path)]
    file = tmp_path / "checkpoint.npz"
    process = subprocess.Popen(command)
    seen = set()
    while len(seen) < 2:
        assert process.poll() is None
        if file.exists():
            seen.add(file.stat().st_mtime_ns)
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "weights.npy").exists()
    subprocess.run(command, check=True)
    whole = Seq2SeqTranslator(**SMALL | {"epochs": 60}).fit(X, Y)
    expected = np.concatenate([weight.ravel() for weight in weights_of(whole)])
    np.testing.assert_array_equal(np.load(tmp_path / "weights.npy"), expected)


def test_averaged_weights_are_means_of_the_last_epochs():
    seen = []

    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.get_weights())

    fitted = Seq2SeqTranslator(**SMALL, callbacks=Looks()).fit(X, Y)
    for weight, *values in zip(weights_of(fitted), *seen[-2:], strict=True):
        np.testing.assert_allclose(weight, np.mean(values, axis=0), rtol=1e-6, atol=1e-7)


def test_whole_numbers_are_not_averaged():
    states = [_engine.State([np.array([value], np.float32), np.array([value])], []) for value in (1, 2)]
    mean = averaged(states)
    assert mean.variables[0] == 1.5
    assert mean.variables[1] == 2
