"""Training through ``keras.Model.fit``, for what cannot be compiled."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._compat.keras_names import (
    initial_epoch_of,
    take_initial_epoch,
    trainable_by_workers,
    without_retracing_warnings,
)
from skneural._engine.data.mixing import MixedOrder, MixedRows
from skneural._engine.data.named import renewed
from skneural._engine.data.rows import dense_rows, epoch_order, n_batches, target_dtype
from skneural._engine.distribution import LocalAverages, is_of_workers
from skneural._engine.loop.progress import ProgressBar
from skneural._engine.model.network import Network
from skneural._engine.records import Data, Settings, State
from skneural._engine.stored_rows import StoredRows

from .job import Job, Way


class _Batches(keras.utils.PyDataset):
    """The batches of one epoch after the other, in the engine's own order of rows."""

    def __init__(
        self, data: Data, batch_size: int, dtype: str | None, settings: Settings | None, network: Network | None = None
    ) -> None:
        """Take rows, and for those to learn from the settings and the network."""
        super().__init__()
        self._data = data
        self._network = network
        self._batch_size = batch_size
        self._dtype = dtype
        self._settings = settings
        self._epoch = -1 if settings is None else settings.initial_epoch - 1
        self._mixed: MixedRows | None = None
        self._draw_order()

    def __len__(self) -> int:
        return n_batches(self._data.n_rows, self._batch_size)

    def go_on_from(self, epoch: int) -> None:
        """Let this be the number of the epoch to come."""
        self._epoch = epoch - 1

    def on_epoch_begin(self) -> None:
        self._epoch += 1
        if self._settings is not None:
            self._draw_order()
            if self._settings.renew is not None and self._network is not None:
                self._data = renewed(self._data, self._settings.renew(self._epoch, self._network))

    def _draw_order(self) -> None:
        settings, data, epoch = self._settings, self._data, max(self._epoch, 0)
        seed, shuffle = (0, False) if settings is None else (settings.seed, settings.shuffle)
        stored = {str(index): one for index, one in enumerate(data.inputs) if isinstance(one, StoredRows)}
        if not stored:
            self._order = epoch_order(data.n_rows, seed, epoch, shuffle)
            return
        order = MixedOrder.of(next(iter(stored.values())), seed, epoch, shuffle=shuffle)
        self._mixed = MixedRows(order, {name: (one, self._dtype or str(one.dtype)) for name, one in stored.items()})

    def _take(self, first: int, last: int) -> tuple[tuple[NDArray[Any], ...], NDArray[np.intp]]:
        """Give the inputs of some positions of the order, and the numbers of their rows."""
        data = self._data
        if self._mixed is None:
            rows = self._order[first:last]
            return tuple(dense_rows(one, rows, self._dtype or one.dtype) for one in data.inputs), rows
        numbers, parts = [], []
        for piece in self._mixed.pieces(first, min(last, data.n_rows)):
            numbers.append(piece.numbers)
            # Of one piece nothing is left when the next is there.
            parts.append(
                [
                    piece.read[str(index)][piece.mixed] if isinstance(one, StoredRows) else one[piece.numbers]
                    for index, one in enumerate(data.inputs)
                ]
            )
        return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True)), np.concatenate(numbers)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        data = self._data
        inputs: Any
        inputs, rows = self._take(index * self._batch_size, (index + 1) * self._batch_size)
        assert data.targets is not None
        if data.target_input is not None:
            targets = inputs[data.target_input]
        else:
            targets = dense_rows(data.targets, rows, target_dtype(data.targets))
        if data.names is not None:
            inputs = dict(zip(data.names, inputs, strict=True))
        batch = (inputs[0] if len(inputs) == 1 and data.names is None else inputs, targets)
        return batch if data.sample_weight is None else (*batch, data.sample_weight[rows])


class _ScheduleCallback(keras.callbacks.Callback):
    """Sets the learning rate of each epoch, ahead of the user's own callbacks."""

    def __init__(self, settings: Settings, rate: Any) -> None:
        super().__init__()
        self._settings = settings
        self._rate = rate

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.model.optimizer.learning_rate = self._settings.learning_rate_in(epoch, self._rate)

    def restore(self, model: keras.Model) -> None:
        """Undo the schedule, also when training was cut short."""
        model.optimizer.learning_rate = self._rate


class _JobCallback(keras.callbacks.Callback):
    """Brings the job and the caller's hooks into Keras's loop, behind the user's own callbacks."""

    def __init__(self, job: Job, batches: _Batches, averages: LocalAverages) -> None:
        super().__init__()
        self._job = job
        self._batches = batches
        self._averages = averages

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        restored = initial_epoch_of(self.model)
        if restored:
            self._job.epoch = restored
            self._batches.go_on_from(restored)
        self._job.restore_callbacks()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self._job.ask()
        # Under a strategy Keras builds the model with a pass of its own.
        self._batches.go_on_from(epoch)
        if self._job.settings.on_epoch_begin is not None:
            self._job.settings.on_epoch_begin(epoch)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._averages.share()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        job = self._job
        self._averages.share()
        job.end_epoch(logs if logs is not None else {}, self._weights)
        if job.is_due and not job.is_done:
            job.state = State.of_model(self.model)
            job.keep()
        if self._job.judge.stopped_by is not None:
            self.model.stop_training = True

    def _weights(self) -> State:
        return State([variable.value.numpy() for variable in self.model.variables], [])


class KerasFit:
    """A runner that trains with Keras's own ``fit``, all epochs at once: Keras has a loop of its own.

    The order of the rows is that of the compiled programs.
    """

    way: Way = "keras"

    def __init__(self, job: Job, train: Data, validation: Data | None, why_keras: str) -> None:
        self.why_keras: str | None = why_keras
        self._job = job
        self._train = train
        self._validation = validation
        self._scheduling: list[_ScheduleCallback] = []
        if job.settings.learning_rate_factors is not None:
            rate = job.network.model.optimizer.learning_rate.numpy()
            self._scheduling = [_ScheduleCallback(job.settings, rate)]

    def prepare(self) -> None:
        """Raise for what Keras cannot do."""
        _check_dtype_of_penalties(self._job.network.model)

    def begin(self) -> None:
        """Bring the state of a run that goes on into the model; Keras tells its callbacks."""
        if self._job.goes_on:
            self._job.state.write_to(self._job.network.model)

    def run(self) -> None:
        """Train for all epochs."""
        job, settings, model = self._job, self._job.settings, self._job.network.model
        arguments = dict(settings.keras_fit_arguments)
        dtype = input_dtype(model) if len(self._train.inputs) == 1 and self._train.names is None else None
        batches = _Batches(self._train, settings.batch_size, dtype, settings, job.network)
        batches.go_on_from(job.epoch)
        if self._validation is not None:
            size = settings.validation_batch_size or settings.batch_size
            arguments["validation_data"] = _Batches(self._validation, size, dtype, None)
        n_steps_before = _n_steps(model)
        try:
            by_workers = trainable_by_workers(model, batches[0]) if is_of_workers() else nullcontext()
            with without_retracing_warnings(), by_workers:
                model.fit(
                    batches,
                    epochs=settings.initial_epoch + settings.epochs,
                    initial_epoch=job.epoch,
                    verbose=settings.verbose,
                    callbacks=[
                        *self._scheduling,
                        *settings.callbacks,
                        _JobCallback(job, batches, LocalAverages(model)),
                        *([ProgressBar()] if settings.verbose else []),
                    ],
                    shuffle=False,
                    **arguments,
                )
        finally:
            take_initial_epoch(model)
            job.has_trained = job.judge.n_epochs > 0 or _n_steps(model) > n_steps_before
        if job.n_epochs_left > 0:
            job.judge.stopped_by = job.judge.stopped_by or "callback"
        job.is_done, job.state = True, State.of_model(model)

    def end(self) -> None:
        """Do nothing: Keras tells its callbacks."""

    def put_right(self) -> None:
        """Undo the schedule."""
        for schedule in self._scheduling:
            schedule.restore(self._job.network.model)
        self._job.state = State.of_model(self._job.network.model)


def _n_steps(model: keras.Model) -> int:
    """Count the steps of a model's optimizer, whose first variable that is, on whatever devices."""
    return int(model.optimizer.variables[0].value.numpy())


def _check_dtype_of_penalties(model: keras.Model) -> None:
    """Raise for penalties on weights that Keras 3.15 cannot add to its loss, which is of the dtype ``floatx``."""
    loss_dtype = keras.config.floatx()
    for weight in model.trainable_variables:
        if weight.regularizer is not None and weight.dtype != loss_dtype:
            raise ValueError(
                f"Keras's own fit cannot add a penalty on weights of dtype {weight.dtype} ({weight.path}) to a loss of "
                f"dtype {loss_dtype}. Call keras.config.set_floatx({weight.dtype!r}) as well as set_dtype_policy, or "
                "train without a penalty (l2=0, no regularizers)."
            )


def input_dtype(model: keras.Model) -> str:
    """Tell the dtype of a model's only input; float32 while the model is not built."""
    if getattr(model, "inputs", None):
        return str(model.inputs[0].dtype)
    return "float32"
