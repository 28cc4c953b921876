"""Contract: a file of an estimator gives it back, bit for bit, asks for what it does not hold, and stays for later."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from parts_of_users import Bound, Kernel, Penalty, PowerLoss, Start
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer

import skneural
from skneural import (
    Autoencoder,
    ConvNetClassifier,
    DeepEmbeddedClustering,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    NeighborEmbedding,
    RecurrentNetRegressor,
    Seq2SeqTranslator,
    TabularNetClassifier,
    TabularNetRegressor,
)
from skneural._stored.all_forms import FORMS
from skneural._stored.forms import Reader, Writer
from skneural._stored.own_forms import own_names, own_thing

DATA = Path(__file__).parent / "data"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = np.where(X[:, 0] > X[:, 1], "one", "other")
VALUES = 1000 * X[:, 0] - 10
IMAGES = RNG.random((24, 8, 8))
SEQUENCES = RNG.normal(size=(24, 6, 2))
TABLE = pd.DataFrame({"number": X[:, 0], "colour": pd.Categorical(np.where(X[:, 2] > 0, "red", "blue"))})
SOURCES, TRANSLATIONS = ["ab cd", "cd", "dc ab"] * 4, ["x", "y z", "z"] * 4


def build_classifier(meta):
    return keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(4, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(meta["n_classes_"], activation="softmax"),
        ]
    )


def double(x):
    return 2 * x


def ready_model(*layers):
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2, activation="softmax")])


SHORT = {"epochs": 2, "random_state": 0}
OF_CLASSES = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", **SHORT}
FITS = {
    "dense": (DenseNetClassifier((4,), dropout=0.2, batch_normalization=True, **SHORT), X, LABELS),
    "dense regressor": (DenseNetRegressor((4,), optimizer="adamw", optimizer__weight_decay=0.01, **SHORT), X, VALUES),
    "parts": (
        DenseNetRegressor(
            (4,), loss=keras.losses.Huber(delta=0.3), metrics=["mae"], kernel_initializer="he_normal", **SHORT
        ),
        X,
        VALUES,
    ),
    "generator": (DenseNetClassifier((4,), epochs=2, random_state=np.random.RandomState(3)), X, LABELS),
    "conv": (ConvNetClassifier(filters=(4,), **SHORT), IMAGES, np.arange(24) % 2),
    "recurrent": (RecurrentNetRegressor(units=(4,), **SHORT), SEQUENCES, np.arange(24.0)),
    "tabular": (TabularNetClassifier((4,), n_members=2, **SHORT), TABLE, LABELS),
    "quantiles": (TabularNetRegressor((4,), n_members=2, loss="quantile", quantiles=[0.2, 0.8], **SHORT), X, VALUES),
    "autoencoder": (Autoencoder(n_components=2, hidden_layer_sizes=(4,), **SHORT), X, None),
    "embedding": (NeighborEmbedding(n_neighbors=5, hidden_layer_sizes=(4,), **SHORT), X, None),
    "clusters": (DeepEmbeddedClustering(2, hidden_layer_sizes=(4,), **SHORT), X, None),
    "idec": (DeepEmbeddedClustering(2, method="idec", hidden_layer_sizes=(4,), **SHORT), X, None),
    "translator": (
        Seq2SeqTranslator(
            d_model=16, n_heads=1, d_feedforward=16, n_encoder_layers=1, n_decoder_layers=1, tokenizer="char", **SHORT
        ),
        SOURCES,
        TRANSLATIONS,
    ),
    "function": (KerasClassifier(build_classifier, **OF_CLASSES), X, LABELS),
    "ready model": (KerasClassifier(ready_model(keras.layers.Dense(3, activation="relu")), **OF_CLASSES), X, LABELS),
}
GIVEN = {"function": {"build_classifier": build_classifier}}


def fitted(estimator, rows, target):
    estimator = clone(estimator)
    return estimator.fit(rows) if target is None else estimator.fit(rows, target)


def answers(estimator, rows):
    methods = ("predict_proba", "transform", "predict")
    return [np.asarray(getattr(estimator, name)(rows)) for name in methods if hasattr(estimator, name)]


def assert_same(one, other, rows):
    for found, expected in zip(answers(one, rows), answers(other, rows), strict=True):
        assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:The clusters:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", FITS)
def test_what_is_loaded_answers_the_same_and_goes_on_the_same(name, tmp_path):
    estimator, rows, target = FITS[name]
    original = fitted(estimator, rows, target)
    path = tmp_path / "model.skn"
    original.save(path)
    loaded = skneural.load(path, custom_objects=GIVEN.get(name))
    assert type(loaded) is type(original)
    assert list(vars(loaded)) == list(vars(original))
    assert loaded.history_ == original.history_
    assert_same(loaded, original, rows)
    for one in (original, loaded):
        if hasattr(one, "partial_fit"):
            one.partial_fit(rows) if target is None else one.partial_fit(rows, target)
        if "warm_start" in one.get_params():
            one.set_params(warm_start=True)
            one.fit(rows) if target is None else one.fit(rows, target)
    assert_same(loaded, original, rows)
    assert loaded.history_ == original.history_


def test_an_estimator_that_was_not_fitted_comes_back_with_its_parameters(tmp_path):
    estimator = DenseNetClassifier((4, 5), learning_rate=0.5, class_weight={"one": 2.0}, tol=float(np.float32(0.1)))
    with config_context(enable_metadata_routing=True):
        estimator.set_fit_request(sample_weight=True).save(tmp_path / "model.skn")
        loaded = skneural.load(tmp_path / "model.skn")
        assert loaded.get_metadata_routing().fit.requests["sample_weight"] is True
        assert str(loaded.get_metadata_routing()) == str(estimator.get_metadata_routing())
    assert loaded.get_params() == estimator.get_params()
    assert not loaded.initialized_


def test_what_is_not_in_a_file_is_asked_for_by_name(tmp_path):
    path = tmp_path / "model.skn"
    clone(FITS["function"][0]).save(path)
    said = (
        "does not hold functions, classes or parameters of the user's own: 'build_classifier'. Give them: skneural.load"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        skneural.load(path)
    assert skneural.load(path, {"build_classifier": build_classifier}).model is build_classifier


class TwiceAsSure(DenseNetClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X) ** 2


USERS = {
    "activation": (DenseNetRegressor((4,), activation=double, **SHORT), {"double": double}),
    "layer": (
        KerasRegressor(
            keras.Sequential([keras.Input((3,)), Kernel(2), keras.layers.Dense(1)]),
            loss=PowerLoss(1.5),
            optimizer="sgd",
            **SHORT,
        ),
        {"Kernel": Kernel, "PowerLoss": PowerLoss, "Penalty": Penalty, "Start": Start, "Bound": Bound},
    ),
    "class": (TwiceAsSure((4,), **SHORT), {"TwiceAsSure": TwiceAsSure}),
}


@pytest.mark.parametrize("name", USERS)
def test_functions_layers_and_classes_of_users_are_given_by_name(name, tmp_path):
    estimator, objects = USERS[name]
    original = fitted(estimator, X, LABELS if name == "class" else VALUES)
    original.save(tmp_path / "model.skn")
    loaded = skneural.load(tmp_path / "model.skn", objects)
    assert type(loaded) is type(original)
    assert_same(loaded, original, X)
    with pytest.raises(ValueError, match=f"'{next(iter(objects))}'"):
        skneural.load(tmp_path / "model.skn")


def test_a_parameter_without_a_name_is_asked_for_by_the_name_of_the_parameter(tmp_path):
    def twice(x):
        return 2 * x

    twice.__name__ = "<lambda>"
    stops = [keras.callbacks.EarlyStopping("loss")]
    DenseNetRegressor((4,), activation=twice, callbacks=stops).save(tmp_path / "model.skn")
    with pytest.raises(ValueError, match="'activation', 'callbacks'"):
        skneural.load(tmp_path / "model.skn")
    loaded = skneural.load(tmp_path / "model.skn", {"activation": twice, "callbacks": stops})
    assert loaded.activation is twice
    assert loaded.callbacks is stops


def test_code_in_a_model_is_not_saved(tmp_path):
    with_code = KerasClassifier(ready_model(keras.layers.Lambda(lambda x: 2 * x)), **OF_CLASSES)
    with_code.save(tmp_path / "model.skn")
    with pytest.raises(ValueError, match="'model'"):
        skneural.load(tmp_path / "model.skn")
    with pytest.raises(ValueError, match=r"holds a network with code in its layers, .*Pickle it with cloudpickle"):
        clone(with_code).fit(X, LABELS).save(tmp_path / "model.skn")


def test_two_functions_of_one_name_are_refused(tmp_path):
    def other(x):
        return x

    other.__name__ = "double"
    with pytest.raises(ValueError, match="two of its parts have the name 'double'"):
        DenseNetRegressor((4, 4), activation=[double, other]).save(tmp_path / "model.skn")


PLAIN = [
    [None, True, -3, 2**70, 0.1, float("inf"), -0.0, "text \ud800", b"bytes", 1 - 2j],
    (1, (2.5, [3]), {"a": {1: None}}),
    {"set": {1, 2}, "frozen": frozenset({"a"})},
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6, dtype=np.int8).reshape(2, 3)),
    np.array(["one", "three"]),
    np.array(["2024-01-01", "NaT"], "datetime64[D]"),
    np.array([["a", None], [1.5, "b"]], dtype=object),
    np.float32(0.1),
    np.str_("text"),
    np.datetime64("2024-05-06T07:08"),
    np.bool_(True),
    [np.dtype("float32"), np.dtype("<U5"), np.dtype(object), np.dtype("datetime64[s]")],
    [int, type(None), np.float64, np.int32, keras.optimizers.Adam, keras.activations.relu, keras.losses.Huber],
    [datetime.date(2024, 5, 6), datetime.datetime(2024, 5, 6, 7, 8), datetime.time(1, 2), datetime.timedelta(3, 4, 5)],
    [Decimal("1.10"), Path("a/b"), pd.Timedelta("5min"), pd.Timedelta(7, "ns")],
]


def through_plain_data(value):
    writer = Writer(FORMS)
    node = writer.node(value)
    assert not writer.given
    return Reader(FORMS, writer.arrays, []).value(node)


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: str(value)[:30])
def test_values_come_back_with_their_types(value):
    found = through_plain_data(value)
    assert repr(found) == repr(value)
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.flags.f_contiguous == value.flags.f_contiguous


def test_nan_sparse_rows_and_generators_come_back():
    assert np.isnan(through_plain_data(float("nan")))
    rows = sparse.csr_array(np.diag([1.0, 2.0]))
    assert_array_equal(through_plain_data(rows).toarray(), rows.toarray())
    legacy, modern = np.random.RandomState(1), np.random.default_rng(1)
    one, again, other = through_plain_data([legacy, legacy, modern])
    assert one is again
    assert one.randint(1000) == legacy.randint(1000)
    assert other.random() == modern.random()
    assert through_plain_data(FunctionTransformer()).func is None


def test_numbers_of_bfloat16_come_back():
    value = keras.ops.convert_to_numpy(keras.ops.cast([[1.5], [2.0]], "bfloat16"))
    found = through_plain_data(value)
    assert (found.dtype, found.tolist()) == (value.dtype, value.tolist())
    assert through_plain_data(value[0, 0]) == 1.5
    assert type(through_plain_data(value[0, 0])) is type(value[0, 0])


def test_parts_of_keras_come_back_with_all_of_their_arguments():
    loss, metric, optimizer, schedule, penalty = through_plain_data(
        [
            keras.losses.Huber(delta=0.25),
            keras.metrics.TopKCategoricalAccuracy(k=3, name="three"),
            keras.optimizers.SGD(0.5, momentum=0.25, nesterov=True),
            keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.25),
            keras.regularizers.L1L2(0.5, 0.25),
        ]
    )
    assert float(loss([[0.0]], [[10.0]])) == pytest.approx(0.25 * (10 - 0.125))
    assert (metric.get_config()["k"], metric.name) == (3, "three")
    assert (float(optimizer.learning_rate), optimizer.momentum, optimizer.nesterov) == (0.5, 0.25, True)
    assert float(schedule(10)) == pytest.approx(0.125)
    assert float(penalty(keras.ops.convert_to_tensor([2.0]))) == pytest.approx(0.5 * 2 + 0.25 * 4)


def test_all_names_of_the_closed_list_stand_for_something():
    assert all(callable(own_thing(name)) for name in own_names())


# Files of format 1, which each later version reads. They were written with these estimators and are never written anew.
KEPT = {
    "dense-1.skn": (DenseNetClassifier((2,), epochs=1, random_state=0), X[:, :2], LABELS),
    "tabular-1.skn": (TabularNetClassifier((2,), n_members=2, n_bins=2, epochs=1, random_state=0), TABLE, LABELS),
    "function-1.skn": (KerasClassifier(build_classifier, **OF_CLASSES | {"epochs": 1}), X, LABELS),
}


@pytest.mark.parametrize("name", KEPT)
def test_files_of_earlier_versions_are_read(name):
    estimator, rows, target = KEPT[name]
    loaded = skneural.load(DATA / name, {"build_classifier": build_classifier})
    assert loaded.get_params() == estimator.get_params()
    assert_array_equal(loaded.classes_, np.unique(target))
    expected = np.load(DATA / name.replace(".skn", ".npy"))
    np.testing.assert_allclose(loaded.predict_proba(rows[:5]), expected, atol=1e-6)
    loaded.partial_fit(rows, target)
    assert loaded.n_iter_ == 2
    assert_array_equal(loaded.predict(rows[:5]), loaded.classes_[loaded.predict_proba(rows[:5]).argmax(axis=1)])
