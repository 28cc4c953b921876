"""How well and how fast recurrent networks learn: published splits, a forecast, and scikeras with the same layers.

The data of the splits lie in a folder beside the checkout (``--data``); without it those tables are left out.
Run: python benchmarks/sequences.py [--data FOLDER] [--only accuracy forecast speed]
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
EPOCHS = 20


def split_of(folder: Path, name: str) -> tuple[Any, Any, Any, Any]:
    """The published training and test part, unequal lengths padded with NaN."""
    arrays = np.load(folder / f"{name}.npz")
    form = "_raw" if "X_train_raw" in arrays.files else ""
    X_train, X_test = (arrays[f"X_{part}{form}"] for part in ("train", "test"))
    # With an axis of channels the test part may be shorter or longer.
    X_train, X_test = (X[..., np.newaxis] if X.ndim == 2 else X for X in (X_train, X_test))
    return X_train, arrays["y_train"], X_test, arrays["y_test"]


def accuracy(folder: Path, seeds: int) -> None:
    """Test accuracy with default parameters beside published ones; compiling counts where it happens."""
    from skneural import RecurrentNetClassifier

    published = json.loads((folder / "reference_accuracies.json").read_text())["accuracies"]
    print(f"| set | skneural, {seeds} seeds | {' | '.join(PEERS)} | CPU s, fit | predict |\n|---|---:|" + "---:|" * 6)
    means: list[list[float]] = []
    for path in sorted(folder.glob("*.npz")):
        X_train, y_train, X_test, y_test = split_of(folder, path.stem)
        scores, seconds = [], []
        for seed in range(seeds):
            started = time.process_time()
            network = RecurrentNetClassifier(random_state=seed).fit(X_train, y_train)
            fitted = time.process_time()
            scores.append(network.score(X_test, y_test))
            seconds.append((fitted - started, time.process_time() - fitted))
        others = [published[path.stem].get(peer, np.nan) for peer in PEERS]
        means.append([float(np.mean(scores)), *others])
        numbers = " | ".join(f"{number:.3f}" for number in means[-1])
        print(
            f"| {path.stem} | {numbers} | {' | '.join(f'{one:.0f}' for one in np.mean(seconds, axis=0))} |", flush=True
        )
    complete = np.array([row for row in means if not np.isnan([row[0], *row[-2:]]).any()])
    print(f"| mean of {len(complete)} | {' | '.join(f'{one:.3f}' for one in np.nanmean(complete, axis=0))} | | |")


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


def seconds_of_fit(network: Any, X: np.ndarray, y: np.ndarray) -> float:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikeras 0.13 warns about scikit-learn 1.9
        network.fit(X, y)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared/data/timeseries")
    parser.add_argument("--only", nargs="+", choices=["accuracy", "forecast", "speed"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    wanted = options.only or ["accuracy", "forecast", "speed"]
    if not options.data.is_dir():
        print(f"Without the data in {options.data} there are no tables of accuracy and speed.")
        wanted = [name for name in wanted if name == "forecast"]
    if "accuracy" in wanted:
        accuracy(options.data, options.seeds)
    if "forecast" in wanted:
        forecast()
    if "speed" in wanted:
        speed(options.data)


if __name__ == "__main__":
    main()
