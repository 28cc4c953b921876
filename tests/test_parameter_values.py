"""Values of the wrong kind: our own words, before anything is built, wherever they are given."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from skneural import ConvNetClassifier, DenseNetClassifier, KerasClassifier, KerasRegressor, RecurrentNetRegressor
from skneural._engine import telling_memory_errors

X = np.random.default_rng(0).normal(size=(24, 4))
Y = (X[:, 0] > 0).astype(int)


def build():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])


def never():
    raise AssertionError("the model was built before its parameters were looked at")


def wrapper(cls=KerasClassifier, model=build, **parameters):
    return cls(model, **({"loss": "binary_crossentropy"} | parameters))


def family(**parameters):
    return DenseNetClassifier((2,), **({"epochs": 1} | parameters))


def assert_refuses(estimator, message, **arguments):
    name = type(estimator).__name__
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(message.format(name))}"):
        estimator.fit(X, Y, **arguments)


VERBOSE = "The 'verbose' parameter of {} must be 'auto', a bool or an int in the range [0, inf). Got "
SEED = "The 'random_state' parameter of {} must be an int in the range [0, 4294967295], a numpy.random.RandomState or "
BOOL = "The {!r} parameter of {{}} must be a bool. Got "
CLIP = "The 'optimizer__clipnorm' parameter of {} must be a float in the range (0, inf) or None. Got "


@pytest.mark.parametrize("cls", [KerasClassifier, KerasRegressor])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": [None]}, "The 'loss' parameter of {} must be a name, a Keras loss or a function. Got None."),
        ({"loss": 3}, "The 'loss' parameter of {} must be a name, a Keras loss or a function. Got 3."),
        ({"metrics": 3}, "The 'metrics' parameter of {} must hold names, Keras metrics or functions. Got 3."),
        ({"metrics": [["mae", 3]]}, "The 'metrics' parameter of {} must hold names, Keras metrics or functions. Got 3"),
        ({"metrics": {"a": 3}}, "The 'metrics' parameter of {} must hold names, Keras metrics or functions. Got 3."),
        ({"optimizer": 3}, "The 'optimizer' parameter of {} must be a name, a Keras optimizer or its class. Got 3."),
        (
            {"optimizer": ["sgd"]},
            "The 'optimizer' parameter of {} must be a name, a Keras optimizer or its class. Got ",
        ),
        ({"verbose": "yes"}, VERBOSE + "'yes' instead."),
        ({"verbose": None}, VERBOSE + "None instead."),
        ({"verbose": 2.5}, VERBOSE + "2.5 instead."),
        ({"fit__verbose": -1}, VERBOSE + "-1 instead."),
        ({"random_state": -1}, SEED),
        ({"random_state": 2**32}, SEED),
        ({"shuffle": {}}, BOOL.format("shuffle") + "{{}} instead."),
        ({"fit__shuffle": "batch"}, BOOL.format("shuffle") + "'batch' instead."),
        ({"run_eagerly": "adam"}, BOOL.format("run_eagerly") + "'adam' instead."),
        ({"compile__run_eagerly": "adam"}, BOOL.format("compile__run_eagerly") + "'adam' instead."),
        ({"warm_start": "a"}, BOOL.format("warm_start") + "'a' instead."),
        ({"optimizer__clipnorm": "a"}, CLIP + "'a' instead."),
        ({"optimizer__clipnorm": -1}, CLIP + "-1 instead."),
        (
            {"optimizer__clipnorm": 1.0, "optimizer__clipvalue": 1.0},
            "Only one of the parameters 'optimizer__clipnorm' and 'optimizer__clipvalue' of {} can clip gradients.",
        ),
        (
            {"optimizer__weight_decay": "a"},
            "The 'optimizer__weight_decay' parameter of {} must be a number or None. Got 'a' instead.",
        ),
        ({"optimizer__rho": "a"}, "The 'optimizer__rho' parameter of {} must be a number. Got 'a' instead."),
        (
            {"loss": keras.losses.BinaryCrossentropy, "loss__from_logits": "a"},
            BOOL.format("loss__from_logits") + "'a' instead.",
        ),
        (
            {"loss": keras.losses.BinaryCrossentropy, "loss__reduction": "a"},
            "Keras cannot make a BinaryCrossentropy of the parameters of {} ('loss__reduction'): Invalid value for ",
        ),
        (
            {"metrics__name": "a"},
            "The parameter 'metrics__name' of {} has nothing to go to: metrics=None. Give metrics",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_value_of_the_wrong_kind(cls, parameters, message):
    assert_refuses(wrapper(cls, never, **parameters), message)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"optimizer": None},
            "The 'optimizer' parameter of {} must be a name, a Keras optimizer or its class. Got None.",
        ),
        ({"optimizer__clipnorm": "a"}, CLIP + "'a' instead."),
        ({"optimizer__beta_1": "a"}, "The 'optimizer__beta_1' parameter of {} must be a number. Got 'a' instead."),
        ({"compile__run_eagerly": "adam"}, BOOL.format("compile__run_eagerly") + "'adam' instead."),
        ({"fit__shuffle": {}}, BOOL.format("shuffle") + "{{}} instead."),
        ({"clipnorm": 1.0}, "DenseNetClassifier has no parameter 'clipnorm'. Give optimizer__clipnorm=..."),
        (
            {"hidden_layer_sizes": {3: 4}},
            "The 'hidden_layer_sizes' parameter of {} must be an int or a sequence of them. Got {{3: 4}}.",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_value_of_the_wrong_kind_in_a_family(parameters, message):
    assert_refuses(DenseNetClassifier(**({"epochs": 1} | parameters)), message)


@pytest.mark.parametrize("estimator", [wrapper(), family()])
def test_argument_of_fit_of_the_wrong_kind(estimator):
    assert_refuses(estimator, VERBOSE + "'yes' instead.", verbose="yes")
    assert_refuses(estimator, BOOL.format("shuffle") + "'batch' instead.", shuffle="batch")


def test_no_optimizer_at_all():
    message = "The 'optimizer' parameter of {} must be a name, a Keras optimizer or its class, unless the model comes "

    def build_with_given(compile_kwargs):
        model = build()
        model.compile(**compile_kwargs)
        return model

    assert_refuses(wrapper(optimizer=None), message)
    assert_refuses(wrapper(model=build_with_given, optimizer=None), message)
    compiled = build()
    compiled.compile(loss="binary_crossentropy", optimizer="sgd")
    assert isinstance(wrapper(model=compiled, optimizer=None).fit(X, Y).model_.optimizer, keras.optimizers.SGD)


@pytest.mark.parametrize("make", [wrapper, family])
@pytest.mark.parametrize("value", ["auto", True, np.int64(2)])
def test_verbosity_as_in_keras(make, value, capsys):
    make(verbose=value).fit(X, Y)
    assert "loss" in capsys.readouterr().out
    make(verbose=0).fit(X, Y).predict(X, verbose="auto")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DenseNetClassifier(np.array(3)), DenseNetClassifier((3,))),
        (DenseNetClassifier(np.array([3, 2])), DenseNetClassifier((3, 2))),
        (
            ConvNetClassifier(image_shape=(2, 2), filters=(2, 2), kernel_size=np.array(1), pooling=None),
            ConvNetClassifier(image_shape=(2, 2), filters=(2, 2), kernel_size=1, pooling=None),
        ),
        (RecurrentNetRegressor(units=np.array(2)), RecurrentNetRegressor(units=2)),
    ],
)
def test_a_size_in_an_array_without_dimensions(one, other):
    shapes = [
        [weight.shape for weight in estimator.set_params(random_state=0).initialize(X, Y).model_.get_weights()]
        for estimator in (one, other)
    ]
    assert shapes[0] == shapes[1]


# --- memory -----------------------------------------------------------------------------------------------------------


def build_too_large():
    layers = [keras.layers.Dense(3_000_000), keras.layers.Dense(3_000_000), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((4,)), *layers])


@pytest.mark.slow  # TensorFlow waits ten seconds for memory to come
def test_network_that_no_memory_can_hold():
    message = (
        "There is not enough memory to fit KerasClassifier, for one array of shape [3000000,3000000] and type float. "
        "Fewer or smaller layers, a smaller batch_size, or fewer rows, need less."
    )
    with pytest.raises(MemoryError, match=f"^{re.escape(message)}$"):
        KerasClassifier(build_too_large, loss="mse").fit(X, Y)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", ""), ("Unable to allocate 7 TiB for an array.\nMore", ": Unable to allocate 7 TiB for an array")],
)
def test_memory_errors_of_the_native_engine_and_of_numpy(text, told):
    with (
        pytest.raises(MemoryError, match=rf"^There is not enough memory to train{told}\. Take less\.$"),
        telling_memory_errors("to train", "Take less."),
    ):
        raise MemoryError(text)


@pytest.mark.parametrize("class_weight", ["even", 3])
def test_class_weight_of_the_wrong_kind(class_weight):
    message = "The 'class_weight' parameter of {} must be a dict from label to weight, or 'balanced'. A list is for "
    assert_refuses(wrapper(class_weight=class_weight), message)
