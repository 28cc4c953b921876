from __future__ import annotations

import copy
import pickle
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import dense_blueprint

from skneural import DenseNetClassifier
from skneural._engine import Blueprint, Network, Settings, fit, predict
from skneural._engine.model.template import Template

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

SETTINGS = Settings(epochs=2, batch_size=16, seed=3)


def test_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (Network.from_blueprint(dense_blueprint(), seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_a_network_is_built_only_when_its_model_is_asked_for():
    network = Network.from_blueprint(dense_blueprint(), 1)
    weights = network.get_weights()
    assert not network.is_materialised
    assert all(np.array_equal(a, b) for a, b in zip(weights, network.model.get_weights(), strict=True))
    assert network.is_materialised


def test_weights_follow_the_initializer_that_the_model_was_built_with():
    kernel = Network.from_blueprint(dense_blueprint(hidden=(400,)), 5).get_weights()[0]
    limit = np.sqrt(6 / (8 + 400))
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_weights_set_by_the_user_show_in_predictions(three_blobs):
    network = Network.from_blueprint(dense_blueprint(), 1)
    network.model.set_weights([np.zeros_like(w) for w in network.get_weights()])
    np.testing.assert_allclose(predict(network, three_blobs.X), 1 / 3, rtol=1e-6)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n)), Network.snapshot])
@pytest.mark.parametrize("made_from", ["blueprint", "model"])
def test_a_copy_predicts_the_same_and_trains_on_identically(made_from, duplicate, three_blobs):
    network = Network.from_blueprint(dense_blueprint(), 1)
    if made_from == "model":
        network = Network.from_model(network.model)
    fit(network, three_blobs, None, SETTINGS)
    other = duplicate(network)
    assert np.array_equal(predict(network, three_blobs.X), predict(other, three_blobs.X))
    for trained in (network, other):
        fit(trained, three_blobs, None, SETTINGS)
    for ours, theirs in zip(network.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_snapshot_does_not_follow_its_origin(three_blobs):
    network = Network.from_blueprint(dense_blueprint(), 1)
    kept = network.snapshot()
    fit(network, three_blobs, None, SETTINGS)
    assert not np.array_equal(kept.get_weights()[0], network.get_weights()[0])


@pytest.mark.parametrize("is_materialised", [False, True])
def test_numbers_change_the_training_to_come(is_materialised):
    network = Network.from_blueprint(dense_blueprint(dropout=0.5, l2=0.1), 1)
    if is_materialised:
        assert network.model
    network.update_numbers({"learning_rate": 0.25, "dropout": 0.1, "l2": 0.5})
    assert float(network.model.optimizer.learning_rate) == 0.25
    assert network.model.layers[0].kernel_regularizer.l2 == 0.5
    assert network.model.layers[1].rate == 0.1


def test_an_initializer_with_a_seed_of_its_own_keeps_it():
    def build():
        return keras.Sequential(
            [
                keras.layers.Input((4,)),
                keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(seed=7)),
                keras.layers.Dense(2, bias_initializer="ones"),
            ]
        )

    blueprint = Blueprint("own seeds", build, lambda model: model.compile("adam", "mse"), {})
    first, second = (Network.from_blueprint(blueprint, seed).get_weights() for seed in (1, 2))
    assert np.array_equal(first[0], second[0])
    assert not np.array_equal(first[2], second[2])
    assert np.array_equal(second[3], np.ones(2))


def test_no_global_generator_is_touched(three_blobs):
    python, numpy = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    network = Network.from_blueprint(dense_blueprint(hidden=(7,), dropout=0.5), 1)
    assert network.model
    fit(network, three_blobs, None, SETTINGS)
    predict(network, three_blobs.X)
    assert random.getstate() == python
    assert np.array_equal(np.random.get_state()[1], numpy)  # noqa: NPY002


def _network_of(activation, dtype="float32"):
    layers = [keras.Input((8,), dtype="float32"), keras.layers.Dense(3, activation=activation, dtype=dtype)]
    model = keras.Sequential(layers)
    model.set_weights([np.arange(weight.size).reshape(weight.shape) / 9 for weight in model.get_weights()])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return Network.from_model(model)


def test_models_that_differ_only_in_a_function_of_the_same_name_do_not_share_a_program(three_blobs):
    def scaled_by(factor):
        def scaled(values):
            return values * factor

        return scaled

    networks = [_network_of(scaled_by(factor)) for factor in (1.0, 2.0)]
    once, twice = (predict(network, three_blobs.X) for network in networks)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-6)
    losses = []
    for network in networks:
        result = fit(network, three_blobs, None, SETTINGS)
        assert result.way == "compiled", result.why_keras
        losses.append(result.history["loss"][0])
    assert abs(losses[0] - losses[1]) > 0.01


def test_models_that_differ_only_in_their_dtype_do_not_share_a_program(three_blobs):
    single, double = (_network_of("tanh", dtype) for dtype in ("float32", "float64"))
    assert single.template_key != double.template_key
    np.testing.assert_allclose(predict(single, three_blobs.X), predict(double, three_blobs.X), atol=1e-6)


class Noisy(keras.optimizers.SGD):
    """Begins with random numbers, and cannot be made from its configuration."""

    def __init__(self, rate, *, needed):
        super().__init__(rate)

    def build(self, variables):
        super().build(variables)
        if not hasattr(self, "noise"):
            self.noise = self.add_variable((3,), initializer=keras.initializers.RandomUniform(seed=1), name="noise")


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adagrad(initial_accumulator_value=0.3),
        lambda: keras.optimizers.Ftrl(initial_accumulator_value=0.2),
        lambda: keras.optimizers.Nadam(0.01, use_ema=True),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
    ],
)
def test_the_first_state_of_an_optimizer_is_that_of_keras(make):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(make(), "mse")
    template = Template(model)
    optimizer = make()
    optimizer.build(model.trainable_variables)
    assert len(template.optimizer_values) == len(optimizer.variables)
    for ours, theirs in zip(template.optimizer_values, optimizer.variables, strict=True):
        value = theirs.value.numpy()
        assert ours.dtype == value.dtype
        np.testing.assert_array_equal(ours, value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Noisy(0.5, needed=1),
        lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1)),
        lambda: keras.optimizers.ScheduleFreeAdamW(0.1),
        lambda: keras.optimizers.MultiOptimizer(keras.optimizers.OptimizerMap(keras.optimizers.Adam())),
    ],
)
def test_an_optimizer_that_no_program_can_use_trains_through_keras(make, three_blobs):
    model = keras.Sequential([keras.Input((three_blobs.X.shape[1],)), keras.layers.Dense(3, "softmax")])
    model.compile(make(), "sparse_categorical_crossentropy")
    assert Template(model).optimizer_values == []
    network = Network.from_model(model)
    result = fit(network, three_blobs, None, SETTINGS)
    assert result.way == "keras"
    assert predict(network, three_blobs.X).shape == (len(three_blobs.X), 3)


def test_an_optimizer_that_begins_with_the_weights_begins_with_those_that_were_drawn():
    """The weights that average in ScheduleFreeAdamW are those that the seed gives, not those of the engine's model."""
    network = DenseNetClassifier((4,), optimizer="schedulefreeadamw", learning_rate=0.01, epochs=1, random_state=3)
    X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    network.initialize(X, y)
    drawn = network.model_.get_weights()
    assert network.fit(X, y).engine_ == "keras"
    assert all(np.abs(new - old).max() < 0.1 for new, old in zip(network.model_.get_weights(), drawn, strict=True))
    assert network.predict(X).shape == (4,)


def test_the_engines_own_model_of_a_blueprint_stands_in_a_graph():
    """There its weights take no memory."""
    network = Network.from_blueprint(dense_blueprint(hidden=(9,), dropout=0.5), 1)
    with network.template().model.variables[0].value.graph.as_default():
        assert not tf.executing_eagerly()


def test_a_blueprint_that_needs_values_at_once_is_built_with_them(three_blobs):
    def orthonormal(shape, dtype=None):
        return np.linalg.qr(keras.random.normal(shape, seed=0).numpy())[0]

    def build():
        output = keras.layers.Dense(3, activation="softmax", kernel_initializer=orthonormal)
        return keras.Sequential([keras.layers.Input((8,)), output])

    def compile_it(model):
        model.compile("adam", "sparse_categorical_crossentropy")

    network = Network.from_blueprint(Blueprint("at once", build, compile_it, {}), 1)
    kernel = network.get_weights()[0]
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(3), atol=1e-6)
    assert fit(network, three_blobs, None, SETTINGS).way == "compiled"


def of_global_seed(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype)


GENERATOR = keras.random.SeedGenerator(4)


def of_own_generator(shape, dtype=None):
    return keras.random.normal(shape, dtype=dtype, seed=GENERATOR)


def as_array(shape, dtype=None):
    # A tensor of a graph raises NotImplementedError here, which keras.Sequential swallows.
    return np.linalg.qr(keras.random.normal(shape, seed=0))[0]


def of_tensorflow(shape, dtype=None):
    return tf.random.normal(shape, dtype=dtype)


@pytest.mark.parametrize("initializer", [of_global_seed, of_own_generator, as_array, of_tensorflow])
def test_an_initializer_of_a_user_draws_as_it_does_outside_of_a_graph(initializer, three_blobs):
    def build():
        output = keras.layers.Dense(3, activation="softmax", kernel_initializer=initializer)
        return keras.Sequential([keras.layers.Input((8,)), output])

    def compile_it(model):
        model.compile("adam", "sparse_categorical_crossentropy")

    network = Network.from_blueprint(Blueprint(initializer.__name__, build, compile_it, {}), 1)
    assert network.get_weights()[0].std() > 0.1
    assert fit(network, three_blobs, None, SETTINGS).way == "compiled"
    assert keras.random.normal((2,)).shape == (2,)


def test_tensorflows_global_seed_reaches_an_initializer_of_a_user():
    def build():
        return keras.Sequential([keras.layers.Input((8,)), keras.layers.Dense(3, kernel_initializer=of_tensorflow)])

    drawn = []
    for key in ("first", "second"):
        tf.random.set_seed(5)
        blueprint = Blueprint(("global seed", key), build, lambda model: model.compile("adam", "mse"), {})
        drawn.append(Network.from_blueprint(blueprint, 1).get_weights()[0])
    np.testing.assert_array_equal(*drawn)


def test_a_failed_training_leaves_an_optimizer_that_no_program_can_use_as_it_was():
    class Fails(keras.callbacks.Callback):
        is_on = True

        def on_epoch_end(self, epoch, logs=None):
            if self.is_on:
                raise OSError("no room left")

    X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    fails = Fails()
    networks = [
        DenseNetClassifier((4,), optimizer="schedulefreeadamw", learning_rate=0.01, callbacks=one, random_state=3)
        for one in (fails, None)
    ]
    for network in networks:
        network.initialize(X, y)
    with pytest.raises(OSError, match="no room left"):
        networks[0].partial_fit(X, y)
    fails.is_on = False
    weights = [network.partial_fit(X, y).model_.get_weights() for network in networks]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


class Scaled(keras.layers.Layer):
    """It holds a tensor, as a user's own activation may."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.factors = tf.stack([tf.constant(1.0), tf.constant(2.0)] * 8)

    def call(self, inputs):
        return inputs * self.factors


class Drawn(Scaled):
    """The tensor that it holds is no constant."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.factors = tf.random.stateless_uniform([16], [1, 2])


@pytest.mark.parametrize("kind", [Scaled, Drawn])
def test_layers_may_hold_tensors(kind, three_blobs):
    def build():
        layers = [keras.layers.Input((8,)), keras.layers.Dense(16), kind(), keras.layers.Dense(3, "softmax")]
        return keras.Sequential(layers)

    blueprint = Blueprint(kind, build, lambda model: model.compile("adam", "sparse_categorical_crossentropy"), {})
    network = Network.from_blueprint(blueprint, 1)
    before = predict(network, three_blobs.X)
    np.testing.assert_allclose(before, network.model.predict(three_blobs.X, verbose=0), atol=1e-5)
    network = Network.from_blueprint(blueprint, 1)
    # What a user has written may mix rows, so the last batch is not padded.
    assert fit(network, three_blobs, None, SETTINGS).way == "compiled"


@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_uniform", "lecun_uniform"])
def test_kernels_that_numpy_draws_are_spread_as_kerass_are(initializer):
    model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(200, kernel_initializer=initializer)])
    model.compile("sgd", "mse")
    template = Template(model)
    kernel, bias = template.initial_weights.draw(1)
    theirs = keras.initializers.get(initializer)((300, 200)).numpy()
    assert not bias.any()
    assert kernel.dtype == np.float32
    for measured in (np.min, np.max, np.std):
        assert measured(kernel) == pytest.approx(measured(theirs), rel=0.01)
    assert abs(kernel.mean()) < 0.002
    np.testing.assert_array_equal(template.initial_weights.draw(1)[0], kernel)
    assert np.abs(template.initial_weights.draw(2)[0] - kernel).max() > 0.05
