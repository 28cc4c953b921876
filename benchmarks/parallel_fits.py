"""How fast searches and ensembles are in parallel fits, beside scikeras, MLPClassifier and our own fits in turn.

Each pair of figures comes from a process of its own: it holds scoring, and in its first part compiling, but not reading
the rows. Every ratio is between figures of this run, our own fits and the block's taken in turn. Run:
python benchmarks/parallel_fits.py [--only NAME ...]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import engine
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RATES, PENALTIES = [3e-4, 1e-3, 3e-3, 1e-2], [1e-5, 1e-4, 1e-3]


def network_of(peer: str, **parameters: Any) -> Any:
    """Give the peer's network of digits, with rates and penalties by names of our own."""
    if peer == "MLPClassifier":
        return engine.mlp_network(**engine.DIGITS)
    if peer == "scikeras":
        return scikeras_network(**parameters)
    from skneural import DenseNetClassifier

    return DenseNetClassifier((100,), batch_size=32, epochs=20, **parameters)


def scikeras_network(early_stopping: bool = False, dropout: float = 0.0, **parameters: Any) -> Any:
    import keras
    from scikeras.wrappers import KerasClassifier

    def build(meta: dict[str, Any], l2: float = 1e-4) -> keras.Model:
        layers = [keras.Input((meta["n_features_in_"],))]
        layers += [keras.layers.Dense(100, activation="relu", kernel_regularizer=keras.regularizers.L2(l2))]
        layers += [keras.layers.Dropout(dropout)] if dropout else []
        return keras.Sequential([*layers, keras.layers.Dense(meta["n_classes_"], activation="softmax")])

    stopping = {"callbacks": keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)}
    return KerasClassifier(
        build,
        loss="sparse_categorical_crossentropy",
        optimizer="adam",
        optimizer__learning_rate=1e-3,
        l2=1e-4,
        batch_size=32,
        epochs=20,
        verbose=0,
        **({"validation_split": 0.1, **stopping} if early_stopping else {}),
    )


GRID_NAMES = {
    "skneural": ("learning_rate", "l2"),
    "scikeras": ("optimizer__learning_rate", "l2"),
    "MLPClassifier": ("learning_rate_init", "alpha"),
}


Data = tuple[np.ndarray, np.ndarray]


def grid_search(data: Data, peer: str, n_jobs: int | None, **parameters: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), network_of(peer, **parameters))
    step = pipeline.steps[-1][0]
    rate, penalty = (f"{step}__{name}" for name in GRID_NAMES[peer])
    GridSearchCV(pipeline, {rate: RATES, penalty: PENALTIES}, cv=5, n_jobs=n_jobs).fit(*data)


def search_stopping(data: Data, peer: str, n_jobs: int | None) -> None:
    extra = {"n_iter_no_change": 5} if peer == "skneural" else {}
    grid_search(data, peer, n_jobs, dropout=0.2, early_stopping=True, **extra)


def cancer(data: Data, peer: str, n_jobs: int | None) -> None:
    cross_validate(make_pipeline(StandardScaler(), network_of(peer)), *data, cv=10, n_jobs=n_jobs)


def bagging(data: Data, peer: str, n_jobs: int | None) -> None:
    BaggingClassifier(network_of(peer), n_estimators=30, n_jobs=n_jobs, random_state=0).fit(*data)


def widths(data: Data, peer: str, n_jobs: int | None) -> None:
    grid = {"hidden_layer_sizes": [(50,), (100,), (150,)], "learning_rate": RATES}
    GridSearchCV(network_of(peer), grid, cv=5, n_jobs=n_jobs).fit(*data)


def large(data: Data, peer: str, n_jobs: int | None) -> None:
    from skneural import DenseNetClassifier

    cross_validate(DenseNetClassifier((512, 256), batch_size=256, epochs=5), *data, cv=5, n_jobs=n_jobs)


Rows = Callable[[], Data]
Work = Callable[[Data, str, int | None], None]
cancer_rows = partial(load_breast_cancer, return_X_y=True)
# For each task its rows, what it is measured against, and at least how many times faster it should be.
TASKS: dict[str, tuple[Work, Rows, dict[tuple[str, int], float]]] = {
    "search": (
        grid_search,
        engine.digits,
        {
            ("scikeras", 1): 50,
            ("scikeras", 2): 30,
            ("MLPClassifier", 1): 4,
            ("MLPClassifier", 2): 2.5,
            ("skneural", 1): 1.8,
            ("skneural", 2): 1.2,
        },
    ),
    "search_stopping": (search_stopping, engine.digits, {("scikeras", 1): 40, ("skneural", 1): 1.0}),
    "cancer": (cancer, cancer_rows, {("scikeras", 1): 50, ("skneural", 1): 1.0}),
    "bagging": (bagging, engine.digits, {("scikeras", 1): 50, ("skneural", 1): 1.0}),
    "widths": (widths, engine.digits, {("skneural", 1): 1.0}),
    "large": (large, partial(engine.large, 10_000), {("skneural", 1): 0.95}),
}


def measure(name: str, peer: str, n_jobs: int) -> tuple[float, float]:
    """Measure one task, the first and a later time in this process. Imports are not counted.

    ``n_jobs`` of 0 means parallel fits.
    """
    import skneural

    network_of(peer)
    work, rows, _ = TASKS[name]
    task = partial(work, rows(), peer, n_jobs or None)
    block = contextlib.nullcontext() if n_jobs else skneural.parallel_fits()
    with block:
        first = engine.seconds(task)
        # A peer that compiles for every fit takes as long again.
        later = engine.seconds(task) if peer == "skneural" else first
    return first, later


def in_a_process(*arguments: object) -> tuple[float, float]:
    command = [sys.executable, __file__, "--measure", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments} failed:\n{done.stderr[-2000:]}")
    first, later = json.loads(done.stdout.splitlines()[-1])
    return float(first), float(later)


def comparison(name: str, peer: str, n_jobs: int) -> list[float]:
    """Give seconds in parallel fits and with the peer, first and later, and how many times faster that is.

    Medians of several measurements in turn, of our own fits; the others' are too far away for noise to matter.
    """
    taken = []
    for _ in range(7 if peer == "skneural" else 1):
        block, other = in_a_process(name, "skneural", 0), in_a_process(name, peer, n_jobs)
        taken.append([*block, *other, other[0] / block[0], other[1] / block[1]])
    return [float(median) for median in np.median(taken, axis=0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.measure:
        name, peer, n_jobs = arguments.measure
        print(json.dumps(measure(name, peer, int(n_jobs))))
        return
    engine.print_versions()
    print("Seconds of the first time in a process, compiling included, and of a later time.\n")
    print("| task | parallel fits | later | against | n_jobs | first | later | times faster | later | aim |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|---:|")
    for name in arguments.only:
        for (peer, n_jobs), aim in TASKS[name][2].items():
            first, later, other, other_later, times, times_later = comparison(name, peer, n_jobs)
            print(
                f"| {name} | {first:.2f} | {later:.2f} | {peer} | {n_jobs} | {other:.2f} | {other_later:.2f} "
                f"| {times:.2f} | {times_later:.2f} | {aim} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
