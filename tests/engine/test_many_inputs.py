"""Models with several inputs: compiled, they train and predict as Keras's own ``fit`` and ``predict`` do."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from skneural._engine import Data, ManyInputs, Network, Settings, fit, predict
from skneural._engine.data import feeding as _feeding
from skneural._engine.xla.program import traces

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

L = keras.layers
RNG = np.random.default_rng(0)
WORDS, NUMBERS, IMAGES = RNG.integers(0, 9, (50, 4)), RNG.normal(size=(50, 3)), RNG.normal(size=(50, 4, 2))
Y = RNG.normal(size=(50, 2)).astype(np.float32)
WEIGHTS = RNG.uniform(0.5, 2.0, 50).astype(np.float32)
NAMED = {"numbers": NUMBERS, "words": WORDS, "images": IMAGES}


def model_of(form, dropout=0.0):
    """One that takes whole numbers, decimal ones and tables; ``form`` is how it was built with them."""
    keras.utils.set_random_seed(0)
    words = keras.Input((4,), dtype="int32", name="words")
    numbers, images = keras.Input((3,), name="numbers"), keras.Input((4, 2), name="images")
    joined = [L.Flatten()(L.Embedding(9, 3)(words)), L.BatchNormalization()(numbers), L.LSTM(3)(images)]
    outputs = L.Dense(2)(L.Dropout(dropout)(L.Concatenate()(joined)))
    inputs = [words, numbers, images]
    model = keras.Model(inputs if form is list else {one.name: one for one in inputs}, outputs)
    # With TensorFlow Keras's Adam squares the gradients of a word that a batch has twice apart, not their sum.
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse", metrics=["mae"])
    return model


def as_given(model, words=WORDS, numbers=NUMBERS, images=IMAGES):
    arrays = {"words": words, "numbers": numbers, "images": images}
    return arrays if isinstance(model.input, dict) else list(arrays.values())


@pytest.mark.parametrize("form", [list, dict])
@pytest.mark.parametrize("is_streamed", [False, True], ids=["resident", "in parts"])
def test_several_inputs_train_and_predict_as_in_keras(form, is_streamed, monkeypatch):
    if is_streamed:
        monkeypatch.setattr(_feeding, "RESIDENT_BYTES", 0)
        monkeypatch.setattr(_feeding, "PART_BYTES", 2 * 16 * (4 + 3 + 8) * 4)
    ours, theirs = Network.from_model(model_of(form)), model_of(form)
    inputs = ManyInputs([WORDS, NUMBERS, IMAGES]) if form is list else ManyInputs(NAMED)
    settings = Settings(epochs=2, batch_size=16, seed=0, shuffle=False)
    result = fit(ours, Data.of(inputs, Y, WEIGHTS), Data.of(inputs, Y), settings)
    assert result.way == "compiled", result.why_keras
    theirs.run_eagerly = True  # no tracing
    fitted = theirs.fit(
        as_given(theirs),
        Y,
        sample_weight=WEIGHTS,
        validation_data=(as_given(theirs), Y),
        epochs=2,
        batch_size=16,
        shuffle=False,
        verbose=0,
    )
    assert sorted(result.history) == sorted(fitted.history)
    for name, values in fitted.history.items():
        np.testing.assert_allclose(result.history[name], values, rtol=2e-4, err_msg=name)
    for value, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-5)
    expected = theirs.predict(as_given(theirs), verbose=0)
    np.testing.assert_allclose(predict(ours, inputs), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(predict(ours, inputs[3:4]), predict(ours, inputs)[3:4])
    assert predict(ours, inputs, output=ours.model.layers[-3].name).shape == (50, 18)


@pytest.mark.parametrize("inputs", [ManyInputs([WORDS, NUMBERS, IMAGES]), ManyInputs(NAMED)], ids=["list", "names"])
def test_several_inputs_in_kerass_own_fit(inputs):
    networks = [Network.from_model(model_of(list)) for _ in range(2)]
    for network, arguments in zip(networks, ({}, {"validation_freq": 1}), strict=True):
        settings = Settings(epochs=1, batch_size=16, seed=0, keras_fit_arguments=arguments)
        assert fit(network, Data.of(inputs, Y, WEIGHTS), None, settings).way == ("keras" if arguments else "compiled")
    for value, expected in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-5)


def test_inputs_by_name_may_come_in_any_order_and_with_others():
    networks = [Network.from_model(model_of(list)) for _ in range(2)]
    settings = Settings(epochs=1, batch_size=16, seed=0)
    fit(networks[0], Data.of(ManyInputs([WORDS, NUMBERS, IMAGES]), Y), None, settings)
    before = traces.n_traces
    named = ManyInputs({**NAMED, "more": NUMBERS})
    fit(networks[1], Data.of(named, Y), None, settings)
    assert traces.n_traces == before
    np.testing.assert_array_equal(
        predict(networks[0], ManyInputs([WORDS, NUMBERS, IMAGES])), predict(networks[1], named)
    )


def test_networks_of_several_inputs_share_a_program():
    inputs = ManyInputs([WORDS, NUMBERS, IMAGES])
    for n_rows, n_traces in ((50, 1), (41, 0)):
        before = traces.n_traces
        network = Network.from_model(model_of(list, dropout=0.1 + n_rows / 1000))
        fit(network, Data.of(inputs[:n_rows], Y[:n_rows]), None, Settings(epochs=1, batch_size=8, seed=0))
        assert traces.n_traces - before == n_traces


def test_inputs_that_the_model_does_not_have_are_named():
    settings = Settings(epochs=1, batch_size=16, seed=0)
    with pytest.raises(ValueError, match="inputs named 'words', 'numbers', 'images', but X has arrays named 'numbers'"):
        fit(Network.from_model(model_of(list)), Data.of(ManyInputs({"numbers": NUMBERS}), Y), None, settings)
    with pytest.raises(ValueError, match="The model has 3 inputs, but X is 2 arrays"):
        fit(Network.from_model(model_of(list)), Data.of(ManyInputs([WORDS, NUMBERS]), Y), None, settings)
