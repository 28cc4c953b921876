"""The engine's own ways beside each other, on the same networks: who trains faster is what it chooses them by.

    python benchmarks/runners.py [--rounds 5]

Each pair is timed in turn in one process, after a first fit of each; the medians and their ratio are printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits

from skneural import ConvNetClassifier, DenseNetClassifier
from skneural._engine.loop import passes

PLAIN = {"augment": False, "batch_normalization": False, "dropout": 0.0}


def main() -> None:
    """Print a row for each pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    X, y = load_digits(return_X_y=True)
    dense = DenseNetClassifier((100, 50), epochs=5, batch_size=32, random_state=0)
    large = DenseNetClassifier((512, 256), epochs=2, batch_size=256, random_state=0)
    small = ConvNetClassifier(image_shape=(8, 8), filters=(16, 32), epochs=2, batch_size=64, random_state=0, **PLAIN)
    normalized = clone(small).set_params(batch_normalization=True)
    big = np.kron(X.reshape(-1, 8, 8), np.ones((4, 4)))[:512]
    images = ConvNetClassifier(filters=(16, 32), epochs=1, batch_size=64, random_state=0, **PLAIN)
    print(f"{'network':<48}{'first, s':>10}{'second, s':>11}{'ratio':>8}")
    compare("64-100-50-10, batches of 32: native, XLA", dense, X, y, native, compiled, rounds)
    compare("64-512-256-10, batches of 256: native, XLA", large, X, y, native, compiled, rounds)
    compare("8 x 8 images: products in XLA, TensorFlow", small, X, y, compiled, by_kernels, rounds)
    compare("8 x 8, normalised: products in XLA, TensorFlow", normalized, X, y, compiled, by_kernels, rounds)
    compare("32 x 32 images: products in XLA, TensorFlow", images, big, y[:512], compiled, by_kernels, rounds)


@contextmanager
def native() -> Iterator[None]:
    """Train as the engine chooses."""
    yield


@contextmanager
def compiled() -> Iterator[None]:
    """Train by programs that XLA compiles, convolutions as products of matrices."""
    with patch.object(passes, "has_native_run", lambda *_: False), patch.object(passes, "suits_xla", lambda *_: True):
        yield


@contextmanager
def by_kernels() -> Iterator[None]:
    """Train by programs of TensorFlow's kernels."""
    with patch.object(passes, "has_native_run", lambda *_: False), patch.object(passes, "suits_xla", lambda *_: False):
        yield


def compare(
    name: str,
    network: Any,
    X: NDArray[Any],
    y: NDArray[Any],
    one: Callable[[], Any],
    other: Callable[[], Any],
    rounds: int,
) -> None:
    """Time later fits of a network in two ways, in turn."""
    times: dict[Any, list[float]] = {one: [], other: []}
    for number in range(rounds + 1):
        for way in (one, other):
            with way():
                begun = time.perf_counter()
                network.fit(X, y)
                taken = time.perf_counter() - begun
            if number:
                times[way].append(taken)
    first, second = np.median(times[one]), np.median(times[other])
    print(f"{name:<48}{first:>10.3f}{second:>11.3f}{second / first:>8.2f}", flush=True)


if __name__ == "__main__":
    main()
