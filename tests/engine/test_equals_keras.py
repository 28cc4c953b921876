"""The compiled engine gives what Keras's own fit gives on the same batches."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from skneural._engine import Data, Network, Settings, fit
from skneural._engine.model import products as _products

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

L = keras.layers
N_ROWS, BATCH_SIZE = 70, 16  # the last batch has 6 rows

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.05),
    "decayed sgd": lambda: keras.optimizers.SGD(0.05, weight_decay=0.05),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "plain rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "rmsprop of momentum": lambda: keras.optimizers.RMSprop(0.01, rho=0.8, momentum=0.5),
    "nadam": lambda: keras.optimizers.Nadam(0.01),
    "adagrad": lambda: keras.optimizers.Adagrad(0.05),
    "adadelta": lambda: keras.optimizers.Adadelta(1.0),
    "adamax": lambda: keras.optimizers.Adamax(0.01),
    "ftrl": lambda: keras.optimizers.Ftrl(0.05),
    "lion": lambda: keras.optimizers.Lion(0.001),
    "adafactor": lambda: keras.optimizers.Adafactor(0.01),
    "lamb": lambda: keras.optimizers.Lamb(0.01),
    "muon": lambda: keras.optimizers.Muon(0.01),
    "clipnorm": lambda: keras.optimizers.SGD(0.5, clipnorm=0.1),
    "clipvalue": lambda: keras.optimizers.SGD(0.5, clipvalue=0.01),
    "global clipnorm": lambda: keras.optimizers.SGD(0.5, global_clipnorm=0.1),
    "average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "overwriting average": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
    "accumulation": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3, weight_decay=0.01),
    "schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.05, 5, 0.5)),
}

# name: (loss, units and activation of the output layer, targets, metrics)
LOSSES = {
    "sparse": ("sparse_categorical_crossentropy", 3, "softmax", "class", ["accuracy"]),
    "sparse logits": (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, None, "class", None),
    "categorical": (
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        3,
        "softmax",
        "one hot",
        ["accuracy", keras.metrics.AUC(), keras.metrics.TopKCategoricalAccuracy(2)],
    ),
    "focal": ("categorical_focal_crossentropy", 3, "softmax", "one hot", ["categorical_accuracy"]),
    "kl": ("kl_divergence", 3, "softmax", "one hot", None),
    "categorical hinge": ("categorical_hinge", 3, None, "one hot", None),
    "binary": (
        "binary_crossentropy",
        1,
        "sigmoid",
        "binary",
        ["accuracy", keras.metrics.AUC(), keras.metrics.Precision(), keras.metrics.Recall()],
    ),
    "multilabel": ("binary_crossentropy", 3, "sigmoid", "labels", ["binary_accuracy", keras.metrics.F1Score()]),
    "hinge": ("hinge", 1, "tanh", "binary", None),
    "squared hinge": ("squared_hinge", 1, "tanh", "binary", None),
    "mse": ("mse", 1, None, "number", ["mae", keras.metrics.RootMeanSquaredError(), keras.metrics.R2Score()]),
    "mae": (keras.losses.MeanAbsoluteError(reduction="sum"), 2, None, "numbers", ["mse"]),
    "weighted mean": (keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"), 2, None, "numbers", None),
    "huber": (keras.losses.Huber(0.3), 2, None, "numbers", None),
    "log cosh": ("log_cosh", 2, None, "numbers", [keras.metrics.CosineSimilarity()]),
    "poisson": ("poisson", 2, "softplus", "labels", None),
    "mape": ("mean_absolute_percentage_error", 2, None, "numbers", None),
    "msle": ("mean_squared_logarithmic_error", 2, "softplus", "labels", None),
    "cosine": ("cosine_similarity", 2, None, "numbers", None),
    "dice, which mixes rows": (keras.losses.Dice(), 3, "sigmoid", "labels", None),
}

STACKS = {
    "dense": lambda: [L.Dense(6, "relu"), L.Dense(5, "tanh", use_bias=False)],
    "penalties": lambda: [
        L.Dense(6, "relu", kernel_regularizer="l2", bias_regularizer="l1"),
        L.Dense(5, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02)),
    ],
    "activity penalty": lambda: [L.Dense(6, "relu", activity_regularizer=keras.regularizers.L2(0.01))],
    "orthogonal": lambda: [L.Dense(6, kernel_regularizer="orthogonal_regularizer")],
    "batch normalisation": lambda: [L.Dense(6), L.BatchNormalization(), L.Activation("relu")],
    "one normalised feature": lambda: [L.Dense(1), L.BatchNormalization(center=False), L.Dense(3)],
    "layer normalisation": lambda: [L.Dense(6), L.LayerNormalization(), L.PReLU()],
    "constraints": lambda: [L.Dense(6, kernel_constraint="max_norm", bias_constraint="non_neg")],
    "frozen": lambda: [L.Dense(6, "relu", trainable=False), L.Dense(4)],
    "convolution": lambda: [
        L.Reshape((4, 2, 1)),
        L.Conv2D(3, 2, padding="same", activation="relu"),
        L.BatchNormalization(),
        L.MaxPooling2D((2, 1)),
        L.Flatten(),
    ],
    "valid convolutions": lambda: [
        L.Reshape((4, 2, 1)),
        L.Conv2D(3, (2, 1), activation="relu"),
        L.Conv2D(2, (1, 2), padding="same"),
        L.AveragePooling2D((2, 1)),
        L.Flatten(),
    ],
    "strided convolution": lambda: [L.Reshape((4, 2, 1)), L.Conv2D(3, 2, strides=(2, 1), padding="same"), L.Flatten()],
    "convolutions over time": lambda: [
        L.Reshape((8, 1)),
        L.Conv1D(3, 3, padding="causal", activation="relu"),
        L.MaxPooling1D(2),
        L.Conv1D(2, 2),
        L.AveragePooling1D(2),
        L.Flatten(),
    ],
    "channels first": lambda: [L.Reshape((4, 2)), L.Conv1D(3, 2), L.BatchNormalization(axis=1), L.Flatten()],
    "gru": lambda: [L.Reshape((4, 2)), L.GRU(4)],
    "bidirectional lstm": lambda: [L.Reshape((4, 2)), L.Bidirectional(L.LSTM(3, return_sequences=True)), L.Flatten()],
    "shared steps": lambda: [L.Reshape((4, 2)), L.TimeDistributed(L.Dense(3)), L.GlobalAveragePooling1D()],
}


def build(stack="dense", loss="sparse", optimizer="sgd", weighted=False):
    keras.utils.set_random_seed(0)
    loss, units, activation, _, metrics = LOSSES[loss]
    model = keras.Sequential([L.Input((8,)), *STACKS[stack](), L.Dense(units, activation)])
    metrics = [m if isinstance(m, str) else type(m).from_config(m.get_config()) for m in metrics or []]
    model.compile(OPTIMIZERS[optimizer](), loss, **{"weighted_metrics" if weighted else "metrics": metrics})
    return model


def targets(kind, rng):
    labels = rng.integers(0, 3, N_ROWS)
    return {
        "class": labels,
        "one hot": np.eye(3)[labels],
        "binary": (labels > 0).astype(np.float32),
        "labels": rng.integers(0, 2, (N_ROWS, 3)).astype(np.float32),
        "number": rng.normal(size=N_ROWS),
        "numbers": rng.normal(size=(N_ROWS, 2)),
    }[kind]


def make_data(loss, weighted=False):
    rng = np.random.default_rng(1)
    _, units, _, kind, _ = LOSSES[loss]
    y = targets(kind, rng)
    y = y[:, :units] if kind == "labels" else y
    weights = rng.uniform(0.2, 2.0, N_ROWS).astype(np.float32) if weighted else None
    return Data.of(rng.normal(size=(N_ROWS, 8)).astype(np.float32), y, weights)


def train_both_ways(make_model, data, rtol=2e-4, way="compiled", validation=None, **changes):
    settings = Settings(**{"epochs": 2, "batch_size": BATCH_SIZE, "seed": 5, **changes})
    ours = Network.from_model(make_model())
    result = fit(ours, data, validation, settings)
    assert result.way == way, result.why_keras
    theirs = Network.from_model(make_model())
    theirs.model.run_eagerly = True  # no tracing
    expected = fit(
        theirs, data, validation, Settings(**{**vars(settings), "keras_fit_arguments": {"validation_freq": 1}})
    )
    assert expected.why_keras == "fit arguments of Keras's own: validation_freq"
    assert list(result.history) == list(expected.history)
    for name, values in expected.history.items():
        np.testing.assert_allclose(result.history[name], values, rtol=rtol, atol=1e-5, err_msg=name)
    ours, theirs = ours.state, theirs.state
    for kind in ("variables", "optimizer"):
        for value, other in zip(getattr(ours, kind), getattr(theirs, kind), strict=True):
            np.testing.assert_allclose(value, other, rtol=rtol, atol=2e-5)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer(optimizer):
    train_both_ways(lambda: build(optimizer=optimizer), make_data("sparse"))


@pytest.mark.parametrize(
    "optimizer", ["decayed sgd", "adamw", "average", "accumulation", "schedule", "global clipnorm"]
)
def test_optimizer_beside_a_model_that_xla_does_not_compile(optimizer, monkeypatch):
    monkeypatch.setattr(_products, "MAX_WINDOW_VALUES", 0)
    train_both_ways(lambda: build("convolution", optimizer=optimizer), make_data("sparse"))


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_metrics(loss):
    data = make_data(loss)
    train_both_ways(lambda: build(loss=loss), data, validation=data)


@pytest.mark.parametrize("loss", ["sparse", "binary", "multilabel", "mse", "mae", "weighted mean"])
def test_sample_weights(loss):
    train_both_ways(lambda: build(loss=loss), make_data(loss, weighted=True))
    train_both_ways(lambda: build(loss=loss, weighted=True), make_data(loss, weighted=True))


@pytest.mark.parametrize("stack", STACKS)
def test_layers(stack):
    train_both_ways(lambda: build(stack=stack), make_data("sparse"))


@pytest.mark.parametrize("stack", ["convolution", "valid convolutions"])
def test_convolutions_by_kernels_of_tensorflow(stack, monkeypatch):
    monkeypatch.setattr(_products, "MAX_WINDOW_VALUES", 0)
    train_both_ways(lambda: build(stack=stack), make_data("sparse"))


def test_a_layer_that_assigns_to_its_trained_weights_trains_through_keras():
    settings = Settings(epochs=1, batch_size=BATCH_SIZE, seed=5)
    STACKS["spectral"] = lambda: [L.SpectralNormalization(L.Dense(6))]
    result = fit(Network.from_model(build(stack="spectral")), make_data("sparse"), None, settings)
    assert result.way == "keras"
    assert result.why_keras == "a layer changes its own trained weights"
