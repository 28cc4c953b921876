"""What a classifier's network says: probabilities or none, margins, one class, and the layout that its loss takes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import hinge_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score

from skneural import ConvNetClassifier, DenseNetClassifier, KerasClassifier, RecurrentNetClassifier
from skneural._estimators.class_losses import layout_for

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
CODES = X.argmax(axis=1)
SIDES = np.where(X[:, 0] > 0, 1, -1)
LABELS = (X > 0).astype(int)


def users(units, activation, loss, **compiled):
    """A KerasClassifier of one dense layer."""

    def build():
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(units, activation)])
        model.compile(keras.optimizers.SGD(0.1), loss, **compiled)
        return model

    return KerasClassifier(build, epochs=5, random_state=0)


def family(cls, **parameters):
    shape = {
        ConvNetClassifier: {"image_shape": (1, 3), "filters": 2, "kernel_size": 1, "pooling": None},
        RecurrentNetClassifier: {"units": 2, "filters": ()},
        DenseNetClassifier: {"hidden_layer_sizes": (4,)},
    }[cls]
    return cls(**({"epochs": 2, "random_state": 0} | shape | parameters))


FAMILIES = [DenseNetClassifier, ConvNetClassifier, RecurrentNetClassifier]


# --- probabilities --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classifier", "y", "problem", "end"),
    [
        (users(1, None, "binary_crossentropy"), SIDES, "are negative", "sigmoid"),
        (users(1, "softplus", "binary_crossentropy"), SIDES, "are above one", "sigmoid"),
        (users(3, None, "binary_crossentropy"), LABELS, "are negative", "sigmoid"),
        (users(3, "softplus", "mse"), LABELS, "are above one", "sigmoid"),
        (users(3, None, "categorical_crossentropy"), CODES, "are negative", "softmax"),
        (users(3, "softplus", "mse"), CODES, "are above one", "softmax"),
        (users(3, "softplus", "mse"), np.eye(3, dtype=int)[CODES], "are above one", "softmax"),
    ],
    ids=["one", "one above", "labels", "labels above", "classes", "classes above", "one-hot"],
)
def test_outputs_that_are_no_probabilities(classifier, y, problem, end):
    classifier = classifier.fit(X, y)
    message = (
        f"^The network's outputs are no probabilities: some {problem}. End the model in a {end}, or give a loss with "
        "from_logits=True.$"
    )
    with pytest.raises(ValueError, match=message):
        classifier.predict_proba(50 * X)
    assert classifier.predict(X).shape == np.shape(y)


def test_rows_of_zeros_are_no_probabilities():
    classifier = users(3, "relu", "mse").fit(X, CODES)
    classifier.model_.set_weights([np.eye(3) / 100, np.zeros(3)])
    np.testing.assert_allclose(classifier.predict_proba([[1.0, 1.0, 2.0]]), [[0.25, 0.25, 0.5]], rtol=1e-6)
    with pytest.raises(ValueError, match="some are zero for every class of a row"):
        classifier.predict_proba([[1.0, 1.0, 2.0], [-1.0, -1.0, -1.0]])


def test_logits_of_one_output_become_probabilities():
    classifier = users(1, None, keras.losses.BinaryCrossentropy(from_logits=True)).fit(X, SIDES)
    kernel, bias = classifier.model_.get_weights()
    expected = 1 / (1 + np.exp(-(X @ kernel + bias)))
    np.testing.assert_allclose(classifier.predict_proba(X)[:, 1:], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("cls", "y"),
    [
        (DenseNetClassifier, SIDES),
        (DenseNetClassifier, CODES),
        (DenseNetClassifier, LABELS),
        (ConvNetClassifier, SIDES),
        (RecurrentNetClassifier, CODES),
    ],
)
def test_logarithms_of_probabilities(cls, y):
    classifier = family(cls).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_log_proba(X), np.log(classifier.predict_proba(X)))


def test_logarithm_of_zero():
    classifier = users(1, "sigmoid", "binary_crossentropy").fit(X, SIDES)
    classifier.model_.set_weights([np.array([[500.0], [0.0], [0.0]]), np.zeros(1)])
    np.testing.assert_array_equal(classifier.predict_log_proba([[1.0, 0.0, 0.0]]), [[-np.inf, 0.0]])


# --- margins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", keras.losses.Hinge(), keras.losses.squared_hinge])
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_margins_of_two_classes(loss, activation):
    classifier = users(1, activation, loss).fit(X, SIDES)
    kernel, bias = classifier.model_.get_weights()
    values = (X @ kernel + bias)[:, 0]
    expected = np.tanh(values) if activation else values
    np.testing.assert_allclose(classifier.decision_function(X), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(classifier.predict(X), np.where(expected > 0, 1, -1))
    assert not hasattr(classifier, "predict_proba")
    assert not hasattr(classifier, "predict_log_proba")
    with pytest.raises(AttributeError) as caught:
        _ = classifier.predict_proba
    assert "gives margins and no probabilities. Use decision_function, or another loss." in str(caught.value.__cause__)


def test_hinge_behind_a_sigmoid_is_cut_in_its_middle():
    classifier = users(1, "sigmoid", "hinge").fit(X, SIDES)
    assert not hasattr(classifier, "decision_function")
    np.testing.assert_array_equal(classifier.predict(X) == 1, classifier.predict_proba(X)[:, 1] > 0.5)


@pytest.mark.parametrize(
    ("cls", "loss", "y", "shape"),
    [
        (DenseNetClassifier, "hinge", SIDES, (60,)),
        (DenseNetClassifier, keras.losses.SquaredHinge, CODES, (60, 3)),
        (DenseNetClassifier, keras.losses.Hinge(), LABELS, (60, 3)),
        (ConvNetClassifier, "squared_hinge", CODES, (60, 3)),
        (RecurrentNetClassifier, keras.losses.Hinge(), SIDES, (60,)),
    ],
)
def test_families_learn_margins(cls, loss, y, shape):
    classifier = family(cls, loss=loss).fit(X, y)
    margins = classifier.decision_function(X)
    assert margins.shape == shape
    assert margins.min() < 0
    expected = classifier.classes_[margins.argmax(axis=1)] if y is CODES else np.where(margins > 0, 1, y.min())
    np.testing.assert_array_equal(classifier.predict(X), expected)
    assert not hasattr(classifier, "predict_proba")
    assert not hasattr(cls(loss=loss), "predict_proba")
    assert hasattr(cls(loss=loss), "decision_function")
    assert not hasattr(cls(), "decision_function")


STILL = {"optimizer": "sgd", "learning_rate": 1e-9, "epochs": 1, "l2": 0.0}


def test_loss_of_margins_is_the_hinge_loss():
    still = family(DenseNetClassifier, loss="hinge", **STILL).fit(X, SIDES)
    np.testing.assert_allclose(still.loss_curve_[0], hinge_loss(SIDES, still.decision_function(X)), rtol=1e-5)
    squared = family(DenseNetClassifier, loss="squared_hinge", **STILL).fit(X, CODES)
    signs = 2 * np.eye(3)[CODES] - 1
    expected = np.square(np.maximum(0, 1 - signs * squared.decision_function(X))).mean()
    np.testing.assert_allclose(squared.loss_curve_[0], expected, rtol=1e-5)


def test_scores_and_calibration_find_the_margins():
    classifier = family(DenseNetClassifier, loss="hinge", epochs=30, learning_rate=0.05)
    scores = cross_val_score(classifier, X, SIDES, cv=3, scoring="roc_auc", error_score="raise")
    assert scores.min() > 0.9
    fitted = classifier.fit(X, SIDES)
    assert roc_auc_score(SIDES, fitted.decision_function(X)) > 0.95
    calibrated = CalibratedClassifierCV(classifier, cv=3).fit(X, SIDES)
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1.0, rtol=1e-6)
    assert calibrated.score(X, SIDES) > 0.9


# --- accuracy in history_ -------------------------------------------------------------------------------------------


BINARY_LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("y", "loss"),
    [
        (SIDES, "auto"),
        (SIDES, "hinge"),
        (SIDES, BINARY_LOGITS),
        (LABELS, "auto"),
        (LABELS, "hinge"),
        (LABELS, BINARY_LOGITS),
        (LABELS, "mse"),
        (CODES, "hinge"),
        (CODES, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ],
)
@pytest.mark.parametrize("name", ["accuracy", "acc"])
def test_accuracy_is_that_of_predict(y, loss, name):
    classifier = family(DenseNetClassifier, loss=loss, activation="tanh", metrics=[name], **STILL)
    classifier.fit(X, y, X_val=X[:20], y_val=y[:20])
    for key, rows in ((name, slice(None)), (f"val_{name}", slice(20))):
        accuracy = (classifier.predict(X[rows]) == y[rows]).mean()
        np.testing.assert_allclose(classifier.history_[key][0], accuracy, rtol=1e-6)


@pytest.mark.parametrize("cls", FAMILIES)
def test_accuracy_of_labels_counts_each_label(cls):
    classifier = family(cls, optimizer="sgd", learning_rate=1e-9, epochs=1, dropout=0.0, batch_size=60)
    if cls is ConvNetClassifier:
        classifier.set_params(batch_normalization=False, augment=False)
    accuracy = classifier.fit(X, LABELS).history_["accuracy"][0]
    np.testing.assert_allclose(accuracy, (classifier.predict(X) == LABELS).mean(), rtol=1e-6)
    largest = classifier.predict_proba(X).argmax(axis=1) == LABELS.argmax(axis=1)
    assert abs(accuracy - largest.mean()) > 0.01


@pytest.mark.parametrize("metrics", ["metrics", "weighted_metrics"])
def test_accuracy_of_a_users_model_counts_each_label(metrics):
    classifier = users(3, "sigmoid", "binary_crossentropy", **{metrics: ["accuracy", "mae"]})
    history = classifier.fit(X, LABELS).history_
    reference = classifier.model()
    reference.compile(
        keras.optimizers.SGD(0.1),
        "binary_crossentropy",
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy"), "mae"],
        run_eagerly=True,
    )
    expected = reference.fit(X, LABELS, epochs=5, batch_size=60, verbose=0).history
    ours = classifier.fit(X, LABELS, batch_size=60).history_
    assert set(ours) == set(history) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5)


def test_metric_of_cross_entropy_counts_each_label():
    classifier = family(DenseNetClassifier, metrics=["ce", "accuracy"], **STILL).fit(X, LABELS)
    np.testing.assert_allclose(classifier.history_["ce"], classifier.history_["loss"], rtol=1e-4)


def test_networks_of_labels_train_in_the_native_engine():
    if family(DenseNetClassifier).fit(X, CODES).engine_ != "native":
        pytest.skip("the native engine was not built, for want of a C compiler")
    assert family(DenseNetClassifier).fit(X, LABELS).engine_ == "native"
    assert users(3, "sigmoid", "binary_crossentropy", metrics=["accuracy"]).fit(X, LABELS).engine_ == "native"


# --- one class ------------------------------------------------------------------------------------------------------


ONE_CLASS = [
    *(family(cls) for cls in FAMILIES),
    family(DenseNetClassifier, loss="sparse_categorical_crossentropy"),
    family(DenseNetClassifier, loss="categorical_crossentropy", class_weight="balanced"),
    family(DenseNetClassifier, early_stopping=True, loss__label_smoothing=0.1),
    users(1, "sigmoid", "binary_crossentropy"),
    users(2, "softmax", "categorical_crossentropy"),
    users(3, "softmax", "sparse_categorical_crossentropy"),
]


@pytest.mark.parametrize(("classifier", "label"), [(one, ["a", 7, True][n % 3]) for n, one in enumerate(ONE_CLASS)])
def test_one_class_is_learned(classifier, label):
    y = [label] * 60
    classifier = classifier.fit(X, y)
    assert classifier.classes_.tolist() == [label]
    assert classifier.predict(X).tolist() == y
    assert classifier.score(X, y) == 1.0
    np.testing.assert_array_equal(classifier.predict_proba(X), np.ones((60, 1)))
    np.testing.assert_array_equal(classifier.predict_log_proba(X), np.zeros((60, 1)))


def test_a_search_keeps_candidates_whose_folds_lack_a_class():
    y = np.repeat(["a", "b"], 30)
    folds = TimeSeriesSplit(3)
    assert [len(set(y[train])) for train, _ in folds.split(X)] == [1, 1, 2]
    search = GridSearchCV(family(DenseNetClassifier), {"epochs": [1, 2]}, cv=folds, error_score="raise").fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    scores = cross_val_score(users(2, "softmax", "sparse_categorical_crossentropy"), X, y, cv=folds)
    # The first fold tests 15 rows of the class that it knows, the second 15 of the other.
    assert scores[:2].tolist() == [1.0, 0.0]


def test_rows_of_one_class_among_those_that_weigh():
    classifier = family(DenseNetClassifier, epochs=40, learning_rate=0.05)
    classifier.fit(X, CODES, sample_weight=(CODES == 1).astype(float))
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert set(classifier.predict(X)) == {1}


# --- the layout of y ------------------------------------------------------------------------------------------------


def numbers_function(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def indicators_function(y_true, y_pred):
    return -keras.ops.sum(y_true * keras.ops.log(y_pred), axis=-1)


class NumbersLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


class IndicatorsLoss(keras.losses.CategoricalCrossentropy):
    pass


def flat_function(y_true, y_pred):
    own = y_pred * keras.ops.one_hot(keras.ops.cast(y_true, "int32"), 3)
    return -keras.ops.log(keras.ops.sum(own, axis=-1))


@pytest.mark.parametrize(
    "loss", [numbers_function, flat_function, indicators_function, NumbersLoss(), IndicatorsLoss()]
)
def test_a_loss_gets_classes_in_the_layout_that_it_takes(loss):
    mine = users(3, "softmax", loss).fit(X, CODES)
    plain = users(3, "softmax", "sparse_categorical_crossentropy").fit(X, CODES)
    np.testing.assert_allclose(mine.loss_curve_, plain.loss_curve_, rtol=1e-4)


def test_generalized_cross_entropy_takes_class_numbers():
    loss = keras.losses.CategoricalGeneralizedCrossEntropy(0.7)
    classifier = users(3, "softmax", loss).fit(X, CODES)
    reference = classifier.model()
    reference.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    expected = reference.fit(X, CODES, epochs=5, batch_size=60, verbose=0).history["loss"]
    np.testing.assert_allclose(classifier.fit(X, CODES, batch_size=60).loss_curve_, expected, rtol=1e-5)


@pytest.mark.parametrize("y", [CODES, np.minimum(CODES, 1)], ids=["three", "two"])
def test_generalized_cross_entropy_of_a_family(y):
    classifier = family(DenseNetClassifier, loss="categorical_generalized_cross_entropy", loss__q=0.7, **STILL)
    own = np.take_along_axis(classifier.fit(X, y).predict_proba(X), y[:, np.newaxis], axis=1)
    np.testing.assert_allclose(classifier.loss_curve_[0], ((1 - own**0.7) / 0.7).mean(), rtol=1e-5)


def test_numbers_of_20_000_outputs_are_asked_for_in_few_rows():
    seen = []

    def loss(y_true, y_pred):
        seen.append(y_pred.shape[0])
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    assert layout_for(loss, 20_000) == "ordinal"
    assert sum(seen) < 100
