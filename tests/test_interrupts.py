"""Ctrl-C is heard within a batch's time; a fit of the user's own keeps what it has, one task of many ends them all."""

from __future__ import annotations

import signal

import keras
import numpy as np
import pytest
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier
from sklearn.feature_selection import RFE
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import DenseNetClassifier, KerasClassifier
from skneural._engine.loop.job import Job
from skneural.exceptions import InterruptedFitWarning

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int)


class PressCtrlC(keras.callbacks.Callback):
    """Presses Ctrl-C at the end of the third epoch of each fit, and counts the fits."""

    n_fits = 0

    def on_train_begin(self, logs=None):
        type(self).n_fits += 1

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def ctrl_c_within_an_epoch(monkeypatch):
    """The first time an engine asks within an epoch whether it may go on, a signal comes."""
    asked = []

    def ask(job):
        asked.append(job.judge.n_epochs)
        # Three times before the first batch, or in the native engine twice.
        if len(asked) == 4:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Job, "ask", ask)
    return asked


@pytest.mark.parametrize("normalize", [False, True], ids=["native", "compiled"])
@pytest.mark.parametrize("callbacks", [None, keras.callbacks.Callback()], ids=["alone", "watched"])
def test_ctrl_c_within_the_first_epoch_keeps_the_weights_of_the_moment(ctrl_c_within_an_epoch, normalize, callbacks):
    n = 4000 if normalize else 300_000
    rows = np.tile(X, (n // 60, 1))
    labels = np.tile(y, n // 60)
    network = DenseNetClassifier((8,), batch_size=1, epochs=10**6, batch_normalization=normalize, random_state=0)
    untrained = DenseNetClassifier((8,), batch_normalization=normalize, random_state=0).initialize(rows, labels)
    with pytest.warns(
        InterruptedFitWarning, match=r"interrupted in epoch 1\. The best weights so far are kept\."
    ) as told:
        network.set_params(callbacks=callbacks).fit(rows, labels)
    assert told[0].filename == __file__
    assert ctrl_c_within_an_epoch[3] == 0
    assert network.n_iter_ == 0
    assert network.loss_curve_ == []
    n_steps = int(network.model_.optimizer.iterations.numpy())
    assert 0 < n_steps < n
    moved = network.model_.get_weights()[0] - untrained.model_.get_weights()[0]
    assert abs(moved).max() > 1e-3
    assert np.isfinite(network.predict_proba(X)).all()


def test_ctrl_c_within_the_first_epoch_of_kerass_own_fit_keeps_the_weights():
    class Press(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                signal.raise_signal(signal.SIGINT)

    network = DenseNetClassifier(batch_size=4, callbacks=Press(), random_state=0)
    with pytest.warns(InterruptedFitWarning, match="epoch 1"):
        network.fit(X, y)
    assert network.engine_ == "keras"
    assert int(network.model_.optimizer.iterations.numpy()) == 5


def test_a_fit_of_the_users_own_keeps_its_weights_in_a_pipeline_too():
    pipeline = make_pipeline(StandardScaler(), DenseNetClassifier(callbacks=PressCtrlC(), random_state=0))
    with pytest.warns(InterruptedFitWarning, match="epoch 3"):
        pipeline.fit(X, y)
    assert pipeline[-1].n_iter_ == 2


@pytest.mark.parametrize("run_eagerly", [False, True], ids=["engine", "keras"])
@pytest.mark.parametrize(
    "many",
    [
        lambda network: GridSearchCV(network, {"batch_size": [20, 30, 40]}, cv=3).fit(X, y),
        lambda network: cross_val_score(network, X, y, cv=4),
        lambda network: BaggingClassifier(network, n_estimators=4).fit(X, y),
        lambda network: AdaBoostClassifier(network, n_estimators=4).fit(X, y),
        lambda network: RFE(network, importance_getter=lambda one: one.model_.get_weights()[0][:, 0]).fit(X, y),
        lambda network: GridSearchCV(
            make_pipeline(StandardScaler(), network), {"kerasclassifier__batch_size": [20, 30]}, cv=3
        ).fit(X, y),
    ],
    ids=["search", "cross-validation", "bagging", "boosting", "elimination", "search over a pipeline"],
)
def test_one_ctrl_c_ends_many_fits(many, run_eagerly):
    def build():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])

    class Press(PressCtrlC):
        n_fits = 0

    network = KerasClassifier(build, loss="sparse_categorical_crossentropy", epochs=5, callbacks=Press())
    with pytest.raises(KeyboardInterrupt):
        many(network.set_params(run_eagerly=run_eagerly))
