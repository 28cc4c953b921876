"""Training through compiled programs: the state goes in and out as arrays, one call runs an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._callbacks import LiveCallbacks
from ._epoch_programs import PassShape, pass_program
from ._epochs import EpochJudge
from ._feeding import Rows
from ._network import Network, State
from ._program import Program
from ._records import Data, Result, Settings
from ._rows import epoch_order
from ._steps import RowsMeetError
from ._template import Template

# Validation in larger batches gives the same numbers with fewer steps.
_VALIDATION_BATCH = 256


class CannotCompileError(Exception):
    """A program could not be traced or compiled; the message says why."""


@dataclass
class Pass:
    """A program with the rows that it passes over and the numbers of the network that it passes them through."""

    template: Template
    program: Program
    rows: Rows
    numbers: NDArray[np.float32]

    def run(self, state: State, order: NDArray[np.intp], dropout_seed: int) -> tuple[State, dict[str, float]]:
        """Pass over all rows once; give the new state, and loss and metrics by name."""
        metrics: list[NDArray[Any]] = self.template.metric_values
        results: dict[str, Any] = {}
        n_before = 0
        for part in self.rows.parts(order):
            outputs = self._call(state, metrics, part.inputs, part.n_batches, (dropout_seed, n_before))
            state, metrics = State(outputs["variables"], outputs["optimizer"]), outputs["metrics"]
            results = outputs["results"]
            n_before += part.n_batches
        return state, {name: _as_number(results[name]) for name in sorted(results)}

    def compile(self, state: State) -> None:
        """Compile the program by a call that runs no batch."""
        part = next(iter(self.rows.parts(np.zeros(1, np.intp))))
        self._call(state, self.template.metric_values, part.inputs, 0, (0, 0))

    def _call(
        self,
        state: State,
        metrics: list[NDArray[Any]],
        rows: Mapping[str, Any],
        n_batches: int,
        dropout_key: tuple[int, int],
    ) -> dict[str, Any]:
        inputs = {
            "variables": state.variables,
            "optimizer": state.optimizer,
            "metrics": metrics,
            "numbers": self.numbers,
            "first": np.int32(0),
            "last": np.int32(n_batches),
            "dropout_key": np.array(dropout_key, np.uint32),
        }
        outputs: dict[str, Any] = self.program({**inputs, **rows})
        return outputs


@dataclass
class Job:
    """One network on its way through a training run.

    Jobs with equal ``training.program`` differ in arrays only.
    """

    network: Network
    state: State
    training: Pass
    validation: Pass | None
    settings: Settings
    judge: EpochJudge[State] = field(init=False)

    def __post_init__(self) -> None:
        self.judge = EpochJudge(self.settings, lambda: self.state)


def fit_compiled(network: Network, train: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network through compiled programs.

    Raises
    ------
    CannotCompileError
        Before the network or the caller's hooks have seen anything.
    """
    job = _make_job(network, train, validation, settings)
    interrupted = False
    try:
        _run_epochs(job)
    except KeyboardInterrupt:
        if job.judge.n_epochs == 0:
            raise
        interrupted = True
    judge = job.judge
    kept = judge.kept if interrupted else judge.weights_to_restore
    if kept is not None:
        network.state = State(kept.variables, job.state.optimizer)
    return Result(
        history=judge.history,
        n_epochs=judge.n_epochs,
        best_epoch=judge.best_epoch,
        stopped_by="interrupt" if interrupted else judge.stopped_by or "epochs",
        way="compiled",
    )


def _run_epochs(job: Job) -> None:
    """Train epoch by epoch, until the last or until somebody asks to stop."""
    settings, n_rows = job.settings, job.training.rows.n_rows
    callbacks = LiveCallbacks(job.network, settings, job.training.rows.n_batches)
    callbacks.on_train_begin()
    for epoch in range(settings.initial_epoch, settings.initial_epoch + settings.epochs):
        job.state = callbacks.on_epoch_begin(epoch, job.state)
        order = epoch_order(n_rows, settings.seed, epoch, settings.shuffle)
        job.state, logs = job.training.run(job.state, order, _dropout_seed(settings.seed, epoch))
        callbacks.publish(job.state)
        if job.validation is not None:
            logs |= _validate(job.validation, callbacks.on_test_begin(job.state))
            callbacks.on_test_end(logs)
        job.state, logs = callbacks.on_epoch_end(epoch, job.state, dict(sorted(logs.items())))
        if job.judge.end_epoch(epoch, logs) or callbacks.ask_to_stop:
            job.judge.stopped_by = job.judge.stopped_by or "callback"
            break
    job.state = _with_averages(job.training.template, job.state)
    job.network.state = job.state
    job.state = callbacks.on_train_end(job.state)


def _validate(validation: Pass, state: State) -> dict[str, float]:
    _, results = validation.run(state, np.arange(validation.rows.n_rows), 0)
    return {f"val_{name}": value for name, value in results.items()}


def _with_averages(template: Template, state: State) -> State:
    """Put an optimizer's moving averages in the place of the weights, as Keras does when training ends."""
    if not template.average_indices:
        return state
    variables = list(state.variables)
    for index, average in zip(template.trainable_indices, template.average_indices, strict=True):
        variables[index] = state.optimizer[average]
    return State(variables, state.optimizer)


def _make_job(network: Network, train: Data, validation: Data | None, settings: Settings) -> Job:
    try:
        training = _make_pass(network, train, settings.batch_size, is_training=True)
        judged = None
        if validation is not None:
            size = settings.validation_batch_size or settings.batch_size
            judged = _make_pass(network, validation, size, is_training=False)
        job = Job(network, network.state, training, judged, settings)
        for one_pass in (training, judged):
            if one_pass is not None:
                one_pass.compile(job.state)
    except Exception as error:
        raise CannotCompileError(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
    return job


def _make_pass(network: Network, data: Data, batch_size: int, *, is_training: bool) -> Pass:
    template = network.program_template(data.y)
    if not is_training and template.is_batch_size_free:
        batch_size = max(batch_size, min(_VALIDATION_BATCH, data.n_rows))
    rows = Rows(data, batch_size, str(template.model.inputs[0].dtype))
    shape = PassShape(
        is_training=is_training,
        batch_size=batch_size,
        n_rows=rows.n_room,
        X_shape=tuple(data.X.shape[1:]),
        X_dtype=rows.X_dtype,
        y_shape=tuple(data.y.shape[1:]),
        y_dtype=rows.y_dtype,
        has_weights=data.sample_weight is not None,
        remainder=None if template.is_row_wise else data.n_rows % batch_size,
        is_ordered=not rows.is_resident,
    )
    try:
        program = pass_program(template, shape)
    except RowsMeetError:
        template.is_row_wise = False
        program = pass_program(template, replace(shape, remainder=data.n_rows % batch_size))
    return Pass(template, program, rows, network.program_numbers(template))


def _dropout_seed(seed: int, epoch: int) -> int:
    """Derive the seed of one epoch's dropout masks, in [0, 2**32)."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])


def _as_number(value: Any) -> Any:
    """A Python number, or an array for a metric that gives one."""
    return value.item() if np.ndim(value) == 0 else value
