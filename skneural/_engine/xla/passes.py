"""One pass over rows as one program: every batch of an epoch, or of a part of it, in a loop that XLA compiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from skneural._engine.cache import Store
from skneural._engine.model.template import StepInputs, Template
from skneural._engine.records import ArrayForm, Step

from .program import Program
from .steps import Batch, ModelState, OwnStep, evaluate_on_batch, metric_results, train_on_batch

MAX_PROGRAMS = 32
Inputs = dict[str, Any]
Runner = Literal["xla", "tensorflow", "native"]


@dataclass(frozen=True)
class PassShape:
    """All that shapes a program beside its template.

    ``n_rows`` is the number of rows that there is room for. ``remainder`` is the length of the last batch where rows
    must not be masked, and None where they may. ``rows`` and ``tables`` are the forms of the arrays, ``target_input``
    the input that is the target too. ``is_ordered`` says that the rows lie in the order of the visit, ``runner`` who
    takes the rows through the network, ``step`` what trains in the place of a Keras loss.
    """

    is_training: bool
    batch_size: int
    n_rows: int
    rows: tuple[ArrayForm, ...]
    target_input: int | None
    remainder: int | None
    is_ordered: bool
    runner: Runner
    step: Step | None = None
    number_names: tuple[str, ...] = ()
    tables: tuple[ArrayForm, ...] = ()

    @property
    def is_compiled(self) -> bool:
        """Whether XLA compiles the program."""
        return self.runner == "xla"

    @property
    def order_length(self) -> int:
        return -(-self.n_rows // self.batch_size) * self.batch_size


_programs: Store[Program] = Store(MAX_PROGRAMS, name="programs of a pass")


def pass_program(template: Template, shape: PassShape) -> Program:
    """Give the kept program, traced if there is none.

    It takes the state (``variables``, ``optimizer``, ``metrics``), ``numbers``, the rows (``input 0`` and so on,
    ``targets``, ``sample_weight``), of a step its ``tables`` and ``step_numbers``, the ``order`` to visit the rows in,
    how many of them count (``n_rows``), from which batch to which it goes (``first``, ``last``) and the ``dropout_key``
    of that first batch. It gives the new state and ``results``.
    """
    return _programs.get(
        (template, shape),
        lambda: Program(
            lambda inputs: one_pass(template, shape, inputs), _specs(template, shape), is_compiled=shape.is_compiled
        ),
    )


def state_specs(template: Template) -> Inputs:
    """What of a program's inputs holds the state of a network, and its numbers."""

    def of(values: Any) -> list[tf.TensorSpec]:
        return [tf.TensorSpec(value.shape, value.dtype) for value in values]

    return {
        "variables": [tf.TensorSpec(variable.shape, variable.dtype) for variable in template.model.variables],
        "optimizer": of(template.optimizer_values),
        "metrics": of(template.metric_values),
        "numbers": tf.TensorSpec(template.built_numbers.shape, tf.float32),
    }


def row_specs(shape: PassShape) -> Inputs:
    """What of a program's inputs holds rows, and tells how to visit them."""
    specs: Inputs = {name: tf.TensorSpec((shape.n_rows, *of_row), dtype) for name, of_row, dtype in shape.rows}
    if not shape.is_ordered:
        specs["order"] = tf.TensorSpec((shape.order_length,), tf.int32)
    if shape.step is not None:
        specs["tables"] = {name: tf.TensorSpec(whole, dtype) for name, whole, dtype in shape.tables}
        specs["step_numbers"] = tf.TensorSpec((len(shape.number_names),), tf.float32)
    return specs | {name: tf.TensorSpec((), tf.int32) for name in ("n_rows", "first", "last")}


def _specs(template: Template, shape: PassShape) -> Inputs:
    return {**state_specs(template), **row_specs(shape), "dropout_key": tf.TensorSpec((2,), tf.uint32)}


def one_pass(template: Template, shape: PassShape, inputs: Inputs) -> dict[str, Any]:
    """Take a network over rows once, in a program that is being traced."""
    run_batch = train_on_batch if shape.is_training else evaluate_on_batch
    is_masked = shape.remainder is None
    batch_size = shape.batch_size
    own = _own_step(shape, inputs)

    def step(index: tf.Tensor, state: ModelState, size: int) -> ModelState:
        rows = _rows_of_batch(shape, inputs, index * batch_size, size)
        n_rows = tf.minimum(batch_size, inputs["n_rows"] - index * batch_size) if is_masked else size
        batch = Batch(*rows, n_rows, is_masked, own)
        key = tf.stack([inputs["dropout_key"][0], inputs["dropout_key"][1] + tf.cast(index, tf.uint32)])
        return run_batch(template, state, batch, StepInputs(inputs["numbers"], batch.row_mask, key, shape.is_compiled))

    def loop(index: tf.Tensor, *state: Any) -> tuple[Any, ...]:
        return index + 1, *_as_tuple(step(index, ModelState(*state), batch_size))

    n_full = inputs["n_rows"] // batch_size
    end = inputs["last"] if is_masked else tf.minimum(inputs["last"], n_full)
    state = ModelState(inputs["variables"], inputs["optimizer"], inputs["metrics"])
    _, *values = tf.while_loop(lambda index, *_: index < end, loop, (inputs["first"], *_as_tuple(state)))
    if shape.remainder:
        values = tf.cond(
            inputs["last"] > n_full,
            lambda: _as_tuple(step(n_full, ModelState(*values), shape.remainder)),
            lambda: tuple(values),
        )
    state = ModelState(*values)
    return {
        "variables": state.variables,
        "optimizer": state.optimizer,
        "metrics": state.metrics,
        "results": metric_results(template, state.metrics),
    }


def _own_step(shape: PassShape, inputs: Inputs) -> OwnStep | None:
    if shape.step is None:
        return None
    numbers = dict(zip(shape.number_names, tf.unstack(inputs["step_numbers"]), strict=True))
    return OwnStep(shape.step, inputs["tables"], numbers)


def _rows_of_batch(
    shape: PassShape, inputs: Inputs, start: tf.Tensor, size: int
) -> tuple[list[tf.Tensor], tf.Tensor | None, tf.Tensor | None]:
    """Take inputs, targets and weights of ``size`` rows from the ``start``-th on."""
    names = [name for name, *_ in shape.rows]
    if shape.is_ordered:
        rows = {name: _slice(inputs[name], start, size) for name in names}
    else:
        places = tf.slice(inputs["order"], [start], [size])
        rows = {name: tf.gather(inputs[name], places) for name in names}
    weights, targets = rows.pop("sample_weight", None), rows.pop("targets", None)
    taken = list(rows.values())
    return taken, targets if shape.target_input is None else taken[shape.target_input], weights


def _slice(array: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    others = len(array.shape) - 1
    return tf.slice(array, [start, *[0] * others], [size, *array.shape[1:]])


def _as_tuple(state: ModelState) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:
    return state.variables, state.optimizer, state.metrics
