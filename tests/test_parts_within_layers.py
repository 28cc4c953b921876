"""Parts of users keep their arguments within layers, also those that stand in other layers: as Keras trains them."""

from __future__ import annotations

import copy
import pickle
import threading

import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose
from sklearn.base import clone

from skneural import DenseNetRegressor, KerasRegressor

X = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
Y = 3 * X[:, 0] + X[:, 1]


@keras.saving.register_keras_serializable("skneural_tests")
class Quartic(keras.regularizers.Regularizer):
    def __init__(self, weight=0.001):
        self.weight = weight

    def __call__(self, x):
        return self.weight * ops.sum(x**4)

    def get_config(self):
        return {}


@keras.saving.register_keras_serializable("skneural_tests")
class Bound(keras.constraints.Constraint):
    def __init__(self, limit=0.001):
        self.limit = limit

    def __call__(self, x):
        return ops.clip(x, -self.limit, self.limit)

    def get_config(self):
        return {}


class Bent(keras.layers.Layer):
    """A layer with weights, and with arguments in a list and a dict that no config tells."""

    def __init__(self, weight=0.001, **keywords):
        super().__init__(**keywords)
        self.weights_of_parts = [{"penalty": weight}, weight]

    def build(self, shape):
        penalty = Quartic(self.weights_of_parts[0]["penalty"])
        self.kernel = self.add_weight(shape=(shape[-1], 3), initializer=_start(), regularizer=penalty)

    def call(self, x):
        return self.weights_of_parts[1] * ops.tanh(ops.matmul(x, self.kernel))


def _start():
    return keras.initializers.Constant(0.2)


def _dense(**arguments):
    return keras.layers.Dense(3, kernel_initializer=_start(), **arguments)


def _last(x):
    return keras.layers.Dense(1, kernel_initializer=_start())(x)


def in_a_sequential(weight):
    inner = keras.Sequential([_dense(kernel_regularizer=Quartic(weight), kernel_constraint=Bound(weight / 2))])
    inputs = keras.Input((6,))
    return keras.Model(inputs, _last(inner(inputs)))


def in_a_model_in_a_sequential(weight):
    inputs = keras.Input((6,))
    inner = keras.Model(inputs, _dense(bias_regularizer=Quartic(weight), kernel_regularizer=Quartic(weight))(inputs))
    last = keras.layers.Dense(1, kernel_initializer=_start())
    return keras.Sequential([keras.Input((6,)), keras.Sequential([inner]), last])


def in_time_distributed(weight):
    inputs = keras.Input((6,))
    steps = keras.layers.Reshape((3, 2))(inputs)
    outputs = keras.layers.TimeDistributed(_dense(kernel_regularizer=Quartic(weight), activation="tanh"))(steps)
    return keras.Model(inputs, _last(keras.layers.Flatten()(outputs)))


def in_a_cell(weight):
    inputs = keras.Input((6,))
    cell = keras.layers.SimpleRNNCell(
        3, kernel_initializer=_start(), recurrent_initializer=_start(), kernel_regularizer=Quartic(weight)
    )
    return keras.Model(inputs, _last(keras.layers.RNN(cell)(keras.layers.Reshape((3, 2))(inputs))))


def on_outputs(weight):
    inputs = keras.Input((6,))
    return keras.Model(inputs, _last(_dense(activity_regularizer=Quartic(weight))(inputs)))


def in_a_layer_of_the_users(weight):
    inputs = keras.Input((6,))
    return keras.Model(inputs, _last(Bent(weight)(inputs)))


@pytest.mark.parametrize(
    "build",
    [
        in_a_sequential,
        in_a_model_in_a_sequential,
        in_time_distributed,
        in_a_cell,
        on_outputs,
        in_a_layer_of_the_users,
    ],
)
@pytest.mark.parametrize(("run_eagerly", "is_ready"), [(False, False), (True, True)])
def test_arguments_that_no_config_tells_train_as_in_keras(build, run_eagerly, is_ready):
    for weight in (0.3, 1.0):
        oracle = build(weight)
        oracle.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
        losses = oracle.fit(X, Y, batch_size=20, epochs=3, verbose=0).history["loss"]
        model = build if not is_ready else build(weight)
        arguments = {} if is_ready else {"model__weight": weight}
        estimator = KerasRegressor(
            model, loss="mse", optimizer=keras.optimizers.SGD(0.01), epochs=3, run_eagerly=run_eagerly, **arguments
        ).fit(X, Y)
        assert estimator.engine_ == ("keras" if run_eagerly else "compiled")
        assert_allclose(estimator.history_["loss"], losses, rtol=1e-5)
        assert_allclose(estimator.predict(X), oracle.predict(X, verbose=0).ravel(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"optimizer": "sgd", "optimizer__momentum": 2.0}, "`momentum` must be a float between"),
        ({"optimizer": "adam", "optimizer__gradient_accumulation_steps": 1}, "`gradient_accumulation_steps` must be"),
        ({"optimizer": "adam", "optimizer__use_ema": True, "optimizer__ema_momentum": 2}, "`ema_momentum` must be in"),
    ],
)
@pytest.mark.parametrize("make", [DenseNetRegressor, lambda **given: KerasRegressor(on_outputs, loss="mse", **given)])
def test_value_that_only_keras_can_judge_is_named_in_our_words(make, arguments, reason):
    arguments = arguments | ({"model__weight": 0.1} if "lambda" in make.__name__ else {})
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"^Keras cannot make .* of .*parameters.*{reason}"):
            make(**arguments).fit(X, Y)


@pytest.mark.parametrize("name", [3, "a/b"])
def test_name_of_an_optimizer_is_looked_at_whatever_was_fitted_before(name):
    for given in (name, "mine", name):
        estimator = DenseNetRegressor((2,), epochs=1, optimizer__name=given)
        if given == "mine":
            assert estimator.fit(X, Y).model_.optimizer.name == "mine"
            continue
        with pytest.raises(ValueError, match="'optimizer__name' parameter of DenseNetRegressor must be a str without"):
            estimator.fit(X, Y)


class Slope:
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return self.weight * ops.tanh(x)


class Sloping(keras.layers.Layer):
    """A layer whose argument stands in an object, and which no config tells."""

    def __init__(self, weight=0.001, **keywords):
        super().__init__(**keywords)
        self.slope, self.lock = Slope(ops.convert_to_tensor(weight)), threading.Lock()

    def call(self, x):
        return self.slope(x)

    def get_config(self):
        return {"name": self.name}


def with_an_object_in_a_layer(weight):
    return keras.Sequential([keras.Input((6,)), Sloping(weight), keras.layers.Dense(1, kernel_initializer=_start())])


def with_an_object_as_activation(weight):
    return keras.Sequential([keras.Input((6,)), _dense(activation=Slope(weight)), keras.layers.Dense(1)])


@pytest.mark.parametrize("build", [with_an_object_in_a_layer, with_an_object_as_activation])
def test_objects_in_layers_are_carried(build):
    for weight in (0.3, 1.0):
        estimator = KerasRegressor(build, model__weight=weight, loss="mse", random_state=0).fit(X, Y)
        copies = [copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))]
        model = estimator.model_
        hidden = X if build is with_an_object_in_a_layer else X @ model.get_weights()[0] + model.get_weights()[1]
        expected = (weight * np.tanh(hidden)) @ model.get_weights()[-2] + model.get_weights()[-1]
        for one in (estimator, *copies):
            assert_allclose(one.predict(X), expected.ravel(), atol=1e-5)


@pytest.mark.parametrize("use", [lambda one: one.fit(X, Y), clone, copy.deepcopy])
@pytest.mark.parametrize("activation", [lambda x, weight=0.3: weight * x, Slope(0.3)])
def test_ready_model_that_keras_cannot_restore_is_an_error_in_our_words(use, activation):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1), keras.layers.Lambda(activation)])
    with pytest.raises(ValueError, match=r"^The ready model cannot be copied, .* Give a function that makes it"):
        use(KerasRegressor(model, loss="mse"))


def test_optimizer_with_a_list_in_it_comes_back():
    given = DenseNetRegressor((2,), epochs=1, optimizer=keras.optimizers.Muon(0.1, exclude_layers=["output"]))
    fitted = pickle.loads(pickle.dumps(given)).fit(X, Y)
    assert_allclose(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X), atol=1e-6)
    assert fitted.optimizer.exclude_layers == ["output"]
