"""Clusters of a weighted graph: those that tell most about each other along its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import eigsh
from scipy.special import xlogy
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

Array = NDArray[Any]
_N_COORDINATES = 15
# Groups that are merged, for each cluster that is wanted.
_GROUPS_PER_CLUSTER = 3
_MOST_SWEEPS = 20


@dataclass(frozen=True)
class GraphClusters:
    """Labels of shape (n,), numbered from zero, and the mutual information in nats of the two ends of an edge."""

    labels: NDArray[np.intp]
    information: float


# Sums that are divided among several cores differ in the last bit with their number.
@threadpool_limits.wrap(limits=1)
def cluster_graph(graph: sparse.csr_array, n_clusters: int, *, n_starts: int, seed: int) -> GraphClusters:
    """Find clusters c that keep the most information I(c_i; c_j), where (i, j) is an edge drawn by its weight.

    Each start groups the rows by k-means in spectral coordinates (Ng, Jordan and Weiss 2001), into more groups than are
    wanted, merges pairs of groups, each time the one that costs the least information (the agglomerative information
    bottleneck of Slonim and Tishby 1999), and then moves single rows while the information grows. The start with the
    most information wins. ``graph`` is symmetric, of shape (n, n), with weights above zero and an empty diagonal.
    """
    n_rows = graph.shape[0]
    n_clusters = min(n_clusters, n_rows)
    n_groups = min(_GROUPS_PER_CLUSTER * n_clusters, n_rows)
    coordinates = spectral_coordinates(graph, min(max(_N_COORDINATES, n_clusters), n_rows - 1), seed)
    best: GraphClusters | None = None
    for start in range(n_starts):
        generator = np.random.RandomState([seed, start])
        groups = _compact(KMeans(n_groups, n_init=1, random_state=generator).fit_predict(coordinates))
        merged = _merged(joint_weights(graph, groups), n_clusters)[groups]
        labels = _moved(graph, _compact(merged))
        found = GraphClusters(labels, information(joint_weights(graph, labels)))
        if best is None or found.information > best.information:
            best = found
    assert best is not None
    return best


def spectral_coordinates(graph: sparse.csr_array, n_coordinates: int, seed: int) -> Array:
    """Give the leading eigenvectors of D^(-1/2) A D^(-1/2), shape (n, n_coordinates), rows of length one."""
    degrees = np.maximum(np.asarray(graph.sum(axis=1)).ravel().astype(np.float64), 1e-12)
    scaling = sparse.diags_array(1 / np.sqrt(degrees))
    normalized = (scaling @ graph.astype(np.float64) @ scaling).tocsr()
    if n_coordinates >= graph.shape[0] - 1 or graph.shape[0] < 50:
        vectors = np.linalg.eigh(normalized.toarray())[1][:, ::-1][:, :n_coordinates]
    else:
        first = np.random.default_rng(seed).uniform(-1, 1, graph.shape[0])
        # The smallest gaps between eigenvalues decide nothing: so many steps come near enough.
        vectors = eigsh(normalized, n_coordinates, which="LA", v0=first, tol=1e-4)[1]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    coordinates: Array = vectors / np.where(lengths > 0, lengths, 1)
    return coordinates


def joint_weights(graph: sparse.csr_array, labels: Array) -> Array:
    """Share of the weight of all edges between each pair of clusters, shape (n_clusters, n_clusters)."""
    members = _members(labels)
    weights: Array = (members.T @ (graph.astype(np.float64) @ members)).toarray()
    return weights / max(float(weights.sum()), 1e-300)


def information(joint: Array) -> float:
    """Mutual information of the two sides of a symmetric joint distribution, in nats."""
    return float(xlogy(joint, joint).sum() - 2 * xlogy(joint.sum(axis=0), joint.sum(axis=0)).sum())


def _members(labels: Array) -> sparse.csr_array:
    n_rows = len(labels)
    return sparse.csr_array((np.ones(n_rows), (np.arange(n_rows), labels)), shape=(n_rows, int(labels.max()) + 1))


def _compact(labels: Array) -> NDArray[np.intp]:
    """Number clusters from zero, without gaps."""
    numbered: NDArray[np.intp] = np.unique(labels, return_inverse=True)[1]
    return numbered


def _merged(joint: Array, n_clusters: int) -> NDArray[np.intp]:
    """Merge groups until ``n_clusters`` are left, and give the cluster of each."""
    cluster_of = np.arange(len(joint))
    alive = list(range(len(joint)))
    joint = joint.copy()
    while len(alive) > n_clusters:
        losses = _losses(joint[np.ix_(alive, alive)])
        first, second = np.unravel_index(np.argmin(losses), losses.shape)
        kept, gone = alive[min(first, second)], alive[max(first, second)]
        joint[kept] += joint[gone]
        joint[:, kept] += joint[:, gone]
        joint[gone], joint[:, gone] = 0.0, 0.0
        cluster_of[cluster_of == gone] = kept
        alive.remove(gone)
    return _compact(cluster_of)


def _losses(joint: Array) -> Array:
    """Information that is lost when two groups become one, for each pair; infinite on the diagonal."""
    n = len(joint)
    shares = joint.sum(axis=0)
    single = xlogy(joint, joint)
    rows = single.sum(axis=1)
    before = 2 * (rows[:, None] + rows[None, :]) - 2 * single - np.diag(single)[:, None] - np.diag(single)[None, :]
    merged_rows = np.stack([xlogy(joint[i] + joint, joint[i] + joint).sum(axis=1) for i in range(n)])
    # Of a merged row, the entries towards the two themselves become one entry, their sum.
    own = np.diag(joint)[:, None] + joint
    towards = xlogy(own, own)
    inner = np.diag(joint)[:, None] + 2 * joint + np.diag(joint)[None, :]
    after = 2 * (merged_rows - towards - towards.T) + xlogy(inner, inner)
    both = shares[:, None] + shares[None, :]
    alone = xlogy(shares, shares)
    marginals = 2 * (xlogy(both, both) - alone[:, None] - alone[None, :])
    losses: Array = before - after + marginals
    np.fill_diagonal(losses, np.inf)
    return losses


def _moved(graph: sparse.csr_array, labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Move single rows to other clusters while the information grows; no cluster is left empty."""
    labels = labels.copy()
    n_clusters = int(labels.max()) + 1
    total = float(graph.sum())
    joint = joint_weights(graph, labels)
    sizes = np.bincount(labels, minlength=n_clusters)
    starts, columns, weights = graph.indptr, graph.indices, graph.data.astype(np.float64) / max(total, 1e-300)
    for _ in range(_MOST_SWEEPS):
        towards = graph @ _members(labels)
        undecided = np.flatnonzero(np.diff(towards.tocsr().indptr) > 1)
        n_moved = 0
        for row in undecided:
            part = slice(starts[row], starts[row + 1])
            shares = np.bincount(labels[columns[part]], weights=weights[part], minlength=n_clusters)
            home = labels[row]
            if sizes[home] < 2:
                continue
            goal = _best_goal(joint, shares, int(home))
            if goal != home:
                _move(joint, shares, int(home), -1.0)
                _move(joint, shares, goal, 1.0)
                labels[row] = goal
                sizes[home] -= 1
                sizes[goal] += 1
                n_moved += 1
        if not n_moved:
            break
    return labels


def _move(joint: Array, shares: Array, cluster: int, sign: float) -> None:
    """Add a row with these shares of weight towards each cluster to a cluster, or take it away."""
    joint[cluster] += sign * shares
    joint[:, cluster] += sign * shares


def _best_goal(joint: Array, shares: Array, home: int) -> int:
    """Give the cluster in which a row keeps the most information, its own where none keeps more."""
    _move(joint, shares, home, -1.0)
    goals = np.flatnonzero(shares > 0)
    goals = goals if home in goals else np.append(goals, home)
    gains = _gains(joint, shares, goals)
    _move(joint, shares, home, 1.0)
    best = int(np.argmax(gains))
    stays = gains[np.flatnonzero(goals == home)[0]]
    return int(goals[best]) if gains[best] > stays + 1e-12 else home


def _gains(joint: Array, shares: Array, goals: Array) -> Array:
    """Information that a row adds in each of some clusters."""
    rows = joint[goals]
    new = rows + shares
    at = np.arange(len(goals)), goals
    old_own, new_own = rows[at], rows[at] + 2 * shares[goals]
    gain = 2 * (xlogy(new, new).sum(axis=1) - xlogy(rows, rows).sum(axis=1))
    # The entry on the diagonal stands in a row and a column, but once.
    single = new[at]
    gain += xlogy(new_own, new_own) - 2 * xlogy(single, single) + xlogy(old_own, old_own)
    # The other ends of its edges count wherever it goes.
    marginal = (joint.sum(axis=0) + shares)[goals]
    grown = marginal + shares.sum()
    gains: Array = gain - 2 * (xlogy(grown, grown) - xlogy(marginal, marginal))
    return gains
