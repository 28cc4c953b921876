"""A network of any family as a file of Keras's, and back into its estimator."""

import keras
import numpy as np
import pytest
from keras.src.saving.object_registration import GLOBAL_CUSTOM_OBJECTS

import skneural
from skneural import (
    ConvNetClassifier,
    DenseNetClassifier,
    NeighborEmbedding,
    RecurrentNetClassifier,
    RecurrentNetRegressor,
    Seq2SeqTranslator,
    TabularNetClassifier,
    TabularNetRegressor,
)
from skneural._stored.own_forms import _WITH_LAYERS

RNG = np.random.default_rng(0)
TABLE, SEQUENCES = RNG.normal(size=(40, 16)), RNG.normal(size=(40, 12, 2))
CLASSES, NUMBERS = (TABLE[:, 0] > 0).astype(int), TABLE[:, 1]
SENTENCES = [" ".join(RNG.choice(list("abcdefg"), 4)) for _ in range(40)]
SMALL = {"d_model": 16, "n_encoder_layers": 1, "n_decoder_layers": 1, "d_feedforward": 16, "vocab_size": 300}
ESTIMATORS = {
    "dense classes": (DenseNetClassifier((5,), dropout=0.1, batch_normalization=True), TABLE, CLASSES),
    "images": (ConvNetClassifier((4,), image_shape=(4, 4)), TABLE, CLASSES),
    "sequences": (RecurrentNetClassifier(), SEQUENCES, CLASSES),
    "forecasts": (RecurrentNetRegressor(), SEQUENCES, NUMBERS),
    "tables, classes": (TabularNetClassifier((8,), n_members=2), TABLE, CLASSES),
    "tables, shares": (TabularNetRegressor((8,), n_members=2, loss="quantile", quantiles=(0.1, 0.9)), TABLE, NUMBERS),
    "neighbours": (NeighborEmbedding(n_neighbors=5), TABLE, None),
    "neighbours, rows too": (NeighborEmbedding(n_neighbors=5, reconstruction_weight=1.0), TABLE, None),
    "translator": (Seq2SeqTranslator(**SMALL, n_heads=2), SENTENCES, [one.upper() for one in SENTENCES]),
    "recurrent translator": (
        Seq2SeqTranslator(**SMALL, n_heads=2, architecture="recurrent"),
        SENTENCES,
        [one.upper() for one in SENTENCES],
    ),
}


def of_two_epochs(estimator):
    """Return an unfitted copy that takes two epochs."""
    return type(estimator)(**{**estimator.get_params(deep=False), "epochs": 2, "random_state": 0})


def answers(estimator, X, y):
    """What the network says of rows, in numbers."""
    if isinstance(estimator, Seq2SeqTranslator):
        return estimator.score_samples(X, y)
    method = "predict_proba" if hasattr(estimator, "predict_proba") else "transform"
    return getattr(estimator, method if hasattr(estimator, method) else "predict")(X)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_network_goes_to_a_file_of_keras_and_back(name, tmp_path):
    estimator, X, y = ESTIMATORS[name]
    estimator = of_two_epochs(estimator).fit(X, y)
    rows, targets = X[:6], None if y is None else y[:6]
    expected = answers(estimator, rows, targets)
    estimator.model_.save(tmp_path / "model.keras")
    trained = keras.models.load_model(tmp_path / "model.keras")

    changed = estimator.model_
    changed.set_weights([0.5 * weight for weight in changed.get_weights()])
    estimator.model_ = changed
    assert not np.allclose(answers(estimator, rows, targets), expected)
    estimator.model_ = trained
    # The mean of several members is taken in another order.
    np.testing.assert_allclose(answers(estimator, rows, targets), expected, rtol=1e-5, atol=1e-7)

    estimator.save(tmp_path / "model.skn")
    loaded = skneural.load(tmp_path / "model.skn")
    np.testing.assert_array_equal(answers(loaded, rows, targets), answers(estimator, rows, targets))
    if name.startswith("tables"):
        with pytest.raises(ValueError, match="stands for the mean of 2 members"):
            loaded.partial_fit(X, y)
    elif hasattr(loaded, "partial_fit"):
        loaded.partial_fit(X, y)
        assert not np.array_equal(answers(loaded, rows, targets), expected)


def test_a_translator_takes_a_network_of_its_own_tokens_alone():
    estimator, X, y = ESTIMATORS["translator"]
    estimator = of_two_epochs(estimator).fit(X, y)
    n_tokens = estimator.tokenizer_.n_tokens
    estimator.tokenizer_ = of_two_epochs(estimator).set_params(tokenizer="char").fit(X, y).tokenizer_
    with pytest.raises(ValueError, match=f"but the model has vectors of {n_tokens}"):
        estimator.model_ = estimator.model_
    with pytest.raises(ValueError, match=r"needs a model of its own kind.*Got a Sequential"):
        estimator.model_ = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])


def test_an_embedding_takes_a_network_of_its_columns_and_places_alone():
    fitted = of_two_epochs(ESTIMATORS["neighbours"][0]).fit(TABLE)
    with pytest.raises(ValueError, match=r"needs a model with 2 outputs for a row\. Got one with 3"):
        fitted.model_ = keras.Sequential([keras.Input((16,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"takes rows of shape \(4,\)"):
        fitted.model_ = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])


def test_all_that_keras_knows_of_ours_by_name_can_be_found():
    ours = {
        kind.__module__.removeprefix("skneural.") for name, kind in GLOBAL_CUSTOM_OBJECTS.items() if "skneural>" in name
    }
    assert ours <= set(_WITH_LAYERS)
