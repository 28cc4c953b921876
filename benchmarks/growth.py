"""How the time of a fit grows with rows, width, depth and batch size, beside scikit-learn's MLP, on four axes.

Every point is a later fit in the process, per epoch. Run: python benchmarks/growth.py [--output growth.png]
"""

from __future__ import annotations

import argparse
import os
import warnings
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import engine
import matplotlib.pyplot as plt
import numpy as np

EPOCHS = 5
AXES: dict[str, tuple[int, ...]] = {
    "rows": (200, 1000, 5000, 25_000),
    "width": (10, 50, 200, 800),
    "depth": (1, 2, 4, 8),
    "batch size": (16, 64, 256, 1024),
}


def point(axis: str, value: int) -> dict[str, Any]:
    """Give rows, layers and batch size of a point: 2000 rows, one layer of 100, batches of 64, but for one of them."""
    width, depth = value if axis == "width" else 100, value if axis == "depth" else 1
    return {
        "n_rows": value if axis == "rows" else 2000,
        "layers": (width,) * depth,
        "batch_size": value if axis == "batch size" else 64,
    }


def ms_per_epoch(peer: str, n_rows: int, layers: tuple[int, ...], batch_size: int) -> float:
    rng = np.random.default_rng(0)
    X, y = rng.random((n_rows, 64), dtype=np.float32), rng.integers(0, 10, n_rows)

    def fit() -> None:
        engine.NETWORKS[peer](layers, batch_size=batch_size, epochs=EPOCHS).fit(X, y)

    fit()
    return 1000 * engine.seconds(fit, 3) / EPOCHS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="growth.png", help="where the picture goes")
    output = parser.parse_args().output
    warnings.simplefilter("ignore")
    engine.print_versions()
    figure, axes = plt.subplots(1, len(AXES), figsize=(14, 3.6), layout="constrained", sharey=True)
    print("| axis | value | skneural, ms an epoch | MLPClassifier | times faster |\n|---|---:|---:|---:|---:|")
    for ax, (axis, values) in zip(axes, AXES.items(), strict=True):
        times: dict[str, list[float]] = {"skneural": [], "MLPClassifier": []}
        for value in values:
            for peer, taken in times.items():
                taken.append(ms_per_epoch(peer, **point(axis, value)))
            ours, theirs = times["skneural"][-1], times["MLPClassifier"][-1]
            print(f"| {axis} | {value} | {ours:.2f} | {theirs:.2f} | {theirs / ours:.1f} |", flush=True)
        for peer, taken in times.items():
            ax.loglog(values, taken, marker="o", label=peer)
        ax.set_xlabel(axis)
        ax.set_xticks(values, [f"{value:,}" for value in values])
        ax.minorticks_off()
    axes[0].set_ylabel("ms per epoch")
    axes[0].legend()
    figure.savefig(output, dpi=120)
    print(f"\nThe picture is in {output}.")


if __name__ == "__main__":
    main()
