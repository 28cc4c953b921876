"""A network that keeps neighbours, and what it promises as a scikit-learn transformer."""

from __future__ import annotations

import pickle

import keras
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits, load_iris
from sklearn.manifold import trustworthiness
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import make_pipeline

from skneural import NeighborEmbedding

DIGITS = load_digits()
X, y = DIGITS.data[:700].astype(np.float32), DIGITS.target[:700]
IRIS = load_iris()
FAST = {"epochs": 3, "random_state": 0}
# As few different numbers of rows as can be: each is a program of its own.
ROWS = X[:120]

FIT_AND_SAVE = """
import sys
import numpy as np
from sklearn.datasets import load_digits
from skneural import NeighborEmbedding
X, found = load_digits().data[:300], {}
for name, image_shape in {"rows": None, "image": (8, 8)}.items():
    embedding = NeighborEmbedding(image_shape=image_shape, epochs=3, random_state=0).fit(X)
    found |= {f"{name}_weight_{i}": weight for i, weight in enumerate(embedding.model_.get_weights())}
    found |= {f"{name}_places": embedding.transform(X)}
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def of_digits():
    return NeighborEmbedding(random_state=0).fit(X)


def accuracy(embedding, new, labels):
    places, of_rows = embedding.transform(new), embedding.transform(X)
    return KNeighborsClassifier(15).fit(of_rows, y).score(places, labels)


def test_new_rows_are_placed_among_their_like(of_digits):
    new, labels = DIGITS.data[700:1100], DIGITS.target[700:1100]
    assert accuracy(of_digits, new, labels) > 0.85
    assert trustworthiness(X, of_digits.transform(X), n_neighbors=15) > 0.95


def test_dense_layers_keep_neighbours_too():
    embedding = NeighborEmbedding(hidden_layer_sizes=(64, 64), random_state=0).fit(X)
    assert [layer.units for layer in embedding.model_.layers] == [50, 64, 64, 2]
    assert accuracy(embedding, DIGITS.data[700:1100], DIGITS.target[700:1100]) > 0.75


def test_the_history_falls_and_says_what_trained(of_digits):
    loss = of_digits.history_["loss"]
    # Radial units begin near the layout.
    assert loss[-1] < 0.97 * loss[0]
    assert (len(loss), of_digits.n_iter_, of_digits.engine_) == (of_digits.n_iter_, len(loss), "compiled")
    # 11 steps of 64 rows in an epoch: as many epochs as make 1,000 steps.
    assert of_digits.n_iter_ == 91


def test_the_graph_is_symmetric_and_of_rows(of_digits):
    graph = of_digits.graph_
    assert (type(graph), graph.shape, graph.dtype) == (sparse.csr_array, (700, 700), np.float32)
    assert abs(graph - graph.T).max() == 0
    assert 0 < graph.data.min() <= graph.data.max() == 1
    assert not graph.diagonal().any()


def test_fit_transform_is_transform_of_the_rows_of_fit():
    embedding = NeighborEmbedding(**FAST)
    np.testing.assert_array_equal(embedding.fit_transform(X), embedding.transform(X))


def test_the_model_takes_raw_columns(of_digits):
    answers = of_digits.model_.predict(X[:20], verbose=0)
    np.testing.assert_allclose(answers, of_digits.transform(X[:20]), rtol=1e-3, atol=1e-3)
    columns = of_digits.model_.get_layer("columns")
    assert not columns.trainable
    projected = (X - X.mean(axis=0)) @ columns.get_weights()[0]
    np.testing.assert_allclose(np.cov(projected.T).diagonal().mean(), 1, rtol=0.01)


def test_one_row_and_any_form_of_rows_have_the_same_places(of_digits):
    expected = of_digits.transform(X[:3])
    assert expected.dtype == np.float32
    np.testing.assert_allclose(of_digits.transform(X[:1]), expected[:1], rtol=1e-4, atol=1e-5)
    for form in (sparse.csr_array(X[:3]), X[:3].astype(np.float64), X[:3].tolist(), np.asfortranarray(X[:3])):
        np.testing.assert_allclose(of_digits.transform(form), expected, rtol=1e-4, atol=1e-5)


def test_sparse_rows_are_learned_as_dense_ones(tmp_path):
    expected = NeighborEmbedding(**FAST).fit_transform(ROWS)
    np.testing.assert_array_equal(NeighborEmbedding(**FAST).fit_transform(sparse.csr_array(ROWS)), expected)
    np.save(tmp_path / "X.npy", ROWS)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(NeighborEmbedding(**FAST).fit_transform(mapped), expected)


def test_pickles_and_copies_give_the_same_places(of_digits):
    stored = pickle.loads(pickle.dumps(of_digits))
    np.testing.assert_array_equal(stored.transform(X[:50]), of_digits.transform(X[:50]))
    assert (stored.graph_ != of_digits.graph_).nnz == 0
    assert not hasattr(clone(of_digits), "graph_")


@pytest.mark.slow
def test_one_seed_is_one_embedding_whatever_the_number_of_cores(saved_with_cores):
    one, two = (saved_with_cores(FIT_AND_SAVE, n_threads) for n_threads in (1, 2))
    # TensorFlow's products round otherwise at the end of a core's share, where there is no AVX-512.
    np.testing.assert_allclose(one.pop("image_places"), two.pop("image_places"), rtol=1e-4, atol=1e-5)
    assert len(one) > 10
    for name, values in one.items():
        np.testing.assert_array_equal(values, two[name], err_msg=name)


def test_seeds_tell_embeddings_apart_and_nothing_global_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, again = NeighborEmbedding(**FAST).fit_transform(ROWS), NeighborEmbedding(**FAST).fit_transform(ROWS)
    other = NeighborEmbedding(epochs=3, random_state=1).fit_transform(ROWS)
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    "rows",
    [
        np.repeat(X[:6], 20, axis=0),
        np.ones((120, 64)),
        np.hstack([ROWS, np.ones((120, 3))]),
        X[:5],
        np.concatenate([X[:60], X[60:120] + 1e4]),
        np.arange(20.0)[:, None],
    ],
    ids=["duplicates", "all equal", "constant columns", "fewer rows than neighbours", "disconnected", "one column"],
)
def test_odd_rows_have_finite_places(rows):
    places = NeighborEmbedding(**FAST).fit_transform(rows)
    assert places.shape == (len(rows), 2)
    assert np.isfinite(places).all()


def test_equal_rows_have_one_place():
    places = NeighborEmbedding(**FAST).fit_transform(np.repeat(X[:40], 3, axis=0))
    np.testing.assert_allclose(places[::3], places[1::3], atol=1e-5)


def test_separate_groups_lie_apart():
    groups = np.repeat([0, 1], 60)
    places = NeighborEmbedding(random_state=0, epochs=30).fit_transform(np.concatenate([X[:60], X[60:120] + 1e3]))
    middles = [places[groups == group].mean(axis=0) for group in (0, 1)]
    spread = max(places[groups == group].std() for group in (0, 1))
    assert np.linalg.norm(middles[0] - middles[1]) > 2 * spread


def test_more_components_than_columns_are_possible():
    assert NeighborEmbedding(6, **FAST).fit_transform(IRIS.data).shape == (150, 6)


def test_labels_pull_their_rows_together():
    def purity(embedding):
        neighbors = KNeighborsClassifier(10).fit(embedding, y[:300]).kneighbors(return_distance=False)
        return (y[neighbors] == y[:300, None]).mean()

    rows = X[:300] + np.random.default_rng(0).normal(scale=5, size=(300, 64))
    alone = NeighborEmbedding(random_state=0, epochs=20).fit_transform(rows)
    with_labels = NeighborEmbedding(random_state=0, epochs=20, target_weight=0.9).fit_transform(rows, y[:300])
    assert purity(with_labels) > purity(alone) + 0.05
    ignored = NeighborEmbedding(random_state=0, epochs=20, target_weight=0.0).fit_transform(rows, y[:300])
    np.testing.assert_array_equal(ignored, alone)


def test_strings_are_labels_and_numbers_are_not():
    names = np.array(["zero", "one"])[y[:120] % 2]
    by_name = NeighborEmbedding(**FAST).fit(ROWS, names).graph_
    by_number = NeighborEmbedding(**FAST).fit(ROWS, y[:120] % 2).graph_
    assert abs(by_name - by_number).max() == 0
    by_size = NeighborEmbedding(**FAST).fit(ROWS, y[:120] / 7).graph_
    assert abs(by_size - by_number).max() > 0.1


def test_a_graph_or_what_makes_one_stands_for_the_search():
    maker = KNeighborsTransformer(n_neighbors=10, mode="distance")
    by_maker = NeighborEmbedding(n_neighbors=10, neighbors=maker, **FAST).fit(ROWS)
    by_graph = NeighborEmbedding(n_neighbors=10, neighbors=maker.fit_transform(ROWS), **FAST).fit(ROWS)
    alone = NeighborEmbedding(n_neighbors=10, metric="l2", **FAST).fit(ROWS)
    np.testing.assert_array_equal(by_maker.transform(X), by_graph.transform(X))
    # All but 50 of 64 principal components are left out of the search for neighbours.
    assert abs(by_maker.graph_ - alone.graph_).max() < 0.3


def test_a_decoder_brings_rows_back():
    embedding = NeighborEmbedding(8, reconstruction_weight=1.0, random_state=0).fit(X)
    again = embedding.inverse_transform(embedding.transform(X))
    assert again.shape == X.shape
    assert ((again - X) ** 2).mean() < 0.6 * X.var(axis=0).mean()
    np.testing.assert_allclose(embedding.model_.predict(X[:9], verbose=0), again[:9], rtol=1e-2, atol=1e-2)
    with pytest.raises(ValueError, match="must have 8 columns, one for each component"):
        embedding.inverse_transform(X[:, :2])


def test_the_way_back_follows_the_weights_of_the_model():
    embedding = NeighborEmbedding(2, reconstruction_weight=1.0, **FAST).fit(ROWS)
    before = embedding.inverse_transform(embedding.transform(X[:9]))
    model = embedding.model_
    model.set_weights([weight * 0.5 for weight in model.get_weights()])
    again = embedding.inverse_transform(embedding.transform(X[:9]))
    assert np.abs(again - before).max() > 0.1
    np.testing.assert_allclose(model.predict(X[:9], verbose=0), again, rtol=1e-4, atol=1e-4)


def test_without_a_decoder_there_is_no_way_back(of_digits):
    assert not hasattr(of_digits, "inverse_transform")


def test_warm_start_goes_on_from_the_places_that_rows_have():
    embedding = NeighborEmbedding(random_state=0, warm_start=True, epochs=20).fit(ROWS)
    before = embedding.transform(ROWS)
    after = embedding.fit(ROWS).transform(ROWS)
    assert not np.array_equal(after, before)
    assert np.corrcoef(after[:, 0], before[:, 0])[0, 1] > 0.9


def test_images_may_be_flat_or_not_and_are_augmented():
    flat = NeighborEmbedding(image_shape=(8, 8), **FAST).fit(ROWS)
    images = NeighborEmbedding(image_shape=(8, 8), **FAST).fit(ROWS.reshape(-1, 8, 8))
    np.testing.assert_array_equal(flat.transform(ROWS), images.transform(ROWS.reshape(-1, 8, 8)))
    kinds = [type(layer).__name__ for layer in flat.model_.layers]
    assert kinds.count("RandomAffine") == 1
    assert kinds.count("WindowProduct") == 3
    little = NeighborEmbedding(image_shape=(8, 8), augment={"rotation": 2}, **FAST).fit(ROWS)
    assert abs(little.graph_ - flat.graph_).max() > 0


def test_names_of_columns_and_frames():
    frame = pd.DataFrame(IRIS.data, columns=["a", "b", "c", "d"])
    embedding = NeighborEmbedding(**FAST).set_output(transform="pandas")
    places = embedding.fit_transform(frame)
    assert list(places.columns) == ["neighborembedding0", "neighborembedding1"]
    assert embedding.get_feature_names_out().tolist() == ["neighborembedding0", "neighborembedding1"]
    assert embedding.feature_names_in_.tolist() == ["a", "b", "c", "d"]


def test_a_search_over_the_number_of_components_in_a_pipeline():
    pipeline = make_pipeline(NeighborEmbedding(**FAST), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"neighborembedding__n_components": [1, 3]}, cv=2).fit(ROWS, y[:120])
    assert len(search.cv_results_["mean_test_score"]) == 2
    assert search.best_estimator_[0].transform(X[:4]).shape == (
        4,
        search.best_params_["neighborembedding__n_components"],
    )


def test_callbacks_of_keras_and_of_scikit_learn_see_the_epochs(capsys):
    seen = []

    class Watcher(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, "loss" in logs))

    NeighborEmbedding(callbacks=[Watcher()], **FAST).fit(ROWS)
    assert seen == [(0, True), (1, True), (2, True)]
    NeighborEmbedding(**FAST).set_callbacks(ProgressBar()).fit(ROWS)


def test_summary_prints_the_layers(of_digits, capsys):
    of_digits.summary()
    assert "landmarks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_neighbors": 0}, "The 'n_neighbors' parameter of NeighborEmbedding must be an int in the range"),
        ({"min_dist": -1}, "The 'min_dist' parameter of NeighborEmbedding must be a float in the range"),
        ({"metric": "precomputed"}, "give X as rows, and the distances of neighbours as neighbors=<sparse matrix>"),
        ({"neighbors": 3}, "must be a sparse matrix of distances, a transformer that makes one"),
        ({"neighbors": sparse.eye_array(4)}, r"must give a sparse matrix of shape \(120, 120\)"),
        ({"image_shape": (8,)}, r"must be \(height, width\) or \(height, width, channels\). Got \(8,\)."),
        ({"image_shape": (8, 9)}, "does not fit X"),
        ({"image_shape": (8, 8), "augment": {"angle": 1}}, "with any of the keys 'rotation', 'zoom', 'shear'"),
        (
            {"metric": "nearest"},
            r"The 'metric' parameter of NeighborEmbedding must be a function .* Got 'nearest' instead\.",
        ),
        ({"activation": "reluu", "hidden_layer_sizes": (4,)}, "relu"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said(parameters, message):
    with pytest.raises(ValueError, match=message):
        NeighborEmbedding(epochs=1).set_params(**parameters).fit(ROWS)


def test_a_single_row_has_no_neighbour_and_y_must_fit():
    with pytest.raises(ValueError, match="needs at least 2 rows, one and a neighbour"):
        NeighborEmbedding().fit(X[:1])
    with pytest.raises(ValueError, match="X has 60 and y has 3"):
        NeighborEmbedding(epochs=1).fit(X[:60], [0, 1, 2])
