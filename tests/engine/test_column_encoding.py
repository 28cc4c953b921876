"""What a network sees of a table's columns is what the formulas say, in TensorFlow and C alike."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from skneural._engine import ColumnEncoding, Data, Network, Settings, fit, predict
from skneural._engine.native import extension as _extension
from skneural._engine.native.forward import native_forward

pytestmark = pytest.mark.native
needs_native = pytest.mark.skipif(
    _extension.engine is None, reason="the native engine was not built, for want of a C compiler"
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).astype(np.float32) * 3
X[:, 2] = RNG.integers(0, 3, 90)
X[RNG.random((90, 4)) < 0.1] = np.nan
Y = RNG.integers(0, 3, 90).astype(np.int32)
COLUMNS = {"clipped": [0, 1, 3], "ramp": [0, 0, 1], "equal": [2, 2, 2], "missing": [1, 2], "wave": [3, 0]}
N_OUTPUTS = 13


def made_numbers():
    """Place, factor, shift and gain of each output; codes are places of what is compared."""
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(4, N_OUTPUTS)).astype(np.float32)
    numbers[0, 6:9] = [0, 1, 2]
    return numbers


def by_hand(rows, numbers):
    columns = []
    sources = [(kind, source) for kind, of_kind in COLUMNS.items() for source in of_kind]
    for (kind, source), (place, factor, shift, gain) in zip(sources, numbers.T.astype(float), strict=True):
        x = rows[:, source].astype(float)
        t = (x - place) * factor
        values = {
            "clipped": t / np.sqrt(1 + (t / 3) ** 2),
            "ramp": np.minimum(np.maximum(t, 0), 1),
            "equal": np.where(np.isnan(x), 0, x == place),
            "missing": np.isnan(x) * 1.0,
            "wave": np.cos(t),
        }[kind]
        columns.append(np.where(np.isnan(values), 0, (values - shift) * gain))
    return np.stack(columns, axis=1)


def in_front(numbers=None):
    layer = ColumnEncoding(**COLUMNS)
    layer.build((None, 4))
    layer.numbers.assign(made_numbers() if numbers is None else numbers)
    return layer


def network(front, n_inputs):
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(6, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([keras.Input((n_inputs,)), *front, *dense])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(model, rows, dtype=np.float32):
    settings = Settings(epochs=4, batch_size=16, seed=0)
    own = Network.from_model(model)
    data = Data.of(rows.astype(dtype), Y)
    result = fit(own, data, data, settings)
    return result, own


def test_the_layer_computes_its_formulas():
    expected = by_hand(X, made_numbers())
    layer = in_front()
    np.testing.assert_allclose(layer(X).numpy(), expected, rtol=1e-5, atol=1e-5)


@needs_native
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_on_columns_equals_training_on_what_is_seen_of_them(dtype):
    front = in_front()
    result, own = trained(network([front], 4), X, dtype)
    seen, plain = trained(network([], N_OUTPUTS), front(X).numpy())
    assert result.way == seen.way == "native"
    np.testing.assert_allclose(result.history["val_loss"], seen.history["val_loss"], rtol=1e-4)
    for one, other in zip(own.get_weights()[1:], plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    np.testing.assert_array_equal(own.get_weights()[0], made_numbers())


@needs_native
def test_programs_and_keras_train_alike(monkeypatch):
    native, own = trained(network([in_front()], 4), X)
    monkeypatch.setattr(_extension, "engine", None)
    compiled, by_program = trained(network([in_front()], 4), X)
    assert (native.way, compiled.way) == ("native", "compiled")
    np.testing.assert_allclose(native.history["loss"], compiled.history["loss"], rtol=1e-4)
    for one, other in zip(own.get_weights(), by_program.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)


@needs_native
def test_prediction_is_that_of_keras():
    model = network([in_front()], 4)
    assert native_forward(model).encoding is not None
    kept, own = X.copy(), Network.from_model(model)
    answers = predict(own, X)
    np.testing.assert_allclose(answers, model.predict(X, verbose=0), atol=1e-6)
    np.testing.assert_array_equal(X, kept)
    for n_rows in (1, 2, 7, 8, 9, 25):
        np.testing.assert_array_equal(predict(own, X[:n_rows]), answers[:n_rows])


@needs_native
def test_a_prediction_refuses_an_encoding_that_does_not_fit():
    model = network([in_front()], 4)
    forward, values = native_forward(model), [variable.value.numpy() for variable in model.variables]
    weights, outputs = tuple(values[place] for place in forward.places), np.empty((90, 3), np.float32)
    counts, sources, numbers = forward.encoding.given(values)
    for encoding, message in [
        (None, "'kernel' must have 24 entries"),
        ((counts, sources + 1, numbers), "a column is not among those"),
        ((counts, sources, numbers[:3].copy()), "must have 52 entries"),
    ]:
        with pytest.raises(ValueError, match=message):
            forward.predict(forward.parts, forward.epsilons, weights, encoding, X, outputs, 1, False)


def test_a_stored_layer_is_the_same(tmp_path):
    model = trained(network([in_front()], 4), X)[1].model
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


@needs_native
def test_an_encoding_that_contradicts_itself_is_refused():
    given = []

    class Spy:
        def __getattr__(self, name):
            return (lambda *all_of_them: given.append(all_of_them)) if name == "run" else getattr(real, name)

    real, _extension.engine = _extension.engine, Spy()
    try:
        trained(network([in_front()], 4), X)
    finally:
        _extension.engine = real
    arguments, place = given[0], 16
    counts, sources, numbers = arguments[place]

    def changed(array, at, value):
        array = array.copy()
        array[at] = value
        return array

    for encoding, message in [
        ([counts, sources, numbers], "must be a tuple or None"),
        ((changed(counts, 0, -3), sources, numbers), "less than no numbers"),
        ((changed(counts, 0, 2), sources, numbers), "does not say what each number is"),
        ((counts, changed(sources, 5, 4), numbers), "a column is not among those"),
        ((counts, changed(sources, 5, -1), numbers), "a column is not among those"),
        ((counts, sources, numbers[:3].copy()), "must have 52 entries"),
        ((counts[:4].copy(), sources, numbers), "must have 5 entries"),
        (None, "entries"),
    ]:
        with pytest.raises(ValueError, match=message):
            real.run(*arguments[:place], encoding, *arguments[place + 1 :])
