"""A parameter that is changed after a fit acts in the training that goes on, or is refused; none is ignored."""

from __future__ import annotations

import pickle
import re

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skneural import (
    ConvNetClassifier,
    ConvNetRegressor,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    RecurrentNetClassifier,
    RecurrentNetRegressor,
)

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def build(units=2):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units, activation="tanh"), keras.layers.Dense(1, activation="sigmoid")]
    )


def build_other(units=2):
    return build(units)


def build_compiled():
    model = build()
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(0.25), metrics=["accuracy"])
    return model


def wrapper(cls=KerasClassifier, model=build, **parameters):
    given = {"loss": "binary_crossentropy", "optimizer": "sgd", "epochs": 2, "random_state": 0}
    return cls(model, **(given | parameters))


def refused_by_wrapper(cls, name):
    return (
        f"{cls.__name__} was to go on training the network of an earlier fit, but its parameter {name!r} has changed "
        "since and describes another network. Set warm_start=False, or use a new estimator."
    )


def steps_of_sgd(weights, rate, n_epochs=1):
    """Train a model of Keras's own from these weights, one batch an epoch."""
    model = build()
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.SGD(rate))
    model.set_weights(weights)
    model.fit(X, Y, batch_size=len(X), epochs=n_epochs, shuffle=False, verbose=0)
    return model.get_weights()


# --- models of the user's own -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [KerasClassifier, KerasRegressor])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("is_pickled", [False, True])
def test_learning_rate_changes_in_the_training_that_goes_on(cls, method, is_pickled):
    fitted = wrapper(cls, optimizer__learning_rate=0.5, batch_size=-1, epochs=1, warm_start=True).fit(X, Y)
    if is_pickled:
        fitted = pickle.loads(pickle.dumps(fitted))
    before = fitted.model_.get_weights()
    fitted.set_params(optimizer__learning_rate=1e-9)
    getattr(fitted, method)(X, Y)
    for one, other in zip(fitted.model_.get_weights(), before, strict=True):
        assert_allclose(one, other, atol=1e-7)
    fitted.set_params(optimizer__learning_rate=0.1)
    getattr(fitted, method)(X, Y)
    for one, other in zip(fitted.model_.get_weights(), steps_of_sgd(before, 0.1), strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_ready_optimizer_with_another_learning_rate():
    fitted = wrapper(optimizer=keras.optimizers.SGD(0.5), batch_size=-1, epochs=1, warm_start=True).fit(X, Y)
    before = fitted.model_.get_weights()
    fitted.set_params(optimizer=keras.optimizers.SGD(0.1)).fit(X, Y)
    for one, other in zip(fitted.model_.get_weights(), steps_of_sgd(before, 0.1), strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_weight_decay_changes_in_the_training_that_goes_on():
    fitted = wrapper(
        optimizer="adamw", optimizer__weight_decay=0.0, optimizer__learning_rate=0.01, epochs=1, warm_start=True
    )
    fitted.fit(X, Y)
    twin = pickle.loads(pickle.dumps(fitted)).fit(X, Y)
    fitted.set_params(optimizer__weight_decay=0.5).fit(X, Y)
    assert fitted.model_.optimizer.weight_decay == 0.5
    assert np.abs(fitted.model_.get_weights()[0]).sum() < np.abs(twin.model_.get_weights()[0]).sum()


def test_learning_rate_that_a_user_has_set_in_the_model_stays():
    fitted = wrapper(optimizer__learning_rate=0.5, warm_start=True).fit(X, Y)
    fitted.model_.optimizer.learning_rate = 0.125
    assert float(fitted.fit(X, Y).model_.optimizer.learning_rate) == 0.125


@pytest.mark.parametrize("cls", [KerasClassifier, KerasRegressor])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", build_other),
        ("units", 3),
        ("model__units", 3),
        ("loss", "mse"),
        ("metrics", ["mae"]),
        ("optimizer", "adam"),
        ("optimizer__momentum", 0.5),
        ("run_eagerly", True),
        ("compile__jit_compile", False),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_no_running_training_can_heed_is_refused(cls, name, value, method):
    fitted = wrapper(cls, warm_start=True).fit(X, Y)
    before = fitted.predict(X)
    fitted.set_params(**{name: value})
    message = refused_by_wrapper(cls, "optimizer" if name == "optimizer__momentum" else name)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(fitted, method)(X, Y)
    assert_array_equal(fitted.predict(X), before)
    fitted.set_params(warm_start=False).fit(X, Y)


@pytest.mark.parametrize("is_pickled", [False, True])
def test_argument_that_no_config_of_a_loss_tells(is_pickled):
    fitted = wrapper(KerasRegressor, loss=keras.losses.Huber(1.0), warm_start=True).fit(X, Y)
    if is_pickled:
        fitted = pickle.loads(pickle.dumps(fitted))
    fitted.fit(X, Y).set_params(loss=keras.losses.Huber(1.0)).fit(X, Y)
    with pytest.raises(ValueError, match=f"^{re.escape(refused_by_wrapper(KerasRegressor, 'loss'))}$"):
        fitted.set_params(loss=keras.losses.Huber(5.0)).fit(X, Y)


def test_number_in_place_of_a_schedule_is_refused():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    fitted = wrapper(optimizer__learning_rate=schedule, warm_start=True).fit(X, Y)
    fitted.fit(X, Y)
    with pytest.raises(ValueError, match="was to go on training"):
        fitted.set_params(optimizer__learning_rate=0.1).fit(X, Y)


@pytest.mark.parametrize("cls", [KerasClassifier, KerasRegressor])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 5),
        ("fit__epochs", 5),
        ("batch_size", 7),
        ("shuffle", False),
        ("validation_split", 0.5),
        ("random_state", 7),
        ("callbacks", keras.callbacks.LearningRateScheduler(lambda epoch: 0.0)),
    ],
)
def test_what_each_training_reads_anew_acts(cls, name, value):
    fitted = wrapper(cls, optimizer__learning_rate=0.1, warm_start=True, batch_size=10).fit(X, Y)
    unchanged, changed = (pickle.loads(pickle.dumps(fitted)) for _ in range(2))
    unchanged.fit(X, Y)
    changed.set_params(**{name: value}).fit(X, Y)
    assert np.abs(changed.model_.get_weights()[0] - unchanged.model_.get_weights()[0]).max() > 1e-5


def test_class_weight_acts_in_the_training_that_goes_on():
    fitted = wrapper(warm_start=True).fit(X, Y)
    twin = pickle.loads(pickle.dumps(fitted)).fit(X, Y)
    fitted.set_params(class_weight={0: 1, 1: 9}).fit(X, Y)
    assert fitted.predict_proba(X)[:, 1].mean() > twin.predict_proba(X)[:, 1].mean()


# --- a model that comes compiled --------------------------------------------------------------------------------------

END = "Give it in one place, or pass compile_kwargs[{!r}] on to compile."


@pytest.mark.parametrize(
    ("parameters", "got"),
    [
        ({"loss": "mse"}, "'binary_crossentropy'"),
        ({"loss": keras.losses.MeanSquaredError()}, "'binary_crossentropy'"),
        ({"loss": keras.losses.MeanSquaredError}, "'binary_crossentropy'"),
        ({"loss": keras.losses.mean_squared_error}, "'binary_crossentropy'"),
        ({"optimizer": "adam"}, "'sgd'"),
        ({"optimizer": keras.optimizers.Adam}, "'sgd'"),
        ({"optimizer": keras.optimizers.SGD(0.5)}, "one whose learning_rate is 0.25"),
        ({"optimizer__learning_rate": 0.5}, "learning_rate=0.25"),
        ({"metrics": ["mae"]}, "metrics=['accuracy']"),
        ({"run_eagerly": True}, "run_eagerly=False"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("model", [build_compiled, build_compiled()], ids=["function", "ready"])
def test_parameter_that_contradicts_the_compiled_model(parameters, got, model):
    name, value = next(iter(parameters.items()))
    message = f"The {name!r} parameter of KerasClassifier is {value!r}, but the model was compiled with {got}. "
    if name == "optimizer__learning_rate":
        parameters = {"optimizer": "sgd"} | parameters
    with pytest.raises(ValueError, match=f"^{re.escape(message + END.format(name.partition('__')[0]))}$"):
        KerasClassifier(model, **parameters).fit(X, Y)


def test_loss_with_other_arguments_contradicts():
    def build_with_huber():
        model = build()
        model.compile(loss=keras.losses.BinaryCrossentropy(label_smoothing=0.5), optimizer="sgd")
        return model

    KerasClassifier(build_with_huber, loss="binary_crossentropy").fit(X, Y)
    KerasClassifier(build_with_huber, loss=keras.losses.BinaryCrossentropy(label_smoothing=0.5)).fit(X, Y)
    with pytest.raises(ValueError, match=r"compiled with another with .*label_smoothing=0.5"):
        KerasClassifier(build_with_huber, loss=keras.losses.BinaryCrossentropy(label_smoothing=0.25)).fit(X, Y)


@pytest.mark.parametrize(
    "parameters",
    [
        {"loss": "binary_crossentropy", "metrics": ["accuracy"]},
        {"loss": keras.losses.BinaryCrossentropy(), "metrics": "acc"},
        {"loss": keras.losses.binary_crossentropy, "optimizer": "sgd", "optimizer__learning_rate": 0.25},
        {"loss": keras.losses.BinaryCrossentropy, "optimizer": keras.optimizers.SGD(0.25)},
    ],
)
def test_parameters_that_say_the_same_are_welcome(parameters):
    KerasClassifier(build_compiled, **parameters).fit(X, Y)


def test_routed_parameter_without_effect():
    message = "The 'compile__jit_compile' parameter of KerasClassifier has no effect, because the model comes compiled."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        KerasClassifier(build_compiled, compile__jit_compile=True).fit(X, Y)


# --- the ready-made families ------------------------------------------------------------------------------------------

FAMILIES = {
    DenseNetClassifier: {"hidden_layer_sizes": (3,)},
    DenseNetRegressor: {"hidden_layer_sizes": (3,)},
    ConvNetClassifier: {"image_shape": (2, 2), "filters": (2,), "kernel_size": 1, "pooling": None},
    ConvNetRegressor: {"image_shape": (2, 2), "filters": (2,), "kernel_size": 1, "pooling": None},
    RecurrentNetClassifier: {"filters": (2,), "kernel_size": 2, "units": (2,)},
    RecurrentNetRegressor: {"units": (2,)},
}
DESCRIBES_THE_NETWORK = {
    "n_averaged_steps": 2,
    "parts": ("recurrent", "kernels"),
    "activation": "elu",
    "augment": False,
    "batch_normalization": None,
    "bidirectional": True,
    "cell": "lstm",
    "convolutions_per_block": 1,
    "filters": (3,),
    "hidden_layer_sizes": (5,),
    "kernel_initializer": "he_normal",
    "kernel_size": 1,
    "loss": "log_cosh",
    "metrics": ["mse"],
    "optimizer": "nadam",
    "pooling": "average",
    "standardize": False,
    "units": (3,),
}
ACTS_IN_EACH_CALL = {
    "batch_size": 7,
    "callbacks": keras.callbacks.LearningRateScheduler(lambda epoch: 0.0),
    "class_weight": {0: 1, 1: 9},
    "early_stopping": True,
    "epochs": 5,
    "l2": 0.5,
    "learning_rate": 1e-9,
    "learning_rate_schedule": "cosine",
    "random_state": 7,
    "shuffle": False,
}
# Ways of stopping, which act only with early_stopping; what is printed or kept in files; what is a matter of X.
OF_OTHER_TESTS = {
    "checkpoint", "checkpoint_every",
    "image_shape", "n_iter_no_change", "sequence_shape", "tol", "validation_fraction", "verbose", "warm_start"
}  # fmt: skip
# Of parts that the small networks here do not have, or that change with others that are refused.
WITHOUT_A_PART = {"dropout", "pool_size"}


@pytest.mark.parametrize("cls", FAMILIES)
def test_every_parameter_of_a_family_has_its_place_here(cls):
    places = {*DESCRIBES_THE_NETWORK, *ACTS_IN_EACH_CALL, *OF_OTHER_TESTS, *WITHOUT_A_PART}
    assert set(cls().get_params()) <= places


@pytest.mark.parametrize("cls", FAMILIES)
def test_what_describes_the_network_of_a_family_is_refused(cls):
    y = Y if cls.__name__.endswith("Classifier") else X[:, 0]
    estimator = cls(**FAMILIES[cls], warm_start=True, random_state=0).set_params(epochs=1)
    fitted = estimator.initialize(X, y)
    for name in sorted(set(estimator.get_params()) & set(DESCRIBES_THE_NETWORK)):
        value = DESCRIBES_THE_NETWORK[name]
        if name == "loss" and cls.__name__.endswith("Classifier"):
            value = "kl_divergence"
        if name == "batch_normalization":
            value = not estimator.batch_normalization
        if name == "pooling" and hasattr(estimator, "image_shape"):
            value = "max"
        if name == "augment":
            value = {"zoom": 0.3}
        if value == getattr(estimator, name):
            value = 2
        changed = pickle.loads(pickle.dumps(fitted)).set_params(**{name: value})
        if cls is RecurrentNetRegressor and name in ("activation", "batch_normalization", "kernel_size"):
            # It has no convolutions here, and nothing that these describe.
            continue
        with pytest.raises(ValueError, match=r"was to go on training the network of an earlier fit"):
            changed.fit(X, y)


@pytest.mark.parametrize("name", ACTS_IN_EACH_CALL)
def test_what_acts_in_each_call_of_a_family(name):
    estimator = DenseNetClassifier((3,), epochs=2, batch_size=10, learning_rate=0.1, random_state=0, warm_start=True)
    fitted = estimator.fit(X, Y)
    unchanged, changed = (pickle.loads(pickle.dumps(fitted)) for _ in range(2))
    unchanged.fit(X, Y)
    changed.set_params(**{name: ACTS_IN_EACH_CALL[name]}).fit(X, Y)
    assert np.abs(changed.model_.get_weights()[0] - unchanged.model_.get_weights()[0]).max() > 1e-5


@pytest.mark.parametrize("estimator", [DenseNetClassifier((3,), epochs=1), wrapper(epochs=1)])
def test_another_random_state_redraws_and_the_same_does_not(estimator):
    fitted = clone(estimator).set_params(warm_start=True, random_state=0).fit(X, Y)
    one, same, other = (pickle.loads(pickle.dumps(fitted)) for _ in range(3))
    one.fit(X, Y)
    same.set_params(random_state=0).fit(X, Y)
    other.set_params(random_state=1, shuffle=True).fit(X, Y)
    assert_array_equal(one.predict_proba(X), same.predict_proba(X))
    assert np.abs(one.predict_proba(X) - other.predict_proba(X)).max() > 0
