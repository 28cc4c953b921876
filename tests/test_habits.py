"""Whole little scripts as users of scikeras, of Keras's old wrappers and of MLPClassifier write them."""

from __future__ import annotations

import pickle
import re

import joblib
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, validation_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder, StandardScaler

from skneural import DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor

X = np.random.default_rng(0).normal(size=(60, 4))
Y = (X[:, 0] + X[:, 1] > 0).astype(int)
VALUES = 3 * X[:, 0] - X[:, 1] + 2


def create_model(neurons=2, optimizer="adam"):
    model = keras.Sequential()
    model.add(keras.Input((4,)))
    model.add(keras.layers.Dense(neurons, activation="relu"))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def create_regressor(neurons=2):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(neurons), keras.layers.Dense(1)])
    model.compile(loss="mse", optimizer="sgd")
    return model


def n_units(estimator):
    return estimator.model_.layers[0].units


# --- arguments of the model function that the constructor was not given ---------------------------------------------


@pytest.mark.parametrize(
    ("cls", "build", "y"), [(KerasClassifier, create_model, Y), (KerasRegressor, create_regressor, VALUES)]
)
def test_search_over_an_argument_of_the_function(cls, build, y):
    model = cls(model=build, epochs=1, batch_size=20, verbose=0, random_state=0)
    grid = GridSearchCV(estimator=model, param_grid={"neurons": [3, 4]}, cv=2).fit(X, y)
    assert [candidate["neurons"] for candidate in grid.cv_results_["params"]] == [3, 4]
    assert n_units(grid.best_estimator_) == grid.best_params_["neurons"]
    assert grid.best_estimator_.get_params()["neurons"] == grid.best_params_["neurons"]
    named = cls(model=build, epochs=1, batch_size=20, neurons=grid.best_params_["neurons"], random_state=0).fit(X, y)
    assert_array_equal(grid.best_estimator_.predict(X), named.predict(X))


def test_search_over_an_argument_in_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), KerasClassifier(create_model, random_state=0))
    space = {"kerasclassifier__neurons": [5, 6, 7], "kerasclassifier__batch_size": [10, 20]}
    search = RandomizedSearchCV(pipeline, space, n_iter=2, cv=2, random_state=0).fit(X, Y)
    assert n_units(search.best_estimator_[-1]) == search.best_params_["kerasclassifier__neurons"]
    curve = validation_curve(pipeline, X, Y, param_name="kerasclassifier__neurons", param_range=[2, 3], cv=2)
    assert np.isfinite(curve).all()


def test_argument_that_was_set_survives_clone():
    estimator = KerasClassifier(create_model).set_params(neurons=6)
    twin = clone(clone(estimator).set_params(neurons=7))
    assert twin.get_params()["neurons"] == 7
    assert n_units(twin.fit(X, Y)) == 7
    assert estimator.neurons == 6
    assert n_units(estimator.set_params(model__neurons=8).fit(X, Y)) == 8


def test_model_is_set_before_the_arguments_of_its_function():
    estimator = KerasClassifier().set_params(neurons=5, model=create_model)
    assert n_units(estimator.fit(X, Y)) == 5


def test_function_has_the_optimizer_of_the_search():
    """The best known of the old scripts: its function has an argument of a name that the wrapper has too."""
    grid = GridSearchCV(
        KerasClassifier(create_model, epochs=1, random_state=0), {"optimizer": ["sgd", "Adamax"]}, cv=2, refit=False
    ).fit(X, Y)
    for name in ("sgd", "Adamax"):
        fitted = clone(grid.estimator).set_params(optimizer=name).fit(X, Y)
        assert type(fitted.model_.optimizer).__name__.lower() == name.lower()
    # The function's own default stays where nobody says otherwise, and what is routed to the function comes first.
    assert isinstance(KerasClassifier(create_model).fit(X, Y).model_.optimizer, keras.optimizers.Adam)
    routed = KerasClassifier(create_model, optimizer="sgd", model__optimizer="nadam").fit(X, Y)
    assert isinstance(routed.model_.optimizer, keras.optimizers.Nadam)


def test_function_of_a_subclass_has_its_arguments():
    class Own(KerasClassifier):
        def _keras_build_fn(self, neurons=2):
            return create_model(neurons)

    search = GridSearchCV(Own(epochs=1), {"neurons": [3]}, cv=2).fit(X, Y)
    assert n_units(search.best_estimator_) == 3


def test_function_with_keywords_of_any_name_is_given_those_of_the_constructor():
    def create(**arguments):
        return create_model(arguments["neurons"])

    assert n_units(KerasClassifier(create, neurons=3).fit(X, Y)) == 3


UNKNOWN = (
    "Invalid parameter 'depth' for estimator KerasClassifier. Let the model function take an argument 'depth'; then "
    "depth=... and model__depth=... set it. Known parameters: "
)


def test_argument_that_the_function_lacks_is_an_error():
    estimator = KerasClassifier(create_model, random_state=0)
    with pytest.raises(ValueError, match=f"^{re.escape(UNKNOWN)}batch_size, .*, neurons, .*\\.$"):
        estimator.set_params(depth=3)
    with pytest.raises(ValueError, match=f"^{re.escape(UNKNOWN)}batch_size, .*, neurons, .*\\.$"):
        GridSearchCV(estimator, {"depth": [3]}, cv=2, error_score="raise").fit(X, Y)


def test_function_is_no_way_into_a_ready_made_family():
    with pytest.raises(ValueError, match=r"^Invalid parameter 'neurons' for estimator DenseNetClassifier. Give hidden"):
        DenseNetClassifier().set_params(neurons=3)


# --- the model and other attributes, which can be set -----------------------------------------------------------------


def test_model_in_a_file_of_its_own(tmp_path):
    """Strip the model, store both, put it back."""
    estimator = KerasClassifier(create_model, epochs=2, random_state=0).fit(X, Y)
    before = estimator.predict_proba(X)
    estimator.model_.save(tmp_path / "model.keras")
    estimator.model_ = None
    assert estimator.model_ is None
    assert not estimator.initialized_
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    restored = joblib.load(tmp_path / "estimator.joblib")
    with pytest.raises(NotFittedError):
        restored.predict(X)
    restored.model_ = keras.models.load_model(tmp_path / "model.keras")
    assert_array_equal(restored.predict_proba(X), before)
    assert_allclose(restored.predict_proba(X)[:, 1:], restored.model_.predict(X, verbose=0), rtol=1e-5)
    restored.partial_fit(X, Y)
    assert len(restored.history_["loss"]) == 3
    assert np.abs(restored.predict_proba(X) - before).max() > 0


@pytest.mark.parametrize("is_compiled", [True, False])
def test_pretrained_model_after_initialize(is_compiled):
    trained = create_model(7)
    trained.fit(X, Y, epochs=3, verbose=0)
    if not is_compiled:
        trained = keras.models.clone_model(trained)
    estimator = KerasClassifier(create_model, loss="binary_crossentropy").initialize(X, Y)
    estimator.model_ = trained
    assert estimator.model_ is trained
    assert_allclose(estimator.predict_proba(X)[:, 1:], trained.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    assert_array_equal(estimator.predict(X), (trained.predict(X, verbose=0)[:, 0] > 0.5).astype(int))
    assert n_units(estimator.partial_fit(X, Y)) == 7


def test_layout_of_labels_is_that_of_the_new_model():
    def create(loss="sparse_categorical_crossentropy"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
        model.compile(loss=loss, optimizer="sgd")
        return model

    estimator = KerasClassifier(create, random_state=0).fit(X, Y)
    estimator.model_ = create("categorical_crossentropy")
    twin = create("categorical_crossentropy")
    twin.set_weights(estimator.model_.get_weights())
    estimator.set_params(warm_start=True, batch_size=-1).fit(X, Y)
    twin.fit(X, np.eye(2)[Y], batch_size=60, verbose=0)
    assert_allclose(estimator.model_.get_weights()[0], twin.get_weights()[0], rtol=1e-5, atol=1e-6)


def test_family_takes_a_model_of_its_own_kind(tmp_path):
    fitted = DenseNetClassifier((3,), epochs=2, random_state=0).fit(X, Y)
    fitted.model_.save(tmp_path / "model.keras")
    other = DenseNetClassifier((3,), epochs=1, random_state=1).fit(X, Y)
    other.model_ = keras.models.load_model(tmp_path / "model.keras")
    assert_array_equal(other.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (3, TypeError, "The attribute 'model_' of KerasClassifier must be a keras.Model or None. Got 3 instead."),
        (
            create_regressor,
            TypeError,
            "The attribute 'model_' of KerasClassifier must be a keras.Model or None. Got <function create_regressor",
        ),
        (
            keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)]),
            ValueError,
            "The model of KerasClassifier takes rows of shape (5,), but X has rows of shape (4,). ",
        ),
    ],
)
def test_model_that_does_not_fit_is_refused_and_the_old_one_stays(model, error, message):
    estimator = KerasClassifier(create_model, random_state=0).initialize(X, Y)
    before = estimator.model_
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        estimator.model_ = model
    assert estimator.model_ is before


def test_model_before_anything_is_known_of_the_data():
    message = "KerasClassifier knows nothing of X and y yet, and so takes no 'model_'. Call initialize(X, y) first; "
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        KerasClassifier().model_ = create_model()


@pytest.mark.parametrize(
    "estimator",
    [
        KerasClassifier(create_model, epochs=3, random_state=0),
        KerasClassifier(create_model, epochs=3, optimizer="nadam", random_state=0),
        KerasClassifier(create_model, epochs=3, fit__validation_freq=1, random_state=0),
        DenseNetClassifier((3,), epochs=3, random_state=0),
    ],
    ids=["native", "compiled", "keras", "family"],
)
def test_history_of_the_model(estimator):
    fitted = clone(estimator).fit(X, Y)
    history = fitted.model_.history
    assert isinstance(history, keras.callbacks.History)
    assert history.history == fitted.history_
    assert history.epoch == [0, 1, 2]
    assert history.model is fitted.model_
    # Behind a later call stands that call alone, as in Keras; history_ holds all of them.
    fitted.partial_fit(X, Y)
    assert fitted.model_.history.epoch == [3]
    assert fitted.model_.history.history["loss"] == fitted.history_["loss"][3:]
    restored = pickle.loads(pickle.dumps(fitted))
    assert restored.model_.history.history == fitted.model_.history.history
    assert "loss" in restored.fit(X, Y).model_.history.history
    assert len(restored.model_.history.epoch) == 3


# --- a y that is a column ---------------------------------------------------------------------------------------------


def test_column_of_numbers_stays_a_column():
    scaler = StandardScaler()
    column = scaler.fit_transform(VALUES[:, np.newaxis])
    fitted = KerasRegressor(create_regressor, epochs=2, random_state=0).fit(X, column)
    predictions = fitted.predict(X)
    assert predictions.shape == (60, 1)
    assert scaler.inverse_transform(predictions).shape == (60, 1)
    assert fitted.score(X, column) == pytest.approx(1 - ((predictions - column) ** 2).mean() / column.var())
    flat = KerasRegressor(create_regressor, epochs=2, random_state=0).fit(X, column[:, 0])
    assert_array_equal(flat.predict(X), predictions[:, 0])
    assert pickle.loads(pickle.dumps(fitted)).predict(X).shape == (60, 1)
    assert fitted.fit(X, column[:, 0]).predict(X).shape == (60,)


def test_column_of_labels_stays_a_column():
    encoder = OrdinalEncoder()
    column = encoder.fit_transform(np.where(Y, "yes", "no")[:, np.newaxis])
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed"):
        fitted = KerasClassifier(create_model, epochs=2, random_state=0).fit(X, column)
    assert fitted.predict(X).shape == (60, 1)
    assert set(encoder.inverse_transform(fitted.predict(X)).ravel()) <= {"yes", "no"}
    assert fitted.predict_proba(X).shape == (60, 2)
    assert fitted.score(X, column) == (fitted.predict(X) == column).mean()


def test_family_keeps_to_the_way_of_scikit_learn():
    with pytest.warns(DataConversionWarning):
        fitted = DenseNetRegressor((3,), epochs=1).fit(X, VALUES[:, np.newaxis])
    assert fitted.predict(X).shape == (60,)


# --- several inputs ---------------------------------------------------------------------------------------------------


def create_with_two_inputs():
    first, second = keras.Input((1,), name="first"), keras.Input((3,), name="second")
    both = keras.layers.Concatenate()([keras.layers.Dense(3)(first), keras.layers.Dense(3)(second)])
    model = keras.Model([first, second], keras.layers.Dense(2, activation="softmax")(both))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def split_in_two(X):
    return [X[:, 0], X[:, 1:4]]


def split_by_name(X):
    return {"second": X[:, 1:4], "first": X[:, :1]}


class _Splitting(KerasClassifier):
    def __init__(self, model=create_with_two_inputs, split=split_in_two, **parameters):
        super().__init__(model, **parameters)
        self.split = split

    @property
    def feature_encoder(self):
        return FunctionTransformer(self.split)


@pytest.mark.parametrize("split", [split_in_two, split_by_name])
def test_several_inputs_through_the_feature_encoder(split):
    estimator = _Splitting(split=split, batch_size=-1, epochs=3, shuffle=False, random_state=0).initialize(X, Y)
    twin = create_with_two_inputs()
    twin.set_weights(estimator.model_.get_weights())
    history = twin.fit([X[:, :1], X[:, 1:]], Y, batch_size=60, epochs=3, shuffle=False, verbose=0)
    estimator.set_params(warm_start=True).fit(X, Y)
    assert estimator.engine_ == "compiled"
    assert_allclose(estimator.history_["loss"], history.history["loss"], rtol=1e-5)
    expected = twin.predict([X[:, :1], X[:, 1:]], verbose=0)
    assert_allclose(estimator.predict_proba(X), expected, rtol=1e-4, atol=1e-6)
    assert_array_equal(estimator.predict(X), expected.argmax(axis=1))
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).predict(X), estimator.predict(X))
    assert_array_equal(estimator.predict(X[:2]), estimator.predict(X)[:2])


def test_several_inputs_in_a_search_with_validation_and_weights():
    estimator = _Splitting(validation_split=0.2, class_weight="balanced", random_state=0)
    search = GridSearchCV(estimator, {"epochs": [1, 2]}, cv=2).fit(X, Y, sample_weight=np.arange(60))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert "val_loss" in search.best_estimator_.history_


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda X: [X[:, :1]], "_Splitting needs a model with one input. Got one with 2 inputs. Let a feature_encoder"),
        (lambda X: [X[:, :1]] * 3, "_Splitting needs a model with 3 inputs. Got one with 2 inputs."),
        (lambda X: [X[:1], X], "The feature_encoder of _Splitting must give an array of numbers with 60 rows, as m"),
        (lambda X: "no", "The feature_encoder of _Splitting must give an array of numbers with 1 rows, as ma"),
        (lambda X: X.astype(str), "The feature_encoder of _Splitting must give an array of numbers with 1 rows, as ma"),
    ],
)
def test_feature_encoder_that_gives_something_else(split, message):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(message)}"):
        _Splitting(split=split).fit(X, Y)


def test_feature_encoder_that_gives_one_array_in_a_list_or_rows_in_lists():
    expected = KerasClassifier(create_model, random_state=0).fit(X, Y).predict_proba(X)
    for split in (lambda X: [X], lambda X: X.tolist(), lambda X: list(X)):
        assert_array_equal(_Splitting(create_model, split, random_state=0).fit(X, Y).predict_proba(X), expected)


def test_feature_encoder_may_change_the_number_of_features():
    def create():
        model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, activation="sigmoid")])
        model.compile(loss="binary_crossentropy")
        return model

    fitted = _Splitting(create, lambda X: np.hstack([X, X**2]), random_state=0).fit(X, Y)
    assert fitted.predict_proba(X).shape == (60, 2)


# --- arguments of fit -------------------------------------------------------------------------------------------------


class _Count(keras.callbacks.Callback):
    def __init__(self, stop_after=99):
        super().__init__()
        self.epochs, self.stop_after = 0, stop_after

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        self.model.stop_training = epoch + 1 >= self.stop_after


@pytest.mark.parametrize("estimator", [KerasClassifier(create_model), DenseNetClassifier((2,))])
def test_callbacks_of_one_call(estimator):
    always, once = _Count(), _Count()
    estimator = clone(estimator).set_params(epochs=4, callbacks=always)
    parameters = estimator.get_params()
    estimator.fit(X, Y, callbacks=[once, _Count(stop_after=2)])
    assert (always.epochs, once.epochs, estimator.n_iter_) == (2, 2, 2)
    assert estimator.get_params() == parameters
    estimator.partial_fit(X, Y, callbacks=once)
    estimator.fit(X, Y)
    assert (always.epochs, once.epochs) == (7, 3)
    with pytest.raises(TypeError, match=r"^The 'callbacks' parameter of .* must hold Keras callbacks"):
        estimator.fit(X, Y, callbacks=[3])


@pytest.mark.parametrize(
    "estimator",
    [KerasClassifier(create_model, epochs=3, random_state=0), DenseNetClassifier((2,), epochs=3, random_state=0)],
)
def test_class_weight_of_one_call_or_routed_to_fit(estimator):
    labels = np.where(Y, "yes", "no")
    weights = {"no": 1.0, "yes": 9.0}
    expected = clone(estimator).set_params(class_weight=weights).fit(X, labels).predict_proba(X)
    by_rows = clone(estimator).fit(X, labels, sample_weight=np.where(Y, 9.0, 1.0)).predict_proba(X)
    assert_array_equal(expected, by_rows)
    assert_array_equal(clone(estimator).fit(X, labels, class_weight=weights).predict_proba(X), expected)
    assert_array_equal(clone(estimator).set_params(fit__class_weight=weights).fit(X, labels).predict_proba(X), expected)
    # The call comes before the parameter.
    other = clone(estimator).set_params(class_weight="balanced")
    assert_array_equal(other.fit(X, labels, class_weight=weights).predict_proba(X), expected)
    assert other.class_weight == "balanced"
    assert np.abs(clone(estimator).fit(X, labels).predict_proba(X) - expected).max() > 1e-4


@pytest.mark.parametrize("way", ["parameter", "call", "routed"])
def test_no_epochs_build_the_network_and_train_nothing(way):
    estimator = KerasClassifier(create_model, epochs=0 if way == "parameter" else 3, random_state=0)
    estimator.set_params(**({"fit__epochs": 0} if way == "routed" else {}))
    estimator.fit(X, Y, **({"epochs": 0} if way == "call" else {}))
    initialized = clone(estimator).initialize(X, Y)
    assert_array_equal(estimator.predict_proba(X), initialized.predict_proba(X))
    assert estimator.history_ == {"loss": []}
    assert estimator.loss_curve_ == []
    assert estimator.n_iter_ == 0
    restored = pickle.loads(pickle.dumps(estimator)).partial_fit(X, Y)
    assert restored.n_iter_ == 1


def test_families_train_for_an_epoch_at_least():
    with pytest.raises(ValueError, match=r"must be an int in the range \[1, inf\)"):
        DenseNetClassifier((2,)).fit(X, Y, epochs=0)


def test_model_function_finds_the_second_axis_of_images_and_sequences():
    seen = {}

    def create(meta):
        seen.update(meta)
        return keras.Sequential([keras.Input(meta["X_shape_"][1:]), keras.layers.Flatten(), keras.layers.Dense(1)])

    sequences = np.random.default_rng(0).normal(size=(20, 7, 3))
    fitted = KerasRegressor(create, loss="mse").fit(sequences, sequences[:, 0, 0])
    assert seen["n_features_in_"] == fitted.n_features_in_ == 7
    assert fitted.fit(sequences[:, :5], sequences[:, 0, 0]).n_features_in_ == 5
    assert fitted.predict(sequences[:, :5]).shape == (20,)
