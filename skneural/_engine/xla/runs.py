"""Several epochs as one program: what happens between them stays on the device, and one call brings all results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from skneural._engine.cache import Store
from skneural._engine.model.template import Template

from .passes import Inputs, PassShape, one_pass, row_specs, state_specs
from .program import Program
from .steps import metric_results

MAX_RUN_PROGRAMS = 32
_MAX_EPOCHS = 64
# What the orders of all epochs in a call, and the weights after each of them, may take.
_ORDER_BYTES, _WEIGHT_BYTES = 2**20, 16 * 2**20


@dataclass(frozen=True)
class RunShape:
    """What shapes a program: the passes of each epoch, and how many epochs one call has room for."""

    training: PassShape
    validation: PassShape | None
    n_epochs: int

    @property
    def passes(self) -> dict[str, PassShape]:
        """The passes by name, in the order of an epoch."""
        named = {"training": self.training, "validation": self.validation}
        return {name: shape for name, shape in named.items() if shape is not None}


def epochs_with_room(training: PassShape, variables: list[NDArray[Any]], *, is_judged: bool) -> int:
    """Choose how many epochs a call has room for: a function of shapes only, so that programs are shared."""
    room = min(_MAX_EPOCHS, max(1, _ORDER_BYTES // (4 * training.order_length)))
    if is_judged:
        n_bytes = sum(value.nbytes for value in variables)
        room = min(room, max(1, _WEIGHT_BYTES // max(1, n_bytes)))
    return room


_programs: Store[Program] = Store(MAX_RUN_PROGRAMS, name="programs of several epochs")


def run_program(template: Template, shape: RunShape) -> Program:
    """Give the kept program, traced if there is none.

    It takes the state (``variables``, ``optimizer``), ``metrics`` as each pass begins with them, but ``carried`` those
    of a pass over training rows that an earlier call has begun, ``numbers``, how many epochs to run (``n_epochs``), for
    each of them the ``dropout_keys`` and the ``learning_rates``, and for all validation one ``validation_key``; further
    for each pass, under its name, the rows and the ``order`` that each epoch visits them in. It gives the new state,
    ``metrics`` of the last pass over training rows and, with a first axis of epochs, the ``results`` of each pass and,
    where there is validation, the ``weights`` after each epoch.
    """
    return _programs.get(
        (template, shape),
        lambda: Program(
            lambda inputs: _run(template, shape, inputs),
            _specs(template, shape),
            is_compiled=shape.training.is_compiled,
        ),
    )


def _specs(template: Template, shape: RunShape) -> Inputs:
    specs = {
        **state_specs(template),
        "carried": state_specs(template)["metrics"],
        "n_epochs": tf.TensorSpec((), tf.int32),
        "dropout_keys": tf.TensorSpec((shape.n_epochs, 2), tf.uint32),
        "learning_rates": tf.TensorSpec((shape.n_epochs,), tf.float32),
        "validation_key": tf.TensorSpec((2,), tf.uint32),
        **{name: row_specs(one) for name, one in shape.passes.items()},
    }
    specs["training"]["order"] = tf.TensorSpec((shape.n_epochs, shape.training.order_length), tf.int32)
    return specs


def _run(template: Template, shape: RunShape, inputs: Inputs) -> dict[str, Any]:
    def epoch(index: tf.Tensor, variables: Any, optimizer: Any, metrics: Any, records: Any) -> tuple[Any, ...]:
        optimizer = list(optimizer)
        if template.learning_rate_index is not None:
            rate = optimizer[template.learning_rate_index]
            optimizer[template.learning_rate_index] = tf.cast(inputs["learning_rates"][index], rate.dtype)
        state = {"variables": variables, "optimizer": optimizer, "metrics": inputs["metrics"]}
        new: dict[str, Any] = {"results": {}}
        for name, one in shape.passes.items():
            rows = inputs[name]
            if name == "training":
                rows = {**rows, "order": rows["order"][index], "metrics": inputs["carried"]}
            key = inputs["dropout_keys"][index] if name == "training" else inputs["validation_key"]
            outputs = one_pass(template, one, {**state, **rows, "numbers": inputs["numbers"], "dropout_key": key})
            new["results"][name] = outputs["results"]
            if name == "training":
                state |= {"variables": outputs["variables"], "optimizer": outputs["optimizer"]}
                metrics = outputs["metrics"]
        if shape.validation is not None:
            new["weights"] = state["variables"]
        records = tf.nest.map_structure(lambda record, value: _put(record, index, value), records, new)
        return index + 1, state["variables"], state["optimizer"], metrics, records

    records = _empty_records(template, shape, inputs)
    start = (tf.constant(0), inputs["variables"], inputs["optimizer"], inputs["carried"], records)
    _, variables, optimizer, metrics, records = tf.while_loop(
        lambda index, *_: index < inputs["n_epochs"], epoch, start
    )
    return {"variables": variables, "optimizer": optimizer, "metrics": metrics, **records}


def _empty_records(template: Template, shape: RunShape, inputs: Inputs) -> dict[str, Any]:
    """Zeros with a first axis of epochs, like all that is noted of an epoch."""
    results = metric_results(template, inputs["metrics"])
    one: dict[str, Any] = {"results": {name: dict(results) for name in shape.passes}}
    if shape.validation is not None:
        one["weights"] = inputs["variables"]
    return tf.nest.map_structure(lambda value: tf.zeros((shape.n_epochs, *value.shape), value.dtype), one)


def _put(record: tf.Tensor, index: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Write an epoch's value into its place."""
    return tf.tensor_scatter_nd_update(record, [[index]], value[None])


def padded_epochs(values: Any, n_epochs: int, dtype: Any) -> NDArray[Any]:
    """Bring one value per epoch into an array with room for ``n_epochs``; the last one is repeated."""
    given = np.asarray(values, dtype)
    return np.concatenate([given, np.repeat(given[-1:], n_epochs - len(given), axis=0)])
