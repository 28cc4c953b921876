"""Oracle: dense networks in C answer as Keras does, and give a row the same answer in whatever company."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from skneural._engine import Network, predict
from skneural._engine import prediction as _prediction
from skneural._engine.native import extension as _extension
from skneural._engine.native.forward import native_forward

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(_extension.engine is None, reason="the native engine was not built, for want of a C compiler"),
]
L = keras.layers
SIZES = [1, 2, 7, 8, 9, 15, 16, 17, 25, 399, 401, 1000]


def built(*layers, n_features=5):
    model = keras.Sequential([keras.Input((n_features,)), *layers])
    model.compile(loss="mse")
    rng = np.random.default_rng(0)
    weights = model.get_weights()
    kernels = [rng.normal(0, len(weight) ** -0.5, weight.shape) for weight in weights]
    vectors = [rng.uniform(0.5, 2.0, weight.shape) for weight in weights]
    model.set_weights([kernel if kernel.ndim == 2 else vector for kernel, vector in zip(kernels, vectors, strict=True)])
    return model


def rows(n_rows=37, n_features=5):
    return np.random.default_rng(1).normal(size=(n_rows, n_features)).astype(np.float32)


def large():
    return built(
        *(
            L.Dense(65, "relu"),
            L.Dropout(0.3),
            L.Dense(33, use_bias=False),
            L.BatchNormalization(),
            L.Activation("tanh"),
        ),
        *(L.Dense(16, "sigmoid"), L.Dense(10, "softmax")),
        n_features=51,
    )


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "tanh", "softmax", "softplus"])
def test_answers_equal_those_of_keras(activation):
    model = built(
        L.Dense(7, activation=activation),
        L.Dropout(0.5),
        L.Dense(20, use_bias=False),
        L.BatchNormalization(epsilon=0.1),
        L.Activation(activation),
        L.BatchNormalization(center=False),
        L.BatchNormalization(scale=False),
        L.Dense(3, activation=activation),
    )
    X = rows()
    kept = X.copy()
    assert native_forward(model) is not None
    np.testing.assert_allclose(predict(Network.from_model(model), X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(X, kept)


@pytest.mark.parametrize("front", [L.BatchNormalization, lambda: L.Activation("tanh"), lambda: L.Dropout(0.1)])
def test_the_callers_rows_stay_as_they_are_where_no_dense_layer_stands_in_front(front):
    model, X = built(front(), L.Dense(2)), rows()
    kept = X.copy()
    np.testing.assert_allclose(predict(Network.from_model(model), X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(X, kept)


@pytest.mark.parametrize("width", [1, 15, 16, 17, 100])
@pytest.mark.parametrize("n_rows", [1, 6, 500])
def test_kernels_of_every_width_and_numbers_of_rows_equal_keras(width, n_rows):
    model, X = built(L.Dense(width, "relu"), L.Dense(width), n_features=9), rows(n_rows, 9)
    np.testing.assert_allclose(predict(Network.from_model(model), X), model.predict(X, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("is_portable", [False, True])
def test_a_row_has_the_same_bits_in_any_company(is_portable, monkeypatch):
    monkeypatch.setattr(_extension, "IS_PORTABLE", is_portable)
    network, X = Network.from_model(large()), rows(1000, 51)
    together = predict(network, X)
    for n_rows in SIZES:
        np.testing.assert_array_equal(predict(network, X[:n_rows]), together[:n_rows])
    for batch_size in SIZES[1:]:
        np.testing.assert_array_equal(predict(network, X, batch_size), together)


@pytest.mark.parametrize("place", range(7))
def test_answers_of_a_layer_within_equal_those_of_keras_and_are_the_same_in_any_company(place):
    model, X = large(), rows(401, 51)
    network, name = Network.from_model(model), model.layers[place].name
    assert native_forward(model, place) is not None
    found = predict(network, X, output=name)
    expected = keras.Model(model.inputs[0], model.layers[place].output)(X).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for start in (0, 150, 395):
        np.testing.assert_array_equal(predict(network, X[start : start + 1], output=name)[0], found[start])


def test_a_layer_behind_one_that_it_does_not_know_is_answered_by_tensorflow():
    model, X = built(L.Dense(6, "relu"), L.Dense(5, "gelu"), L.Dense(3)), rows()
    assert native_forward(model, 0) is not None
    assert native_forward(model, 1) is native_forward(model, 2) is None
    for place in range(3):
        expected = keras.Model(model.inputs[0], model.layers[place].output)(X).numpy()
        found = predict(Network.from_model(model), X, output=model.layers[place].name)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_neither_dtype_nor_layout_of_the_rows_matters():
    network, X = Network.from_model(large()), rows(40, 51)
    expected = predict(network, X)
    for same in (X.astype(np.float64), np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X[::-1].copy()[::-1]):
        np.testing.assert_array_equal(predict(network, same), expected)
    whole = np.round(3 * X)
    np.testing.assert_array_equal(predict(network, whole.astype(np.int8)), predict(network, whole))


def test_weights_that_lie_column_by_column_are_the_same_weights():
    network, X = Network.from_model(large()), rows(20, 51)
    expected = predict(network, X)
    network.variable_values = lambda: [np.asfortranarray(value) for value in Network.variable_values(network)]
    np.testing.assert_array_equal(predict(network, X), expected)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_threads_change_no_bit(n_threads):
    model, X = large(), rows(700, 51)
    forward, values = native_forward(model), [variable.value.numpy() for variable in model.variables]
    arguments = forward.parts, forward.epsilons, tuple(values[place] for place in forward.places), None, X
    alone, shared = np.zeros((700, 10), np.float32), np.zeros((700, 10), np.float32)
    forward.predict(*arguments, alone, 1, False)
    forward.predict(*arguments, shared, n_threads, False)
    np.testing.assert_array_equal(shared, alone)
    np.testing.assert_array_equal(predict(Network.from_model(model), X), alone)


def test_sixteen_threads_at_once_get_what_one_gets():
    network, X = Network.from_model(large()), rows(320, 51)
    expected = predict(network, X)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda start: predict(network, X[start : start + 20]), range(0, 320, 20)))
    np.testing.assert_array_equal(np.concatenate(answers), expected)


def test_instructions_change_rounding_only(monkeypatch):
    network, X = Network.from_model(large()), rows(100, 51)
    expected = predict(network, X)
    monkeypatch.setattr(_extension, "IS_PORTABLE", True)
    np.testing.assert_allclose(predict(network, X), expected, rtol=1e-4, atol=1e-6)


def test_large_inputs_overflow_nowhere():
    model = built(L.Dense(4, activation="sigmoid"), L.Dense(3, activation="softmax"))
    probabilities = predict(Network.from_model(model), 1e6 * rows())
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_what_is_no_number_stays_none():
    model = built(L.Dense(20, "relu"), L.Dense(3, "softmax"))
    X = rows(3)
    X[1, 2] = np.nan
    outputs = predict(Network.from_model(model), X)
    np.testing.assert_array_equal(np.isnan(outputs).all(axis=1), [False, True, False])
    np.testing.assert_array_equal(np.isnan(outputs).any(axis=1), [False, True, False])


def test_no_rows_get_no_answers():
    assert predict(Network.from_model(large()), rows(0, 51)).shape == (0, 10)


def test_many_rows_go_through_in_blocks(monkeypatch):
    model, X = large(), rows(100, 51)
    expected = predict(Network.from_model(model), X)
    monkeypatch.setattr("skneural._engine.native.forward._MAX_BLOCK_VALUES", 51 * 7)
    assert native_forward(model).block_size == 7
    calls = []
    forward = native_forward(model)
    way = _prediction._Forward(
        _prediction.ModelInputs.of(model),
        forward.block_size,
        lambda values, rows: calls.append(1) or forward(values, *rows),
    )
    network = Network.from_model(model)
    network.forward = way
    np.testing.assert_array_equal(predict(network, X), expected)
    assert len(calls) == 15


@pytest.mark.parametrize(
    "layer",
    [
        L.Dense(3, activation="gelu"),
        L.Dense(3, dtype="bfloat16"),
        L.LayerNormalization(),
        L.Rescaling(0.5),
    ],
    ids=["activation", "dtype", "layer", "rescaling"],
)
def test_what_it_does_not_know_goes_to_tensorflow(layer):
    model = built(L.Dense(4), layer, L.Dense(2))
    assert native_forward(model) is None
    expected = model.predict(rows(), verbose=0)
    np.testing.assert_allclose(predict(Network.from_model(model), rows()), expected, rtol=1e-2, atol=1e-3)


def test_without_the_extension_the_program_predicts(monkeypatch):
    monkeypatch.setattr(_extension, "engine", None)
    model, X = built(L.Dense(13, "tanh"), L.Dense(3, "softmax"), n_features=6), rows(20, 6)
    assert native_forward(model) is None
    answers = predict(Network.from_model(model), X)
    np.testing.assert_allclose(answers, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(predict(Network.from_model(model), X[:3]), answers[:3])


# --- the function of the module believes nothing ----------------------------------------------------------------------


def call_of(model, n_rows=30):
    forward, values = native_forward(model), [variable.value.numpy() for variable in model.variables]
    X = rows(n_rows, forward.n_features)
    weights = tuple(values[place] for place in forward.places)
    outputs = np.zeros((n_rows, forward.n_outputs), np.float32)
    return [forward.parts, forward.epsilons, weights, None, X, outputs, 1, False]


PARTS, EPSILONS, WEIGHTS, ENCODING, X_PLACE, OUTPUTS = range(6)


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (PARTS, lambda parts: changed(parts, (0, 0), 2), "the kind of a part is unknown"),
        (PARTS, lambda parts: changed(parts, (0, 0), -1), "the kind of a part is unknown"),
        (PARTS, lambda parts: changed(parts, (0, 1), 0), r"from 1 to 2\*\*24 outputs"),
        (PARTS, lambda parts: changed(parts, (0, 1), 2**30), r"from 1 to 2\*\*24 outputs"),
        (PARTS, lambda parts: changed(parts, (0, 1), 64), "'kernel' must have 3264 entries"),
        (PARTS, lambda parts: changed(parts, (0, 2), 2), r"a bias \(1\) or has none \(0\)"),
        (PARTS, lambda parts: changed(parts, (1, 1), 6), "an activation is unknown"),
        (PARTS, lambda parts: changed(parts, (3, 1), 3), r"gamma and beta \(1\) or not \(0\)"),
        (PARTS, lambda parts: parts[:-1].copy(), "'epsilons' must have 8 entries"),
        (PARTS, lambda parts: parts.ravel()[:-1].copy(), "three numbers"),
        (PARTS, lambda parts: parts[:0].copy(), "there must be one"),
        (PARTS, lambda parts: parts.astype(np.int64), "'parts' must have the kind 'i'"),
        (EPSILONS, lambda epsilons: epsilons - 1, "must not be negative"),
        (EPSILONS, lambda epsilons: epsilons * np.nan, "must not be negative"),
        (WEIGHTS, lambda weights: weights[:-1], "too few arrays"),
        (WEIGHTS, lambda weights: (*weights, weights[0]), "too many arrays"),
        (WEIGHTS, lambda weights: (weights[0][:-1].copy(), *weights[1:]), "'kernel' must have 3315 entries"),
        (
            WEIGHTS,
            lambda weights: (*weights[:-1], np.append(weights[-1], weights[-1][:1])),
            "'bias' must have 10 entries",
        ),
        (ENCODING, lambda encoding: [], "an encoding must be a tuple or None"),
        (X_PLACE, lambda X: X[:, :-1].copy(), "'kernel' must have 3250 entries"),
        (X_PLACE, lambda X: X.ravel(), "'X' must have two axes. Got 1 instead"),
        (X_PLACE, lambda X: X.astype(np.float64), "'X' must have the kind 'f'"),
        (X_PLACE, lambda X: X[:, :0].copy(), "rows must have from 1"),
        (OUTPUTS, lambda outputs: outputs[:-1].copy(), "room for each output of each row"),
        (OUTPUTS, lambda outputs: outputs[:, :-1].copy(), "room for each output of each row"),
    ],
)
def test_what_contradicts_itself_is_refused(place, change, message):
    call = call_of(large())
    call[place] = change(call[place])
    with pytest.raises(ValueError, match=message):
        _extension.engine.predict(*call)


def test_memory_that_cannot_be_read_in_order_or_written_is_refused():
    call = call_of(large())
    with pytest.raises((ValueError, BufferError)):
        _extension.engine.predict(*call[:X_PLACE], np.asfortranarray(call[X_PLACE]), *call[OUTPUTS:])
    call[OUTPUTS].flags.writeable = False
    with pytest.raises((ValueError, BufferError)):
        _extension.engine.predict(*call)
    with pytest.raises(TypeError, match="tuple"):
        _extension.engine.predict(*call[:WEIGHTS], list(call[WEIGHTS]), *call[ENCODING:])


FUZZ = """
import sys
sys.path[:0] = [{folder!r}]
import numpy as np
from test_native_predictions import WEIGHTS, _extension, call_of, large
arguments = call_of(large())
rng = np.random.default_rng(0)
odd = [None, -1, 0, 2**31, "text", b"", (), (1, 2), np.zeros(0, np.float32), np.zeros((3, 3)), {{}}, 1e300]
def broken(given):
    kind = rng.integers(4)
    if kind == 0 or not isinstance(given, np.ndarray) or not given.size:
        return odd[rng.integers(len(odd))]
    if kind == 1:
        return np.resize(given, rng.integers(0, given.size + 50)).astype(given.dtype)
    if kind == 2 and given.ndim == 2:
        return np.resize(given, rng.integers(0, 40, 2)).astype(given.dtype)
    given = given.copy()
    values = rng.integers(-10, 30) if given.dtype.kind == "i" else [np.nan, np.inf, -1e30, 5][rng.integers(4)]
    given.flat[rng.integers(given.size)] = values
    return given
n_refused = 0
for _ in range(3000):
    call = list(arguments)
    place = rng.integers(len(call))
    if place == WEIGHTS and rng.integers(4):
        weights = list(call[WEIGHTS])
        at = rng.integers(len(weights))
        weights[at] = broken(weights[at])
        call[WEIGHTS] = tuple(weights)
    else:
        call[place] = broken(call[place])
    try:
        _extension.engine.predict(*call)
    except (ValueError, TypeError, BufferError, OverflowError, MemoryError):
        n_refused += 1
print(n_refused)
"""


def test_thousands_of_odd_calls_end_no_process(request):
    code = FUZZ.format(folder=str(request.path.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1000
