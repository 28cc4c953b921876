"""scikeras's ways: a model function or a ready model, routed parameters, callbacks, training that goes on."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
LABELS = np.array(["one", "two", "three"])[(X[:, 0] > 0).astype(int) + (X[:, 0] > 0.8)]


def build(meta, hidden=3):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(hidden, activation="tanh"),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def classifier(model=build, **parameters):
    defaults = {"loss": "sparse_categorical_crossentropy", "epochs": 3, "random_state": 0}
    return KerasClassifier(model, **(defaults | parameters))


# --- the model ------------------------------------------------------------------------------------------------------


def test_meta_tells_the_model_function_about_the_data():
    seen = {}

    def look(meta):
        seen.update(meta)
        return build(meta)

    classifier(look).fit(X, LABELS)
    assert seen["n_features_in_"] == 4
    assert seen["X_shape_"] == (60, 4)
    assert seen["n_classes_"] == 3
    assert seen["n_outputs_"] == 1
    assert seen["target_type_"] == "multiclass"
    assert seen["classes_"].tolist() == ["one", "three", "two"]


@pytest.mark.parametrize("parameters", [{"hidden": 7}, {"model__hidden": 7}, {"hidden": 5, "model__hidden": 7}])
def test_model_function_takes_its_parameters(parameters):
    assert classifier(**parameters).fit(X, LABELS).model_.layers[0].units == 7


def test_compile_kwargs_hold_the_optimizer_with_its_routed_parameters():
    def compiled(meta, compile_kwargs):
        model = build(meta)
        model.compile(loss="sparse_categorical_crossentropy", optimizer=compile_kwargs["optimizer"])
        return model

    fitted = classifier(compiled, optimizer="sgd", optimizer__momentum=0.5, optimizer__learning_rate=0.25).fit(
        X, LABELS
    )
    assert isinstance(fitted.model_.optimizer, keras.optimizers.SGD)
    assert fitted.model_.optimizer.momentum == 0.5
    assert float(fitted.model_.optimizer.learning_rate) == 0.25


def test_params_are_those_of_get_params():
    seen = {}

    def look(meta, params):
        seen.update(params)
        return build(meta)

    estimator = classifier(look, epochs=2)
    estimator.fit(X, LABELS)
    assert seen == estimator.get_params()


@pytest.mark.parametrize("is_compiled", [True, False])
def test_ready_model_is_trained_as_a_copy(is_compiled):
    model = build({"n_features_in_": 4, "n_classes_": 3})
    if is_compiled:
        model.compile(loss="sparse_categorical_crossentropy", optimizer="rmsprop")
    before = [weight.copy() for weight in model.get_weights()]
    fitted = classifier(model, optimizer="rmsprop").fit(X, LABELS)
    for kept, given, trained in zip(model.get_weights(), before, fitted.model_.get_weights(), strict=True):
        assert_array_equal(kept, given)
        assert (trained != given).any()
    assert model.compiled == is_compiled


def test_compiled_and_uncompiled_ready_models_train_alike():
    model = build({"n_features_in_": 4, "n_classes_": 3})
    uncompiled = classifier(model, optimizer="rmsprop").fit(X, LABELS)
    model.compile(loss="sparse_categorical_crossentropy", optimizer="rmsprop")
    assert uncompiled.loss_curve_ == classifier(model).fit(X, LABELS).loss_curve_


def test_model_with_two_inputs_is_an_error():
    def two_inputs():
        inputs = [keras.Input((2,)), keras.Input((2,))]
        return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Concatenate()(inputs)))

    with pytest.raises(ValueError, match=r"^KerasClassifier needs a model with one input. Got one with 2 inputs. Let "):
        classifier(two_inputs).fit(X, LABELS)


class _Narrowed(KerasClassifier):
    """A subclass as in scikeras's documentation: it names some parameters and hands the others on."""

    def __init__(self, hidden=3, optimizer="adam", optimizer__learning_rate=0.001, **kwargs):
        super().__init__(**kwargs)
        self.hidden = hidden
        self.optimizer = optimizer
        self.optimizer__learning_rate = optimizer__learning_rate

    def _keras_build_fn(self, compile_kwargs):
        model = build({"n_features_in_": self.n_features_in_, "n_classes_": self.n_classes_}, self.hidden)
        model.compile(loss="sparse_categorical_crossentropy", optimizer=compile_kwargs["optimizer"])
        return model


def test_subclass_that_hands_keywords_on_keeps_the_parameters_of_its_base():
    estimator = _Narrowed(hidden=5, batch_size=7, epochs=2, random_state=0)
    parameters = estimator.get_params()
    assert set(parameters) == {*KerasClassifier().get_params(), "hidden", "optimizer__learning_rate"}
    assert parameters["batch_size"] == 7
    copy = clone(estimator)
    assert copy.get_params() == parameters
    assert copy.set_params(epochs=4).fit(X, LABELS).n_iter_ == 4
    assert copy.model_.layers[0].units == 5
    search = GridSearchCV(estimator, {"hidden": [2, 3], "batch_size": [10, 20]}, cv=2).fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("cls", [DenseNetClassifier, DenseNetRegressor])
def test_subclass_of_a_ready_made_family_has_the_parameters_of_the_family_alone(cls):
    class Deep(cls):
        def __init__(self, depth=2, **kwargs):
            super().__init__(**kwargs)
            self.depth = depth

    estimator = Deep(3, l2=0.5)
    assert set(estimator.get_params()) == {*cls().get_params(), "depth"}
    assert clone(estimator).l2 == 0.5


# --- what is compiled -----------------------------------------------------------------------------------------------


def test_loss_class_takes_its_routed_parameters():
    fitted = classifier(loss=keras.losses.CategoricalCrossentropy, loss__label_smoothing=0.5).fit(X, LABELS)
    assert fitted.model_.loss.label_smoothing == 0.5


def test_metrics_as_names_and_classes_with_routed_parameters():
    metrics = ["accuracy", keras.metrics.TopKCategoricalAccuracy]
    fitted = classifier(loss="categorical_crossentropy", metrics=metrics, metrics__1__name="top", metrics__1__k=3)
    history = fitted.fit(X, LABELS).history_
    assert set(history) == {"loss", "accuracy", "top"}
    assert history["top"] == [1.0, 1.0, 1.0]


# --- callbacks ------------------------------------------------------------------------------------------------------


class _Count(keras.callbacks.Callback):
    seen: list[str]

    def __init__(self, name="default", stop_after=99):
        super().__init__()
        self.name, self.stop_after = name, stop_after

    def on_epoch_end(self, epoch, logs=None):
        _Count.seen.append(self.name)
        if epoch + 1 >= self.stop_after:
            self.model.stop_training = True


@pytest.fixture(autouse=True)
def _nothing_seen():
    _Count.seen = []


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"callbacks": _Count("a")}, ["a"]),
        ({"callbacks": _Count}, ["default"]),
        ({"callbacks": _Count, "callbacks__name": "b"}, ["b"]),
        ({"callbacks": [_Count("a"), _Count], "callbacks__1__name": "b"}, ["a", "b"]),
        ({"callbacks": [_Count, _Count], "callbacks__name": "c"}, ["c", "c"]),
        ({"callbacks": {"first": _Count("a"), "second": _Count}, "callbacks__second__name": "b"}, ["a", "b"]),
    ],
    ids=["instance", "class", "class with a parameter", "list", "list with one for all", "dict"],
)
@pytest.mark.parametrize("make", [classifier, DenseNetClassifier])
def test_callbacks_of_keras(make, parameters, names):
    estimator = make(epochs=2, **parameters).fit(X, LABELS)
    assert _Count.seen == names * 2
    clone(estimator).fit(X, LABELS)
    assert _Count.seen == names * 4


@pytest.mark.parametrize("make", [classifier, DenseNetClassifier])
def test_callback_of_keras_stops_training(make):
    assert make(epochs=5, callbacks=_Count, callbacks__stop_after=2).fit(X, LABELS).n_iter_ == 2


# --- training -------------------------------------------------------------------------------------------------------


def test_arguments_of_fit_reach_keras_from_the_constructor_and_from_the_call():
    assert classifier(fit__epochs=2).fit(X, LABELS).n_iter_ == 2
    fitted = classifier(epochs=2).fit(X, LABELS, epochs=4, validation_split=0.25)
    assert fitted.n_iter_ == 4
    assert len(fitted.history_["val_loss"]) == 4


def test_initialize_builds_the_network_that_fit_starts_from():
    estimator = classifier(hidden=6).initialize(X, LABELS)
    assert estimator.initialized_
    assert estimator.predict(X).shape == (60,)
    one_step = classifier(hidden=6).initialize(X, LABELS).partial_fit(X, LABELS, batch_size=20)
    assert one_step.loss_curve_ == classifier(hidden=6).fit(X, LABELS, epochs=1, batch_size=20).loss_curve_


def test_warm_start_goes_on_from_the_weights_of_the_last_fit():
    estimator = classifier(warm_start=True, optimizer__learning_rate=0.01).fit(X, LABELS)
    first = estimator.loss_curve_
    estimator.fit(X, LABELS)
    assert estimator.n_iter_ == 3
    assert estimator.loss_curve_[0] < first[-1]
    assert classifier(optimizer__learning_rate=0.01).fit(X, LABELS).fit(X, LABELS).loss_curve_ == first


def test_partial_fit_adds_to_the_history():
    estimator = classifier()
    for n_calls in (1, 2, 3):
        estimator.partial_fit(X, LABELS)
        assert estimator.n_iter_ == estimator.current_epoch == len(estimator.history_["loss"]) == n_calls
    assert estimator.fit(X, LABELS, epochs=1).n_iter_ == 1


def test_regressor_keeps_the_units_of_its_model():
    def halves(meta):
        return keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(meta["n_outputs_"], kernel_initializer="ones", trainable=False)]
        )

    y = np.stack([X[:, 0], X[:, 1]], axis=1)
    regressor = KerasRegressor(halves, loss="mse").fit(X, y)
    np.testing.assert_allclose(regressor.predict(X), X.sum(axis=1, keepdims=True).repeat(2, axis=1), rtol=1e-5)
    assert regressor.predict(X[:1]).shape == (1, 2)


# --- what a user sees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [classifier, DenseNetClassifier])
def test_verbose_shows_the_bar_of_keras_and_nothing_is_the_default(make, capsys):
    make(epochs=2).fit(X, LABELS).predict(X)
    assert capsys.readouterr().out == ""
    make(epochs=2, verbose=1).fit(X, LABELS)
    shown = capsys.readouterr().out
    assert "Epoch 1/2" in shown
    assert "Epoch 2/2" in shown
    assert "loss:" in shown


def test_summary_prints_layers_shapes_and_counts(capsys):
    DenseNetClassifier((7, 5), epochs=1).fit(X, LABELS).summary()
    shown = capsys.readouterr().out
    # 4 x 7 + 7, 7 x 5 + 5 and 5 x 3 + 3 weights
    for line in (("(None, 7)", "35"), ("(None, 5)", "40"), ("(None, 3)", "18"), ("Trainable params", "93")):
        assert any(all(part in row for part in line) for row in shown.splitlines()), line


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_activation_may_be_a_layer_with_weights(batch_normalization):
    activation = keras.layers.PReLU()
    network = DenseNetClassifier(
        (7, 5), activation=activation, batch_normalization=batch_normalization, epochs=2, random_state=0
    ).fit(X, LABELS)
    slopes = [layer.get_weights()[0] for layer in network.model_.layers if isinstance(layer, keras.layers.PReLU)]
    assert [slope.shape for slope in slopes] == [(7,), (5,)]
    assert all((slope != 0).any() for slope in slopes)
    assert not activation.built
    assert network.engine_ == "compiled"
