"""Inputs: X of any numeric dtype, layout and container, taken as it is and left as it was."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import sparse
from sklearn.base import clone

from skneural import (
    Autoencoder,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    NeighborEmbedding,
    RecurrentNetClassifier,
    TabularNetClassifier,
    TabularNetRegressor,
)
from skneural._rows import validation as _validation

RNG = np.random.default_rng(0)
# Small whole numbers, which every dtype holds exactly.
X = RNG.integers(0, 5, size=(30, 4)).astype(np.float64)
Y = (X @ [1.0, -1.0, 2.0, -2.0] > 0).astype(int)
WEIGHTS = RNG.uniform(0.5, 2.0, size=30)


def build(meta):
    outputs = meta.get("n_classes_", 1)
    model = keras.Sequential(
        [
            keras.Input((meta["n_features_in_"],)),
            keras.layers.Dense(outputs, activation="softmax" if outputs > 1 else "linear"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy" if outputs > 1 else "mse", optimizer="sgd")
    return model


SHORT = {"epochs": 2, "batch_size": 8, "random_state": 0}
ESTIMATORS = [
    DenseNetClassifier((4,), **SHORT),
    DenseNetRegressor((4,), **SHORT),
    KerasClassifier(build, **SHORT),
    KerasRegressor(build, **SHORT),
]


@pytest.fixture(params=ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def estimator(request):
    """An estimator of each class, not fitted."""
    return request.param.__class__(**request.param.get_params())


def outputs(model, rows):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


def memory_map(folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def read_only(array):
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def with_named_order(array):
    """A view whose dtype names this machine's order of bytes, as what h5py and zarr read has."""
    named = np.dtype(array.dtype).newbyteorder("<" if sys.byteorder == "little" else ">")
    view = array.view(named)
    assert memoryview(view).format != memoryview(array).format
    return view


CONTAINERS = {
    "float32": lambda folder: X.astype(np.float32),
    "float16": lambda folder: X.astype(np.float16),
    "longdouble": lambda folder: X.astype(np.longdouble),
    "int64": lambda folder: X.astype(np.int64),
    "int8": lambda folder: X.astype(np.int8),
    "uint8": lambda folder: X.astype(np.uint8),
    "big endian": lambda folder: X.astype(">f8"),
    "named order of bytes": lambda folder: with_named_order(X),
    "named order of bytes, float32": lambda folder: with_named_order(X.astype(np.float32)),
    "object": lambda folder: X.astype(object),
    "Fortran order": lambda folder: np.asfortranarray(X),
    "strided view": lambda folder: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed view": lambda folder: X[::-1, ::-1].copy()[::-1, ::-1],
    "transposed view": lambda folder: X.T.copy().T,
    "read-only": lambda folder: read_only(X),
    "memory map": memory_map,
    "nothing masked": lambda folder: np.ma.masked_array(X, np.zeros(X.shape, bool)),
    "xarray": lambda folder: xr.DataArray(X, dims=("row", "column")),
    "nested list": lambda folder: X.tolist(),
    "list of arrays": lambda folder: list(X),
    "tuple of tuples": lambda folder: tuple(map(tuple, X.tolist())),
    "csr_matrix": lambda folder: sparse.csr_matrix(X),
    "csr_array": lambda folder: sparse.csr_array(X),
    "csc_matrix": lambda folder: sparse.csc_matrix(X),
    "csc_array": lambda folder: sparse.csc_array(X),
    "coo_array": lambda folder: sparse.coo_array(X),
    "lil_matrix": lambda folder: sparse.lil_matrix(X),
    "csr of int": lambda folder: sparse.csr_array(X.astype(np.int32)),
    "csr with 64-bit indices": lambda folder: long_indices(X),
    "csr with explicit zeros": lambda folder: with_explicit_zeros(X),
    "coo with duplicates": lambda folder: sparse.coo_array(
        (np.tile(X.ravel() / 2, 2), tuple(np.tile(places, 2) for places in np.indices(X.shape).reshape(2, -1))), X.shape
    ),
}


def long_indices(rows):
    matrix = sparse.csr_array(rows)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def with_explicit_zeros(rows):
    n_rows, n_columns = rows.shape
    return sparse.csr_array(
        (rows.ravel(), np.tile(np.arange(n_columns), n_rows), np.arange(0, rows.size + 1, n_columns)), rows.shape
    )


@pytest.fixture(scope="module")
def expected():
    """What each class predicts after a fit on plain arrays."""
    return {type(model).__name__: outputs(model.fit(X, Y), X) for model in ESTIMATORS}


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_and_dtype_do_not_matter(estimator, expected, name, tmp_path):
    rows = CONTAINERS[name](tmp_path)
    wanted = expected[type(estimator).__name__]
    np.testing.assert_allclose(outputs(estimator.fit(rows, Y), rows), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(outputs(estimator, X), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [with_named_order, lambda array: array.astype(array.dtype.newbyteorder(">"))])
def test_order_of_bytes_does_not_matter(estimator, order):
    targets, weights = Y.astype(np.int64), np.arange(30.0)
    plain = outputs(clone(estimator).fit(X, targets, sample_weight=weights, X_val=X, y_val=targets), X)
    rows = order(X)
    found = estimator.fit(rows, order(targets), sample_weight=order(weights), X_val=rows, y_val=order(targets))
    np.testing.assert_array_equal(outputs(found, rows), plain)


def with_hole(array, value):
    """An array whose first element is masked, with this value behind the mask."""
    masked = np.ma.masked_array(array.copy(), np.zeros(array.shape, bool))
    masked.flat[0] = value
    masked.mask.flat[0] = True
    return masked


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_what_is_masked_is_missing(estimator, dtype):
    rows, labels, weights = X.astype(dtype), Y.astype(dtype), np.ones(30, dtype)
    for holed in (with_hole(rows, 7), list(with_hole(rows, 7))):
        with pytest.raises(ValueError, match="X contains NaN"):
            estimator.fit(holed, Y)
    with pytest.raises(ValueError, match="X contains NaN"):
        estimator.fit(X, Y, X_val=with_hole(rows, 7), y_val=Y)
    with pytest.raises(ValueError, match="y contains NaN"):
        estimator.fit(X, with_hole(labels, 1))
    with pytest.raises(ValueError, match="y contains NaN"):
        estimator.fit(X, Y, X_val=X, y_val=with_hole(labels, 1))
    with pytest.raises(ValueError, match="sample_weight contains NaN"):
        estimator.fit(X, Y, sample_weight=with_hole(weights, 1))
    estimator.fit(X, Y)
    with pytest.raises(ValueError, match="X contains NaN"):
        estimator.predict(with_hole(rows, 7))
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.score(X, with_hole(labels, 1))
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.score(X, Y, sample_weight=with_hole(weights, 1))


def test_what_is_masked_is_a_hole_where_holes_may_be():
    holed, filled = X.copy(), with_hole(X, 1e6)
    holed[0, 0] = np.nan
    for network in (
        TabularNetRegressor(epochs=2, random_state=0),
        Autoencoder(2, missing="mask", epochs=2, random_state=0),
    ):
        expected, found = clone(network).fit(holed, Y), network.fit(filled, Y)
        answers = "predict" if hasattr(network, "predict") else "transform"
        np.testing.assert_array_equal(getattr(found, answers)(filled), getattr(expected, answers)(holed))


def test_a_target_of_an_embedding_that_is_masked_is_missing():
    with pytest.raises(ValueError, match="Input y contains NaN"):
        NeighborEmbedding(target_weight=0.5, epochs=1).fit(X, with_hole(Y.astype(np.float64), 1e6))


def test_masked_steps_are_the_ends_of_sequences():
    lengths = RNG.integers(2, 5, 30)
    is_behind = np.arange(4) >= lengths[:, np.newaxis]
    masked = np.ma.masked_array(np.where(is_behind, 1e6, X), is_behind)
    network = RecurrentNetClassifier(epochs=1, random_state=0)
    expected = clone(network).fit([row[:length] for row, length in zip(X, lengths, strict=True)], Y)
    np.testing.assert_array_equal(network.fit(masked, Y).predict_proba(masked), expected.predict_proba(masked))


def test_rows_with_fields_have_their_remedy(estimator):
    rows = np.rec.fromarrays(X.T, names="a,b,c,d")
    with pytest.raises(TypeError, match=r"a recarray with the fields \['a', 'b', 'c', 'd'\] in each row\. pandas"):
        estimator.fit(rows, Y)
    estimator.fit(pd.DataFrame(np.asarray(rows)), Y)
    with pytest.raises(TypeError, match="makes a table of it"):
        estimator.predict(rows)


@pytest.mark.parametrize("Network", [TabularNetClassifier, DenseNetClassifier])
def test_arrays_of_xarray_are_arrays_also_for_what_takes_tables(Network):
    labels = np.where(Y, "high", "low")
    network = Network(epochs=1, random_state=0).fit(xr.DataArray(X), xr.DataArray(labels))
    expected = Network(epochs=1, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(network.predict_proba(xr.DataArray(X)), expected.predict_proba(X))
    assert not hasattr(network, "feature_names_in_")


def test_bool_features_are_zeros_and_ones(estimator):
    as_bool = outputs(estimator.fit(X > 2, Y), X > 2)
    np.testing.assert_array_equal(as_bool, outputs(estimator.fit((X > 2).astype(float), Y), (X > 2).astype(float)))


@pytest.mark.parametrize("dtype", ["Int64", "Float32", "category", "boolean"])
def test_columns_of_pandas_dtypes(estimator, expected, dtype):
    values = X > 2 if dtype == "boolean" else X
    frame = pd.DataFrame({name: pd.Series(values[:, place]).astype(dtype) for place, name in enumerate("abcd")})
    plain = values.astype(float)
    np.testing.assert_allclose(
        outputs(estimator.fit(frame, Y), frame), outputs(estimator.fit(plain, Y), plain), rtol=1e-5, atol=1e-6
    )


def test_columns_of_mixed_dtypes(estimator, expected):
    frame = pd.DataFrame(
        {
            "a": X[:, 0].astype(np.int8),
            "b": pd.Series(X[:, 1], dtype="Int64"),
            "c": pd.Series(X[:, 2]).astype("category"),
            "d": X[:, 3].astype(np.float32),
        }
    )
    np.testing.assert_allclose(
        outputs(estimator.fit(frame, Y), frame), expected[type(estimator).__name__], rtol=1e-5, atol=1e-6
    )


def test_frame_of_sparse_columns(estimator, expected):
    frame = pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(X), columns=list("abcd"))
    np.testing.assert_allclose(
        outputs(estimator.fit(frame, Y), frame), expected[type(estimator).__name__], rtol=1e-5, atol=1e-6
    )


def test_names_of_columns_are_kept(estimator):
    frame = pd.DataFrame(X, columns=list("abcd"))
    estimator.fit(frame, Y)
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert estimator.n_features_in_ == 4
    with pytest.raises(ValueError, match="must be in the same order"):
        estimator.predict(frame[["b", "a", "c", "d"]])
    with pytest.raises(ValueError, match=r"yet now missing:\n- d"):
        estimator.predict(frame[["a", "b", "c"]])
    with pytest.raises(ValueError, match=r"unseen at fit time:\n- e"):
        estimator.predict(frame.assign(e=0.0))
    with pytest.raises(ValueError, match="must be in the same order"):
        estimator.partial_fit(frame[["b", "a", "c", "d"]], Y)
    with pytest.raises(ValueError, match="must be in the same order"):
        estimator.fit(frame, Y, X_val=frame[["b", "a", "c", "d"]], y_val=Y)
    estimator.fit(X, Y)
    assert not hasattr(estimator, "feature_names_in_")


def test_one_row_and_one_column(estimator):
    column = X[:, :1]
    estimator.fit(column, Y)
    np.testing.assert_allclose(outputs(estimator, column[:1]), outputs(estimator, column)[:1], rtol=1e-5)


# --- sparse data ----------------------------------------------------------------------------------------------------

# Dense and in float32 this is 160 MB, far more than the engine ever lays out.
N_ROWS, N_COLUMNS = 20_000, 2_000


@pytest.fixture(scope="module")
def wide():
    """A sparse table and labels that follow from it."""
    rows = sparse.random_array((N_ROWS, N_COLUMNS), density=0.001, rng=np.random.default_rng(0), format="csr")
    return rows, (np.asarray(rows.sum(axis=1)).ravel() > 1).astype(int)


@pytest.fixture
def largest_dense(monkeypatch):
    """The number of values in the largest dense array that any sparse one has been turned into."""
    largest = [0]

    def watch(owner, name):
        original = getattr(owner, name)

        def watched(self, *arguments, **keywords):
            largest[0] = max(largest[0], int(np.prod(self.shape)))
            return original(self, *arguments, **keywords)

        monkeypatch.setattr(owner, name, watched)

    for base in (sparse.csr_array, sparse.csr_matrix, sparse.csc_array, sparse.csc_matrix, sparse.coo_array):
        watch(base, "toarray")
        watch(base, "todense")
    return largest


def assert_stays_sparse(estimator, rows, y, largest_dense):
    estimator.set_params(batch_size=256, epochs=1)
    estimator.fit(rows, y)
    assert 0 < largest_dense[0] < N_ROWS * N_COLUMNS / 3
    largest_dense[0] = 0
    outputs(estimator, rows)
    assert 0 < largest_dense[0] < N_ROWS * N_COLUMNS / 3


def test_sparse_rows_become_dense_part_by_part_only(estimator, wide, largest_dense):
    assert_stays_sparse(estimator, *wide, largest_dense)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array])
def test_no_sparse_format_becomes_dense_as_a_whole(container, wide, largest_dense):
    rows, y = wide
    assert_stays_sparse(DenseNetClassifier((4,), random_state=0), container(rows), y, largest_dense)


def test_sparse_rows_for_validation_stay_sparse(wide, largest_dense):
    rows, y = wide
    model = DenseNetClassifier((4,), early_stopping=True, validation_fraction=0.6, epochs=1, batch_size=256)
    model.fit(rows, y)
    model.fit(rows[:512], y[:512], X_val=rows, y_val=y)
    assert 0 < largest_dense[0] < N_ROWS * N_COLUMNS / 3


def test_memory_of_a_sparse_fit_stays_below_that_of_the_dense_table(wide):
    rows, y = wide
    rows, y = sparse.vstack([rows, rows], format="csr"), np.hstack([y, y])
    model = DenseNetClassifier((4,), epochs=1, batch_size=256, random_state=0).fit(rows[:512], y[:512])
    tracemalloc.start()
    try:
        model.fit(rows, y)
        model.predict(rows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < rows.shape[0] * rows.shape[1] * 4 / 2


# --- the caller's data ----------------------------------------------------------------------------------------------


def values_of(data):
    return data.toarray() if sparse.issparse(data) else np.asarray(data)


@pytest.mark.parametrize(
    "rows",
    [X, X.astype(np.float32), sparse.csr_array(X), pd.DataFrame(X), X.tolist()],
    ids=lambda rows: type(rows).__name__,
)
def test_callers_data_are_unchanged(estimator, rows):
    y, weights = Y.astype(np.float64), WEIGHTS.copy()
    data = (rows, y, weights)
    before = [values_of(item).copy() for item in data]
    options = {"class_weight": "balanced"} if hasattr(estimator, "class_weight") else {}
    estimator.set_params(**options)
    estimator.fit(rows, y, sample_weight=weights, X_val=rows, y_val=y, sample_weight_val=weights)
    estimator.partial_fit(rows, y, sample_weight=weights)
    predictions = outputs(estimator, rows)
    predictions[:] = -1.0
    for item, values in zip(data, before, strict=True):
        np.testing.assert_array_equal(values_of(item), values)


def test_read_only_arrays_everywhere(estimator):
    rows, y, weights = read_only(X), read_only(Y), read_only(WEIGHTS)
    estimator.fit(rows, y, sample_weight=weights, X_val=rows, y_val=y, sample_weight_val=weights)
    estimator.partial_fit(rows, y, sample_weight=weights)
    assert len(estimator.predict(rows)) == 30


def test_later_changes_to_the_callers_arrays_do_not_matter(estimator):
    rows, y = X.copy(), Y.copy()
    estimator.fit(rows, y)
    before = outputs(estimator, X)
    rows[:], y[:] = 0.0, 0
    np.testing.assert_array_equal(outputs(estimator, X), before)


def large_map(path, mode):
    """72 MB of rows with two classes, in a file."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (36_000, 500))
    rows[:] = np.random.default_rng(0).normal(size=500).astype(np.float32)
    rows[::2] += 1
    rows.flush()
    return np.load(path, mmap_mode=mode), np.tile(["a", "b"], len(rows) // 2)


def pages_held(path):
    """The megabytes of a mapped file that are in this process's memory."""
    entries = Path("/proc/self/smaps").read_text().split(str(path))
    return sum(int(entry.split("Rss:")[1].split()[0]) for entry in entries[1:]) / 1024


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not tell which pages are held")
def test_a_large_memory_map_does_not_stay_in_memory(tmp_path):
    rows, labels = large_map(tmp_path / "rows.npy", "r")
    assert rows.sum() != 0
    assert pages_held(tmp_path / "rows.npy") > 60
    held = []
    keras_callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: held.append(pages_held(tmp_path / "rows.npy"))
    )
    network = DenseNetClassifier((4,), epochs=2, batch_size=1000, callbacks=keras_callback, random_state=0)
    network.fit(rows, labels)
    assert network.engine_ != "keras"
    assert len(held) == 2
    assert max(held) < 40
    assert network.score(rows, labels) > 0.99
    assert pages_held(tmp_path / "rows.npy") < 40


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not tell which pages are held")
@pytest.mark.parametrize("shape", [(36_000, 500), (400, 212, 212)])
def test_a_large_memory_map_is_searched_without_being_held(shape, tmp_path, monkeypatch):
    path = tmp_path / "rows.npy"
    rows = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    rows[:] = 1
    rows.flush()
    held = []
    search = _validation.assert_all_finite

    def spying(part, **arguments):
        search(part, **arguments)
        held.append(pages_held(path))

    del rows
    monkeypatch.setattr(_validation, "assert_all_finite", spying)
    _validation.validate_rows(DenseNetClassifier(), np.load(path, mmap_mode="r"), reset=True, allow_nd=True)
    assert len(held) > 2
    assert max(held) < 40


def test_a_large_memory_map_is_searched_for_what_is_not_finite(tmp_path):
    rows, labels = large_map(tmp_path / "rows.npy", "r+")
    rows[-1, -1] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity or a value too large"):
        DenseNetClassifier((4,), epochs=1).fit(rows, labels)


def test_changes_that_only_memory_holds_stay_in_a_large_memory_map(tmp_path):
    rows, labels = large_map(tmp_path / "rows.npy", "c")
    rows[:] = 0
    DenseNetClassifier((4,), epochs=1, batch_size=1000).fit(rows, labels)
    assert not rows.any()


def test_nan_may_stand_in_a_large_memory_map_where_it_may_elsewhere(tmp_path):
    rows, _ = large_map(tmp_path / "rows.npy", "r+")
    rows[5, 5] = np.nan
    _validation.check_padded_array(DenseNetClassifier(), rows)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        _validation.validate_rows(DenseNetClassifier(), rows, reset=True, allow_nd=True)
    rows[-1, -1] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        _validation.check_padded_array(DenseNetClassifier(), rows)


def test_a_large_memory_map_is_searched_for_what_float32_cannot_hold(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float64, (18_000, 500))
    rows[-1, -1] = -1e300
    with pytest.raises(ValueError, match=r"holds a value of size 1e\+300, too large for float32"):
        DenseNetClassifier((4,), epochs=1).fit(rows, np.tile([0, 1], 9000))


def test_a_large_memory_map_in_fortran_order_is_never_copied_whole(tmp_path):
    rows, labels = large_map(tmp_path / "rows.npy", "r")
    np.save(tmp_path / "turned.npy", np.asfortranarray(rows))
    turned = np.load(tmp_path / "turned.npy", mmap_mode="r")
    assert not turned.flags.c_contiguous
    networks = [DenseNetClassifier((4,), epochs=1, batch_size=1000, random_state=0) for _ in range(2)]
    networks[1].fit(rows, labels)
    tracemalloc.start()
    networks[0].fit(turned, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Two parts of 32 MB, and one on the way to them.
    assert peak < 110e6
    np.testing.assert_allclose(networks[0].model_.get_weights()[0], networks[1].model_.get_weights()[0], atol=1e-6)
