"""A training run through compiled programs: its rows, its state, and what happens around each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural._engine.data.feeding import Rows, bucket
from skneural._engine.data.rows import epoch_order, target_dtype
from skneural._engine.interrupts import interruptible
from skneural._engine.model.network import Network, State
from skneural._engine.model.products import suits_xla
from skneural._engine.model.template import Template
from skneural._engine.native.form import has_native_run
from skneural._engine.native.run import NativePass
from skneural._engine.obstacles import obstacle_from
from skneural._engine.records import Data, Result, Settings, Step
from skneural._engine.xla.passes import PassShape, Runner, pass_program
from skneural._engine.xla.program import Program
from skneural._engine.xla.steps import RowsMeetError

from .callbacks import LiveCallbacks
from .judge import EpochJudge
from .pace import NoPace, pace_of

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
        try:
            return pass_program(self.template, self.shape)
        except RowsMeetError:
            self.template.is_row_wise = False
            self.shape = replace(self.shape, remainder=self.rows.n_rows % self.shape.batch_size)
            return pass_program(self.template, self.shape)

    def run(
        self, state: State, order: NDArray[np.intp], dropout_seed: int, ask: Callable[[], object] | None = None
    ) -> tuple[State, dict[str, float]]:
        """Pass over all rows once; give the new state, and loss and metrics by name.

        ``ask`` is called now and then, and ends the pass when it raises.

        Raises
        ------
        InterruptedCallError
            With the state of the moment, when Ctrl-C is pressed between two batches.
        """
        metrics: list[NDArray[Any]] = self.template.metric_values
        results: dict[str, Any] = {}
        n_before = 0
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
        part = next(iter(self.rows.parts(np.zeros(1, np.intp))))
        self._call(state, self.template.metric_values, part.inputs, (0, 0), (0, 0))

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


@dataclass(eq=False)
class Job:
    """One network on its way through a training run."""

    network: Network
    state: State
    training: Pass
    validation: Pass | None
    settings: Settings
    has_trained: bool = field(init=False, default=False)
    epoch: int = field(init=False)
    is_done: bool = field(init=False, default=False)
    judge: EpochJudge[State] = field(init=False)
    _callbacks: LiveCallbacks | None = field(init=False, default=None)
    _learning_rate: NDArray[Any] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.judge = EpochJudge(self.settings)
        self.epoch = self.settings.initial_epoch
        if self.settings.learning_rate_factors is not None and self.learning_rate_index is not None:
            self._learning_rate = self.state.optimizer[self.learning_rate_index]

    @property
    def passes(self) -> list[Pass]:
        return [self.training] if self.validation is None else [self.training, self.validation]

    @property
    def learning_rate_index(self) -> int | None:
        """Where the learning rate stands among the optimizer's values."""
        return self.training.template.learning_rate_index

    def ask(self) -> None:
        """Raise where the job is asked to stop."""
        self.settings.conduct.ask()

    def turn(self) -> AbstractContextManager[None]:
        """Give what a program, or the native engine, is called in."""
        return self.settings.conduct.turn(self.n_bytes)

    @property
    def n_epochs_left(self) -> int:
        return self.settings.initial_epoch + self.settings.epochs - self.epoch

    @property
    def callbacks(self) -> LiveCallbacks:
        """The callbacks, told once that training begins."""
        if self._callbacks is None:
            rows = self.training.rows
            self._callbacks = LiveCallbacks(self.network, self.settings, rows.n_batches, rows.target_form)
            self._callbacks.on_train_begin()
        return self._callbacks

    @property
    def is_watched(self) -> bool:
        """Whether somebody wants to see, or to change, the network between two epochs."""
        settings = self.settings
        hooks = (settings.on_epoch_begin, settings.on_epoch_end, settings.renew)
        return bool(settings.callbacks or settings.verbose or any(hook is not None for hook in hooks))

    @property
    def n_bytes(self) -> int:
        """About how much memory its rows hold: those that were given, and those in a program's arrays."""
        return sum(one.rows.n_bytes for one in self.passes)

    @property
    def is_resident(self) -> bool:
        """Whether all rows are in a program's memory at once."""
        return all(one.rows.is_resident for one in self.passes)

    def learning_rate_in(self, epoch: int) -> float:
        """Give the optimizer's learning rate of an epoch; zero where a schedule is part of the program."""
        if self._learning_rate is not None:
            return float(self.settings.learning_rate_in(epoch, self._learning_rate))
        index = self.learning_rate_index
        return 0.0 if index is None else float(self.state.optimizer[index])

    def begin(self) -> None:
        """Tell the callbacks that training begins; they may have all of it behind them."""
        if self.is_watched:
            self.epoch, self.state = self.callbacks.resumed(self.epoch, self.state)
        self.is_done = self.n_epochs_left < 1

    def begin_epoch(self) -> tuple[NDArray[np.intp], int]:
        """Tell the callbacks that an epoch begins, and give what ``visit_in`` gives for it."""
        if self._learning_rate is not None:
            self._set_learning_rate(self.settings.learning_rate_in(self.epoch, self._learning_rate))
            self.callbacks.publish(self.state)
        self.state = self.callbacks.on_epoch_begin(self.epoch, self.state)
        if self.settings.renew is not None:
            self.network.state = self.state
            self.training.renew(self.settings.renew(self.epoch, self.network))
        return self.visit_in(self.epoch)

    def visit_in(self, epoch: int) -> tuple[NDArray[np.intp], int]:
        """Give the order in which an epoch visits the rows, and the seed of its dropout masks."""
        return self.order_in(epoch), self.dropout_seed_in(epoch)

    def order_in(self, epoch: int) -> NDArray[np.intp]:
        """Give the order in which an epoch visits the rows."""
        return epoch_order(self.training.rows.n_rows, self.settings.seed, epoch, self.settings.shuffle)

    def dropout_seed_in(self, epoch: int) -> int:
        """Derive the seed of an epoch's dropout masks, in [0, 2**32)."""
        return int(np.random.SeedSequence([self.settings.seed, epoch]).generate_state(1)[0])

    @property
    def validation_seed(self) -> int:
        """Derive the seed of what a step draws in validation: the same in each epoch, in [0, 2**32)."""
        return int(np.random.SeedSequence([self.settings.seed]).generate_state(1)[0])

    def _set_learning_rate(self, rate: Any) -> None:
        assert self.learning_rate_index is not None
        optimizer = list(self.state.optimizer)
        optimizer[self.learning_rate_index] = np.asarray(rate)
        self.state = State(self.state.variables, optimizer)

    def end_pass(self, state: State) -> None:
        """Take the state after the pass over the rows to learn from."""
        self.state, self.has_trained = state, True
        self.callbacks.publish(state)
        if self.validation is not None:
            self.state = self.callbacks.on_test_begin(state)

    def end_epoch(self, logs: dict[str, float], validation_logs: dict[str, float]) -> None:
        """Take the results of an epoch, and decide whether it was the last."""
        if self.validation is not None:
            logs |= {f"val_{name}": value for name, value in validation_logs.items()}
            self.callbacks.on_test_end(logs)
        self.state, logs = self.callbacks.on_epoch_end(self.epoch, self.state, dict(sorted(logs.items())))
        if self.judge.end_epoch(self.epoch, logs, lambda: self.state) or self.callbacks.ask_to_stop:
            self.judge.stopped_by = self.judge.stopped_by or "callback"
        self.epoch += 1
        self.settings.conduct.advance()
        self.is_done = self.judge.stopped_by is not None or self.n_epochs_left < 1

    def end(self) -> None:
        """Bring the trained state into the network."""
        self._restore_learning_rate()
        self.state = _with_averages(self.training.template, self.state)
        self.network.state = self.state
        self.state = self.callbacks.on_train_end(self.state)

    def _restore_learning_rate(self) -> None:
        """Undo the schedule: a later training run starts from the parameter again."""
        if self._learning_rate is not None:
            self._set_learning_rate(self._learning_rate)

    def result(self, *, interrupted: bool = False) -> Result:
        """Leave the weights worth keeping in the network, and say how the run went."""
        self._restore_learning_rate()
        judge = self.judge
        kept = judge.kept if interrupted else judge.weights_to_restore
        if kept is not None:
            self.network.state = State(kept.variables, self.state.optimizer)
        elif interrupted:
            # No epoch has come to its end.
            self.network.state = self.state
        return Result(
            history=judge.history or {"loss": []},
            n_epochs=judge.n_epochs,
            best_epoch=judge.best_epoch,
            stopped_by="interrupt" if interrupted else judge.stopped_by or "epochs",
            way="native" if self.training.shape.runner == "native" else "compiled",
        )


def _with_averages(template: Template, state: State) -> State:
    """Put an optimizer's moving averages in the place of the weights, as Keras does when training ends."""
    if not template.average_indices:
        return state
    variables = list(state.variables)
    for index, average in zip(template.trainable_indices, template.average_indices, strict=True):
        variables[index] = state.optimizer[average]
    return State(variables, state.optimizer)


def make_job(network: Network, train: Data, validation: Data | None, settings: Settings) -> Job:
    """Lay out a training run; nothing is traced or compiled yet."""
    try:
        template = network.program_template(None if settings.step is not None else train.targets)
        state = network.state
        passes = [(train, settings.batch_size)]
        if validation is not None:
            passes.append((validation, settings.validation_batch_size or settings.batch_size))
        runner = _runner_for(template, state, passes, settings.step)
        training, *judged = (
            _make_pass(network, *one, is_training=index == 0, runner=runner, step=settings.step)
            for index, one in enumerate(passes)
        )
        return Job(network, state, training, judged[0] if judged else None, settings)
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
