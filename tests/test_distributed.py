"""Many fits in processes of dask and ray: scores of serial ones, small pickles, few threads, workers that are lost."""

from __future__ import annotations

import os
import pickle
import warnings

import joblib
import keras
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import DenseNetClassifier

X, Y = load_iris(return_X_y=True)


def classifier(**parameters):
    return DenseNetClassifier((8,), **{"epochs": 5, "batch_size": 32, "random_state": 0} | parameters)


def search():
    return GridSearchCV(classifier(), {"learning_rate": [1e-3, 1e-2]}, cv=3, n_jobs=2)


def test_estimators_travel_small():
    fitted = make_pipeline(StandardScaler(), classifier()).fit(X, Y)
    assert len(pickle.dumps(classifier())) < 2_000
    assert len(pickle.dumps(fitted)) < 20_000


def unaligned(array):
    """The same numbers, one byte behind where a processor likes them, as they may come from a stream."""
    memory = bytearray(array.nbytes + 1)
    moved = np.frombuffer(memory, array.dtype, array.size, offset=1).reshape(array.shape)
    moved[...] = array
    return moved


@pytest.mark.native
def test_arrays_that_are_not_aligned_are_taken():
    rows = X.astype(np.float32)
    assert not unaligned(rows).flags.aligned
    expected = classifier().fit(rows, Y)
    fitted = classifier().fit(unaligned(rows), unaligned(Y))
    np.testing.assert_array_equal(fitted.predict_proba(unaligned(rows)), expected.predict_proba(rows))
    buffers = []
    pickled = pickle.dumps(expected, protocol=5, buffer_callback=buffers.append)
    moved = pickle.loads(pickled, buffers=[unaligned(np.frombuffer(one.raw(), np.uint8)) for one in buffers])
    np.testing.assert_array_equal(moved.predict_proba(rows), expected.predict_proba(rows))
    np.testing.assert_array_equal(
        moved.partial_fit(rows, Y).predict_proba(rows), expected.partial_fit(rows, Y).predict_proba(rows)
    )


class LeavingOnce(keras.callbacks.Callback):
    """Ends the process in which it is first called."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def on_epoch_begin(self, epoch, logs=None):
        try:
            os.close(os.open(self.mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os._exit(9)


def asking_for_threads():
    """Give a function that goes to a worker by value: this module cannot be imported there."""

    def threads():
        import tensorflow as tf

        from skneural import DenseNetClassifier  # noqa: F401

        return tf.config.threading.get_intra_op_parallelism_threads()

    return threads


@pytest.fixture(scope="module", autouse=True)
def usual_environment():
    """Workers find no number of threads that this suite has chosen."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
            patch.delenv(name, raising=False)
        yield


# --- dask -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_searches_and_ensembles_on_dask_score_as_serial_ones(client):
    with joblib.parallel_config("dask"):
        found = search().fit(X, Y)
        bagged = BaggingClassifier(classifier(), 4, n_jobs=2, random_state=0).fit(X, Y)
        scores = cross_val_score(classifier(), X, Y, cv=3, n_jobs=2)
    expected = search().set_params(n_jobs=1).fit(X, Y)
    for name in ("mean_test_score", "split0_test_score", "std_test_score"):
        np.testing.assert_array_equal(found.cv_results_[name], expected.cv_results_[name])
    alone = BaggingClassifier(classifier(), 4, random_state=0).fit(X, Y)
    np.testing.assert_array_equal(bagged.predict_proba(X), alone.predict_proba(X))
    np.testing.assert_array_equal(scores, cross_val_score(classifier(), X, Y, cv=3))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_dask_takes_its_share_of_the_cores(client):
    assert set(client.run(asking_for_threads()).values()) == {1}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_blocks_of_a_dask_array_are_scored_where_they_are(client):
    import dask.array

    fitted = classifier().fit(X, Y)
    blocks = dask.array.from_array(X, chunks=(50, 4))
    scored = blocks.map_blocks(
        fitted.predict_proba, dtype="float32", chunks=(blocks.chunks[0], (3,)), meta=np.empty((0, 3))
    )
    np.testing.assert_array_equal(scored.compute(), fitted.predict_proba(X))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_dask_that_is_lost_costs_no_result(client, tmp_path):
    lost = classifier(callbacks=[LeavingOnce(str(tmp_path / "left"))])
    with joblib.parallel_config("dask"):
        scores = cross_val_score(lost, X, Y, cv=3, n_jobs=2)
    assert (tmp_path / "left").exists()
    np.testing.assert_array_equal(scores, cross_val_score(classifier(), X, Y, cv=3))


# --- ray ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster_of_ray():
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        register_ray()
        yield ray
        ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_searches_on_ray_score_as_serial_ones(cluster_of_ray):
    with joblib.parallel_config("ray"):
        found = search().fit(X, Y)
    expected = search().set_params(n_jobs=1).fit(X, Y)
    np.testing.assert_array_equal(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_ray_takes_its_share_of_the_cores(cluster_of_ray):
    task = cluster_of_ray.remote(num_cpus=1)(asking_for_threads())
    assert cluster_of_ray.get(task.remote()) == 1
