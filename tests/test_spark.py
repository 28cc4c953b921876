"""The recipe of the guide for Spark, run as it stands; needs pyspark and Java, which the tests' packages lack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

from skneural import DenseNetClassifier

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_rows_are_scored_in_spark_as_here(tmp_path):
    pytest.importorskip("pyspark", reason="needs pyspark (pip install pyspark)")
    table, labels = load_iris(return_X_y=True, as_frame=True)
    classifier = DenseNetClassifier((8,), learning_rate=0.05, epochs=30, random_state=0).fit(table, labels)
    classifier.save(tmp_path / "model.skn")
    (tmp_path / "table").mkdir()
    numbered = table.assign(number=np.arange(len(table)))
    for place, rows in enumerate((numbered[:90], numbered[90:])):
        rows.to_parquet(tmp_path / "table" / f"{place}.parquet", index=False)
    command = [sys.executable, ROOT / "examples" / "score_in_spark.py", "model.skn", "table", "scored"]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    finished = subprocess.run(
        list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found = pd.read_parquet(tmp_path / "scored").sort_values("number", ignore_index=True)
    pd.testing.assert_frame_equal(found[table.columns], table)
    np.testing.assert_array_equal(found["label"], classifier.predict(table))
    assert found["label"].nunique() == 3
