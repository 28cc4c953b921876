"""Whole little scripts as users of scikeras, of Keras's old wrappers and of MLPClassifier write them."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, validation_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import DenseNetClassifier, KerasClassifier, KerasRegressor

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
    "depth=... and model__depth=... set it. Known parameters: get_params()."
)


def test_argument_that_the_function_lacks_is_an_error():
    estimator = KerasClassifier(create_model, random_state=0)
    with pytest.raises(ValueError, match=f"^{re.escape(UNKNOWN)}$"):
        estimator.set_params(depth=3)
    with pytest.raises(ValueError, match=f"^{re.escape(UNKNOWN)}$"):
        GridSearchCV(estimator, {"depth": [3]}, cv=2, error_score="raise").fit(X, Y)


def test_function_is_no_way_into_a_ready_made_family():
    with pytest.raises(ValueError, match=r"^Invalid parameter 'neurons' for estimator DenseNetClassifier. Give hidden"):
        DenseNetClassifier().set_params(neurons=3)
