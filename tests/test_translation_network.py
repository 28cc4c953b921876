"""The network of a translator equals what Keras computes, in training and token by token."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from skneural import _engine
from skneural._architectures.translation import TranslationArchitecture, build_translation
from skneural._architectures.translation_step import following_tokens, translation_step
from skneural._architectures.warm_adam import WarmAdam
from skneural._decoding.beams import BeamSearch, _best, forced
from skneural._decoding.networks import TranslationNumbers
from skneural._decoding.numbers import NamedWeights
from skneural._rows.packing import pack

BEGIN, END = 1, 2


def sizes_of(architecture, **changed):
    sizes = {"n_tokens": 40, "d_model": 16, "n_heads": 2, "n_encoder_layers": 2, "n_decoder_layers": 2}
    return TranslationArchitecture(architecture, **sizes | changed, d_feedforward=24, activation="relu", dropout=0.0)


def network_of(architecture, **changed):
    """Give a Keras model of random weights, none of them zero or one, and the same network as arrays."""
    sizes = sizes_of(architecture, **changed)
    keras.utils.set_random_seed(0)
    model = build_translation(sizes)
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign(weight.value.numpy() + 0.3 * rng.normal(size=weight.shape))
    values = {variable.path: variable.value.numpy() for variable in model.variables}
    return model, TranslationNumbers(sizes, NamedWeights(values), lambda rows: np.maximum(rows, 0))


def drawn_pairs(n, n_tokens=40, longest=12):
    rng = np.random.default_rng(1)
    return [
        [rng.integers(4, n_tokens, rng.integers(0, longest)).tolist() for _ in range(n)] for _ in ("source", "target")
    ]


def alone(model, source, target):
    """Logits behind each token of one pair, (n_target + 1, n_tokens)."""
    return model([np.array([[*source, END]]), np.array([[BEGIN, *target]])]).numpy()[0]


@pytest.fixture(scope="module", params=["transformer", "recurrent"])
def both(request):
    return network_of(request.param)


def test_sentences_of_a_row_do_not_see_each_other(both):
    model, _ = both
    sources, targets = drawn_pairs(8)
    packed = pack(sources, targets, None, length=32, begin=BEGIN, end=END, seed=0)
    assert len(packed.source) < 6
    logits = model([packed.source, packed.target]).numpy()
    by_pair = {}
    for source, target, answers in zip(packed.source, packed.target, logits, strict=True):
        sentences = np.split(source, np.flatnonzero(source == END) + 1)
        starts = [*np.flatnonzero(target == BEGIN), np.flatnonzero(target).max() + 1]
        for sentence, first, last in zip(sentences, starts, starts[1:], strict=False):
            by_pair[tuple(sentence[:-1]), tuple(target[first + 1 : last])] = answers[first:last]
    for source, target in zip(sources, targets, strict=True):
        np.testing.assert_allclose(by_pair[tuple(source), tuple(target)], alone(model, source, target), atol=2e-5)


def test_tokens_said_one_by_one_have_the_probabilities_of_keras(both):
    model, network = both
    sources, targets = drawn_pairs(6)
    for position, log_shares, shares in forced(network, sources, targets):
        source, target = sources[position], targets[position]
        expected = keras.ops.log_softmax(alone(model, source, target)).numpy()
        rows = np.arange(len(target) + 1)
        np.testing.assert_allclose(log_shares, expected[rows, [*target, END]], atol=1e-4)
        assert shares.shape == (len(target) + 1, 2, len(source) + 1)
        np.testing.assert_allclose(shares.sum(axis=2), 1, atol=1e-5)


def test_attention_is_that_of_the_last_layer_in_keras(both):
    model, network = both
    source, target = [5, 9, 13, 8], [7, 6, 11]
    ((_, _, shares),) = forced(network, [source], [target])
    decoder = model.get_layer("decoder")
    layer = decoder.get_layer("decoder_2_source")
    inputs = keras.Model(decoder.inputs, layer._inbound_nodes[0].arguments.args[0])
    tokens = [keras.ops.convert_to_tensor([one]) for one in ([BEGIN, *target], [*source, END])]
    memory = model.get_layer("encoder")(tokens[1])
    _, expected = layer(inputs([*tokens, memory]), memory, return_attention_scores=True)
    np.testing.assert_allclose(shares.swapaxes(0, 1), expected.numpy()[0], atol=1e-5)


def test_one_beam_takes_the_likeliest_token_of_keras_each_time(both):
    model, network = both
    sources, _ = drawn_pairs(3, longest=8)
    search = BeamSearch(1, 1.0, lambda source: len(source) + 5)
    for source, (found,) in zip(sources, search.translate(network, sources), strict=True):
        said = []
        while len(said) + 1 < len(source) + 5:
            logits = alone(model, source, said)[-1]
            logits[[0, 1, 3]] = -np.inf
            if (best := int(logits.argmax())) == END:
                break
            said.append(best)
        assert found.tokens == tuple(said)


def test_a_sentence_is_translated_the_same_alone_and_among_many(both):
    _, network = both
    sources, _ = drawn_pairs(300, longest=25)
    for n_beams in (1, 4):
        search = BeamSearch(n_beams, 1.0, lambda source: 2 * len(source) + 5)
        together = search.translate(network, sources)
        for position in range(0, 300, 29):
            assert search.translate(network, [sources[position]])[0] == together[position]


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_as_many_beams_as_there_are_translations_find_the_best(length_penalty):
    tokens, source = [4, 5, 6, 7, 8], [6, 4]
    model, network = network_of("transformer", n_tokens=9)
    best = (-np.inf, ())
    for n in range(3):
        for said in itertools.product(tokens, repeat=n):
            shares = keras.ops.log_softmax(alone(model, source, said)).numpy()
            total = shares[np.arange(n + 1), [*said, END]].sum()
            best = max(best, (total / (n + 1) ** length_penalty, said))
    search = BeamSearch(40, length_penalty, lambda source: 3)
    found = search.translate(network, [source])[0]
    assert found[0].tokens == best[1]
    assert found[0].score == pytest.approx(best[0], abs=1e-4)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_marks_are_never_said(both):
    _, network = both
    sources, _ = drawn_pairs(50)
    for found in BeamSearch(4, 1.0, lambda source: 20).translate(network, sources):
        assert all(min(one.tokens, default=4) >= 4 for one in found)


def test_following_tokens():
    target = tf.constant([[BEGIN, 7, 8, BEGIN, 9, 0], [BEGIN, BEGIN, 5, 6, 7, 8]])
    expected = [[7, 8, END, 9, END, END], [END, 5, 6, 7, 8, END]]
    np.testing.assert_array_equal(following_tokens(target), expected)


@pytest.mark.parametrize("architecture", ["transformer", "recurrent"])
def test_a_step_is_that_of_keras_with_smoothed_labels_and_masks(architecture):
    sizes = sizes_of(architecture, n_encoder_layers=1, n_decoder_layers=1)
    sources, targets = drawn_pairs(12)
    weights = np.random.default_rng(2).uniform(0.5, 2, 12)
    packed = pack(sources, targets, weights, length=32, begin=BEGIN, end=END, seed=0)

    def compiled(model):
        model.compile(keras.optimizers.SGD(0.5))

    blueprint = _engine.Blueprint(("keras?", sizes), lambda: build_translation(sizes), compiled, {})
    network = _engine.Network.from_blueprint(blueprint, seed=0)
    model = network.snapshot().model
    settings = _engine.Settings(epochs=1, batch_size=99, seed=0, step=translation_step(0.1))
    result = _engine.fit(network, _engine.Data.of(_engine.ManyInputs(packed)), None, settings)

    # The same pairs, one in each row, through Keras's own loss and fit.
    rows = [np.zeros((12, 16), "int32") for _ in range(3)]
    token_weights = np.zeros((12, 16), "float32")
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        rows[0][row, : len(source) + 1] = [*source, END]
        rows[1][row, : len(target) + 1] = [BEGIN, *target]
        rows[2][row, : len(target) + 1] = [*target, END]
        token_weights[row, : len(target) + 1] = weights[row]
    token_weights /= token_weights.mean()
    labels = keras.ops.one_hot(rows[2], sizes.n_tokens).numpy()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(keras.optimizers.SGD(0.5), loss=loss)
    history = model.fit(rows[:2], labels, sample_weight=token_weights, epochs=1, batch_size=12, verbose=0).history
    assert result.history["loss"][0] == pytest.approx(history["loss"][0], rel=1e-5)
    for ours, theirs in zip(network.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def test_the_first_steps_of_warm_adam_are_small():
    weight = keras.Variable(np.zeros(1, "float32"))
    optimizer = WarmAdam(0.1, warmup_steps=4)
    places = [0.0]
    for _ in range(6):
        optimizer.apply([keras.ops.ones(1)], [weight])
        places.append(float(weight.value[0]))
    # Of equal gradients each step of Adam is the learning rate.
    np.testing.assert_allclose(-np.diff(places), [0.025, 0.05, 0.075, 0.1, 0.1, 0.1], rtol=1e-4)
    again = WarmAdam.from_config(optimizer.get_config())
    assert again.warmup_steps == 4


@pytest.mark.parametrize("width", [5, 64, 1000, 4037])
def test_the_best_values_of_a_row(width):
    values = np.random.default_rng(0).normal(size=(7, width)).astype(np.float32)
    for n in (1, 2, 5):
        np.testing.assert_array_equal(_best(values, n), np.argsort(-values, axis=1)[:, :n])
