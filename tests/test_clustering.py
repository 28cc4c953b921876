"""A network that clusters: what it finds, what it promises as an estimator, and rows of every kind."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone, is_clusterer
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skneural import DeepEmbeddedClustering

X, y = (part[:600] for part in load_digits(return_X_y=True))
NEW, NEW_LABELS = (part[600:900] for part in load_digits(return_X_y=True))
BLOBS, BLOB = make_blobs(200, n_features=4, centers=4, cluster_std=1.0, random_state=3)
FAST = {"epochs": 20, "random_state": 0}

FIT_AND_SAVE = """
import sys
import numpy as np
from sklearn.datasets import load_digits
from skneural import DeepEmbeddedClustering
X, found = load_digits().data[:400], {}
for name, n_clusters, image_shape in (("ten", 10, None), ("found", None, None), ("image", 10, (8, 8))):
    clustering = DeepEmbeddedClustering(n_clusters, image_shape=image_shape, epochs=3, random_state=0).fit(X)
    found |= {f"{name}_weight_{i}": weight for i, weight in enumerate(clustering.model_.get_weights())}
    found |= {f"{name}_labels": clustering.labels_, f"{name}_places": clustering.transform(X)}
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def of_images():
    return DeepEmbeddedClustering(10, image_shape=(8, 8), random_state=0).fit(X)


@pytest.fixture(scope="module")
def of_blobs():
    return DeepEmbeddedClustering(4, random_state=0).fit(BLOBS)


# --- what it finds -------------------------------------------------------------------------------------------------


def test_clusters_of_images_are_digits_for_new_rows_too(of_images):
    assert adjusted_rand_score(y, of_images.labels_) > 0.8
    assert adjusted_rand_score(NEW_LABELS, of_images.predict(NEW)) > 0.75


def test_blobs_are_found_and_told_apart(of_blobs):
    assert adjusted_rand_score(BLOB, of_blobs.labels_) == 1
    assert of_blobs.probabilities_.min() > 0.5
    assert (of_blobs.n_clusters_, of_blobs.engine_) == (4, "native")
    assert is_clusterer(of_blobs)


def test_columns_in_other_units_have_the_same_clusters():
    rows = BLOBS * [1.0, 1e3, 1e-3, 1.0] + [0.0, 1e4, 0.0, -5.0]
    found = DeepEmbeddedClustering(4, **FAST).fit_predict(rows)
    assert adjusted_rand_score(BLOB, found) == 1


def test_what_it_tells_of_the_rows_of_fit_agrees(of_blobs):
    shares, places = of_blobs.predict_proba(BLOBS), of_blobs.transform(BLOBS)
    np.testing.assert_array_equal(of_blobs.labels_, of_blobs.predict(BLOBS))
    np.testing.assert_array_equal(of_blobs.labels_, shares.argmax(axis=1))
    np.testing.assert_array_equal(of_blobs.probabilities_, shares.max(axis=1))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    for cluster in range(4):
        own = places[of_blobs.labels_ == cluster]
        np.testing.assert_allclose(of_blobs.cluster_centers_[cluster], own.mean(axis=0), rtol=1e-4, atol=1e-4)
        distances = ((places - own.mean(axis=0)) ** 2).sum(axis=1)
        distances[of_blobs.labels_ != cluster] = np.inf
        assert of_blobs.cluster_prototypes_[cluster] == distances.argmin()


def test_scores_are_log_likelihoods_that_stretching_leaves(of_blobs):
    scores = of_blobs.score_samples(BLOBS)
    assert of_blobs.score(BLOBS) == pytest.approx(scores.mean())
    assert of_blobs.score(BLOBS, sample_weight=np.arange(200)) == pytest.approx(np.average(scores, weights=range(200)))
    # One normal distribution for all rows, in units in which they have the identity as covariance.
    one = -0.5 * 10 * (1 + np.log(2 * np.pi))
    assert of_blobs.score(BLOBS) > one + 1
    assert of_blobs.score(BLOBS[::-1] * [1, -1, 1, -1]) < of_blobs.score(BLOBS) - 1


def test_the_model_takes_raw_columns(of_blobs, of_images):
    for clustering, rows in ((of_blobs, BLOBS[:20]), (of_images, NEW[:20])):
        answers = clustering.model_.predict(rows, verbose=0)
        np.testing.assert_allclose(answers, clustering.predict_proba(rows), atol=1e-4)
    with pytest.raises(AttributeError, match="put together when it is asked for: fit anew"):
        of_blobs.model_ = of_blobs.model_


# --- how many ------------------------------------------------------------------------------------------------------


def test_without_a_number_dense_parts_are_found_and_new_rows_may_be_noise():
    far = np.random.default_rng(0).uniform(-200, 200, size=(20, 4))
    clustering = DeepEmbeddedClustering(None, random_state=0).fit(BLOBS)
    assert clustering.n_clusters_ == 4
    is_noise = clustering.labels_ == -1
    assert adjusted_rand_score(BLOB[~is_noise], clustering.labels_[~is_noise]) == 1
    assert is_noise.mean() < 0.1
    assert (clustering.probabilities_[is_noise] == 0).all()
    with_noise = DeepEmbeddedClustering(None, n_neighbors=5, random_state=0).fit(np.vstack([BLOBS, far]))
    assert set(with_noise.predict(3 * far)) == {-1}


def test_one_cluster_has_all_rows():
    clustering = DeepEmbeddedClustering(1, epochs=1).fit(BLOBS)
    assert (clustering.labels_ == 0).all()
    np.testing.assert_array_equal(clustering.predict_proba(BLOBS), 1)
    np.testing.assert_array_equal(clustering.model_.predict(BLOBS[:5], verbose=0), 1)
    assert np.isfinite(clustering.score(BLOBS))


def test_more_clusters_than_rows_are_an_error_and_than_different_rows_a_warning():
    with pytest.raises(ValueError, match=r"must be at most the number of rows. Got n_clusters=8 for n_samples=5."):
        DeepEmbeddedClustering().fit(BLOBS[:5])
    twice = np.repeat(BLOBS[:3], 4, axis=0)
    with pytest.warns(ConvergenceWarning, match="has found 3 different rows"):
        clustering = DeepEmbeddedClustering(5, random_state=0).fit(twice)
    assert clustering.n_clusters_ == 3
    np.testing.assert_array_equal(clustering.labels_, np.repeat(clustering.labels_[::4], 4))
    assert len(set(clustering.labels_)) == 3


@pytest.mark.parametrize(
    "rows",
    [
        np.repeat(BLOBS[:9], 5, axis=0),
        np.hstack([BLOBS, np.ones((200, 3))]),
        np.vstack([BLOBS, BLOBS + 1e5]),
        np.arange(20.0)[:, None],
        BLOBS[:4],
    ],
    ids=["duplicates", "constant columns", "disconnected", "one column", "as many rows as clusters"],
)
def test_odd_rows_have_clusters(rows):
    clustering = DeepEmbeddedClustering(4, epochs=2, random_state=0).fit(rows)
    assert clustering.labels_.shape == (len(rows),)
    assert set(clustering.labels_) <= {0, 1, 2, 3}
    assert np.isfinite(clustering.cluster_centers_).all()
    assert np.isfinite(clustering.score(rows))
    assert clustering.cluster_prototypes_.shape == (4,)


def test_rows_that_are_all_equal_are_one_cluster():
    clustering = DeepEmbeddedClustering(None, epochs=1).fit(np.ones((30, 3)))
    assert (clustering.labels_ == 0).all()


# --- as an estimator -----------------------------------------------------------------------------------------------


def test_weights_stand_for_copies_and_labels_keep_the_order_of_rows():
    weights = np.random.default_rng(0).integers(0, 4, len(BLOBS)).astype(float)
    weighted = DeepEmbeddedClustering(4, **FAST).fit(BLOBS, sample_weight=weights)
    copies = np.repeat(BLOBS, weights.astype(int), axis=0)
    repeated = DeepEmbeddedClustering(4, **FAST).fit(copies)
    np.testing.assert_allclose(weighted.predict_proba(BLOBS), repeated.predict_proba(BLOBS), atol=1e-5)
    assert weighted.labels_.shape == (200,)
    np.testing.assert_array_equal(repeated.labels_, repeated.predict(copies))
    assert weights[weighted.cluster_prototypes_].shape == (4,)


def test_any_form_of_rows_has_the_same_clusters(tmp_path):
    expected = DeepEmbeddedClustering(4, **FAST).fit(BLOBS.astype(np.float32))
    np.save(tmp_path / "X.npy", BLOBS.astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for form in (sparse.csr_array(BLOBS.astype(np.float32)), pd.DataFrame(BLOBS.astype(np.float32)), mapped):
        found = DeepEmbeddedClustering(4, **FAST).fit(form)
        np.testing.assert_array_equal(found.transform(form), expected.transform(BLOBS.astype(np.float32)))


def test_images_may_have_their_shape(of_images):
    np.testing.assert_array_equal(of_images.predict(NEW.reshape(-1, 8, 8)), of_images.predict(NEW))


def test_pickles_and_copies(of_images):
    stored = pickle.loads(pickle.dumps(of_images))
    np.testing.assert_array_equal(stored.predict_proba(NEW), of_images.predict_proba(NEW))
    np.testing.assert_array_equal(stored.score_samples(NEW), of_images.score_samples(NEW))
    assert not hasattr(clone(of_images), "labels_")


def test_it_works_in_a_pipeline_and_a_search_finds_the_number_by_its_own_score():
    pipeline = make_pipeline(MinMaxScaler(), DeepEmbeddedClustering(4, **FAST))
    assert adjusted_rand_score(BLOB, pipeline.fit_predict(BLOBS)) == 1
    assert pipeline.transform(BLOBS).shape == (200, 10)
    assert pipeline[-1].get_feature_names_out()[0] == "deepembeddedclustering0"
    search = GridSearchCV(DeepEmbeddedClustering(n_components=2, **FAST), {"n_clusters": [2, 4]}, cv=2).fit(BLOBS)
    assert search.best_params_ == {"n_clusters": 4}


@pytest.mark.slow
def test_one_seed_is_one_result_whatever_the_number_of_cores(saved_with_cores):
    one, two = (saved_with_cores(FIT_AND_SAVE, n_threads) for n_threads in (1, 2))
    # TensorFlow's products round otherwise at the end of a core's share, where there is no AVX-512.
    np.testing.assert_allclose(one.pop("image_places"), two.pop("image_places"), rtol=1e-4, atol=1e-5)
    assert len(one) > 20
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)


def test_a_fit_that_fails_changes_nothing(of_blobs):
    clustering = pickle.loads(pickle.dumps(of_blobs))
    with pytest.raises(ValueError, match="'augment' parameter"):
        clustering.set_params(image_shape=(2, 2), augment={"turn": 1}).fit(BLOBS)
    np.testing.assert_array_equal(clustering.set_params(image_shape=None).predict(BLOBS), of_blobs.labels_)
