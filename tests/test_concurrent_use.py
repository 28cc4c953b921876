"""An estimator that is fitted in one thread and asked in another: it answers as the last complete fit left it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier
from skneural.exceptions import TrainingDivergedError

X, y = load_iris(return_X_y=True)
LABELS = np.array(["a", "b", "c"])


def build(meta):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(meta["n_classes_"], activation="softmax")])


class Look(keras.callbacks.Callback):
    """Calls a function in the middle of a fit."""

    def __init__(self, look):
        super().__init__()
        self.look = look

    def on_train_begin(self, logs=None):
        self.look()

    def on_epoch_end(self, epoch, logs=None):
        self.look()


def estimators():
    yield DenseNetClassifier(epochs=2, random_state=0)
    yield KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=2, random_state=0)
    yield KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=2, random_state=0, run_eagerly=True)


@pytest.mark.parametrize("estimator", list(estimators()), ids=["dense", "keras", "keras's own fit"])
def test_a_fit_shows_nothing_of_itself_before_it_has_succeeded(estimator):
    estimator.fit(X, LABELS[y])
    before, attributes = estimator.predict_proba(X), dict(vars(estimator))
    seen = []

    def look():
        changed = {name for name in vars(estimator) if vars(estimator)[name] is not attributes.get(name)}
        seen.append((estimator.predict_proba(X), set(estimator.predict(X)), changed))

    estimator.set_params(callbacks=Look(look), random_state=1)
    # Two classes where there were three: every attribute of a fit changes.
    estimator.fit(X[:100], y[:100])
    assert len(seen) == 3
    for probabilities, labels, changed in seen:
        np.testing.assert_array_equal(probabilities, before)
        assert labels <= set(LABELS)
        assert changed == {"callbacks", "random_state"}
    assert estimator.classes_.tolist() == [0, 1]


def test_a_prediction_reads_one_fit_though_another_ends_while_it_reads(monkeypatch):
    network = DenseNetRegressor(epochs=3, random_state=0).fit(X, y)
    before = network.predict(X)
    raw = DenseNetRegressor._predict_raw

    def fits_in_between(self, rows):
        outputs = raw(self, rows)
        monkeypatch.setattr(DenseNetRegressor, "_predict_raw", raw)
        network.fit(X, y * 1000.0 - 5)
        return outputs

    monkeypatch.setattr(DenseNetRegressor, "_predict_raw", fits_in_between)
    np.testing.assert_array_equal(network.predict(X), before)
    assert abs(network.predict(X) - before).max() > 100


def test_what_the_user_sets_during_a_fit_stays():
    network = DenseNetClassifier(epochs=2, random_state=0)
    network.set_params(callbacks=Look(lambda: setattr(network, "remark", "set meanwhile")))
    network.fit(X, y)
    assert network.remark == "set meanwhile"
    assert network.n_iter_ == 2


def test_a_first_call_of_partial_fit_that_fails_declares_no_classes():
    network = DenseNetClassifier(random_state=0, learning_rate=1e30)
    with pytest.raises(TrainingDivergedError):
        network.partial_fit(X, y, classes=[0, 1, 2, 3])
    network.set_params(learning_rate=1e-3).partial_fit(X, y, classes=[0, 1, 2])
    assert network.classes_.tolist() == [0, 1, 2]
