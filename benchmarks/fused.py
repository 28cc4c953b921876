"""How fast searches and ensembles are under fused training, beside scikeras, MLPClassifier and our own fits in turn.

Each pair of figures comes from a process of its own: it holds scoring, and in its first part compiling, but not reading
the rows. Every ratio is between figures of this run, our own fits and the block's taken in turn. Run:
python benchmarks/fused.py [--only NAME ...] or, for the measurement behind the rule that decides on stacking,
python benchmarks/fused.py --rule
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
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

    ``n_jobs`` of 0 means fused training.
    """
    import skneural

    network_of(peer)
    work, rows, _ = TASKS[name]
    task = partial(work, rows(), peer, n_jobs or None)
    block = contextlib.nullcontext() if n_jobs else skneural.fused_training()
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
    """Give seconds under fused training and with the peer, first and later, and how many times faster that is.

    Medians of several measurements in turn, of our own fits; the others' are too far away for noise to matter.
    """
    taken = []
    for _ in range(7 if peer == "skneural" else 1):
        fused, other = in_a_process(name, "skneural", 0), in_a_process(name, peer, n_jobs)
        taken.append([*fused, *other, other[0] / fused[0], other[1] / fused[1]])
    return [float(median) for median in np.median(taken, axis=0)]


def networks_of_the_rule() -> dict[str, tuple[Callable[..., Any], Any]]:
    """Give networks from small to large, each with rows to learn from."""
    from skneural import ConvNetClassifier, DenseNetClassifier

    X, y = engine.digits()
    networks: dict[str, tuple[Callable[..., Any], Any]] = {}
    for hidden, batch_size in (((10,), 32), ((30,), 32), ((100,), 32), ((256, 128), 64), ((512, 256), 128)):
        networks[f"dense {hidden}"] = partial(DenseNetClassifier, hidden, batch_size=batch_size), (X, y)
    for filters in ((2,), (4,), (8,), (8, 16), (16, 32)):
        plain = {"convolutions_per_block": 1, "hidden_layer_sizes": (), "augmentation": False, "batch_size": 32}
        plain |= {"batch_normalization": False, "dropout": 0.0}
        networks[f"convolutional {filters}"] = partial(ConvNetClassifier, (8, 8), filters=filters, **plain), (X, y)
    return networks


def print_rule() -> None:
    """Print what a step of one network costs alone and in stacks, in two threads."""
    from skneural._engine import _native_form, _together, _training

    # The native engine stacks nothing.
    _native_form._native = None

    class Taken(BaseException):
        """Ends a fit once its job is laid out."""

    def jobs_of(make: Callable[..., Any], data: Any, n_jobs: int) -> list[Any]:
        jobs: list[Any] = []

        def take(job: Any) -> None:
            jobs.append(job)
            raise Taken

        _training._train, kept = take, _training._train
        for seed in range(n_jobs):
            with contextlib.suppress(Taken):
                make(epochs=10, random_state=seed).fit(*data)
        _training._train = kept
        return jobs

    print("| network | products a step | slots | first, s | us per network and step |\n|---|---:|---:|---:|---:|")
    for name, (make, data) in networks_of_the_rule().items():
        for n_slots in (0, 4, 8, 16):
            taken = []
            for _ in range(3):
                jobs = jobs_of(make, data, 32)
                started = time.perf_counter()
                _together._train_group(jobs, _together.Plan(2, n_slots), {})
                taken.append(time.perf_counter() - started)
            n_steps = sum(10 * job.training.rows.n_batches for job in jobs)
            us = 1e6 * min(taken) / n_steps
            print(f"| {name} | {_together.n_products(jobs[0])} | {n_slots} | {taken[0]:.1f} | {us:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--rule", action="store_true", help="print the measurement behind the rule of stacking")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.measure:
        name, peer, n_jobs = arguments.measure
        print(json.dumps(measure(name, peer, int(n_jobs))))
        return
    engine.print_versions()
    if arguments.rule:
        print_rule()
        return
    print("Seconds of the first time in a process, compiling included, and of a later time.\n")
    print("| task | fused | later | against | n_jobs | first | later | times faster | later | aim |")
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
