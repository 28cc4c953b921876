"""Targets: what y may be, what the network learns of it, and what comes back."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.metrics import log_loss, r2_score

from skneural import DenseNetClassifier, DenseNetRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
# Each class lies on its own side, so that a mistaken order of classes or columns shows as a low score.
CODES = X.argmax(axis=1)
LABELS = (X > 0).astype(int)
SLOPES = np.array([[1.0, -2.0, 0.5], [-3.0, 0.0, 1.0]])
TARGETS = X @ SLOPES.T


def classifier(**parameters):
    return DenseNetClassifier(
        (), **({"epochs": 80, "learning_rate": 0.1, "batch_size": 60, "l2": 0.0, "random_state": 0} | parameters)
    )


def regressor(**parameters):
    return DenseNetRegressor(
        (), **({"epochs": 100, "learning_rate": 0.1, "batch_size": 60, "l2": 0.0, "random_state": 0} | parameters)
    )


# --- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "c", "a"])[CODES],
        np.array(["b", "c", "a"], dtype=object)[CODES],
        np.array(["b", "c", "a"])[CODES].tolist(),
        np.array([10, -3, 7])[CODES],
        np.array([10, -3, 7], dtype=np.int8)[CODES],
        np.array([2, 0, 1], dtype=np.uint64)[CODES],
        np.array([1.0, 3.0, 2.0])[CODES],
        np.array([10, -3, 7], dtype=object)[CODES],
        pd.Series(np.array(["b", "c", "a"])[CODES], index=np.arange(60)[::-1]),
        pd.Series(np.array(["b", "c", "a"])[CODES]).astype("category"),
        pd.Categorical(np.array(["b", "c", "a"])[CODES], categories=["c", "unused", "b", "a"], ordered=True),
        pd.Series(np.array([10, -3, 7])[CODES]).astype("category"),
        pd.Series(np.array([10, -3, 7])[CODES], dtype="Int64"),
        pd.Series(np.array(["b", "c", "a"])[CODES], dtype="string"),
        pd.Series(np.array([1.0, 3.0, 2.0])[CODES], dtype="Float32"),
        np.array(["b", "c", "a"])[CODES].astype(np.dtypes.StringDType()),
        pa.array(np.array(["b", "c", "a"])[CODES].tolist()),
        pa.chunked_array([np.array(["b", "c", "a"])[CODES].tolist()]).dictionary_encode(),
        pa.array(np.array([10, -3, 7])[CODES]),
    ],
    ids=[
        "str",
        "object",
        "list",
        "int",
        "int8",
        "uint64",
        "float",
        "object of ints",
        "Series",
        "Series of categories",
        "Categorical with unused",
        "categories of ints",
        "Int64",
        "string",
        "Float32",
        "strings of NumPy 2",
        "strings of Arrow",
        "categories of Arrow",
        "int of Arrow",
    ],
)
def test_three_classes_of_any_type(labels):
    model = classifier().fit(X, labels)
    values = np.asarray(labels if getattr(labels, "dtype", "") != np.dtypes.StringDType() else labels.astype(object))
    np.testing.assert_array_equal(model.classes_, np.unique(values))
    assert (model.classes_.dtype.kind == "f") == isinstance(values.tolist()[0], float)
    predictions = model.predict(X)
    assert predictions.shape == (60,)
    assert (predictions == values).mean() > 0.95
    columns = np.searchsorted(model.classes_, values)
    assert (model.predict_proba(X).argmax(axis=1) == columns).mean() > 0.95
    assert model.n_classes_ == 3
    assert model.n_outputs_ == 1
    # scikit-learn's own metrics take no objects that are numbers.
    assert model.score(X, values.tolist()) > 0.95


@pytest.mark.parametrize(
    "labels",
    [
        X[:, 0] > 0,
        (X[:, 0] > 0).tolist(),
        (X[:, 0] > 0).astype(object),
        pd.Series(X[:, 0] > 0, dtype="boolean"),
        np.where(X[:, 0] > 0, 1, -1),
        np.where(X[:, 0] > 0, "no", "yes"),
        np.where(X[:, 0] > 0, 1.0, 0.0)[:, np.newaxis].ravel(),
    ],
    ids=["bool", "list of bool", "object of bool", "boolean", "-1 and 1", "str", "float"],
)
def test_two_classes_of_any_type(labels):
    model = classifier().fit(X, labels)
    values = np.asarray(labels)
    np.testing.assert_array_equal(model.classes_, np.unique(values))
    assert (model.predict(X) == values).mean() > 0.95
    assert model.predict(X).dtype.kind == np.array(values.tolist()).dtype.kind
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (60, 2)
    assert (probabilities[:, 1] > 0.5).tolist() == (model.predict(X) == model.classes_[1]).tolist()
    assert model.model_.output_shape == (None, 1)


def test_column_of_labels_warns_and_works():
    with pytest.warns(UserWarning, match="A column-vector y was passed when a 1d array was expected"):
        model = classifier(epochs=1).fit(X, CODES[:, np.newaxis])
    assert model.predict(X).shape == (60,)


@pytest.mark.parametrize("labels", [CODES, CODES == 0, LABELS], ids=["three", "two", "multilabel"])
def test_probabilities_of_one_row_have_two_dimensions(labels):
    model = classifier(epochs=1).fit(X, labels)
    alone = model.predict_proba(X[:1])
    assert alone.shape == (1, 3 if labels.dtype != bool else 2)
    np.testing.assert_allclose(alone, model.predict_proba(X)[:1], rtol=1e-5)
    assert model.predict(X[:1]).shape == ((1, 3) if labels.ndim == 2 else (1,))


@pytest.mark.parametrize("loss", ["auto", "categorical_crossentropy", "mse", "mae"])
@pytest.mark.parametrize("labels", [CODES, CODES == 0], ids=["three", "two"])
def test_probabilities_sum_to_one(labels, loss):
    probabilities = classifier(loss=loss, epochs=5).fit(X, labels).predict_proba(1000 * X)
    assert probabilities.min() >= 0.0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-6)


# --- multilabel -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(bool),
        LABELS.astype(float),
        pd.DataFrame(LABELS, columns=["a", "b", "c"]),
        sparse.csr_matrix(LABELS),
        sparse.csc_array(LABELS),
    ],
    ids=["int", "bool", "float", "DataFrame", "csr_matrix", "csc_array"],
)
def test_multilabel(labels):
    model = classifier().fit(X, labels)
    assert model.target_type_ == "multilabel-indicator"
    assert model.n_outputs_ == 3
    assert model.classes_.tolist() == [0, 1, 2]
    predictions, probabilities = model.predict(X), model.predict_proba(X)
    assert predictions.shape == probabilities.shape == (60, 3)
    # Each column has to be learnt by its own feature.
    assert (predictions == LABELS).mean(axis=0).min() > 0.9
    np.testing.assert_array_equal(predictions, probabilities > 0.5)
    assert model.model_.layers[-1].activation is keras.activations.sigmoid
    assert model.score(X, LABELS) == (predictions == LABELS).all(axis=1).mean()


def test_labels_that_stand_alone_are_still_multilabel():
    with pytest.warns(UserWarning, match="Each row of y has exactly one 1, and y is taken for labels that may stand"):
        model = classifier().fit(X, np.eye(3, dtype=int)[CODES])
    assert model.target_type_ == "multilabel-indicator"
    assert not np.allclose(model.predict_proba(X).sum(axis=1), 1.0, atol=1e-3)


def test_one_hot_labels_with_an_exclusive_loss_are_classes():
    one_hot = classifier(loss="categorical_crossentropy").fit(X, np.eye(3, dtype=int)[CODES])
    assert one_hot.model_.layers[-1].activation is keras.activations.softmax
    np.testing.assert_allclose(one_hot.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)
    predictions = one_hot.predict(X)
    assert predictions.shape == (60, 3)
    np.testing.assert_array_equal(predictions.sum(axis=1), 1)
    numbers = classifier(loss="categorical_crossentropy").fit(X, CODES)
    np.testing.assert_array_equal(predictions.argmax(axis=1), numbers.predict(X))
    np.testing.assert_allclose(one_hot.predict_proba(X), numbers.predict_proba(X), rtol=1e-4)


# --- losses of classes ----------------------------------------------------------------------------------------------


def test_class_numbers_and_indicators_are_the_same_loss():
    sparse_loss = classifier(loss="sparse_categorical_crossentropy").fit(X, CODES)
    dense_loss = classifier(loss="categorical_crossentropy").fit(X, CODES)
    auto = classifier().fit(X, CODES)
    np.testing.assert_allclose(sparse_loss.loss_curve_, dense_loss.loss_curve_, rtol=1e-4)
    np.testing.assert_array_equal(auto.predict_proba(X), sparse_loss.predict_proba(X))


def test_loss_is_the_cross_entropy_of_the_labels():
    model = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1).fit(X, CODES)
    np.testing.assert_allclose(model.loss_curve_[0], log_loss(CODES, model.predict_proba(X)), rtol=1e-5)
    binary = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1).fit(X, CODES == 0)
    np.testing.assert_allclose(binary.loss_curve_[0], log_loss(CODES == 0, binary.predict_proba(X)), rtol=1e-5)


def test_two_exclusive_outputs_learn_what_one_sigmoid_learns():
    one = classifier(epochs=300).fit(X, X[:, 0] + RNG.normal(size=60) > 0)
    rng = np.random.default_rng(0)
    rng.normal(size=(60, 3))
    two = classifier(epochs=300, loss="sparse_categorical_crossentropy").fit(X, X[:, 0] + rng.normal(size=60) > 0)
    assert two.model_.output_shape == (None, 2)
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=0.02)


@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        (CODES, keras.losses.SparseCategoricalCrossentropy),
        (CODES, keras.losses.CategoricalCrossentropy),
        (CODES == 0, keras.losses.BinaryCrossentropy),
        (LABELS, keras.losses.BinaryCrossentropy),
    ],
)
def test_loss_from_logits_gives_the_same_probabilities(labels, loss):
    plain = classifier(loss=loss()).fit(X, labels)
    for given in ({"loss": loss(from_logits=True)}, {"loss": loss, "loss__from_logits": True}):
        logits = classifier(**given).fit(X, labels)
        assert logits.model_.layers[-1].activation is keras.activations.linear
        np.testing.assert_allclose(logits.predict_proba(X), plain.predict_proba(X), atol=1e-4)
        np.testing.assert_array_equal(logits.predict(X), plain.predict(X))


def test_arguments_reach_the_automatic_loss():
    plain = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1).fit(X, LABELS)
    smooth = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1, loss__label_smoothing=0.5).fit(X, LABELS)
    probabilities, targets = plain.predict_proba(X), 0.5 * LABELS + 0.25
    expected = -(targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities)).mean()
    np.testing.assert_allclose(smooth.loss_curve_[0], expected, rtol=1e-5)


def test_automatic_loss_smooths_labels_of_many_classes():
    plain = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1).fit(X, CODES)
    smooth = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1, loss__label_smoothing=0.3)
    shares = 0.7 * np.eye(3)[CODES] + 0.1
    expected = -(shares * np.log(plain.predict_proba(X))).sum(axis=1).mean()
    np.testing.assert_allclose(smooth.fit(X, CODES).loss_curve_[0], expected, rtol=1e-5)
    smooth.partial_fit(X, CODES)
    np.testing.assert_allclose(smooth.loss_curve_, [expected] * 2, rtol=1e-5)


def test_automatic_loss_smooths_labels_of_two_classes():
    plain = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1).fit(X, CODES == 0)
    smooth = classifier(optimizer="sgd", learning_rate=1e-9, epochs=1, loss__label_smoothing=0.3).fit(X, CODES == 0)
    probabilities, shares = plain.predict_proba(X)[:, 1], 0.7 * (CODES == 0) + 0.15
    expected = -(shares * np.log(probabilities) + (1 - shares) * np.log(1 - probabilities)).mean()
    np.testing.assert_allclose(smooth.loss_curve_[0], expected, rtol=1e-5)
    assert smooth.model_.output_shape == (None, 1)


def test_loss_of_the_users_own_sees_class_indicators():
    def squares(y_true, y_pred):
        return keras.ops.sum(keras.ops.square(y_true - y_pred), axis=-1)

    model = classifier(loss=squares, optimizer="sgd", learning_rate=1e-9, epochs=1).fit(X, CODES)
    expected = np.square(np.eye(3)[CODES] - model.predict_proba(X)).sum(axis=1).mean()
    np.testing.assert_allclose(model.loss_curve_[0], expected, rtol=1e-5)


# --- partial_fit ----------------------------------------------------------------------------------------------------


def test_partial_fit_takes_classes_that_come_later():
    model = classifier()
    names = np.array(["b", "c", "a"])[CODES]
    first, second = CODES < 2, CODES == 2
    model.partial_fit(X[first], names[first], classes=["c", "a", "b"])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.predict_proba(X).shape == (60, 3)
    for _ in range(40):
        model.partial_fit(X[second], names[second])
        model.partial_fit(X[first], names[first])
    assert model.score(X, names) > 0.9


def test_partial_fit_of_two_classes_with_a_third_to_come_builds_three_outputs():
    model = classifier().partial_fit(X, CODES == 0, classes=[0, 1, 2])
    assert model.model_.output_shape == (None, 3)


def test_partial_fit_on_rows_of_one_class():
    model = classifier().partial_fit(X, np.zeros(60, int), classes=[0, 1])
    before = model.predict_proba(X)[:, 0].mean()
    for _ in range(5):
        model.partial_fit(X, np.zeros(60, int))
    assert model.predict_proba(X)[:, 0].mean() > before


def test_partial_fits_are_the_epochs_of_one_fit():
    parameters = {"batch_size": 16, "epochs": 3}
    whole = classifier(**parameters).fit(X, CODES)
    parts = classifier(**parameters)
    for _ in range(3):
        parts.partial_fit(X, CODES)
    assert parts.n_iter_ == 3
    np.testing.assert_allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(parts.predict_proba(X), whole.predict_proba(X), rtol=1e-4)


# --- regression -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y",
    [
        TARGETS[:, 0],
        TARGETS[:, 0].astype(np.float32),
        TARGETS[:, 0].tolist(),
        pd.Series(TARGETS[:, 0], index=np.arange(60)[::-1]),
        pd.Series(TARGETS[:, 0], dtype="Float64"),
        np.round(100 * TARGETS[:, 0]).astype(int),
        TARGETS[:, 0].astype(object),
        X[:, 0] > 0,
    ],
    ids=["float64", "float32", "list", "Series", "Float64", "int", "object", "bool"],
)
def test_one_output_of_any_type(y):
    model = regressor().fit(X, y)
    predictions = model.predict(X)
    assert predictions.shape == (60,)
    assert predictions.dtype == np.float64
    assert model.n_outputs_ == 1
    values = np.asarray(y, dtype=float)
    assert r2_score(values, predictions) > (0.6 if set(values) == {0, 1} else 0.999)
    assert model.predict(X[:1]).shape == (1,)


@pytest.mark.parametrize(
    "y", [TARGETS, pd.DataFrame(TARGETS, columns=["u", "v"]), TARGETS.tolist(), np.asfortranarray(TARGETS)]
)
def test_several_outputs(y):
    model = regressor().fit(X, y)
    assert model.n_outputs_ == 2
    assert model.predict(X).shape == (60, 2)
    np.testing.assert_allclose(model.predict(X), TARGETS, atol=0.05)
    assert model.predict(X[:1]).shape == (1, 2)


def test_single_column_of_targets_warns_and_predicts_a_vector():
    with pytest.warns(UserWarning, match="A column-vector y was passed when a 1d array was expected"):
        model = regressor(epochs=1).fit(X, TARGETS[:, :1])
    assert model.predict(X).shape == (60,)


@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0.0), (1e-6, 0.0), (1.0, 1e4), (-1e9, 3e9)])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_units_of_the_target_do_not_matter(scale, shift, early_stopping):
    parameters = {"epochs": 30, "early_stopping": early_stopping}
    plain = regressor(**parameters).fit(X, TARGETS[:, 0])
    other = regressor(**parameters).fit(X, scale * TARGETS[:, 0] + shift)
    sign = np.sign(scale)
    if sign > 0:
        np.testing.assert_allclose(other.loss_curve_, plain.loss_curve_, rtol=1e-3)
        np.testing.assert_allclose((other.predict(X) - shift) / scale, plain.predict(X), atol=1e-3)
    assert abs(other.score(X, scale * TARGETS[:, 0] + shift) - plain.score(X, TARGETS[:, 0])) < (
        1e-4 if sign > 0 else 0.05
    )


def test_each_output_has_units_of_its_own():
    units = np.array([1e6, 1e-3])
    model = regressor().fit(X, TARGETS * units + [5e6, 0.0])
    np.testing.assert_allclose((model.predict(X) - [5e6, 0.0]) / units, TARGETS, atol=0.05)


def test_scaling_follows_the_weights():
    weights = np.arange(60) % 4
    weighted = regressor(epochs=20, batch_size=90).fit(X, TARGETS[:, 0] ** 3, sample_weight=weights)
    repeated = regressor(epochs=20, batch_size=90).fit(X.repeat(weights, axis=0), TARGETS[:, 0].repeat(weights) ** 3)
    np.testing.assert_array_equal(weighted.predict(X), repeated.predict(X))


def test_constant_target_is_predicted():
    np.testing.assert_allclose(regressor().fit(X, np.full(60, 7.0)).predict(X), 7.0, atol=0.05)


@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_poisson_keeps_predictions_positive_in_any_unit(unit):
    counts = unit * np.exp(X[:, 0])
    model = regressor(loss="poisson", epochs=300).fit(X, counts)
    predictions = model.predict(X)
    assert predictions.min() > 0.0
    # The optimum of a Poisson regression with a bias reproduces the total.
    np.testing.assert_allclose(predictions.sum(), counts.sum(), rtol=0.05)
    assert np.corrcoef(np.log(predictions), X[:, 0])[0, 1] > 0.9


@pytest.mark.parametrize(
    "loss",
    ["mse", "mae", "huber", "log_cosh", "mean_squared_error", "MeanAbsoluteError", keras.losses.Huber(delta=0.5)],
)
def test_losses_of_numbers(loss):
    assert regressor(loss=loss).fit(X, 1e3 * TARGETS[:, 0]).score(X, 1e3 * TARGETS[:, 0]) > 0.99


def test_logarithmic_and_percentage_losses():
    positive = np.exp(0.3 * X[:, 0]) + 1.0
    logarithmic = regressor(loss="msle", epochs=300).fit(X, positive)
    assert logarithmic.predict(X).min() > 0.0
    assert logarithmic.score(X, positive) > 0.9
    assert regressor(loss="mape", epochs=300).fit(X, 1e5 * positive).score(X, 1e5 * positive) > 0.9


def test_absolute_error_finds_the_median_and_squared_error_the_mean():
    zeros = np.zeros((9, 1))
    y = np.array([0.0] * 5 + [90.0] * 4)
    parameters = {"epochs": 400, "learning_rate": 0.02}
    np.testing.assert_allclose(regressor(loss="mse", **parameters).fit(zeros, y).predict(zeros), 40.0, atol=1.0)
    np.testing.assert_allclose(regressor(loss="mae", **parameters).fit(zeros, y).predict(zeros), 0.0, atol=2.0)


def test_partial_fit_keeps_the_units_of_the_first_call():
    model = regressor(learning_rate=0.05).partial_fit(X, 1e6 * TARGETS[:, 0])
    for _ in range(150):
        model.partial_fit(X[:30], 1e6 * TARGETS[:30, 0])
        model.partial_fit(X[30:], 1e6 * TARGETS[30:, 0])
    assert model.score(X, 1e6 * TARGETS[:, 0]) > 0.99
