"""Search for a network that reads handwritten digits, and report how well the best one does.

Run it with ``make digits``. The images are the 1797 of 8 x 8 pixels that scikit-learn brings along. Every network of a
small grid is trained on stratified folds, the best one is cross-validated, and two figures show its mistakes and its
training.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.colors import PowerNorm
from sklearn.base import clone
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import skneural  # whose classes load TensorFlow when they are first named, not for --help

GRID = {
    "network__hidden_layer_sizes": [(100,), (200, 100)],
    "network__dropout": [0.0, 0.25],
    "network__learning_rate": [1e-3, 3e-3, 1e-2],
}
QUICK_GRID = {"network__hidden_layer_sizes": [(16,)], "network__learning_rate": [1e-2, 3e-2], "network__epochs": [3]}


def main() -> None:
    options = read_options()
    started = time.perf_counter()
    X, y = load_digits(return_X_y=True)

    pipeline = Pipeline(
        [("scale", StandardScaler()), ("network", skneural.DenseNetClassifier(epochs=50, random_state=0))]
    )
    search = GridSearchCV(pipeline, options.grid, cv=folds(options, seed=0), n_jobs=options.jobs)
    print(f"Searching for the network that reads {len(X)} images of handwritten digits best ...")
    show_progress(search).fit(X, y)
    print_candidates(search)

    best = clone(search.best_estimator_)
    # On the folds of the search, the best network was also the luckiest one.
    other_folds = folds(options, seed=1)
    print(f"\nCross-validating the best network on {other_folds.n_splits} other folds ...")
    print_scores(best, X, y, other_folds, options.jobs)
    predicted = cross_val_predict(best, X, y, cv=other_folds, n_jobs=options.jobs)
    print(f"\nEach digit, read when it was not in the training:\n\n{classification_report(y, predicted, digits=3)}")

    mpl.use("agg")  # figures are saved, and need no screen
    options.output.mkdir(parents=True, exist_ok=True)
    print("Figures:")
    print(draw_confusion(y, predicted, options.output / "confusion_matrix.png"))
    print(draw_training(best, X, y, options.output / "training_curves.png"))
    print(f"Done in {time.perf_counter() - started:.0f} seconds.")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("digits_report"), help="folder for the figures")
    parser.add_argument("--jobs", type=int, default=None, help="processes to train in (default: this one)")
    parser.add_argument("--quick", action="store_true", help="two small networks on two folds: does everything run?")
    options = parser.parse_args()
    options.grid, options.n_folds = (QUICK_GRID, 2) if options.quick else (GRID, 5)
    return options


def folds(options: argparse.Namespace, seed: int) -> StratifiedKFold:
    return StratifiedKFold(options.n_folds, shuffle=True, random_state=seed)


def show_progress(search: GridSearchCV) -> GridSearchCV:
    """Show a bar in a terminal; elsewhere, where a bar would be seen at its end only, one line per training."""
    if sys.stdout.isatty():
        return search.set_callbacks(ProgressBar(max_propagation_depth=0))
    return search.set_params(verbose=2)


def print_candidates(search: GridSearchCV) -> None:
    results = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
    table = results.filter(like="param_").rename(columns=lambda name: name.removeprefix("param_network__"))
    table["accuracy"] = results["mean_test_score"]
    table["+/-"] = results["std_test_score"]
    print(f"\nAll candidates, the best one first:\n\n{table.to_string(index=False, float_format='{:.4g}'.format)}")


def print_scores(best: Pipeline, X: Any, y: Any, cv: StratifiedKFold, jobs: int | None) -> None:
    scorers = {"accuracy": "accuracy", "log-loss": "neg_log_loss", "ROC AUC": "roc_auc_ovr"}
    scores = cross_validate(best, X, y, cv=cv, scoring=scorers, n_jobs=jobs)
    table = pd.DataFrame({name: scores[f"test_{name}"] for name in scorers})
    # scikit-learn's scorers are "the higher, the better".
    table["log-loss"] *= -1
    table.index = [f"fold {number}" for number in range(1, cv.n_splits + 1)]
    table.loc["mean"] = table.mean()
    print(f"\n{table.to_string(float_format='{:.4f}'.format)}")


def draw_confusion(y: Any, predicted: Any, path: Path) -> Path:
    # Errors are few, and would be as pale as zeros on a linear scale of colours.
    shades = {"norm": PowerNorm(0.3)}
    display = ConfusionMatrixDisplay.from_predictions(y, predicted, cmap="Blues", colorbar=False, im_kw=shades)
    display.ax_.set(title="Digits, read when not in the training", xlabel="Read as", ylabel="Digit")
    display.figure_.savefig(path, dpi=120, bbox_inches="tight")
    return path


def draw_training(best: Pipeline, X: Any, y: Any, path: Path) -> Path:
    """Train the best network for longer, until the tenth of the images that is held out says stop, and draw that."""
    watched = clone(best).set_params(network__epochs=100, network__early_stopping=True).fit(X, y)
    display = skneural.TrainingCurveDisplay.from_estimator(watched, yscale={"loss": "log"})
    display.figure_.savefig(path, dpi=120)
    return path


if __name__ == "__main__":
    main()
