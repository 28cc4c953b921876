"""Numbers that are not finite never leave the package unsaid, in any engine."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier
from skneural.exceptions import TrainingDivergedError

X, y = load_iris(return_X_y=True)
WEIGHTS = r"The weights became NaN or infinite in epoch 1\. Try a smaller learning_rate"


def build(meta):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])


@pytest.mark.parametrize(
    "network",
    [
        DenseNetClassifier(),
        DenseNetClassifier(batch_normalization=True),
        KerasClassifier(build, loss="sparse_categorical_crossentropy"),
        KerasClassifier(build, loss="sparse_categorical_crossentropy", run_eagerly=True),
    ],
    ids=["native", "compiled", "users", "keras"],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_that_overflow_in_the_last_step_are_an_error(network, method):
    """One batch: the loss, of before the step, is finite."""
    rate = {"learning_rate" if isinstance(network, DenseNetClassifier) else "optimizer__learning_rate": 3e38}
    network.set_params(epochs=1, batch_size=150, random_state=0, optimizer=keras.optimizers.SGD, **rate)
    with pytest.raises(TrainingDivergedError, match=WEIGHTS) as caught:
        getattr(network, method)(X * 100, y)
    assert np.isfinite(caught.value.loss)
    assert not hasattr(network, "classes_")


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_a_validation_loss_that_overflows_is_an_error(batch_normalization):
    network = DenseNetRegressor((4,), early_stopping=True, batch_normalization=batch_normalization, random_state=0)
    with pytest.raises(TrainingDivergedError, match=r"The validation loss became (inf|nan) in epoch 1\."):
        network.fit(X[:, :3], X[:, 3], X_val=X[:, :3] * 1e37, y_val=X[:, 3])


@pytest.mark.parametrize(
    "network",
    [
        DenseNetClassifier((4, 4), epochs=1),
        DenseNetClassifier((4,), batch_normalization=True, epochs=1),
        KerasClassifier(build, loss="sparse_categorical_crossentropy", predict__verbose=0),
    ],
    ids=["dense", "normalized", "keras"],
)
def test_rows_that_overflow_at_prediction_are_named(network):
    rows = X.copy()
    network.set_params(random_state=0).fit(rows, y)
    rows[7] = 3e38 * np.array([1, -1, 1, -1])
    rows[9] = 3e38
    with pytest.raises(ValueError, match=r"answer to row \d of X is not finite .* value of size 3e\+38 there"):
        network.predict_proba(rows)
    assert np.isfinite(network.predict_proba(rows[:7])).all()


def test_weights_that_the_user_made_infinite_are_named_at_prediction():
    network = DenseNetRegressor((4,), epochs=1, random_state=0).fit(X[:, :3], X[:, 3])
    network.model_.set_weights([np.full_like(weight, np.inf) for weight in network.model_.get_weights()])
    with pytest.raises(ValueError, match=r"answer to row 0 of X is not finite .* Weights of the network"):
        network.predict(X[:, :3])
