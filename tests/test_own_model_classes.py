"""Subclasses of ``keras.Model`` with methods of their own: ``fit``, ``predict`` and their steps are heard."""

from __future__ import annotations

import pickle
import sys
import types
from functools import partial

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skneural import DenseNetClassifier, KerasClassifier, KerasRegressor

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def layers(n_units=1):
    return [keras.Input((3,)), keras.layers.Dense(n_units, activation="sigmoid")]


def make(model_class):
    return model_class(layers())


def classifier(model_class, **parameters):
    return KerasClassifier(partial(make, model_class), loss="binary_crossentropy", random_state=0, **parameters)


# --- methods ----------------------------------------------------------------------------------------------------------


class OwnFit(keras.Sequential):
    seen = ()

    def fit(self, x, custom="default", **keywords):
        OwnFit.seen = (*OwnFit.seen, custom)
        return super().fit(x, **keywords)


def test_fit_of_the_model_has_its_own_arguments():
    """Those of the call stand before those of the constructor."""
    OwnFit.seen = ()
    routed = classifier(OwnFit, fit__custom="routed")
    routed.fit(X, Y).fit(X, Y, custom="called").partial_fit(X, Y, custom="partial")
    classifier(OwnFit).fit(X, Y)
    assert OwnFit.seen == ("routed", "called", "partial", "default")
    assert_array_equal(classifier(OwnFit).fit(X, Y).predict_proba(X).shape, (40, 2))


def test_argument_that_the_models_fit_lacks_is_an_error():
    class Narrow(keras.Sequential):
        def fit(self, x, epochs=1, initial_epoch=0, verbose=1, callbacks=None, shuffle=True, custom=None):
            raise AssertionError

    estimator = classifier(keras.Sequential)
    for wrong in (lambda: estimator.fit(X, Y, custom=3), lambda: classifier(OwnFit, fit__x__y=1).fit(X, Y, cstom=1)):
        with pytest.raises(TypeError, match=r"unexpected.*argument '(custom|cstom|x__y)'"):
            wrong()
    with pytest.raises(
        TypeError, match=r"^KerasClassifier.fit got an unexpected argument 'customm'\. Did you mean 'cus"
    ):
        classifier(Narrow).fit(X, Y, customm=3)
    with pytest.raises(TypeError, match=r"'fit__batchsize'\. Did you mean 'fit__batch_size'\?$"):
        classifier(keras.Sequential, fit__batchsize=3).fit(X, Y)


def test_fit_that_keras_could_not_call_is_an_error():
    class WantsArrays(keras.Sequential):
        def fit(self, x, y, **keywords):
            raise AssertionError

    with pytest.raises(TypeError, match=r"^The model of KerasClassifier has a fit of its own, .*WantsArrays\.fit\. It"):
        classifier(WantsArrays).fit(X, Y)


class OwnStep(keras.Sequential):
    def predict_step(self, data):
        return super().predict_step(data) ** 2


class OwnPredict(keras.Sequential):
    def predict(self, x):
        return super().predict(x, verbose=0) ** 2


@pytest.mark.parametrize("model_class", [OwnStep, OwnPredict])
def test_prediction_of_the_model_is_its_own(model_class):
    own, usual = classifier(model_class), classifier(keras.Sequential)
    expected = usual.fit(X, Y).predict_proba(X)[:, 1] ** 2
    own.fit(X, Y).model_.set_weights(usual.model_.get_weights())
    for fitted in (own, pickle.loads(pickle.dumps(own))):
        assert_allclose(fitted.predict_proba(X)[:, 1], expected, rtol=1e-5)
        assert_allclose(fitted.predict_proba(X, batch_size=7)[:, 1], expected, rtol=1e-5)
        assert_array_equal(fitted.predict(X), (expected > 0.5).astype(int))


# --- two classes of one name ------------------------------------------------------------------------------------------


def own_layer(module, factor):
    """Make a class ``Own`` of a module of its own."""
    namespace = {"call": lambda self, x: factor * x, "__module__": module.__name__}
    module.Own = type("Own", (keras.layers.Layer,), namespace)
    return module.Own


@pytest.fixture
def two_of_one_name(monkeypatch):
    modules = [types.ModuleType(name) for name in ("first_module", "second_module")]
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return [own_layer(module, factor) for module, factor in zip(modules, (2.0, 5.0), strict=True)]


def test_two_classes_of_one_name_are_not_stored_as_one(two_of_one_name):
    first, second = two_of_one_name
    model = keras.Sequential([keras.Input((3,)), first(), keras.layers.Dense(1), second()])
    with pytest.raises(
        ValueError, match=r"^The model cannot be copied: two of its parts have the name 'Own'.*first_mod"
    ):
        KerasRegressor(model, loss="mse").fit(X, Y)
    estimator = KerasRegressor(partial(make, keras.Sequential), loss="mse").fit(X, Y)
    model.compile(loss="mse")
    estimator.model_ = model
    assert_allclose(estimator.predict(X), model.predict(X, verbose=0)[:, 0], rtol=1e-5)
    with pytest.raises(
        pickle.PicklingError, match=r"'Own'.* first_module.Own and second_module.Own\. Give one of them"
    ):
        pickle.dumps(estimator)


def make_with_both():
    first, second = (sys.modules[name].Own for name in ("first_module", "second_module"))
    return keras.Sequential([keras.Input((3,)), first(), keras.layers.Dense(1), second()])


def test_two_classes_of_one_name_come_back_from_their_function(two_of_one_name):
    fitted = KerasRegressor(make_with_both, loss="mse", random_state=0).fit(X, Y)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


def test_registered_classes_of_one_name_are_told_apart(two_of_one_name):
    for package, layer in zip(("one", "two"), two_of_one_name, strict=True):
        keras.saving.register_keras_serializable(package)(layer)
    fitted = KerasRegressor(make_with_both(), loss="mse", random_state=0).fit(X, Y)
    assert_allclose(fitted.predict(X), fitted.model_.predict(X, verbose=0)[:, 0], rtol=1e-5)
    kernel, bias = fitted.model_.get_weights()
    assert_allclose(fitted.predict(X), 5 * (2 * X @ kernel + bias)[:, 0], rtol=1e-5)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))


# --- tuples of callbacks ----------------------------------------------------------------------------------------------


class Count(keras.callbacks.Callback):
    n_epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.n_epochs += 1


@pytest.mark.parametrize("name", ["callbacks", "fit__callbacks"])
@pytest.mark.parametrize("hold", [lambda one: (one,), lambda one: [(one,)], lambda one: {"a": (one,)}])
def test_callbacks_in_tuples(name, hold):
    counts = Count(), Count()
    classifier(keras.Sequential, epochs=2, **{name: hold(counts[0])}).fit(X, Y)
    DenseNetClassifier((2,), epochs=2, **{name: hold(counts[1])}).fit(X, Y)
    assert [count.n_epochs for count in counts] == [2, 2]


class CountPredictions(keras.callbacks.Callback):
    n_calls = 0

    def on_predict_begin(self, logs=None):
        self.n_calls += 1


def test_callbacks_of_predict_are_called():
    routed, called = CountPredictions(), CountPredictions()
    for estimator in (classifier(keras.Sequential), DenseNetClassifier((2,), epochs=1)):
        fitted = estimator.set_params(predict__callbacks=[routed]).fit(X, Y)
        fitted.predict(X, callbacks=called)
        fitted.predict_proba(X, callbacks=[called])
    assert (routed.n_calls, called.n_calls) == (4, 4)
