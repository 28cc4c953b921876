"""Categories of columns with many of them are seen as trained vectors."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from skneural import TabularNetClassifier, TabularNetRegressor
from skneural._architectures.column_embedding import ColumnEmbedding

RNG = np.random.default_rng(0)
N = 240
NAMES = [f"city {place:02}" for place in range(12)]
TABLE = pd.DataFrame({"city": NAMES * (N // 12), "kind": RNG.choice(["a", "b"], N), "size": RNG.normal(size=N)})
Y = np.arange(N) % 12 % 3 + 0.1 * TABLE["size"]
SMALL = {"hidden_layer_sizes": (8,), "learning_rate": 0.02, "epochs": 15, "n_members": 2, "random_state": 0}


def regressor(**parameters):
    return TabularNetRegressor(**SMALL | {"embedding_size": 4} | parameters)


def test_a_category_has_the_vector_that_keras_looks_up():
    inputs = keras.Input((9,))
    layer = ColumnEmbedding([(1, 4), (5, 9)], 2)
    model = keras.Model(inputs, layer(inputs))
    first, second = (keras.layers.Embedding(n, 2) for n in (3, 4))
    codes = RNG.integers(0, 3, 20), RNG.integers(0, 4, 20)
    looked_up = [embedding(code).numpy() for embedding, code in zip((first, second), codes, strict=True)]
    layer.set_weights([np.concatenate([first.get_weights()[0], second.get_weights()[0]])])
    others = RNG.normal(size=(20, 2))
    rows = np.concatenate([others[:, :1], np.eye(3)[codes[0]], others[:, 1:], np.eye(4)[codes[1]]], axis=1)
    np.testing.assert_allclose(model.predict(rows, verbose=0), np.concatenate([others, *looked_up], axis=1), rtol=1e-6)
    assert model.output_shape == (None, 6)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(rows, verbose=0), model.predict(rows, verbose=0))


def test_vectors_are_trained_as_keras_trains_embeddings():
    codes, targets = RNG.integers(0, 5, 64), RNG.normal(size=(64, 1))
    runs = keras.Sequential([keras.Input((5,)), ColumnEmbedding([(0, 5)], 3), keras.layers.Dense(1)])
    looked_up = keras.Sequential(
        [keras.Input((1,)), keras.layers.Embedding(5, 3), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    looked_up.set_weights(runs.get_weights())
    for model, rows in ((runs, np.eye(5)[codes]), (looked_up, codes[:, None])):
        model.compile(keras.optimizers.SGD(0.1), "mean_squared_error")
        model.fit(rows, targets, batch_size=16, epochs=3, shuffle=False, verbose=0)
    for one, other in zip(runs.get_weights(), looked_up.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_only_columns_of_more_than_nine_categories_are_embedded():
    fitted = regressor().fit(TABLE, Y)
    assert fitted.engine_ == "compiled"
    member = fitted._network.networks[0].model
    (layer,) = (one for one in member.layers if isinstance(one, ColumnEmbedding))
    assert layer.embeddings.shape == (12, 4)
    # The size itself with 16 ramps, two kinds, one vector.
    assert layer.output.shape == (None, 1 + 16 + 2 + 4)
    few = TABLE.assign(city=TABLE["city"].replace(dict.fromkeys(NAMES[9:], NAMES[0])))
    plain, embedded = (regressor(embedding_size=size).fit(few, Y) for size in (None, 4))
    assert embedded.engine_ == "native"
    np.testing.assert_array_equal(plain.predict(few), embedded.predict(few))


def test_it_learns_and_predicts_after_a_pickle_and_as_a_keras_model():
    fitted = regressor(epochs=60).fit(TABLE, Y)
    assert fitted.score(TABLE, Y) > 0.9
    predictions = fitted.predict(TABLE)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(TABLE), predictions)
    scaled = fitted.model_.predict(fitted.coded(TABLE), verbose=0)
    np.testing.assert_allclose(
        fitted.target_encoder_.inverse_transform(scaled).ravel(), predictions, rtol=1e-4, atol=1e-4
    )
    again = clone(fitted).fit(TABLE, Y)
    np.testing.assert_array_equal(again.predict(TABLE), predictions)


def test_missing_and_unseen_categories_have_the_vector_of_zeros():
    # Nothing is missing in fit, so that no number of the network tells both apart.
    fitted = regressor().fit(TABLE, Y)
    unknown = pd.DataFrame({"city": ["elsewhere", None], "kind": ["a", "a"], "size": [0.0, 0.0]})
    missing, unseen = fitted.predict(unknown)
    assert missing == unseen
    member = fitted._network.networks[0].model
    (layer,) = (one for one in member.layers if isinstance(one, ColumnEmbedding))
    seen = keras.Model(member.inputs, layer.output).predict(fitted.coded(unknown), verbose=0)
    np.testing.assert_array_equal(seen[:, -4:], 0)


def test_a_classifier_has_it_too():
    labels = np.where(np.arange(N) % 12 % 3 == 1, "yes", "no")
    fitted = TabularNetClassifier(**SMALL | {"embedding_size": np.int64(3), "epochs": 60}).fit(TABLE, labels)
    assert fitted.score(TABLE, labels) > 0.95
    fitted.partial_fit(TABLE, labels)
    assert fitted.engine_ == "compiled"


@pytest.mark.parametrize("size", [0, 2.5, "auto"])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="The 'embedding_size' parameter of TabularNetRegressor must be an int"):
        regressor(embedding_size=size).fit(TABLE, Y)
