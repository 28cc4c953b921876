"""Networks for images: shapes of X, parameters, errors, and their place in scikit-learn."""

from __future__ import annotations

import pickle
import re

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skneural import ConvNetClassifier, ConvNetRegressor, parallel_fits
from skneural._engine.xla.program import traces
from skneural._families.convolutional import auto_epochs
from skneural._rows.validation import moments_of_all_values

# Keras 3.15 has no `copy` argument in Variable.__array__.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

SMALL = {
    "filters": 8,
    "convolutions_per_block": 1,
    "hidden_layer_sizes": 16,
    "batch_normalization": True,
    "epochs": 3,
    "random_state": 0,
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:400], y[:400]


def test_digits_are_read(digits):
    X, y = digits
    network = ConvNetClassifier(image_shape=(8, 8), filters=16, epochs=60, random_state=0).fit(X[:300], y[:300])
    assert network.engine_ == "compiled"
    assert network.score(X[300:], y[300:]) > 0.9


def test_flat_rows_tables_and_images_of_any_dtype_give_the_same(digits):
    X, y = digits
    expected = ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(X, y).predict_proba(X)
    whole = X.astype(np.uint8)
    for rows, image_shape in [
        (whole, None),
        (pd.DataFrame(X.astype(np.int64)), (8, 8, 1)),
        (sparse.csr_array(X), [8, 8]),
        (whole.reshape(-1, 8, 8), None),
        (X.reshape(-1, 8, 8, 1), (8, 8)),
    ]:
        network = ConvNetClassifier(image_shape=image_shape, **SMALL).fit(rows, y)
        np.testing.assert_allclose(network.predict_proba(rows), expected, rtol=1e-5, atol=1e-6)


def test_prediction_does_not_depend_on_the_dtype_and_scale_is_learned(digits):
    X, y = digits
    network = ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(X, y)
    np.testing.assert_array_equal(network.predict_proba(X.astype(np.uint8)), network.predict_proba(X))
    larger = ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(16 * X, y)
    np.testing.assert_allclose(larger.predict_proba(16 * X), network.predict_proba(X), rtol=1e-4, atol=1e-5)


def test_pixels_reach_the_convolutions_standardised(digits):
    X, y = digits
    model = ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(X, y).model_
    scaled = model.get_layer("standardization")(X.reshape(-1, 8, 8, 1).astype(np.float32))
    np.testing.assert_allclose([np.mean(scaled), np.std(scaled)], [0, 1], atol=1e-5)


def test_moments_are_those_of_numpy_and_heed_weights(digits):
    X = digits[0][:9]
    weights = np.arange(9) % 3
    np.testing.assert_allclose(moments_of_all_values(X, None), [X.mean(), X.std()])
    repeated = np.repeat(X, weights, axis=0)
    assert moments_of_all_values(X, weights) == moments_of_all_values(repeated, None)
    np.testing.assert_allclose(moments_of_all_values(sparse.csr_array(X), None), [X.mean(), X.std()])
    assert moments_of_all_values(np.full((5, 4), 0.1), None) == (0.1, 1.0)


def test_layers_follow_the_parameters(digits):
    network = ConvNetClassifier(
        image_shape=(8, 8),
        filters=(4, 6),
        kernel_size=(5, 3),
        convolutions_per_block=2,
        pooling="average",
        hidden_layer_sizes=(7,),
        activation=["relu", "tanh", "gelu"],
        batch_normalization=False,
        l2=0.01,
        epochs=1,
    ).fit(*digits)
    layers = network.model_.layers
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.kernel.shape for layer in convolutions] == [(5, 5, 1, 4), (5, 5, 4, 4), (3, 3, 4, 6), (3, 3, 6, 6)]
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    assert [layer.kernel.shape for layer in dense] == [(2 * 2 * 6, 7), (7, 10)]
    assert [layer.activation.__name__ for layer in [*convolutions, dense[0]]] == [*["relu"] * 2, *["tanh"] * 2, "gelu"]
    assert sum(isinstance(layer, keras.layers.AveragePooling2D) for layer in layers) == 2
    assert all(layer.kernel_regularizer.l2 == pytest.approx(0.01) for layer in [*convolutions, *dense])


@pytest.mark.parametrize(("side", "filters"), [(8, (32, 64)), (15, (32, 64)), (16, (16, 32, 64))])
def test_filters_are_chosen_by_the_size_of_the_images(side, filters):
    X = np.random.default_rng(0).random((40, side, side + 4))
    model = ConvNetRegressor(epochs=1).fit(X, X[:, 0, 0]).model_
    found = [layer.filters for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert found == list(np.repeat(filters, 2))


def test_regressor_learns_where_the_light_is():
    X = np.random.default_rng(0).random((300, 6, 6))
    y = 1e3 * X[:, :, :3].sum(axis=(1, 2))
    network = ConvNetRegressor(filters=8, epochs=40, dropout=0.0, random_state=0).fit(X[:200], y[:200])
    assert network.score(X[200:], y[200:]) > 0.7


def test_images_go_through_search_and_cross_validation(digits):
    X, y = digits[0].reshape(-1, 8, 8), digits[1]
    search = GridSearchCV(ConvNetClassifier(**SMALL), {"filters": [4, (4, 8)], "dropout": [0.1, 0.3]}, cv=2)
    with parallel_fits():
        together = search.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(search.fit(X, y).cv_results_["mean_test_score"], together)
    assert len(cross_validate(ConvNetRegressor(**SMALL), X, y, cv=2)["test_score"]) == 2


def test_pipeline_with_flat_rows(digits):
    pipeline = make_pipeline(MinMaxScaler(), ConvNetClassifier(image_shape=(8, 8), **SMALL))
    assert pipeline.fit(*digits).predict(digits[0]).shape == (400,)


def test_folds_of_equal_room_share_a_program(digits):
    X, y = digits
    ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(X[:390], y[:390])
    before = traces.n_traces
    ConvNetClassifier(image_shape=(8, 8), **{**SMALL, "dropout": 0.4, "learning_rate": 0.01}).fit(X[10:], y[10:])
    assert traces.n_traces == before


def test_same_seed_same_network_and_another_seed_another(digits):
    first, second = (ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(*digits) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(digits[0]), second.predict_proba(digits[0]))
    other = ConvNetClassifier(image_shape=(8, 8), **{**SMALL, "random_state": 1}).fit(*digits)
    assert not np.allclose(first.predict_proba(digits[0]), other.predict_proba(digits[0]), atol=1e-3)


def test_engine_gives_what_keras_gives_without_chance(digits):
    parameters = {**SMALL, "augment": False, "dropout": 0.0, "batch_size": 64}
    ours = ConvNetClassifier(image_shape=(8, 8), **parameters).fit(*digits)
    keras_fit = ConvNetClassifier(image_shape=(8, 8), **parameters, fit__validation_freq=1).fit(*digits)
    assert (ours.engine_, keras_fit.engine_) == ("compiled", "keras")
    np.testing.assert_allclose(ours.loss_curve_, keras_fit.loss_curve_, rtol=1e-3)
    np.testing.assert_allclose(ours.predict_proba(digits[0]), keras_fit.predict_proba(digits[0]), atol=2e-3)


def test_augmentation_is_active_in_training_in_both_engines(digits):
    parameters = {**SMALL, "dropout": 0.0, "augment": {"rotation": 180.0}}
    plain = ConvNetClassifier(image_shape=(8, 8), **{**parameters, "augment": False}).fit(*digits)
    for fit_arguments in ({}, {"fit__validation_freq": 1}):
        moved = ConvNetClassifier(image_shape=(8, 8), **parameters, **fit_arguments).fit(*digits)
        assert moved.loss_curve_[-1] > plain.loss_curve_[-1] + 0.05


def test_pickle_validation_rows_weights_and_callbacks(digits, capsys):
    X, y = digits
    network = ConvNetClassifier(
        image_shape=(8, 8), **SMALL, early_stopping=True, callbacks=keras.callbacks.TerminateOnNaN()
    )
    network.fit(X[:300], y[:300], sample_weight=np.linspace(1, 2, 300), X_val=X[300:], y_val=y[300:])
    assert len(network.history_["val_loss"]) == 3
    network.set_params(callbacks=None)
    restored = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(restored.predict_proba(X), network.predict_proba(X))
    np.testing.assert_allclose(restored.model_.predict(X, verbose=0), network.predict_proba(X), atol=1e-5)
    restored.summary()
    assert "standardization" in capsys.readouterr().out


def test_model_is_saved_and_loaded_by_keras(digits, tmp_path):
    network = ConvNetClassifier(image_shape=(8, 8), **SMALL).fit(*digits)
    network.model_.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded.predict(digits[0], verbose=0), network.predict_proba(digits[0]), atol=1e-5)


def test_warm_start_keeps_the_scale(digits):
    network = ConvNetClassifier(image_shape=(8, 8), **SMALL, warm_start=True).fit(*digits)
    before = network.model_.get_layer("standardization").get_weights()
    network.fit(digits[0] * 2, digits[1])
    np.testing.assert_array_equal(network.model_.get_layer("standardization").get_weights(), before)


def test_auto_epochs_fall_with_the_number_of_rows():
    counts = [auto_epochs(n) for n in (1, 1000, 1797, 60_000, 10**7)]
    assert counts == sorted(counts, reverse=True)
    assert counts[1] == 95
    assert counts[-1] == 10


MESSAGES = [
    (
        {"image_shape": (8, 9)},
        "The 'image_shape' parameter of ConvNetClassifier does not fit X: (8, 9) makes 8 * 9 = 72 columns, "
        "but X has 64.",
    ),
    (
        {"image_shape": (64,)},
        "The 'image_shape' parameter of ConvNetClassifier must be (height, width) or (height, width, channels). "
        "Got (64,).",
    ),
    (
        {"image_shape": (8, 8), "kernel_size": 9},
        "The 'kernel_size' parameter of ConvNetClassifier must not be larger than the image of 8 x 8 pixels. "
        "Got 9 in block 1.",
    ),
    (
        {"image_shape": (8, 8), "filters": (2, 2), "kernel_size": (3, 3, 3)},
        "The 'kernel_size' parameter of ConvNetClassifier must be one size, or one per block. "
        "Got 3 for 2 blocks of filters.",
    ),
    (
        {"image_shape": (8, 8), "filters": (2, 2, 2, 2)},
        "The pooling of ConvNetClassifier leaves nothing of the image: 1 x 1 pixels come to block 4, too few for "
        "pool_size=2. Use fewer blocks, a smaller pool_size, or pooling=None.",
    ),
    (
        {"filters": ()},
        "The 'filters' parameter of ConvNetClassifier must have an entry for at least one block. Got (). "
        "For a network without convolutions use a DenseNet class.",
    ),
]


@pytest.mark.parametrize(("parameters", "message"), MESSAGES)
def test_a_parameter_that_does_not_fit_is_named(digits, parameters, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ConvNetClassifier(**{**SMALL, **parameters}).fit(*digits)


def test_images_of_another_shape_are_refused(digits):
    X, y = digits[0].reshape(-1, 8, 8), digits[1]
    network = ConvNetClassifier(**SMALL).fit(X, y)
    message = "X has rows of shape (8, 8, 3), but ConvNetClassifier was fitted with rows of shape (8, 8)."
    coloured = np.repeat(X[..., None], 3, axis=3)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        network.predict(coloured)
    with pytest.raises(ValueError, match=re.escape("In the rows for validation (X_val, y_val, sample_weight_val): ")):
        network.fit(X, y, X_val=coloured, y_val=y)
    message = "The rows in X of ConvNetClassifier must all have one shape. Got (8, 8) in row 0 and (8, 8, 3) in row 1."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        network.fit([X[0], coloured[1]], y[:2])
    message = (
        "The 'image_shape' parameter of ConvNetClassifier does not fit X: image_shape=(4, 16), but X has images of "
        "shape (8, 8). Leave image_shape=None for images that are not flat."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        ConvNetClassifier(image_shape=(4, 16), **SMALL).fit(X, y)


def test_columns_that_are_no_square_are_an_image_of_one_row(digits):
    X, y = digits
    model = ConvNetClassifier(**{**SMALL, "filters": (2, 2)}).fit(X[:, :10], y).model_
    kernels = [layer.kernel.shape[:2] for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert kernels == [(1, 3), (1, 3)]
