"""The native module believes nothing: arrays of any length, kind and content raise, and none ends the process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from test_native_runs import trained

from skneural._engine.native import extension as _extension

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(_extension.engine is None, reason="the native engine was not built, for want of a C compiler"),
]
PARTS, RATES, PENALTIES, LOSS, METRICS, OPTIMIZER, VALUES, FIRST, SECOND = range(9)
TRAINING, RESULTS, RECORDED, N_STEPS = 11, 13, 14, 15


def captured_arguments():
    """What a training run of three products, dropout, penalties and validation is called with."""
    given = []

    class Spy:
        def __getattr__(self, name):
            return given_to if name == "run" else getattr(real, name)

    def given_to(*all_of_them):
        given.append(all_of_them)

    real, _extension.engine = _extension.engine, Spy()
    try:
        trained()
    finally:
        _extension.engine = real
    return list(given[0])


@pytest.fixture(scope="module")
def arguments():
    return captured_arguments()


def called_with(arguments, place, value):
    _extension.engine.run(*arguments[:place], value, *arguments[place + 1 :])


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


@pytest.mark.parametrize("place", [PARTS, RATES, PENALTIES, METRICS, VALUES, FIRST, SECOND, 9, 10, 13, 14, 15])
@pytest.mark.parametrize("break_it", ["shorter", "longer", "bytes", "other kind", "a number"])
def test_arrays_of_another_length_or_kind_are_refused(arguments, place, break_it):
    array = arguments[place].ravel()
    wrong = {
        "shorter": array[:-1].copy(),
        "longer": np.append(array, array[:1]),
        "bytes": array.tobytes(),
        "other kind": array.astype(np.complex64),
        "a number": 3,
    }[break_it]
    with pytest.raises((ValueError, TypeError, BufferError)):
        called_with(arguments, place, wrong)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        (PARTS, lambda parts: changed(parts, (0, 0), 9), "the kind of a part is unknown"),
        (PARTS, lambda parts: changed(parts, (0, 0), -1), "the kind of a part is unknown"),
        (PARTS, lambda parts: changed(parts, (0, 1), 0), r"from 1 to 2\*\*24 outputs"),
        (PARTS, lambda parts: changed(parts, (0, 1), -5), r"from 1 to 2\*\*24 outputs"),
        (PARTS, lambda parts: changed(parts, (0, 1), 2**30), r"from 1 to 2\*\*24 outputs"),
        (PARTS, lambda parts: changed(parts, (0, 2), 2), r"a bias \(1\) or has none \(0\)"),
        (PARTS, lambda parts: changed(parts, (1, 1), 6), "an activation is unknown"),
        (PARTS, lambda parts: changed(parts, (1, 1), 5), "a softmax can only be the output's"),
        (PARTS, lambda parts: parts[1:].copy(), "must have 7 entries"),
        (RATES, lambda rates: changed(rates, 2, np.nan), r"must lie in \[0, 1\]"),
        (RATES, lambda rates: changed(rates, 2, -0.5), r"must lie in \[0, 1\]"),
        (LOSS, lambda loss: 5, "the loss is unknown"),
        (LOSS, lambda loss: -1, "the loss is unknown"),
        (LOSS, lambda loss: 3, "the loss does not suit"),
        (METRICS, lambda metrics: changed(metrics, (0, 0), 6), "a metric is unknown"),
        (METRICS, lambda metrics: changed(metrics, (0, 0), 1), "does not suit the targets"),
        (OPTIMIZER, lambda optimizer: (7, *optimizer[1:]), "the optimizer is unknown"),
        (FIRST, lambda first: None, "needs its first moments"),
        (SECOND, lambda second: None, "needs its second moments"),
    ],
)
def test_unknown_and_unfitting_numbers_are_refused(arguments, place, change, message):
    with pytest.raises(ValueError, match=message):
        called_with(arguments, place, change(arguments[place]))


def test_tables_that_contradict_themselves_are_refused(arguments):
    X, y, weights, order, batch_size = arguments[TRAINING]
    for table, message in [
        ((X, y + 19, weights, order, batch_size), "a class is not among those"),
        ((X, y - 19, weights, order, batch_size), "a class is not among those"),
        ((X, y, weights, order + 1, batch_size), "a row is not among those"),
        ((X, y, weights, order - 1, batch_size), "a row is not among those"),
        ((X, y, weights, order, 0), "at least one row"),
        ((X[:5], y, weights, order, batch_size), "X does not have as many rows as y"),
        ((X[:, :7].copy(), y, weights, order, batch_size), "rows have another number of columns|entries"),
        ((X.astype(np.int32), y, weights, order, batch_size), "float32 or float64"),
        ((X, y[:-1], weights, order, batch_size), "as many rows as y|entries"),
        ((X, y, weights[:-1], order, batch_size), "must have 131 entries"),
        ((X, y, weights, order.ravel()[:-1].copy(), batch_size), "entries"),
        ([X, y], "rows must be a tuple or None"),
    ]:
        with pytest.raises(ValueError, match=message):
            called_with(arguments, TRAINING, table)
    with pytest.raises(ValueError, match="there must be rows"):
        _extension.engine.run(*arguments[:TRAINING], None, None, *arguments[TRAINING + 2 :])


FUZZ = """
import sys
sys.path[:0] = [{folder!r}, {tests!r}]
import numpy as np
from test_native_arguments import captured_arguments
from skneural._engine.native import extension as _extension
arguments = captured_arguments()
rng = np.random.default_rng(0)
odd = [None, -1, 0, 2**31, "text", b"", (), (1, 2), np.zeros(0, np.float32), np.zeros((3, 3)), {{}}, 1e300]
n_refused = 0
for _ in range(3000):
    call = [one.copy() if isinstance(one, np.ndarray) else one for one in arguments]
    for place in rng.integers(0, len(call) - 1, rng.integers(1, 3)):
        given = call[place]
        kind = rng.integers(4)
        if kind == 0 or not isinstance(given, np.ndarray):
            call[place] = odd[rng.integers(len(odd))]
        elif kind == 1:
            call[place] = np.resize(given, rng.integers(0, given.size + 50)).astype(given.dtype)
        elif not given.size:
            pass
        elif given.dtype.kind in "iu":
            given.flat[rng.integers(given.size)] = rng.integers(-10, 30)
        else:
            given.flat[rng.integers(given.size)] = [np.nan, np.inf, -1e30, 5][rng.integers(4)]
    try:
        _extension.engine.run(*call)
    except (ValueError, TypeError, BufferError, OverflowError, MemoryError):
        n_refused += 1
print(n_refused)
"""


def test_thousands_of_odd_calls_end_no_process(request):
    folder = str(request.path.parent)
    code = FUZZ.format(folder=folder, tests=str(request.path.parent.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 1500
