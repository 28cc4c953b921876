"""Many threads at once: one program for all, and the same results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from conftest import dense_blueprint

from skneural._engine import Network, Settings, fit, predict, threads


def test_threads_that_begin_together_all_train_compiled_and_alike(three_blobs):
    def work(seed):
        network = Network.from_blueprint(dense_blueprint(hidden=(23,)), 1)
        result = fit(network, three_blobs, None, Settings(epochs=2, batch_size=16, seed=3))
        return result, predict(network, three_blobs.X)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(8)))
    assert [result.way for result, _ in done] == ["compiled"] * 8, done[0][0].why_keras
    for result, outputs in done:
        assert result.history == done[0][0].history
        np.testing.assert_array_equal(outputs, done[0][1])


@pytest.mark.parametrize(
    ("said", "granted"),
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"TF_NUM_INTRAOP_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "2"}, 1),
        ({"OMP_NUM_THREADS": "16", "TF_NUM_INTRAOP_THREADS": "0"}, 8),
        ({"OMP_NUM_THREADS": "many"}, 8),
    ],
)
def test_large_native_runs_heed_the_limits_of_the_environment(said, granted, monkeypatch):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    with threads.threads_for(2**40) as n_threads:
        assert n_threads == granted


@pytest.mark.slow
def test_workers_of_loky_take_the_threads_that_joblib_grants(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)  # conftest's; one that a user has set would win

    def threads_in_worker():
        import tensorflow as tf

        from skneural import DenseNetClassifier

        DenseNetClassifier((3,), epochs=1).fit([[0.0], [1.0]], [0, 1])
        return tf.config.threading.get_intra_op_parallelism_threads()

    for granted in (1, 3):
        with joblib.parallel_config("loky", inner_max_num_threads=granted):
            found = joblib.Parallel(n_jobs=2)(joblib.delayed(threads_in_worker)() for _ in range(2))
        assert found == [granted] * 2
