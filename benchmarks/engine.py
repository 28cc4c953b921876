"""How fast and how frugal the engine is, beside scikeras, skorch and scikit-learn's MLP doing the same work.

Each measurement runs in a process of its own, one after the other. Times are medians; every ratio is between figures of
this run. A peer that is not installed is left out, and the table says so (pip install skorch torch).
Run: python benchmarks/engine.py [--only NAME ...]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler

DIGITS = {"layers": (100,), "batch_size": 32, "epochs": 20}
LARGE = {"layers": (256, 128), "batch_size": 256, "epochs": 5}
N_LARGE = 60_000
MEGABYTE = 2**20
PACKAGES = ("skneural", "tensorflow", "keras", "scikeras", "skorch", "torch", "scikit-learn", "numpy")


# --- data and estimators --------------------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


def large(n_rows: int = N_LARGE) -> tuple[np.ndarray, np.ndarray]:
    """Rows of MNIST's shape: the time does not depend on what is in them."""
    rng = np.random.default_rng(0)
    return rng.random((n_rows, 784), dtype=np.float32), rng.integers(0, 10, n_rows)


def skneural_network(layers: tuple[int, ...], batch_size: int, epochs: int, regular: bool = False) -> Any:
    from skneural import DenseNetClassifier

    extra = {"dropout": 0.2, "batch_normalization": True} if regular else {}
    return DenseNetClassifier(layers, batch_size=batch_size, epochs=epochs, l2=0.0, **extra)


def scikeras_network(layers: tuple[int, ...], batch_size: int, epochs: int, regular: bool = False) -> Any:
    import keras
    from scikeras.wrappers import KerasClassifier

    def build(meta: dict[str, Any]) -> keras.Model:
        network = keras.Sequential([keras.Input((meta["n_features_in_"],))])
        for size in layers:
            if regular:
                for layer in (
                    keras.layers.Dense(size),
                    keras.layers.BatchNormalization(),
                    keras.layers.Activation("relu"),
                    keras.layers.Dropout(0.2),
                ):
                    network.add(layer)
            else:
                network.add(keras.layers.Dense(size, activation="relu"))
        network.add(keras.layers.Dense(meta["n_classes_"], activation="softmax"))
        return network

    loss = "sparse_categorical_crossentropy"
    return KerasClassifier(build, loss=loss, optimizer="adam", batch_size=batch_size, epochs=epochs, verbose=0)


def skorch_network(layers: tuple[int, ...], batch_size: int, epochs: int, n_features: int = 64) -> Any:
    import torch
    from skorch import NeuralNetClassifier

    modules: list[Any] = []
    for before, size in zip((n_features, *layers), layers, strict=False):
        modules += [torch.nn.Linear(before, size), torch.nn.ReLU()]
    return NeuralNetClassifier(
        torch.nn.Sequential(*modules, torch.nn.Linear(layers[-1], 10)),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        batch_size=batch_size,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def mlp_network(layers: tuple[int, ...], batch_size: int, epochs: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(layers, batch_size=batch_size, max_iter=epochs, n_iter_no_change=epochs, alpha=0.0)


NETWORKS: dict[str, Callable[..., Any]] = {
    "skneural": skneural_network,
    "scikeras": scikeras_network,
    "skorch": skorch_network,
    "MLPClassifier": mlp_network,
}


# --- measurements, each in a process of its own -----------------------------------------------------------------------


def seconds(work: Callable[[], Any], times: int = 1) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def fit_digits(peer: str) -> dict[str, float]:
    X, y = digits()
    network = NETWORKS[peer](**DIGITS)
    first = seconds(lambda: network.fit(X, y))
    later = seconds(lambda: NETWORKS[peer](**DIGITS).fit(X, y), 7 if peer == "skneural" else 3)
    one = X[:1]
    results = {"first": first, "later": later}
    network.predict_proba(one)
    results["one_row"] = seconds(lambda: network.predict_proba(one), 20 if peer == "scikeras" else 500)
    return results


def fit_cancer(peer: str) -> dict[str, float]:
    """Measure a run that is short enough for NumPy: 360 steps of a small network."""
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X).astype(np.float32)
    network = NETWORKS[peer](**DIGITS, **({"n_features": 30} if peer == "skorch" else {}))
    first = seconds(lambda: network.fit(X, y))
    return {"first": first, "later": seconds(lambda: network.fit(X, y), 7 if peer == "skneural" else 3)}


def first_fits(peer: str) -> dict[str, float]:
    """Measure two first fits in a process: that of the digits network, and one epoch of a default ConvNetClassifier."""
    from skneural import ConvNetClassifier

    X, y = digits()
    network = NETWORKS[peer](**DIGITS)
    convolutional = ConvNetClassifier(image_shape=(8, 8), epochs=1)
    return {"dense": seconds(lambda: network.fit(X, y)), "ConvNet": seconds(lambda: convolutional.fit(X, y))}


def kept_programs(peer: str) -> dict[str, float]:
    """Measure ``first_fits`` in a process by itself, and in one that finds what an earlier process has compiled."""
    with tempfile.TemporaryDirectory() as folder:
        flag = f"--tf_xla_persistent_cache_directory={folder}"
        environment = {"TF_XLA_FLAGS": f"{os.environ.get('TF_XLA_FLAGS', '')} {flag}".strip()}
        alone = in_a_process("first", peer)
        in_a_process("first", peer, environment)
        later = in_a_process("first", peer, environment)
    return {
        f"{what}, {which}": figures[what]
        for what in alone
        for which, figures in (("compiled", alone), ("from the folder", later))
    }


def fit_regular(peer: str) -> dict[str, float]:
    X, y = digits()
    NETWORKS[peer](**DIGITS, regular=True).fit(X, y)
    return {"later": seconds(lambda: NETWORKS[peer](**DIGITS, regular=True).fit(X, y), 5 if peer == "skneural" else 2)}


def fit_large(peer: str) -> dict[str, float]:
    X, y = large()
    arguments: dict[str, Any] = {"n_features": 784} if peer == "skorch" else {}
    network = NETWORKS[peer](**LARGE, **arguments)
    first = seconds(lambda: network.fit(X, y))
    later = seconds(lambda: NETWORKS[peer](**LARGE, **arguments).fit(X, y), 3)
    network.predict(X)
    return {"first": first, "later": later, "predict": seconds(lambda: network.predict(X), 3)}


def products_large(peer: str) -> dict[str, float]:
    """Measure the matrix products of the large fit alone, forward and backward."""
    X, _ = large()
    sizes = (784, *LARGE["layers"], 10)
    weights = [np.full((rows, columns), 0.01, np.float32) for rows, columns in itertools.pairwise(sizes)]

    def epoch() -> None:
        for start in range(0, N_LARGE, LARGE["batch_size"]):
            values = [X[start : start + LARGE["batch_size"]]]
            for weight in weights:
                values.append(values[-1] @ weight)
            error = values.pop()
            for weight in reversed(weights):
                before = values.pop()
                before.T @ error
                if values:
                    error = error @ weight.T

    epoch()
    return {"later": LARGE["epochs"] * seconds(epoch, 5)}


def resident() -> float:
    """Read the memory that this process holds, in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def memory_of_equal(peer: str) -> dict[str, float]:
    X, y = digits()
    n_fits = 200 if peer == "skneural" else 20

    def fit_and_predict() -> None:
        NETWORKS[peer](**DIGITS).fit(X, y).predict(X)

    fit_and_predict()
    before = resident()
    for _ in range(n_fits):
        fit_and_predict()
    return {"growth": resident() - before, "per fit": (resident() - before) / n_fits}


def memory_of_different(peer: str) -> dict[str, float]:
    X, y = digits()
    held = [resident()]
    for hundred in range(2):
        for index in range(100):
            network = NETWORKS[peer](**DIGITS | {"layers": (20 + 100 * hundred + index,)})
            network.fit(X, y).predict(X)
        held.append(resident())
    return {"first hundred": held[1] - held[0], "second hundred": held[2] - held[1]}


def memory_of_map(peer: str) -> dict[str, float]:
    """Measure the most memory in a fit on 2 GB in a memory map, pages of the map that are held included."""
    n_rows = 2 * 2**30 // (4 * 784)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.npy"
        X = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, 784))
        for start in range(0, n_rows, N_LARGE):
            X[start : start + N_LARGE] = large(len(X[start : start + N_LARGE]))[0]
        X.flush()
        del X
        X, y = np.load(path, mmap_mode="r"), np.random.default_rng(0).integers(0, 10, n_rows)
        small, labels = digits()
        NETWORKS[peer]((100,), batch_size=256, epochs=1).fit(small, labels)
        before = resident()
        Path("/proc/self/clear_refs").write_text("5")
        taken = seconds(lambda: NETWORKS[peer]((100,), batch_size=256, epochs=1).fit(X, y))
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    size = X.nbytes / MEGABYTE
    return {"ratio": peak / size, "ratio_over_start": (peak - before) / size, "start": before, "seconds": taken}


MEASUREMENTS: dict[str, tuple[Callable[[str], dict[str, float]], tuple[str, ...]]] = {
    "digits": (fit_digits, ("skneural", "scikeras", "skorch", "MLPClassifier")),
    "cancer": (fit_cancer, ("skneural", "scikeras", "skorch", "MLPClassifier")),
    # A part of the next one: no peer, no table.
    "first": (first_fits, ()),
    "kept": (kept_programs, ("skneural",)),
    "regular": (fit_regular, ("skneural", "scikeras")),
    "large": (fit_large, ("skneural", "scikeras", "skorch", "MLPClassifier")),
    "products": (products_large, ("NumPy",)),
    "equal": (memory_of_equal, ("skneural", "scikeras")),
    "different": (memory_of_different, ("skneural",)),
    "map": (memory_of_map, ("skneural",)),
}


# --- the tables -----------------------------------------------------------------------------------------------------


def in_a_process(name: str, peer: str, environment: dict[str, str] | None = None) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", name, peer]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | (environment or {}))
    if done.returncode:
        raise RuntimeError(f"{name} of {peer} failed:\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def is_installed(peer: str) -> bool:
    try:
        return bool(version(peer)) if peer == "skorch" else True
    except PackageNotFoundError:
        return False


ROWS = (
    # what, measurement and figure of ours, peer, measurement and figure of the peer, at least so many times faster
    ("fit on digits, later in the process", ("digits", "later"), "scikeras", ("digits", "later"), 25),
    ("", ("digits", "later"), "skorch", ("digits", "later"), 15),
    ("", ("digits", "later"), "MLPClassifier", ("digits", "later"), 4),
    ("fit on digits, first in the process", ("digits", "first"), "scikeras", ("digits", "first"), 2),
    ("fit on breast_cancer, first in the process", ("cancer", "first"), "scikeras", ("cancer", "first"), None),
    ("", ("cancer", "first"), "skorch", ("cancer", "first"), None),
    ("", ("cancer", "first"), "MLPClassifier", ("cancer", "first"), None),
    ("fit on breast_cancer, later in the process", ("cancer", "later"), "scikeras", ("cancer", "later"), None),
    ("", ("cancer", "later"), "skorch", ("cancer", "later"), None),
    ("", ("cancer", "later"), "MLPClassifier", ("cancer", "later"), None),
    ("fit on large, later in the process", ("large", "later"), "scikeras", ("large", "later"), 3),
    ("", ("large", "later"), "skorch", ("large", "later"), None),
    ("", ("large", "later"), "MLPClassifier", ("large", "later"), 2),
    ("", ("large", "later"), "NumPy", ("products", "later"), 1 / 1.8),
    ("fit on large, first in the process", ("large", "first"), "scikeras", ("large", "first"), None),
    ("", ("large", "first"), "MLPClassifier", ("large", "first"), None),
    ("digits with dropout, BatchNormalization", ("regular", "later"), "scikeras", ("regular", "later"), 15),
    ("predict_proba of one row", ("digits", "one_row"), "scikeras", ("digits", "one_row"), 100),
    ("", ("digits", "one_row"), "MLPClassifier", ("digits", "one_row"), 0.5),
    ("predict of 60,000 rows", ("large", "predict"), "MLPClassifier", ("large", "predict"), 1),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [name for name, (_, peers) in MEASUREMENTS.items() if peers]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        warnings.simplefilter("ignore")
        name, peer = arguments.measure
        print(json.dumps(MEASUREMENTS[name][0](peer)))
        return
    found: dict[tuple[str, str], dict[str, float]] = {}
    for name in arguments.only:
        for peer in MEASUREMENTS[name][1]:
            if is_installed(peer):
                print(f"measuring {name}: {peer} ...", file=sys.stderr, flush=True)
                found[name, peer] = in_a_process(name, peer)
    print_versions()
    print_times(found)
    print_kept(found)
    print_memory(found)


def print_versions() -> None:
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} absent")
    print(f"{', '.join(versions)}, Python {platform.python_version()}, {os.cpu_count()} cores\n")


def print_times(found: dict[tuple[str, str], dict[str, float]]) -> None:
    print(f"| {'what':40s} | {'ms':>9s} | {'peer':14s} | {'ms':>9s} | {'times faster':>12s} | {'aim':>5s} |")
    print("|---|---:|---|---:|---:|---:|")
    for what, (mine, figure), peer, (theirs, peer_figure), aim in ROWS:
        if (mine, "skneural") in found and (theirs, peer) in found:
            ours, other = found[mine, "skneural"][figure], found[theirs, peer][peer_figure]
            wanted = "" if aim is None else f"{aim:.3g}"
            print(
                f"| {what:40s} | {1000 * ours:9.2f} | {peer:14s} | {1000 * other:9.2f} | {other / ours:12.2f} "
                f"| {wanted:>5s} |"
            )
    print()


def print_kept(found: dict[tuple[str, str], dict[str, float]]) -> None:
    for (name, _), figures in found.items():
        if name == "kept":
            print("first fits, programs kept on disk: " + ", ".join(f"{what} {s:.2f} s" for what, s in figures.items()))


def print_memory(found: dict[tuple[str, str], dict[str, float]]) -> None:
    for (name, peer), figures in found.items():
        if name in ("equal", "different", "map"):
            print(f"{name} ({peer}): " + ", ".join(f"{what} {value:.2f}" for what, value in figures.items()))
    print("Memory in MB: 200 equal fits (20 of scikeras), two hundreds of different ones, a fit on a map of 2 GB.")


if __name__ == "__main__":
    main()
