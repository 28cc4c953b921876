"""Clustering by the methods of two papers: formulas beside plain ones, and true predictions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from skneural import DeepEmbeddedClustering
from skneural._architectures.autoencoder import AutoencoderArchitecture
from skneural._architectures.cluster_layers import GaussianShares
from skneural._architectures.clustering import IdecArchitecture, build_clustering
from skneural._architectures.idec_step import idec_step, target_shares
from skneural._engine import Blueprint, Data, Network, Settings, fit
from skneural._families.clustering_autoencoded import changed_share

BLOBS, BLOB = make_blobs(200, n_features=4, centers=4, cluster_std=1.0, random_state=3)
X, y = (part[:600] for part in load_digits(return_X_y=True))
RATE = 0.5


def idec_network(n_clusters=3):
    autoencoder = AutoencoderArchitecture(4, 2, (5,), ("tanh",), "linear")
    architecture = IdecArchitecture(autoencoder, n_clusters)
    return Network.from_blueprint(
        Blueprint(
            ("test of idec", architecture.n_clusters),
            lambda: build_clustering(architecture),
            lambda model: model.compile(keras.optimizers.SGD(RATE)),
            {},
        ),
        seed=0,
    )


def plain_idec_loss(X, targets, weights):
    """Guo et al. 2017, equations 2, 3, 5 and 7, for one hidden layer on either side of the code."""
    into, bias, to_code, code_bias, centers, out_of_code, other_bias, last, last_bias = weights
    codes = tf.tanh(X @ into + bias) @ to_code + code_bias
    likeness = 1 / (1 + tf.reduce_sum((codes[:, None, :] - centers[None]) ** 2, -1))
    shares = likeness / tf.reduce_sum(likeness, 1, keepdims=True)
    answers = tf.tanh(codes @ out_of_code + other_bias) @ last + last_bias
    divergence = tf.reduce_sum(targets * tf.math.log(targets / shares)) / len(X)
    return tf.reduce_mean((X - answers) ** 2) + 0.1 * divergence


def test_a_step_of_idec_is_that_of_the_formulas():
    network = idec_network()
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    targets = np.random.default_rng(1).dirichlet(np.ones(3), 20).astype(np.float32)
    before = [tf.Variable(value.astype(np.float64)) for value in network.model.get_weights()]
    assert [value.shape[0] for value in before] == [4, 5, 5, 2, 3, 2, 5, 5, 4]
    settings = Settings(epochs=1, batch_size=20, seed=0, step=idec_step(3))
    result = fit(network, Data.of(rows, targets, None), None, settings)
    with tf.GradientTape() as tape:
        loss = plain_idec_loss(rows.astype(np.float64), targets.astype(np.float64), before)
    gradients = tape.gradient(loss, before)
    assert result.history["loss"][0] == pytest.approx(float(loss), abs=1e-5)
    for value, old, gradient in zip(network.model.get_weights(), before, gradients, strict=True):
        assert np.abs(gradient).max() > 1e-4
        np.testing.assert_allclose(value, old - RATE * gradient, atol=1e-5)


def test_targets_of_idec_are_those_of_the_formula():
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 7)
    expected = np.array([[q**2 / shares[:, j].sum() for j, q in enumerate(row)] for row in shares])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(target_shares(shares, None), expected, atol=1e-6)
    twice = target_shares(np.vstack([shares, shares[:1]]), None)[:7]
    np.testing.assert_allclose(target_shares(shares, np.array([2.0, 1, 1, 1, 1, 1, 1])), twice, atol=1e-6)


def test_gaussian_shares_are_scikit_learns():
    mixture = GaussianMixture(3, random_state=0).fit(BLOBS)
    layer = GaussianShares(3)
    layer.build((None, 4))
    layer.set_weights([np.log(mixture.weights_), mixture.means_, mixture.precisions_cholesky_])
    rows = np.random.default_rng(0).normal(scale=5, size=(50, 4))
    np.testing.assert_allclose(layer(rows.astype(np.float32)), mixture.predict_proba(rows), atol=1e-4)


@pytest.mark.parametrize("method", ["idec", "n2d"])
def test_both_find_blobs_and_predict_them(method):
    clustering = DeepEmbeddedClustering(4, method=method, n_components=2, random_state=0).fit(BLOBS[:150])
    assert adjusted_rand_score(BLOB[:150], clustering.labels_) == 1
    assert adjusted_rand_score(BLOB[150:], clustering.predict(BLOBS[150:])) == 1
    np.testing.assert_array_equal(clustering.labels_, clustering.predict(BLOBS[:150]))
    assert clustering.transform(BLOBS).shape == (200, 2)
    shares = clustering.predict_proba(BLOBS)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(clustering.model_.predict(BLOBS, verbose=0), shares, atol=1e-4)
    loss = clustering.history_["loss"]
    assert len(loss) == clustering.n_iter_ > 0


def test_shares_of_idec_come_from_its_centres():
    clustering = DeepEmbeddedClustering(4, method="idec", n_components=2, epochs=3, random_state=0).fit(BLOBS)
    places = clustering.transform(BLOBS)
    centers = clustering.model_.get_layer("probabilities").get_weights()[0]
    likeness = 1 / (1 + ((places[:, None] - centers) ** 2).sum(axis=2))
    expected = likeness / likeness.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(clustering.predict_proba(BLOBS), expected, atol=1e-5)


def test_labels_of_n2d_are_those_of_its_mixture():
    clustering = DeepEmbeddedClustering(10, method="n2d", epochs=20, random_state=0).fit(X)
    log_weights, means, factors = clustering.model_.get_layer("probabilities").get_weights()
    places = clustering.transform(X)
    squares = np.stack([(((places - m) @ p) ** 2).sum(axis=1) for m, p in zip(means, factors, strict=True)], axis=1)
    logarithms = log_weights + np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1) - squares / 2
    np.testing.assert_allclose(clustering.predict_proba(X), softmax(logarithms, axis=1), atol=1e-3)
    assert adjusted_rand_score(y, clustering.labels_) > 0.5


@pytest.mark.parametrize("method", ["idec", "n2d"])
def test_both_take_images_and_an_unknown_number(method):
    clustering = DeepEmbeddedClustering(None, method=method, image_shape=(8, 8), epochs=2, random_state=0).fit(X[:200])
    assert clustering.labels_.min() >= -1
    np.testing.assert_array_equal(clustering.predict(X[:200]), clustering.labels_)
    answers = clustering.model_.predict(X[:20], verbose=0)
    np.testing.assert_allclose(answers, clustering.predict_proba(X[:20]), atol=1e-4)


def test_a_row_of_weight_two_is_the_row_twice_for_n2d():
    weights = np.random.default_rng(0).integers(0, 4, len(BLOBS))
    clustering = DeepEmbeddedClustering(5, method="n2d", n_components=2, epochs=3, random_state=0)
    weighted = clustering.fit(BLOBS, sample_weight=weights).predict_proba(BLOBS)
    repeated = clone(clustering).fit(np.repeat(BLOBS, weights, axis=0)).predict_proba(BLOBS)
    np.testing.assert_allclose(weighted, repeated, atol=1e-6)
    other = clone(clustering).fit(BLOBS, sample_weight=weights[::-1]).predict_proba(BLOBS)
    assert np.abs(weighted - other).max() > 1e-3


def test_n2d_takes_one_row_and_equal_rows():
    for rows in (BLOBS[:1], np.repeat(BLOBS[:1], 5, axis=0)):
        clustering = DeepEmbeddedClustering(1, method="n2d", epochs=1, random_state=0).fit(rows)
        assert clustering.labels_.tolist() == [0] * len(rows)


def test_idec_ends_when_few_rows_change_their_cluster():
    clustering = DeepEmbeddedClustering(10, method="idec", epochs=6, random_state=0)
    histories = {tol: clone(clustering).set_params(tol=tol).fit(X).history_["loss"] for tol in (0, 0.02, 1.1)}
    assert [len(histories[0]), len(histories[1.1])] == [6, 1]
    for history in histories.values():
        assert history == histories[0][: len(history)]


def test_the_changed_share_counts_rows_by_weight():
    before, after = np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[0, 2, 2, 1]]
    assert changed_share(before, after, None) == 0.5
    assert changed_share(before, after, np.array([1, 3, 1, 0])) == 0.6
