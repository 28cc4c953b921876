from __future__ import annotations

import keras
import numpy as np
import pytest
from conftest import dense_blueprint
from scipy import sparse

from skneural._engine import Data, EarlyStopping, Network, Settings, fit, predict
from skneural.exceptions import TrainingDivergedError

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

SETTINGS = Settings(epochs=3, batch_size=16, seed=3)


def trained(data, validation=None, **changes):
    network = Network.from_blueprint(dense_blueprint(), 1)
    settings = Settings(**{"epochs": 3, "batch_size": 16, "seed": 3, **changes})
    return network, fit(network, data, validation, settings)


def test_history_has_keras_names(three_blobs):
    _, result = trained(three_blobs, three_blobs)
    assert list(result.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert result.n_epochs == 3
    assert result.stopped_by == "epochs"
    assert result.best_epoch is None


def test_early_stopping_restores_the_best_weights(three_blobs):
    rule = EarlyStopping("val_loss", patience=2, min_delta=0.0)
    network, result = trained(three_blobs, three_blobs, epochs=40, early_stopping=EarlyStopping("val_loss", 2, 10.0))
    assert result.stopped_by == "early_stopping"
    assert result.n_epochs == 3
    assert result.best_epoch == 2
    network, result = trained(three_blobs, three_blobs, epochs=200, early_stopping=rule)
    probabilities = predict(network, three_blobs.X)[np.arange(three_blobs.n_rows), three_blobs.targets]
    np.testing.assert_allclose(-np.log(probabilities).mean(), min(result.history["val_loss"]), rtol=1e-4)


def test_hooks_see_every_epoch_and_may_stop(three_blobs):
    begun, ended = [], []

    def end(epoch, logs):
        ended.append((epoch, sorted(logs)))
        return epoch == 6

    _, result = trained(three_blobs, initial_epoch=5, on_epoch_begin=begun.append, on_epoch_end=end)
    assert begun == [5, 6]
    assert ended == [(5, ["accuracy", "loss"]), (6, ["accuracy", "loss"])]
    assert result.stopped_by == "callback"


def test_keras_callbacks_see_the_model_and_their_values_enter_the_history(three_blobs):
    seen = []

    class Watcher(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.get_weights()[0].copy())
            self.model.stop_training = epoch == 1

    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1))
    network, result = trained(three_blobs, callbacks=(Watcher(), schedule), epochs=9)
    assert result.stopped_by == "callback"
    np.testing.assert_allclose(result.history["learning_rate"], [0.1, 0.05])
    assert not np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[1], network.get_weights()[0])


def test_a_loss_that_is_not_finite_ends_training(three_blobs):
    X = three_blobs.X.copy()
    X[3, 3] = np.inf
    with pytest.raises(TrainingDivergedError, match="The loss became nan in epoch 1"):
        trained(Data.of(X, three_blobs.targets))


def test_an_interrupt_keeps_the_last_finished_epoch(three_blobs):
    weights = []

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            weights.append(self.model.get_weights()[0].copy())
            if epoch == 2:
                self.model.set_weights([w * 0 for w in self.model.get_weights()])
                raise KeyboardInterrupt

    network, result = trained(three_blobs, callbacks=(Interrupt(),))
    assert result.stopped_by == "interrupt"
    assert result.n_epochs == 2
    assert np.array_equal(weights[2], network.get_weights()[0])


def test_an_interrupt_in_the_first_epoch_is_raised(three_blobs):
    def interrupt(epoch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(three_blobs, on_epoch_begin=interrupt)


def test_sparse_rows_train_as_dense_ones(three_blobs):
    dense, _ = trained(three_blobs)
    other, _ = trained(Data.of(sparse.csr_array(three_blobs.X), three_blobs.targets))
    np.testing.assert_array_equal(dense.get_weights()[0], other.get_weights()[0])
    np.testing.assert_array_equal(predict(dense, three_blobs.X), predict(other, sparse.csr_array(three_blobs.X)))


def test_keras_fit_arguments_go_to_keras(three_blobs):
    _, result = trained(
        three_blobs, keras_fit_arguments={"validation_split": 0.2, "class_weight": {0: 2.0, 1: 1, 2: 1}}
    )
    assert "val_loss" in result.history
    assert result.way == "keras"
    assert result.why_keras


def test_predictions_equal_those_of_the_keras_model(three_blobs):
    network, _ = trained(three_blobs)
    np.testing.assert_allclose(
        predict(network, three_blobs.X), network.model.predict(three_blobs.X, verbose=0), rtol=1e-6
    )
    assert predict(network, three_blobs.X[:1]).shape == (1, 3)
