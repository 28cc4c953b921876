"""Time of a first fit in a fresh process, import included, beside that of importing Keras alone.

Pairs of processes in turn, seconds by clock and of the processor; then where the time of a first fit goes.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time

DATA = "from sklearn.datasets import load_iris; X, y = load_iris(return_X_y=True)"
KERAS = "import keras; keras.Sequential"
STEPS = {
    "scikit-learn and the data": DATA,
    "Keras, with TensorFlow": KERAS,
    "skneural": "from skneural import DenseNetClassifier",
    "the first fit": "DenseNetClassifier().fit(X, y)",
    "a second fit": "DenseNetClassifier().fit(X, y)",
}
FIRST_FIT = "; ".join([DATA, STEPS["skneural"], STEPS["the first fit"]])
MEASURED_STEPS = """
import time
for step in {steps}:
    wall, processor = time.perf_counter(), time.process_time()
    exec(step)
    print(time.perf_counter() - wall, time.process_time() - processor)
"""


def seconds_of(code: str) -> tuple[float, float]:
    """Give what a fresh process takes by clock, and of the processor."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    wall, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    n_pairs = parser.parse_args().pairs
    codes = {"import keras": KERAS, "the same and scikit-learn with data": f"{DATA}; {KERAS}", "first fit": FIRST_FIT}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in codes}
    for _ in range(n_pairs):
        for name, code in codes.items():
            taken[name].append(seconds_of(code))
    print("| what | s | CPU s |\n|---|---:|---:|")
    for name, runs in taken.items():
        print(f"| {name} | {statistics.median(w for w, _ in runs):.2f} | {statistics.median(c for _, c in runs):.2f} |")
    code = MEASURED_STEPS.format(steps=list(STEPS.values()))
    lines = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    print("\n| step | s | CPU s |\n|---|---:|---:|")
    for name, line in zip(STEPS, lines, strict=True):
        wall, processor = map(float, line.split())
        print(f"| {name} | {wall:.2f} | {processor:.2f} |")


if __name__ == "__main__":
    main()
