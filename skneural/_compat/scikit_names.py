"""The private names of scikeras and scikit-learn that skneural needs, each with its version and when it can go."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scikeras.wrappers import BaseWrapper
from sklearn.metrics._pairwise_distances_reduction import ArgKmin
from sklearn.utils._metadata_requests import SIMPLE_METHODS, MetadataRequest
from sklearn.utils._param_validation import Interval, Options, StrOptions, validate_parameter_constraints

from .plain_numbers import plain_parameters

__all__ = [
    "Interval",
    "Options",
    "StrOptions",
    "build_users_model",
    "has_callbacks",
    "has_fast_neighbors",
    "keras_callbacks",
    "nearest_rows",
    "users_compile_arguments",
    "validate_parameter_constraints",
]

# scikit-learn 1.9 keeps its parameter constraints in a private module, which third-party estimators nevertheless use:
# https://github.com/scikit-learn/scikit-learn/issues/25471. Import from the public place once there is one.

# scikeras 0.13 still defines `_more_tags`, which scikit-learn >= 1.7 does not read, cannot call (its super() has none)
# and reports as an error in check_estimator: https://github.com/adriangb/scikeras/issues/332.
# Drop this when a scikeras without `_more_tags` is the oldest one supported.
if "_more_tags" in vars(BaseWrapper):
    del BaseWrapper._more_tags


def build_users_model(estimator: BaseWrapper, shared: set[str]) -> keras.Model:
    """Call the user's model function with ``meta``, ``compile_kwargs``, ``params`` as it asks for (scikeras 0.13).

    ``shared`` names parameters of the constructor that it takes too.
    """
    # scikeras would switch TensorFlow's determinism on for the process if it saw a seed.
    temporary = {"_random_state": None, "_user_params": {*getattr(estimator, "_user_params", ()), *shared}}
    before = {name: vars(estimator)[name] for name in temporary if name in vars(estimator)}
    vars(estimator).update(temporary)
    try:
        with plain_parameters(estimator):
            model: keras.Model = estimator._build_keras_model()
    finally:
        for name in temporary:
            del vars(estimator)[name]
        vars(estimator).update(before)
    return model


def users_compile_arguments(estimator: BaseWrapper) -> dict[str, Any]:
    """Arguments of ``compile`` from an estimator's parameters and routed parameters (scikeras 0.13)."""
    with plain_parameters(estimator):
        arguments: dict[str, Any] = estimator._get_compile_kwargs()
    return arguments


def keras_callbacks(estimator: Any) -> tuple[list[keras.callbacks.Callback], list[keras.callbacks.Callback]]:
    """Keras callbacks for fit and for predict, classes among them instantiated (scikeras 0.13)."""
    with plain_parameters(estimator, _with_lists_of_callbacks):
        BaseWrapper._initialize_callbacks(estimator)
    callbacks = _flat(estimator._fit_callbacks), _flat(estimator._predict_callbacks)
    del estimator._fit_callbacks, estimator._predict_callbacks
    return callbacks


def _with_lists_of_callbacks(parameters: dict[str, Any]) -> dict[str, Any]:
    """Turn tuples of callbacks into lists, the only kind of sequence that scikeras 0.13 knows there."""
    destinations = ("callbacks", "fit__callbacks", "predict__callbacks")
    return parameters | {name: _as_list(parameters[name]) for name in destinations if name in parameters}


def _as_list(callbacks: Any) -> Any:
    if isinstance(callbacks, dict):
        return {name: _as_list(one) for name, one in callbacks.items()}
    return [_as_list(one) for one in callbacks] if isinstance(callbacks, list | tuple) else callbacks


def _flat(callbacks: list[Any]) -> list[keras.callbacks.Callback]:
    return [single for item in callbacks for single in (item if isinstance(item, list) else [item])]


def has_callbacks(estimator: Any) -> bool:
    """Whether scikit-learn callbacks are set or were propagated; 1.9 has no public way to ask."""
    return bool(getattr(estimator, "_skl_callbacks", ()))


def has_fast_neighbors(X: NDArray[Any], metric: Any) -> bool:
    """Whether ``nearest_rows`` takes rows of this type and this metric (scikit-learn 1.9)."""
    return bool(ArgKmin.is_usable_for(X, X, metric))


def nearest_rows(
    X: NDArray[Any], others: NDArray[Any], k: int, metric: Any
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give distances and positions of the k rows of ``others`` that are nearest to each row of X, shape (n_X, k).

    It is what ``NearestNeighbors`` computes with. That lets the number of cores decide which of two rows at the same
    distance is taken; here it does not, which scikit-learn 1.9 has no public way to ask for
    (https://github.com/scikit-learn/scikit-learn/blob/1.9.X/sklearn/metrics/_pairwise_distances_reduction/_dispatcher.py).
    """
    found: tuple[NDArray[np.float64], NDArray[np.int64]] = ArgKmin.compute(
        np.ascontiguousarray(X),
        np.ascontiguousarray(others),
        k,
        metric=metric,
        strategy="parallel_on_X",
        return_distance=True,
    )
    return found


def plain_metadata_request(request: MetadataRequest) -> dict[str, dict[str, Any]]:
    """Return what ``set_fit_request`` and its like have asked for, by method (scikit-learn 1.9)."""
    return {method: dict(getattr(request, method).requests) for method in SIMPLE_METHODS}


def metadata_request_from(owner: Any, plain: dict[str, dict[str, Any]]) -> MetadataRequest:
    """Make a request of what ``plain_metadata_request`` gave (scikit-learn 1.9)."""
    request = MetadataRequest(owner=owner)
    for method in SIMPLE_METHODS:
        getattr(request, method)._requests = dict(plain.get(method, {}))
    return request
