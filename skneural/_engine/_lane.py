"""Networks that are trained side by side by one program: slots that jobs come to and leave, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._compiled_fit import Job, Pass, as_number
from ._network import State
from ._program import empty_aligned
from ._stack_programs import StackShape, stack_program

Logs = dict[str, float]


class _StackedPass:
    """The passes of all slots over their rows as one call, in arrays with a first axis of slots."""

    def __init__(self, sample: Pass, n_slots: int, is_ragged: bool) -> None:
        self._template = sample.template
        self._program = stack_program(sample.template, StackShape(sample.shape, n_slots, is_ragged))
        one = sample.shape
        shapes = {"X": ((one.n_rows, *one.X_shape), one.X_dtype), "y": ((one.n_rows, *one.y_shape), one.y_dtype)}
        if one.has_weights:
            shapes["sample_weight"] = ((one.n_rows,), "float32")
        shapes |= {"order": ((one.order_length,), "int32"), "numbers": (sample.numbers.shape, "float32")}
        shapes |= {"n_rows": ((), "int32"), "dropout_key": ((2,), "uint32")}
        self._inputs: dict[str, Any] = {
            name: empty_aligned((n_slots, *shape), dtype) for name, (shape, dtype) in shapes.items()
        }
        self._inputs["metrics"] = [np.stack([value] * n_slots) for value in self._template.metric_values]
        self._n_batches = np.zeros(n_slots, np.int32)

    def put(self, slot: int, one: Pass) -> None:
        """Bring the rows of a job to its slot."""
        for name in ("X", "y", "sample_weight"):
            if name in self._inputs:
                self._inputs[name][slot] = one.rows.arrays[name]
        self._inputs["numbers"][slot] = one.numbers
        self._inputs["n_rows"][slot] = one.rows.n_rows
        self._n_batches[slot] = one.rows.n_batches

    def visit_in(self, slot: int, one: Pass, order: NDArray[np.intp], dropout_seed: int) -> None:
        """Set the order in which the coming pass visits a slot's rows."""
        self._inputs["order"][slot] = one.rows.padded(order)
        self._inputs["dropout_key"][slot] = dropout_seed, 0

    def run(self, state: State) -> tuple[State, list[Logs]]:
        """Pass over all rows once; give the new stacked state, and loss and metrics by name for each slot."""
        state_inputs = {"variables": state.variables, "optimizer": state.optimizer, "last": self._n_batches.max()}
        outputs = self._program(self._inputs | state_inputs)
        results = outputs["results"]
        logs = [
            {name: as_number(results[name][slot]) for name in sorted(results)} for slot in range(len(self._n_batches))
        ]
        return State(outputs["variables"], outputs["optimizer"]), logs


class Lane:
    """A fixed number of slots; a job that is done leaves, and the next that waits takes its place."""

    def __init__(self, sample: Job, n_slots: int, is_ragged: bool) -> None:
        self._training = _StackedPass(sample.training, n_slots, is_ragged)
        self._validation = None
        if sample.validation is not None:
            self._validation = _StackedPass(sample.validation, n_slots, is_ragged)
        self.n_slots = n_slots
        self._slots: list[Job | None] = [None] * n_slots
        self._state: State | None = None

    @property
    def jobs(self) -> list[Job]:
        """The jobs that are in training here."""
        return [job for job in self._slots if job is not None]

    def fill(self, take: Callable[[], Job | None]) -> None:
        """Let jobs that wait take the empty slots."""
        for slot, present in enumerate(self._slots):
            job = take() if present is None else None
            if job is not None:
                self._slots[slot] = job
                self._put(slot, job)
        # A slot that stays empty repeats a job, and nobody looks at what comes out of it.
        for slot, present in enumerate(self._slots):
            if present is None and self._state is None and self.jobs:
                self._put(slot, self.jobs[0])

    def _put(self, slot: int, job: Job) -> None:
        self._training.put(slot, job.training)
        if self._validation is not None and job.validation is not None:
            self._validation.put(slot, job.validation)
            order = np.arange(job.validation.rows.n_rows)
            self._validation.visit_in(slot, job.validation, order, 0)
        if self._state is not None:
            for stacked, value in zip(_values(self._state), _values(job.state), strict=True):
                stacked[slot] = value

    def run_epoch(self) -> list[Job]:
        """Take every job one epoch further, and give those that are done or have failed: they have left their slots."""
        before = self.jobs
        for slot, job in enumerate(self._slots):
            if job is not None:
                self._attempt(slot, job, self._begin_epoch)
        if not self.jobs:
            return before
        state, logs = self._training.run(self._stacked())
        self._state = state
        for slot, job in enumerate(self._slots):
            if job is not None:
                self._attempt(slot, job, self._end_pass)
        validation_logs: list[Logs] = [{}] * len(self._slots)
        if self._validation is not None:
            _, validation_logs = self._validation.run(self._state)
        for slot, job in enumerate(self._slots):
            if job is not None:
                self._attempt(slot, job, lambda slot, job: job.end_epoch(logs[slot], validation_logs[slot]))
                if job.is_done:
                    self._slots[slot] = None
        return [job for job in before if job not in self.jobs]

    def _begin_epoch(self, slot: int, job: Job) -> None:
        self._training.visit_in(slot, job.training, *job.begin_epoch())
        rate = job.learning_rate_index
        if self._state is not None and rate is not None:
            self._state.optimizer[rate][slot] = job.state.optimizer[rate]

    def _end_pass(self, slot: int, job: Job) -> None:
        assert self._state is not None
        job.end_pass(
            State(
                [stacked[slot].copy() for stacked in self._state.variables],
                [stacked[slot].copy() for stacked in self._state.optimizer],
            )
        )

    def _attempt(self, slot: int, job: Job, step: Callable[[int, Job], None]) -> None:
        """Take a step with one job; if it fails, it fails alone."""
        try:
            step(slot, job)
        except Exception as error:
            job.error = error
            self._slots[slot] = None

    def _stacked(self) -> State:
        if self._state is None:
            states = [(job or self.jobs[0]).state for job in self._slots]
            self._state = State(
                [np.stack(values) for values in zip(*(state.variables for state in states), strict=True)],
                [np.stack(values) for values in zip(*(state.optimizer for state in states), strict=True)],
            )
        return self._state

    def release(self) -> list[Job]:
        """Give the jobs that are in training back, to go on elsewhere."""
        jobs, self._slots = self.jobs, [None] * self.n_slots
        return jobs


def _values(state: State) -> list[NDArray[Any]]:
    return [*state.variables, *state.optimizer]
