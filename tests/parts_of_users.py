"""Layers, losses and the like as users write them: not registered with Keras, and many without ``get_config``."""

from __future__ import annotations

import keras
from keras import ops


class Scaling(keras.layers.Layer):
    def __init__(self, scale=3.0, **keywords):
        super().__init__(**keywords)
        self.scale = scale

    def call(self, x):
        return x * self.scale


class Kernel(keras.layers.Layer):
    def __init__(self, units=2, **keywords):
        super().__init__(**keywords)
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(
            shape=(shape[-1], self.units), initializer=Start(0.1), regularizer=Penalty(0.01), constraint=Bound(2.0)
        )

    def call(self, x):
        return ops.matmul(x, self.kernel)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class PowerLoss(keras.losses.Loss):
    def __init__(self, power=2.0, **keywords):
        super().__init__(**keywords)
        self.power = power

    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred) ** self.power, axis=-1)


class Distance(keras.metrics.Mean):
    def __init__(self, factor=1.0, name="distance", **keywords):
        super().__init__(name=name, **keywords)
        self.factor = factor

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(self.factor * ops.abs(y_true - y_pred), sample_weight)


class Optimizer(keras.optimizers.SGD):
    pass


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return self.rate


class Start(keras.initializers.Initializer):
    def __init__(self, value):
        self.value = value

    def __call__(self, shape, dtype=None):
        return ops.full(shape, self.value, dtype=dtype)


class Penalty(keras.regularizers.Regularizer):
    def __init__(self, weight):
        self.weight = weight

    def __call__(self, x):
        return self.weight * ops.sum(ops.abs(x))


class Bound(keras.constraints.Constraint):
    def __init__(self, limit):
        self.limit = limit

    def __call__(self, x):
        return ops.clip(x, -self.limit, self.limit)


class Count(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.n_epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.n_epochs += 1


class Functional(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


class Subclassed(keras.Model):
    def __init__(self, units=3, **keywords):
        super().__init__(**keywords)
        self.hidden, self.output_layer = keras.layers.Dense(units), keras.layers.Dense(1)

    def call(self, x):
        return self.output_layer(self.hidden(x))


def double_tanh(x):
    return 2 * ops.tanh(x)


def squares(y_true, y_pred):
    return ops.mean((y_true - y_pred) ** 2, axis=-1)


def _sequential(*layers):
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])


def _dense(**arguments):
    return _sequential(keras.layers.Dense(2, **arguments))


def plain():
    return _dense()


def with_layer():
    return _sequential(Kernel())


def with_layer_without_config():
    return _sequential(Scaling(5.0))


def with_activation():
    return _dense(activation=double_tanh)


def with_initializer():
    return _dense(kernel_initializer=Start(0.3))


def with_regularizer():
    return _dense(kernel_regularizer=Penalty(0.3))


def with_constraint():
    return _dense(kernel_constraint=Bound(0.3))


def with_activity_regularizer():
    return _dense(activity_regularizer=Penalty(0.3))


def with_layer_in_a_layer():
    return _sequential(keras.layers.Reshape((3, 1)), keras.layers.TimeDistributed(Kernel()), keras.layers.Flatten())


def with_lambda_layer():
    return _sequential(keras.layers.Lambda(double_tanh))


def of_own_class():
    inputs = keras.Input((3,))
    return Functional(inputs, keras.layers.Dense(1)(inputs))


def subclassed():
    return Subclassed(4)


def of_local_class():
    class Local(keras.Model):
        pass

    inputs = keras.Input((3,))
    return Local(inputs, keras.layers.Dense(1)(inputs))


def with_local_layer():
    class Twice(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    return _sequential(Twice())


def compiled():
    model = plain()
    model.compile(optimizer=Optimizer(Schedule(0.1)), loss=PowerLoss(3.0), metrics=[Distance(2.0)])
    return model
