"""From rows to what a network answers to them."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skneural import _engine
from skneural._compat.keras_names import without_retracing_warnings
from skneural._compat.scikit_names import keras_callbacks
from skneural._rows.containers import check_container
from skneural._rows.stores import opened

from .fitted_model import FittedModel
from .keras_arguments import is_count
from .parameters import arguments_of, check_arguments, takes_any

# The square of what is larger overflows in float32.
_LARGEST_SAFE = 1e18


class Predicting(FittedModel):
    """An estimator whose network answers to rows."""

    # Whether rows that are stored outside of the memory are read part after part; else they are read whole.
    _reads_in_parts = True

    def _opened(self, X: Any) -> Any:
        """X as it is in memory, or as rows that are stored elsewhere."""
        check_container(type(self).__name__, X)
        return opened(type(self).__name__, X, in_parts=self._reads_in_parts)

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        """X of shape (n, ...) as the estimator takes it; with ``reset`` its features are learned."""
        raise NotImplementedError

    def _encode_features(self, X: Any) -> Any:
        """Rows as the network takes them."""
        return X

    def _predict_raw(self, X: Any, **kwargs: Any) -> NDArray[np.float32]:
        """Outputs of the network, shape (n, n_outputs)."""
        check_is_fitted(self)
        X = self._encode_features(self._validate_rows(self._opened(X), reset=False))
        self._check_indices(X)
        called = self._callbacks_of_call(kwargs.pop("callbacks", None))
        arguments = self._routed("predict") | kwargs
        remedy = "Fewer rows at a time, or a smaller batch_size (predict__batch_size=...), need less."
        with _engine.telling_memory_errors(f"to predict for {X.shape[0]} rows", remedy):
            if arguments or called or _engine.predicts_itself(self._network, X):
                outputs = self._predict_with_arguments(X, arguments, called)
            else:
                outputs = self._network_outputs(X)
        check_answers(X, outputs)
        return outputs

    def _network_outputs(self, X: Any) -> NDArray[np.float32]:
        """Return what the network answers to rows as it takes them."""
        return _engine.predict(self._network, X)

    def _predict_with_arguments(
        self, X: Any, arguments: dict[str, Any], called: tuple[keras.callbacks.Callback, ...]
    ) -> NDArray[np.float32]:
        """Predict with arguments of ``keras.Model.predict``; most of them only Keras itself can heed.

        ``called`` are callbacks of the call, beside those of the parameters.
        """
        named = [name for name in arguments if not name.startswith("callbacks")]
        check_arguments(f"{type(self).__name__}.predict", named, arguments_of(keras.Model.predict))
        self._check_counts({"batch_size": arguments.get("batch_size")})
        given: Any = arguments.pop("batch_size", None)
        batch_size = int(given) if is_count(given, 1) else None
        if arguments.get("verbose") in (0, "auto"):
            del arguments["verbose"]
        if not (arguments or called) and not _engine.predicts_itself(self._network, X):
            return _engine.predict(self._network, X, batch_size)
        _, callbacks = keras_callbacks(self)
        arguments = {name: value for name, value in arguments.items() if not name.startswith("callbacks")}
        rows = _engine.rows_for(self.model_, X)
        with without_retracing_warnings():
            predict = self.model_.predict
            keywords = {"batch_size": batch_size, "callbacks": [*callbacks, *called], "verbose": 0} | arguments
            taken = keywords if takes_any(predict) else inspect.signature(predict).parameters
            outputs: NDArray[np.float32] = predict(
                rows, **{name: value for name, value in keywords.items() if name in taken}
            )
        return outputs


def check_answers(X: Any, outputs: NDArray[np.float32]) -> None:
    """Raise for outputs that are not finite."""
    if not np.isfinite(outputs).all():
        raise ValueError(_why_not_finite(X, outputs))


def _why_not_finite(X: Any, outputs: NDArray[np.float32]) -> str:
    """Say for which row a network has no finite answer, and what is the likely cause."""
    row = int(np.flatnonzero(~np.isfinite(outputs).reshape(len(outputs), -1).all(axis=1))[0])
    message = f"The network's answer to row {row} of X is not finite (NaN or infinite)."
    largest = 0.0 if isinstance(X, _engine.ManyInputs) else float(abs(X[[row]]).max())
    if largest > _LARGEST_SAFE:
        return f"{message} X has a value of size {largest:g} there, with which float32 overflows: scale X."
    return f"{message} Weights of the network are not finite, or so large that float32 overflows: fit it anew."
