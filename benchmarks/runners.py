"""The engine's own ways beside each other, on the same networks: who trains faster is what it chooses them by.

    python benchmarks/runners.py [--rounds 5] [--only fits | predictions]

Each pair is timed in turn in one process, after a first fit of each; the medians and their ratio are printed.
Predictions of the native engine stand beside plain products of NumPy and the program that predicts where C was not
built: the medians of the ratios of their times, and of the processor's, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits

from skneural import ConvNetClassifier, DenseNetClassifier
from skneural._engine import Blueprint, Network, predict, prediction
from skneural._engine.loop import passes

PLAIN = {"augment": False, "batch_normalization": False, "dropout": 0.0}


def main() -> None:
    """Print a row for each pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("fits", "predictions"))
    arguments = parser.parse_args()
    if arguments.only != "predictions":
        compare_fits(arguments.rounds)
    if arguments.only != "fits":
        compare_predictions(arguments.rounds)


def compare_fits(rounds: int) -> None:
    """Print a row for each network that two ways can train."""
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


def compare_predictions(rounds: int) -> None:
    """Print a row for each network and number of rows, predicted by the native engine, by NumPy and by the program."""
    titles = {"native, ms": 11, "NumPy / native": 16, "of CPU": 8, "program / native": 18, "of CPU ": 8}
    print(f"\n{'prediction':<44}" + "".join(f"{title:>{width}}" for title, width in titles.items()))
    rng = np.random.default_rng(0)
    for sizes in ((64, 100, 10), (784, 256, 128, 10), (784, 1024, 1024, 10)):
        model = keras.Sequential([keras.Input(sizes[:1]), *(keras.layers.Dense(size, "relu") for size in sizes[1:-1])])
        model.add(keras.layers.Dense(sizes[-1], "softmax"))
        X = rng.random((60_000, sizes[0]), dtype=np.float32)
        blueprint = Blueprint(("runners", sizes), lambda model=model: keras.models.clone_model(model), compile_it, {})
        by_c, program = Network.from_blueprint(blueprint, 0), Network.from_blueprint(blueprint, 0)
        program.forward = prediction._by_program(program.template().model)
        values = by_c.variable_values()
        name = "-".join(map(str, sizes))
        for n_rows, n_threads in ((1, 1), (100, 1), (60_000, 1), (1, 16), (1000, 16)):
            rows = X[:n_rows]
            ways = [
                partial(predict, by_c, rows),
                partial(by_products, values, rows),
                partial(predict, program, rows),
            ]
            figures = np.array([times_in_turn(ways, n_rows, n_threads) for _ in range(3 * rounds)])
            wall, cpu = np.median(figures / figures[:, :1], axis=0).T
            threads = f", {n_threads} threads" if n_threads > 1 else ""
            print(
                f"{f'{name}, rows: {n_rows:,}{threads}':<44}{1000 * np.median(figures[:, 0, 0]):>11.3f}"
                f"{wall[1]:>16.2f}{cpu[1]:>8.2f}{wall[2]:>18.2f}{cpu[2]:>8.2f}",
                flush=True,
            )


def compile_it(model: keras.Model) -> None:
    """Compile a network that only predicts."""
    model.compile(loss="sparse_categorical_crossentropy")


def by_products(values: list[NDArray[Any]], rows: NDArray[Any]) -> NDArray[Any]:
    """Predict by plain products in blocks that stay in the cache, as the engine did before C predicted."""
    size = max(2**18 // max(len(bias) for bias in values[1::2]), 1)
    return np.concatenate(
        [_block_by_products(values, rows[start : start + size]) for start in range(0, len(rows), size)]
    )


def _block_by_products(values: list[NDArray[Any]], outputs: NDArray[Any]) -> NDArray[Any]:
    for kernel, bias in zip(values[:-2:2], values[1:-2:2], strict=True):
        outputs = outputs @ kernel
        outputs += bias
        np.maximum(outputs, np.zeros_like(outputs), out=outputs)
    outputs = outputs @ values[-2]
    outputs += values[-1]
    outputs -= outputs.max(axis=1, keepdims=True)
    np.exp(outputs, out=outputs)
    outputs /= outputs.sum(axis=1, keepdims=True)
    return outputs


def times_in_turn(ways: list[Callable[[], Any]], n_rows: int, n_threads: int) -> list[tuple[float, float]]:
    """Time each way once, many calls of a few rows, by clock and processor: seconds for a call of each thread."""
    n_calls = 50 if n_rows < 1000 else 1
    figures = []
    with ThreadPoolExecutor(n_threads) as pool:
        for way in ways:
            way()
            begun, used = time.perf_counter(), time.process_time()
            list(pool.map(lambda _, way=way: [way() for _ in range(n_calls)], range(n_threads)))
            figures.append(((time.perf_counter() - begun) / n_calls, (time.process_time() - used) / n_calls))
    return figures


if __name__ == "__main__":
    main()
