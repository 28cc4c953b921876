"""How well and how fast the networks for images learn, beside scikeras, Keras and PyTorch with the same layers.

Each measurement runs in a process of its own, one after the other. ``--data FOLDER`` names a folder with ``mnist.npz``
(arrays X_train, y_train, X_test, y_test of pixels from 0 to 255) and ``mnist_1000.csv`` (a column of labels, then
pixels); measurements that want them are left out without it, and the table says so. Those of PyTorch need it installed.
Run: python benchmarks/patterns.py [--data FOLDER] [--only NAME ...] [--kernels]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_score

SMALL = {"filters": (16, 32), "hidden": 64, "batch_size": 32, "epochs": 10}
LARGE = {"filters": (16, 32), "hidden": 64, "batch_size": 256, "epochs": 1}


# --- data and networks ----------------------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32).reshape(-1, 8, 8, 1), y


def large() -> tuple[np.ndarray, np.ndarray]:
    """Images of MNIST's shape: the time does not depend on what is in them."""
    rng = np.random.default_rng(0)
    return rng.random((60_000, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, 60_000)


def ours(filters: tuple[int, ...], hidden: int, batch_size: int, epochs: int) -> Any:
    from skneural import ConvNetClassifier

    plain = {"augment": False, "dropout": 0.0, "batch_normalization": False, "learning_rate_schedule": "constant"}
    sizes = {"filters": filters, "convolutions_per_block": 1, "hidden_layer_sizes": hidden}
    return ConvNetClassifier(batch_size=batch_size, epochs=epochs, random_state=0, **sizes, **plain)


def build(
    filters: tuple[int, ...], hidden: int, row_shape: tuple[int, ...], per_block: int = 1, norm: bool = False
) -> Any:
    import keras

    network = keras.Sequential([keras.Input(row_shape)])
    for size in filters:
        for _ in range(per_block):
            network.add(keras.layers.Conv2D(size, 3, padding="same", activation=None if norm else "relu"))
            for layer in (keras.layers.BatchNormalization(), keras.layers.ReLU()) if norm else ():
                network.add(layer)
        network.add(keras.layers.MaxPooling2D(2))
    network.add(keras.layers.Flatten())
    network.add(keras.layers.Dense(hidden, activation="relu"))
    network.add(keras.layers.Dense(10, activation="softmax"))
    return network


def scikeras(filters: tuple[int, ...], hidden: int, batch_size: int, epochs: int) -> Any:
    from scikeras.wrappers import KerasClassifier

    def model(meta: dict[str, Any]) -> Any:
        return build(filters, hidden, meta["X_shape_"][1:])

    loss = "sparse_categorical_crossentropy"
    return KerasClassifier(model, loss=loss, optimizer="adam", batch_size=batch_size, epochs=epochs, verbose=0)


def torch_fit(filters: tuple[int, ...], hidden: int, batch_size: int, epochs: int) -> Any:
    """The same layers in PyTorch's plain loop, all of the data in memory and shuffled."""
    import torch

    class Loop:
        def fit(self, X: np.ndarray, y: np.ndarray) -> None:
            layers: list[torch.nn.Module] = []
            n_channels, side = X.shape[-1], X.shape[1]
            for size in filters:
                layers += [torch.nn.Conv2d(n_channels, size, 3, padding="same"), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
                n_channels, side = size, side // 2
            layers += [torch.nn.Flatten(), torch.nn.Linear(n_channels * side**2, hidden), torch.nn.ReLU()]
            network = torch.nn.Sequential(*layers, torch.nn.Linear(hidden, 10))
            optimizer, loss = torch.optim.Adam(network.parameters()), torch.nn.CrossEntropyLoss()
            rows = torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)))
            labels = torch.from_numpy(y.astype(np.int64))
            for _ in range(epochs):
                for batch in torch.randperm(len(rows)).split(batch_size):
                    optimizer.zero_grad()
                    loss(network(rows[batch]), labels[batch]).backward()
                    optimizer.step()

    return Loop()


# --- measurements ---------------------------------------------------------------------------------------------------


def fit_seconds(
    make: Callable[..., Any], data: Callable[[], Any], sizes: dict[str, Any], n_fits: int
) -> dict[str, float]:
    """Seconds of the first fit of the process, and the median of the later ones."""
    X, y = data()
    seconds, processor = [], []
    for _ in range(1 + n_fits):
        started, processor_started = time.perf_counter(), time.process_time()
        make(**sizes).fit(X, y)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - processor_started)
    later = {"later, s": statistics.median(seconds[1:]), "CPU, s": statistics.median(processor[1:])}
    return {"first, s": seconds[0], **later}


def images_of(side: int, n_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """8,192 images: the time does not depend on what is in them."""
    rng = np.random.default_rng(0)
    return rng.random((8192, side, side, n_channels), dtype=np.float32), rng.integers(0, 10, 8192)


def keras_under_xla(filters: tuple[int, ...], hidden: int, batch_size: int, epochs: int) -> Any:
    class Loop:
        def fit(self, X: np.ndarray, y: np.ndarray) -> None:
            network = build(filters, hidden, X.shape[1:])
            network.compile("adam", "sparse_categorical_crossentropy", jit_compile=True)
            network.fit(X, y, batch_size=batch_size, epochs=epochs, verbose=0)

    return Loop()


def keras_seconds(jit_compile: Any) -> dict[str, float]:
    """Seconds of an epoch of Keras's own fit, after one batch that traces."""
    X, y = large()
    network = build(LARGE["filters"], LARGE["hidden"], X.shape[1:])
    network.compile("adam", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    size = LARGE["batch_size"]
    network.fit(X[:size], y[:size], batch_size=size, verbose=0)
    started = time.perf_counter()
    network.fit(X, y, batch_size=size, epochs=LARGE["epochs"], verbose=0)
    return {"later, s": time.perf_counter() - started}


def cross_validated_digits(*, is_shuffled: bool, **parameters: Any) -> dict[str, float]:
    """Folds in order keep the writers of digits apart, and so are harder."""
    from skneural import ConvNetClassifier

    X, y = load_digits(return_X_y=True)
    folds = StratifiedKFold(5, shuffle=is_shuffled, random_state=0 if is_shuffled else None)
    scores = cross_val_score(ConvNetClassifier(random_state=0, **parameters), X, y, cv=folds)
    return {"accuracy": float(scores.mean()), "CPU, s": time.process_time()}


def mnist_accuracy(folder: str, *, is_small: bool) -> dict[str, float]:
    from skneural import ConvNetClassifier

    with np.load(Path(folder) / "mnist.npz") as arrays:
        X, y, X_test, y_test = (arrays[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    if is_small:
        table = np.loadtxt(Path(folder) / "mnist_1000.csv", delimiter=",", skiprows=1, dtype=np.int64)
        X, y, X_test = table[:, 1:], table[:, 0], X_test.reshape(len(X_test), -1)
    started = time.process_time()
    network = ConvNetClassifier(random_state=0).fit(X, y)
    seconds = time.process_time() - started
    return {"accuracy": network.score(X_test, y_test), "CPU, s": seconds}


MEASUREMENTS: dict[str, Callable[[str], dict[str, float]]] = {
    "digits, skneural": lambda _: fit_seconds(ours, digits, SMALL, n_fits=3),
    "digits, scikeras": lambda _: fit_seconds(scikeras, digits, SMALL, n_fits=3),
    "60,000 images, skneural": lambda _: fit_seconds(ours, large, LARGE, n_fits=1),
    "60,000 images, Keras": lambda _: keras_seconds("auto"),
    "60,000 images, Keras without XLA": lambda _: keras_seconds(False),
    **{
        f"{side} x {side} x {n_channels}, batches of {size}, {name}": partial(
            lambda _, make, data, sizes: fit_seconds(make, data, sizes, n_fits=3),
            make=make,
            data=partial(images_of, side, n_channels),
            sizes={"filters": (16, 32), "hidden": 64, "batch_size": size, "epochs": 2},
        )
        for side, n_channels in ((28, 1), (32, 3))
        for size in (64, 256)
        for name, make in (("skneural", ours), ("PyTorch", torch_fit), ("Keras under XLA", keras_under_xla))
    },
    "accuracy on digits, 5 folds": lambda _: cross_validated_digits(is_shuffled=True),
    "accuracy on digits, 5 folds in order": lambda _: cross_validated_digits(is_shuffled=False),
    "the same, one convolution per block": lambda _: cross_validated_digits(
        is_shuffled=False, convolutions_per_block=1
    ),
    "accuracy on MNIST, 1000 rows": lambda folder: mnist_accuracy(folder, is_small=True),
    "accuracy on MNIST, 60,000 rows": lambda folder: mnist_accuracy(folder, is_small=False),
}


# --- which kernels --------------------------------------------------------------------------------------------------


def compare_kernels() -> None:
    """Print the time of a training step by XLA, with products for convolutions, and by TensorFlow's own kernels."""
    from skneural._engine import Data, Network, Settings, fit
    from skneural._engine.model import products as _products

    print("Milliseconds a step, in brackets the seconds of the first fit.\n")
    print("| pixels | filters | per block | batch | windows, 1e6 values | XLA | TensorFlow |")
    print("|---|---|" + "---:|" * 5)
    blocks = ((1, False), (2, False), (2, True))
    for side, filters, (per_block, norm), size in product((8, 12, 16, 20, 28), ((16, 32), (32, 64)), blocks, (32, 128)):
        rng = np.random.default_rng(0)
        data = Data.of(rng.random((1024, side, side, 1), dtype=np.float32), rng.integers(0, 10, 1024))
        into = (filters[0] if per_block > 1 else 1, filters[-1] if per_block > 1 else filters[0])
        most = max(side**2 * 9 * into[0], (side // 2) ** 2 * 9 * into[1]) * size
        row = []
        for uses_xla in (True, False):
            _products.MAX_WINDOW_VALUES = sys.maxsize if uses_xla else 0
            model = build(filters, 64, (side, side, 1), per_block, norm)
            model.compile("adam", "sparse_categorical_crossentropy")
            network = Network.from_model(model)
            settings = Settings(epochs=2, batch_size=size, seed=0)
            seconds = []
            for _ in range(4):
                started = time.perf_counter()
                fit(network, data, None, settings)
                seconds.append(time.perf_counter() - started)
            row.append(f"{min(seconds) / (2 * 1024 / size) * 1e3:.2f} ({seconds[0]:.1f})")
        block = f"{per_block}, normalised" if norm else f"{per_block}"
        cells = f"{side} x {side} | {filters} | {block} | {size} | {most / 1e6:.2f} | {' | '.join(row)}"
        print(f"| {cells} |", flush=True)


# --- running and reporting ------------------------------------------------------------------------------------------


def measured_apart(name: str, folder: str | None) -> dict[str, float] | str:
    """Run a measurement in a process of its own."""
    if "MNIST" in name and folder is None:
        return "left out: needs --data"
    command = [sys.executable, __file__, "--one", name, "--data", folder or "."]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        return f"failed: {[*finished.stderr.strip().splitlines(), ''][-1][:100]}"
    result: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder with mnist.npz and mnist_1000.csv")
    parser.add_argument("--only", nargs="+", default=list(MEASUREMENTS), choices=MEASUREMENTS, metavar="NAME")
    parser.add_argument("--kernels", action="store_true", help="only compare XLA with TensorFlow's own kernels")
    parser.add_argument("--one", choices=MEASUREMENTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kernels:
        compare_kernels()
    elif options.one:
        print(json.dumps(MEASUREMENTS[options.one](options.data)))
    else:
        columns = ("first, s", "later, s", "accuracy", "CPU, s")
        print(f"| measurement | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
        for name in options.only:
            result = measured_apart(name, options.data)
            if isinstance(result, str):
                print(f"| {name} | {result} |" + " |" * (len(columns) - 1))
                continue
            cells = [f"{result[column]:.4g}" if column in result else "" for column in columns]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
