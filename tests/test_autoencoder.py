"""Autoencoders: PCA without hidden layers, never worse with them; holes, noise, drawn codes, images; Keras models."""

from __future__ import annotations

import pickle
import tracemalloc

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import explained_variance_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skneural import Autoencoder

DIGITS = load_digits().data[:600]
NEW_DIGITS = load_digits().data[600:900]
# Of so small steps nothing is left after rounding: what a network begins as.
STANDS_STILL = {"learning_rate": 1e-12, "epochs": 1, "random_state": 0}


@pytest.fixture(scope="module")
def table():
    """Rows of four columns of different units, near a plane."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 4)) + 0.1 * rng.normal(size=(120, 4))
    return X * [1.0, 10.0, 0.1, 5.0] + [3.0, -100.0, 0.0, 1e3]


def reconstructed(estimator, X):
    return estimator.inverse_transform(estimator.transform(X))


def squared_error(one, other):
    return float(((one - other) ** 2).mean())


# --- principal components ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("X", [DIGITS, "table"], ids=["digits", "table"])
def test_without_hidden_layers_it_is_pca(X, request):
    X = request.getfixturevalue(X) if isinstance(X, str) else X
    pca, linear = PCA(2).fit(X), Autoencoder(2, hidden_layer_sizes=(), random_state=0).fit(X)
    expected = pca.inverse_transform(pca.transform(X))
    np.testing.assert_allclose(reconstructed(linear, X), expected, atol=1e-4 * X.std())
    assert linear.reconstruction_error_ == pytest.approx(squared_error(X, expected), rel=1e-3)
    assert linear.score(X) == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-5)
    # One subspace, and each axis its own: the codes are PCA's up to the common scale.
    codes = linear.transform(X) * linear.scale_[0]
    np.testing.assert_allclose(np.abs(codes), np.abs(pca.transform(X)), atol=1e-3 * X.std())
    assert linear.n_iter_ == 0
    assert not hasattr(linear, "engine_")


def test_columns_are_divided_by_their_deviations_when_asked(table):
    linear = Autoencoder(2, hidden_layer_sizes=(), standardize=True).fit(table)
    scaled = (table - table.mean(axis=0)) / table.std(axis=0)
    pca = PCA(2).fit(scaled)
    expected = pca.inverse_transform(pca.transform(scaled)) * table.std(axis=0) + table.mean(axis=0)
    np.testing.assert_allclose(reconstructed(linear, table), expected, rtol=1e-4, atol=1e-4)
    assert linear.score(table) == pytest.approx(pca.explained_variance_ratio_.sum(), abs=1e-5)
    np.testing.assert_allclose(linear.scale_, table.std(axis=0))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"hidden_layer_sizes": 30, "activation": "softplus"},
        {"hidden_layer_sizes": (24, 20, 16), "activation": "silu"},
        {"hidden_layer_sizes": (24, 20), "activation": keras.layers.LeakyReLU(0.1)},
        {"hidden_layer_sizes": (24, 20), "tied_weights": True},
        {"hidden_layer_sizes": (24, 20), "tied_weights": True, "variational": True},
        {"hidden_layer_sizes": (), "tied_weights": True, "variational": True},
        {"image_shape": (8, 8), "hidden_layer_sizes": (20,)},
        {"image_shape": (8, 8), "hidden_layer_sizes": (), "filters": (4,)},
        {"noise": 0.5, "dropout": 0.2, "l2": 1e-3},
        {"variational": True},
        {"variational": True, "image_shape": (8, 8), "filters": (4,)},
    ],
    ids=str,
)
def test_a_deep_one_begins_as_pca(parameters):
    pca = PCA(5).fit(DIGITS)
    deep = Autoencoder(5, **STANDS_STILL, **parameters).fit(DIGITS)
    expected = pca.inverse_transform(pca.transform(NEW_DIGITS))
    np.testing.assert_allclose(reconstructed(deep, NEW_DIGITS), expected, atol=2e-3)


def test_an_activation_that_bends_begins_near_pca():
    pca = PCA(5).fit(DIGITS)
    deep = Autoencoder(5, activation="tanh", **STANDS_STILL).fit(DIGITS)
    error = squared_error(NEW_DIGITS, pca.inverse_transform(pca.transform(NEW_DIGITS)))
    assert squared_error(NEW_DIGITS, reconstructed(deep, NEW_DIGITS)) < 1.01 * error


def test_what_training_makes_worse_is_put_back():
    pca = PCA(3).fit(DIGITS)
    spoilt = Autoencoder(3, learning_rate=1.0, optimizer="sgd", epochs=2, noise=5.0, random_state=0).fit(DIGITS)
    assert spoilt.best_epoch_ == 0
    expected = pca.inverse_transform(pca.transform(NEW_DIGITS))
    np.testing.assert_allclose(reconstructed(spoilt, NEW_DIGITS), expected, atol=2e-3)


def test_hidden_layers_beat_pca_on_new_rows():
    pca, deep = PCA(8).fit(DIGITS), Autoencoder(8, random_state=0, epochs=60).fit(DIGITS)
    error = squared_error(NEW_DIGITS, pca.inverse_transform(pca.transform(NEW_DIGITS)))
    assert squared_error(NEW_DIGITS, reconstructed(deep, NEW_DIGITS)) < 0.85 * error
    assert deep.engine_ == "native"
    assert 1 <= deep.best_epoch_ <= deep.n_iter_ <= 60
    assert set(deep.history_) == {"loss", "val_loss"}


def test_more_components_than_columns_or_rows_lose_nothing(table):
    for X in (table, table[:3]):
        wide = Autoencoder(6, hidden_layer_sizes=(), random_state=0).fit(X)
        np.testing.assert_allclose(reconstructed(wide, X), X, rtol=1e-4, atol=1e-3)


def test_constant_columns_and_equal_rows_stay_what_they_are():
    X = np.tile([1.0, 2.0, 3.0], (20, 1))
    constant = Autoencoder(1, epochs=2, random_state=0).fit(X)
    np.testing.assert_allclose(reconstructed(constant, X), X, atol=1e-5)
    assert constant.score(X) == 1.0


# --- weights, rows --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{"hidden_layer_sizes": ()}, {"epochs": 3}, {"variational": True, "epochs": 3}])
def test_a_row_of_weight_two_is_the_row_twice(table, parameters):
    weights = np.arange(len(table)) % 3
    weighted = Autoencoder(2, random_state=0, **parameters).fit(table, sample_weight=weights)
    repeated = Autoencoder(2, random_state=0, **parameters).fit(np.repeat(table, weights, axis=0))
    np.testing.assert_allclose(weighted.transform(table), repeated.transform(table), rtol=1e-5, atol=1e-5)
    mean = np.average(table, axis=0, weights=weights)
    np.testing.assert_allclose(weighted.mean_, mean)


def test_the_form_of_rows_does_not_matter(table, tmp_path):
    expected = Autoencoder(2, epochs=2, random_state=0).fit(table).transform(table)
    map_of_rows = np.memmap(tmp_path / "rows", np.float64, "w+", shape=table.shape)
    map_of_rows[:] = table
    for rows in (pd.DataFrame(table).to_numpy(), sparse.csr_array(table), np.asfortranarray(table), map_of_rows):
        given = Autoencoder(2, epochs=2, random_state=0).fit(rows)
        np.testing.assert_allclose(given.transform(rows), expected, rtol=1e-5, atol=1e-6)
    assert expected.dtype == np.float32


def test_a_large_memory_map_is_never_in_memory_as_a_whole(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (240_000, 200))
    generator = np.random.default_rng(0)
    for start in range(0, len(rows), 20_000):
        rows[start : start + 20_000] = generator.random((20_000, 200), np.float32) * np.arange(1, 201)
    tracemalloc.start()
    try:
        fitted = Autoencoder(2, hidden_layer_sizes=(8,), epochs=1, batch_size=2048, random_state=0).fit(rows)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.9 * rows.nbytes, "the scaled rows, and those to train on, lie in files"
    np.testing.assert_allclose(fitted.mean_, rows.mean(axis=0, dtype=float), rtol=1e-6)
    few = np.array(rows[:1000])
    error = ((few - fitted.inverse_transform(fitted.transform(few))) ** 2).mean()
    assert fitted.reconstruction_error_ == pytest.approx(error, rel=0.05)


def test_images_may_be_flat_or_not():
    images = DIGITS.reshape(-1, 8, 8)
    flat = Autoencoder(2, image_shape=(8, 8), filters=(4,), epochs=1, random_state=0).fit(DIGITS)
    np.testing.assert_array_equal(flat.transform(images), flat.transform(DIGITS))


def test_rows_for_validation_may_be_given(table):
    given = Autoencoder(2, epochs=3, random_state=0).fit(table[:80], X_val=table[80:])
    assert len(given.history_["val_loss"]) == given.n_iter_
    with pytest.raises(ValueError, match="rows for validation"):
        Autoencoder(2).fit(table, X_val=table[:, :2])


def test_missing_values_count_in_no_sum():
    rng = np.random.default_rng(0)
    holes = rng.random(DIGITS.shape) < 0.3
    X = np.where(holes, np.nan, DIGITS)
    filled = Autoencoder(4, missing="mask", epochs=20, random_state=0).fit(X)
    np.testing.assert_allclose(filled.mean_, np.nanmean(X, axis=0))
    result = reconstructed(filled, X)
    assert np.isfinite(result).all()
    of_means = np.broadcast_to(np.nanmean(X, axis=0), X.shape)
    assert squared_error(result[holes], DIGITS[holes]) < 0.75 * squared_error(of_means[holes], DIGITS[holes])
    np.testing.assert_allclose(filled.model_.predict(X, verbose=0), result, atol=1e-3)
    np.testing.assert_allclose(filled.score_samples(X), -np.nansum((X - result) ** 2, axis=1), rtol=1e-3)
    # The loss: squared errors of what is known, over the number of columns.
    still = Autoencoder(4, missing="mask", **STANDS_STILL).fit(X, X_val=X)
    errors = np.nansum(((X - reconstructed(still, X)) / still.scale_) ** 2, axis=1) / X.shape[1]
    assert still.history_["val_loss"][0] == pytest.approx(errors.mean(), rel=1e-4)


def test_a_column_without_any_value_is_taken_for_zero(table):
    X = np.column_stack([table, np.full(len(table), np.nan)])
    assert np.isfinite(reconstructed(Autoencoder(2, missing="mask", epochs=1).fit(X), X)).all()


def test_a_row_without_any_value_counts_for_nothing(table):
    X = np.vstack([table, np.full(4, np.nan)])
    fitted = Autoencoder(2, missing="mask", epochs=2, random_state=0).fit(X)
    result = reconstructed(fitted, X)
    assert np.isfinite(result).all()
    assert fitted.reconstruction_error_ == pytest.approx(squared_error(table, result[:-1]), rel=1e-4)
    assert fitted.score_samples(X)[-1] == 0


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "score", "score_samples"])
def test_nothing_is_answered_before_fit(table, method):
    with pytest.raises(NotFittedError):
        getattr(Autoencoder(), method)(table)


# --- codes that are drawn -------------------------------------------------------------------------------------------


def test_a_linear_variational_one_begins_as_probabilistic_pca():
    pca = PCA(3).fit(DIGITS)
    drawn = Autoencoder(3, hidden_layer_sizes=(), variational=True, **STANDS_STILL).fit(DIGITS)
    # The bound is the logarithm of the density itself where codes have the true posterior distribution.
    assert drawn.score(NEW_DIGITS) == pytest.approx(pca.score(NEW_DIGITS), rel=0.01)
    np.testing.assert_allclose(drawn.transform(DIGITS).std(axis=0), 1.0, rtol=1e-3)
    rows = drawn.sample(20000, random_state=0)
    expected = pca.components_.T @ np.diag(pca.explained_variance_) @ pca.components_
    np.testing.assert_allclose(np.cov(rows.T), expected, atol=0.05 * expected.max())


def test_the_loss_of_a_variational_one_is_minus_its_bound():
    new = NEW_DIGITS[:30]
    drawn = Autoencoder(3, variational=True, **STANDS_STILL).fit(DIGITS, X_val=new)
    n_columns, model = new.shape[1], drawn.model_
    distribution = keras.Model(model.inputs, model.get_layer("code_distribution").output)
    means, log_variances = np.split(distribution.predict(new, verbose=0), 2, axis=1)
    divergences = 0.5 * (means**2 + np.exp(log_variances) - log_variances - 1).sum(axis=1)
    squares = (((new - reconstructed(drawn, new)) / drawn.scale_) ** 2).sum(axis=1)
    # One batch, with the variance that suits it best.
    variance = squares.mean() / n_columns
    losses = n_columns / 2 * np.log(2 * np.pi * variance) + squares / (2 * variance) + divergences
    assert drawn.history_["val_loss"][0] == pytest.approx(losses.mean(), rel=1e-4)


def test_training_raises_the_bound_beyond_probabilistic_pca():
    pca, drawn = PCA(4).fit(DIGITS), Autoencoder(4, variational=True, random_state=0, epochs=60).fit(DIGITS)
    assert drawn.score(DIGITS) > pca.score(DIGITS) + 5
    assert drawn.score(NEW_DIGITS) == drawn.score(NEW_DIGITS)
    assert drawn.sample(7, random_state=1).shape == (7, 64)
    with pytest.raises(AttributeError, match="no attribute 'sample'"):
        Autoencoder().sample  # noqa: B018


# --- models and the estimator ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{}, {"tied_weights": True}, {"image_shape": (8, 8), "filters": (4,)}], ids=str)
def test_models_take_raw_columns(parameters, tmp_path):
    fitted = Autoencoder(3, epochs=2, random_state=0, **parameters).fit(DIGITS)
    codes, rows = fitted.transform(NEW_DIGITS), reconstructed(fitted, NEW_DIGITS)
    np.testing.assert_allclose(fitted.encoder_.predict(NEW_DIGITS, verbose=0), codes, atol=1e-4)
    np.testing.assert_allclose(fitted.decoder_.predict(codes, verbose=0), rows, atol=1e-3)
    fitted.model_.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(NEW_DIGITS, verbose=0), rows, atol=1e-3)


def test_scores_are_what_they_say(table):
    fitted = Autoencoder(2, epochs=3, random_state=0).fit(table)
    rows, weights = reconstructed(fitted, table), np.arange(len(table)) + 1.0
    np.testing.assert_allclose(fitted.score_samples(table), -((table - rows) ** 2).sum(axis=1), rtol=1e-3, atol=1e-3)
    assert fitted.reconstruction_error_ == pytest.approx(squared_error(table, rows), rel=1e-4)
    expected = explained_variance_score(table, rows, sample_weight=weights, multioutput="variance_weighted")
    assert fitted.score(table, sample_weight=weights) == pytest.approx(expected, abs=1e-5)


def test_unlike_rows_have_low_scores():
    X, _ = make_blobs(200, 10, centers=2, random_state=0)
    fitted = Autoencoder(2, random_state=0, epochs=20).fit(X)
    strange = X[:20] + np.random.default_rng(0).normal(0, 20, (20, 10))
    assert fitted.score_samples(strange).max() < np.quantile(fitted.score_samples(X), 0.05)


def test_it_stands_in_pipelines_searches_and_frames(table):
    frame = pd.DataFrame(table, columns=list("abcd"))
    codes = Autoencoder(2, epochs=1).set_output(transform="pandas").fit_transform(frame)
    assert list(codes.columns) == ["autoencoder0", "autoencoder1"]
    y = load_digits().target[:600]
    pipeline = make_pipeline(Autoencoder(epochs=3, random_state=0), LogisticRegression())
    search = GridSearchCV(pipeline, {"autoencoder__n_components": [1, 8]}, cv=2).fit(DIGITS, y)
    assert search.best_params_ == {"autoencoder__n_components": 8}


def test_clones_and_pickles_are_equal(table):
    fitted = Autoencoder(2, epochs=2, random_state=0, variational=True).fit(table)
    codes = fitted.transform(table)
    rows = fitted.inverse_transform(codes)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(table), codes)
    np.testing.assert_array_equal(again.inverse_transform(codes), rows)
    assert again.score(table) == fitted.score(table)
    np.testing.assert_array_equal(clone(fitted).fit(table).transform(table), codes)


def test_training_goes_on():
    whole = Autoencoder(2, early_stopping=False, epochs=2, random_state=0).fit(DIGITS)
    in_parts = Autoencoder(2, early_stopping=False, random_state=0).partial_fit(DIGITS).partial_fit(DIGITS)
    np.testing.assert_allclose(in_parts.transform(DIGITS), whole.transform(DIGITS), atol=1e-4)
    assert in_parts.n_iter_ == 2
    warm = Autoencoder(2, early_stopping=False, epochs=1, random_state=0, warm_start=True).fit(DIGITS)
    before = warm.transform(DIGITS)
    decoded = warm.inverse_transform(before)
    warm.fit(DIGITS)
    assert not np.array_equal(warm.transform(DIGITS), before)
    assert not np.array_equal(warm.inverse_transform(before), decoded)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tied_weights": True, "image_shape": (2, 2)}, "leave one of them out"),
        ({"loss": "binary_crossentropy", "variational": True}, "must be 'mean_squared_error' with variational=True"),
        ({"loss": "binary_crossentropy"}, r"needs values in \[0, 1\]"),
        ({"image_shape": (3, 3)}, "has 4"),
        ({"image_shape": (4,)}, r"must be \(height, width\)"),
        ({"n_components": 0}, "'n_components' parameter"),
        ({"latent_dim": 3}, "no parameter 'latent_dim'"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(table, parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Autoencoder(**parameters).fit(table)


def test_missing_values_have_a_remedy(table):
    X = np.where(table > 0, table, np.nan)
    with pytest.raises(ValueError, match=r"^X of Autoencoder contains NaN \(missing values\)\. Give missing='mask'"):
        Autoencoder().fit(X)
    assert get_tags(Autoencoder(missing="mask")).input_tags.allow_nan
    assert not get_tags(Autoencoder()).input_tags.allow_nan


def test_codes_of_another_width_are_refused(table):
    fitted = Autoencoder(2, hidden_layer_sizes=()).fit(table)
    with pytest.raises(ValueError, match="must have 2 columns"):
        fitted.inverse_transform(table)
    with pytest.raises(AttributeError, match="fit anew"):
        fitted.model_ = None


def test_binary_columns_have_probabilities():
    X = (DIGITS > 8).astype(float)
    fitted = Autoencoder(8, loss="binary_crossentropy", epochs=30, random_state=0).fit(X)
    rows = reconstructed(fitted, X)
    assert ((rows >= 0) & (rows <= 1)).all()
    assert fitted.score(X) > PCA(8).fit(X).explained_variance_ratio_.sum()
