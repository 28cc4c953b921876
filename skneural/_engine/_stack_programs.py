"""One pass of many networks over their rows as one program: the step of one network, mapped over a first axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from skneural._compat import vectorized

from ._epoch_programs import Inputs, PassShape
from ._kept import LeastRecentlyUsed
from ._program import Program
from ._steps import Batch, ModelState, evaluate_on_batch, metric_results, train_on_batch
from ._template import StepInputs, Template

MAX_STACK_PROGRAMS = 16


@dataclass(frozen=True)
class StackShape:
    """What shapes a program for a stack: that of each network's pass, and how many there are.

    ``is_ragged`` says that some networks may have fewer batches than others and stand still in the last ones.
    """

    one: PassShape
    n_models: int
    is_ragged: bool


_programs: LeastRecentlyUsed[Program] = LeastRecentlyUsed(MAX_STACK_PROGRAMS)


def is_stack_program_kept(template: Template, shape: StackShape) -> bool:
    """Tell whether a program is there already, so that using it costs no tracing and compiling."""
    return (template, shape) in _programs


def stack_program(template: Template, shape: StackShape) -> Program:
    """Give the kept program, traced if there is none.

    It takes and gives what ``pass_program`` does, with a first axis of length ``n_models``; ``last`` is one for all,
    and every pass begins at its first batch.
    """
    return _programs.get(
        (template, shape),
        lambda: Program(lambda inputs: _one_pass(template, shape, inputs), _specs(template, shape), is_compiled=True),
    )


def _specs(template: Template, shape: StackShape) -> Inputs:
    one, n_models = shape.one, shape.n_models

    def of(values: Any) -> list[tf.TensorSpec]:
        return [tf.TensorSpec((n_models, *value.shape), value.dtype) for value in values]

    specs = {
        "variables": of(template.model.variables),
        "optimizer": of(template.optimizer_values),
        "metrics": of(template.metric_values),
        "numbers": tf.TensorSpec((n_models, *template.built_numbers.shape), tf.float32),
        "X": tf.TensorSpec((n_models, one.n_rows, *one.X_shape), one.X_dtype),
        "y": tf.TensorSpec((n_models, one.n_rows, *one.y_shape), one.y_dtype),
        "order": tf.TensorSpec((n_models, one.order_length), tf.int32),
        "n_rows": tf.TensorSpec((n_models,), tf.int32),
        "dropout_key": tf.TensorSpec((n_models, 2), tf.uint32),
        "last": tf.TensorSpec((), tf.int32),
    }
    if one.has_weights:
        specs["sample_weight"] = tf.TensorSpec((n_models, one.n_rows), tf.float32)
    return specs


def _one_pass(template: Template, shape: StackShape, inputs: Inputs) -> dict[str, Any]:
    rows = {name: inputs[name] for name in inputs if name not in ("last", "variables", "optimizer", "metrics")}

    def loop(index: tf.Tensor, *state: Any) -> tuple[Any, ...]:
        return index + 1, *vectorized(lambda model: _one_step(template, shape, index, *model), (state, rows))

    state = (inputs["variables"], inputs["optimizer"], inputs["metrics"])
    _, variables, optimizer, metrics = tf.while_loop(
        lambda index, *_: index < inputs["last"], loop, (tf.constant(0), *state)
    )
    results = vectorized(lambda values: metric_results(template, list(values)), metrics)
    return {"variables": variables, "optimizer": optimizer, "metrics": metrics, "results": results}


def _one_step(
    template: Template, shape: StackShape, index: tf.Tensor, state: tuple[Any, ...], model: Inputs
) -> tuple[Any, ...]:
    """Take one network through one batch."""
    batch_size = shape.one.batch_size
    rows = tf.slice(model["order"], [index * batch_size], [batch_size])
    n_left = model["n_rows"] - index * batch_size
    batch = Batch(
        tf.gather(model["X"], rows),
        tf.gather(model["y"], rows),
        tf.gather(model["sample_weight"], rows) if shape.one.has_weights else None,
        tf.clip_by_value(n_left, 1, batch_size),
        is_masked=True,
    )
    key = tf.stack([model["dropout_key"][0], model["dropout_key"][1] + tf.cast(index, tf.uint32)])
    before = ModelState(*(list(values) for values in state))
    run_batch = train_on_batch if shape.one.is_training else evaluate_on_batch
    after = run_batch(template, before, batch, StepInputs(model["numbers"], batch.row_mask, key, is_compiled=True))
    moved = (after.variables, after.optimizer, after.metrics)
    if not shape.is_ragged:
        return moved
    return tuple(tf.nest.map_structure(lambda new, old: tf.where(n_left > 0, new, old), moved, tuple(map(list, state))))
