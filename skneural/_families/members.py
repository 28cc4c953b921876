"""Several networks in one estimator: built from seeds of their own, trained side by side, their answers averaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import joblib
import keras
import numpy as np
from numpy.typing import NDArray

from skneural import _engine
from skneural._estimators.checkpoints import kept_in
from skneural._estimators.keras_arguments import Schedule
from skneural._parallel import current_conduct, current_task, parallel_fits
from skneural._rows.training_rows import TrainingRows
from skneural._seeds import Seeds, draw_seeds

from .base import FamilyEstimator

Run = tuple[_engine.Data, _engine.Data | None, _engine.Settings]


def member_seeds(seed: int, n_members: int) -> list[int]:
    """Derive the ``random_state`` of each member, as an estimator of its own would have it."""
    return [int(word >> 1) for word in np.random.SeedSequence([seed, n_members]).generate_state(n_members)]


class Members:
    """Networks of one architecture; it stands where a single network does."""

    def __init__(self, networks: Sequence[_engine.Network], seeds: Sequence[Seeds]) -> None:
        self.networks = tuple(networks)
        self.seeds = tuple(seeds)
        self.histories: list[dict[str, list[float]]] = []

    @classmethod
    def of(cls, build: Callable[[int], _engine.Network], seed: int, n_members: int) -> Members:
        """Build each member with first weights of its own."""
        seeds = [draw_seeds(one) for one in member_seeds(seed, n_members)]
        return cls([build(one.weights) for one in seeds], seeds)

    def fit(self, runs: Sequence[Callable[[], Run]]) -> list[_engine.Result]:
        """Train each member on rows of its own, side by side on all cores; the numbers are those of single fits.

        The rows of a run are there only from when it begins.
        """
        # Within a task of such a block the members come to its scheduler.
        with nullcontext() if current_task() else parallel_fits():
            results = joblib.Parallel()(
                joblib.delayed(_fit_one)(network, run) for network, run in zip(self.networks, runs, strict=True)
            )
        self.histories = [result.history for result in results]
        return list(results)

    def predict(self, X: Any) -> NDArray[np.float32]:
        """Return the mean of what the members answer to rows."""
        answers = [_engine.predict(network, X) for network in self.networks]
        return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)

    # --- what an estimator asks of its network ------------------------------------------------------------------

    @property
    def state(self) -> tuple[_engine.State, ...]:
        """The state of each member."""
        return tuple(network.state for network in self.networks)

    @state.setter
    def state(self, states: Sequence[_engine.State]) -> None:
        for network, state in zip(self.networks, states, strict=True):
            network.state = state

    @property
    def blueprint(self) -> _engine.Blueprint | None:
        """That of each member."""
        return self.networks[0].blueprint

    @property
    def is_materialised(self) -> bool:
        """The Keras model is put together when it is asked for."""
        return False

    @property
    def model(self) -> keras.Model:
        """A Keras model whose output is the mean of the members'."""
        models = [network.snapshot().model for network in self.networks]
        for place, model in enumerate(models):
            model.name = f"member_{place}"
        inputs = keras.Input(models[0].input_shape[1:], dtype=models[0].inputs[0].dtype)
        answers = [model(inputs) for model in models]
        return keras.Model(inputs, keras.layers.Average()(answers) if len(answers) > 1 else answers[0], name="members")

    def snapshot(self) -> Members:
        """Copy the members with their present states."""
        twin = Members([network.snapshot() for network in self.networks], self.seeds)
        twin.histories = self.histories
        return twin

    def update_numbers(self, numbers: Mapping[Any, float]) -> None:
        """Set the learning rate and its like of each member."""
        for network in self.networks:
            network.update_numbers(numbers)


def _fit_one(network: _engine.Network, run: Callable[[], Run]) -> _engine.Result:
    train, judged, settings = run()
    # The slot at the processors is that of the thread which the member trains in.
    return _engine.fit(network, train, judged, replace(settings, conduct=current_conduct()))


def mean_history(histories: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """Average the members' values of each epoch; those that have stopped earlier count with their last ones."""
    n_epochs = max(len(history["loss"]) for history in histories)
    full = [
        {name: [*values, *[values[-1]] * (n_epochs - len(values))] for name, values in history.items()}
        for history in histories
    ]
    return {name: np.mean([history[name] for history in full], axis=0).tolist() for name in full[0]}


def mean_result(results: Sequence[_engine.Result]) -> _engine.Result:
    """Tell of all members as of one run."""
    first = next((result for result in results if result.stopped_by == "interrupt"), results[0])
    history = mean_history([result.history for result in results])
    return replace(first, history=history, n_epochs=len(history["loss"]), best_epoch=None)


class OfMembers(FamilyEstimator):
    """A family whose estimator has ``n_members`` networks, which differ in their seeds and perhaps in their rows.

    Member i is what an estimator with the i-th of ``member_seeds`` as its ``random_state`` would be. Callbacks and
    progress belong to the first one.
    """

    n_members: int

    def _check_kept_network(self) -> None:
        if not isinstance(self._network, Members):
            raise ValueError(
                f"{type(self).__name__} cannot go on training the network that was given as 'model_': it stands for "
                f"the mean of {self.n_members} members, which are trained one by one. Call fit, or train that network "
                "itself by its own fit and give it back."
            )
        super()._check_kept_network()

    def _build_network(self, seed: int) -> Any:
        return Members.of(super()._build_network, seed, int(self.n_members))

    def _run(
        self, train: TrainingRows, held_out: TrainingRows | None, settings: _engine.Settings, schedule: Schedule
    ) -> _engine.Result:
        members: Members = self._network
        unseen = replace(settings, callbacks=(), on_epoch_begin=None, on_epoch_end=None, verbose=0)

        def run_of(place: int) -> Run:
            rows, judged = self._rows_of_member(place, train, held_out)
            own = replace(unseen if place else settings, seed=members.seeds[place].order)
            data = self._data(rows), None if judged is None else self._data(judged)
            if self._is_kept(schedule):
                own = kept_in(self, members.networks[place], data, own, f"member-{place}")
            return *data, own

        return mean_result(members.fit([partial(run_of, place) for place in range(len(members.seeds))]))

    def _rows_of_member(
        self, place: int, train: TrainingRows, held_out: TrainingRows | None
    ) -> tuple[TrainingRows, TrainingRows | None]:
        """Give the rows that a member learns from and those that it is judged on."""
        return train, held_out

    def _network_outputs(self, X: Any) -> NDArray[np.float32]:
        network = self._network
        # The user may have put a model in the place of the members.
        return network.predict(X) if isinstance(network, Members) else super()._network_outputs(X)
