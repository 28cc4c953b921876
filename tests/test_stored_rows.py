"""Rows that are read in parts: from files, from dask, from Arrow, from objects of a user's own."""

from __future__ import annotations

import logging
import re
import sys
import tracemalloc

import dask.array
import dask.dataframe
import h5py
import keras
import netCDF4
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import zarr

from skneural import (
    Autoencoder,
    ConvNetClassifier,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasRegressor,
    NeighborEmbedding,
    TabularNetRegressor,
)
from skneural._engine import Source, StoredRows
from skneural._engine.data import feeding, mixing
from skneural._engine.loop import row_progress
from skneural._rows import stores, temporary_maps
from skneural.exceptions import ReadError

N, K = 700, 6
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, K)).astype(np.float32)
Y = X @ RNG.normal(size=K) + X[:, 0] ** 2
LABELS = np.where(Y.mean() < Y, "high", "low")
NAMES = [f"x{place}" for place in range(K)]
TABLE = pd.DataFrame(X.astype(np.float64), columns=NAMES)


class Slices:
    """What a user may write: a shape, a dtype, slices; it tells what was read."""

    def __init__(self, array, fails_at=None):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.asked, self._fails_at = [], fails_at

    def __getitem__(self, rows):
        assert isinstance(rows, slice)
        self.asked.append((rows.start, rows.stop))
        if self._fails_at is not None and rows.start <= self._fails_at < rows.stop:
            raise OSError("the disk is gone")
        return self.array[rows]


@pytest.fixture(autouse=True)
def little_is_much(monkeypatch):
    """Runs of 20 rows, 80 rows mixed at a time, parts of 100 rows."""
    row_bytes = 4 * K
    monkeypatch.setattr(stores, "LARGE_BYTES", 0)
    monkeypatch.setattr(mixing, "RUN_BYTES", 20 * row_bytes)
    monkeypatch.setattr(mixing, "MIXED_BYTES", 80 * row_bytes)
    monkeypatch.setattr(feeding, "PART_BYTES", 100 * row_bytes)


def in_hdf5(folder):
    file = h5py.File(folder / "rows.h5", "w")
    return file.create_dataset("X", data=X, chunks=(16, K))


def in_zarr(folder):
    array = zarr.create_array(store=str(folder / "rows.zarr"), shape=X.shape, chunks=(32, K), dtype="float32")
    array[:] = X
    return array


def netcdf_variable(folder, dtype="f4", **settings):
    """A variable of a file, of the shape of X and without values."""
    file = netCDF4.Dataset(folder / "rows.nc", "w")
    file.createDimension("row", N)
    file.createDimension("column", K)
    return file.createVariable("X", dtype, ("row", "column"), **settings)


def in_netcdf(folder):
    variable = netcdf_variable(folder, chunksizes=(32, K))
    variable[:] = X
    return variable


def in_dask_of_unknown_sizes(folder):
    array = dask.array.from_array(X, chunks=(90, 4))
    return array[dask.array.from_array(np.ones(N, bool), chunks=90)]


def in_parquet(folder):
    for place, part in enumerate((TABLE[:300], TABLE[300:])):
        pyarrow.parquet.write_table(
            pa.Table.from_pandas(part, preserve_index=False), folder / f"{place}.parquet", row_group_size=64
        )
    return pyarrow.dataset.dataset(folder)


STORES = {
    "h5py": in_hdf5,
    "zarr": in_zarr,
    "netCDF4": in_netcdf,
    "dask array": lambda folder: dask.array.from_array(X, chunks=(90, 4)),
    "dask array of unknown sizes": in_dask_of_unknown_sizes,
    "dask frame": lambda folder: dask.dataframe.from_pandas(TABLE, npartitions=5),
    "arrow table": lambda folder: pa.Table.from_pandas(TABLE, preserve_index=False),
    "parquet": in_parquet,
    "slices": lambda folder: Slices(X),
}


def regressor(**parameters):
    settings = {"hidden_layer_sizes": (8,), "learning_rate": 0.01, "epochs": 3, "batch_size": 32, "random_state": 0}
    return DenseNetRegressor(**settings | parameters)


# --- from all kinds of stores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", STORES)
def test_without_shuffling_every_store_gives_the_bits_of_an_array(store, tmp_path):
    stored, given = STORES[store](tmp_path), TABLE if store in ("dask frame", "arrow table", "parquet") else X
    weights = RNG.uniform(size=N)
    expected = regressor(shuffle=False).fit(given, Y, sample_weight=weights)
    fitted = regressor(shuffle=False).fit(stored, Y, sample_weight=weights)
    assert fitted.engine_ == "native"
    assert fitted.history_ == expected.history_
    np.testing.assert_array_equal(fitted.predict(stored), expected.predict(given))
    np.testing.assert_array_equal(fitted.predict(given[:5]), expected.predict(given[:5]))
    assert list(getattr(fitted, "feature_names_in_", [])) == list(getattr(expected, "feature_names_in_", []))


@pytest.mark.parametrize("store", ["h5py", "dask frame"])
def test_little_is_read_whole_and_then_is_what_it_is_in_memory(store, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "LARGE_BYTES", 2**20)
    stored = STORES[store](tmp_path)
    np.testing.assert_array_equal(regressor().fit(stored, Y).predict(stored), regressor().fit(X, Y).predict(X))


@pytest.mark.parametrize("is_little", [False, True])
def test_variables_of_netcdf_are_unpacked_and_nan_where_nothing_was_written(is_little, tmp_path, monkeypatch):
    if is_little:
        monkeypatch.setattr(stores, "LARGE_BYTES", 2**20)
    variable = netcdf_variable(tmp_path, "i2", zlib=True)
    variable.scale_factor, variable.add_offset = 0.001, 1.5
    variable[: N - 10] = X[:-10]
    rounded = 1.5 + np.round((X[:-10].astype(np.float64) - 1.5) / 0.001) * 0.001
    rows = stores.opened("X", variable, in_parts=True)
    np.testing.assert_allclose(rows[: N - 10], rounded, rtol=1e-12)
    assert np.isnan(rows[N - 10 :]).all()
    with pytest.raises(ValueError, match="NaN"):
        regressor().fit(variable, Y)


@pytest.mark.parametrize("is_little", [False, True])
@pytest.mark.parametrize("store", ["dask array", "slices"])
def test_what_is_masked_where_it_is_stored_is_missing(store, is_little, monkeypatch):
    if is_little:
        monkeypatch.setattr(stores, "LARGE_BYTES", 2**20)
    masked = np.ma.masked_array(X.copy(), np.zeros(X.shape, bool))
    masked[333, 2] = np.ma.masked
    stored = dask.array.from_array(masked, chunks=90) if store == "dask array" else Slices(masked)
    with pytest.raises(ValueError, match="X contains NaN"):
        regressor().fit(stored, Y)
    with pytest.raises(ValueError, match="y contains NaN"):
        regressor().fit(X, dask.array.from_array(masked[:, 2], chunks=90))


def test_a_variable_of_netcdf_may_be_y(tmp_path):
    with netCDF4.Dataset(tmp_path / "y.nc", "w") as file:
        file.createDimension("row", N)
        variable = file.createVariable("y", "f8", ("row",))
        variable[: N - 1] = Y[:-1]
        with pytest.raises(ValueError, match="y contains NaN"):
            regressor().fit(X, variable)
        variable[N - 1] = Y[-1]
        found = regressor().fit(X, variable)
        np.testing.assert_array_equal(found.predict(X), regressor().fit(X, Y).predict(X))
        assert found.score(X, variable) == found.score(X, Y)


def test_targets_and_weights_may_be_stored_too(tmp_path):
    y, weights = dask.array.from_array(Y, chunks=100), Slices(np.arange(N) + 1.0)
    fitted = regressor().fit(Slices(X), y, sample_weight=weights)
    expected = regressor().fit(Slices(X), Y, sample_weight=np.arange(N) + 1.0)
    np.testing.assert_array_equal(fitted.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    "kind", ["a", pd.Categorical(["a", "b"] * (N // 2)), [[1, 2]] * N], ids=["text", "category", "list"]
)
def test_columns_that_are_no_numbers_are_named(kind):
    table = pa.Table.from_pandas(TABLE.assign(kind=kind), preserve_index=False)
    with pytest.raises(ValueError, match="X of DenseNetRegressor must be numeric, but column 'kind' has the dtype"):
        regressor().fit(table, Y)


def test_others_read_them_whole():
    frame = dask.dataframe.from_pandas(TABLE.assign(kind=np.where(TABLE["x0"] > 0, "a", "b")), npartitions=3)
    parameters = {"hidden_layer_sizes": (4,), "n_members": 1, "epochs": 2, "random_state": 0}
    one, other = (TabularNetRegressor(**parameters).fit(rows, Y) for rows in (frame, frame.compute()))
    np.testing.assert_array_equal(one.predict(frame), other.predict(frame.compute()))
    one, other = (NeighborEmbedding(epochs=1, random_state=0).fit(rows) for rows in (Slices(X[:60]), X[:60]))
    np.testing.assert_array_equal(one.transform(Slices(X)), other.transform(X))


# --- order ----------------------------------------------------------------------------------------------------------


def orders(shuffle, seed=0, places=None):
    rows = StoredRows.of(Source(lambda start, stop: X[start:stop], X.shape, X.dtype))
    rows = rows if places is None else rows.at(places)
    order = mixing.MixedOrder.of(rows, seed, 0, shuffle=shuffle)
    reader = mixing.MixedRows(order, {"X": (rows, "float32")})
    numbers, read = [], []
    for start in range(0, len(rows), 64):
        for piece in reader.pieces(start, min(start + 64, len(rows))):
            numbers.append(piece.numbers)
            out = np.empty((len(piece.mixed), K), np.float32)
            piece.take("X", out)
            read.append(out)
    return np.concatenate(numbers), np.concatenate(read)


@pytest.mark.parametrize("places", [None, np.flatnonzero(np.arange(N) % 3)], ids=["all rows", "some rows"])
def test_every_row_comes_once_in_an_order_that_the_seed_draws(places):
    of_source = X if places is None else X[places]
    numbers, read = orders(shuffle=True, places=places)
    np.testing.assert_array_equal(np.sort(numbers), np.arange(len(of_source)))
    np.testing.assert_array_equal(read, of_source[numbers])
    np.testing.assert_array_equal(orders(shuffle=True, places=places)[0], numbers)
    assert (orders(shuffle=True, seed=1, places=places)[0] != numbers).any()
    np.testing.assert_array_equal(orders(shuffle=False, places=places)[0], np.arange(len(of_source)))
    # Neighbours in a batch come from all over: the correlation of position and number is that of chance.
    assert abs(np.corrcoef(numbers, np.arange(len(numbers)))[0, 1]) < 0.5


def test_each_epoch_reads_each_row_once_and_in_runs():
    rows = Slices(X)
    regressor(epochs=2).fit(rows, Y)
    # The first ones are looked at before.
    asked = [one for one in rows.asked if one not in ((0, 1), (0, 32))]
    assert sum(stop - start for start, stop in asked) == 2 * N
    assert {stop - start for start, stop in asked} == {20}


def test_shuffled_rows_teach_as_those_in_memory():
    scores = [regressor(epochs=30).fit(rows, Y).score(X, Y) for rows in (Slices(X), X)]
    assert min(scores) > 0.9
    assert abs(scores[0] - scores[1]) < 0.02
    one, other = (regressor(random_state=seed).fit(Slices(X), Y).predict(X) for seed in (0, 0))
    np.testing.assert_array_equal(one, other)


# --- what is done with rows -----------------------------------------------------------------------------------------


def test_rows_for_validation_are_those_of_an_array_and_are_read_once(monkeypatch):
    monkeypatch.setattr(temporary_maps, "_MOST_BYTES_IN_MEMORY", 0)
    parameters = {"early_stopping": True, "shuffle": False, "class_weight": "balanced"}
    classifiers = [
        DenseNetClassifier((8,), epochs=4, batch_size=32, random_state=0, **parameters).fit(rows, LABELS)
        for rows in (Slices(X), X)
    ]
    assert classifiers[0].history_ == classifiers[1].history_
    assert "val_loss" in classifiers[0].history_


def test_rows_of_weight_zero_are_left_out():
    weights = np.where(np.arange(N) % 2, 1.0, 0.0)
    fitted = regressor(shuffle=False).fit(Slices(X), Y, sample_weight=weights)
    expected = regressor(shuffle=False).fit(X[1::2], Y[1::2])
    np.testing.assert_allclose(fitted.predict(X), expected.predict(X), rtol=1e-5, atol=1e-5)


def test_partial_fit_and_own_rows_for_validation():
    one, other = (regressor(shuffle=False).fit(rows, Y, X_val=rows, y_val=Y) for rows in (Slices(X), X))
    assert one.history_ == other.history_
    for estimator, rows in ((one, Slices(X)), (other, X)):
        estimator.partial_fit(rows, Y)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


def test_a_fit_goes_on_from_a_folder(tmp_path):
    fits = [regressor(checkpoint=str(tmp_path)).fit(Slices(X), Y) for _ in range(2)]
    np.testing.assert_array_equal(fits[0].predict(X), fits[1].predict(X))
    changed = X.copy()
    changed[600] += 1
    with pytest.raises(ValueError, match="is of a fit on other data or with other parameters"):
        regressor(checkpoint=str(tmp_path)).fit(Slices(changed), Y)


def test_a_network_that_keras_fits_gets_the_same_rows():
    def build():
        model = keras.Sequential([keras.Input((K,)), keras.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    def fitted(rows, *, shuffle):
        network = KerasRegressor(build, epochs=2, batch_size=64, shuffle=shuffle, run_eagerly=True, random_state=0)
        return network.fit(rows, Y)

    one, other = (fitted(rows, shuffle=False) for rows in (Slices(X), X))
    assert one.engine_ == "keras"
    np.testing.assert_array_equal(one.predict(Slices(X)), other.predict(X))
    assert fitted(Slices(X), shuffle=True).score(X, Y) == pytest.approx(other.score(X, Y), abs=0.1)


def test_images():
    images = np.repeat(X.reshape(N, 2, 3), 2, axis=1)[:200]
    parameters = {"filters": (4,), "epochs": 2, "batch_size": 32, "shuffle": False, "random_state": 0}
    one, other = (ConvNetClassifier(**parameters).fit(rows, LABELS[:200]) for rows in (Slices(images), images))
    np.testing.assert_allclose(one.predict_proba(Slices(images)), other.predict_proba(images), rtol=1e-4, atol=1e-5)


def test_an_autoencoder_scales_rows_when_they_are_read():
    parameters = {"n_components": 2, "hidden_layer_sizes": (8,), "standardize": True, "epochs": 3, "shuffle": False}
    one, other = (Autoencoder(**parameters, batch_size=32, random_state=0).fit(rows) for rows in (Slices(X), X))
    np.testing.assert_allclose(one.transform(Slices(X)), other.transform(X), rtol=1e-4, atol=1e-4)
    assert one.reconstruction_error_ == pytest.approx(other.reconstruction_error_, rel=1e-5)


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_a_reader_that_fails_midway_tells_what_was_read_and_leaves_the_estimator():
    fitted = regressor().fit(X, Y)
    before = fitted.predict(X)
    with pytest.raises(ReadError, match="of the 700 in X could not be read: OSError: the disk is gone") as raised:
        fitted.fit(Slices(X, fails_at=333), Y)
    assert raised.value.start <= 333 < raised.value.stop
    assert 0 < raised.value.n_read < N + 32
    np.testing.assert_array_equal(fitted.predict(X), before)
    with pytest.raises(ReadError, match="Before, 32 rows had been read in all"):
        fitted.predict(Slices(X, fails_at=333))


def test_rows_of_another_shape_are_not_taken():
    class Short(Slices):
        def __getitem__(self, rows):
            return super().__getitem__(rows)[:10]

    with pytest.raises(ReadError, match=r"an array of shape \(10, 6\) and dtype float32 came, for numbers of shape"):
        regressor().fit(Short(X), Y)


def test_numbers_of_another_kind_than_was_said_are_not_taken():
    rows = Slices(X)
    rows.dtype = np.dtype(np.int16)
    with pytest.raises(ReadError, match="an array of dtype float32 came, for numbers of dtype int16"):
        regressor().fit(rows, Y)
    rows.dtype = np.dtype(np.float64)
    found, expected = (regressor(shuffle=False).fit(given, Y) for given in (rows, Slices(X)))
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


@pytest.mark.parametrize(("value", "message"), [(np.nan, "Input X contains NaN"), (1e300, "too large for float32")])
def test_values_that_are_no_numbers_end_the_fit_when_they_are_read(value, message):
    rows = X.astype(np.float64)
    rows[500, 3] = value
    with pytest.raises(ValueError, match=message):
        regressor().fit(Slices(rows), Y)
    with pytest.raises(ValueError, match=message):
        regressor().fit(X, Y).predict(Slices(rows))
    with pytest.raises(ValueError, match="X has 5 features, but DenseNetRegressor is expecting 6"):
        regressor().fit(X, Y).predict(Slices(X[:, :5]))
    with pytest.raises(ValueError, match="X has 700 and y has 699"):
        regressor().fit(Slices(X), Y[:-1])


def test_progress_is_logged(monkeypatch, caplog):
    monkeypatch.setattr(row_progress, "SECONDS_BETWEEN", 0.0)
    with caplog.at_level(logging.INFO, "skneural"):
        regressor(epochs=1).fit(Slices(X), Y)
    assert any(message.startswith("Epoch 1: 96 of 700 rows, ") for message in caplog.messages)
    assert any(message.endswith(" seconds left.") for message in caplog.messages)


@pytest.mark.parametrize("runner", [pytest.param({}, marks=pytest.mark.native), {"batch_normalization": True}], ids=str)
def test_the_bar_moves_and_tells_rows_a_second(runner, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    regressor(epochs=2, verbose=1, **runner).fit(Slices(X), Y)
    shown = capsys.readouterr().out
    epochs = re.findall(r"Epoch (\d)/2\n(.*)", shown)
    assert [number for number, _ in epochs] == ["1", "2"]
    assert re.search(r"\b3/22\b.* rows/s: \d+\.\d+", shown)  # the first part: 96 rows in batches of 32
    for _, bar in epochs:
        assert re.search(r"22/22.* - rows/s: [1-9]\d*\.\d+ - loss: \d\.\d+", bar.replace("\x08", ""))
    regressor(epochs=1, verbose=2).fit(Slices(X), Y)
    assert re.search(r"22/22 - .*rows/s: [1-9]\d*\.\d+ - loss: \d\.\d+", capsys.readouterr().out)
    regressor(epochs=1, verbose=1).fit(X, Y)
    assert "rows/s" not in capsys.readouterr().out


def test_memory_does_not_grow_with_the_rows(monkeypatch):
    monkeypatch.setattr(stores, "LARGE_BYTES", 2**20)
    monkeypatch.setattr(mixing, "RUN_BYTES", 2**18)
    monkeypatch.setattr(mixing, "MIXED_BYTES", 2**20)
    monkeypatch.setattr(feeding, "PART_BYTES", 2**20)

    class Virtual:
        dtype = np.dtype(np.float32)

        def __init__(self, n_rows):
            self.shape = (n_rows, 1000)

        def __getitem__(self, rows):
            numbers = np.arange(rows.start, rows.stop, dtype=np.float32)
            return np.broadcast_to((numbers % 7 - 3)[:, None], (len(numbers), 1000))

    peaks = []
    for n_rows in (2_000, 20_000):
        fitted = regressor(epochs=1, batch_size=256)
        tracemalloc.start()
        fitted.fit(Virtual(n_rows), np.arange(n_rows) % 7)
        fitted.predict(Virtual(n_rows))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 80 MB of rows.
    assert max(peaks) < 60e6
