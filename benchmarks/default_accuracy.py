"""How good the default settings are: our estimators beside scikit-learn's MLP, both at their defaults.

Five sets that come with scikit-learn, a StandardScaler in front, 5-fold cross-validation over shuffled folds, the mean
over several seeds of folds and networks. Run: python benchmarks/default_accuracy.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn.base import is_classifier
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skneural
from skneural import DenseNetClassifier, DenseNetRegressor

SETS: dict[str, tuple[Callable[..., Any], type, type]] = {
    "iris": (load_iris, DenseNetClassifier, MLPClassifier),
    "wine": (load_wine, DenseNetClassifier, MLPClassifier),
    "breast_cancer": (load_breast_cancer, DenseNetClassifier, MLPClassifier),
    "digits": (load_digits, DenseNetClassifier, MLPClassifier),
    "diabetes": (load_diabetes, DenseNetRegressor, MLPRegressor),
}


def cross_validated(network: type, X: np.ndarray, y: np.ndarray, seed: int) -> float:
    folds = StratifiedKFold if is_classifier(network()) else KFold
    pipeline = make_pipeline(StandardScaler(), network(random_state=seed))
    return float(cross_val_score(pipeline, X, y, cv=folds(5, shuffle=True, random_state=seed)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="seeds of folds and networks to take the mean over")
    n_seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"skneural {skneural.__version__}, scikit-learn {sklearn.__version__}, mean of {n_seeds} seeds x 5 folds")
    print(f"{'set':15s}{'score':>10s}{'skneural':>10s}{'MLP':>10s}{'difference':>12s}{'seconds':>9s}{'MLP s':>9s}")
    for name, (load, ours, theirs) in SETS.items():
        X, y = load(return_X_y=True)
        scores, seconds = {}, {}
        for network in (ours, theirs):
            started = time.perf_counter()
            scores[network] = np.mean([cross_validated(network, X, y, seed) for seed in range(n_seeds)])
            seconds[network] = time.perf_counter() - started
        kind = "R2" if ours is DenseNetRegressor else "accuracy"
        print(
            f"{name:15s}{kind:>10s}{scores[ours]:10.4f}{scores[theirs]:10.4f}{scores[ours] - scores[theirs]:+12.4f}"
            f"{seconds[ours]:9.1f}{seconds[theirs]:9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
