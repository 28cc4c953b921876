"""A learning rate schedule: each epoch has its rate, however the network is trained, and nothing is compiled anew."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from test_equals_keras import build, make_data, train_both_ways

from skneural import DenseNetClassifier, parallel_fits
from skneural._engine.xla.program import traces
from skneural._estimators.schedules import learning_rate_factors

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


class RatesSeen(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def test_cosine_falls_from_one_to_zero_and_averages_a_half():
    factors = learning_rate_factors("cosine", 9)
    assert factors[4] == pytest.approx(0.5)
    assert np.mean(factors) == pytest.approx(0.5)
    assert 1 > factors[0] > 0.99
    assert 0 < factors[-1] < 0.01
    assert learning_rate_factors("constant", 9) is None


def test_coslog4_falls_to_zero_at_the_ends_of_cycles_that_double():
    factors = np.array(learning_rate_factors("coslog4", 150))
    assert len(factors) == 150
    lows = [epoch for epoch in range(1, 149) if factors[epoch] < min(factors[epoch - 1], factors[epoch + 1])]
    np.testing.assert_allclose(lows, [10, 30, 70], atol=1)
    assert (factors[[*lows, 149]] < 0.02).all()
    highs = [factors[first:last].max() for first, last in ((0, 10), (10, 30), (30, 70), (70, 150))]
    np.testing.assert_allclose(highs, 1, atol=0.02)
    assert factors[0] < 0.3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_engine_gives_what_keras_gives_under_a_schedule(optimizer):
    train_both_ways(
        lambda: build(optimizer=optimizer), make_data("sparse"), epochs=3, learning_rate_factors=(1.0, 0.3, 0.01)
    )


@pytest.mark.parametrize("fit_arguments", [{}, {"fit__validation_freq": 1}], ids=["compiled", "keras"])
def test_callbacks_see_the_rate_of_each_epoch_and_it_is_restored(fit_arguments):
    seen = RatesSeen()
    network = DenseNetClassifier(
        (8,), learning_rate=0.02, learning_rate_schedule="cosine", epochs=4, callbacks=[seen], **fit_arguments
    )
    network.fit(*digits())
    np.testing.assert_allclose(seen.rates, 0.02 * np.array(learning_rate_factors("cosine", 4)), rtol=1e-5)
    assert float(network.model_.optimizer.learning_rate) == pytest.approx(0.02)


def test_a_schedule_changes_the_result_and_compiles_nothing():
    X, y = digits()
    constant = DenseNetClassifier((8,), epochs=5, random_state=0).fit(X, y)
    before = traces.n_traces
    cosine = DenseNetClassifier((8,), epochs=5, random_state=0, learning_rate_schedule="cosine").fit(X, y)
    assert traces.n_traces == before
    assert cosine.loss_curve_[-1] > constant.loss_curve_[-1] * 1.01


def test_networks_side_by_side_have_each_its_own_rate():
    grid = {"learning_rate_schedule": ["constant", "cosine"], "epochs": [3, 8]}
    search = GridSearchCV(DenseNetClassifier((8,), random_state=0), grid, cv=2, scoring="neg_log_loss")
    alone = search.fit(*digits()).cv_results_["mean_test_score"]
    with parallel_fits():
        together = search.fit(*digits()).cv_results_["mean_test_score"]
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert len(set(np.round(alone, 3))) == 4


def test_partial_fit_keeps_the_rate():
    seen = RatesSeen()
    network = DenseNetClassifier((8,), learning_rate_schedule="cosine", callbacks=[seen])
    X, y = digits()
    network.partial_fit(X, y).partial_fit(X, y)
    np.testing.assert_allclose(seen.rates, [1e-3, 1e-3], rtol=1e-6)


def test_a_schedule_on_top_of_a_schedule_is_refused():
    decay = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    network = DenseNetClassifier(learning_rate=decay, learning_rate_schedule="cosine")
    with pytest.raises(ValueError, match=r"conflicts with a learning rate that is a schedule itself\. Got 'cosine'"):
        network.fit(*digits())


def test_an_unknown_schedule_is_named():
    with pytest.raises(ValueError, match=r"The 'learning_rate_schedule' parameter .* Got 'stairs' instead"):
        DenseNetClassifier(learning_rate_schedule="stairs").fit(*digits())
