"""Products whose rows do not depend on each other, in C and without it."""

from __future__ import annotations

import numpy as np
import pytest

from skneural import _engine
from skneural._engine.native import extension

RNG = np.random.default_rng(0)
pytestmark = pytest.mark.native


@pytest.fixture(params=["compiled", "portable", "without a compiler"], autouse=True)
def way(request, monkeypatch):
    """The ways in which a product may be computed."""
    if request.param != "without a compiler" and extension.engine is None:
        pytest.skip("There is no compiled engine.")
    monkeypatch.setattr(extension, "IS_PORTABLE", request.param == "portable")
    if request.param == "without a compiler":
        monkeypatch.setattr(extension, "engine", None)


@pytest.mark.parametrize(("n_rows", "n_inputs", "n_outputs"), [(450, 24, 100), (97, 300, 33), (29, 7, 5), (1, 1, 1)])
def test_a_row_alone_has_the_bits_of_one_among_others(n_rows, n_inputs, n_outputs):
    rows = RNG.normal(size=(n_rows, n_inputs)).astype(np.float32)
    kernel = RNG.normal(size=(n_inputs, n_outputs)).astype(np.float32)
    found = _engine.product(rows, kernel)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rows.astype(np.float64) @ kernel.astype(np.float64), rtol=1e-4, atol=1e-4)
    for number in range(0, n_rows, 7):
        np.testing.assert_array_equal(_engine.product(rows[number : number + 1], kernel), found[number : number + 1])
    np.testing.assert_array_equal(_engine.product(rows[n_rows // 3 :], kernel), found[n_rows // 3 :])


def test_arrays_may_lie_in_any_order_and_be_empty():
    rows, kernel = RNG.normal(size=(12, 8)).astype(np.float32), RNG.normal(size=(8, 20)).astype(np.float32)
    expected = _engine.product(rows, kernel)
    np.testing.assert_array_equal(_engine.product(rows[::-1], kernel)[::-1], expected)
    np.testing.assert_allclose(_engine.product(np.asfortranarray(rows), np.asfortranarray(kernel)), expected, rtol=1e-5)
    assert _engine.product(rows[:0], kernel).shape == (0, 20)
