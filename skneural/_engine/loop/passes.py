"""The passes of a run over rows: who takes the rows through the network, in which programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural._engine.data.feeding import Order, Rows, bucket
from skneural._engine.data.rows import target_dtype
from skneural._engine.interrupts import interruptible
from skneural._engine.model.network import Network
from skneural._engine.model.products import suits_xla
from skneural._engine.model.template import Template
from skneural._engine.native.form import has_native_run
from skneural._engine.native.run import NativePass
from skneural._engine.obstacles import obstacle_from
from skneural._engine.records import Data, Settings, State, Step
from skneural._engine.xla.passes import PassShape, Runner, pass_program
from skneural._engine.xla.program import Program
from skneural._engine.xla.steps import RowsMeetError

from .pace import NoPace, pace_of
from .row_progress import RowProgress

# Validation in larger batches gives the same numbers with fewer steps.
_VALIDATION_BATCH = 256


@dataclass
class Pass:
    """Rows, the shape of the program that passes over them, and the numbers of the network it passes them through."""

    template: Template
    shape: PassShape
    rows: Rows
    numbers: NDArray[np.float32]

    @property
    def program(self) -> Program:
        """The kept program; a model that turns out to mix the rows of a batch gets one without padded batches."""
        return without_meeting_rows([self], lambda: pass_program(self.template, self.shape))

    def run(
        self,
        state: State,
        order: Order,
        dropout_seed: int,
        ask: Callable[[], object] | None = None,
        what: str = "Rows",
        show: Callable[[int, float], None] | None = None,
    ) -> tuple[State, dict[str, float]]:
        """Pass over all rows once; give the new state, and loss and metrics by name.

        ``ask`` is called now and then, and ends the pass when it raises. ``what`` tells in messages which pass it is.
        ``show`` is told after each part how many rows are done, and how many a second.

        Raises
        ------
        InterruptedCallError
            With the state of the moment, when Ctrl-C is pressed between two batches.
        """
        metrics: list[NDArray[Any]] = self.template.metric_values
        results: dict[str, Any] = {}
        n_before = 0
        progress = RowProgress(len(order), what, show)
        pace = NoPace() if self.shape.runner == "native" else pace_of(self.program)
        for part in self.rows.parts(order):
            for first, last in pace.ranges(part.n_batches):
                with interruptible(state, has_trained=n_before + first > 0):
                    if ask is not None:
                        ask()
                    key = (dropout_seed, n_before)
                    outputs = self._call(state, metrics, part.inputs, (first, last), key, ask)
                state, metrics = State(outputs["variables"], outputs["optimizer"]), outputs["metrics"]
                results = outputs["results"]
            n_before += part.n_batches
            progress.advance(int(part.inputs["n_rows"]))
        return state, {name: as_number(results[name]) for name in sorted(results)}

    def row_inputs(self) -> dict[str, Any]:
        """Resident rows as inputs of a program, but for the order to visit them in."""
        counts = {"n_rows": self.rows.n_rows, "first": 0, "last": self.rows.n_batches}
        return {**self.rows.arrays, **self._of_step, **{name: np.int32(count) for name, count in counts.items()}}

    @property
    def _of_step(self) -> dict[str, Any]:
        """What a step takes beside rows."""
        step = self.shape.step
        if step is None:
            return {}
        numbers = np.array([step.numbers[name] for name in self.shape.number_names], np.float32)
        return {"tables": self.rows.tables, "step_numbers": numbers}

    def renew(self, data: Data | None) -> None:
        """Let other data take the place of these."""
        self.rows.renew(data)
        is_native = self.shape.runner == "native"
        if data is not None and is_native and not has_native_run(self.template, [(data, self.shape.batch_size)]):
            raise ValueError("The targets that renew gives are others than those that training began with.")

    def compile(self, state: State) -> None:
        """Compile the program by a call that runs no batch; the native engine has nothing to compile."""
        if self.shape.runner == "native":
            return
        self._call(state, self.template.metric_values, self.rows.empty_part().inputs, (0, 0), (0, 0))

    def _call(
        self,
        state: State,
        metrics: list[NDArray[Any]],
        rows: Mapping[str, Any],
        batches: tuple[int, int],
        dropout_key: tuple[int, int],
        ask: Callable[[], object] | None = None,
    ) -> dict[str, Any]:
        inputs = {
            "variables": state.variables,
            "optimizer": state.optimizer,
            "metrics": metrics,
            "numbers": self.numbers,
            "first": np.int32(batches[0]),
            "last": np.int32(batches[1]),
            "dropout_key": np.array(dropout_key, np.uint32),
            **self._of_step,
        }
        if self.shape.runner == "native":
            return NativePass(self.template, self.shape)({**inputs, **rows, "ask": ask})
        return dict(self.program({**inputs, **rows}))


def without_meeting_rows(passes: list[Pass], make: Callable[[], Program]) -> Program:
    """Give a program over these passes; a model that turns out to mix the rows of a batch gets one without padding."""
    try:
        return make()
    except RowsMeetError:
        for one in passes:
            one.template.is_row_wise = False
            one.shape = replace(one.shape, remainder=one.rows.n_rows % one.shape.batch_size)
        return make()


def passes_of(network: Network, train: Data, validation: Data | None, settings: Settings) -> list[Pass]:
    """Lay out the passes of a training run, over the rows to learn from and those to be judged on.

    Nothing is traced or compiled yet.
    """
    passes = [(train, settings.batch_size)]
    if validation is not None:
        passes.append((validation, settings.validation_batch_size or settings.batch_size))
    try:
        template = network.program_template(None if settings.step is not None else train.targets)
        runner = _runner_for(template, network.state, passes, settings.step)
        return [
            _make_pass(network, *one, is_training=index == 0, runner=runner, step=settings.step)
            for index, one in enumerate(passes)
        ]
    except Exception as error:
        raise obstacle_from(error) from error


def _runner_for(template: Template, state: State, passes: list[tuple[Data, int]], step: Step | None) -> Runner:
    """Choose who takes rows through a network; ``passes`` are the rows of each pass, with their batch sizes."""
    if step in template.not_for_xla:
        return "tensorflow"
    if step is None and has_native_run(template, passes) and _fits(state, template):
        return "native"
    return "xla" if suits_xla(template.model, max(size for _, size in passes)) else "tensorflow"


def _fits(state: State, template: Template) -> bool:
    """Tell whether a network's state has the shapes of the template's: a program would not take any other."""
    variables = [tuple(variable.shape) for variable in template.model.variables]
    optimizer = [value.shape for value in template.optimizer_values]
    return [value.shape for value in state.variables] == variables and [
        value.shape for value in state.optimizer
    ] == optimizer


def _make_pass(
    network: Network, data: Data, batch_size: int, *, is_training: bool, runner: Runner, step: Step | None
) -> Pass:
    template = network.program_template(data.targets if step is None else None)
    if not is_training and step is None and template.is_batch_size_free:
        batch_size = _validation_batch(template, batch_size, data.n_rows, runner)
    # What a step takes need not be what the model takes.
    dtypes = template.takes.dtypes if step is None else [target_dtype(one) for one in data.inputs]
    rows = Rows(data, batch_size, dtypes, may_stay=runner == "native")
    shape = PassShape(
        is_training=is_training,
        batch_size=batch_size,
        n_rows=rows.n_room,
        rows=rows.forms,
        target_input=data.target_input,
        remainder=None if template.is_row_wise else data.n_rows % batch_size,
        is_ordered=not rows.is_resident,
        runner=runner,
        step=step,
        number_names=() if step is None else tuple(sorted(step.numbers)),
        tables=() if step is None else rows.table_forms,
    )
    return Pass(template, shape, rows, network.program_numbers(template))


def _validation_batch(template: Template, given: int, n_rows: int, runner: Runner) -> int:
    """Choose a larger batch than was given, but none that is too large for XLA where it compiles the program."""
    size = min(_VALIDATION_BATCH, bucket(n_rows))
    while runner == "xla" and size > given and not suits_xla(template.model, size):
        size //= 2
    return max(given, size)


def as_number(value: Any) -> Any:
    """A Python number, or an array for a metric that gives one."""
    return value.item() if np.ndim(value) == 0 else value
