"""Autoencoders beside PCA and IsolationForest: reconstruction of new rows, and anomalies.

    python benchmarks/reconstruction.py --data FOLDER [--seeds 3] [--quick]

FOLDER holds ``mnist.npz`` and ``tabular/*.csv.gz``; what is absent is skipped, saying so. Each number is the mean over
the seeds, of rows that no fit has seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from skneural import Autoencoder

Array = NDArray[Any]
TABLES = ("satimage", "letter", "dry_bean", "wine_quality", "spambase", "california_housing")
# A class that is made rare, as the anomaly, and the largest share of the rows that it may have.
ANOMALIES = (("satimage", 2), ("dry_bean", 1))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    arguments = parser.parse_args()
    print(f"{'set':<28}{'components':>11}{'PCA':>12}{'ours':>12}{'ours/PCA':>10}{'CPU s':>8}")
    for name, X, n_components in reconstructions(arguments.data, quick=arguments.quick):
        print_reconstruction(name, X, n_components, arguments.seeds)
    print(f"\n{'anomalies':<28}{'IsolationForest':>16}{'PCA':>8}{'ours':>8}   ROC-AUC")
    for name, label in ANOMALIES:
        print_anomalies(arguments.data, name, label, arguments.seeds)


def reconstructions(folder: Path, *, quick: bool) -> Iterator[tuple[str, Array, int]]:
    """Give name, rows and number of components."""
    digits = load_digits().data
    yield from (("digits", digits, n) for n in (2, 16))
    if (folder / "mnist.npz").exists():
        images = np.load(folder / "mnist.npz")["X_train"]
        n_rows = 4000 if quick else 15000
        chosen = np.random.default_rng(0).permutation(len(images))[:n_rows]
        images = images[chosen].reshape(n_rows, -1).astype(np.float32)
        yield from ((f"MNIST, 2/3 of {n_rows} rows", images, n) for n in (2, 16))
    else:
        print("mnist.npz is absent: skipped")
    for name in TABLES:
        X, _ = table(folder, name)
        if X is not None:
            yield from ((f"{name}, {kind}", rows, n) for kind, rows in kinds(X).items() for n in (2, 5))


def kinds(X: Array) -> dict[str, Array]:
    """Give a table as it is, and scaled."""
    return {"raw": X, "scaled": StandardScaler().fit_transform(X)}


def table(folder: Path, name: str) -> tuple[Any, Any]:
    """Give the numeric columns of at most 5,000 rows without holes, and the last column."""
    path = folder / "tabular" / f"{name}.csv.gz"
    if not path.exists():
        print(f"{path.name} is absent: skipped")
        return None, None
    frame = pd.read_csv(path).dropna()
    frame = frame.sample(min(len(frame), 5000), random_state=0)
    return frame.iloc[:, :-1].select_dtypes("number").to_numpy(float), frame.iloc[:, -1].to_numpy()


def print_reconstruction(name: str, X: Array, n_components: int, n_seeds: int) -> None:
    """Compare the squared errors of new rows, a third of all."""
    errors, seconds = [], []
    for seed in range(n_seeds):
        rows = X[np.random.default_rng(seed).permutation(len(X))]
        train, new = np.split(rows, [2 * len(rows) // 3])
        begun = time.process_time()
        ours = Autoencoder(n_components, random_state=seed).fit(train)
        seconds.append(time.process_time() - begun)
        errors.append([error_of(PCA(n_components, random_state=seed).fit(train), new), error_of(ours, new)])
    pca, found = np.mean(errors, axis=0)
    print(
        f"{name:<28}{n_components:>11}{pca:>12.4g}{found:>12.4g}{found / pca:>10.3f}{np.mean(seconds):>8.1f}",
        flush=True,
    )


def error_of(fitted: Any, X: Array) -> float:
    """Mean squared difference between rows and what comes back of them."""
    return float(((X - fitted.inverse_transform(fitted.transform(X))) ** 2).mean())


def print_anomalies(folder: Path, name: str, label: int, n_seeds: int) -> None:
    """Find rows of a class that fit has not seen; ``label`` counts the classes by how few rows they have."""
    X, y = table(folder, name)
    if X is None:
        return
    classes, counts = np.unique(y, return_counts=True)
    is_rare = y == classes[np.argsort(counts)[label]]
    scores = []
    for seed in range(n_seeds):
        usual = np.random.default_rng(seed).permutation(np.flatnonzero(~is_rare))
        train, new = np.split(usual, [2 * len(usual) // 3])
        rows = np.concatenate([new, np.flatnonzero(is_rare)])
        scaler = StandardScaler().fit(X[train])
        learned, judged = scaler.transform(X[train]), scaler.transform(X[rows])
        n_components = max(2, X.shape[1] // 4)
        pca = PCA(n_components).fit(learned)
        ours = Autoencoder(n_components, random_state=seed).fit(learned)
        forest = IsolationForest(random_state=seed).fit(learned)
        of_pca = -((judged - pca.inverse_transform(pca.transform(judged))) ** 2).sum(axis=1)
        found = (forest.score_samples(judged), of_pca, ours.score_samples(judged))
        scores.append([roc_auc_score(is_rare[rows], -one) for one in found])
    forest, pca, ours = np.mean(scores, axis=0)
    print(f"{name:<28}{forest:>16.3f}{pca:>8.3f}{ours:>8.3f}", flush=True)


if __name__ == "__main__":
    main()
