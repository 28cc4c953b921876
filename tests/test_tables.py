"""Tables of any library become the same array: numbers, codes of categories, NaN for what is missing."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone

from skneural import TabularNetClassifier
from skneural._rows.tables import TableColumns

NAN = np.nan
QUICK = {"hidden_layer_sizes": (4,), "n_members": 1, "epochs": 2, "random_state": 0}


class Table(BaseEstimator):
    """An estimator as far as tables are concerned."""

    def __init__(self, categorical_features="from_dtype"):
        self.categorical_features = categorical_features


def seen(X, categorical_features="from_dtype"):
    return TableColumns.seen(Table(categorical_features), X)


def column(values, **options):
    """The only column of a table as an array, and its categories."""
    columns, rows = seen(pd.DataFrame({"a": pd.Series(values, **options)}))
    (found,) = columns.categories
    return rows[:, 0].tolist(), None if found is None else found.tolist()


def same(rows, expected):
    np.testing.assert_array_equal(np.asarray(rows, float), np.asarray(expected, float))


# --- what each kind of column means -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "codes", "categories"),
    [
        ([3.5, None, -1.0], "float64", [3.5, NAN, -1], None),
        ([3, 4, 5], "int8", [3, 4, 5], None),
        ([3, 4, 5], ">i4", [3, 4, 5], None),
        ([3.5, None, -1.0], ">f8", [3.5, NAN, -1], None),
        ([3.5, None, -1.0], "<f8", [3.5, NAN, -1], None),
        ([3.5, None, -1.0], "float16", [3.5, NAN, -1], None),
        ([3.5, None, -1.0], "longdouble", [3.5, NAN, -1], None),
        ([3.5, None, 0.0], "Sparse[float]", [3.5, NAN, 0], None),
        ([3, 0, 5], pd.SparseDtype(int, 0), [3, 0, 5], None),
        ([3, None, 5], "Int64", [3, NAN, 5], None),
        ([0.5, None, 2.5], "Float32", [0.5, NAN, 2.5], None),
        ([True, False, True], "bool", [1, 0, 1], None),
        ([True, None, False], "boolean", [1, NAN, 0], None),
        (["b", "a", None], "str", [1, 0, NAN], ["a", "b"]),
        (["b", "a", None], "string", [1, 0, NAN], ["a", "b"]),
        (["b", "a", None], object, [1, 0, NAN], ["a", "b"]),
        (["b", "a", None], "category", [1, 0, NAN], ["a", "b"]),
        ([20, 10, None], "category", [1, 0, NAN], [10, 20]),
        ([20, None, 10], object, [20, NAN, 10], None),
        (["b", 7, None], object, [1, 0, NAN], [7, "b"]),
        ([pd.NA, True, "x"], object, [NAN, 0, 1], [True, "x"]),
    ],
)
def test_each_dtype_has_its_meaning(values, dtype, codes, categories):
    rows, found = column(values, dtype=dtype)
    same(rows, codes)
    assert found == categories


@pytest.mark.parametrize("missing", [[None], [NAN], [pd.NA], [None, NAN]])
def test_missing_values_alone_have_no_kind(missing):
    """Such as those of a single row that came as JSON."""
    table = Table()
    columns, _ = TableColumns.seen(table, pd.DataFrame({"number": [1.5, 2.5], "kind": ["a", "b"]}))
    rows = pd.DataFrame({"number": pd.Series(missing, dtype=object), "kind": pd.Series(missing, dtype=object)})
    same(columns.array_of(table, rows), np.full((len(missing), 2), NAN))
    polars = pytest.importorskip("polars")
    nothing = polars.DataFrame({"number": [None, None], "kind": [None, None]})
    same(columns.array_of(table, nothing), np.full((2, 2), NAN))


def test_categories_that_do_not_occur_have_no_code():
    rows, found = column(pd.Categorical(["c", "a"], categories=["a", "b", "c"]))
    same(rows, [1, 0])
    assert found == ["a", "c"]


def test_unseen_and_missing_categories_are_told_apart():
    columns, _ = seen(pd.DataFrame({"a": ["x", "y"], "n": [1.0, 2.0]}))
    rows = columns.array_of(_seen_before(), pd.DataFrame({"a": ["y", "never", None], "n": [3.0, None, -1.0]}))
    same(rows, [[1, 3], [-1, NAN], [NAN, -1]])


def _seen_before():
    estimator = Table()
    TableColumns.seen(estimator, pd.DataFrame({"a": ["x", "y"], "n": [1.0, 2.0]}))
    return estimator


def test_codes_do_not_depend_on_how_a_category_is_stored():
    columns, _ = seen(pd.DataFrame({"a": pd.Categorical(["x", "y"])}))
    estimator = Table()
    TableColumns.seen(estimator, pd.DataFrame({"a": ["x"]}))
    for stored in (["y", "x"], pd.Categorical(["y", "x"]), np.array(["y", "x"], object)):
        same(columns.array_of(estimator, pd.DataFrame({"a": stored})), [[1], [0]])


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.to_datetime(["2020-01-01", None])),
        pd.Series(pd.to_datetime(["2020-01-01", "2021-01-01"]).tz_localize("UTC")),
        pd.Series(pd.to_timedelta([1, 2], unit="D")),
        pd.Series([datetime.date(2020, 1, 2), None], dtype=object),
    ],
)
def test_times_are_refused_with_the_remedy(values):
    message = r"Column 'when' in X of Table holds times \(.*\). Turn them into numbers .* such as the year"
    with pytest.raises(ValueError, match=message):
        seen(pd.DataFrame({"when": values}))


def test_values_that_are_no_categories_are_refused():
    with pytest.raises(ValueError, match="Column 'a' in X of Table holds a list, which is no category"):
        seen(pd.DataFrame({"a": [[1], "x"]}))


# --- which columns hold categories ------------------------------------------------------------------------------------

ARRAY = np.array([["b", 1, 2.5], ["a", 3, None], [None, 1, 0.5]], dtype=object)


@pytest.mark.parametrize("named", [[0, 1], [True, True, False], np.array([0, 1])])
def test_columns_of_an_array_are_named_by_place_or_mask(named):
    columns, rows = seen(ARRAY, named)
    same(rows, [[1, 0, 2.5], [0, 1, NAN], [NAN, 0, 0.5]])
    assert columns.n_codes == (2, 2, 0)
    estimator = Table(named)
    TableColumns.seen(estimator, ARRAY)
    same(columns.array_of(estimator, [["z", 3, 1.0]]), [[-1, 1, 1]])


def test_columns_of_a_table_are_named():
    table = pd.DataFrame({"a": [5, 7], "b": [1.0, 2.0]})
    columns, rows = seen(table, ["a"])
    same(rows, [[0, 1], [1, 2]])
    assert columns.categories[0].tolist() == [5, 7]


@pytest.mark.parametrize(
    ("X", "named", "message"),
    [
        (
            pd.DataFrame({"a": ["x"]}),
            None,
            "Column 'a' in X of Table holds strings or categories, but is not among its",
        ),
        (pd.DataFrame({"a": [1.0]}), ["b"], "names the column 'b', but the columns of X are \\['a'\\]"),
        (np.zeros((2, 2)), ["b"], "names the column 'b', but X has no names"),
        (np.zeros((2, 2)), [2], "must hold names of columns, places from 0 to 1, or a mask. Got 2."),
        (np.zeros((2, 2)), [True], "is a mask of 1 columns, but X has 2"),
        (np.array([["x", 1.0]], object), "from_dtype", "X of Table must be numeric, but column 0 holds the string 'x'"),
        (pd.DataFrame({"a": [1.0, np.inf]}), "from_dtype", "contains infinity"),
    ],
)
def test_what_does_not_fit_is_refused(X, named, message):
    with pytest.raises(ValueError, match=message):
        seen(X, named)


def test_numbers_may_not_become_strings():
    estimator = Table()
    columns, _ = TableColumns.seen(estimator, pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(
        ValueError, match=r"Column 'a' in X of Table holds strings or categories, but was one of numbers in fit"
    ):
        columns.array_of(estimator, pd.DataFrame({"a": ["x"]}))


# --- other libraries --------------------------------------------------------------------------------------------------

PANDAS = pd.DataFrame({"n": [1.5, None], "k": ["b", "a"], "t": [True, False], "i": pd.array([None, 3], dtype="Int64")})


def test_polars_tables():
    polars = pytest.importorskip("polars")
    table = polars.DataFrame({"n": [1.5, None], "k": ["b", "a"], "t": [True, False], "i": [None, 3]})
    for kind in (polars.String, polars.Categorical, polars.Enum(["a", "b"])):
        columns, rows = seen(table.with_columns(polars.col("k").cast(kind)))
        same(rows, seen(PANDAS)[1])
        assert columns.categories[1].tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="holds times"):
        seen(table.with_columns(t=datetime.date(2020, 1, 1)))


def test_arrow_tables_and_streams():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"n": [1.5, None], "k": ["b", "a"], "t": [True, False], "i": [None, 3]})
    same(seen(table)[1], seen(PANDAS)[1])
    same(seen(table.set_column(1, "k", table["k"].dictionary_encode()))[1], seen(PANDAS)[1])

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return table.__arrow_c_stream__(requested_schema)

    same(seen(Stream())[1], seen(PANDAS)[1])


# --- in estimators ----------------------------------------------------------------------------------------------------

TABLE = pd.DataFrame({"n": np.arange(24.0), "k": list("ab") * 12, "same": 1.0, "none": np.nan})
LABELS = np.arange(24) % 2


def test_names_and_their_order_are_checked():
    fitted = TabularNetClassifier(**QUICK).fit(TABLE, LABELS)
    assert fitted.feature_names_in_.tolist() == list(TABLE)
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        fitted.predict(TABLE[["k", "n", "same", "none"]])
    with pytest.raises(ValueError, match="Feature names unseen at fit time"):
        fitted.predict(TABLE.rename(columns={"n": "m"}))
    assert fitted.categories_[1].tolist() == ["a", "b"]
    assert [found is None for found in fitted.categories_] == [True, False, True, True]


def test_a_missing_entry_and_an_unseen_category_have_finite_answers():
    fitted = TabularNetClassifier(**QUICK).fit(TABLE, LABELS)
    odd = pd.DataFrame({"n": [None, 1e30], "k": ["never", None], "same": [9.0, None], "none": [1.0, None]})
    assert np.isfinite(fitted.predict_proba(odd)).all()
    same(fitted.coded(odd), [[NAN, -1, 9, 1], [np.float32(1e30), NAN, NAN, NAN]])


def test_a_column_of_one_value_changes_nothing():
    fitted = TabularNetClassifier(**QUICK).fit(TABLE, LABELS)
    other = TABLE.assign(same=5.0)
    np.testing.assert_array_equal(fitted.predict_proba(other), fitted.predict_proba(TABLE))


def test_a_table_of_one_value_gives_shares_of_classes():
    fitted = clone(TabularNetClassifier(**QUICK)).set_params(epochs=200).fit(np.ones((40, 2)), np.arange(40) % 4 == 0)
    assert fitted.predict_proba([[1.0, 1.0]])[0, 1] == pytest.approx(0.25, abs=0.05)


def test_the_table_of_the_caller_stays_as_it_was():
    given, array = TABLE.copy(), ARRAY.copy()
    TabularNetClassifier(**QUICK).fit(TABLE, LABELS)
    pd.testing.assert_frame_equal(TABLE, given)
    seen(array, [0])
    assert array.tolist() == ARRAY.tolist()
