"""DeepEmbeddedClustering beside k-means and a mixture: how well clusters agree with labels that no fit has seen.

    python benchmarks/clustering.py --data FOLDER [--seeds 3] [--quick] [--large] [--methods NAME ...]

FOLDER holds ``mnist.npz`` and ``tabular/*.csv.gz``. Each fit has a process of its own. Nothing is chosen by data set
but ``n_clusters``, the number of labels, and ``image_shape`` where rows are images. Accuracy is that of the best
matching of clusters and labels, that of new rows with a matching of their own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TABLES = ("satimage", "letter", "dry_bean", "soybean", "banknote", "phoneme", "pima_diabetes")
IMAGE_SHAPES = {"digits": (8, 8), "mnist": (28, 28)}


def k_means(n_clusters: int, image_shape: Any, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(n_clusters, n_init=10, random_state=seed)


def mixture(n_clusters: int, image_shape: Any, seed: int) -> Any:
    from sklearn.mixture import GaussianMixture

    if image_shape is not None:
        raise ValueError("full covariances of pixels are singular")
    return GaussianMixture(n_clusters, n_init=3, reg_covar=1e-3, random_state=seed)


def ours(n_clusters: int, image_shape: Any, seed: int, method: str = "neighbors") -> Any:
    from skneural import DeepEmbeddedClustering

    return DeepEmbeddedClustering(n_clusters, method=method, image_shape=image_shape, random_state=seed)


def idec(n_clusters: int, image_shape: Any, seed: int) -> Any:
    return ours(n_clusters, image_shape, seed, "idec")


def n2d(n_clusters: int, image_shape: Any, seed: int) -> Any:
    return ours(n_clusters, image_shape, seed, "n2d")


METHODS: dict[str, Callable[[int, Any, int], Any]] = {
    "k-means": k_means,
    "mixture": mixture,
    "neighbors": ours,
    "idec": idec,
    "n2d": n2d,
}


def main() -> None:
    """Print both tables, or make one fit and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="2,000 rows of MNIST, 1,000 of tables")
    parser.add_argument("--large", action="store_true", help="all 60,000 rows of MNIST")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["k-means", "mixture", "neighbors"])
    parser.add_argument("--skip-images", action="store_true")
    parser.add_argument("--skip-tables", action="store_true")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        method, name, seed, n_rows = arguments.one
        print(json.dumps(measured(arguments.data, method, name, int(seed), int(n_rows))))
        return
    if not arguments.skip_images:
        print_images(arguments, 60_000 if arguments.large else 2000 if arguments.quick else 10_000)
    if not arguments.skip_tables:
        print_tables(arguments, 1000 if arguments.quick else 4000)


def print_images(arguments: argparse.Namespace, n_rows: int) -> None:
    """Print what is reached on images."""
    print(f"images, mean of {arguments.seeds} seeds")
    print(f"{'':<24}{'accuracy':>9}{'NMI':>7}{'ARI':>7}{'new rows':>10}{'fit CPU s':>11}")
    for name, n in (("digits", 1797), ("mnist", n_rows)):
        for method in arguments.methods:
            found = mean_over_seeds(arguments, method, name, n)
            if found:
                print(
                    f"{name + ', ' + method:<24}{found['accuracy']:>9.3f}{found['NMI']:>7.3f}{found['ARI']:>7.3f}"
                    f"{found['new']:>10.3f}{found['fit']:>11.1f}",
                    flush=True,
                )


def print_tables(arguments: argparse.Namespace, n_rows: int) -> None:
    """Print the normalised mutual information of clusters and labels on tables."""
    print(f"\nNMI{'':<21}" + "".join(f"{name[:10]:>11}" for name in TABLES) + f"{'mean':>11}")
    for method in arguments.methods:
        found = [mean_over_seeds(arguments, method, name, n_rows) for name in TABLES]
        if all(found):
            scores = [one["NMI"] for one in found]
            print(f"{method:<24}" + "".join(f"{one:>11.3f}" for one in [*scores, np.mean(scores)]), flush=True)


def mean_over_seeds(arguments: argparse.Namespace, method: str, name: str, n_rows: int) -> dict[str, float]:
    """Measure a method in a process for each seed; nothing where it cannot be."""
    results = []
    for seed in range(arguments.seeds):
        one = [method, name, str(seed), str(n_rows)]
        command = [sys.executable, __file__, "--data", str(arguments.data), "--one", *one]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"{method} is skipped on {name}: {run.stderr.strip().splitlines()[-1]}", flush=True)
            return {}
        results.append(json.loads(run.stdout.strip().splitlines()[-1]))
    return {key: float(np.mean([one[key] for one in results])) for key in results[0]}


def measured(folder: Path, method: str, name: str, seed: int, n_rows: int) -> dict[str, float]:
    """Fit one method and compare its clusters with the labels, on the rows of fit and on others."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    warnings.simplefilter("ignore")
    X, y, new, labels = rows_of(folder, name, seed, n_rows)
    estimator = METHODS[method](len(np.unique(y)), IMAGE_SHAPES.get(name), seed)
    begun = time.process_time()
    found = estimator.fit(X).predict(X)
    seconds = time.process_time() - begun
    return {
        "accuracy": accuracy(y, found),
        "NMI": normalized_mutual_info_score(y, found),
        "ARI": adjusted_rand_score(y, found),
        "new": accuracy(labels, estimator.predict(new)) if len(new) else float("nan"),
        "fit": seconds,
    }


def accuracy(y: Array, clusters: Array) -> float:
    """Share of rows whose cluster is matched with their label, under the best matching (Hungarian method)."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    counts = contingency_matrix(y, clusters)
    matched = counts[linear_sum_assignment(-counts)].sum()
    return float(matched / len(y))


def rows_of(folder: Path, name: str, seed: int, n_rows: int) -> tuple[Array, Array, Array, Array]:
    """Give rows to fit and others with their labels, of the digits none."""
    if name == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return X, y, X[:0], y[:0]
    if name == "mnist":
        return mnist(folder, n_rows)
    return table(folder, name, seed, n_rows)


def mnist(folder: Path, n_rows: int) -> tuple[Array, Array, Array, Array]:
    """Give the first rows of MNIST's training part, in [0, 1], and the next 5,000, or those of its test part."""
    stored = np.load(folder / "mnist.npz")
    X, y = (np.concatenate([stored[f"{part}_train"], stored[f"{part}_test"][:5000]]) for part in "Xy")
    X = X.reshape(len(X), -1).astype(np.float32) / 255
    return X[:n_rows], y[:n_rows], X[n_rows : n_rows + 5000], y[n_rows : n_rows + 5000]


def table(folder: Path, name: str, seed: int, n_rows: int) -> tuple[Array, Array, Array, Array]:
    """Give scaled numeric columns of at most ``n_rows`` rows without holes, and up to 1,000 others."""
    import pandas as pd
    from sklearn.preprocessing import StandardScaler

    frame = pd.read_csv(folder / "tabular" / f"{name}.csv.gz").dropna()
    frame = frame.sample(min(len(frame), n_rows + 1000), random_state=seed)
    X, y = frame.iloc[:, :-1].select_dtypes("number").to_numpy(np.float32), frame.iloc[:, -1].to_numpy()
    X = StandardScaler().fit(X[:n_rows]).transform(X)
    return X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:]


if __name__ == "__main__":
    main()
