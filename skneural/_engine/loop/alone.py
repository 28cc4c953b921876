"""Training one network by itself: many epochs a call where nobody looks in between, else pass after pass."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from skneural._engine.interrupts import InterruptedCallError, interruptible
from skneural._engine.model.network import State
from skneural._engine.native.run import NativeRun, native_run
from skneural._engine.obstacles import obstacle_from
from skneural._engine.records import Result
from skneural._engine.xla.program import Program
from skneural._engine.xla.runs import RunShape, epochs_with_room, padded_epochs, run_program
from skneural._engine.xla.steps import RowsMeetError

from .job import Job, as_number
from .pace import pace_of


def train_alone(job: Job) -> Result:
    """Train one network by itself, from the epoch on that it has come to.

    Raises
    ------
    ObstacleError
        Before the network or the caller's hooks have seen anything.
    CancelledRunError
        When the job is asked to stop.
    """
    job.ask()
    course = _course_of(job)
    try:
        course.compile()
    except Exception as error:
        raise obstacle_from(error) from error
    try:
        job.begin()
        while not job.is_done:
            job.ask()
            course.go_on()
        job.end()
    except KeyboardInterrupt as error:
        if isinstance(error, InterruptedCallError):
            job.state, job.has_trained = error.state, job.has_trained or error.has_trained
        if not (job.has_trained and job.settings.keeps_interrupted()):
            raise KeyboardInterrupt from error
        return job.result(interrupted=True)
    return job.result()


def _course_of(job: Job) -> _PassByPass | _ManyEpochs:
    if job.is_watched or not job.is_resident:
        return _PassByPass(job)
    return _NativeEpochs(job) if job.training.shape.runner == "native" else _ManyEpochs(job)


class _PassByPass:
    """One epoch at a time, each pass a call or, for rows that are not resident, several."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def compile(self) -> None:
        """Compile the programs by calls that run no batch."""
        with self._job.turn():
            for one_pass in self._job.passes:
                one_pass.compile(self._job.state)

    def go_on(self) -> None:
        """Train for one epoch."""
        job = self._job
        order, dropout_seed = job.begin_epoch()
        with job.turn():
            state, logs = job.training.run(job.state, order, dropout_seed, job.ask)
        job.end_pass(state)
        validation_logs: dict[str, float] = {}
        if job.validation is not None:
            order = np.arange(job.validation.rows.n_rows)
            with job.turn():
                _, validation_logs = job.validation.run(job.state, order, job.validation_seed, job.ask)
        job.end_epoch(logs, validation_logs)


class _ManyEpochs:
    """As many epochs a call as there is room and time for."""

    def __init__(self, job: Job) -> None:
        self._job = job

    @property
    def _shape(self) -> RunShape:
        job = self._job
        judged = job.validation
        room = epochs_with_room(job.training.shape, job.state.variables, is_judged=judged is not None)
        return RunShape(job.training.shape, None if judged is None else judged.shape, room)

    @property
    def _program(self) -> Program:
        """The kept program; a model that turns out to mix the rows of a batch gets one without padded batches."""
        template = self._job.training.template
        try:
            return run_program(template, self._shape)
        except RowsMeetError:
            template.is_row_wise = False
            for one in self._job.passes:
                one.shape = replace(one.shape, remainder=one.rows.n_rows % one.shape.batch_size)
            return run_program(template, self._shape)

    def compile(self) -> None:
        """Compile the program by a call that runs no epoch."""
        inputs = self._inputs(range(self._job.epoch, self._job.epoch + 1))
        program = self._program
        with self._job.turn():
            program.compile(inputs | {"n_epochs": np.int32(0)})

    def go_on(self) -> None:
        """Train for some epochs, never beyond the first in which early stopping could stop."""
        job = self._job
        n_epochs = min(self._n_epochs_a_call(), job.n_epochs_left, job.judge.n_epochs_before_stop)
        outputs = self._train(range(job.epoch, job.epoch + max(1, n_epochs)), is_whole=n_epochs > 0)
        state = State(outputs["variables"], outputs["optimizer"])
        n_epochs = max(1, n_epochs)
        for index in range(n_epochs):
            weights = [value[index].copy() for value in outputs.get("weights", ())]
            job.end_pass(State(weights, state.optimizer) if weights and index + 1 < n_epochs else state)
            logs = {
                name: {key: as_number(values[index]) for key, values in sorted(results.items())}
                for name, results in outputs["results"].items()
            }
            job.end_epoch(logs["training"], logs.get("validation", {}))

    def _n_epochs_a_call(self) -> int:
        """Choose how many whole epochs a call takes; zero where an epoch takes several."""
        n_epochs = pace_of(self._program).n_epochs_a_call(self._job.training.rows.n_batches)
        return min(n_epochs, self._shape.n_epochs)

    def _train(self, epochs: range, *, is_whole: bool) -> dict[str, Any]:
        """Train for some epochs in a call, or for one in several."""
        job, program = self._job, self._program
        inputs = self._inputs(epochs)
        pace, n_batches = pace_of(program), job.training.rows.n_batches
        if is_whole:
            started = time.perf_counter()
            with interruptible(job.state, has_trained=False), job.turn():
                outputs: dict[str, Any] = program(inputs)
            pace.note(time.perf_counter() - started, len(epochs) * n_batches)
            return outputs
        outputs = {"variables": job.state.variables, "optimizer": job.state.optimizer, "metrics": inputs["metrics"]}
        for first, last in pace.ranges(n_batches):
            training = inputs["training"] | {"first": np.int32(first), "last": np.int32(last)}
            present = {name: outputs[name] for name in ("variables", "optimizer")} | {"carried": outputs["metrics"]}
            part = inputs | present | {"training": training}
            if job.validation is not None and last < n_batches:
                part["validation"] = inputs["validation"] | {"last": np.int32(0)}
            state = State(outputs["variables"], outputs["optimizer"])
            with interruptible(state, has_trained=first > 0):
                job.ask()
                with job.turn():
                    outputs = program(part)
        return outputs

    def _inputs(self, epochs: range) -> dict[str, Any]:
        job, room = self._job, self._shape.n_epochs
        visits = [job.visit_in(epoch) for epoch in epochs]
        rows = job.training.rows
        inputs: dict[str, Any] = {
            "variables": job.state.variables,
            "optimizer": job.state.optimizer,
            "metrics": job.training.template.metric_values,
            "carried": job.training.template.metric_values,
            "numbers": job.training.numbers,
            "n_epochs": np.int32(len(epochs)),
            "validation_key": np.array((job.validation_seed, 0), np.uint32),
            "dropout_keys": padded_epochs([(seed, 0) for _, seed in visits], room, np.uint32),
            "learning_rates": padded_epochs([job.learning_rate_in(epoch) for epoch in epochs], room, np.float32),
            "training": job.training.row_inputs()
            | {"order": padded_epochs([rows.padded(order) for order, _ in visits], room, np.int32)},
        }
        if job.validation is not None:
            judged = job.validation.rows
            inputs["validation"] = job.validation.row_inputs() | {"order": judged.padded(np.arange(judged.n_rows))}
        return inputs


class _NativeEpochs(_ManyEpochs):
    """The same in the native engine, whose arrays need no room for more rows and epochs than there are."""

    @property
    def _program(self) -> NativeRun:  # type: ignore[override]
        return native_run(self._job.training.template, self._shape)

    def compile(self) -> None:
        """Do nothing: it is machine code already."""

    def _train(self, epochs: range, *, is_whole: bool) -> dict[str, Any]:
        """Train for some epochs in a call: the engine hears of Ctrl-C itself."""
        return super()._train(epochs, is_whole=True)

    def _inputs(self, epochs: range) -> dict[str, Any]:
        job = self._job
        keys = np.zeros((len(epochs), 2), np.uint32)
        if self._program.has_dropout:
            keys[:, 0] = [job.dropout_seed_in(epoch) for epoch in epochs]
        inputs: dict[str, Any] = {
            "variables": job.state.variables,
            "optimizer": job.state.optimizer,
            "numbers": job.training.numbers,
            "n_epochs": len(epochs),
            "dropout_keys": keys,
            "learning_rates": np.array([job.learning_rate_in(epoch) for epoch in epochs], np.float32),
            "ask": job.ask,
            "training": job.training.row_inputs()
            | {"order": np.array([job.order_in(epoch) for epoch in epochs], np.int32)},
        }
        if job.validation is not None:
            inputs["validation"] = job.validation.row_inputs()
        return inputs
