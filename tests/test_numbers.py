"""Numbers of extreme sizes in y, and containers of sparse rows that contradict themselves."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy import sparse

from skneural import DenseNetClassifier, DenseNetRegressor, KerasRegressor, RecurrentNetRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
TARGET = X @ [1.0, -2.0, 0.5]


def regressor(**parameters):
    return DenseNetRegressor((), **({"epochs": 40, "learning_rate": 0.1, "random_state": 0} | parameters))


def build():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


# --- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [1000, 700, -700, -1000])
@pytest.mark.parametrize("loss", ["auto", "mean_absolute_percentage_error"])
def test_targets_of_any_size(power, loss):
    y = TARGET if loss == "auto" else np.abs(TARGET) + 1
    plain, extreme = regressor(loss=loss).fit(X, y), regressor(loss=loss).fit(X, np.ldexp(y, power))
    np.testing.assert_array_equal(extreme.predict(X), np.ldexp(plain.predict(X), power))
    assert extreme.loss_curve_ == plain.loss_curve_
    np.testing.assert_allclose(extreme.score(X, np.ldexp(y, power)), plain.score(X, y), rtol=1e-12)


def test_targets_at_the_ends_of_float64():
    for largest in (1.7e308, 1e-318):
        y = np.sign(TARGET) * largest
        model = regressor().fit(X, y)
        np.testing.assert_allclose(model.loss_curve_, regressor().fit(X, np.sign(TARGET)).loss_curve_, rtol=1e-3)
        assert (np.sign(model.predict(X)) == np.sign(TARGET)).mean() > 0.9


def test_each_output_has_a_size_of_its_own():
    sizes = np.array([900, -900, 0])
    y = np.stack([TARGET, X[:, 0], X[:, 1]], axis=1)
    plain, extreme = regressor().fit(X, y), regressor().fit(X, np.ldexp(y, sizes))
    np.testing.assert_array_equal(extreme.predict(X), np.ldexp(plain.predict(X), sizes))
    np.testing.assert_allclose(extreme.score(X, np.ldexp(y, sizes)), plain.score(X, y), rtol=1e-12)


def test_sequences_with_targets_of_any_size():
    parameters = {"units": 2, "filters": (), "epochs": 2, "random_state": 0}
    plain = RecurrentNetRegressor(**parameters).fit(X, TARGET)
    extreme = RecurrentNetRegressor(**parameters).fit(X, np.ldexp(TARGET, 800))
    np.testing.assert_array_equal(extreme.predict(X), np.ldexp(plain.predict(X), 800))


@pytest.mark.parametrize(
    ("model", "size", "message"),
    [
        (KerasRegressor(build, loss="mse"), 1e200, "y holds a value of size 1e+200, too large for float32"),
        (KerasRegressor(build, loss="mse"), 1e-200, "y holds a value of size 1e-200 at most, too small for float32"),
        (regressor(loss="msle"), 1e200, "y holds a value of size 1e+200, too large for float32"),
    ],
)
def test_targets_that_the_network_could_not_see(model, size, message):
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        model.fit(X, np.full(60, size))


def test_later_targets_beyond_the_units_of_the_first():
    with pytest.raises(ValueError, match=r"y holds a value of size 1e\+200, too large for the units learned from"):
        regressor().partial_fit(X, TARGET).partial_fit(X, np.full(60, 1e200))
    with pytest.raises(ValueError, match=r"^In the rows for validation .* too large for the units learned from"):
        regressor().fit(X, TARGET, X_val=X, y_val=np.full(60, 1e200))


# --- sparse rows ----------------------------------------------------------------------------------------------------


def broken(kind):
    """Sparse rows of three columns with an index beyond them, or with arrays that do not fit each other."""
    rows = sparse.csr_array(np.tile(np.eye(3), (20, 1)))
    if kind == "indptr":
        rows.indptr[5] = 1000
        return rows
    matrix = rows.asformat(kind.split()[0]) if kind != "bsr" else rows.tobsr((1, 1))
    if kind == "coo":
        matrix.coords[1][7] = 3_000_000
    elif kind == "coo negative":
        matrix.coords[0][7] = -1
    elif kind == "dok":
        matrix._dict[(3, 3_000_000)] = 1.0
    elif kind == "lil":
        matrix.rows[7] = [3_000_000]
    elif kind == "csc":
        matrix.indices[7] = 3_000_000
    else:
        matrix.indices[7] = 3_000_000
    return matrix


KINDS = ["csr", "csc", "bsr", "coo", "coo negative", "dok", "lil", "indptr"]


@pytest.mark.parametrize("kind", KINDS)
def test_corrupt_sparse_rows(kind):
    y = np.arange(60) % 2
    model = DenseNetClassifier((4,), epochs=1, random_state=0)
    message = r"^X of DenseNetClassifier is a corrupt sparse matrix: .* Build it anew, from dense rows or from"
    with pytest.raises(ValueError, match=message):
        model.fit(broken(kind), y)
    fitted = model.fit(np.tile(np.eye(3), (20, 1)), y)
    with pytest.raises(ValueError, match=message):
        fitted.predict(broken(kind))
    with pytest.raises(ValueError, match=r"^y is a corrupt sparse matrix: "):
        model.fit(np.eye(60), broken(kind))


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr", "coo", "dok", "lil", "dia"])
def test_whole_sparse_rows_stay_as_they_are(kind):
    dense = np.random.default_rng(1).normal(size=(60, 3)) * (np.arange(180).reshape(60, 3) % 4 == 0)
    matrix = sparse.csr_matrix(dense).asformat(kind)
    y = np.arange(60) % 2
    parameters = {"epochs": 2, "random_state": 0}
    one = DenseNetClassifier((4,), **parameters).fit(matrix, y).predict_proba(matrix)
    np.testing.assert_allclose(
        one, DenseNetClassifier((4,), **parameters).fit(dense, y).predict_proba(dense), rtol=1e-6
    )
    np.testing.assert_array_equal(matrix.toarray(), dense)
