"""Neighbours are those that comparing all rows finds, whatever way they were looked for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsTransformer

from skneural._geometry import search as _neighbors
from skneural._geometry.search import nearest_neighbors, neighbors_of_graph, unit_rows, without_self

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(60, 5)).astype(np.float32)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine", "correlation"])
def test_neighbours_are_those_of_all_distances(metric):
    all_distances = cdist(X.astype(float), X.astype(float), {"manhattan": "cityblock"}.get(metric, metric))
    np.fill_diagonal(all_distances, np.inf)
    found = nearest_neighbors(X, 4, metric=metric, seed=0)
    np.testing.assert_array_equal(found.indices, np.argsort(all_distances, axis=1)[:, :4])
    np.testing.assert_allclose(found.distances, np.sort(all_distances, axis=1)[:, :4], rtol=1e-4, atol=1e-6)
    assert (found.indices.dtype, found.distances.dtype) == (np.int32, np.float32)


def test_a_function_is_a_metric_too():
    found = nearest_neighbors(X[:10], 3, metric=lambda one, other: float(np.abs(one - other).max()), seed=0)
    expected = nearest_neighbors(X[:10], 3, metric="chebyshev", seed=0)
    np.testing.assert_array_equal(found.indices, expected.indices)


def test_fewer_rows_than_neighbours_are_all_neighbours():
    found = nearest_neighbors(X[:4], 15, metric="euclidean", seed=0)
    assert found.indices.shape == (4, 3)
    assert [sorted(row) for row in found.indices.tolist()] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert nearest_neighbors(X[:1], 15, metric="euclidean", seed=0).indices.shape == (1, 0)


def test_no_row_is_its_own_neighbour_among_duplicates():
    found = nearest_neighbors(np.zeros((9, 2), np.float32), 4, metric="euclidean", seed=0)
    assert not (found.indices == np.arange(9)[:, None]).any()
    assert not found.distances.any()


def test_a_row_that_is_not_on_its_own_list_loses_the_last_one():
    found = without_self(np.array([[0, 2, 1], [2, 0, 3]]), np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 3.0]]))
    assert found.indices.tolist() == [[2, 1], [2, 0]]
    assert found.distances.tolist() == [[1.0, 2.0], [0.0, 0.0]]


def test_rows_of_zeros_have_no_direction():
    np.testing.assert_allclose(unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_cells_find_nearly_all_neighbours(monkeypatch):
    digits = load_digits().data.astype(np.float32)
    exact = nearest_neighbors(digits, 10, metric="euclidean", seed=0)
    monkeypatch.setattr(_neighbors, "_MOST_ROWS_COMPARED_WITH_ALL", 1000)
    monkeypatch.setattr(_neighbors, "_CELLS_VISITED", 20)
    found = nearest_neighbors(digits, 10, metric="euclidean", seed=0)
    share = np.mean([np.isin(one, other).mean() for one, other in zip(exact.indices, found.indices, strict=True)])
    assert 0.97 < share < 1
    assert not (found.indices == np.arange(len(digits))[:, None]).any()
    assert (np.diff(found.distances, axis=1) >= 0).all()
    again = nearest_neighbors(digits, 10, metric="euclidean", seed=0)
    np.testing.assert_array_equal(again.indices, found.indices)


def test_cells_with_fewer_rows_than_neighbours_leave_places_empty(monkeypatch):
    monkeypatch.setattr(_neighbors, "_MOST_ROWS_COMPARED_WITH_ALL", 10)
    monkeypatch.setattr(_neighbors, "_CELLS_VISITED", 1)
    found = nearest_neighbors(X, 30, metric="euclidean", seed=0)
    empty = np.isinf(found.distances)
    assert empty.any()
    assert (found.indices == np.arange(60)[:, None])[empty].all()
    assert not (found.indices == np.arange(60)[:, None])[~empty].any()


def test_a_graph_of_distances_is_read_as_it_was_made():
    graph = KNeighborsTransformer(n_neighbors=6, mode="distance").fit_transform(X)
    expected = nearest_neighbors(X, 6, metric="euclidean", seed=0)
    found = neighbors_of_graph(graph, 6)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.distances, expected.distances, rtol=1e-5)
    np.testing.assert_array_equal(neighbors_of_graph(graph, 3).indices, expected.indices[:, :3])


def test_rows_of_a_graph_may_have_few_neighbours_or_none():
    graph = sparse.coo_array(([0.5, 0.2, 0.0], ([0, 0, 1], [1, 2, 0])), shape=(3, 3))
    found = neighbors_of_graph(graph, 5)
    assert found.indices.tolist() == [[2, 1], [0, 1], [2, 2]]
    np.testing.assert_allclose(found.distances, [[0.2, 0.5], [0.0, np.inf], [np.inf, np.inf]], rtol=1e-6)
