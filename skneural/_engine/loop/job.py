"""One network on its way through a training run, whoever takes it through its epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

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

    def __post_init__(self) -> None:
        self.judge = EpochJudge(self.settings)
        self.epoch = self.settings.initial_epoch

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
        progress = None if self.settings.keeper is None else self.settings.keeper.load()
        if progress is not None:
            self.state, self.epoch, self.is_done = progress.state, progress.epoch, progress.is_done
            self.has_trained = progress.epoch > self.settings.initial_epoch
            self.judge.go_on(progress.judged, progress.kept, progress.recent)

    def keep(self) -> None:
        """Have the progress kept."""
        if self.settings.keeper is not None:
            judge = self.judge
            kept = None if judge.kept is None else judge.kept.variables
            recent = tuple(state.variables for state in judge.recent)
            progress = Progress(self.epoch, self.is_done, self.state, judge.judged(), kept, recent)
            self.settings.keeper.save(progress)

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
