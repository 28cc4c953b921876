"""Contract: a search whose fits have a folder each trains after a kill only what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import DenseNetClassifier

X, Y = make_classification(300, n_features=6, random_state=0)


def search_in(folder, n_jobs=None):
    network = DenseNetClassifier((8,), epochs=60, random_state=0, checkpoint=f"{folder}/{{fit}}", checkpoint_every=20)
    grid = {"densenetclassifier__learning_rate": [1e-3, 1e-2, 1e-1], "densenetclassifier__l2": [0.0, 1e-3]}
    return GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=3, n_jobs=n_jobs)


def scores_of(search):
    return {name: values for name, values in search.cv_results_.items() if "time" not in name}


def files_in(folder):
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/checkpoint.npz")}


def assert_equal_scores(one, other):
    for name, values in scores_of(one).items():
        np.testing.assert_array_equal(values, scores_of(other)[name])


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from test_resumed_searches import X, Y, search_in
print("begun", flush=True)
search_in(sys.argv[2]).fit(X, Y)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as there are on POSIX")
def test_a_search_that_was_killed_fits_only_what_is_missing(tmp_path):
    command = [sys.executable, "-c", PROGRAM, os.path.dirname(__file__), str(tmp_path)]
    process = subprocess.Popen(command, cwd=os.path.dirname(os.path.dirname(__file__)))
    while len(files_in(tmp_path)) < 9:
        assert process.poll() is None
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = files_in(tmp_path)
    assert 9 <= len(before) < 19
    again = search_in(tmp_path).fit(X, Y)
    after = files_in(tmp_path)
    # 3 * 2 candidates on 3 folds, and the best one on all rows. Of the old ones one was on its way, at most.
    assert len(after) == 19
    assert len([path for path in before if after[path] != before[path]]) <= 1
    assert_equal_scores(again, search_in(tmp_path / "other").fit(X, Y))


def test_a_search_that_has_ended_trains_nothing_again(tmp_path):
    search = search_in(tmp_path).fit(X, Y)
    before = files_in(tmp_path)
    assert len(before) == 19
    again = search_in(tmp_path).fit(X, Y)
    assert files_in(tmp_path) == before
    assert_equal_scores(again, search)
    without = search_in(tmp_path)
    without.estimator.set_params(densenetclassifier__checkpoint=None)
    assert_equal_scores(without.fit(X, Y), search)


def test_threads_may_share_a_folder(tmp_path):
    search = search_in(tmp_path, n_jobs=2)
    from skneural import parallel_fits

    with parallel_fits():
        search.fit(X, Y)
    assert len(files_in(tmp_path)) == 19
    assert_equal_scores(search, search_in(tmp_path).fit(X, Y))


WORKERS = """
import joblib, sys
sys.path.insert(0, sys.argv[1])
from sklearn.base import clone
from test_resumed_searches import X, Y
from skneural import DenseNetClassifier

def fit(_):
    print("begun", flush=True)
    return DenseNetClassifier((8,), epochs=1_000_000, random_state=0).fit(X, Y).n_iter_

joblib.Parallel(2, backend="loky")(joblib.delayed(fit)(number) for number in range(8))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as there are on POSIX")
def test_no_worker_is_left_a_minute_after_a_kill():
    command = [sys.executable, "-c", WORKERS, os.path.dirname(__file__)]
    process = subprocess.Popen(command, cwd=os.path.dirname(os.path.dirname(__file__)), stdout=subprocess.PIPE)
    assert [process.stdout.readline() for _ in range(2)] == [b"begun\n"] * 2
    children = psutil.Process(process.pid).children(recursive=True)
    workers = [one for one in children if "LokyProcess" in " ".join(one.cmdline())]
    assert len(workers) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, left = psutil.wait_procs(children, timeout=60)
    for one in left:
        one.kill()
    process.stdout.close()
    assert not left
