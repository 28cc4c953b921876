"""Small networks and data for the engine's tests."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest

from skneural._engine import Blueprint, Data
from skneural._engine.native import extension as _extension


@pytest.fixture(autouse=True)
def _programs_for_dense_networks_too(request, monkeypatch):
    """Train the networks of these tests by programs, which they are about, unless marked otherwise."""
    if request.node.get_closest_marker("native") is None:
        monkeypatch.setattr(_extension, "engine", None)


def build_dense(n_features, n_classes, hidden, dropout=0.0, l2=0.0):
    layers = [keras.layers.Input((n_features,))]
    for width in hidden:
        layers.append(keras.layers.Dense(width, activation="relu", kernel_regularizer=keras.regularizers.L2(l2)))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    layers.append(keras.layers.Dense(n_classes, activation="softmax"))
    return keras.Sequential(layers)


def compile_dense(optimizer, learning_rate, model):
    optimizer = keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": learning_rate}})
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])


def dense_blueprint(hidden=(16,), dropout=0.0, l2=0.0, optimizer="adam", learning_rate=1e-3):
    build = partial(build_dense, 8, 3, hidden, dropout=dropout, l2=l2)
    key = ("dense", hidden, dropout > 0, optimizer)
    compiling = partial(compile_dense, optimizer, learning_rate)
    return Blueprint(key, build, compiling, {"learning_rate": learning_rate, "l2": l2, "dropout": dropout})


@pytest.fixture
def three_blobs():
    """103 rows of 8 features in three classes, the last batch of 16 being shorter than the others."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 103)
    X = rng.normal(size=(103, 8)) + 2.0 * np.eye(8)[y]
    return Data.of(X.astype(np.float32), y.astype(np.int32))
