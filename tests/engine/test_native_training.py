"""The native engine gives what Keras's own fit gives, with any number of threads and on any processor."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from test_equals_keras import BATCH_SIZE, N_ROWS, OPTIMIZERS, build, make_data, train_both_ways

from skneural._engine import Data, Network, Settings, fit
from skneural._engine.loop.passes import passes_of
from skneural._engine.model.template import Template
from skneural._engine.native import extension as _extension

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(_extension.engine is None, reason="the native engine was not built, for want of a C compiler"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras"),
]

L = keras.layers
KNOWN_OPTIMIZERS = ["sgd", "momentum", "decayed sgd", "adam", "adamw", "plain rmsprop", "rmsprop of momentum"]
STACKS = {
    "dense": lambda: [L.Dense(6, "relu"), L.Dense(5, "tanh", use_bias=False)],
    "one layer": lambda: [],
    "activations": lambda: [L.Dense(6), L.Activation("sigmoid"), L.Dense(5, "softplus"), L.Dense(4)],
    "one value": lambda: [L.Dense(1, "tanh"), L.Dense(4, "relu")],
    "penalties": lambda: [
        L.Dense(6, "relu", kernel_regularizer="l2", bias_regularizer="l1"),
        L.Dense(5, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02)),
    ],
}
# name: (loss, units and activation of the output layer, targets of make_data, metrics)
MSE, MAE = keras.metrics.MeanSquaredError, keras.metrics.MeanAbsoluteError
LOSSES = {
    "sparse": ("sparse_categorical_crossentropy", 3, "softmax", "sparse", lambda: ["accuracy"]),
    "sparse logits": (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        3,
        None,
        "sparse",
        lambda: ["sparse_categorical_accuracy"],
    ),
    "categorical": ("categorical_crossentropy", 3, "softmax", "categorical", lambda: ["accuracy", "mse"]),
    "categorical logits": (
        keras.losses.CategoricalCrossentropy(from_logits=True),
        3,
        None,
        "categorical",
        lambda: ["accuracy", "mse", MAE()],
    ),
    "binary": ("binary_crossentropy", 1, "sigmoid", "binary", lambda: ["accuracy"]),
    "multilabel": (keras.losses.BinaryCrossentropy(), 3, "sigmoid", "multilabel", lambda: ["binary_accuracy", "mae"]),
    "binary logits": (
        keras.losses.BinaryCrossentropy(from_logits=True),
        3,
        None,
        "multilabel",
        lambda: ["mae", "binary_accuracy", keras.metrics.BinaryAccuracy("sign", threshold=0.0)],
    ),
    "mse": ("mse", 1, None, "mse", lambda: ["mae", MSE()]),
    "two numbers": (keras.losses.MeanSquaredError(), 2, None, "mae", lambda: [MAE()]),
    "mae": ("mae", 2, None, "mae", list),
    "mse behind tanh": ("mse", 2, "tanh", "mae", list),
    "mae behind relu": (keras.losses.MeanAbsoluteError(), 2, "relu", "mae", list),
}


def model_of(stack="dense", loss="sparse", optimizer="sgd", weighted=False):
    keras.utils.set_random_seed(0)
    form, units, activation, _, metrics = LOSSES[loss]
    model = keras.Sequential([L.Input((8,)), *STACKS[stack](), L.Dense(units, activation)])
    model.compile(OPTIMIZERS[optimizer](), form, **{"weighted_metrics" if weighted else "metrics": metrics()})
    return model


def data_of(loss, weighted=False):
    return make_data(LOSSES[loss][3], weighted=weighted)


@pytest.mark.parametrize("optimizer", KNOWN_OPTIMIZERS)
def test_optimizer(optimizer):
    train_both_ways(lambda: model_of(optimizer=optimizer), data_of("sparse"), way="native")


@pytest.mark.parametrize(
    "optimizer", [keras.optimizers.Adam(0.01, beta_1=0.999, beta_2=0.99999), keras.optimizers.RMSprop(rho=0.9999)]
)
def test_moments_that_decay_slowly(optimizer):
    def make():
        model = model_of()
        own = type(optimizer).from_config(optimizer.get_config())
        model.compile(own, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    train_both_ways(make, data_of("sparse"), way="native", rtol=2e-5, epochs=4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_known_optimizers_run_in_the_native_engine(optimizer):
    settings = Settings(epochs=1, batch_size=BATCH_SIZE, seed=0)
    result = fit(Network.from_model(model_of(optimizer=optimizer)), data_of("sparse"), None, settings)
    assert result.way == ("native" if optimizer in KNOWN_OPTIMIZERS else "compiled")


@pytest.mark.parametrize("optimizer", KNOWN_OPTIMIZERS)
def test_a_known_optimizer_begins_as_kerass_own(optimizer):
    model = model_of(optimizer=optimizer)
    values = Template(model).optimizer_values
    model.optimizer.build(model.trainable_variables)
    assert [(value.shape, value.dtype) for value in values] == [
        (tuple(variable.shape), variable.dtype) for variable in model.optimizer.variables
    ]
    for value, variable in zip(values, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_metrics(loss):
    data = data_of(loss)
    train_both_ways(lambda: model_of(loss=loss), data, way="native", validation=data)


@pytest.mark.parametrize("loss", LOSSES)
def test_sample_weights(loss):
    data = data_of(loss, weighted=True)
    train_both_ways(lambda: model_of(loss=loss), data, way="native", validation=data)
    train_both_ways(lambda: model_of(loss=loss, weighted=True), data, way="native", validation=data)


def test_class_numbers_may_be_floats():
    data = make_data("sparse")
    data = Data.of(data.X, data.targets.astype(np.float32))
    train_both_ways(model_of, data, way="native", validation=data)


@pytest.mark.parametrize("stack", STACKS)
def test_layers(stack):
    data = data_of("sparse")
    train_both_ways(lambda: model_of(stack=stack), data, way="native", validation=data)
    train_both_ways(lambda: model_of(stack=stack, loss="two numbers"), data_of("two numbers"), way="native")


def model_with_dropout(rate=0.3, l2=0.01, learning_rate=0.01, seed=0):
    keras.utils.set_random_seed(seed)
    layers = [L.Dense(9, "relu", kernel_regularizer=keras.regularizers.L2(l2)), L.Dropout(rate), L.Dense(5, "tanh")]
    model = keras.Sequential([L.Input((8,)), L.Dropout(rate), *layers, L.Dropout(rate / 2), L.Dense(3, "softmax")])
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_dropout_drops_what_programs_drop(monkeypatch):
    data, settings = make_data("sparse"), Settings(epochs=3, batch_size=BATCH_SIZE, seed=5)
    networks = [Network.from_model(model_with_dropout()) for _ in range(2)]
    results = [fit(networks[0], data, data, settings)]
    monkeypatch.setattr(_extension, "engine", None)
    results.append(fit(networks[1], data, data, settings))
    assert [result.way for result in results] == ["native", "compiled"]
    for name, values in results[1].history.items():
        np.testing.assert_allclose(results[0].history[name], values, rtol=1e-5, err_msg=name)
    for one, other in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def way_of(model, data=None, validation=None, **settings):
    data = make_data("sparse") if data is None else data
    settings = Settings(**{"epochs": 1, "batch_size": BATCH_SIZE, "seed": 0} | settings)
    return passes_of(Network.from_model(model), data, validation, settings)[0].shape.runner


def test_targets_of_validation_of_another_shape_are_for_programs():
    data = make_data("mse")
    assert way_of(model_of(loss="mse"), data, validation=Data.of(data.X, data.targets)) == "native"
    assert way_of(model_of(loss="mse"), data, validation=Data.of(data.X, data.targets[:, None])) == "xla"


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_frozen_weight_is_for_others(optimizer):
    model = model_of(optimizer=optimizer)
    model.layers[0].bias.trainable = False
    model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy")
    assert way_of(model) == "xla"
    network = Network.from_model(model)
    assert fit(network, make_data("sparse"), None, Settings(epochs=1, batch_size=16, seed=0)).n_epochs == 1
    assert not network.get_weights()[1].any()


@pytest.mark.parametrize(
    "layer",
    [
        L.BatchNormalization(),
        L.Dense(4, "gelu"),
        L.Dense(4, "softmax"),
        L.Dense(4, kernel_constraint="non_neg"),
        L.Dense(4, kernel_regularizer="orthogonal_regularizer"),
        L.Dense(4, activity_regularizer="l2"),
        L.Dense(4, trainable=False),
        L.Dense(4, dtype="mixed_bfloat16"),
        L.GaussianNoise(0.1),
        L.Dropout(0.1, noise_shape=(None, 1)),
        L.Dense(4, "relu"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_other_layers_are_for_programs(layer):
    layer = type(layer).from_config(layer.get_config())
    behind = [L.Activation("tanh")] if layer.get_config().get("activation") == "relu" else []
    model = keras.Sequential([L.Input((8,)), L.Dense(4), layer, *behind, L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    assert way_of(model) == "xla"


@pytest.mark.parametrize(
    ("loss", "activation", "metrics"),
    [
        ("sparse_categorical_crossentropy", "sigmoid", None),
        (keras.losses.SparseCategoricalCrossentropy(ignore_class=1), "softmax", None),
        (keras.losses.SparseCategoricalCrossentropy(reduction="sum"), "softmax", None),
        (keras.losses.SparseCategoricalCrossentropy(dtype="float64"), "softmax", None),
        ("crossentropy", "softmax", None),
        ("sparse_categorical_crossentropy", "softmax", [keras.metrics.SparseTopKCategoricalAccuracy(2)]),
        ("poisson", "softplus", None),
    ],
)
def test_other_losses_and_metrics_are_for_programs(loss, activation, metrics):
    model = keras.Sequential([L.Input((8,)), L.Dense(3, activation)])
    model.compile("adam", loss, metrics=metrics)
    y = np.ones((N_ROWS, 3)) if loss == "poisson" else make_data("sparse").targets
    assert way_of(model, Data.of(make_data("sparse").X, y)) == "xla"


def test_a_class_that_the_network_does_not_know_is_left_to_programs():
    data = make_data("sparse")
    for wrong in (-1, 3):
        y = data.targets.copy()
        y[7] = wrong
        assert way_of(model_of(), Data.of(data.X, y)) == "xla"
        assert way_of(model_of(), data, validation=Data.of(data.X, y)) == "xla"


def test_class_numbers_that_are_not_whole_are_left_to_programs():
    data = make_data("sparse")
    assert way_of(model_of(), Data.of(data.X, data.targets.astype(np.float32))) == "native"
    assert way_of(model_of(), Data.of(data.X, data.targets + np.float32(0.4) * (data.targets < 2))) == "xla"


def test_an_epsilon_that_is_zero_is_left_to_programs():
    model = model_of()
    model.compile(keras.optimizers.Adam(epsilon=1e-46), "sparse_categorical_crossentropy")
    assert way_of(model) == "xla"


def test_what_is_dropped_may_be_infinite():
    data = make_data("sparse")
    X = data.X.copy()
    X[3, 2] = np.inf
    keras.utils.set_random_seed(0)
    model = keras.Sequential([L.Input((8,)), L.Dropout(1.0), L.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    result = fit(Network.from_model(model), Data.of(X, data.targets), None, Settings(epochs=1, batch_size=16, seed=0))
    assert result.way == "native"
    assert result.history["loss"] == pytest.approx([np.log(3)], rel=1e-3)


def test_a_weighted_loss_is_for_programs():
    model = model_of()
    model.compile("adam", "sparse_categorical_crossentropy", loss_weights=[0.5])
    assert way_of(model) == "xla"


def test_a_functional_model_is_for_programs():
    model = build()
    functional = keras.Model(model.inputs, model.outputs)
    functional.compile("adam", "sparse_categorical_crossentropy")
    assert way_of(functional) == "xla"
