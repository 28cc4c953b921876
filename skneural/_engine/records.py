"""What goes into a training run and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .conduct import Conduct

if TYPE_CHECKING:
    import keras
    import numpy as np
    from numpy.typing import NDArray
    from scipy import sparse


@dataclass(frozen=True)
class Data:
    """Rows to learn from or to be judged on.

    ``X`` has shape (n, ...) and any real dtype; it is converted to the model's dtype part by part. For a model that
    Keras's own ``fit`` must train, it may be ``ManyInputs``.
    ``y`` has shape (n,) or (n, n_outputs) and is already what the loss expects.
    ``sample_weight`` has shape (n,), or is None when every row weighs one.
    """

    X: NDArray[Any] | sparse.csr_array
    y: NDArray[Any]
    sample_weight: NDArray[np.float32] | None = None

    @property
    def n_rows(self) -> int:
        return int(self.X.shape[0])


@dataclass(frozen=True)
class Blueprint:
    """How to build and compile a Keras model, and what may differ between models that share a program.

    Models built from blueprints of equal ``key`` differ only in their initial weights and in ``numbers``:
    the learning rate, weight decay, L2 and dropout rate, which are inputs of a compiled program, not part of it.
    """

    key: Hashable
    build: Callable[[], keras.Model]
    compile: Callable[[keras.Model], None]
    numbers: Mapping[Literal["learning_rate", "weight_decay", "l2", "dropout"], float]


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after ``patience`` epochs in which ``monitor`` has not improved by more than ``min_delta``."""

    monitor: str
    patience: int
    min_delta: float
    mode: Literal["min", "max"] = "min"
    restore_best_weights: bool = True


@dataclass(frozen=True)
class Settings:
    """One training run.

    ``epochs`` is the number of epochs to run in this call; they are numbered from ``initial_epoch``.
    ``seed`` draws the order of the rows and the dropout masks.
    ``on_epoch_begin(epoch)`` and ``on_epoch_end(epoch, logs)`` see the network with its weights of that moment; a
    true answer of the latter stops training.
    ``learning_rate_factors`` has one factor per epoch, which the optimizer's learning rate is multiplied with in that
    epoch only.
    ``keeps_interrupted`` tells, after Ctrl-C, whether the run keeps what it has; else the interrupt goes on.
    ``conduct`` is how the run gets on with others.
    ``keras_fit_arguments`` are those of ``keras.Model.fit`` that have no field here; any of them sends the run through
    Keras's own ``fit``.
    """

    epochs: int
    batch_size: int
    seed: int
    shuffle: bool = True
    initial_epoch: int = 0
    validation_batch_size: int | None = None
    early_stopping: EarlyStopping | None = None
    learning_rate_factors: tuple[float, ...] | None = None
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    on_epoch_begin: Callable[[int], None] | None = None
    on_epoch_end: Callable[[int, Mapping[str, float]], bool] | None = None
    verbose: int = 0
    keeps_interrupted: Callable[[], bool] = lambda: True
    conduct: Conduct = field(default_factory=Conduct)
    keras_fit_arguments: Mapping[str, Any] = field(default_factory=dict)

    def learning_rate_in(self, epoch: int, rate: Any) -> Any:
        """Give the learning rate of an epoch, as a number of the dtype of ``rate``."""
        assert self.learning_rate_factors is not None
        return rate * rate.dtype.type(self.learning_rate_factors[epoch - self.initial_epoch])


@dataclass(frozen=True)
class Result:
    """What a training run leaves beside the network's new weights.

    ``best_epoch`` is the number of the epoch whose weights were kept, or None without early stopping.
    ``way`` tells whether the native engine, a compiled program or Keras's ``fit`` trained, and ``why_keras`` why the
    last did.
    """

    history: dict[str, list[float]]
    n_epochs: int
    best_epoch: int | None
    stopped_by: Literal["epochs", "early_stopping", "callback", "interrupt"]
    way: Literal["native", "compiled", "keras"]
    why_keras: str | None = None
