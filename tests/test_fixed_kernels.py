"""Fixed kernels of recurrent families: what they see, and the layer that is solved for behind them."""

from __future__ import annotations

import itertools
import pickle

import keras
import numpy as np
import pytest
from sklearn.linear_model import Ridge
from threadpoolctl import threadpool_limits

import skneural
from skneural import RecurrentNetClassifier, RecurrentNetRegressor
from skneural._architectures.fixed_kernels import (
    GROUP_SIZE,
    N_GROUPS,
    TERNARY,
    FixedKernels,
    competing_dilations,
    dilations_for,
)
from skneural._families import recurrent_mixture
from skneural._families.kernel_numbers import draw_kernels
from skneural._families.left_out_ridge import solve_ridge, temperature

SMALL = ((1, 2), (2, 1))


def layer_for(sequences: np.ndarray, dilations: tuple[tuple[int, int], ...] = SMALL) -> FixedKernels:
    """A layer with numbers drawn for sequences."""
    layer = FixedKernels(dilations, (1, 2))
    layer.build((None, None, sequences.shape[2]))
    numbers = draw_kernels(sequences, None, dilations, np.random.default_rng(0))
    layer.set_weights([numbers.difference_scale, numbers.channels, numbers.thresholds, numbers.random_kernels])
    return layer


def response(values: np.ndarray, kernel: np.ndarray, dilation: int) -> np.ndarray:
    """What a kernel of shape (9, channels) answers at each step, by the definition of a dilated correlation."""
    n_steps, n_channels = values.shape
    sums = np.zeros(n_steps)
    for step, place, channel in itertools.product(range(n_steps), range(9), range(n_channels)):
        seen = step + (place - 4) * dilation
        if 0 <= seen < n_steps:
            sums[step] += kernel[place, channel] * values[seen, channel]
    return sums


def features_by_definition(values: np.ndarray, layer: FixedKernels) -> np.ndarray:
    """The features of one sequence, step by step."""
    scale, channels, thresholds, random_kernels = (np.asarray(one) for one in layer.weights)
    features: list[float] = []
    for form, numbers in enumerate([values, np.diff(values, axis=0) / scale]):
        n_before = 0
        for place, (dilation, count) in enumerate(layer.dilations):
            for kernel in range(84):
                answers = response(numbers, TERNARY[kernel][:, None] * channels[form, place, :, kernel], dilation)
                inner = answers[4 * dilation : len(answers) - 4 * dilation]
                counted = answers if (kernel + place) % 2 == 0 or not len(inner) else inner
                limits = thresholds[form, kernel, n_before : n_before + count]
                features += [float((counted > limit).mean()) for limit in limits]
            n_before += count
        kernels = random_kernels[form].reshape(9, values.shape[1], N_GROUPS, GROUP_SIZE)
        largest, smallest = [], []
        for dilation in layer.competing:
            for group in range(N_GROUPS):
                answers = np.array(
                    [response(numbers, kernels[:, :, group, one], dilation) for one in range(GROUP_SIZE)]
                )
                largest += [max(answers[one][answers.argmax(0) == one].sum(), 0) ** 0.5 for one in range(GROUP_SIZE)]
                smallest += [(answers.argmin(0) == one).sum() ** 0.5 for one in range(GROUP_SIZE)]
        features += [*largest, *smallest]
    return np.array(features)


def test_the_features_are_those_of_their_definition() -> None:
    sequences = np.random.default_rng(1).normal(size=(4, 21, 2)).astype(np.float32)
    layer = layer_for(sequences)
    assert layer.n_features == layer(sequences[:1]).shape[1]
    np.testing.assert_allclose(layer(sequences[:1])[0], features_by_definition(sequences[0], layer), atol=2e-3)


def test_padding_and_other_rows_do_not_reach_the_features() -> None:
    random = np.random.default_rng(2)
    sequences = random.normal(size=(3, 30, 1)).astype(np.float32)
    layer, alone = layer_for(sequences), sequences[:1, :17]
    padded = np.where(np.arange(30)[None, :, None] < 17, sequences, 0).astype(np.float32)
    mask = np.broadcast_to(np.arange(30) < 17, (3, 30))
    np.testing.assert_array_equal(layer(padded, mask=mask)[0], layer(alone)[0])


@pytest.mark.parametrize("n_steps", [1, 2, 9, 10, 100, 5000])
def test_dilated_kernels_fit_into_the_sequences(n_steps: int) -> None:
    dilations = dilations_for(n_steps)
    assert sum(count for _, count in dilations) == 60
    assert dilations[0][0] == 1
    assert all(8 * dilation <= max(n_steps - 1, 8) for dilation, _ in dilations)
    assert all(8 * dilation <= max(n_steps - 1, 8) for dilation in competing_dilations(n_steps))


def test_repeated_rows_are_drawn_as_often_as_weighted_ones() -> None:
    sequences = np.random.default_rng(3).normal(size=(5, 20, 2))
    weights = np.array([1, 0, 3, 2, 1])
    weighted = draw_kernels(sequences, weights.astype(float), SMALL, np.random.default_rng(0))
    repeated = draw_kernels(np.repeat(sequences, weights, axis=0)[::-1], None, SMALL, np.random.default_rng(0))
    np.testing.assert_allclose(weighted.thresholds, repeated.thresholds, rtol=1e-6)
    np.testing.assert_allclose(weighted.difference_scale, repeated.difference_scale)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_solved_layer_is_the_ridge_that_is_best_for_rows_left_out(is_weighted: bool) -> None:
    random = np.random.default_rng(4)
    features = random.normal(size=(30, 12)).astype(np.float32)
    targets = features[:, :2] @ random.normal(size=(2, 2)) + random.normal(size=(30, 2))
    weights = random.integers(1, 4, 30).astype(float) if is_weighted else None
    share = np.full(30, 1 / 30) if weights is None else weights / weights.sum()
    spread = np.sqrt(share @ (features - share @ features) ** 2) + 1e-3
    scaled = (features - share @ features) / spread
    total = (share[:, None] * scaled**2).sum()
    left_out = {}
    for penalty in np.logspace(-4, 4, 17) * total / 30:
        ridge = Ridge(alpha=penalty)
        answers = [
            ridge.fit(np.delete(scaled, row, 0), np.delete(targets, row, 0), np.delete(share, row)).predict(
                scaled[[row]]
            )
            for row in range(30)
        ]
        left_out[penalty] = np.concatenate(answers)
    best = min(left_out, key=lambda one: (share[:, None] * (left_out[one] - targets) ** 2).sum())
    solution = solve_ridge(features, targets, weights)
    whole = Ridge(alpha=best).fit(scaled, targets, share)
    np.testing.assert_allclose(solution.left_out, left_out[best], atol=1e-4)
    np.testing.assert_allclose(features @ solution.kernel + solution.bias, whole.predict(scaled), atol=1e-4)


def test_the_temperature_makes_the_best_log_odds() -> None:
    random = np.random.default_rng(5)
    scores = random.normal(size=(20000, 1))
    targets = np.where(random.random((20000, 1)) < 1 / (1 + np.exp(-3 * scores)), 1.0, -1.0)
    assert temperature(scores, targets, None, is_exclusive=False) == pytest.approx(3, rel=0.05)


def waves(n_rows: int = 60, n_steps: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Waves of three lengths, at any phase, under noise."""
    random = np.random.default_rng(seed)
    y = np.arange(n_rows) % 3
    phases = random.uniform(0, 2 * np.pi, (n_rows, 1))
    X = np.sin(np.arange(n_steps) * (0.5 + 0.2 * y[:, None]) + phases) + random.normal(0, 0.5, (n_rows, n_steps))
    return X.astype(np.float32), np.array(["a", "b", "c"])[y]


def test_kernels_alone_learn_without_steps() -> None:
    X, y = waves()
    network = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, y)
    X_new, y_new = waves(seed=1)
    assert network.score(X_new, y_new) > 0.9
    assert (network.engine_, network.n_iter_, network.history_) == ("solved", 0, {"loss": []})
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(network)).predict_proba(X_new), network.predict_proba(X_new)
    )
    np.testing.assert_array_equal(network.predict_proba(X_new[:1]), network.predict_proba(X_new)[:1])
    with pytest.raises(ValueError, match="cannot learn row after row"):
        RecurrentNetClassifier(parts="kernels").partial_fit(X, y)


def test_the_answer_is_the_mean_of_both_and_that_of_the_keras_model(tmp_path) -> None:
    X, y = waves()
    network = RecurrentNetClassifier(
        4, filters=(4,), parts=["recurrent", "convolutional", "kernels"], epochs=2, random_state=0
    ).fit(X, y)
    mixture = network._network
    rows = X[..., None]
    trained, fixed = mixture.trained.snapshot().model, mixture.kernels.snapshot().model
    wanted = trained.predict(rows, verbose=0) / 3 + fixed.predict(rows, verbose=0) * 2 / 3
    np.testing.assert_allclose(network.predict_proba(X), wanted, atol=1e-5)
    network.model_.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded.predict(rows, verbose=0), wanted, atol=1e-5)


def test_sequences_that_are_padded_have_the_answers_of_those_alone() -> None:
    X, y = waves(n_steps=300)
    lengths = np.random.default_rng(0).integers(20, 300, len(X))
    padded = np.where(np.arange(300) < lengths[:, None], X, np.nan)
    network = RecurrentNetClassifier(4, filters=(4,), epochs=1, random_state=0).fit(padded, y)
    assert "MeanOfSteps" in [type(layer).__name__ for layer in network._network.trained.any_model.layers]
    together = network.predict_proba(padded)
    alone = [network.predict_proba([row[:length]])[0] for row, length in zip(X[:5], lengths[:5], strict=True)]
    np.testing.assert_allclose(together[:5], alone, atol=1e-5)


def test_rows_without_weight_teach_the_kernels_nothing() -> None:
    X, y = waves()
    weights = np.where(np.arange(60) < 45, 1.0, 0.0)
    weighted = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, y, sample_weight=weights)
    fewer = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X[:45], y[:45])
    np.testing.assert_allclose(weighted.predict_proba(X), fewer.predict_proba(X), atol=1e-4)


def test_two_classes_labels_and_margins_have_kernels_too() -> None:
    X, y = waves()
    two = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, y == "a")
    assert two.score(X, y == "a") > 0.9
    labels = np.stack([y == "a", y != "b"], axis=1).astype(int)
    several = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, labels)
    assert (several.predict(X) == labels).mean() > 0.9
    margins = RecurrentNetClassifier(parts="kernels", loss="hinge", random_state=0).fit(X, y == "a")
    assert margins.score(X, y == "a") > 0.9
    logits = RecurrentNetClassifier(
        parts="kernels", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), random_state=0
    ).fit(X, y)
    plain = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, y)
    np.testing.assert_allclose(logits.predict_proba(X), plain.predict_proba(X), atol=1e-5)


def test_a_regressor_has_kernels_where_they_are_named() -> None:
    X, y = waves()
    target = np.unique(y, return_inverse=True)[1] * 10.0 + 100
    assert "kernels" not in RecurrentNetRegressor()._parts()
    network = RecurrentNetRegressor(parts="kernels", random_state=0).fit(X, target)
    X_new, y_new = waves(seed=1)
    assert network.score(X_new, np.unique(y_new, return_inverse=True)[1] * 10.0 + 100) > 0.7
    with pytest.raises(ValueError, match="does not suit loss='poisson'"):
        RecurrentNetRegressor(parts="kernels", loss="poisson").fit(X, target)


def test_parts_say_what_there_is() -> None:
    assert RecurrentNetClassifier()._parts() == ("recurrent", "convolutional", "kernels")
    assert RecurrentNetClassifier(filters=())._parts() == ("recurrent",)
    assert RecurrentNetClassifier(())._parts() == ("convolutional",)
    assert RecurrentNetClassifier(parts="recurrent")._parts() == ("recurrent",)
    assert RecurrentNetClassifier(parts=("kernels", "recurrent"))._parts() == ("recurrent", "kernels")
    X, y = waves(12)
    for parts in ("gru", [], ["kernels", "kernels"], ["gru"]):
        with pytest.raises(ValueError, match="'parts' parameter of RecurrentNetClassifier must be"):
            RecurrentNetClassifier(parts=parts).fit(X, y)
    with pytest.raises(ValueError, match="names 'convolutional', but filters is empty"):
        RecurrentNetClassifier(parts=["convolutional"], filters=()).fit(X, y)


def test_a_warm_start_solves_anew_and_partial_fit_trains_the_rest() -> None:
    X, y = waves()
    parts = ["recurrent", "kernels"]
    network = RecurrentNetClassifier(4, parts=parts, epochs=1, warm_start=True, random_state=0).fit(X[:20], y[:20])
    before = network._network.kernels.state.variables[-2].copy()
    network.fit(X, y)
    assert not np.allclose(before, network._network.kernels.state.variables[-2])
    begun = RecurrentNetClassifier(4, parts=parts, random_state=0).partial_fit(X, y)
    trained = begun._network.trained.snapshot().model.predict(X[..., None], verbose=0)
    np.testing.assert_allclose(begun.predict_proba(X), trained, atol=1e-5)


def test_a_saved_network_answers_with_the_same_bits(tmp_path) -> None:
    X, y = waves()
    network = RecurrentNetClassifier(4, parts=["recurrent", "kernels"], epochs=1, random_state=0).fit(X, y)
    network.save(tmp_path / "network.skn")
    loaded = skneural.load(tmp_path / "network.skn")
    np.testing.assert_array_equal(loaded.predict_proba(X), network.predict_proba(X))
    network.set_params(warm_start=True)
    np.testing.assert_array_equal(
        loaded.set_params(warm_start=True).fit(X, y).predict_proba(X), network.fit(X, y).predict_proba(X)
    )


def test_sequences_that_do_not_vary_have_the_shares_of_the_classes() -> None:
    X, y = np.ones((10, 5)), np.arange(10) % 5 == 0
    network = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, y)
    shares = network.predict_proba(X)
    assert (shares == shares[0]).all()
    assert shares[0, 0] > shares[0, 1]


def test_the_layer_that_is_solved_for_is_the_same_for_any_number_of_threads() -> None:
    random = np.random.default_rng(6)
    features = random.normal(size=(800, 3000)).astype(np.float32)
    targets = random.choice([-1.0, 1.0], (800, 5))
    solutions = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            solutions.append(solve_ridge(features, targets, None).kernel)
    np.testing.assert_array_equal(*solutions)


def test_of_many_rows_the_kernels_see_some_and_count_less(monkeypatch) -> None:
    monkeypatch.setattr(recurrent_mixture, "MOST_ROWS", 20)
    X, y = waves()
    parts = ["recurrent", "kernels"]
    network = RecurrentNetClassifier(4, parts=parts, epochs=1, random_state=0).fit(X, y)
    assert network._network.share == 40 / (40 + 60)
    alone = RecurrentNetClassifier(parts="kernels", random_state=0).fit(X, y)
    assert alone._network.share == 1
