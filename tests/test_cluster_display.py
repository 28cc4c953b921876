"""A picture of clusters."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.metrics import silhouette_samples, silhouette_score

from skneural import ClusterDisplay, DeepEmbeddedClustering

mpl.use("Agg")
BLOBS, _ = make_blobs(90, n_features=3, centers=3, random_state=0)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def test_sizes_silhouettes_and_prototypes_are_those_of_the_clusters():
    means = KMeans(3, n_init=1, random_state=0).fit(BLOBS)
    display = ClusterDisplay.from_estimator(means, BLOBS)
    places = means.transform(BLOBS)
    assert display.sizes_ == {label: int((means.labels_ == label).sum()) for label in range(3)}
    expected = silhouette_samples(places, means.labels_)
    for label, found in enumerate(display.silhouettes_):
        np.testing.assert_allclose(found, np.sort(expected[means.labels_ == label]))
    assert display.axes_[1].get_title() == f"mean {silhouette_score(places, means.labels_):.2f}"
    assert [text.get_text() for text in display.prototypes_] == ["0", "1", "2"]
    assert [text.get_text() for text in display.axes_[1].get_yticklabels()] == [
        f"{label} ({size})" for label, size in display.sizes_.items()
    ]
    display.figure_.canvas.draw()


def test_prototypes_of_images_are_thumbnails():
    X = load_digits().data[:100]
    clustering = DeepEmbeddedClustering(4, image_shape=(8, 8), epochs=1, random_state=0).fit(X)
    display = ClusterDisplay.from_estimator(clustering, X)
    assert len(display.prototypes_) == len(set(clustering.labels_))
    by_hand = ClusterDisplay(
        embedding=clustering.transform(X),
        labels=clustering.labels_,
        prototypes=clustering.cluster_prototypes_,
        images=X.reshape(-1, 8, 8),
    ).plot()
    shown = by_hand.prototypes_[1].offsetbox.get_data()
    np.testing.assert_array_equal(shown, X[clustering.cluster_prototypes_[1]].reshape(8, 8))
    by_hand.figure_.canvas.draw()


def test_thumbnails_stand_side_by_side_in_the_colours_of_their_clusters():
    places, labels = np.repeat(np.random.default_rng(0).normal(0, 0.02, (6, 2)), 5, axis=0), np.repeat(np.arange(6), 5)
    places = np.vstack([places, [[-1, -1], [1, 1]]])  # clusters in the middle of a wide map, one of them twice
    labels = np.append(labels, [6, 6])
    places[5:10] = places[:5]
    display = ClusterDisplay(embedding=places, labels=labels, images=np.ones((32, 4, 4))).plot()
    display.figure_.canvas.draw()
    boxes = [box.patch.get_window_extent() for box in display.prototypes_]
    assert len(boxes) == 7
    assert not [(a, b) for a in boxes for b in boxes if a is not b and a.overlaps(b)]
    drawn = [mpl.colors.to_hex(box.patch.get_edgecolor()) for box in display.prototypes_]
    assert drawn == [mpl.colors.to_hex(color) for color in mpl.colormaps["tab10"](range(7))]


def test_noise_has_a_bar_and_no_prototype():
    labels = np.repeat([-1, 0, 1], 30)
    display = ClusterDisplay(embedding=BLOBS[:, :2], labels=labels).plot()
    assert display.axes_[1].get_yticklabels()[0].get_text() == "noise (30)"
    assert len(display.prototypes_) == 2


@pytest.mark.parametrize("labels", [np.zeros(90, int), np.arange(90)], ids=["one cluster", "a cluster for each row"])
def test_clusters_without_silhouettes_are_drawn(labels):
    display = ClusterDisplay(embedding=BLOBS[:, :1], labels=labels).plot()
    assert all((values == 0).all() for values in display.silhouettes_)
    display.figure_.canvas.draw()


def test_what_cannot_be_drawn_is_an_error():
    with pytest.raises(ValueError, match=r"one entry for each row. Got \(90, 3\) and \(5,\)"):
        ClusterDisplay(embedding=BLOBS, labels=np.zeros(5, int)).plot()
    with pytest.raises(NotFittedError):
        ClusterDisplay.from_estimator(DeepEmbeddedClustering(3), BLOBS)
