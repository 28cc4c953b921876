"""Contract: pickles and skops see plain data, and one public class; a damaged pickle is noticed."""

from __future__ import annotations

import copy
import pickle
import pickletools

import pytest
import skops.io
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_files import FITS, X, assert_same, build_classifier, fitted

import skneural
from skneural import DenseNetClassifier, KerasClassifier

FAMILIES = {name: one for name, one in FITS.items() if isinstance(one[0].random_state, int)}


def names_in(pickled):
    """Every module and name that a pickle imports."""
    strings, names = [], set()
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name in ("SHORT_BINUNICODE", "BINUNICODE"):
            strings.append(argument)
        elif operation.name == "STACK_GLOBAL":
            names.add(tuple(strings[-2:]))
        elif operation.name == "GLOBAL":
            names.add(tuple(argument.split()))
    return names


@pytest.mark.filterwarnings("ignore:The clusters:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", FAMILIES)
def test_skops_asks_trust_for_the_public_class_alone(name):
    estimator, rows, target = FAMILIES[name]
    original = fitted(estimator, rows, target)
    data = skops.io.dumps(original)
    untrusted = set(skops.io.get_untrusted_types(data=data))
    own = {f"skneural.{type(original).__name__}"}
    assert untrusted == (
        own | {f"{__name__.replace('test_trust', 'test_files')}.build_classifier"} if name == "function" else own
    )
    loaded = skops.io.loads(data, trusted=sorted(untrusted))
    assert_same(loaded, original, rows)
    pickled = pickle.dumps(original, protocol=4)
    modules = {module for module, _ in names_in(pickled)}
    assert not {module for module in modules if module.startswith(("skneural.", "keras", "tensorflow"))}
    assert_same(pickle.loads(pickled), original, rows)
    assert_same(copy.deepcopy(original), original, rows)


def test_a_pipeline_goes_through_skops():
    pipeline = make_pipeline(StandardScaler(), DenseNetClassifier((3,), epochs=1, random_state=0)).fit(X, X[:, 0] > 0)
    data = skops.io.dumps(pipeline)
    assert skops.io.get_untrusted_types(data=data) == ["skneural.DenseNetClassifier"]
    loaded = skops.io.loads(data, trusted=["skneural.DenseNetClassifier"])
    assert_array_equal(loaded.predict_proba(X), pipeline.predict_proba(X))


def test_a_damaged_pickle_is_noticed():
    original = DenseNetClassifier((50,), epochs=1, random_state=0).fit(X, X[:, 0] > 0)
    pickled = pickle.dumps(original)
    weights = original._network.state.variables[0].tobytes()
    place = pickled.index(weights) + 17
    damaged = pickled[:place] + bytes([pickled[place] ^ 1]) + pickled[place + 1 :]
    with pytest.raises(
        ValueError, match="This pickle of DenseNetClassifier is damaged: its checksum is not that of its"
    ):
        pickle.loads(damaged)


def test_a_pickle_of_a_later_format_is_refused():
    state = DenseNetClassifier().__getstate__()
    with pytest.raises(
        ValueError, match="This pickle of DenseNetClassifier has the format 99; this version of skneural"
    ):
        DenseNetClassifier().__setstate__(state | {"format": 99})
    with pytest.raises(ValueError, match="This is no pickle of DenseNetClassifier that this version of skneural reads"):
        DenseNetClassifier().__setstate__({"epochs": 3})


def test_pickles_are_small():
    assert len(pickle.dumps(DenseNetClassifier())) < 2000
    fit = DenseNetClassifier((4,), epochs=1, random_state=0).fit(X, X[:, 0] > 0)
    assert len(pickle.dumps(fit)) < 8000
    assert len(pickle.dumps(KerasClassifier(build_classifier))) < 3000


def test_code_in_a_layer_asks_skops_for_trust():
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(1)])
    estimator = skneural.KerasRegressor(model, loss="mse", epochs=1)
    asked = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
    assert any(name.startswith("skneural._") for name in asked)


def test_clones_are_equal_to_joblib():
    import joblib

    for estimator, *_ in FAMILIES.values():
        if "model" not in estimator.get_params():
            assert joblib.hash(clone(estimator)) == joblib.hash(estimator)
