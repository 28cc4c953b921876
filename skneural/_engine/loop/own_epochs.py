"""Epochs that the engine itself runs: what happens around each of them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from skneural._engine.obstacles import obstacle_from
from skneural._engine.records import State

from .callbacks import LiveCallbacks
from .job import Job, Way
from .passes import Pass


class OwnEpochs:
    """A runner whose epochs are passes over rows; how they are called, its subclasses say."""

    why_keras: str | None = None

    def __init__(self, job: Job, passes: list[Pass]) -> None:
        self.job = job
        self.training, *judged = passes
        self.validation = judged[0] if judged else None
        self.job.state = job.network.state
        self.way: Way = "native" if self.training.shape.runner == "native" else "compiled"
        self._callbacks: LiveCallbacks | None = None
        index, has_schedule = self.learning_rate_index, job.settings.learning_rate_factors is not None
        self._learning_rate = job.state.optimizer[index] if has_schedule and index is not None else None

    @property
    def passes(self) -> list[Pass]:
        return [self.training] if self.validation is None else [self.training, self.validation]

    @property
    def learning_rate_index(self) -> int | None:
        """Where the learning rate stands among the optimizer's values."""
        return self.training.template.learning_rate_index

    def turn(self) -> AbstractContextManager[None]:
        """Give what a program, or the native engine, is called in; it tells how much memory the rows take."""
        return self.job.settings.conduct.turn(sum(one.rows.n_bytes for one in self.passes))

    @property
    def callbacks(self) -> LiveCallbacks:
        """The callbacks, told once that training begins."""
        if self._callbacks is None:
            rows = self.training.rows
            self._callbacks = LiveCallbacks(self.job.network, self.job.settings, rows.n_batches, rows.target_form)
            self._callbacks.on_train_begin()
        return self._callbacks

    def prepare(self) -> None:
        """Compile the programs."""
        try:
            self.compile()
        except Exception as error:
            raise obstacle_from(error) from error

    def compile(self) -> None:
        """Compile the programs by calls that compute nothing."""
        raise NotImplementedError

    def run(self) -> None:
        """Train for an epoch or for several."""
        raise NotImplementedError

    def begin(self) -> None:
        """Tell the callbacks that training begins; they may have all of it behind them."""
        job = self.job
        if is_watched(job):
            if job.goes_on:
                self.callbacks.publish(job.state)
                job.restore_callbacks()
            job.epoch, job.state = self.callbacks.resumed(job.epoch, job.state)
        job.is_done = job.is_done or job.n_epochs_left < 1

    def begin_epoch(self) -> None:
        """Tell the callbacks that an epoch begins, and take the data that there are for it."""
        job, settings = self.job, self.job.settings
        if self._learning_rate is not None:
            self._set_learning_rate(settings.learning_rate_in(job.epoch, self._learning_rate))
            self.callbacks.publish(job.state)
        job.state = self.callbacks.on_epoch_begin(job.epoch, job.state)
        if settings.renew is not None:
            job.network.state = job.state
            self.training.renew(settings.renew(job.epoch, job.network))

    def end_pass(self, state: State) -> None:
        """Take the state after the pass over the rows to learn from."""
        self.job.state, self.job.has_trained = state, True
        self.callbacks.publish(state)
        if self.validation is not None:
            self.job.state = self.callbacks.on_test_begin(state)

    def end_epoch(self, logs: dict[str, float], validation_logs: dict[str, float]) -> None:
        """Take the results of an epoch."""
        job = self.job
        if self.validation is not None:
            logs |= {f"val_{name}": value for name, value in validation_logs.items()}
            self.callbacks.on_test_end(logs)
        job.state, logs = self.callbacks.on_epoch_end(job.epoch, job.state, dict(sorted(logs.items())))
        job.end_epoch(logs, lambda: job.state, is_asked_to_stop=self.callbacks.ask_to_stop)

    def end(self) -> None:
        """Bring the trained state into the network."""
        self.put_right()
        job = self.job
        job.state = self.training.template.with_averages(job.state)
        job.network.state = job.state
        job.state = self.callbacks.on_train_end(job.state)

    def put_right(self) -> None:
        """Undo the schedule: a later training run starts from the parameter again."""
        if self._learning_rate is not None:
            self._set_learning_rate(self._learning_rate)

    def learning_rate_in(self, epoch: int) -> float:
        """Give the optimizer's learning rate of an epoch; zero where a schedule is part of the program."""
        if self._learning_rate is not None:
            return float(self.job.settings.learning_rate_in(epoch, self._learning_rate))
        index = self.learning_rate_index
        return 0.0 if index is None else float(self.job.state.optimizer[index])

    def order_in(self, epoch: int) -> Any:
        """Give the order in which an epoch visits the rows: of resident ones an array."""
        settings = self.job.settings
        return self.training.rows.order(settings.seed, epoch, settings.shuffle)

    def seed_in(self, epoch: int) -> int:
        """Derive the seed of an epoch's dropout masks and of what a step draws, in [0, 2**32)."""
        return _derived_seed(self.job.settings.seed, epoch)

    @property
    def validation_seed(self) -> int:
        """Derive the seed of what a step draws in validation: the same in each epoch, in [0, 2**32)."""
        return _derived_seed(self.job.settings.seed)

    def _set_learning_rate(self, rate: Any) -> None:
        assert self.learning_rate_index is not None
        optimizer = list(self.job.state.optimizer)
        optimizer[self.learning_rate_index] = np.asarray(rate)
        self.job.state = State(self.job.state.variables, optimizer)


def _derived_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def is_watched(job: Job) -> bool:
    """Whether somebody wants to see, or to change, the network between two epochs."""
    settings = job.settings
    hooks = (settings.on_epoch_begin, settings.on_epoch_end, settings.renew, settings.keeper)
    return bool(
        settings.callbacks or settings.verbose or settings.n_averaged > 1 or any(hook is not None for hook in hooks)
    )
