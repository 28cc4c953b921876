"""How well and how fast recurrent networks learn: published splits, a forecast, and others with the same layers.

The data of the splits lie in a folder beside the checkout (``--data``); without it those tables are left out.
``rocket`` needs aeon and nothing of ours: it gives the time of ROCKET on the splits. ``layers`` and ``length`` compare
later fits with Keras under XLA and, where it is installed, PyTorch, and tell how time grows with length and channels.
Run: python benchmarks/sequences.py [--data FOLDER] [--sets NAME ...] [--only KIND ...]
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from sklearn.linear_model import Ridge

PEERS = ("FCN", "ResNet", "InceptionTime", "ROCKET")
N_LAGS, HORIZON = 36, 3
EPOCHS, LAYER_EPOCHS = 20, 10


def split_of(folder: Path, name: str) -> tuple[Any, Any, Any, Any]:
    """The published training and test part, unequal lengths padded with NaN."""
    arrays = np.load(folder / f"{name}.npz")
    form = "_raw" if "X_train_raw" in arrays.files else ""
    X_train, X_test = (arrays[f"X_{part}{form}"] for part in ("train", "test"))
    # With an axis of channels the test part may be shorter or longer.
    X_train, X_test = (X[..., np.newaxis] if X.ndim == 2 else X for X in (X_train, X_test))
    return X_train, arrays["y_train"], X_test, arrays["y_test"]


def accuracy(folder: Path, seeds: list[int], sets: list[str]) -> None:
    """Test accuracy with default parameters beside published ones; compiling counts where it happens."""
    from skneural import RecurrentNetClassifier

    published = json.loads((folder / "reference_accuracies.json").read_text())["accuracies"]
    print(
        f"| set | skneural, {len(seeds)} seeds | {' | '.join(PEERS)} | CPU s, fit | predict |\n|---|---:|" + "---:|" * 6
    )
    means: list[list[float]] = []
    for name in sets:
        X_train, y_train, X_test, y_test = split_of(folder, name)
        scores, seconds = [], []
        for seed in seeds:
            started = time.process_time()
            network = RecurrentNetClassifier(random_state=seed).fit(X_train, y_train)
            fitted = time.process_time()
            scores.append(network.score(X_test, y_test))
            seconds.append((fitted - started, time.process_time() - fitted))
        others = [published[name].get(peer, np.nan) for peer in PEERS]
        means.append([float(np.mean(scores)), *others])
        numbers = " | ".join(f"{number:.3f}" for number in means[-1])
        print(f"| {name} | {numbers} | {' | '.join(f'{one:.0f}' for one in np.mean(seconds, axis=0))} |", flush=True)
    complete = np.array([row for row in means if not np.isnan([row[0], *row[-2:]]).any()])
    print(f"| mean of {len(complete)} | {' | '.join(f'{one:.3f}' for one in np.nanmean(complete, axis=0))} | | |")


def rocket(folder: Path, sets: list[str]) -> None:
    """CPU seconds of aeon's ROCKET and MiniRocket with ridge, 10,000 kernels, fit and prediction; compiled before."""
    from aeon.classification.convolution_based import MiniRocketClassifier, RocketClassifier

    kinds = {"ROCKET": RocketClassifier, "MiniRocket": MiniRocketClassifier}
    print("| set | " + " | ".join(f"{name}: accuracy | fit, CPU s | predict" for name in kinds) + " |")
    for name in sets:
        X_train, y_train, X_test, y_test = split_of(folder, name)
        n_steps = max(X_train.shape[1], X_test.shape[1])
        X_train, X_test = (_zeros_at_the_end(X, n_steps).transpose(0, 2, 1) for X in (X_train, X_test))
        cells = []
        for kind in kinds.values():
            few = np.union1d(np.unique(y_train, return_index=True)[1], np.arange(0, len(y_train), 4))
            kind(random_state=0).fit(X_train[few], y_train[few])
            started = time.process_time()
            classifier = kind(random_state=0).fit(X_train, y_train)
            fitted = time.process_time()
            score = float(np.mean(classifier.predict(X_test) == y_test))
            cells.append(f"{score:.3f} | {fitted - started:.1f} | {time.process_time() - fitted:.1f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _zeros_at_the_end(X: np.ndarray, n_steps: int) -> np.ndarray:
    return np.pad(np.nan_to_num(X), [(0, 0), (0, n_steps - X.shape[1]), (0, 0)])


def seasonal_windows() -> tuple[np.ndarray, np.ndarray]:
    """Peaks of a season whose phase wanders, under noise, cut into windows and the values that follow each."""
    random = np.random.default_rng(2)
    phase = 2 * np.pi * np.arange(1000) / 12 + np.cumsum(random.normal(0, 0.1, 1000))
    series = 100 + 10 * np.exp(2 * (np.cos(phase) - 1)) + random.normal(0, 0.7, 1000)
    windows = np.lib.stride_tricks.sliding_window_view(series, N_LAGS + HORIZON)
    return windows[:, :N_LAGS], windows[:, N_LAGS:]


def forecast() -> None:
    """Root mean squared error of three steps ahead, on windows behind those of training."""
    from skneural import RecurrentNetRegressor

    X, y = seasonal_windows()
    train, test = slice(0, 600), slice(600 + N_LAGS + HORIZON, None)
    answers = {
        "RecurrentNetRegressor": RecurrentNetRegressor(random_state=0).fit(X[train], y[train]).predict(X[test]),
        "Ridge on the lags": Ridge().fit(X[train], y[train]).predict(X[test]),
        "the season before": X[test][:, -12 : -12 + HORIZON],
    }
    print("\n| forecast | error |\n|---|---:|")
    for name, answer in answers.items():
        print(f"| {name} | {np.sqrt(np.mean((answer - y[test]) ** 2)):.3f} |", flush=True)


def skneural_network() -> Any:
    from skneural import RecurrentNetClassifier

    return RecurrentNetClassifier(
        64, filters=(), dropout=0.0, l2=0.0, learning_rate_schedule="constant", epochs=EPOCHS, batch_size=16
    )


def scikeras_network() -> Any:
    import keras
    from scikeras.wrappers import KerasClassifier

    def build() -> keras.Model:
        return keras.Sequential(
            [
                keras.Input((None, 1)),
                keras.layers.GRU(64),
                keras.layers.Dense(1, activation="sigmoid"),
            ]
        )

    return KerasClassifier(build, loss="binary_crossentropy", optimizer="adam", epochs=EPOCHS, batch_size=16, verbose=0)


def speed(folder: Path) -> None:
    """A GRU of 64 units on ItalyPowerDemand, 20 epochs: the first fit of the process and the median of later ones."""
    X, y, _, _ = split_of(folder, "ItalyPowerDemand")
    y = (y == y[0]).astype(int)
    print("\n| 64 GRU units, 20 epochs | first fit, s | later fits, s |\n|---|---:|---:|")
    later: dict[str, float] = {}
    builds: dict[str, Callable[[], Any]] = {"skneural": skneural_network, "scikeras": scikeras_network}
    for name, build in builds.items():
        first, *others = (seconds_of_fit(build(), X, y) for _ in range(4))
        later[name] = float(np.median(others))
        print(f"| {name} | {first:.2f} | {later[name]:.3f} |", flush=True)
    print(f"\nLater fits are {later['scikeras'] / later['skneural']:.1f} times faster than scikeras's.")


def layers_of(kind: str) -> list[tuple[int, int]]:
    """Units, or filters and the width of their kernels."""
    return [(64, 0)] if kind == "GRU" else [(32, 7), (64, 5), (32, 3)]


class KerasLoop:
    """A Keras model of the layers, fitted by Keras under XLA."""

    def __init__(self, kind: str, size: int, epochs: int) -> None:
        self.kind, self.size, self.epochs = kind, size, epochs

    def model(self, X: np.ndarray) -> Any:
        import keras

        network = keras.Sequential([keras.Input(X.shape[1:])])
        for units, width in layers_of(self.kind):
            is_gru = self.kind == "GRU"
            network.add(keras.layers.GRU(units) if is_gru else keras.layers.Conv1D(units, width, padding="same"))
            if not is_gru:
                network.add(keras.layers.ReLU())
        if self.kind != "GRU":
            network.add(keras.layers.GlobalAveragePooling1D())
        network.add(keras.layers.Dense(1, activation="sigmoid"))
        return network

    def fit(self, X: np.ndarray, y: np.ndarray) -> None:
        network = self.model(X)
        network.compile("adam", "binary_crossentropy", jit_compile=True)
        network.fit(X, y, batch_size=self.size, epochs=self.epochs, verbose=0)


class OurLoop(KerasLoop):
    """The same model in KerasClassifier."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> None:
        from skneural import KerasClassifier

        KerasClassifier(
            self.model(X), loss="binary_crossentropy", optimizer="adam", epochs=self.epochs, batch_size=self.size
        ).fit(X, y)


class TorchLoop(KerasLoop):
    """The same layers in PyTorch's plain loop."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> None:
        import torch

        n_channels = X.shape[2]
        if self.kind == "GRU":
            recurrent = torch.nn.GRU(n_channels, 64, batch_first=True)
            last = torch.nn.Linear(64, 1)
            parts, forward = [recurrent, last], lambda rows: last(recurrent(rows)[0][:, -1])
        else:
            layers: list[Any] = []
            for units, width in layers_of(self.kind):
                layers += [torch.nn.Conv1d(n_channels, units, width, padding="same"), torch.nn.ReLU()]
                n_channels = units
            front, last = torch.nn.Sequential(*layers), torch.nn.Linear(n_channels, 1)
            parts, forward = [front, last], lambda rows: last(front(rows.transpose(1, 2)).mean(dim=2))
        optimizer = torch.optim.Adam([weight for part in parts for weight in part.parameters()])
        loss = torch.nn.BCEWithLogitsLoss()
        rows, labels = torch.from_numpy(X), torch.from_numpy(y.astype(np.float32)[:, None])
        for _ in range(self.epochs):
            for batch in torch.randperm(len(rows)).split(self.size):
                optimizer.zero_grad()
                loss(forward(rows[batch]), labels[batch]).backward()
                optimizer.step()


def layers(lengths: list[tuple[int, int]]) -> None:
    """CPU seconds of a later fit of 512 sequences, 10 epochs, by layers, steps and channels."""
    loops: dict[str, Any] = {"skneural": OurLoop, "Keras under XLA": KerasLoop, "PyTorch": TorchLoop}
    print(f"\n| layers | steps x channels | batches | {' | '.join(loops)} |\n|---|---|---:|" + "---:|" * len(loops))
    for kind in ("GRU", "convolutions"):
        for n_steps, n_channels in lengths:
            rng = np.random.default_rng(0)
            X = rng.normal(size=(512, n_steps, n_channels)).astype(np.float32)
            y = rng.integers(0, 2, 512)
            for size in (16, 64) if n_steps <= 100 else (64,):
                cells = []
                for loop in loops.values():
                    try:
                        loop(kind, size, LAYER_EPOCHS).fit(X, y)
                        started, wall = time.process_time(), time.perf_counter()
                        loop(kind, size, LAYER_EPOCHS).fit(X, y)
                        cells.append(f"{time.process_time() - started:.2f} ({time.perf_counter() - wall:.2f})")
                    except ImportError:
                        cells.append("not installed")
                print(f"| {kind} | {n_steps} x {n_channels} | {size} | {' | '.join(cells)} |", flush=True)


def seconds_of_fit(network: Any, X: np.ndarray, y: np.ndarray) -> float:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikeras 0.13 warns about scikit-learn 1.9
        network.fit(X, y)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data/timeseries")
    kinds = ["accuracy", "forecast", "speed", "layers", "length", "rocket"]
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds[:3])
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    wanted = options.only
    sets = options.sets or sorted(path.stem for path in options.data.glob("*.npz"))
    if not options.data.is_dir():
        print(f"Without the data in {options.data} there are no tables of accuracy and speed.")
        wanted = [name for name in wanted if name in ("forecast", "layers", "length")]
    if "accuracy" in wanted:
        accuracy(options.data, options.seeds, sets)
    if "rocket" in wanted:
        rocket(options.data, sets)
    if "forecast" in wanted:
        forecast()
    if "speed" in wanted:
        speed(options.data)
    if "layers" in wanted:
        layers([(100, 1), (100, 8)])
    if "length" in wanted:
        layers([(n_steps, 1) for n_steps in (200, 1000, 5000)] + [(200, 4), (200, 16)])


if __name__ == "__main__":
    main()
