"""What is learned of columns: scales, bins of equally much weight, places of categories."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import RobustScaler

from skneural._architectures.table_encoding import TableEncoding
from skneural._engine import ColumnEncoding

RNG = np.random.default_rng(0)
X = np.stack([RNG.normal(size=101) * 5 + 3, RNG.integers(0, 3, 101)], axis=1)


def encoding(X, weights=None, n_codes=(0, 3), numeric="piecewise_linear", n_bins=4, seed=0):
    return TableEncoding.of(np.asarray(X, float), weights, n_codes, numeric, n_bins, seed)


def seen(learned, rows):
    """What a network sees of rows, by kind."""
    layer = ColumnEncoding(**dict(learned.columns))
    layer.build((None, np.shape(rows)[1]))
    layer.numbers.assign(learned.numbers)
    values = layer(np.asarray(rows, np.float32)).numpy()
    return {kind: values[:, part] for kind, part in layer.parts()}


def test_a_number_is_scaled_by_median_and_quartiles():
    values = seen(encoding(X, numeric="plain"), X)["clipped"][:, 0]
    scaled = RobustScaler(unit_variance=True).fit_transform(X[:, :1])[:, 0]
    np.testing.assert_allclose(values, scaled / np.sqrt(1 + (scaled / 3) ** 2), rtol=1e-4, atol=1e-5)
    assert abs(seen(encoding(X, numeric="plain"), [[1e9, 0]])["clipped"]).max() <= 3


def test_ramps_add_up_to_the_place_among_the_quantiles():
    ramps = seen(encoding(X), X)["ramp"]
    assert ramps.shape == (101, 4)
    np.testing.assert_allclose(ramps.mean(axis=0), 0, atol=1e-6)
    places = (ramps - ramps.min(axis=0)).sum(axis=1) / np.ptp(ramps, axis=0)[0]
    edges = np.quantile(X[:, 0], [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(places, np.interp(X[:, 0], edges, np.arange(5)), atol=0.05)


def test_a_value_of_many_rows_takes_no_bin_from_the_others():
    column = np.concatenate([np.zeros(900), np.arange(1.0, 101)])[:, None]
    columns, numbers = (lambda one: (dict(one.columns), one.numbers))(encoding(column, n_codes=(0,), n_bins=8))
    assert len(columns["ramp"]) == 8
    starts = numbers[0, len(columns["clipped"]) :][:8]
    assert (starts > 0).sum() == 7


def test_each_category_has_a_place_and_others_none():
    values = seen(encoding(X), [[0, 0], [0, 2], [0, -1], [0, np.nan]])["equal"]
    np.testing.assert_array_equal(values, [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_rare_categories_beyond_the_most_have_no_place():
    codes = np.concatenate([np.repeat(np.arange(256), 2), np.arange(256, 300)])[:, None]
    (places,) = (sources for kind, sources in encoding(codes, n_codes=(300,)).columns if kind == "equal")
    assert len(places) == 256
    assert seen(encoding(codes, n_codes=(300,)), [[299.0]])["equal"].sum() == 0


def test_holes_are_seen_as_such_and_as_the_average():
    holes = X.copy()
    holes[::3] = np.nan
    values = seen(encoding(holes), holes)
    np.testing.assert_array_equal(values["missing"], np.isnan(holes))
    assert (values["clipped"][::3] == 0).all()
    assert (values["ramp"][::3] == 0).all()


@pytest.mark.parametrize("numeric", ["piecewise_linear", "periodic", "plain"])
def test_a_weight_of_two_is_the_row_twice(numeric):
    weights = 1.0 + (np.arange(101) % 3 == 0)
    repeated = np.repeat(X, weights.astype(int), axis=0)
    one, other = encoding(X, weights, numeric=numeric), encoding(repeated, numeric=numeric)
    assert one.columns == other.columns
    np.testing.assert_allclose(one.numbers, other.numbers, rtol=1e-6)


def test_constant_columns_are_not_seen():
    learned = dict(encoding(np.ones((9, 2)), n_codes=(0, 0)).columns)
    assert {kind: len(sources) for kind, sources in learned.items() if sources} == {"missing": 1}
    learned = dict(encoding(np.full((9, 1), np.nan), n_codes=(0,)).columns)
    assert learned["missing"] == (0,)


def test_cosines_are_drawn_by_the_seed():
    one, other, again = (encoding(X, numeric="periodic", n_bins=6, seed=seed) for seed in (0, 1, 0))
    assert len(dict(one.columns)["wave"]) == 6
    assert not np.allclose(one.numbers, other.numbers)
    np.testing.assert_array_equal(one.numbers, again.numbers)
    waves = seen(one, X)["wave"]
    assert abs(waves).max() <= 1
    assert np.linalg.matrix_rank(waves) == 6
