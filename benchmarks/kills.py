"""Kill fits with checkpoints at random moments, and compare what they end at with fits that nobody stopped.

Run it with ``python benchmarks/kills.py --n-kills 30``; names of fits in tests/test_resumed_fits.py limit it to these.
It prints a line for each: kills and in how many epochs they were, fits that came to their end after some of them, and
how many of these have equal bits.
Each fit runs in a fork of a process in which TensorFlow is loaded, but has not begun to work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from test_checkpoints import SMALL, X, Y
from test_resumed_fits import FITS, fitted, states_of

from skneural import Seq2SeqTranslator

FITS["translation"] = Seq2SeqTranslator(**SMALL), X, Y
EPOCHS = {"native": 400, "patience": 200, "programs": 100}
FEWER = 30  # epochs of others


def fit(name: str, output: Path, folder: Path | None) -> int:
    """Fork a fit that writes what it ends at, and return the number of its process."""
    child = os.fork()
    if child:
        return child
    try:
        warnings.simplefilter("ignore")
        estimator, rows, target = FITS[name]
        estimator = estimator.set_params(epochs=EPOCHS.get(name, FEWER), checkpoint=folder)
        if name == "patience":
            estimator.set_params(n_iter_no_change=150)
        done = fitted(estimator, rows, target)
        history = [np.array(values) for _, values in sorted(done.history_.items())]
        with output.open("wb") as file:
            np.savez(file, *states_of(done), *history)
    except BaseException as error:
        print(f"{name}: {type(error).__name__}: {error}", flush=True)
        os._exit(1)
    os._exit(0)


def ends_within(child: int, seconds: float) -> bool:
    """Wait for a process, and kill it when the time is over; tell whether it came to its end before."""
    is_over = threading.Event()

    def kill_in_time() -> None:
        if not is_over.wait(seconds):
            os.kill(child, signal.SIGKILL)

    timer = threading.Thread(target=kill_in_time)
    timer.start()
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    is_over.set()
    timer.join()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(1)
    return os.WIFEXITED(status)


def arrays_in(path: Path) -> list[bytes]:
    with np.load(path) as file:
        return [file[name].tobytes() for name in file.files]


def epoch_in(folder: Path) -> list[int]:
    """Give the epochs that a fit, or its parts, has kept."""
    kept = []
    for path in sorted(folder.rglob("checkpoint.npz")):
        with np.load(path) as file:
            kept.append(json.loads(bytes(file["said"]))["epoch"])
    return kept


def kills_of(name: str, n_kills: int, rng: random.Random, folder: Path) -> str:
    started = time.monotonic()
    assert ends_within(fit(name, folder / "whole.npz", None), 3600)
    seconds = time.monotonic() - started
    whole = arrays_in(folder / "whole.npz")
    n_killed = n_whole = n_equal = 0
    epochs = set()
    while n_killed < n_kills or not n_whole:
        output, kept = folder / f"{n_whole}.npz", folder / str(n_whole)
        # The last chain of kills comes to its end.
        limit = rng.uniform(0, seconds) if n_killed < n_kills else 3600
        if not ends_within(fit(name, output, kept), limit):
            n_killed += 1
            epochs.add((n_whole, *epoch_in(kept)))
            continue
        n_whole += 1
        n_equal += arrays_in(output) == whole
    return (
        f"{name:25} {n_killed} kills in {len(epochs)} different epochs; {n_whole} fits came to their end, {n_equal} of "
        "them equal to the bit"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(FITS))
    parser.add_argument("--n-kills", type=int, default=30)
    options = parser.parse_args()
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            print(kills_of(name, options.n_kills, random.Random(0), Path(folder)), flush=True)


if __name__ == "__main__":
    main()
