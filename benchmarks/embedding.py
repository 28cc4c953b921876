"""NeighborEmbedding beside PCA, umap-learn and its ParametricUMAP: where rows that no fit has seen are placed.

    python benchmarks/embedding.py --data FOLDER [--seeds 3] [--quick] [--large] [--methods NAME ...]

FOLDER holds ``mnist.npz`` and ``tabular/*.csv.gz``. Each fit has a process of its own, so that what a process does
first (imports, compiling) is in its seconds. No fit sees a label; they are for the nearest neighbours that judge a
place by those of the training rows. A peer that is not installed is skipped, saying so. Autoencoders are measured in
``benchmarks/reconstruction.py``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
TABLES = ("satimage", "letter", "dry_bean", "spambase", "phoneme")
_N_NEIGHBORS = 15


def pca(seed: int, is_image: bool) -> Any:
    from sklearn.decomposition import PCA

    return PCA(2, random_state=seed)


def umap_learn(seed: int, is_image: bool) -> Any:
    from umap import UMAP

    return UMAP(random_state=seed, n_jobs=1)


def parametric_umap(seed: int, is_image: bool) -> Any:
    from umap.parametric_umap import ParametricUMAP

    return ParametricUMAP(random_state=seed, verbose=False)


def ours(seed: int, is_image: bool) -> Any:
    from skneural import NeighborEmbedding

    return NeighborEmbedding(random_state=seed)


def ours_of_images(seed: int, is_image: bool) -> Any:
    from skneural import NeighborEmbedding

    if not is_image:
        raise ValueError("rows are no images")
    return NeighborEmbedding(image_shape=(28, 28), random_state=seed)


METHODS: dict[str, Callable[[int, bool], Any]] = {
    "PCA": pca,
    "umap-learn": umap_learn,
    "ParametricUMAP": parametric_umap,
    "NeighborEmbedding": ours,
    "NeighborEmbedding, image_shape": ours_of_images,
}


def main() -> None:
    """Print both tables, or make one fit and print what it measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="2,000 rows")
    parser.add_argument("--large", action="store_true", help="all 60,000 rows of MNIST")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--skip-tables", action="store_true")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        method, name, seed, n_rows = arguments.one
        print(json.dumps(measured(arguments.data, method, name, int(seed), int(n_rows))))
        return
    n_rows = 60_000 if arguments.large else 2000 if arguments.quick else 10_000
    print(f"MNIST, {n_rows} rows, 5,000 unseen ones, mean of {arguments.seeds} seeds")
    print(f"{'':<32}{'1-NN':>7}{'15-NN':>7}{'trust':>7}{'import':>8}{'fit CPU s':>11}{'first ms':>10}{'later ms':>10}")
    for method in arguments.methods:
        found = mean_over_seeds(arguments, method, "mnist", n_rows)
        if found:
            print(
                f"{method:<32}{found['1-NN']:>7.3f}{found['15-NN']:>7.3f}{found['trustworthiness']:>7.3f}"
                f"{found['import']:>8.1f}{found['fit']:>11.1f}{found['first']:>10.0f}{found['later']:>10.0f}",
                flush=True,
            )
    if not arguments.skip_tables:
        print_tables(arguments)


def print_tables(arguments: argparse.Namespace) -> None:
    """Print the accuracy of 15 neighbours in two dimensions on tables, a third of their rows unseen."""
    methods = [name for name in arguments.methods if not name.endswith("image_shape")]
    print(f"\n15-NN in 2-D{'':<20}" + "".join(f"{name:>11}" for name in TABLES) + f"{'mean':>11}")
    for method in methods:
        found = [mean_over_seeds(arguments, method, name, 5000) for name in TABLES]
        if all(found):
            scores = [one["15-NN"] for one in found]
            print(f"{method:<32}" + "".join(f"{one:>11.3f}" for one in [*scores, np.mean(scores)]), flush=True)


def mean_over_seeds(arguments: argparse.Namespace, method: str, name: str, n_rows: int) -> dict[str, float]:
    """Measure a method in a process for each seed; nothing where it is not installed."""
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
    """Fit one method on the training rows and judge the places of others."""
    X, y, new, labels = mnist(folder, seed, n_rows) if name == "mnist" else table(folder, name, seed, n_rows)
    begun = time.process_time()
    estimator = METHODS[method](seed, name == "mnist")
    imported = time.process_time()
    estimator.fit(X)
    fitted = time.process_time()
    milliseconds = []
    for _ in range(1 if method == "umap-learn" else 6):
        clock = time.perf_counter()
        places = estimator.transform(new)
        milliseconds.append(1e3 * (time.perf_counter() - clock))
    of_rows = np.asarray(getattr(estimator, "embedding_", None) if method == "umap-learn" else estimator.transform(X))
    from sklearn.manifold import trustworthiness
    from sklearn.neighbors import KNeighborsClassifier

    return {
        "1-NN": KNeighborsClassifier(1).fit(of_rows, y).score(places, labels),
        "15-NN": KNeighborsClassifier(_N_NEIGHBORS).fit(of_rows, y).score(places, labels),
        "trustworthiness": trustworthiness(new, places, n_neighbors=_N_NEIGHBORS),
        "import": imported - begun,
        "fit": fitted - imported,
        "first": milliseconds[0],
        "later": min(milliseconds),
    }


def mnist(folder: Path, seed: int, n_rows: int) -> tuple[Array, Array, Array, Array]:
    """Give rows of MNIST's training part, in [0, 1], and 5,000 of its test part."""
    stored, generator = np.load(folder / "mnist.npz"), np.random.RandomState(seed)
    chosen, unseen = generator.permutation(60_000)[:n_rows], generator.permutation(10_000)[:5000]

    def rows(part: str, numbers: Array) -> Array:
        return stored[part][numbers].reshape(len(numbers), -1).astype(np.float32) / 255

    return rows("X_train", chosen), stored["y_train"][chosen], rows("X_test", unseen), stored["y_test"][unseen]


def table(folder: Path, name: str, seed: int, n_rows: int) -> tuple[Array, Array, Array, Array]:
    """Give scaled numeric columns of at most ``n_rows`` rows without holes, a third of them to be judged on."""
    import pandas as pd
    from sklearn.preprocessing import StandardScaler

    frame = pd.read_csv(folder / "tabular" / f"{name}.csv.gz").dropna()
    frame = frame.sample(min(len(frame), n_rows), random_state=seed)
    X, y = frame.iloc[:, :-1].select_dtypes("number").to_numpy(np.float32), frame.iloc[:, -1].to_numpy()
    cut = 2 * len(X) // 3
    scaler = StandardScaler().fit(X[:cut])
    return scaler.transform(X[:cut]), y[:cut], scaler.transform(X[cut:]), y[cut:]


if __name__ == "__main__":
    main()
