"""The chart of docs/benchmarks.md: how many times faster than its peers skneural is, as bars, from the tables there.

Nothing is measured. Run it when the tables have changed: python benchmarks/chart.py
"""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.figure import Figure

DOCS = Path(__file__).parents[1] / "docs"
PICTURE = DOCS / "images" / "times_faster.png"
PEERS = ("scikeras", "MLPClassifier")
# Row of the table of fits and predictions: name in the chart.
FITS = {
    "fit on digits, later in the process": "fit on digits",
    "fit on breast_cancer, later in the process": "fit on breast_cancer",
    "fit on large, later in the process": "fit on 60,000 rows",
    "predict_proba of one row": "predict_proba of one row",
}
SEARCH = "search of 60 fits, one process"


def times_faster() -> dict[str, dict[str, float]]:
    """Return for each bar's name the ratios by peer, as the tables have them."""
    ratios: dict[str, dict[str, float]] = {name: {} for name in (*FITS.values(), SEARCH)}
    what = ""
    for line in (DOCS / "benchmarks.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            what = ""
        elif len(cells) == 6:  # what, ms, peer, ms, times faster, aim
            what = cells[0] or what
            if what in FITS and cells[2] in PEERS:
                ratios[FITS[what]][cells[2]] = float(cells[4])
        elif cells[0] == "search" and cells[3] in PEERS and cells[4] == "1":
            ratios[SEARCH][cells[3]] = float(cells[8])  # later in the process
    return ratios


def main() -> None:
    ratios = times_faster()
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, peer in enumerate(PEERS):
        heights = [row + 0.4 * place for row in range(len(ratios))]
        lengths = [of_peers[peer] for of_peers in ratios.values()]
        # From one to the right what is faster, to the left what is slower.
        bars = axes.barh(heights, [length - 1 for length in lengths], 0.36, left=1, label=f"against {peer}")
        axes.bar_label(bars, [f"{length:.3g}" for length in lengths], padding=3)
    axes.set(xscale="log", xlabel="Times faster (later in the process, 2 cores)")
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    axes.set_yticks([row + 0.2 for row in range(len(ratios))], list(ratios))
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=1)
    figure.legend(loc="outside upper center", ncols=len(PEERS))
    # By which a test tells whether the chart is that of the tables.
    figure.savefig(PICTURE, dpi=80, metadata={"Description": json.dumps(ratios)})
    print(PICTURE)


if __name__ == "__main__":
    main()
