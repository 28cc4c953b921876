"""How the engine's own epochs are called: many at once where nobody looks in between, else pass after pass."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from skneural._engine.interrupts import interruptible
from skneural._engine.native.run import NativeRun, native_run
from skneural._engine.records import Data, State
from skneural._engine.xla.program import Program
from skneural._engine.xla.runs import RunShape, epochs_with_room, padded_epochs, run_program

from .job import Job
from .own_epochs import OwnEpochs, is_watched
from .pace import pace_of
from .passes import as_number, passes_of, without_meeting_rows


def runner_of(job: Job, train: Data, validation: Data | None) -> OwnEpochs:
    """Lay out a run over rows, and choose how its epochs are called.

    Raises
    ------
    ObstacleError
        Where it cannot be laid out.
    """
    passes = passes_of(job.network, train, validation, job.settings)
    if is_watched(job) or not all(one.rows.is_resident for one in passes):
        return PassByPass(job, passes)
    return (NativeEpochs if passes[0].shape.runner == "native" else ManyEpochs)(job, passes)


class PassByPass(OwnEpochs):
    """One epoch at a time, each pass a call or, for rows that are not resident, several."""

    def compile(self) -> None:
        """Compile the programs by calls that run no batch."""
        with self.turn():
            for one_pass in self.passes:
                one_pass.compile(self.job.state)

    def run(self) -> None:
        """Train for one epoch."""
        job = self.job
        self.begin_epoch()
        with self.turn():
            order, seed = self.order_in(job.epoch), self.seed_in(job.epoch)
            show = None if self.training.rows.is_resident else self.callbacks.on_rows
            state, logs = self.training.run(job.state, order, seed, job.ask, f"Epoch {job.epoch + 1}", show)
        self.end_pass(state)
        validation_logs: dict[str, float] = {}
        if self.validation is not None:
            order = self.validation.rows.order(0, 0, shuffle=False)
            with self.turn():
                _, validation_logs = self.validation.run(job.state, order, self.validation_seed, job.ask, "Validation")
        self.end_epoch(logs, validation_logs)


class ManyEpochs(OwnEpochs):
    """As many epochs a call as there is room and time for."""

    @property
    def _shape(self) -> RunShape:
        training, judged = self.training.shape, self.validation
        room = epochs_with_room(training, self.job.state.variables, is_judged=judged is not None)
        return RunShape(training, None if judged is None else judged.shape, room)

    @property
    def _program(self) -> Program:
        """The kept program; a model that turns out to mix the rows of a batch gets one without padded batches."""
        return without_meeting_rows(self.passes, lambda: run_program(self.training.template, self._shape))

    def compile(self) -> None:
        """Compile the program by a call that runs no epoch."""
        inputs = self._inputs(range(self.job.epoch, self.job.epoch + 1))
        program = self._program
        with self.turn():
            program.compile(inputs | {"n_epochs": np.int32(0)})

    def run(self) -> None:
        """Train for some epochs, never beyond the first in which early stopping could stop."""
        job = self.job
        n_epochs = min(self._n_epochs_a_call(), job.n_epochs_left, job.judge.n_epochs_before_stop)
        outputs = self._train(range(job.epoch, job.epoch + max(1, n_epochs)), is_whole=n_epochs > 0)
        state = State(outputs["variables"], outputs["optimizer"])
        n_epochs = max(1, n_epochs)
        for index in range(n_epochs):
            weights = [value[index].copy() for value in outputs.get("weights", ())]
            self.end_pass(State(weights, state.optimizer) if weights and index + 1 < n_epochs else state)
            logs = {
                name: {key: as_number(values[index]) for key, values in sorted(results.items())}
                for name, results in outputs["results"].items()
            }
            self.end_epoch(logs["training"], logs.get("validation", {}))

    def _n_epochs_a_call(self) -> int:
        """Choose how many whole epochs a call takes; zero where an epoch takes several."""
        n_epochs = pace_of(self._program).n_epochs_a_call(self.training.rows.n_batches)
        return min(n_epochs, self._shape.n_epochs)

    def _train(self, epochs: range, *, is_whole: bool) -> dict[str, Any]:
        """Train for some epochs in a call, or for one in several."""
        job, program = self.job, self._program
        inputs = self._inputs(epochs)
        pace, n_batches = pace_of(program), self.training.rows.n_batches
        if is_whole:
            started = time.perf_counter()
            with interruptible(job.state, has_trained=False), self.turn():
                outputs: dict[str, Any] = program(inputs)
            pace.note(time.perf_counter() - started, len(epochs) * n_batches)
            return outputs
        outputs = {"variables": job.state.variables, "optimizer": job.state.optimizer, "metrics": inputs["metrics"]}
        for first, last in pace.ranges(n_batches):
            training = inputs["training"] | {"first": np.int32(first), "last": np.int32(last)}
            present = {name: outputs[name] for name in ("variables", "optimizer")} | {"carried": outputs["metrics"]}
            part = inputs | present | {"training": training}
            if self.validation is not None and last < n_batches:
                part["validation"] = inputs["validation"] | {"last": np.int32(0)}
            state = State(outputs["variables"], outputs["optimizer"])
            with interruptible(state, has_trained=first > 0):
                job.ask()
                with self.turn():
                    outputs = program(part)
        return outputs

    def _inputs(self, epochs: range) -> dict[str, Any]:
        job, room, rows = self.job, self._shape.n_epochs, self.training.rows
        inputs: dict[str, Any] = {
            "variables": job.state.variables,
            "optimizer": job.state.optimizer,
            "metrics": self.training.template.metric_values,
            "carried": self.training.template.metric_values,
            "numbers": self.training.numbers,
            "n_epochs": np.int32(len(epochs)),
            "validation_key": np.array((self.validation_seed, 0), np.uint32),
            "dropout_keys": padded_epochs([(self.seed_in(epoch), 0) for epoch in epochs], room, np.uint32),
            "learning_rates": padded_epochs([self.learning_rate_in(epoch) for epoch in epochs], room, np.float32),
            "training": self.training.row_inputs()
            | {"order": padded_epochs([rows.padded(self.order_in(epoch)) for epoch in epochs], room, np.int32)},
        }
        if self.validation is not None:
            judged = self.validation.rows
            inputs["validation"] = self.validation.row_inputs() | {"order": judged.padded(np.arange(judged.n_rows))}
        return inputs


class NativeEpochs(ManyEpochs):
    """The same in the native engine, whose arrays need no room for more rows and epochs than there are."""

    @property
    def _program(self) -> NativeRun:  # type: ignore[override]
        return native_run(self.training.template, self._shape)

    def compile(self) -> None:
        """Do nothing: it is machine code already."""

    def _train(self, epochs: range, *, is_whole: bool) -> dict[str, Any]:
        """Train for some epochs in a call: the engine hears of Ctrl-C itself."""
        return super()._train(epochs, is_whole=True)

    def _inputs(self, epochs: range) -> dict[str, Any]:
        job = self.job
        keys = np.zeros((len(epochs), 2), np.uint32)
        if self._program.has_dropout:
            keys[:, 0] = [self.seed_in(epoch) for epoch in epochs]
        inputs: dict[str, Any] = {
            "variables": job.state.variables,
            "optimizer": job.state.optimizer,
            "numbers": self.training.numbers,
            "n_epochs": len(epochs),
            "dropout_keys": keys,
            "learning_rates": np.array([self.learning_rate_in(epoch) for epoch in epochs], np.float32),
            "ask": job.ask,
            "training": self.training.row_inputs()
            | {"order": np.array([self.order_in(epoch) for epoch in epochs], np.int32)},
        }
        if self.validation is not None:
            inputs["validation"] = self.validation.row_inputs()
        return inputs
