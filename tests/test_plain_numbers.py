"""Numbers of any real type as parameters, any settings of NumPy's errors, and hashes of equal estimators."""

from __future__ import annotations

import pickle
from fractions import Fraction

import joblib
import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skneural import ConvNetClassifier, DenseNetClassifier, DenseNetRegressor, KerasClassifier, KerasRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = np.arange(24) % 2


def build(meta, units=3, rate=0.5, learning_rate=0.1):
    layers = [keras.layers.Dense(units), keras.layers.Dropout(rate), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile(keras.optimizers.SGD(learning_rate), "binary_crossentropy")
    return model


def build_plain(meta):
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])


def dense(**parameters):
    return DenseNetClassifier((4,), **({"epochs": 1, "random_state": 0} | parameters))


def users(**parameters):
    return KerasClassifier(build_plain, loss="binary_crossentropy", random_state=0, **parameters)


def trained_weights(estimator):
    return estimator.fit(X, Y).model_.get_weights()


def assert_same_training(one, other):
    for mine, theirs in zip(trained_weights(one), trained_weights(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("make", "given", "expected"),
    [
        (dense, {"learning_rate": 1}, {"learning_rate": 1.0}),
        (dense, {"learning_rate": np.float32(0.25)}, {"learning_rate": 0.25}),
        (dense, {"learning_rate": np.int64(1)}, {"learning_rate": 1.0}),
        (dense, {"learning_rate": Fraction(1, 4)}, {"learning_rate": 0.25}),
        (dense, {"dropout": Fraction(1, 2), "l2": Fraction(1, 8)}, {"dropout": 0.5, "l2": 0.125}),
        (dense, {"dropout": np.float16(0.5), "epochs": np.int8(2)}, {"dropout": 0.5, "epochs": 2}),
        (
            dense,
            {"optimizer": "sgd", "optimizer__momentum": np.float32(0.5)},
            {"optimizer": "sgd", "optimizer__momentum": 0.5},
        ),
        (dense, {"optimizer": "sgd", "optimizer__momentum": 0}, {"optimizer": "sgd", "optimizer__momentum": 0.0}),
        (dense, {"optimizer__clipnorm": np.float32(0.5)}, {"optimizer__clipnorm": 0.5}),
        (dense, {"loss__label_smoothing": np.float32(0.25)}, {"loss__label_smoothing": 0.25}),
        (users, {"optimizer__learning_rate": 1}, {"optimizer__learning_rate": 1.0}),
        (users, {"optimizer__learning_rate": np.float32(0.25)}, {"optimizer__learning_rate": 0.25}),
        (users, {"optimizer": "sgd", "optimizer__momentum": 0}, {"optimizer": "sgd"}),
        (users, {"epochs": np.int64(2), "batch_size": np.int32(5)}, {"epochs": 2, "batch_size": 5}),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_numbers_of_any_real_type(make, given, expected):
    estimator = make(**given)
    assert_same_training(estimator, make(**expected))
    # Parameters stay what the user gave.
    assert all(estimator.get_params()[name] is value for name, value in given.items())
    clone(estimator)


@pytest.mark.parametrize(
    "given", [{"units": np.int64(5)}, {"model__rate": np.float32(0.25)}, {"learning_rate": 1}, {"units": np.uint8(2)}]
)
def test_numbers_for_a_model_function(given):
    expected = {name: float(value) if name != "units" else int(value) for name, value in given.items()}
    assert_same_training(
        KerasClassifier(build, random_state=0, **given), KerasClassifier(build, random_state=0, **expected)
    )


def test_grids_of_numpy():
    grid = {"units": np.arange(2, 4), "learning_rate": np.logspace(-2, 0, 2, dtype=np.float32)}
    search = GridSearchCV(KerasClassifier(build, random_state=0), grid, cv=2, error_score="raise").fit(X, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    images = ConvNetClassifier(filters=2, kernel_size=1, pooling=None, image_shape=(1, 3), epochs=1)
    grid = {"filters": np.array([2, 3]), "learning_rate": np.float32([0.5])}
    assert np.isfinite(GridSearchCV(images, grid, cv=2, error_score="raise").fit(X, Y).best_score_)


def test_numbers_for_losses_metrics_and_callbacks():
    loss = {"loss": keras.losses.Huber, "random_state": 0}
    one = KerasRegressor(build_plain, loss__delta=np.float32(0.5), **loss)
    assert_same_training(one, KerasRegressor(build_plain, loss__delta=0.5, **loss))
    metric = {"metrics": [keras.metrics.BinaryAccuracy], "metrics__threshold": np.float32(0.25)}
    assert "binary_accuracy" in dense(**metric).fit(X, Y).history_
    callback = {"callbacks": keras.callbacks.EarlyStopping, "callbacks__monitor": "loss"}
    stopped = dense(epochs=9, callbacks__min_delta=99, callbacks__patience=np.int64(2), **callback).fit(X, Y)
    assert stopped.n_iter_ == 3


# --- habits of MLPClassifier ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [DenseNetClassifier, DenseNetRegressor])
def test_endless_patience_keeps_the_best_epoch(cls):
    model = cls((4,), early_stopping=True, n_iter_no_change=np.inf, learning_rate=0.5, epochs=20, random_state=0)
    model.fit(X, Y)
    assert model.n_iter_ == 20
    assert model.best_epoch_ == np.argmin(model.history_["val_loss"]) + 1


@pytest.mark.parametrize("make", [dense, users])
def test_verbose_of_ten_shows_the_training(make, capsys):
    make(verbose=10).fit(X, Y)
    assert "loss" in capsys.readouterr().out


# --- np.seterr ------------------------------------------------------------------------------------------------------


@pytest.fixture
def _everything_raises():
    with np.errstate(all="raise"):
        yield


@pytest.mark.usefixtures("_everything_raises")
@pytest.mark.parametrize("y", [Y, np.arange(24) % 3], ids=["two", "three"])
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "softplus", "elu"])
def test_no_rounding_raises_where_all_of_numpys_errors_do(activation, y):
    weights = 10.0 ** np.arange(-288, 288, 24)
    model = dense(activation=activation).fit(X, y, sample_weight=weights)
    for rows in (X, 1e5 * X, 1e-30 * X):
        np.testing.assert_allclose(model.predict_proba(rows).sum(axis=1), 1.0, rtol=1e-5)
        model.predict_log_proba(rows)
    assert 0 <= model.score(X, y, sample_weight=weights) <= 1
    model.partial_fit(X, y)


@pytest.mark.usefixtures("_everything_raises")
def test_no_rounding_raises_in_regression():
    model = DenseNetRegressor((4,), activation="tanh", epochs=2, random_state=0)
    for size in (1e-300, 1.0, 1e300):
        target = np.ldexp(X[:, 0], int(np.log2(size)))
        assert np.isfinite(model.fit(X, target).predict(1e5 * X)).all()
        assert np.isfinite(model.score(X, target))


# --- joblib.hash ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [
        lambda: {"optimizer": keras.optimizers.Adam(0.1)},
        lambda: {"optimizer": keras.optimizers.RMSprop(keras.optimizers.schedules.CosineDecay(0.1, 10))},
        lambda: {"callbacks": [keras.callbacks.EarlyStopping(patience=3), keras.callbacks.ReduceLROnPlateau()]},
        lambda: {"loss": keras.losses.BinaryCrossentropy(label_smoothing=0.1)},
    ],
)
@pytest.mark.parametrize("make", [dense, DenseNetRegressor, lambda **given: KerasRegressor(build_plain, **given)])
def test_equal_estimators_have_one_hash(make, parameters):
    one, other = make(**parameters()), make(**parameters())
    assert joblib.hash(one) == joblib.hash(other)
    assert joblib.hash(one) == joblib.hash(pickle.loads(pickle.dumps(other)))
    assert joblib.hash(one) != joblib.hash(make(**parameters(), epochs=77))


def test_other_optimizers_have_another_hash():
    hashes = {joblib.hash(dense(optimizer=keras.optimizers.Adam(rate))) for rate in (0.1, 0.1, 0.2)}
    assert len(hashes) == 2
    named = dense(optimizer=keras.optimizers.Adam(name="mine_3"))
    assert pickle.loads(pickle.dumps(named)).optimizer.name == "mine_3"
