"""Classify sequences, and draw what a recurrent network thought at each step of some of them.

Run it with ``make sequences``. The script makes noisy signals of unequal length that begin alike: all of them rise,
then some fall back, some stay up and some swing. Only what comes later tells them apart, and the figure shows when the
network has seen enough.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

import skneural  # whose classes load TensorFlow when they are first named, not for --help

KINDS = ("falls back", "stays up", "swings")


def main() -> None:
    options = read_options()
    X, y = make_signals(options.n_signals)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

    network = skneural.RecurrentNetClassifier(
        units=32, filters=(), dropout=0.0, learning_rate=1e-2, epochs=options.epochs, random_state=0
    )
    print(f"Training on {len(X_train)} signals of {min(map(len, X))} to {max(map(len, X))} steps ...")
    network.fit(X_train, y_train)
    print(f"Of {len(X_test)} other signals it names {network.score(X_test, y_test):.1%} right.")

    mpl.use("agg")  # figures are saved, and need no screen
    options.output.mkdir(parents=True, exist_ok=True)
    shown = [X_test[int(np.argmax(y_test == kind))] for kind in KINDS]
    print(draw_thoughts(network, shown, options.output / "thoughts.png"))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("sequences_report"), help="folder for the figure")
    parser.add_argument("--n-signals", type=int, default=400, help="signals to make, three quarters to train on")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training signals")
    return parser.parse_args()


def make_signals(n_signals: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Signals of 40 to 60 steps, each of shape (timesteps,), and their kinds."""
    random = np.random.default_rng(0)
    y = random.choice(KINDS, n_signals)
    return [make_signal(kind, random) for kind in y], y


def make_signal(kind: str, random: np.random.Generator) -> np.ndarray:
    steps = np.arange(random.integers(40, 61))
    rise, turn = random.uniform(4, 8), random.uniform(16, 24)
    signal = 1 / (1 + np.exp(rise - steps))
    later = np.clip(steps - turn, 0, None)
    if kind == "falls back":
        signal -= 1 - np.exp(-later / 6)
    elif kind == "swings":
        signal += 0.5 * np.sin(later / 1.5)
    return signal + random.normal(0, 0.15, len(steps))


def thoughts(network: skneural.RecurrentNetClassifier, signal: np.ndarray) -> np.ndarray:
    """Class probabilities of the signal's first 1, 2, ... steps, shape (timesteps, n_classes)."""
    return network.predict_proba([signal[:n_steps] for n_steps in range(1, len(signal) + 1)])


def draw_thoughts(network: skneural.RecurrentNetClassifier, signals: list[np.ndarray], path: Path) -> Path:
    """Draw each signal above the probabilities that the network gave the kinds up to each step."""
    figure, axes = plt.subplots(
        2, len(signals), figsize=(11, 5), sharex="col", sharey="row", layout="constrained", squeeze=False
    )
    for (above, below), signal, kind in zip(axes.T, signals, KINDS, strict=True):
        above.plot(signal, color="black", linewidth=1)
        above.set_title(f"A signal that {kind}")
        below.stackplot(np.arange(len(signal)), thoughts(network, signal).T, labels=network.classes_, alpha=0.8)
        below.set(xlabel="Time step", ylim=(0, 1), xlim=(0, len(signal) - 1))
    axes[0, 0].set_ylabel("Signal")
    axes[1, 0].set_ylabel("Probability so far")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(KINDS))
    figure.savefig(path, dpi=120)
    return path


if __name__ == "__main__":
    main()
