"""Sort images of digits into ten clusters without their labels, and see at the end what the clusters are.

Run it with ``make clusters``. It draws the clusters, each with its most typical image, and then, with the labels, a
confusion matrix.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import PowerNorm
from scipy.optimize import linear_sum_assignment
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.metrics.cluster import contingency_matrix

import skneural  # whose classes load TensorFlow when they are first named, not for --help


def main() -> None:
    options = read_options()
    mpl.use("agg")  # figures are saved, and need no screen
    options.output.mkdir(parents=True, exist_ok=True)
    X, y = (part[: options.n_images] for part in load_digits(return_X_y=True))

    print(f"Sorting {len(X)} images, of which no label is known ...")
    clustering = skneural.DeepEmbeddedClustering(10, image_shape=(8, 8), random_state=0).fit(X)
    save(skneural.ClusterDisplay.from_estimator(clustering, X).figure_, options.output / "clusters.png")

    digits = digit_of_each_cluster(y, clustering.labels_)[clustering.labels_]
    print(f"{np.mean(digits == y):.1%} of them are in the cluster of their digit.")
    # Errors are few, and would be as pale as zeros on a linear scale of colours.
    shades = {"norm": PowerNorm(0.3)}
    display = ConfusionMatrixDisplay.from_predictions(y, digits, cmap="Blues", colorbar=False, im_kw=shades)
    display.ax_.set(xlabel="Digit of its cluster", ylabel="Digit")
    save(display.figure_, options.output / "confusion_matrix.png")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("clusters_report"), help="folder for the figures")
    parser.add_argument("--n-images", type=int, default=1797, help="images to sort")
    return parser.parse_args()


def digit_of_each_cluster(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Give each cluster a digit of its own so that most images are right: labels are looked at only here."""
    counts = contingency_matrix(y, labels)
    digits, clusters = linear_sum_assignment(-counts)
    found = np.full(labels.max() + 1, -1)
    found[np.unique(labels)[clusters]] = np.unique(y)[digits]
    return found


def save(figure: mpl.figure.Figure, path: Path) -> None:
    figure.savefig(path)
    print(path)


if __name__ == "__main__":
    main()
