"""The fuzzy graph is that of the paper, by arithmetic."""

from __future__ import annotations

import resource
import sys

import numpy as np
import pytest
from scipy.optimize import brentq

from skneural._geometry.graph import fuzzy_graph, fuzzy_weights, with_row_weights
from skneural._geometry.search import Neighbors, nearest_neighbors

X = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)


def test_weights_of_a_row_sum_to_the_logarithm_of_their_number():
    weights = fuzzy_weights(nearest_neighbors(X, 15, metric="euclidean", seed=0).distances)
    np.testing.assert_allclose(weights.sum(axis=1), np.log2(15), rtol=1e-5)
    np.testing.assert_array_equal(weights[:, 0], 1)


def test_scales_are_the_roots_of_the_equation():
    distances = nearest_neighbors(X, 8, metric="euclidean", seed=0).distances.astype(float)
    beyond = distances - distances[:, :1]
    for row, weights in zip(beyond, fuzzy_weights(distances.astype(np.float32)), strict=True):
        sigma = brentq(lambda sigma, row=row: np.exp(-row / sigma).sum() - 3, 1e-6, 1e3)
        np.testing.assert_allclose(weights, np.exp(-row / sigma), rtol=1e-4)


def test_blocks_of_rows_change_nothing(monkeypatch):
    distances = nearest_neighbors(X, 5, metric="euclidean", seed=0).distances
    whole = fuzzy_weights(distances)
    monkeypatch.setattr("skneural._geometry.graph._BLOCK_ROWS", 7)
    np.testing.assert_array_equal(fuzzy_weights(distances), whole)


def test_the_graph_is_the_fuzzy_union_of_both_directions():
    neighbors = nearest_neighbors(X, 6, metric="euclidean", seed=0)
    directed = np.zeros((80, 80))
    np.put_along_axis(directed, neighbors.indices.astype(int), fuzzy_weights(neighbors.distances), axis=1)
    graph = fuzzy_graph(neighbors)
    np.testing.assert_allclose(graph.toarray(), directed + directed.T - directed * directed.T, rtol=1e-5, atol=1e-7)
    assert (graph.dtype, graph.indices.dtype, graph.has_canonical_format) == (np.float32, np.int32, True)


def test_duplicates_weigh_one_and_the_nearest_other_row_too():
    weights = fuzzy_weights(np.array([[0, 0, 1, 3, 9]], np.float32))
    np.testing.assert_array_equal(weights[0, :3], 1)
    # Three weights of one exceed log2(5), so sigma is the floor: 1e-3 of the mean distance 2.6.
    np.testing.assert_allclose(weights[0, 3:], np.exp(-np.array([2, 8]) / 2.6e-3), atol=1e-30)


def test_rows_all_of_whose_neighbours_are_duplicates_weigh_them_one():
    np.testing.assert_array_equal(fuzzy_weights(np.zeros((3, 4), np.float32)), 1)


def test_missing_neighbours_have_no_weight_and_no_edge():
    neighbors = Neighbors(
        np.array([[1, 2], [0, 1], [2, 2]], np.int32), np.array([[1, 2], [1, np.inf], [np.inf, np.inf]], np.float32)
    )
    assert fuzzy_weights(neighbors.distances)[1:].tolist() == [[1, 0], [0, 0]]
    graph = fuzzy_graph(neighbors)
    assert graph[[1, 2], [1, 2]].tolist() == [0, 0]
    assert graph[0, 1] == graph[1, 0] == 1


def test_no_neighbours_make_an_empty_graph():
    graph = fuzzy_graph(nearest_neighbors(X[:1], 5, metric="euclidean", seed=0))
    assert (graph.shape, graph.nnz) == ((1, 1), 0)


def test_separate_groups_stay_separate():
    far = np.concatenate([X[:40], X[40:] + 1000])
    graph = fuzzy_graph(nearest_neighbors(far, 5, metric="euclidean", seed=0))
    assert graph[:40, 40:].nnz == 0


def test_a_row_of_weight_two_has_twice_the_edges():
    graph = fuzzy_graph(nearest_neighbors(X, 5, metric="euclidean", seed=0))
    weights = np.random.default_rng(1).uniform(0.5, 2, len(X)).astype(np.float32)
    expected = graph.toarray() * np.outer(weights, weights)
    np.testing.assert_allclose(with_row_weights(graph, weights).toarray(), expected, rtol=1e-6)
    assert with_row_weights(graph, None) is graph


@pytest.mark.skipif(sys.platform != "linux", reason="units of the peak of memory differ between systems")
def test_memory_of_many_rows_is_bounded():
    n_rows, k = 200_000, 15
    generator = np.random.default_rng(0)
    neighbors = Neighbors(
        generator.integers(0, n_rows, (n_rows, k), dtype=np.int32),
        np.sort(generator.random((n_rows, k), dtype=np.float32), axis=1),
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzzy_graph(neighbors)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    # 1,000,000 rows of 50 columns take 0.2 GB themselves and must fit in 4 GB with their graph.
    assert 5 * grown < 2.5e9
