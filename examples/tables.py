"""Predict who leaves a gym from a table with numbers, categories and holes, and judge the predictions.

Run it with ``make tables``. The table is made up, and has holes in some columns. It prints a report of five folds
beside HistGradientBoosting and which columns count, draws a calibration curve, and stores a network that predicts for a
raw row in a new process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_validate, train_test_split

import skneural  # whose classes load TensorFlow when they are first named, not for --help

SCORES = {"accuracy": "accuracy", "log-loss": "neg_log_loss", "ROC AUC": "roc_auc"}
# All that predicting needs in another process: the file and skneural, which loads it without running code of it.
PREDICT = """
import json, sys
import pandas as pd
import skneural
classifier = skneural.load(sys.argv[1])
print(classifier.predict_proba(pd.DataFrame([json.loads(sys.argv[2])]))[0, 1])
"""


def main() -> None:
    options = read_options()
    mpl.use("agg")  # figures are saved, and need no screen
    options.output.mkdir(parents=True, exist_ok=True)
    table, leaves = make_members(options.n_members)
    print(f"{len(table)} members made up, {leaves.mean():.0%} of whom leave:\n\n{table.head(4).to_string()}\n")
    ours = skneural.TabularNetClassifier(compute_importances=True, random_state=0)

    print(
        report(
            {"TabularNet": ours, "HistGradientBoosting": HistGradientBoostingClassifier(random_state=0)}, table, leaves
        )
    )

    train, test, y_train, y_test = train_test_split(table, leaves, test_size=0.3, stratify=leaves, random_state=0)
    ours.fit(train, y_train)
    print(f"\nThe rows that each member of the ensemble has left out: accuracy {ours.validation_score_:.3f}.")
    print(f"New rows: accuracy {ours.score(test, y_test):.3f}. Accuracy that is lost when a column is permuted:")
    print(pd.Series(ours.feature_importances_, table.columns).sort_values(ascending=False).round(3).to_string())

    figure = Figure(figsize=(5, 5), layout="constrained")
    CalibrationDisplay.from_estimator(
        ours, test, y_test, n_bins=8, strategy="quantile", ax=figure.subplots(), name="TabularNet"
    )
    figure.savefig(options.output / "calibration.png")
    print(options.output / "calibration.png")

    stored = options.output / "network.skn"
    ours.save(stored)
    row = json.loads(test.iloc[:1].to_json(orient="records"))[0]
    command = [sys.executable, "-c", PREDICT, str(stored), json.dumps(row)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    print(
        f"\nThe stored network gives {row}\nin a new process: {float(answer):.3f}; "
        f"the estimator: {ours.predict_proba(test.iloc[:1])[0, 1]:.3f}"
    )


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=Path, default=Path("tables_report"), help="folder for the figure and the model"
    )
    parser.add_argument("--n-members", type=int, default=3000, help="rows of the table")
    return parser.parse_args()


def make_members(n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Make a table of gym members up, and whether each leaves within a year."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.integers(16, 75, n).astype(float),
            "visits": rng.gamma(2.0, 1.2, n).round(1),
            "distance_km": rng.exponential(4.0, n).round(2),
            "plan": rng.choice(["month", "year", "student", "family"], n, p=[0.45, 0.3, 0.15, 0.1]),
            "club": rng.choice([f"club {number}" for number in range(12)], n),
            "trainer": rng.random(n) < 0.25,
        }
    )
    plans, of_clubs = {"month": 0.9, "year": -1.2, "student": 0.2, "family": -0.8}, rng.normal(0, 0.5, 12)
    tendency = (
        1.2 * np.exp(-table["visits"])
        + 0.6 * np.log1p(table["distance_km"])
        + table["plan"].map(plans)
        + of_clubs[table["club"].str[5:].astype(int)]
        - 1.0 * table["trainer"] * (table["age"] > 40)
        - 1.5 * (table["visits"] > 3)
    )
    leaves = rng.random(n) < 1 / (1 + np.exp(0.2 - 1.5 * tendency))
    # Who has just come has no visits on record yet; some did not tell their age, or which plan they have.
    for column, share in (("visits", 0.12), ("age", 0.05), ("plan", 0.04)):
        table.loc[rng.random(n) < share, column] = None
    return table, leaves


def report(estimators: dict[str, object], table: pd.DataFrame, leaves: np.ndarray) -> str:
    """Give the mean scores of five folds."""
    rows = {}
    for name, estimator in estimators.items():
        # Trees take strings as categories only where the dtype says so.
        rows_of = table if name == "TabularNet" else table.astype({"plan": "category", "club": "category"})
        scores = cross_validate(estimator, rows_of, leaves, cv=5, scoring=SCORES)
        rows[name] = {title: abs(scores[f"test_{title}"].mean()) for title in SCORES}
    return pd.DataFrame(rows).T.round(4).to_string()


if __name__ == "__main__":
    main()
