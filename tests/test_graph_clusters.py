"""Clusters of graphs by information, beside scikit-learn's mutual information and all that there are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score, mutual_info_score

from skneural._geometry import graph_clusters as _graph_clusters
from skneural._geometry.graph_clusters import cluster_graph, information, joint_weights, spectral_coordinates


def blocks(sizes, inside, outside, seed=0):
    """A graph with dense blocks, and the block of each row."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    chance = np.where(labels[:, None] == labels, inside, outside)
    edges = np.triu(np.random.default_rng(seed).random(chance.shape) < chance, 1)
    weights = np.random.default_rng(seed + 1).random(chance.shape) * edges
    return sparse.csr_array((weights + weights.T).astype(np.float32)), labels


def test_information_is_scikit_learns():
    graph, labels = blocks([10, 12, 8], 0.6, 0.2)
    joint = joint_weights(graph, labels)
    assert information(joint) == pytest.approx(mutual_info_score(None, None, contingency=joint * 1e6), rel=1e-5)
    np.testing.assert_allclose(joint.sum(), 1)


def test_losses_of_merging_are_differences_of_information():
    graph, labels = blocks([6, 5, 7, 4], 0.6, 0.4)
    joint = joint_weights(graph, labels)
    losses = _graph_clusters._losses(joint)
    for first, second in itertools.permutations(range(4), 2):
        merged = np.where(labels == second, first, labels)
        expected = information(joint) - information(joint_weights(graph, np.unique(merged, return_inverse=True)[1]))
        assert losses[first, second] == pytest.approx(expected, abs=1e-12)


def test_gains_of_moving_a_row_are_differences_of_information():
    graph, labels = blocks([6, 5, 7], 0.6, 0.5)
    joint = joint_weights(graph, labels)
    dense = graph.toarray()[3] / graph.sum()
    shares = np.bincount(labels, weights=dense, minlength=3)
    without = joint.copy()
    _graph_clusters._move(without, shares, int(labels[3]), -1.0)
    gains = _graph_clusters._gains(without, shares, np.arange(3))
    expected = [information(joint_weights(graph, np.where(np.arange(18) == 3, goal, labels))) for goal in range(3)]
    np.testing.assert_allclose(gains - gains[0], np.array(expected) - expected[0], atol=1e-7)


def test_dense_blocks_are_found():
    graph, labels = blocks([60, 40, 80, 50], 0.3, 0.02)
    found = cluster_graph(graph, 4, n_starts=3, seed=0)
    assert adjusted_rand_score(found.labels, labels) > 0.95
    assert found.information == pytest.approx(information(joint_weights(graph, found.labels)), rel=1e-5)
    again = cluster_graph(graph, 4, n_starts=3, seed=0)
    np.testing.assert_array_equal(found.labels, again.labels)


def test_two_clusters_of_few_rows_are_the_best_of_all():
    graph, _ = blocks([5, 4], 0.9, 0.3, seed=3)
    all_labels = [np.array((0, *rest)) for rest in itertools.product((0, 1), repeat=8) if any(rest)]
    best = max(information(joint_weights(graph, labels)) for labels in all_labels)
    assert cluster_graph(graph, 2, n_starts=10, seed=0).information == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("n_clusters", [1, 2, 30, 100])
def test_any_number_of_clusters(n_clusters):
    graph, _ = blocks([15, 15], 0.5, 0.05)
    found = cluster_graph(graph, n_clusters, n_starts=2, seed=0)
    assert set(found.labels) == set(range(min(n_clusters, 30)))


def test_parts_without_edges_between_them_are_clusters():
    graph, labels = blocks([30, 30, 30], 0.5, 0.0)
    assert adjusted_rand_score(cluster_graph(graph, 3, n_starts=2, seed=0).labels, labels) == 1
    coordinates = spectral_coordinates(graph, 3, 0)
    likeness = coordinates @ coordinates.T
    np.testing.assert_allclose(likeness, labels[:, None] == labels, atol=1e-2)
