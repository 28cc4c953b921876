"""What does not change what the native engine gives: threads, instructions, where rows lie, who looks on."""

from __future__ import annotations

from contextlib import contextmanager

import keras
import numpy as np
import pytest
from scipy import sparse
from test_equals_keras import train_both_ways

from skneural._engine import Data, EarlyStopping, Network, Settings, fit
from skneural._engine import threads as _threads
from skneural._engine.data import feeding as _feeding
from skneural._engine.data import memory_maps as _memory_maps
from skneural._engine.native import extension as _extension
from skneural._engine.native import run as _native_run
from skneural._engine.xla.program import traces

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(_extension.engine is None, reason="the native engine was not built, for want of a C compiler"),
    # Keras 3.15 has no `copy` argument in Variable.__array__.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras"),
]
L = keras.layers
N_ROWS, N_FEATURES, N_CLASSES = 131, 50, 19


def rows(n_features=N_FEATURES, n_classes=N_CLASSES, weighted=True):
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, N_ROWS).astype(np.int32)
    weights = rng.uniform(0.5, 2.0, N_ROWS).astype(np.float32) if weighted else None
    return Data.of(rng.normal(size=(N_ROWS, n_features)).astype(np.float32), y, weights)


def model_of(n_features=N_FEATURES, widths=(97, 33), n_classes=N_CLASSES, dropout=0.2):
    keras.utils.set_random_seed(0)
    layers = [L.Input((n_features,))]
    for width in widths:
        layers += [L.Dense(width, "relu", kernel_regularizer=keras.regularizers.L2(1e-3)), L.Dropout(dropout)]
    model = keras.Sequential([*layers, L.Dense(n_classes, "softmax")])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(data=None, model=None, **changes):
    data = data or rows()
    network = Network.from_model(model or model_of())
    settings = Settings(**{"epochs": 5, "batch_size": 64, "seed": 3} | changes)
    result = fit(network, data, rows(), settings)
    assert result.way == "native"
    return network, result


def assert_equal(one, other):
    (network, result), (other_network, other_result) = one, other
    assert result.history == other_result.history
    for values, others in zip(network.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize("n_threads", [2, 3, 7])
def test_threads_change_no_bit(n_threads, monkeypatch):
    alone = trained()

    @contextmanager
    def threads_for(n_products):
        yield n_threads

    monkeypatch.setattr(_native_run, "threads_for", threads_for)
    assert_equal(alone, trained())


def test_instructions_change_rounding_only(monkeypatch):
    network, result = trained()
    monkeypatch.setattr(_extension, "IS_PORTABLE", True)
    other_network, other_result = trained()
    for name, values in other_result.history.items():
        np.testing.assert_allclose(result.history[name], values, rtol=1e-4, err_msg=name)
    for values, others in zip(network.get_weights(), other_network.get_weights(), strict=True):
        np.testing.assert_allclose(values, others, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("n_features", "widths", "n_classes", "batch_size"),
    [
        (1, (1,), 2, 1),
        (47, (16,), 16, 7),
        (48, (17, 8), 3, 8),
        (49, (48, 49), 40, 25),
        (97, (), 17, 200),
        (3, (64,), 8, 6),
    ],
)
def test_sizes_around_those_of_tiles_panels_and_strips(n_features, widths, n_classes, batch_size):
    data = rows(n_features, n_classes)
    train_both_ways(
        lambda: model_of(n_features, widths, n_classes, dropout=0.0),
        data,
        rtol=2e-3,
        way="native",
        validation=data,
        batch_size=batch_size,
    )


def large_map(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


ROWS_LIE = {
    "doubles": lambda X, folder: X.astype(np.float64),
    "halves": lambda X, folder: X.astype(np.float16).astype(np.float32).astype(np.float16),
    "columns": lambda X, folder: np.asfortranarray(X),
    "every other": lambda X, folder: np.repeat(X, 2, axis=0)[::2],
    "sparse": lambda X, folder: sparse.csr_array(X),
    "map": large_map,
}


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("kind", ROWS_LIE)
def test_where_rows_lie_changes_no_bit(kind, is_large, tmp_path, monkeypatch):
    data = rows()
    X = data.X.astype(np.float16).astype(np.float32)
    expected = trained(Data.of(X, data.targets, data.sample_weight))
    if is_large:
        monkeypatch.setattr(_feeding, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(_feeding, "PART_BYTES", 64 * N_FEATURES * 4)
        monkeypatch.setattr(_memory_maps, "LARGE_BYTES", 0)
    lying = ROWS_LIE[kind](X, tmp_path)
    assert_equal(expected, trained(Data.of(lying, data.targets, data.sample_weight)))


def test_rows_that_stay_take_no_room(monkeypatch):
    made = []
    empty_aligned = _feeding.empty_aligned
    monkeypatch.setattr(_feeding, "empty_aligned", lambda *all: made.append(all) or empty_aligned(*all))
    trained(callbacks=(keras.callbacks.Callback(),))
    assert sorted(shape for shape, _ in made) == sorted(2 * [(N_ROWS,)] + 2 * [(N_ROWS,)])


def test_a_callback_that_looks_on_changes_no_bit():
    assert_equal(trained(), trained(callbacks=(keras.callbacks.Callback(),)))


def test_how_many_epochs_a_call_takes_changes_no_bit(monkeypatch):
    stopping = EarlyStopping("val_loss", patience=2, min_delta=0.0)
    many = trained(early_stopping=stopping, epochs=40)
    assert many[1].stopped_by == "early_stopping"
    assert many[1].n_epochs < 40
    watched = trained(early_stopping=stopping, epochs=40, callbacks=(keras.callbacks.Callback(),))
    assert_equal(many, watched)
    assert many[1].best_epoch == watched[1].best_epoch


def test_learning_rates_of_epochs_are_heeded():
    factors = tuple(0.5**epoch for epoch in range(5))
    slower, same = trained(learning_rate_factors=factors), trained(learning_rate_factors=(1.0,) * 5)
    assert_equal(same, trained())
    assert slower[1].history["loss"][0] == same[1].history["loss"][0]
    assert slower[1].history["loss"][-1] > same[1].history["loss"][-1]


def test_nothing_is_traced():
    n_traces = traces.n_traces
    trained(model=model_of(widths=(11,)))
    assert traces.n_traces == n_traces


def test_without_the_extension_programs_train(monkeypatch):
    monkeypatch.setattr(_extension, "engine", None)
    network = Network.from_model(model_of())
    assert fit(network, rows(), None, Settings(epochs=1, batch_size=64, seed=0)).way == "compiled"


def test_large_runs_share_the_cores(monkeypatch):
    monkeypatch.setattr(_threads, "_n_cores", lambda: 4)
    large = 2**24
    with _threads.threads_for(1000) as small, _threads.threads_for(large) as first:
        assert (small, first) == (1, 4)
        with _threads.threads_for(large) as second, _threads.threads_for(large) as third:
            assert (second, third) == (2, 1)
    with _threads.threads_for(large) as again:
        assert again == 4
