"""Classes of the user's own, which Keras does not know, come back from a pickle in every way that it can hold them."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import parts_of_users as parts
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skneural import DenseNetRegressor, KerasRegressor

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X[:, 0]


def own(model=parts.plain, **parameters):
    return KerasRegressor(model, **({"loss": "mse", "random_state": 0} | parameters))


def dense(**parameters):
    return DenseNetRegressor((3,), **({"epochs": 1, "random_state": 0} | parameters))


MODELS = [
    parts.with_layer,
    parts.with_layer_without_config,
    parts.with_activation,
    parts.with_initializer,
    parts.with_regularizer,
    parts.with_constraint,
    parts.with_activity_regularizer,
    parts.with_layer_in_a_layer,
    parts.with_lambda_layer,
    parts.of_own_class,
    parts.subclassed,
    parts.of_local_class,
    parts.with_local_layer,
]
ESTIMATORS = {
    **{model.__name__: own(model) for model in MODELS},
    "compiled": KerasRegressor(parts.compiled, random_state=0),
    "ready": own(parts.with_layer()),
    "ready, compiled": KerasRegressor(parts.compiled(), random_state=0),
    "loss": own(loss=parts.PowerLoss(3.0)),
    "class of a loss": own(loss=parts.PowerLoss, loss__power=3.0),
    "function as loss": own(loss=parts.squares),
    "metric": own(metrics=[parts.Distance(2.0)]),
    "function as metric": own(metrics=[parts.squares]),
    "optimizer": own(optimizer=parts.Optimizer(0.1)),
    "class of an optimizer": own(optimizer=parts.Optimizer),
    "schedule": own(optimizer="sgd", optimizer__learning_rate=parts.Schedule(0.1)),
    "callback": own(callbacks=[parts.Count()]),
    "family, activation": dense(activation=parts.double_tanh),
    "family, layer as activation": dense(activation=parts.Scaling(2.0)),
    "family, initializer": dense(kernel_initializer=parts.Start(0.3)),
    "family, loss": dense(loss=parts.PowerLoss(3.0)),
    "family, metric": dense(metrics=[parts.Distance(2.0)]),
    "family, optimizer": dense(optimizer=parts.Optimizer(0.1)),
    "family, schedule": dense(optimizer="sgd", learning_rate=parts.Schedule(0.1)),
    "family, callback": dense(callbacks=[parts.Count()]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ESTIMATORS)
def test_fitted_estimator_comes_back_and_goes_on_training(name):
    fitted = ESTIMATORS[name].fit(X, Y)
    before = fitted.predict(X)
    restored, copied = pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)
    for twin in (restored, copied):
        assert_array_equal(twin.predict(X), before)
    expected = fitted.partial_fit(X, Y).predict(X)
    for twin in (restored, copied):
        assert_allclose(twin.partial_fit(X, Y).predict(X), expected, atol=1e-6)
    assert np.abs(expected - before).max() > 0


LOADING = """
import pickle, sys
import numpy as np
with open(sys.argv[1], "rb") as file:
    stored, X, y = pickle.load(file)
for name, (fitted, not_fitted, before, after) in stored.items():
    estimator = pickle.loads(fitted)
    np.testing.assert_array_equal(estimator.predict(X), before, err_msg=name)
    np.testing.assert_allclose(estimator.partial_fit(X, y).predict(X), after, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(pickle.loads(not_fitted).fit(X, y).predict(X), before, atol=1e-6, err_msg=name)
print("all of them:", len(stored))
"""


@pytest.mark.slow
def test_another_process_that_knows_nothing_of_the_classes(tmp_path):
    stored = {}
    for name, estimator in ESTIMATORS.items():
        not_fitted = pickle.dumps(estimator)
        fitted = pickle.loads(not_fitted).fit(X, Y)
        before, dumped = fitted.predict(X), pickle.dumps(fitted)
        stored[name] = dumped, not_fitted, before, fitted.partial_fit(X, Y).predict(X)
    (tmp_path / "stored.pickle").write_bytes(pickle.dumps((stored, X, Y)))
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here.parent), str(here), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", LOADING, tmp_path / "stored.pickle"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
        check=False,
    )
    assert result.stdout.strip() == f"all of them: {len(ESTIMATORS)}", result.stderr[-2000:]


def test_class_that_nobody_finds_again_is_an_error_when_it_is_stored():
    fitted = own(parts.of_local_class()).fit(X, Y)
    with pytest.raises((pickle.PicklingError, AttributeError), match=r"of_local_class\.<locals>\.Local"):
        pickle.dumps(fitted)


def test_ready_model_that_keras_cannot_restore_is_an_error_when_it_is_stored():
    fitted = own().fit(X, Y)
    fitted.model_ = parts.with_constraint()
    with pytest.raises(
        pickle.PicklingError, match=r"^The model cannot be stored, because Keras cannot restore it from"
    ):
        pickle.dumps(fitted)


def test_layers_that_make_other_networks_have_other_programs():
    one, other = (dense(activation=parts.Scaling(scale)).fit(X, Y) for scale in (2.0, 5.0))
    again = dense(activation=parts.Scaling(2.0)).fit(X, Y)
    assert_array_equal(one.predict(X), again.predict(X))
    assert np.abs(one.predict(X) - other.predict(X)).max() > 1e-4
    assert isinstance(one.model_.layers[1], keras.layers.Layer)
