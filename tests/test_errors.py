"""Errors: bad input gets a message that says what is wrong and what to do, before anything is trained."""

from __future__ import annotations

import re

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from skneural import ConvNetClassifier, DenseNetClassifier, DenseNetRegressor, RecurrentNetClassifier
from skneural.exceptions import InterruptedFitWarning, TrainingDivergedError

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.array([0, 1, 2] * 4)
TARGET = X[:, 0]
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
ENCODE = (
    "Encode it first, for example with a ColumnTransformer that puts a OneHotEncoder on the string columns in front."
)


def classifier(**parameters):
    return DenseNetClassifier((4,), **({"epochs": 1, "random_state": 0} | parameters))


def regressor(**parameters):
    return DenseNetRegressor((4,), **({"epochs": 1, "random_state": 0} | parameters))


def with_value(array, value, place):
    changed = np.array(array, dtype=float)
    changed[place] = value
    return changed


def assert_raises(error, message, function, *arguments, **keywords):
    with pytest.raises(error) as caught:
        function(*arguments, **keywords)
    assert str(caught.value) == message
    return caught.value


# --- X --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [classifier, regressor])
def test_nan_in_X(make):
    message = (
        "Input X contains NaN.\n{} does not accept missing values encoded as NaN natively. For supervised learning, "
        "you might want to consider sklearn.ensemble.HistGradientBoostingClassifier and Regressor which accept missing "
        "values encoded as NaNs natively. Alternatively, it is possible to preprocess the data, for instance by using "
        "an imputer transformer in a pipeline or drop samples with missing values. See "
        "https://scikit-learn.org/stable/modules/impute.html You can find a list of all estimators that handle NaN "
        "values at the following page: "
        "https://scikit-learn.org/stable/modules/impute.html#estimators-that-handle-nan-values"
    )
    model = make()
    message = message.format(type(model).__name__)
    for bad in (with_value(X, np.nan, (2, 1)), FRAME.assign(b=np.nan), [*X[:11].tolist(), [0, None, 1]]):
        assert_raises(ValueError, message, model.fit, bad, Y)
    model.fit(X, Y)
    assert_raises(ValueError, message, model.predict, with_value(X, np.nan, (2, 1)))


def test_infinity_in_X():
    message = "Input X contains infinity or a value too large for dtype('float64')."
    assert_raises(ValueError, message, classifier().fit, with_value(X, np.inf, (2, 1)), Y)
    assert_raises(ValueError, message, classifier().fit(X, Y).predict, with_value(X, -np.inf, (2, 1)))


@pytest.mark.parametrize("value", [1e39, -1e39])
def test_value_beyond_float32_in_X(value):
    message = (
        "X of DenseNetClassifier holds a value of size 1e+39, too large for float32, in which networks compute. "
        "Scale X, for example with a StandardScaler in front."
    )
    assert_raises(ValueError, message, classifier().fit, with_value(X, value, (2, 1)), Y)


@pytest.mark.parametrize(
    ("bad", "column", "value"),
    [
        (FRAME.assign(b=["u", "v", "w"] * 4), "b", "u"),
        (FRAME.assign(b=pd.Categorical(["u", "v", "w"] * 4)), "b", "u"),
        (FRAME.assign(c=pd.array(["u", "v", "w"] * 4, dtype="string")), "c", "u"),
        (FRAME.assign(b=["u", "v", "w"] * 4).to_numpy(), 1, "u"),
        (np.array([["1", "2"]] * 12), 0, "1"),
        ([[1, "x"]] * 12, 1, "x"),
    ],
    ids=["DataFrame", "category", "string", "objects", "str array", "list"],
)
def test_strings_in_X(bad, column, value):
    message = f"X of DenseNetClassifier must be numeric, but column {column!r} holds the string {value!r}. {ENCODE}"
    assert_raises(ValueError, message, classifier().fit, bad, Y)


def test_strings_in_X_of_predict():
    message = f"X of DenseNetRegressor must be numeric, but column 'b' holds the string 'u'. {ENCODE}"
    fitted = regressor().fit(FRAME, TARGET)
    assert_raises(ValueError, message, fitted.predict, FRAME.assign(b=["u", "v", "w"] * 4))


def test_dates_in_X():
    dates = FRAME.assign(b=pd.date_range("2020-01-01", periods=12))
    message = (
        "X of DenseNetClassifier must be numeric, but column 'b' holds Timestamp('2020-01-01 00:00:00'). "
        "Turn it into numbers first."
    )
    assert_raises(ValueError, message, classifier().fit, dates, Y)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (X[:0], "Found array with 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required by DenseNetClassifier."),
        (
            X[:, :0],
            "Found array with 0 feature(s) (shape=(12, 0)) while a minimum of 1 is required by DenseNetClassifier.",
        ),
        (
            X[:, :, None],
            "Found array with dim 3, while dim <= 2 is required by DenseNetClassifier. X.reshape(len(X), -1) makes "
            "flat rows; images and sequences as they are go to the ConvNet and RecurrentNet classes.",
        ),
    ],
    ids=["no rows", "no features", "3-D"],
)
def test_shape_of_X(bad, message):
    assert_raises(ValueError, message, classifier().fit, bad, Y[: len(bad)])


def test_empty_batch_in_predict():
    message = "Found array with 0 sample(s) (shape=(0, 3)) while a minimum of 1 is required by DenseNetClassifier."
    assert_raises(ValueError, message, classifier().fit(X, Y).predict_proba, X[:0])


def test_one_row_as_a_vector():
    message = (
        f"Expected 2D array, got 1D array instead:\narray={X[0]}.\nReshape your data either using array.reshape(-1, 1) "
        "if your data has a single feature or array.reshape(1, -1) if it contains a single sample."
    )
    assert_raises(ValueError, message, classifier().fit(X, Y).predict, X[0])


START = "The feature names should match those that were passed during fit.\n"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a", "b"], START + "Feature names seen at fit time, yet now missing:\n- c\n"),
        (["a", "b", "c", "d"], START + "Feature names unseen at fit time:\n- d\n"),
        (["b", "a", "c"], START + "Feature names must be in the same order as they were in fit.\n"),
    ],
    ids=["missing", "added", "reordered"],
)
def test_columns_of_predict(columns, message):
    fitted = classifier().fit(FRAME, Y)
    for method in (fitted.predict, fitted.predict_proba):
        assert_raises(ValueError, message, method, FRAME.assign(d=1.0)[columns])


def test_number_of_features_of_predict():
    message = "X has 2 features, but DenseNetClassifier is expecting 3 features as input."
    assert_raises(ValueError, message, classifier().fit(X, Y).predict, X[:, :2])


# --- y --------------------------------------------------------------------------------------------------------------


def test_nan_or_infinity_in_y():
    nan, infinity = "Input y contains NaN.", "Input y contains infinity or a value too large for dtype('float64')."
    assert_raises(ValueError, nan, regressor().fit, X, with_value(TARGET, np.nan, 3))
    assert_raises(ValueError, infinity, regressor().fit, X, with_value(TARGET, np.inf, 3))
    assert_raises(ValueError, nan, classifier().fit, X, with_value(Y, np.nan, 3))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_labels(missing):
    labels = np.array(["a", "b", missing] * 4, dtype=object)
    message = "y has missing labels (None or NaN), the first of 4 in row 2. Leave such rows out of X and y."
    assert_raises(ValueError, message, classifier().fit, X, labels)


@pytest.mark.parametrize(("make", "y"), [(classifier, Y[:5]), (regressor, TARGET[:5])])
def test_length_of_y(make, y):
    assert_raises(ValueError, "X and y must have the same number of rows. X has 12 and y has 5.", make().fit, X, y)


def test_no_y():
    message = "DenseNetClassifier requires y to be passed, but the target y is None."
    assert_raises(ValueError, message, classifier().fit, X, None)


def test_continuous_y_for_a_classifier():
    message = (
        "Unknown label type: continuous. A classifier needs discrete labels of shape (n,) or a 0/1 indicator matrix of "
        "shape (n, n_labels). For a continuous target use a regressor."
    )
    assert_raises(ValueError, message, classifier().fit, X, TARGET)


def test_labels_for_a_regressor():
    message = "y of a regressor must be numeric, but it holds the string 'a'. For labels use a classifier."
    assert_raises(ValueError, message, regressor().fit, X, ["a", "b", "c"] * 4)


def test_labels_of_several_types():
    message = "The labels in y must be of one type. Got int and str instead. Turn all of them into str."
    assert_raises(ValueError, message, classifier().fit, X, np.array(["a", 1, 2] * 4, dtype=object))


def test_three_dimensional_labels():
    message = (
        "y must have the shape (n,), or (n, n_labels) for 0/1 indicators of labels. "
        "Got an array of shape (12, 2, 2) instead."
    )
    assert_raises(ValueError, message, classifier().fit, X, np.zeros((12, 2, 2)))


# --- weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (with_value(np.ones(12), np.nan, 3), "Input sample_weight contains NaN."),
        (
            with_value(np.ones(12), np.inf, 3),
            "Input sample_weight contains infinity or a value too large for dtype('float64').",
        ),
        (with_value(np.ones(12), -0.5, 3), "sample_weight must not be negative. Got -0.5 in row 3."),
        (np.zeros(12), "sample_weight must have at least one weight above zero. All 12 weights are zero."),
        (
            np.ones(5),
            "sample_weight must have one weight per row, shape (12,). Got an array of shape (5,) instead.",
        ),
        (
            np.ones((12, 1)),
            "sample_weight must have one weight per row, shape (12,). Got an array of shape (12, 1) instead.",
        ),
        (2.0, "sample_weight must have one weight per row, shape (12,). Got the number 2.0 instead."),
    ],
    ids=["nan", "infinity", "negative", "zeros", "too few", "2-D", "number"],
)
def test_sample_weight(weights, message):
    assert_raises(ValueError, message, classifier().fit, X, Y, sample_weight=weights)
    assert_raises(ValueError, message, regressor().partial_fit, X, TARGET, sample_weight=weights)


CLASS_WEIGHT = "The 'class_weight' parameter of DenseNetClassifier "


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({5: 1.0}, CLASS_WEIGHT + "has the label 5, which is not among the classes [0, 1, 2]."),
        ({0: -1.0}, CLASS_WEIGHT + "must have weights in the range [0, inf). Got -1.0 for the label 0."),
        ({0: np.nan}, CLASS_WEIGHT + "must have weights in the range [0, inf). Got nan for the label 0."),
        ({0: "x"}, CLASS_WEIGHT + "must have weights in the range [0, inf). Got 'x' for the label 0."),
        (
            [1.0, 2.0, 3.0],
            CLASS_WEIGHT
            + "must be a dict from label to weight, or 'balanced'. A list is for multilabel y. Got [1.0, 2.0, 3.0].",
        ),
        (
            {0: 0.0, 1: 0.0, 2: 0.0},
            "No row has a weight above zero: class_weight times sample_weight is zero for each.",
        ),
    ],
)
def test_class_weight(class_weight, message):
    assert_raises(ValueError, message, classifier(class_weight=class_weight).fit, X, Y)


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 2}, [{0: 1, 1: 2}]])
def test_class_weight_of_multilabel_targets(class_weight):
    message = CLASS_WEIGHT + (
        "must be 'balanced' or, for multilabel y, a list with one dict for each of its 2 columns. "
        f"Got {class_weight!r}."
    )
    labels = np.array([[1, 0], [1, 1], [0, 0]] * 4)
    assert_raises(ValueError, message, classifier(class_weight=class_weight).fit, X, labels)


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "name", "nearest"),
    [
        ("activation", "rellu", "relu"),
        ("optimizer", "adamm", "adam"),
        ("loss", "binary_crosentropy", "binary_crossentropy"),
        ("kernel_initializer", "glorot_unifrom", "glorot_uniform"),
        ("metrics", "acuracy", "accuracy"),
    ],
)
def test_unknown_name(parameter, name, nearest):
    for make, y in ((classifier, Y), (regressor, TARGET)):
        model = make(**{parameter: name})
        message = (
            f"The {parameter!r} parameter of {type(model).__name__} is unknown: {name!r}. Did you mean {nearest!r}?"
        )
        assert_raises(ValueError, message, model.fit, X, y)


def test_name_like_no_known_one_lists_them():
    with pytest.raises(ValueError, match=r"is unknown: 'xyzzy'\. Known names: adadelta, adafactor, .*, sgd\.$"):
        classifier(optimizer="xyzzy").fit(X, Y)


@pytest.mark.parametrize(
    ("parameter", "wanted"),
    [
        ("optimizer", "be a name, a Keras optimizer or its class. Got 3."),
        ("loss", "be a name, a Keras loss or a function. Got 3."),
        ("kernel_initializer", "be a name or a Keras initializer. Got 3."),
        ("metrics", "hold names, Keras metrics or functions. Got 3."),
        (
            "activation",
            "be an instance of 'str', a callable, an instance of 'list' or an instance of 'tuple'. Got 3 instead.",
        ),
    ],
)
def test_number_in_place_of_a_name(parameter, wanted):
    message = f"The {parameter!r} parameter of DenseNetClassifier must {wanted}"
    assert_raises(ValueError, message, classifier(**{parameter: 3}).fit, X, Y)


SCHEDULE = "an instance of 'keras.src.optimizers.schedules.learning_rate_schedule.LearningRateSchedule'"


@pytest.mark.parametrize(
    ("parameter", "value", "wanted"),
    [
        ("dropout", 1.0, "a float in the range [0.0, 1.0)"),
        ("dropout", -0.1, "a float in the range [0.0, 1.0)"),
        ("l2", -1.0, "a float in the range [0.0, inf)"),
        ("learning_rate", 0, f"a float in the range (0.0, inf) or {SCHEDULE}"),
        ("learning_rate", np.inf, f"a float in the range (0.0, inf) or {SCHEDULE}"),
        ("epochs", 0, "an int in the range [1, inf)"),
        ("epochs", 2.5, "an int in the range [1, inf)"),
        ("batch_size", 0, "a str among {'auto'} or an int in the range [1, inf)"),
        ("batch_size", "all", "a str among {'auto'} or an int in the range [1, inf)"),
        ("validation_fraction", 0.0, "a float in the range (0.0, 1.0)"),
        ("validation_fraction", 1.0, "a float in the range (0.0, 1.0)"),
        ("n_iter_no_change", 0, "an int in the range [1, inf) or a float among {inf}"),
        ("tol", -1.0, "a float in the range [0.0, inf)"),
        (
            "random_state",
            "a",
            "an int in the range [0, 4294967295], an instance of 'numpy.random.mtrand.RandomState' or None",
        ),
        (
            "verbose",
            -1,
            "an int in the range [0, inf), an instance of 'bool' or an instance of 'numpy.bool' or a str among "
            "{'auto'}",
        ),
        ("hidden_layer_sizes", 0, "an array-like or an int in the range [1, inf)"),
        ("hidden_layer_sizes", "a", "an array-like or an int in the range [1, inf)"),
        ("early_stopping", "yes", "an instance of 'bool' or an instance of 'numpy.bool'"),
        ("class_weight", "even", "an instance of 'dict', an instance of 'list', a str among {'balanced'} or None"),
    ],
)
def test_parameter_out_of_range(parameter, value, wanted):
    message = f"The {parameter!r} parameter of DenseNetClassifier must be {wanted}. Got {value!r} instead."
    assert_raises(ValueError, message, classifier().set_params(**{parameter: value}).fit, X, Y)


@pytest.mark.parametrize(
    ("sizes", "size", "position"), [((4, 0), 0, 1), ((2.5,), 2.5, 0), ([[3, 4], [5, 6]], [3, 4], 0), ((True,), True, 0)]
)
def test_size_of_a_layer(sizes, size, position):
    message = (
        "Each entry of the 'hidden_layer_sizes' parameter of DenseNetRegressor must be an int in the range [1, inf). "
        f"Got {size!r} at position {position}."
    )
    assert_raises(ValueError, message, DenseNetRegressor(sizes).fit, X, TARGET)


@pytest.mark.parametrize(
    ("estimator", "parts", "counts"),
    [
        (classifier(), "hidden layer", "1 hidden layers"),
        (
            ConvNetClassifier(image_shape=(1, 3), filters=4, kernel_size=1, pooling=None),
            "block and then one per hidden layer",
            "1 blocks and 1 hidden layers",
        ),
        (
            RecurrentNetClassifier(filters=(4, 4), kernel_size=3),
            "convolution and then one per hidden layer",
            "2 convolutions and 0 hidden layers",
        ),
    ],
)
def test_number_of_activations(estimator, parts, counts):
    message = (
        f"The 'activation' parameter of {type(estimator).__name__} must be one activation, or one per {parts}. "
        f"Got 3 for {counts}."
    )
    estimator.set_params(activation=["relu", "tanh", "relu"])
    assert_raises(ValueError, message, estimator.fit, X, Y)


@pytest.mark.parametrize(
    ("parameter", "nearest"),
    [("dropuot", "dropout"), ("hidden_layer_size", "hidden_layer_sizes"), ("optimiser__beta_1", "optimizer")],
)
def test_misspelt_parameter(parameter, nearest):
    message = f"DenseNetClassifier has no parameter {parameter!r}. Did you mean {nearest!r}?"
    assert_raises(TypeError, message, DenseNetClassifier((4,), **{parameter: 1}).fit, X, Y)


ADAM = (
    "learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema, "
    "ema_momentum, ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, name"
)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"optimizer__beta1": 0.9},
            ValueError,
            f"The parameter 'optimizer__beta1' of DenseNetClassifier does not fit: Adam takes {ADAM}. "
            "Did you mean 'optimizer__beta_1'?",
        ),
        (
            {"optimizer__learning_rate": -1.0},
            ValueError,
            "The 'optimizer__learning_rate' parameter of DenseNetClassifier must be a float in the range (0, inf) or a "
            "Keras LearningRateSchedule. Got -1.0 instead.",
        ),
        (
            {"loss__label_smooth": 0.1},
            ValueError,
            "The parameter 'loss__label_smooth' of DenseNetClassifier does not fit: SparseCategoricalCrossentropy "
            "takes from_logits, ignore_class, reduction, axis, name, dtype.",
        ),
        (
            {"fit__batchsize": 3},
            TypeError,
            "DenseNetClassifier.fit got an unexpected argument 'fit__batchsize'. Did you mean 'fit__batch_size'?",
        ),
        (
            {"predict__batchsize": 3},
            TypeError,
            "DenseNetClassifier(predict__...) got an unexpected argument 'predict__batchsize'. "
            "Did you mean 'predict__batch_size'?",
        ),
        (
            {"compile__jitcompile": True},
            TypeError,
            "DenseNetClassifier(compile__...) got an unexpected argument 'compile__jitcompile'. "
            "Did you mean 'compile__jit_compile'?",
        ),
        (
            {"fit__batch_size": 0},
            ValueError,
            "The 'batch_size' parameter of DenseNetClassifier must be an int in the range [1, inf) or None or -1 or "
            "'auto'. Got 0 instead.",
        ),
        (
            {"model__units": 3},
            ValueError,
            "DenseNetClassifier has no model function that could take 'model__units'. Its own parameters describe the "
            "network; for a model function use KerasClassifier or KerasRegressor.",
        ),
        (
            {"callbacks": [3]},
            TypeError,
            "The 'callbacks' parameter of DenseNetClassifier must hold Keras callbacks, as instances or classes. "
            "Got 3 instead. Callbacks of scikit-learn are set with set_callbacks.",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_routed_parameter(parameters, error, message):
    assert_raises(error, message, classifier(**parameters).fit, X, Y)


@pytest.mark.parametrize(
    ("flat", "given", "routed", "value"),
    [
        ("learning_rate", 0.1, "optimizer__learning_rate", 0.2),
        ("epochs", 2, "fit__epochs", 3),
        ("batch_size", 5, "fit__batch_size", 6),
        ("loss", "auto", "compile__loss", "mse"),
        ("optimizer", "adam", "compile__optimizer", "sgd"),
        ("metrics", "accuracy", "compile__weighted_metrics", ["mse"]),
    ],
)
def test_conflicting_parameters(flat, given, routed, value):
    message = (
        f"The parameters {flat!r} and {routed!r} of DenseNetClassifier say the same thing. "
        f"Got {given!r} and {value!r}: give only {flat!r}."
    )
    assert_raises(ValueError, message, classifier(**{flat: given, routed: value}).fit, X, Y)


def test_learning_rate_beside_a_ready_optimizer():
    message = (
        "The 'learning_rate' parameter of DenseNetClassifier conflicts with an optimizer that is ready and has a "
        "learning rate of its own. Got 0.2: give the optimizer by name or class."
    )
    model = classifier(optimizer=keras.optimizers.Adam(0.1), learning_rate=0.2)
    assert_raises(ValueError, message, model.fit, X, Y)


@pytest.mark.parametrize(
    ("make", "loss", "y", "problem"),
    [
        (classifier, "poisson", Y, "'poisson' gives no class probabilities. Use 'auto' instead."),
        (
            classifier,
            "binary_crossentropy",
            Y,
            "'binary_crossentropy' is for two classes or multilabel y, but y has 3 classes. "
            "Use 'sparse_categorical_crossentropy' instead.",
        ),
        (
            classifier,
            "categorical_crossentropy",
            np.array([[1, 0], [1, 1], [0, 0]] * 4),
            "'categorical_crossentropy' is for classes that exclude each other, but y is multilabel. "
            "Use 'binary_crossentropy' instead.",
        ),
        (
            regressor,
            "binary_crossentropy",
            TARGET,
            "'binary_crossentropy' is for classes, but y is numeric. "
            "Use 'mean_squared_error', 'mean_absolute_error' or 'huber' instead.",
        ),
        (
            regressor,
            "poisson",
            np.arange(-2.0, 10.0),
            "'poisson' needs y >= 0, but y has -2. Use 'mean_squared_error' instead.",
        ),
    ],
    ids=["no probabilities", "binary for three classes", "exclusive for multilabel", "classes for numbers", "negative"],
)
def test_loss_that_does_not_fit_the_target(make, loss, y, problem):
    model = make(loss=loss)
    message = f"The 'loss' parameter of {type(model).__name__} does not fit the target: {problem}"
    assert_raises(ValueError, message, model.fit, X, y)


# --- the calls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"batchsize": 3},
            TypeError,
            "DenseNetClassifier.fit got an unexpected argument 'batchsize'. Did you mean 'batch_size'?",
        ),
        (
            {"epochs": 0},
            ValueError,
            "The 'epochs' parameter of DenseNetClassifier must be an int in the range [1, inf). Got 0 instead.",
        ),
        (
            {"validation_split": 1.0},
            ValueError,
            "The 'validation_split' parameter of DenseNetClassifier must be a float in the range [0, 1). "
            "Got 1.0 instead.",
        ),
        ({"X_val": X}, ValueError, "DenseNetClassifier.fit needs X_val and y_val together. y_val is missing."),
        ({"y_val": Y}, ValueError, "DenseNetClassifier.fit needs X_val and y_val together. X_val is missing."),
        (
            {"sample_weight_val": np.ones(12)},
            ValueError,
            "DenseNetClassifier.fit needs X_val and y_val together. X_val and y_val are missing.",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_arguments_of_fit(arguments, error, message):
    assert_raises(error, message, classifier().fit, X, Y, **arguments)


def test_class_weight_is_nothing_for_a_regressor():
    with pytest.raises(TypeError, match=r"^DenseNetRegressor.fit got an unexpected argument 'class_weight'\."):
        regressor().fit(X, TARGET, class_weight={0: 1.0})


VALIDATION = "In the rows for validation (X_val, y_val, sample_weight_val): "


@pytest.mark.parametrize(
    ("X_val", "y_val", "weights", "message"),
    [
        (X[:, :2], Y, None, "X has 2 features, but DenseNetClassifier is expecting 3 features as input."),
        (X, Y[:4], None, "X and y must have the same number of rows. X has 12 and y has 4."),
        (X, Y, np.zeros(12), "sample_weight must have at least one weight above zero. All 12 weights are zero."),
        (
            with_value(X, np.inf, (0, 0)),
            Y,
            None,
            "Input X contains infinity or a value too large for dtype('float64').",
        ),
        (
            X,
            Y + 5,
            None,
            "y has the labels [5, 6, 7] that are not among the classes [0, 1, 2]. "
            "Give all classes to the first partial_fit (classes=...), or fit anew.",
        ),
    ],
    ids=["features", "length", "weights", "infinity", "labels"],
)
def test_validation_rows(X_val, y_val, weights, message):
    fit = classifier().fit
    assert_raises(ValueError, VALIDATION + message, fit, X, Y, X_val=X_val, y_val=y_val, sample_weight_val=weights)


def test_validation_share_that_leaves_no_row():
    message = (
        "Splitting off 0.99 of 12 rows for validation leaves none to train on. "
        "Give more rows, a smaller fraction, or X_val and y_val."
    )
    assert_raises(ValueError, message, classifier(early_stopping=True, validation_fraction=0.99).fit, X, Y)


@pytest.mark.parametrize("make", [classifier, regressor])
@pytest.mark.parametrize("method", ["predict", "score", "summary"])
def test_prediction_before_fit(make, method):
    model = make()
    arguments = {"predict": (X,), "score": (X, Y), "summary": ()}[method]
    message = (
        f"This {type(model).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before using "
        "this estimator."
    )
    assert_raises(NotFittedError, message, getattr(model, method), *arguments)


def test_probabilities_before_fit():
    message = (
        "This DenseNetClassifier instance is not fitted yet. Call 'fit' with appropriate arguments before using this "
        "estimator."
    )
    assert_raises(NotFittedError, message, classifier().predict_proba, X)


def test_attributes_before_fit():
    for name in ("model_", "loss_curve_"):
        with pytest.raises(AttributeError, match=rf"^This DenseNetClassifier has no '{name}' before fit"):
            getattr(classifier(), name)


def test_arguments_of_predict():
    message = "DenseNetClassifier.predict got an unexpected argument 'batchsize'. Did you mean 'batch_size'?"
    assert_raises(TypeError, message, classifier().fit(X, Y).predict, X, batchsize=3)


def test_partial_fit_names_new_labels_and_other_classes():
    model = classifier().partial_fit(X, Y)
    message = (
        "y has the labels [3] that are not among the classes [0, 1, 2]. "
        "Give all classes to the first partial_fit (classes=...), or fit anew."
    )
    assert_raises(ValueError, message, model.partial_fit, X, Y + 1)
    message = "classes=[0, 1] is not the same as in the first call: [0, 1, 2]."
    assert_raises(ValueError, message, model.partial_fit, X, Y, classes=[0, 1])
    message = "DenseNetClassifier.partial_fit trains for one epoch and takes no 'epochs'."
    assert_raises(TypeError, message, model.partial_fit, X, Y, epochs=3)


@pytest.mark.parametrize("changed", [{"hidden_layer_sizes": (5,)}, {"loss__label_smoothing": 0.1}])
def test_warm_start_into_another_network(changed):
    message = (
        "DenseNetClassifier was to go on training the network of an earlier fit, but its parameters or the classes now "
        "describe another network. Set warm_start=False, or use a new estimator."
    )
    model = classifier(warm_start=True).fit(X, Y)
    assert_raises(ValueError, message, model.set_params(**changed).fit, X, Y)


# --- what goes wrong in training ------------------------------------------------------------------------------------


def diverging(**parameters):
    return regressor(optimizer="sgd", learning_rate=1e30, epochs=5, **parameters)


REMEDIES = (
    "Try a smaller learning_rate (a tenth of the present one), scale X (a StandardScaler in front), or clip the "
    "gradients (optimizer__clipnorm=1.0)."
)


def test_loss_that_becomes_nan_stops_with_the_epoch():
    with pytest.raises(TrainingDivergedError) as caught:
        diverging().fit(X, TARGET)
    error = caught.value
    assert isinstance(error, ValueError)
    assert error.epoch == 2
    assert not np.isfinite(error.loss)
    assert str(error) == f"The loss became {error.loss} in epoch 2. {REMEDIES}"


class Interrupting(keras.callbacks.Callback):
    """Presses Ctrl-C at the end of one epoch, counted from 1, or before the first."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_train_begin(self, logs=None):
        if self.epoch == 0:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            raise KeyboardInterrupt


def test_ctrl_c_keeps_the_weights_so_far_with_a_warning():
    parameters = {"batch_size": 4, "learning_rate": 0.1}
    interrupted = classifier(epochs=9, callbacks=[Interrupting(3)], **parameters)
    message = "The fit was interrupted in epoch 3. The best weights so far are kept."
    with pytest.warns(InterruptedFitWarning, match=f"^{re.escape(message)}$") as caught:
        interrupted.fit(X, Y)
    assert caught[0].filename == __file__
    assert interrupted.n_iter_ == 2
    two_epochs = classifier(epochs=2, **parameters).fit(X, Y)
    np.testing.assert_allclose(interrupted.predict_proba(X), two_epochs.predict_proba(X), rtol=1e-5)


def test_ctrl_c_keeps_the_best_weights_of_early_stopping():
    # Labels that contradict those of training, so that the validation loss rises.
    y_val = (Y + 1) % 3
    parameters = {"learning_rate": 0.1, "early_stopping": True, "epochs": 6}
    with pytest.warns(InterruptedFitWarning):
        interrupted = classifier(callbacks=[Interrupting(6)], **parameters).fit(X, Y, X_val=X, y_val=y_val)
    losses = interrupted.history_["val_loss"]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1, "the example must get worse before the interruption"
    assert interrupted.best_epoch_ == best + 1
    log_loss = -np.log(interrupted.predict_proba(X)[np.arange(12), y_val]).mean()
    penalty = 1e-4 * sum(np.square(kernel).sum() for kernel in interrupted.model_.get_weights()[::2])
    np.testing.assert_allclose(log_loss + penalty, losses[best], rtol=1e-4)


def test_ctrl_c_before_the_first_batch_ends_the_fit():
    model = classifier(epochs=3, callbacks=[Interrupting(0)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not model.initialized_
    fitted = classifier().fit(X, Y)
    before = fitted.predict_proba(X)
    with pytest.raises(KeyboardInterrupt):
        fitted.set_params(callbacks=[Interrupting(0)]).fit(X, Y)
    np.testing.assert_array_equal(fitted.predict_proba(X), before)


# --- after a failure ------------------------------------------------------------------------------------------------


def fail_by_labels(model):
    with pytest.raises(ValueError, match="same number of rows"):
        model.fit(X[:, :2], Y[:5])


def fail_by_parameter(model):
    with pytest.raises(ValueError, match="'optimizer' parameter"):
        model.set_params(optimizer="adamm").fit(X[:, :2], Y[::-1])


def fail_by_divergence(model):
    with pytest.raises(TrainingDivergedError):
        model.set_params(optimizer="sgd", learning_rate=1e30, epochs=9).fit(X[:, :2], Y[::-1])


def fail_by_interruption(model):
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=Interrupting(0)).fit(X[:, :2], Y[::-1])


@pytest.mark.parametrize("fail", [fail_by_labels, fail_by_parameter, fail_by_divergence, fail_by_interruption])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_failed_fit_leaves_an_earlier_one_as_it_was(make, fail):
    model = make(epochs=2).fit(FRAME, Y)
    before = model.predict(FRAME)
    names = sorted(vars(model))
    history = {name: list(values) for name, values in model.history_.items()}
    fail(model)
    np.testing.assert_array_equal(model.predict(FRAME), before)
    assert sorted(set(vars(model)) - set(names)) == []
    assert model.history_ == history
    assert model.n_features_in_ == 3
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("looked_at_model", [False, True])
@pytest.mark.parametrize("method", ["partial_fit", "fit"])
def test_failed_continuation_leaves_weights_and_optimizer_as_they_were(method, looked_at_model):
    model = regressor(optimizer="sgd", warm_start=True, batch_size=4).fit(X, TARGET)
    control = regressor(optimizer="sgd", warm_start=True, batch_size=4).fit(X, TARGET)
    if looked_at_model:
        assert model.model_ is not None
    before = model.predict(X)
    model.set_params(learning_rate=1e30, epochs=9)
    with pytest.raises(TrainingDivergedError):
        getattr(model, method)(X, TARGET)
    np.testing.assert_array_equal(model.predict(X), before)
    model.set_params(learning_rate=1e-3, epochs=1)
    for continued in (model, control):
        getattr(continued, method)(X, TARGET)
    np.testing.assert_array_equal(model.predict(X), control.predict(X))


def test_estimator_that_never_fitted_stays_unfitted():
    model = diverging()
    with pytest.raises(TrainingDivergedError):
        model.fit(X, TARGET)
    assert not [name for name in vars(model) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        model.predict(X)
