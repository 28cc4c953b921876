"""Seeds: the same ``random_state`` gives the same result, and nobody else's random numbers are touched."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.model_selection import cross_validate

from skneural import (
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    TabularNetClassifier,
    parallel_fits,
)
from skneural._compat.keras_names import untouched_python_random
from skneural._seeds import GLOBAL_GENERATORS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = RNG.integers(0, 3, size=40)


def build_without_seeds(meta):
    """A network whose layers draw their weights and masks without a seed of their own."""
    outputs = meta.get("n_classes_", 1)
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(outputs, kernel_initializer="he_normal", activation="softmax" if outputs > 1 else None),
        ]
    )


PARAMETERS = {"epochs": 3, "batch_size": 8}
ESTIMATORS = [
    DenseNetClassifier((5,), dropout=0.4, early_stopping=True, **PARAMETERS),
    DenseNetRegressor((5,), dropout=0.4, early_stopping=True, **PARAMETERS),
    KerasClassifier(build_without_seeds, loss="sparse_categorical_crossentropy", validation_split=0.2, **PARAMETERS),
    KerasRegressor(build_without_seeds, loss="mse", validation_split=0.2, **PARAMETERS),
    TabularNetClassifier((5,), n_members=2, numeric_encoding="periodic", **PARAMETERS),
]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def estimator(request):
    """An estimator of each class that draws weights, rows, orders and dropout masks."""
    return clone(request.param)


def outputs(model):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def results(model):
    """Weights, predictions and history of a fitted estimator."""
    return [*model.model_.get_weights(), outputs(model), np.array(list(model.history_.values()))]


def assert_equal(one, other):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_differ(one, other):
    assert not np.allclose(outputs(one), outputs(other), atol=1e-4)


# --- the same seed --------------------------------------------------------------------------------------------------


def test_same_int_gives_the_same_result_after_other_fits(estimator):
    first = results(estimator.set_params(random_state=3).fit(X, Y))
    clone(estimator).set_params(random_state=4).fit(X, Y)
    random.random()
    np.random.random()  # noqa: NPY002
    keras.layers.Dense(1).build((None, 3))
    assert_equal(results(clone(estimator).fit(X, Y)), first)
    assert_equal(results(estimator.fit(X, Y)), first)


def test_same_int_gives_the_same_result_whatever_the_global_seeds(estimator):
    estimator.set_params(random_state=3)
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        first = results(clone(estimator).fit(X, Y))
        random.seed(2)
        np.random.seed(2)  # noqa: NPY002
        assert_equal(results(clone(estimator).fit(X, Y)), first)
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_seeds import ESTIMATORS, X, Y, clone, results
clone(ESTIMATORS[0]).set_params(random_state=9, epochs=1).fit(X, Y)
for place, estimator in enumerate(ESTIMATORS):
    found = results(clone(estimator).set_params(random_state=3).fit(X, Y))
    np.savez(f"{sys.argv[2]}/{place}.npz", *found)
"""


@pytest.mark.slow
def test_same_int_gives_the_same_result_in_another_process(tmp_path):
    folder = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder.parent), *sys.path]), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", SCRIPT, str(folder), str(tmp_path)], check=True, env=environment)
    for place, model in enumerate(ESTIMATORS):
        here = results(clone(model).set_params(random_state=3).fit(X, Y))
        with np.load(tmp_path / f"{place}.npz") as there:
            assert_equal(here, [there[name] for name in there.files])


def test_different_ints_differ(estimator):
    assert_differ(estimator.set_params(random_state=3).fit(X, Y), clone(estimator).set_params(random_state=4).fit(X, Y))


def test_none_differs_each_time(estimator):
    assert_differ(estimator.fit(X, Y), clone(estimator).fit(X, Y))


def test_none_does_not_follow_the_global_generators(estimator):
    fits = []
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    for _ in range(2):
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        fits.append(clone(estimator).fit(X, Y))
    assert_differ(*fits)


def test_random_state_advances(estimator):
    state = np.random.RandomState(0)
    first = estimator.set_params(random_state=state).fit(X, Y)
    before = results(first)
    assert_differ(first, type(estimator)(**(estimator.get_params(deep=False) | {"random_state": state})).fit(X, Y))
    again = estimator.set_params(random_state=np.random.RandomState(0)).fit(X, Y)
    assert_equal(results(again), before)


def test_layers_of_equal_shape_get_weights_of_their_own():
    model = DenseNetClassifier((3, 3), epochs=1, learning_rate=1e-9, random_state=0).fit(X, Y)
    kernels = model.model_.get_weights()[::2]
    assert not np.allclose(kernels[0], kernels[1], atol=1e-3)
    seeded = keras.initializers.GlorotUniform(seed=5)
    model = DenseNetClassifier((3, 3), epochs=1, learning_rate=1e-9, random_state=0, kernel_initializer=seeded)
    kernels = model.fit(X, Y).model_.get_weights()[::2]
    assert not np.allclose(kernels[0], kernels[1], atol=1e-3)


def test_seed_draws_weights_order_and_masks():
    def weights(**parameters):
        slow = {"epochs": 1, "batch_size": 8, "random_state": 0} | parameters
        return DenseNetClassifier((5,), **slow).fit(X, Y).model_.get_weights()[0]

    assert not np.allclose(weights(learning_rate=1e-9), weights(learning_rate=1e-9, random_state=1), atol=1e-3)
    assert not np.array_equal(weights(shuffle=True), weights(shuffle=False))
    assert not np.array_equal(weights(dropout=0.5), weights(dropout=0.4))


def test_validation_rows_are_stratified_and_drawn_with_the_seed():
    uneven = np.repeat([0, 1], [30, 10])

    class Rows(keras.callbacks.Callback):
        """Looks at nothing; a callback that Keras knows."""

    histories = [
        DenseNetClassifier(
            (4,), early_stopping=True, validation_fraction=0.2, epochs=1, learning_rate=1e-9, random_state=seed
        )
        .fit(X, uneven)
        .history_
        for seed in range(6)
    ]
    # Of eight rows split off, two belong to the small class: an untrained network is right about 0, 2, 6 or 8 of them
    # only if it says the same of all, and its accuracy is a multiple of an eighth.
    accuracies = [history["val_accuracy"][0] for history in histories]
    assert all(np.isclose(8 * accuracy, round(8 * accuracy)) for accuracy in accuracies)
    assert len({round(history["val_loss"][0], 5) for history in histories}) == 6


# --- nobody else's state --------------------------------------------------------------------------------------------


def global_state():
    return {
        "python": random.getstate(),
        "numpy": [np.asarray(part).tolist() for part in np.random.get_state()],  # noqa: NPY002
        "dtype policy": keras.config.dtype_policy().name,
        "floatx": keras.config.floatx(),
        "image data format": keras.config.image_data_format(),
        "determinism": tf.config.experimental.is_op_determinism_enabled()
        if hasattr(tf.config.experimental, "is_op_determinism_enabled")
        else None,
        "eager functions": tf.config.functions_run_eagerly(),
        "threads": (tf.config.threading.get_intra_op_parallelism_threads(), os.environ.get("OMP_NUM_THREADS")),
        "seed of TensorFlow": tf.random.get_global_generator().state.numpy().tolist(),
        "environment": dict(os.environ),
    }


@pytest.mark.parametrize("random_state", [0, None])
def test_global_state_is_as_before(estimator, random_state):
    tf.random.get_global_generator()
    before = global_state()
    estimator.set_params(random_state=random_state).fit(X, Y)
    estimator.predict(X)
    estimator.partial_fit(X, Y)
    assert estimator.model_ is not None
    clone(estimator).initialize(X, Y).predict(X)
    after = global_state()
    for name, value in before.items():
        assert after[name] == value, name


def test_the_first_fit_of_a_thread_leaves_pythons_generator_alone():
    """Keras makes a generator of seeds for each thread, and draws its seed from Python's."""

    def fitted_between():
        before = random.getstate()
        DenseNetClassifier((6, 11), epochs=1).fit(X, Y)
        return random.getstate() == before

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(fitted_between).result()


def test_seed_of_tensorflow_is_as_before(estimator):
    def drawn(fits):
        tf.random.set_seed(5)
        first = tf.random.normal((2,)).numpy().tolist()
        if fits:
            estimator.fit(X, Y)
            estimator.predict(X)
        return first, tf.random.normal((2,)).numpy().tolist()

    context_seed = tf.random.get_global_generator().state.numpy()
    assert drawn(fits=True) == drawn(fits=False)
    np.testing.assert_array_equal(tf.random.get_global_generator().state.numpy(), context_seed)


def test_unseeded_random_ops_still_work_after_a_seeded_fit(estimator):
    estimator.set_params(random_state=0).fit(X, Y)
    # With TensorFlow's determinism switched on this raises "Random ops require a seed".
    assert tf.random.uniform((2,)).shape == (2,)


def test_users_dtype_policy_is_kept(estimator):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        estimator.set_params(random_state=0).fit(X, Y)
        assert np.isfinite(outputs(estimator)).all()
        assert keras.config.dtype_policy().name == "float64"
    finally:
        keras.config.set_dtype_policy(policy)


def test_a_fit_follows_the_dtype_policy_of_its_time():
    def policies(network):
        return {layer.dtype_policy.name for layer in network.model_.layers}

    networks = [DenseNetClassifier((7,), epochs=1) for _ in range(3)]
    y = np.arange(len(X)) % 2
    networks[0].fit(X, y)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        networks[1].fit(X, y)
        with parallel_fits():
            networks[2:] = cross_validate(networks[2], X, y, cv=2, return_estimator=True)["estimator"]
        loaded = pickle.loads(pickle.dumps(networks[0]))
        assert [policies(network) for network in (networks[0], loaded)] == [{"float32"}] * 2
    finally:
        keras.config.set_dtype_policy(policy)
    assert [policies(network) for network in networks[1:]] == [{"mixed_bfloat16"}] * 3


def test_users_own_models_and_names_survive_a_fit(estimator):
    own = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    before = own.predict(X, verbose=0)
    estimator.fit(X, Y)
    np.testing.assert_array_equal(own.predict(X, verbose=0), before)


def test_model_function_that_draws_from_numpy_is_reproducible():
    def build(meta):
        units = int(np.random.randint(3, 30))  # noqa: NPY002
        return keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(units), keras.layers.Dense(3, activation="softmax")]
        )

    parameters = {"loss": "sparse_categorical_crossentropy", "random_state": 1}
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    one = KerasClassifier(build, **parameters).fit(X, Y)
    np.random.random()  # noqa: NPY002
    other = KerasClassifier(build, **parameters).fit(X, Y)
    assert_equal(results(one), results(other))
    assert len(state) == 624


def is_held_elsewhere(lock):
    """Whether another thread than one of ours would have to wait for a lock."""
    taken = []

    def take():
        if lock.acquire(blocking=False):
            lock.release()
        else:
            taken.append(True)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return bool(taken)


def test_who_touches_a_global_generator_holds_one_lock():
    held = []

    def build(meta):
        held.append(is_held_elsewhere(GLOBAL_GENERATORS))
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])

    KerasClassifier(build, loss="sparse_categorical_crossentropy", random_state=1).fit(X, Y)
    assert held == [True]
    with untouched_python_random():
        assert is_held_elsewhere(GLOBAL_GENERATORS)
    assert not is_held_elsewhere(GLOBAL_GENERATORS)
