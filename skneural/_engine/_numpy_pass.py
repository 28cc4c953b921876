"""A pass over the rows of a short training run, in NumPy: over before a program could be traced and compiled.

A pass takes and gives what a program for a stack of networks does, and a pass of one network is a stack of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._dense_forward import IN_PLACE_ACTIVATIONS
from ._epoch_programs import Inputs, PassShape
from ._numpy_form import NumpyForm, PenaltyPlace, numpy_form
from ._numpy_layers import Activation, Array, BoundLayers, FlatValues
from ._numpy_losses import SparseCrossEntropy
from ._numpy_optimizers import RunningOptimizer
from ._template import Template

# The slopes of a penalty of one at a weight of one.
_SLOPES = {"l1": np.float32(1), "l2": np.float32(2)}


class NumpyPass:
    """One pass of many networks over rows that are all there, called like the program of a stack."""

    def __init__(self, template: Template, shape: PassShape) -> None:
        form = numpy_form(template)
        assert form is not None
        self._form = form
        self._shape = shape

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Give the new state and the results, each with a first axis of networks."""
        # A loss that is not finite is found by whoever asked for the pass.
        with np.errstate(all="ignore"):
            return _Course(self._form, self._shape, inputs).run()


class NumpyPassOfOne(NumpyPass):
    """One pass of one network over rows that are all there, called like its program."""

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Give the new state and the results."""
        stacked = {name: _with_axis(value) for name, value in inputs.items()}
        outputs = super().__call__(stacked | {"last": inputs["last"]})
        return {name: _without_axis(value) for name, value in outputs.items()}


def _with_axis(value: Any) -> Any:
    return [one[None] for one in value] if isinstance(value, list) else np.asarray(value)[None]


def _without_axis(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: one[0] for name, one in value.items()}
    return [one[0] for one in value]


class _Course:
    """The arrays of one pass."""

    def __init__(self, form: NumpyForm, shape: PassShape, inputs: Inputs) -> None:
        self._form = form
        self._shape = shape
        self._inputs = inputs
        self._n_batches = int(inputs["last"])
        self._n_models = len(inputs["X"])
        self._weights = FlatValues.of([inputs["variables"][index] for index in form.trainable_indices])
        self._gradients = FlatValues(self._n_models, [view.shape[1:] for view in self._weights.views])
        layout = self._n_models, shape.batch_size
        numbers: Array = inputs["numbers"]
        self._layers = BoundLayers(form.parts, self._weights, self._gradients, numbers, layout)
        rows = np.arange(self._n_batches * shape.batch_size) < inputs["n_rows"][:, None]
        # One for rows that count, zero for others, shape (n_batches, n_models, batch).
        self._mask: Array = _in_batches(rows.astype(np.float32), self._n_batches)
        self._n_rows: Array = self._mask.sum(axis=-1)
        self._have_rows = self._n_rows > 0
        self._all_have_rows = self._have_rows.all(axis=1)
        self._logits = np.empty((self._n_batches, *layout, form.n_outputs), np.float32)
        self._penalties = np.zeros((self._n_batches, self._n_models), np.float32)

    def run(self) -> dict[str, Any]:
        form = self._form
        X, y, given_weights = (self._visited(name) for name in ("X", "y", "sample_weight"))
        if not isinstance(form.loss, SparseCrossEntropy):
            y = y.astype(np.float32, copy=False)
        row_weights: Array = self._mask if given_weights is None else self._mask * given_weights
        # Keras divides the weighted sum of the losses by the number of rows.
        loss_weights: Array = np.divide(row_weights, np.maximum(self._n_rows, 1)[..., None], dtype=np.float32)
        optimizer = None
        if self._shape.is_training:
            optimizer = self._trained(X, form.loss.prepared(y, form.n_outputs), loss_weights[..., None])
        else:
            for index in range(self._n_batches):
                self._logits[index] = self._layers.forward(X[index], None)
            self._penalties[:] = _Penalties(form.penalties, self._weights, self._inputs["numbers"]).total()
        metrics, results = self._judged(y, row_weights, loss_weights)
        return {
            "variables": self._variables(),
            "optimizer": self._inputs["optimizer"] if optimizer is None else optimizer,
            "metrics": metrics,
            "results": results,
        }

    def _visited(self, name: str) -> Any:
        """Give rows in the order of the visit, shape (n_batches, n_models, batch, ...)."""
        if name not in self._inputs:
            return None
        orders = self._inputs["order"][:, : self._n_batches * self._shape.batch_size]
        visited = [array[order] for array, order in zip(self._inputs[name], orders, strict=True)]
        return _in_batches(np.stack(visited), self._n_batches)

    def _trained(self, X: Array, targets: Any, weights: Array) -> list[NDArray[Any]]:
        """Take every network through its batches; give the optimizer's values."""
        inputs, form = self._inputs, self._form
        optimizer = form.optimizer.begin(inputs["optimizer"], inputs["numbers"], self._n_batches)
        upstream = np.empty(self._logits.shape[1:], np.float32)
        keys = _batch_keys(inputs["dropout_key"], self._n_batches)
        penalties = _Penalties(form.penalties, self._weights, inputs["numbers"])
        for index in range(self._n_batches):
            logits = self._layers.forward(X[index], keys[index])
            self._logits[index] = logits
            form.loss.write_gradient(logits, targets[index], weights[index], upstream)
            self._layers.backward(upstream)
            self._penalties[index] = penalties.total(self._gradients.flat)
            if self._all_have_rows[index]:
                optimizer.step(index, self._weights.flat, self._gradients.flat)
            else:
                self._step_of_some(index, optimizer)
        return optimizer.values(self._have_rows.sum(axis=0))

    def _step_of_some(self, index: int, optimizer: RunningOptimizer) -> None:
        """Move the weights of the networks that have rows in this batch."""
        resting = ~self._have_rows[index]
        flats = [self._weights.flat, *optimizer.flats]
        kept = [flat[resting] for flat in flats]
        optimizer.step(index, self._weights.flat, self._gradients.flat)
        for flat, values in zip(flats, kept, strict=True):
            flat[resting] = values

    def _judged(self, y: Any, row_weights: Array, loss_weights: Array) -> tuple[list[Array], dict[str, Array]]:
        """Bring loss and metrics up to date with all batches; give their state, and results by name."""
        form = self._form
        losses = self._batch_sums(form.loss.values(self._logits, y), loss_weights) + self._penalties
        losses = np.where(self._have_rows, losses, np.float32(0))
        sums = [_in_turn(losses * self._n_rows), _in_turn(self._n_rows)]
        # The activation overwrites what came before it.
        outputs = self._outputs() if form.metrics else self._logits
        for metric in form.metrics:
            weights = row_weights if metric.is_weighted else self._mask
            sums += [_in_turn(self._batch_sums(metric.values(outputs, y), weights)), _in_turn(weights.sum(axis=-1))]
        totals = [before + value for before, value in zip(self._inputs["metrics"], sums, strict=True)]
        names = [form.loss_name, *(metric.name for metric in form.metrics)]
        results = {
            name: np.divide(total, count, out=np.zeros_like(total), where=count != 0)
            for name, total, count in zip(names, totals[::2], totals[1::2], strict=True)
        }
        return totals, results

    def _batch_sums(self, values: NDArray[Any], weights: Array) -> Array:
        """Sum over the rows of each batch, shape (n_batches, n_models); zero where none counts, whatever came out."""
        return np.where(self._have_rows, (values * weights).sum(axis=-1), np.float32(0))

    def _outputs(self) -> Array:
        """Give the outputs for all rows, behind their activation."""
        activation = self._form.parts[-1]
        assert isinstance(activation, Activation)
        return IN_PLACE_ACTIVATIONS[activation.function](self._logits)

    def _variables(self) -> list[NDArray[Any]]:
        variables = list(self._inputs["variables"])
        if self._shape.is_training:
            for index, array in zip(self._form.trainable_indices, self._weights.arrays(), strict=True):
                variables[index] = array
        return variables


class _Penalties:
    """L1 and L2 penalties of many networks on weights that lie flat."""

    def __init__(self, places: Sequence[PenaltyPlace], weights: FlatValues, numbers: Array) -> None:
        self._weights = weights.flat
        # In one order for all processes, since sums depend on it.
        kinds = [kind for kind in _SLOPES if any(place.kind == kind for place in places)]
        self._slopes = {kind: self._slopes_of(kind, places, weights, numbers) for kind in kinds}
        self._gradient = np.empty_like(self._weights)

    @staticmethod
    def _slopes_of(kind: str, places: Sequence[PenaltyPlace], weights: FlatValues, numbers: Array) -> Array:
        """Give the gradient at weights of one, shape (n_models, n_values)."""
        slopes = FlatValues(len(weights.flat), [view.shape[1:] for view in weights.views])
        slopes.flat[...] = 0
        for place in places:
            if place.kind == kind:
                view = slopes.views[place.weight]
                view[...] = _SLOPES[kind] * numbers[:, place.number].reshape(-1, *[1] * (view.ndim - 1))
        return slopes.flat

    def total(self, gradients: Array | None = None) -> Array:
        """Give the sum of each network's penalties, shape (n_models,), and add their gradients to ``gradients``."""
        total = np.zeros(len(self._weights), np.float32)
        for kind, slopes in self._slopes.items():
            gradient = np.multiply(
                self._weights if kind == "l2" else np.sign(self._weights), slopes, out=self._gradient
            )
            total += np.vecdot(self._weights, gradient) / _SLOPES[kind]
            if gradients is not None:
                gradients += gradient
        return total


def _in_turn(sums: Array) -> Array:
    """Add one batch after the other: NumPy's own sum adds in another order when there is but one network."""
    total = np.zeros_like(sums[0])
    for one in sums:
        total += one
    return total


def _batch_keys(key: NDArray[np.uint32], n_batches: int) -> NDArray[np.uint32]:
    """Give the dropout keys of all batches, shape (n_batches, n_models, 2): seed, and step counted on."""
    keys = np.repeat(key[None], n_batches, axis=0)
    keys[..., 1] += np.arange(n_batches, dtype=np.uint32)[:, None]
    return keys


def _in_batches(values: Any, n_batches: int) -> Any:
    """Bring an array of shape (n_models, n_rows, ...) to shape (n_batches, n_models, batch, ...)."""
    n_models, _, *rest = values.shape
    return np.ascontiguousarray(values.reshape(n_models, n_batches, -1, *rest).swapaxes(0, 1))
