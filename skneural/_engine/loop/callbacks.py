"""The caller's hooks and Keras callbacks around epochs that run elsewhere."""

from __future__ import annotations

from typing import Any

import keras

from skneural._compat.keras_names import compiled_metrics, take_initial_epoch
from skneural._engine.loop.progress import ProgressBar
from skneural._engine.model.network import Network
from skneural._engine.records import Settings, State


class _Collector(keras.callbacks.Callback):
    """Takes the logs of an epoch with what the callbacks before it have added."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.logs = dict(logs or {})


class LiveCallbacks:
    """Keras callbacks see a model with the weights of the moment; what they change in it, training goes on from.

    Without Keras callbacks no model is built.
    """

    def __init__(self, network: Network, settings: Settings, n_batches: int, targets: tuple[Any, str]) -> None:
        """Take the network, and of the rows how many batches they are, and shape and dtype of one row's target."""
        self._network = network
        self._settings = settings
        self._model = network.model if settings.callbacks else None
        self._list = None
        self._logs: dict[str, float] = {}
        self._collector = _Collector()
        self._bar = ProgressBar() if settings.verbose else None
        if self._model is not None:
            _build_metrics(self._model, *targets)
        if settings.callbacks or settings.verbose:
            self._list = keras.callbacks.CallbackList(
                [*settings.callbacks, self._collector, *([] if self._bar is None else [self._bar])],
                model=self._model,
                verbose=settings.verbose,
                epochs=settings.initial_epoch + settings.epochs,
                steps=n_batches,
            )

    @property
    def ask_to_stop(self) -> bool:
        """Whether a Keras callback has set ``model.stop_training``."""
        return self._model is not None and bool(self._model.stop_training)

    def on_train_begin(self) -> None:
        if self._model is not None:
            self._model.stop_training = False
        if self._list is not None:
            self._list.on_train_begin()

    def resumed(self, epoch: int, state: State) -> tuple[int, State]:
        """Give the epoch and the state to begin with: what a callback has restored, or those that are given."""
        if self._model is None:
            return epoch, state
        return take_initial_epoch(self._model) or epoch, State.of_model(self._model)

    def publish(self, state: State) -> None:
        """Show the state to whoever looks at the network during training."""
        if self._model is not None or self._settings.on_epoch_begin or self._settings.on_epoch_end:
            self._network.state = state

    def on_epoch_begin(self, epoch: int, state: State) -> State:
        if self._list is not None:
            self._list.on_epoch_begin(epoch)
        if self._settings.on_epoch_begin is not None:
            self._settings.on_epoch_begin(epoch)
        return self._read(state)

    def on_rows(self, n_rows: int, rows_a_second: float) -> None:
        """Show how many rows of an epoch are done, and how many a second."""
        if self._bar is not None:
            self._bar.on_rows(-(-n_rows // self._settings.batch_size), rows_a_second)

    def on_test_begin(self, state: State) -> State:
        if self._list is not None:
            self._list.on_test_begin()
        return self._read(state)

    def on_test_end(self, logs: dict[str, float]) -> None:
        if self._list is not None:
            self._list.on_test_end({name[4:]: value for name, value in logs.items() if name.startswith("val_")})

    def on_epoch_end(self, epoch: int, state: State, logs: dict[str, float]) -> tuple[State, dict[str, float]]:
        """Give the state and the logs as the callbacks left them."""
        if self._list is None:
            return state, logs
        self._list.on_epoch_end(epoch, logs)
        self._logs = self._collector.logs
        return self._read(state), self._logs

    def on_train_end(self, state: State) -> State:
        if self._list is not None:
            self._list.on_train_end(self._logs)
        return self._read(state)

    def _read(self, state: State) -> State:
        """Give the state as the callbacks left it in the model."""
        return state if self._model is None else State.of_model(self._model)


def _build_metrics(model: keras.Model, y_shape: tuple[int, ...], y_dtype: str) -> None:
    """Let callbacks find the metrics by their names before an epoch has ended, as they do when Keras trains."""
    metrics = compiled_metrics(model)
    if metrics is not None and not metrics.built:
        metrics.build(keras.KerasTensor((None, *y_shape), y_dtype), model.outputs[0])
