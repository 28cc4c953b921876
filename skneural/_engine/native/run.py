"""Passes and training runs of dense networks in the native engine, called like programs, with nothing to compile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural._engine.cache import Store
from skneural._engine.interrupts import InterruptedCallError
from skneural._engine.model.template import Template
from skneural._engine.records import State
from skneural._engine.threads import threads_for
from skneural._engine.xla.passes import Inputs, PassShape
from skneural._engine.xla.runs import MAX_RUN_PROGRAMS, RunShape

from . import extension
from .form import NativeForm, native_form

_TRAINING, _VALIDATION = range(2)


class NativePass:
    """One pass over rows that are all there, called like the program of ``pass_program``."""

    def __init__(self, template: Template, shape: PassShape) -> None:
        self._template = template
        self._shape = shape

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Give the new state, and loss and metrics by name."""
        call = _Call(self._template, inputs, n_epochs=1)
        table = _table(inputs, self._shape, inputs.get("order"), call.y_dtype)
        if self._shape.is_training:
            rate = inputs["optimizer"][self._template.learning_rate_index]
            call.run(np.reshape(rate, 1), inputs["dropout_key"], table, None)
        else:
            call.run(np.zeros(1, np.float32), np.zeros(2, np.uint32), None, table)
        sums = call.sums[0, _TRAINING if self._shape.is_training else _VALIDATION]
        metrics = [before + value for before, value in zip(inputs["metrics"], sums, strict=True)]
        return {
            "variables": call.variables(),
            "optimizer": call.optimizer(),
            "metrics": metrics,
            "results": call.results(np.array(metrics)),
        }


class NativeRun:
    """Several epochs over rows that are all there, called like the program of ``run_program``.

    There is an order of the training rows for each of ``n_epochs``, and none of the rows for validation.
    """

    def __init__(self, template: Template, shape: RunShape) -> None:
        self._template = template
        self._shape = shape
        form = native_form(template)
        assert form is not None
        self.has_dropout = bool(form.drops)

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Give the new state and, with a first axis of epochs, results and weights."""
        n_epochs = inputs["n_epochs"]
        shape = self._shape
        is_judged = shape.validation is not None
        call = _Call(self._template, inputs, n_epochs, is_recording=is_judged)
        training = inputs["training"]
        judged = None
        if shape.validation is not None:
            judged = _table(inputs["validation"], shape.validation, None, call.y_dtype)
        table = _table(training, shape.training, training["order"], call.y_dtype)
        call.run(inputs["learning_rates"], inputs["dropout_keys"], table, judged)
        places = {"training": _TRAINING} | ({"validation": _VALIDATION} if is_judged else {})
        outputs = {
            "variables": call.variables(),
            "optimizer": call.optimizer(),
            "results": {name: call.results(call.sums[:, place].T) for name, place in places.items()},
        }
        return outputs | ({"weights": call.recorded()} if is_judged else {})


_runs: Store[NativeRun] = Store(MAX_RUN_PROGRAMS, name="native runs")


def native_run(template: Template, shape: RunShape) -> NativeRun:
    """Give the kept run, so that what is known of it is known the next time."""
    return _runs.get((template, shape), lambda: NativeRun(template, shape))


def _table(rows: Inputs, shape: PassShape, order: NDArray[np.int32] | None, y_dtype: type) -> tuple[Any, ...]:
    """Give rows as the native engine takes them: X, y, weights, order, and how many are in a batch."""
    n_rows = int(rows["n_rows"])
    if order is not None:
        order = np.ascontiguousarray(order[..., :n_rows])
    X: NDArray[Any] = rows["input 0"][:n_rows]
    weights = rows.get("sample_weight")
    # A target that is the input too has no array of its own.
    y = (rows["targets"] if "targets" in rows else rows["input 0"])[:n_rows].astype(y_dtype, copy=False)
    return X, y, None if weights is None else weights[:n_rows], order, shape.batch_size


class _Call:
    """The arrays of one call of the native engine."""

    def __init__(self, template: Template, inputs: Inputs, n_epochs: int, *, is_recording: bool = False) -> None:
        form = native_form(template)
        assert form is not None
        self._form: NativeForm = form
        self._given = State(inputs["variables"], inputs["optimizer"])
        self._numbers: NDArray[np.float32] = inputs["numbers"]
        self._places = [template.trainable_indices[place] for place in form.weights]
        self._values = _flat([inputs["variables"][place] for place in self._places])
        self._first = self._moments(form.optimizer.first)
        self._second = self._moments(form.optimizer.second)
        self._recorded = np.empty((n_epochs, len(self._values)), np.float32) if is_recording else None
        self._n_epochs = n_epochs
        self.y_dtype = np.int32 if form.takes_classes else np.float32
        self._ask: Callable[[], object] | None = inputs.get("ask")
        self._n_steps = np.array([self._given.optimizer[0]], np.int64)
        # For loss and metrics, the weighted sum and the sum of the weights, for each epoch and pass.
        self.sums = np.zeros((n_epochs, 2, 2 * len(form.names)))

    def _moments(self, place: slice | None) -> NDArray[np.float32] | None:
        if place is None:
            return None
        moments = self._given.optimizer[place]
        return _flat([moments[weight] for weight in self._form.weights])

    def run(
        self,
        learning_rates: NDArray[np.float32],
        dropout_keys: NDArray[np.uint32],
        training: tuple[Any, ...] | None,
        validation: tuple[Any, ...] | None,
    ) -> None:
        """Train, judge, or both after each other in each epoch.

        Raises
        ------
        InterruptedCallError
            With the state that a signal has left, after the batch in which it came.
        """
        form, numbers = self._form, self._numbers
        rates = np.zeros(len(form.parts), np.float32)
        for part, number in form.drops:
            rates[part] = numbers[number]
        penalties = np.zeros((form.n_kernels, 4), np.float32)
        for entry, number in form.penalties:
            penalties[entry] = numbers[number]
        decay = 0.0 if form.weight_decay is None else float(numbers[form.weight_decay])
        *_, batch_size = training or validation or ()
        with threads_for(form.n_products * batch_size) as n_threads:
            try:
                extension.engine.run(
                    *(form.parts, rates, penalties, form.loss, form.metrics),
                    (form.optimizer_kind, *form.optimizer.settings, decay),
                    *(self._values, self._first, self._second),
                    *(np.asarray(learning_rates, np.float32), np.ascontiguousarray(dropout_keys)),
                    training,
                    validation,
                    *(self.sums, self._recorded, self._n_steps),
                    None if form.encoding is None else form.encoding.given(self._given.variables),
                    n_threads,
                    extension.IS_PORTABLE,
                    self._ask,
                )
            except KeyboardInterrupt as error:
                has_trained = bool(self._n_steps[0] != self._given.optimizer[0])
                raise InterruptedCallError(
                    State(self.variables(), self.optimizer()), has_trained=has_trained
                ) from error

    def variables(self) -> list[NDArray[Any]]:
        """Give the values of all variables after the call."""
        return self._with_weights(self._values)

    def _with_weights(self, values: NDArray[np.float32]) -> list[NDArray[Any]]:
        variables = list(self._given.variables)
        for place, array in zip(self._places, _parts(values, [variables[p] for p in self._places]), strict=True):
            variables[place] = array
        return variables

    def recorded(self) -> list[NDArray[Any]]:
        """Give the values of all variables after each epoch."""
        assert self._recorded is not None
        epochs = [self._with_weights(values) for values in self._recorded]
        return [np.stack(values) for values in zip(*epochs, strict=True)]

    def optimizer(self) -> list[NDArray[Any]]:
        """Give the optimizer's values after the call."""
        values = list(self._given.optimizer)
        values[0] = self._n_steps[0].astype(values[0].dtype)
        form = self._form.optimizer
        for place, flat in ((form.first, self._first), (form.second, self._second)):
            if place is not None and flat is not None:
                moments = values[place]
                parts = _parts(flat, [moments[weight] for weight in self._form.weights])
                for weight, array in zip(self._form.weights, parts, strict=True):
                    moments[weight] = array
                values[place] = moments
        return values

    def results(self, sums: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Give loss and metrics by name from sums of shape (2 * n_names, ...); zero where nothing was counted."""
        totals, counts = sums[::2], sums[1::2]
        quotients = np.divide(totals, counts, out=np.zeros_like(totals), where=counts != 0).astype(np.float32)
        return dict(zip(self._form.names, quotients, strict=True))


def _flat(arrays: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Copy arrays into one."""
    return np.concatenate([np.ravel(array) for array in arrays])


def _parts(flat: NDArray[np.float32], like: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Take an array apart into views of these shapes."""
    ends = np.cumsum([array.size for array in like])
    return [part.reshape(array.shape) for part, array in zip(np.split(flat, ends[:-1]), like, strict=True)]
