"""One network on its way through a training run, whoever takes it through its epochs."""

from __future__ import annotations

import datetime
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Literal

import keras

from skneural._engine.distribution import is_first_of_workers, numbers_of_workers
from skneural._engine.identity.parts import is_plain
from skneural._engine.model.network import Network
from skneural._engine.records import Progress, Result, Settings, State

from .judge import EpochJudge

Way = Literal["native", "compiled", "keras"]


@dataclass(eq=False)
class Job:
    """What is known of a training run between two epochs.

    ``state`` has the values of the moment; where Keras's own fit trains, these are in the network's model.
    """

    network: Network
    settings: Settings
    state: State = field(init=False)
    has_trained: bool = field(init=False, default=False)
    epoch: int = field(init=False)
    is_done: bool = field(init=False, default=False)
    judge: EpochJudge = field(init=False)
    _callback_states: tuple[Mapping[str, Any], ...] = field(init=False, default=())
    _kept_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.judge = EpochJudge(self.settings)
        self.epoch = self.settings.initial_epoch
        self._kept_at = monotonic()

    def ask(self) -> None:
        """Raise where the job is asked to stop."""
        self.settings.conduct.ask()

    @property
    def n_epochs_left(self) -> int:
        return self.settings.initial_epoch + self.settings.epochs - self.epoch

    def end_epoch(
        self, logs: Mapping[str, float], read_state: Callable[[], State], *, is_asked_to_stop: bool = False
    ) -> None:
        """Take the results of an epoch, and decide whether it was the last."""
        if self.judge.end_epoch(self.epoch, logs, read_state) or is_asked_to_stop:
            self.judge.stopped_by = self.judge.stopped_by or "callback"
        self.epoch += 1
        self.settings.conduct.advance()
        self.is_done = self.judge.stopped_by is not None or self.n_epochs_left < 1

    def go_on(self) -> None:
        """Take up what was kept of this very run before."""
        if self.settings.keeper is None:
            return
        progress = self.settings.keeper.load()
        self._check_workers(0 if progress is None else progress.epoch)
        if progress is not None:
            self.state, self.epoch, self.is_done = progress.state, progress.epoch, progress.is_done
            self.has_trained = progress.epoch > self.settings.initial_epoch
            self.judge.go_on(progress.judged, progress.kept, progress.recent)
            self._callback_states = progress.callbacks

    @staticmethod
    def _check_workers(epoch: int) -> None:
        """Raise where the first worker of several, which alone keeps the progress, has kept it from the others."""
        epochs = numbers_of_workers(epoch)
        if len(set(epochs)) > 1:
            raise RuntimeError(
                f"The workers of the MultiWorkerMirroredStrategy find trainings of {epochs} epochs in their folders of "
                "the parameter 'checkpoint'. The first worker writes and all read: give a folder that they share."
            )

    @property
    def goes_on(self) -> bool:
        """Whether the run was begun in another call."""
        return self.has_trained and self.epoch > self.settings.initial_epoch

    def restore_callbacks(self) -> None:
        """Tell Keras's own callbacks, which forget all when training begins, what they knew."""
        for callback, state in zip(self.settings.callbacks, self._callback_states, strict=False):
            if state:
                vars(callback).update(state)

    @property
    def is_due(self) -> bool:
        """Whether it is time for the progress to be kept."""
        every = self.settings.keep_every
        if self.settings.keeper is None or not is_first_of_workers():
            return False
        if self.is_done:
            return True
        if isinstance(every, datetime.timedelta):
            return monotonic() - self._kept_at >= every.total_seconds()
        return (self.epoch - self.settings.initial_epoch) % every == 0

    def keep(self) -> None:
        """Have the progress kept, where it is time for that."""
        if self.settings.keeper is not None and self.is_due:
            judge = self.judge
            kept = None if judge.kept is None else judge.kept.variables
            recent = tuple(state.variables for state in judge.recent)
            callbacks = tuple(_state_of(callback) for callback in self.settings.callbacks)
            progress = Progress(self.epoch, self.is_done, self.state, judge.judged(), kept, recent, callbacks)
            self.settings.keeper.save(progress)
            self._kept_at = monotonic()

    def result(self, way: Way, why_keras: str | None, *, is_interrupted: bool) -> Result:
        """Leave the weights worth keeping in the network, and say how the run went."""
        judge = self.judge
        kept = judge.kept if is_interrupted else judge.weights_to_restore
        if kept is not None:
            self.network.state = State(kept.variables, self.state.optimizer)
        elif is_interrupted:
            # No epoch has come to its end.
            self.network.state = self.state
        return Result(
            history=judge.history or {"loss": []},
            n_epochs=judge.n_epochs,
            best_epoch=judge.best_epoch,
            stopped_by="interrupt" if is_interrupted else judge.stopped_by or "epochs",
            way=way,
            why_keras=why_keras,
        )


def _state_of(callback: keras.callbacks.Callback) -> dict[str, Any]:
    """What one of Keras's own callbacks has seen so far; those of users see to themselves."""
    if not type(callback).__module__.startswith("keras."):
        return {}
    return {
        name: value
        for name, value in vars(callback).items()
        if name != "params" and (is_plain(value) or _is_comparison(value))
    }


def _is_comparison(value: Any) -> bool:
    """Tell whether this is what a callback compares values by; EarlyStopping changes min_delta when it chooses it."""
    return inspect.isfunction(value) and getattr(keras.ops, value.__name__, None) is value
