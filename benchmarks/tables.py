"""TabularNet beside trees and other networks on tables, all at their defaults.

    python benchmarks/tables.py --data FOLDER [--methods NAME ...] [--sets NAME ...] [--splits 3] [--keep FILE]

FOLDER holds ``index.json``, a list with the name, file, task, target and categorical columns of each set, and the
files. The protocol, the same for every method and set: split number s is ``train_test_split`` of a quarter of the rows,
stratified by class, ``random_state=s``; of the rest the first 4,000 rows are learned from, and of the quarter the first
4,000 are scored. Columns of categories are given as pandas's categories of strings (to CatBoost as strings), missing
entries as missing. Forests and MLPClassifier, which take neither, stand behind medians and one-hot columns, the latter
behind a StandardScaler too. Log-loss is in nats, no probability less than 1e-6; calibration error is that of the
predicted class in 15 bins of equal width; RMSE is divided by the standard deviation of y, and its mean over sets is
that of logarithms. Ranks are among the methods that have a score. Each method and set has a process of its own, which
is ended after 15 minutes. Seconds and CPU seconds (of all threads) are those of a fit, the first of which loads and
compiles what it needs.

Scores are kept in FILE with versions and the date; methods that are not named with --methods are shown from there.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

N_ROWS, SECONDS = 4000, 900
LEAST = 1e-6
Scores = dict[str, float]


def ours(is_classifier: bool, categories: list[str]) -> Any:
    from skneural import TabularNetClassifier, TabularNetRegressor

    return (TabularNetClassifier if is_classifier else TabularNetRegressor)(random_state=0)


def one_dense(is_classifier: bool, categories: list[str], *, stops: bool = False) -> Any:
    from skneural import DenseNetClassifier, DenseNetRegressor

    network = (DenseNetClassifier if is_classifier else DenseNetRegressor)(early_stopping=stops, random_state=0)
    return make_pipeline(_as_numbers(scales=True), network)


def one_dense_that_stops(is_classifier: bool, categories: list[str]) -> Any:
    return one_dense(is_classifier, categories, stops=True)


def catboost(is_classifier: bool, categories: list[str]) -> Any:
    from catboost import CatBoostClassifier, CatBoostRegressor

    kind = CatBoostClassifier if is_classifier else CatBoostRegressor
    return kind(cat_features=categories, random_seed=0, verbose=0, allow_writing_files=False)


def lightgbm(is_classifier: bool, categories: list[str]) -> Any:
    from lightgbm import LGBMClassifier, LGBMRegressor

    return (LGBMClassifier if is_classifier else LGBMRegressor)(random_state=0, verbose=-1)


def histogram_trees(is_classifier: bool, categories: list[str]) -> Any:
    return (HistGradientBoostingClassifier if is_classifier else HistGradientBoostingRegressor)(random_state=0)


def forest(is_classifier: bool, categories: list[str]) -> Any:
    kind = RandomForestClassifier if is_classifier else RandomForestRegressor
    return make_pipeline(_as_numbers(scales=False), kind(n_jobs=-1, random_state=0))


def perceptron(is_classifier: bool, categories: list[str]) -> Any:
    kind = MLPClassifier if is_classifier else MLPRegressor
    return make_pipeline(_as_numbers(scales=True), kind(random_state=0))


def realmlp(is_classifier: bool, categories: list[str]) -> Any:
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    return (RealMLP_TD_Classifier if is_classifier else RealMLP_TD_Regressor)(random_state=0, device="cpu")


def tabm(is_classifier: bool, categories: list[str]) -> Any:
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    return (TabM_D_Classifier if is_classifier else TabM_D_Regressor)(random_state=0, device="cpu")


METHODS: dict[str, tuple[Callable[[bool, list[str]], Any], str]] = {
    "TabularNet": (ours, "skneural"),
    "CatBoost": (catboost, "catboost"),
    "LightGBM": (lightgbm, "lightgbm"),
    "HistGradientBoosting": (histogram_trees, "scikit-learn"),
    "random forest": (forest, "scikit-learn"),
    "MLP": (perceptron, "scikit-learn"),
    "RealMLP-TD": (realmlp, "pytabkit"),
    "TabM": (tabm, "pytabkit"),
    "DenseNet": (one_dense, "skneural"),
    "DenseNet, early stopping": (one_dense_that_stops, "skneural"),
}


def _as_numbers(*, scales: bool) -> Any:
    numbers = [SimpleImputer(strategy="median", add_indicator=True), *([StandardScaler()] if scales else [])]
    return make_column_transformer(
        (make_pipeline(*numbers), make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), make_column_selector(dtype_exclude="number")),
    )


def main() -> None:
    """Print the tables, or score one method on one set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=["TabularNet"])
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="file of scores, read where it is there and written")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    index = {entry["name"]: entry for entry in json.loads((arguments.data / "index.json").read_text())}
    if arguments.one is not None:
        method, name = arguments.one
        print(json.dumps(score(method, arguments.data, index[name], arguments.splits)))
        return
    names = arguments.sets or [name for name, entry in index.items() if "task" in entry and entry["task"] in _TASKS]
    kept = json.loads(arguments.keep.read_text()) if arguments.keep is not None and arguments.keep.exists() else {}
    for method in arguments.methods:
        about = {"version": version(METHODS[method][1]), "date": str(datetime.date.today()), "cores": os.cpu_count()}
        kept[method] = {**kept.get(method, {"sets": {}}), **about}
        for name in names:
            kept[method]["sets"][name] = in_a_process(method, arguments, name)
            print(f"{method:<26}{name:<22}{shown(kept[method]['sets'][name])}", flush=True)
            if arguments.keep is not None:
                arguments.keep.write_text(json.dumps(kept, indent=1) + "\n")
    report(kept, [entry for name, entry in index.items() if name in names])


_TASKS = ("binary", "multiclass", "regression")


def in_a_process(method: str, arguments: argparse.Namespace, name: str) -> list[Scores] | None:
    """Score a method on a set; None where it fails or takes too long."""
    command = [sys.executable, __file__, "--data", str(arguments.data), "--splits", str(arguments.splits)]
    try:
        done = subprocess.run(
            [*command, "--one", method, name], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        print(done.stderr[-1000:], file=sys.stderr)
        return None
    scores: list[Scores] = json.loads(done.stdout.splitlines()[-1])
    return scores


def load(folder: Path, entry: dict[str, Any]) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a set: its columns, categories as categories of strings, and y."""
    table = pd.read_csv(folder / entry["file"])
    y = table.pop(entry["target"]).to_numpy()
    for column in entry["categorical"]:
        known = table[column].notna()
        table[column] = table[column].astype(object).where(known, None).map(lambda v: v if v is None else str(v))
        table[column] = table[column].astype("category")
    return table, y if entry["task"] == "regression" else y.astype(str)


def split(y: np.ndarray, number: int, *, is_classifier: bool) -> tuple[np.ndarray, np.ndarray]:
    """Give the numbers of the rows to learn from and to be scored."""
    strata = y if is_classifier and np.unique(y, return_counts=True)[1].min() > 1 else None
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=number, stratify=strata)
    return train[:N_ROWS], test[:N_ROWS]


def score(method: str, folder: Path, entry: dict[str, Any], n_splits: int) -> list[Scores]:
    """Fit a method on each split of a set and score it."""
    warnings.simplefilter("ignore")
    table, y = load(folder, entry)
    is_classifier = entry["task"] != "regression"
    if method == "CatBoost":
        columns = {name: table[name].astype(object).fillna("missing") for name in entry["categorical"]}
        table = table.assign(**columns)
    scores = []
    for number in range(n_splits):
        train, test = split(y, number, is_classifier=is_classifier)
        estimator = METHODS[method][0](is_classifier, entry["categorical"])
        started, cpu_started = time.perf_counter(), time.process_time()
        estimator.fit(table.iloc[train], y[train])
        seconds = {"seconds": time.perf_counter() - started, "CPU seconds": time.process_time() - cpu_started}
        if is_classifier:
            probabilities = np.asarray(estimator.predict_proba(table.iloc[test]), float)
            scores.append(of_classes(y[test], probabilities, estimator.classes_) | seconds)
        else:
            errors = y[test] - np.ravel(estimator.predict(table.iloc[test]))
            scores.append({"rmse": float(np.sqrt(np.mean(errors**2)) / np.std(y[test]))} | seconds)
    return scores


def of_classes(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> Scores:
    """Give log-loss, accuracy and calibration error; a class that fit has not seen has no probability."""
    place = {label: index for index, label in enumerate(np.asarray(classes).ravel().tolist())}
    codes = np.array([place.get(label, -1) for label in y.tolist()])
    of_truth = np.where(codes >= 0, probabilities[np.arange(len(y)), codes], 0.0)
    is_right, confidence = probabilities.argmax(axis=1) == codes, probabilities.max(axis=1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = np.bincount(bins, weights=is_right - confidence, minlength=15)
    return {
        "log-loss": float(-np.log(np.maximum(of_truth, LEAST)).mean()),
        "accuracy": float(is_right.mean()),
        "calibration": float(np.abs(gaps).sum() / len(y)),
    }


def shown(scores: list[Scores] | None) -> str:
    if scores is None:
        return "failed, or took more than 15 minutes"
    return "  ".join(f"{name} {np.mean([one[name] for one in scores]):.4f}" for name in scores[0])


def report(kept: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """Print each score by set and method, then means and mean ranks."""
    methods = list(kept)
    for name, is_more_better in (("log-loss", False), ("accuracy", True), ("rmse", False)):
        sets = [entry["name"] for entry in entries if (entry["task"] == "regression") == (name == "rmse")]
        values = pd.DataFrame({method: [_mean(kept, method, one, name) for one in sets] for method in methods}, sets)
        if values.empty:
            continue
        ranks = values.rank(axis=1, ascending=not is_more_better).mean()
        means = np.exp(np.log(values).mean()) if name == "rmse" else values.mean()
        print(f"\n{name}\n{values.round(4).to_string(na_rep='-')}")
        print(pd.DataFrame({"mean": means.round(4), "mean rank": ranks.round(2)}).T.to_string())
    names = [entry["name"] for entry in entries]
    calibration = pd.Series({m: np.nanmean([_mean(kept, m, one, "calibration") for one in names]) for m in methods})
    seconds = pd.DataFrame({m: [_mean(kept, m, one, "CPU seconds") for one in names] for m in methods}, names)
    elapsed = pd.Series({m: np.nanmean([_mean(kept, m, one, "seconds") for one in names]) for m in methods})
    print(f"\nCPU seconds of a fit\n{seconds.round(2).to_string(na_rep='-')}")
    means = {"CPU seconds": seconds.mean(), "seconds": elapsed, "calibration error": calibration}
    print(pd.DataFrame(means).round(4).T.to_string())
    for method in methods:
        print(
            f"{method}: {METHODS[method][1]} {kept[method]['version']}, {kept[method]['date']}, "
            f"{kept[method]['cores']} cores"
        )


def _mean(kept: dict[str, Any], method: str, name: str, score: str) -> float:
    scores = kept[method]["sets"].get(name)
    return float(np.mean([one[score] for one in scores])) if scores and score in scores[0] else np.nan


if __name__ == "__main__":
    main()
