"""Recurrent networks: what a sequence may look like, what padding and order do, and the recurrences themselves."""

from __future__ import annotations

import pickle
import re

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils import get_tags

import skneural
from skneural import RecurrentNetClassifier, RecurrentNetRegressor

CELLS = ("gru", "lstm", "simple")


def unequal_sequences(n_rows=30, n_channels=2, seed=0):
    """Sequences of three to eleven steps, and which of two classes the sign of their drift makes them."""
    random = np.random.default_rng(seed)
    y = np.arange(n_rows) % 2
    sequences = []
    for label in y:
        steps = random.normal(2 * label - 1, 1, size=(random.integers(3, 12), n_channels))
        sequences.append(5 + np.cumsum(steps, axis=0))
    return sequences, np.array(["down", "up"])[y]


def padded(sequence, n_steps):
    return np.concatenate([sequence, np.full((n_steps, sequence.shape[1]), np.nan)])


def small(cls=RecurrentNetClassifier, **parameters):
    return cls(**({"units": 4, "filters": (), "dropout": 0.0, "epochs": 2, "random_state": 0} | parameters))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def recurrence(cell, sequence, kernel, recurrent_kernel, bias):
    """The last state after a sequence of shape (timesteps, channels), step by step as the papers write it."""
    n_units = recurrent_kernel.shape[0]
    state, memory = np.zeros(n_units), np.zeros(n_units)
    for x in sequence:
        if cell == "simple":
            state = np.tanh(x @ kernel + state @ recurrent_kernel + bias)
        elif cell == "lstm":
            enter, forget, new, leave = np.split(x @ kernel + state @ recurrent_kernel + bias, 4)
            memory = sigmoid(forget) * memory + sigmoid(enter) * np.tanh(new)
            state = sigmoid(leave) * np.tanh(memory)
        else:
            update, reset, new = np.split(x @ kernel + bias[0], 3)
            old_update, old_reset, old = np.split(state @ recurrent_kernel + bias[1], 3)
            kept = sigmoid(update + old_update)
            state = kept * state + (1 - kept) * np.tanh(new + sigmoid(reset + old_reset) * old)
    return state


@pytest.mark.parametrize("cell", CELLS)
def test_prediction_is_that_of_the_recurrence_in_numpy(cell):
    X, y = unequal_sequences()
    network = small(cell=cell).fit(X, y)
    mean, scale, kernel, recurrent_kernel, bias, head, head_bias = network.model_.get_weights()
    expected = [
        sigmoid(recurrence(cell, (one - mean) / scale, kernel, recurrent_kernel, bias) @ head + head_bias)[0]
        for one in X
    ]
    np.testing.assert_allclose(network.predict_proba(X)[:, 1], expected, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"bidirectional": True, "pooling": "average", "filters": (4, 3), "kernel_size": (4, 3)},
        {"bidirectional": True, "units": (3, 4), "pooling": "max"},
    ],
    ids=["plain", "two branches", "two layers"],
)
def test_padding_has_no_influence(cell, parameters):
    X, y = unequal_sequences()
    # A fact about prediction, whatever the weights are.
    network = small(cell=cell, **parameters).initialize(X, y)
    expected = network.predict_proba(X)
    for row, sequence in enumerate(X[:3]):
        for n_steps in (0, 3, 10):
            one = network.predict_proba(padded(sequence, n_steps)[np.newaxis])
            np.testing.assert_allclose(one, expected[row : row + 1], atol=1e-6)


def test_training_on_padded_sequences_is_training_on_the_list():
    X, y = unequal_sequences()
    longest = max(map(len, X))
    stacked = np.stack([padded(one, longest - len(one)) for one in X])
    further = np.stack([padded(one, longest + 4 - len(one)) for one in X])
    before = [one.copy() for one in X]
    expected = small(filters=4).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(small(filters=4).fit(stacked, y).predict_proba(X), expected)
    np.testing.assert_allclose(small(filters=4).fit(further, y).predict_proba(X), expected, atol=1e-5)
    for one, other in zip(X, before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_channels_are_standardised_over_the_steps_that_are_there():
    X, y = unequal_sequences()
    weights = np.ones(len(X))
    weights[0] = 0
    mean, scale = small().fit(X, y, sample_weight=weights).model_.get_weights()[:2]
    steps = np.concatenate(X[1:])
    np.testing.assert_allclose(mean, steps.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scale, steps.std(axis=0), rtol=1e-5)
    raw = small(standardize=False).fit(X, y).model_.get_weights()[:2]
    np.testing.assert_array_equal(raw, [[0, 0], [1, 1]])


def test_all_layouts_of_the_same_sequences_give_the_same_network():
    X = np.random.default_rng(0).normal(size=(20, 6, 2))
    y = np.arange(20) % 2
    expected = small().fit(X, y).predict_proba(X)
    flat = small(sequence_shape=(6, 2)).fit(X.reshape(20, 12), y)
    np.testing.assert_array_equal(flat.predict_proba(X.reshape(20, 12)), expected)
    assert flat.n_features_in_ == 12
    objects = np.empty(20, dtype=object)
    objects[:] = list(X)
    np.testing.assert_array_equal(small().fit(objects, y).predict_proba(list(X)), expected)
    one_channel = small().fit(X[:, :, 0], y).predict_proba(X[:, :, 0])
    np.testing.assert_array_equal(small().fit(X[:, :, :1], y).predict_proba(X[:, :, :1]), one_channel)


def test_sequences_to_predict_may_have_other_lengths():
    X, y = unequal_sequences()
    network = small().fit(X, y)
    longer = np.concatenate([X[0], X[1], X[2]])
    assert network.predict_proba([longer]).shape == (1, 2)
    assert network.predict_proba([longer[:1], longer]).shape == (2, 2)


def test_order_matters_and_a_seed_repeats():
    X, y = unequal_sequences()
    network = small(epochs=5).fit(X, y)
    backwards = [one[::-1] for one in X]
    assert np.abs(network.predict_proba(X) - network.predict_proba(backwards)).max() > 1e-3
    again = clone(network).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), network.predict_proba(X))
    other = clone(network).set_params(random_state=1).fit(X, y)
    assert np.abs(other.predict_proba(X) - network.predict_proba(X)).max() > 1e-3


@pytest.mark.parametrize("cell", CELLS)
def test_compiled_training_equals_that_of_keras(cell):
    X, y = unequal_sequences()
    parameters = {"cell": cell, "filters": (3,), "kernel_size": 3, "epochs": 3, "batch_size": 8, "l2": 1e-2}
    compiled = small(batch_normalization=False, **parameters).fit(X, y)
    kept = small(batch_normalization=False, fit__validation_freq=1, **parameters).fit(X, y)
    assert (compiled.engine_, kept.engine_) == ("compiled", "keras")
    np.testing.assert_allclose(compiled.loss_curve_, kept.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(compiled.predict_proba(X), kept.predict_proba(X), atol=1e-4)


def test_second_fit_compiles_nothing():
    from skneural._engine.xla.program import traces

    X, y = unequal_sequences()
    network = small(epochs=3).fit(X, y)
    before = traces.n_traces
    clone(network).set_params(learning_rate=0.1, l2=0.1, random_state=3).fit(X[1:], y[1:])
    assert traces.n_traces == before


def test_network_survives_pickle_weights_and_keras_file(tmp_path, capsys):
    X, y = unequal_sequences()
    network = small(filters=3, bidirectional=True, parts=("recurrent", "convolutional")).fit(X, y)
    expected = network.predict_proba(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network)).predict_proba(X), expected)
    network.model_.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    stacked = np.stack([padded(one, max(map(len, X)) - len(one)) for one in X])
    np.testing.assert_allclose(loaded.predict(stacked, verbose=0)[:, 0], expected[:, 1], atol=1e-6)
    assert isinstance(network.model_, keras.Sequential)
    network.summary()
    printed = capsys.readouterr().out
    for name in ("SequenceScaling", "SideBySide", "Dense"):
        assert name in printed


def test_validation_rows_and_callbacks_see_the_training():
    X, y = unequal_sequences()
    seen = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    epochs: list[int] = []
    network = small(early_stopping=True, epochs=3, callbacks=seen).fit(X[:20], y[:20], X_val=X[20:], y_val=y[20:])
    assert epochs == [0, 1, 2]
    assert len(network.history_["val_loss"]) == 3
    assert 1 <= network.best_epoch_ <= 3


def test_lists_and_arrays_go_through_searches_alone_and_fused():
    X, y = unequal_sequences()
    grid = {"learning_rate": [1e-3, 1e-1]}
    alone = GridSearchCV(small(epochs=5), grid, cv=2).fit(X, y)
    with skneural.parallel_fits():
        fused = GridSearchCV(small(epochs=5), grid, cv=2).fit(X, y)
    np.testing.assert_allclose(alone.cv_results_["mean_test_score"], fused.cv_results_["mean_test_score"])
    objects = np.empty(len(X), dtype=object)
    objects[:] = X
    scores = cross_validate(small(), objects, y, cv=2)["test_score"]
    assert np.isfinite(scores).all()
    X = np.random.default_rng(0).normal(size=(20, 5, 2))
    assert np.isfinite(cross_validate(small(), X, y[:20], cv=2)["test_score"]).all()


def test_auto_counts_follow_the_number_of_rows():
    X, y = unequal_sequences(n_rows=24)
    network = small(units=2, epochs="auto").fit(X, y)
    assert network.n_iter_ == 500
    assert network.set_params(epochs=2).fit(X, y).n_iter_ == 2


def test_tags_tell_what_is_taken():
    for estimator in (RecurrentNetClassifier(), RecurrentNetRegressor()):
        tags = get_tags(estimator).input_tags
        assert (tags.three_d_array, tags.allow_nan, tags.sparse) == (True, False, False)


def seasonal_windows(n_steps=1000, n_lags=36, horizon=3):
    """Peaks of a season whose phase wanders, under noise, cut into windows and the values that follow each."""
    random = np.random.default_rng(1)
    phase = 2 * np.pi * np.arange(n_steps) / 12 + np.cumsum(random.normal(0, 0.1, n_steps))
    series = 100 + 10 * np.exp(2 * (np.cos(phase) - 1)) + random.normal(0, 0.7, n_steps)
    windows = np.lib.stride_tricks.sliding_window_view(series, n_lags + horizon)
    return windows[:, :n_lags], windows[:, n_lags:]


@pytest.mark.slow
def test_forecast_beats_the_seasonal_naive_one_and_ridge():
    X, y = seasonal_windows()
    # The windows between the two share values with both.
    train, test = slice(0, 600), slice(640, None)
    network = RecurrentNetRegressor(random_state=0).fit(X[train], y[train])
    predicted = network.predict(X[test])
    assert predicted.shape == (len(X[test]), 3)

    def error(values):
        return np.sqrt(np.mean((values - y[test]) ** 2))

    assert error(predicted) < 0.95 * error(Ridge().fit(X[train], y[train]).predict(X[test]))
    assert error(predicted) < 0.8 * error(X[test][:, -12:-9])


ERRORS = {
    "mixed channels": (
        {},
        [np.ones((4, 2)), np.ones((3, 3))],
        "All sequences in X of RecurrentNetClassifier must have the same number of channels. Got 2 in sequence 0 and 3 "
        "in sequence 1.",
    ),
    "empty": (
        {},
        [np.ones((4, 2)), np.ones((0, 2))],
        "Each sequence in X of RecurrentNetClassifier must have at least one time step. Sequence 1 is empty: leave it "
        "out of X and y.",
    ),
    "only NaN": (
        {},
        np.array([[[1.0]], [[np.nan]]]),
        "Each sequence in X of RecurrentNetClassifier must have at least one time step. Sequence 1 is empty: leave it "
        "out of X and y.",
    ),
    "sequence_shape": (
        {"sequence_shape": (5, 2)},
        np.ones((2, 12)),
        "The 'sequence_shape' parameter of RecurrentNetClassifier does not fit X: 5 timesteps of 2 channels are 10 "
        "columns, but X has 12.",
    ),
    "short sequence_shape": (
        {"sequence_shape": (5,)},
        np.ones((2, 5)),
        "The 'sequence_shape' parameter of RecurrentNetClassifier must be (timesteps, channels). Got (5,).",
    ),
    "gap": (
        {},
        np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]]),
        "X of RecurrentNetClassifier may hold NaN only as padding behind the end of a sequence, in all channels of a "
        "time step. Got NaN in sequence 1, time step 1, channel 0. Fill such gaps in first.",
    ),
    "four axes": (
        {},
        np.ones((2, 3, 4, 5)),
        "X of RecurrentNetClassifier must have the shape (n_samples, timesteps, channels) or (n_samples, timesteps), "
        "or be a list of arrays of shape (timesteps, channels). Got an array of shape (2, 3, 4, 5).",
    ),
    "no layers": (
        {"units": ()},
        np.ones((2, 3)),
        "RecurrentNetClassifier needs recurrent layers or convolutions. Got units=() and filters=(): give one of them "
        "a size, or parts='kernels'.",
    ),
    "kernel_size": (
        {"filters": (3, 3, 3), "kernel_size": (3, 3)},
        np.ones((2, 3)),
        "The 'kernel_size' parameter of RecurrentNetClassifier must be one width, or one per convolution. Got 2 for 3 "
        "convolutions.",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_what_is_wrong_and_what_to_do(name):
    parameters, X, message = ERRORS[name]
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small(**parameters).fit(X, ["a", "b"])


def test_other_channels_than_in_fit_are_refused():
    X, y = unequal_sequences()
    message = "X has sequences of 3 channels, but RecurrentNetClassifier was fitted with sequences of 2."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        small().fit(X, y).predict([np.ones((4, 3))])
