"""Rows beyond memory: how much a fit on them takes, and how fast it is beside the same fit in memory.

The rows are virtual: an object makes them when they are read, from a block of 64 MB that it shifts, so that they need
no disk. Each fit runs in a process of its own. In memory as many rows of the same object are fitted as --memory allows;
rows a second are those of the epochs after the first, from the times at which each ends. Memory is the most that the
process has held (VmHWM), beyond what it held before the fit and in all.
Run: python benchmarks/large.py [--gigabytes 20] [--memory 1] [--columns 1000] [--epochs 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

GIGABYTE = 2**30


class VirtualRows:
    """Rows of float32 that are made when they are read."""

    dtype = np.dtype(np.float32)

    def __init__(self, n_rows: int, n_columns: int) -> None:
        self.shape = (n_rows, n_columns)
        self._block = np.random.default_rng(0).normal(size=(64 * 2**20 // (4 * n_columns), n_columns)).astype("f4")

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, _ = rows.indices(self.shape[0])
        numbers = np.arange(start, stop)
        made = self._block[numbers % len(self._block)]
        made[:, 0] = np.sin(numbers)
        return made


def held(name: str = "VmHWM") -> float:
    """The megabytes that this process has held at most (VmHWM) or holds now (VmRSS)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1024


def measure(n_rows: int, n_columns: int, epochs: int, in_memory: bool) -> dict[str, Any]:
    """Fit once, in this process."""
    import keras

    from skneural import DenseNetRegressor

    rows = VirtualRows(n_rows, n_columns)
    X: Any = rows[:] if in_memory else rows
    y = np.sin(np.arange(n_rows, dtype=np.float32))
    DenseNetRegressor((8,), epochs=1).fit(rows[:100], y[:100])
    ends: list[float] = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    before = held("VmRSS")
    started = time.perf_counter()
    network = DenseNetRegressor((256, 128), batch_size=256, epochs=epochs, callbacks=callback, random_state=0)
    network.fit(X, y)
    fit_seconds = time.perf_counter() - started
    n_predicted = min(n_rows, 200_000)
    to_predict: Any = X[:n_predicted] if in_memory else VirtualRows(n_predicted, n_columns)
    started = time.perf_counter()
    network.predict(to_predict)
    return {
        "engine": network.engine_,
        "gigabytes": n_rows * n_columns * 4 / GIGABYTE,
        "fit seconds": fit_seconds,
        "rows a second": n_rows / float(np.median(np.diff(ends))),
        "predicted rows a second": n_predicted / (time.perf_counter() - started),
        "before, MB": before,
        "at most, MB": held(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--memory", type=float, default=1, help="gigabytes of rows in memory")
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*json.loads(given.measure))))
        return
    results = []
    for gigabytes, in_memory in ((given.memory, True), (given.gigabytes, False)):
        n_rows = int(gigabytes * GIGABYTE / (4 * given.columns))
        task = json.dumps([n_rows, given.columns, given.epochs, in_memory])
        process = subprocess.run([sys.executable, __file__, "--measure", task], capture_output=True, check=True)
        results.append(json.loads(process.stdout.splitlines()[-1]))
    print("| | " + " | ".join(results[0]) + " |\n|---" * 1 + "|---:" * len(results[0]) + "|")
    for name, result in zip(("in memory", "read in parts"), results, strict=True):
        values = (f"{value:,.1f}" if isinstance(value, float) else str(value) for value in result.values())
        print(f"| {name} | " + " | ".join(values) + " |")
    memory, parts = results
    for what in ("rows a second", "predicted rows a second"):
        print(f"{what}: {parts[what] / memory[what]:.2f} times the speed in memory")


if __name__ == "__main__":
    main()
