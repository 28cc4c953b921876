"""What X and y may come in, and what is said of all else."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from skneural import (
    ConvNetClassifier,
    DenseNetClassifier,
    DenseNetRegressor,
    KerasClassifier,
    KerasRegressor,
    RecurrentNetClassifier,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 3))
Y = np.arange(24) % 2
IMAGES = RNG.normal(size=(24, 6, 6))
SEQUENCES = RNG.normal(size=(24, 12, 1))


def build(meta):
    rows = keras.Input(meta["X_shape_"][1:])
    return keras.Sequential([rows, keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])


def embed(meta):
    layers = [keras.layers.Embedding(5, 2), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential([keras.Input((3,)), *layers])


def embed_functional(meta):
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(keras.layers.Embedding(5, 2)(inputs)))
    return keras.Model(inputs, outputs)


def dense(**parameters):
    return DenseNetClassifier((4,), epochs=1, random_state=0, **parameters)


def conv():
    return ConvNetClassifier(filters=2, kernel_size=3, pooling=None, epochs=1, random_state=0)


def recurrent():
    return RecurrentNetClassifier(units=2, filters=(), epochs=1, random_state=0)


def users(model=build):
    return KerasClassifier(model, loss="binary_crossentropy", random_state=0)


def in_objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = list(rows)
    return array


# --- rows in objects ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "container",
    [in_objects, lambda rows: pd.Series(list(rows)), lambda rows: pd.DataFrame({"image": list(rows)})],
    ids=["objects", "Series", "DataFrame"],
)
@pytest.mark.parametrize(("make", "rows"), [(dense, X), (conv, IMAGES), (users, IMAGES), (recurrent, SEQUENCES)])
def test_rows_that_are_objects(make, rows, container):
    plain, packed = make().fit(rows, Y), make().fit(container(rows), Y)
    np.testing.assert_array_equal(packed.predict_proba(container(rows)), plain.predict_proba(rows))
    np.testing.assert_array_equal(packed.predict_proba(rows), plain.predict_proba(rows))


def test_sequences_of_unequal_length_in_a_series():
    sequences = [one[: 5 + number % 3] for number, one in enumerate(SEQUENCES)]
    expected = recurrent().fit(sequences, Y).predict_proba(sequences)
    packed = pd.Series(sequences)
    np.testing.assert_array_equal(recurrent().fit(packed, Y).predict_proba(packed), expected)


@pytest.mark.parametrize(
    ("make", "rows", "shapes"),
    [
        (dense, [[1, 2], [3]] * 12, ("(2,)", "(1,)")),
        (users, [[1, 2], [3]] * 12, ("(2,)", "(1,)")),
        (dense, in_objects([[1, 2], [3]] * 12), ("(2,)", "(1,)")),
        (conv, [IMAGES[0], IMAGES[0][:3]] * 12, ("(6, 6)", "(3, 6)")),
        (users, in_objects([IMAGES[0], IMAGES[0][:3]] * 12), ("(6, 6)", "(3, 6)")),
        (conv, pd.Series([IMAGES[0], IMAGES[0][:3]] * 12), ("(6, 6)", "(3, 6)")),
    ],
)
def test_rows_of_unequal_shapes(make, rows, shapes):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make().fit(rows, Y)
    expected = "The rows in X of {} must all have one shape. Got {} in row 0 and {} in row 1."
    assert str(caught.value) == expected.format(type(make()).__name__, *shapes)


# --- several arrays, dicts, datasets --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [dense, users, conv, recurrent])
def test_containers_that_are_no_array(make):
    owner, dataset = type(make()).__name__, tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    with pytest.raises(TypeError, match=rf"^X of {owner} must be one array .* a dict with the keys \['a', 'b'\]"):
        make().fit({"a": X, "b": X}, Y)
    for arguments in ((dataset,), (dataset, None), ((row for row in X), Y)):
        with pytest.raises(TypeError, match=rf"^X of {owner} must be an array, and y another. Got a .* gives batches"):
            make().fit(*arguments)
    for pair in ([X, X], (X, X)):
        message = rf"^X of {owner} must be one array .* Got a {type(pair).__name__} of 2 arrays with 24 rows each"
        with pytest.raises(ValueError, match=message):
            make().fit(pair, Y)
    for path in ("rows.parquet", Path("rows.h5"), b"rows" * 10**6):
        message = rf"^X of {owner} must be an array or a table. Got the .*rows.{{0,200}}\. Open it first"
        with pytest.raises(TypeError, match=message):
            make().fit(path, Y)
    with pytest.raises(ValueError, match=rf"^{owner} requires y to be passed"):
        make().fit(X)


def test_containers_of_predict():
    fitted = dense().fit(X, Y)
    for wrong in ({"a": X}, tf.data.Dataset.from_tensor_slices(X), iter(X)):
        with pytest.raises(TypeError, match=r"^X of DenseNetClassifier must be "):
            fitted.predict(wrong)


def test_one_sequence_is_not_taken_for_many():
    fitted = recurrent().fit(SEQUENCES, Y)
    with pytest.raises(ValueError, match=r"has the shape \(12, 1\) of one sequence in fit. Give it as X\[np.newaxis\]"):
        fitted.predict(SEQUENCES[0])
    assert fitted.predict(SEQUENCES[:1]).shape == (1,)
    assert fitted.predict(SEQUENCES[:5, :1]).shape == (5,)
    assert fitted.predict(SEQUENCES[:5, :, 0]).shape == (5,)
    with pytest.raises(ValueError, match="X has rows of shape"):
        conv().fit(IMAGES, Y).predict(IMAGES[0])


# --- y --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [DenseNetRegressor, lambda: KerasRegressor(build, loss="mse")])
def test_targets_of_three_dimensions(make):
    message = (
        r"^y must have the shape \(n,\) or \(n, n_outputs\). Got an array of shape \(24, 2, 2\) instead. "
        r"Put all outputs of a row side by side: y.reshape\(len\(y\), -1\).$"
    )
    with pytest.raises(ValueError, match=message):
        make().fit(X, np.zeros((24, 2, 2)))
    with pytest.raises(ValueError, match=r"^y must have the shape .* its rows have unequal lengths.$"):
        make().fit(X, [[1.0, 2.0], [3.0]] * 12)


@pytest.mark.parametrize(
    "tags",
    [
        [["a", "b"], ["c"]] * 12,
        [["a", "b"], ["c", "d"]] * 12,
        [("a",), ("b", "a")] * 12,
        [{"a"}, {"b"}] * 12,
        pd.Series([["a", "b"], ["c"]] * 12),
        in_objects([["a"], []] * 12),
        np.array([["a", "b"], ["c", "d"]] * 12),
        [[1, 2], [3]] * 12,
    ],
)
@pytest.mark.parametrize("make", [dense, users])
def test_tags_in_lists(make, tags):
    with pytest.raises(ValueError, match=r"^y holds a list of labels for each row, .*MultiLabelBinarizer"):
        make().fit(X, tags)


def test_one_hot_labels_that_are_taken_for_tags_are_pointed_out():
    one_hot = np.eye(2, dtype=int)[Y]
    with pytest.warns(UserWarning, match=r"give the labels themselves \(y.argmax\(axis=1\)\), or loss='categorical_cr"):
        dense().fit(X, one_hot)
    # Neither of these is in doubt.
    assert dense(loss="categorical_crossentropy").fit(X, one_hot).target_type_ == "multiclass-onehot"
    assert dense().fit(X, np.vstack([one_hot[1:], [[1, 1]]])).target_type_ == "multilabel-indicator"


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "rows"), [(dense, X), (conv, IMAGES), (users, X), (recurrent, SEQUENCES)])
def test_complex_numbers(make, rows):
    owner = type(make()).__name__
    with pytest.raises(ValueError, match=rf"^Complex data not supported: X of {owner} must hold real numbers"):
        make().fit(rows + 1j, Y)
    with pytest.raises(ValueError, match=r"^Complex data not supported: y must hold real numbers"):
        make().fit(rows, Y + 1j)
    with pytest.raises(ValueError, match=r"^sample_weight must hold real numbers, one per row. Got complex numbers"):
        make().fit(rows, Y, sample_weight=Y + 1j)
    for weights in (["a"] * 24, np.array(["1"] * 24, dtype=object)):
        with pytest.raises(ValueError, match=r"^sample_weight must hold real numbers, one per row. Got the string "):
            make().fit(rows, Y, sample_weight=weights)


def test_complex_targets():
    with pytest.raises(ValueError, match=r"^Complex data not supported: y must hold real numbers"):
        DenseNetRegressor((3,), epochs=1).fit(X, Y + 1j)
    with pytest.raises(ValueError, match=r"^Complex data not supported: X of DenseNetRegressor"):
        DenseNetRegressor((3,), epochs=1).fit((X + 1j).tolist(), Y)


@pytest.mark.parametrize("model", [embed, embed_functional])
def test_numbers_beyond_the_table_of_an_embedding(model):
    indices = RNG.integers(0, 5, (24, 3))
    indices[0, 0] = 4
    fitted = users(model).fit(indices, Y)
    assert fitted.predict(indices).shape == (24,)
    for wrong, number in ((indices + 1, 5), (indices - 5, indices.min() - 5)):
        message = rf"^X of KerasClassifier holds the number {number}, but the layer .* has a table of 5 entries"
        with pytest.raises(ValueError, match=message):
            fitted.predict(wrong)
        with pytest.raises(ValueError, match=message):
            users(model).fit(wrong, Y)
        with pytest.raises(ValueError, match=rf"^In the rows for validation .* holds the number {number}"):
            users(model).fit(indices, Y, X_val=wrong, y_val=Y)
