"""How an estimator shows itself: its text, its view in a notebook, and its parameters, which make it anew."""

from __future__ import annotations

import html
import re

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import (
    Autoencoder,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    TabularNetClassifier,
)

ALL_CLASSES = [DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor]


def build(meta, units=3):
    return keras.Sequential([keras.Input((meta["n_features_in_"],)), keras.layers.Dense(units)])


def table_of_parameters(estimator):
    """Name -> (kind, text of the value) of each row of the view's table of parameters."""
    row = r'<tr class="(user-set|default)">.*?<td class="param">(\w+)</td>\s*<td class="value">(.*?)</td>'
    found = re.findall(row, estimator._repr_html_(), flags=re.DOTALL)
    return {name: (kind, html.unescape(value)) for kind, name, value in found}


def test_text_shows_what_is_not_default():
    classifier = DenseNetClassifier((5, 4), learning_rate=0.01, optimizer__beta_1=0.5)
    assert repr(classifier) == (
        "DenseNetClassifier(hidden_layer_sizes=(5, 4), learning_rate=0.01,\n                   optimizer__beta_1=0.5)"
    )
    assert repr(DenseNetRegressor()) == "DenseNetRegressor()"
    assert repr(KerasRegressor(loss="mse", units=4)) == "KerasRegressor(loss='mse', units=4)"


def test_text_breaks_lines_inside_a_pipeline():
    pipeline = make_pipeline(
        StandardScaler(), DenseNetClassifier((100, 100, 100), activation="tanh", epochs=1000, learning_rate=0.123)
    )
    assert "DenseNetClassifier(activation='tanh', epochs=1000," in repr(pipeline)
    assert max(map(len, repr(pipeline).splitlines())) <= 80


@pytest.mark.parametrize("cls", ALL_CLASSES)
def test_view_lists_every_parameter_with_its_value(cls):
    estimator = cls(epochs=7, optimizer__beta_1=0.25)
    table = table_of_parameters(estimator)
    assert set(table) == set(estimator.get_params())
    assert table["epochs"] == ("user-set", "7")
    assert table["optimizer__beta_1"] == ("user-set", "0.25")
    assert table["warm_start"] == ("default", "False")
    assert {name for name, (kind, _) in table.items() if kind == "user-set"} == {"epochs", "optimizer__beta_1"}


def test_view_escapes_what_it_shows():
    assert table_of_parameters(DenseNetClassifier(loss="<script>"))["loss"] == ("user-set", "'<script>'")
    assert "<script>'" not in DenseNetClassifier(loss="<script>")._repr_html_()


def test_view_tells_whether_the_estimator_is_fitted():
    X = np.random.default_rng(0).normal(size=(20, 3))
    classifier = DenseNetClassifier((3,), epochs=1)
    assert "Not fitted" in classifier._repr_html_()
    classifier.fit(X, X[:, 0] > 0)
    view = classifier._repr_html_()
    assert "Not fitted" not in view
    assert "Fitted" in view
    for attribute in ("classes_", "loss_curve_", "n_features_in_", "model_"):
        assert attribute in view


def test_view_of_a_pipeline_holds_the_network():
    pipeline = make_pipeline(StandardScaler(), KerasClassifier(build, model__units=17))
    view = pipeline._repr_html_()
    assert "KerasClassifier" in view
    assert table_of_parameters(pipeline)["model__units"] == ("user-set", "17")


@pytest.mark.parametrize(
    "estimator",
    [
        DenseNetClassifier((5,), optimizer__beta_1=0.5, fit__verbose=0, class_weight="balanced"),
        DenseNetRegressor(activation=["relu", keras.ops.tanh], hidden_layer_sizes=[4, 4], loss=keras.losses.Huber),
        KerasClassifier(build, units=4, model__other=3, callbacks=[keras.callbacks.TerminateOnNaN]),
        KerasRegressor(build, units=4, optimizer=keras.optimizers.SGD, optimizer__momentum=0.5, fit__epochs=3),
    ],
)
def test_parameters_make_the_same_estimator_anew(estimator):
    parameters = estimator.get_params()
    anew = type(estimator)(**parameters)
    assert anew.get_params() == parameters
    assert repr(anew) == repr(estimator)
    assert type(estimator)().set_params(**{n: v for n, v in parameters.items() if n != "units"}).get_params() == {
        name: value for name, value in parameters.items() if name != "units"
    }
    for name, value in clone(estimator).get_params().items():
        assert repr(value) == repr(parameters[name])


@pytest.mark.parametrize("cls", ALL_CLASSES)
def test_constructor_stores_its_arguments_as_they_are(cls):
    sizes, weight = [4, 4], {"a": 1.0}
    given = {"callbacks": sizes, "random_state": weight, "optimizer__beta_1": sizes}
    estimator = cls(**given)
    for name, value in given.items():
        assert getattr(estimator, name) is value


def test_setting_a_parameter_that_does_not_exist_names_those_that_do():
    with pytest.raises(ValueError, match=r"^Invalid parameter 'depth' .* Known .* hidden_layer_sizes, kernel_"):
        DenseNetClassifier().set_params(depth=3)


def test_view_links_to_the_page_where_the_documentation_is_named(monkeypatch):
    assert "reference/generated" not in DenseNetClassifier()._repr_html_()
    monkeypatch.setenv("SKNEURAL_DOCS_URL", "https://docs.example/")
    for cls in [*ALL_CLASSES, Autoencoder, TabularNetClassifier]:
        link = f"https://docs.example/reference/generated/skneural.{cls.__name__}.html"
        assert f'href="{link}"' in cls()._repr_html_()
    assert "docs.example" not in StandardScaler()._repr_html_()
