"""What goes into a training run and what comes out of it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .conduct import Conduct
from .stored_rows import StoredRows

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from .model.network import Network
    from .xla.own_steps import StepBatch, StepCall

# An array by name, the shape of one row of it (of a table: of the whole) and its dtype.
ArrayForm: TypeAlias = tuple[str, tuple[int, ...], str]
RowArray: TypeAlias = "NDArray[Any] | sparse.csr_array | StoredRows"


class ManyInputs:
    """Arrays of as many rows as each other, in the order of the model's inputs or by their names.

    Rows are taken from all of them at once, as from one array of shape (n,).
    """

    ndim = 1

    def __init__(self, arrays: Sequence[NDArray[Any]] | Mapping[str, NDArray[Any]]) -> None:
        # In a list TensorFlow's data sets would see one array.
        self.for_keras: Any = dict(arrays) if isinstance(arrays, Mapping) else tuple(arrays)

    @property
    def names(self) -> tuple[str, ...] | None:
        return tuple(self.for_keras) if isinstance(self.for_keras, dict) else None

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        return tuple(self.for_keras.values() if isinstance(self.for_keras, dict) else self.for_keras)

    @property
    def shape(self) -> tuple[int]:
        return (len(self.arrays[0]),)

    @property
    def shapes(self) -> Any:
        """The shape of each array, as a list or a dict."""
        if isinstance(self.for_keras, dict):
            return {name: array.shape for name, array in self.for_keras.items()}
        return [array.shape for array in self.for_keras]

    def __getitem__(self, rows: slice | NDArray[Any]) -> ManyInputs:
        if isinstance(self.for_keras, dict):
            return ManyInputs({name: np.ascontiguousarray(array[rows]) for name, array in self.for_keras.items()})
        return ManyInputs([np.ascontiguousarray(array[rows]) for array in self.for_keras])


@dataclass(frozen=True)
class Data:
    """Rows to learn from or to be judged on.

    ``inputs`` has an array of shape (n, ...) and any real dtype for each of the model's inputs, in their order or in
    that of ``names``; they are converted to the model's dtypes part by part. A step of a family's own may take others.
    ``targets`` has shape (n,) or (n, n_outputs) and is already what the loss expects. Where it is the very array that
    is an input too, no second copy is made of it. A step may do without.
    ``sample_weight`` has shape (n,), or is None when every row weighs one.
    ``tables`` are arrays of any shapes that a step sees as a whole, beside the rows of its batch.
    """

    inputs: tuple[RowArray, ...]
    targets: RowArray | None = None
    sample_weight: NDArray[np.float32] | None = None
    tables: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.inputs, tuple):
            raise TypeError("Data takes a tuple of inputs; of one input, Data.of takes the array.")

    @classmethod
    def of(
        cls, X: RowArray | ManyInputs, targets: RowArray | None = None, sample_weight: NDArray[np.float32] | None = None
    ) -> Data:
        """Take one array of rows, or those of several inputs."""
        if isinstance(X, ManyInputs):
            return cls(X.arrays, targets, sample_weight, names=X.names)
        return cls((X,), targets, sample_weight)

    @property
    def n_rows(self) -> int:
        return int(self.inputs[0].shape[0])

    @property
    def X(self) -> Any:
        """The only input."""
        (X,) = self.inputs
        return X

    @property
    def target_input(self) -> int | None:
        """Which of the inputs is the target too."""
        return next((index for index, one in enumerate(self.inputs) if one is self.targets), None)

    def take(self, rows: slice) -> Data:
        """Give some of the rows."""
        inputs = tuple(one.at(rows) if isinstance(one, StoredRows) else one[rows] for one in self.inputs)
        targets = self.targets if self.targets is None else self.targets[rows]
        if self.target_input is not None:
            targets = inputs[self.target_input]
        weights = self.sample_weight if self.sample_weight is None else self.sample_weight[rows]
        return replace(self, inputs=inputs, targets=targets, sample_weight=weights)


@dataclass(frozen=True)
class Step:
    """What a network of a family of its own kind minimises, in the place of a loss of Keras's.

    ``losses(call, batch)`` gives one loss for each row of a batch, a tensor of shape (batch.size,), by operations of
    TensorFlow. ``call`` is the model (``StepCall``), ``batch`` the rows and all else that it may use (``StepBatch``).
    The engine multiplies the losses by the rows' weights, leaves out rows that only fill a batch, takes the mean and
    adds the model's own penalties.
    ``key`` stands for ``losses``: programs are kept under it, so steps of one key must be the same function.
    ``numbers`` may differ between steps of one key; they are inputs of a program, not part of its code.
    """

    key: Hashable
    losses: Callable[[StepCall, StepBatch], tf.Tensor] = field(compare=False)
    numbers: Mapping[str, float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Blueprint:
    """How to build and compile a Keras model, and what may differ between models that share a program.

    A model that a ``Step`` trains is compiled with an optimizer alone. Models built from blueprints of equal ``key``
    differ only in their initial weights and in ``numbers``: the learning rate, weight decay, L2 and dropout rate, which
    are inputs of a compiled program, not part of it.
    """

    key: Hashable
    build: Callable[[], keras.Model]
    compile: Callable[[keras.Model], None]
    numbers: Mapping[Literal["learning_rate", "weight_decay", "l2", "dropout"], float]


@dataclass
class State:
    """The values of a model, in the order of ``model.variables`` and of ``model.optimizer.variables``."""

    variables: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]

    @classmethod
    def of_model(cls, model: keras.Model) -> State:
        """Copy the values of a built model."""
        optimizer = model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(model.trainable_variables)
        return cls(
            [variable.value.numpy() for variable in model.variables],
            [variable.value.numpy() for variable in optimizer.variables] if optimizer is not None else [],
        )

    def copy(self) -> State:
        """Another state of the same values. The arrays are never written to, so they are shared."""
        return State(list(self.variables), list(self.optimizer))

    def write_to(self, model: keras.Model) -> None:
        """Give a built model these values."""
        for variable, value in zip(model.variables, self.variables, strict=True):
            variable.assign(value)
        if model.optimizer is not None:
            model.optimizer.build(model.trainable_variables)
        if self.optimizer:
            for variable, value in zip(model.optimizer.variables, self.optimizer, strict=True):
                variable.assign(value)


@dataclass(frozen=True)
class EarlyStopping:
    """Stop after ``patience`` epochs in which ``monitor`` has not improved by more than ``min_delta``."""

    monitor: str
    patience: int
    min_delta: float
    mode: Literal["min", "max"] = "min"
    restore_best_weights: bool = True


@dataclass(frozen=True)
class Progress:
    """A training run between two epochs, with all that it takes to go on from there.

    ``epoch`` is the number of the next one. ``judged`` has what was decided so far, in plain values, ``kept`` the
    weights worth keeping and ``recent`` those of the last epochs, as far as they are averaged. ``callbacks`` has what
    Keras's own callbacks know by now, in plain values.
    """

    epoch: int
    is_done: bool
    state: State
    judged: Mapping[str, Any]
    kept: list[NDArray[Any]] | None
    recent: tuple[list[NDArray[Any]], ...]
    callbacks: tuple[Mapping[str, Any], ...] = ()


class Keeper(Protocol):
    """Keeps the progress of a run outside of the process."""

    def load(self) -> Progress | None:
        """Give what was saved last, None where nothing was."""

    def save(self, progress: Progress) -> None:
        """Keep the progress in the place of what was saved before."""


@dataclass(frozen=True)
class Settings:
    """One training run.

    ``epochs`` is the number of epochs to run in this call; they are numbered from ``initial_epoch``.
    ``seed`` draws the order of the rows, the dropout masks and the random numbers of a step.
    ``step`` is what trains a network that was compiled without a loss.
    ``renew(epoch, network)`` is called at the beginning of each epoch, after ``on_epoch_begin``, and may give the
    training data anew: arrays other than before, of the same shapes and dtypes, take the place of those of the run.
    ``on_epoch_begin(epoch)`` and ``on_epoch_end(epoch, logs)`` see the network with its weights of that moment; a
    true answer of the latter stops training.
    ``learning_rate_factors`` has one factor per epoch, which the optimizer's learning rate is multiplied with in that
    epoch only.
    ``n_averaged`` is the number of the last epochs whose weights are averaged; the average is what is kept.
    ``keeper`` keeps the progress after every ``keep_every`` epochs, or at the end of the epoch in which so much time
    has passed; the run goes on from what it has kept before.
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
    step: Step | None = None
    renew: Callable[[int, Network], Data | None] | None = None
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    on_epoch_begin: Callable[[int], None] | None = None
    on_epoch_end: Callable[[int, Mapping[str, float]], bool] | None = None
    verbose: int = 0
    n_averaged: int = 1
    keeper: Keeper | None = None
    keep_every: int | datetime.timedelta = 1
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
    last did; "solved" of a network without steps, whose weights a family has solved for.
    """

    history: dict[str, list[float]]
    n_epochs: int
    best_epoch: int | None
    stopped_by: Literal["epochs", "early_stopping", "callback", "interrupt"]
    way: Literal["native", "compiled", "keras", "solved"]
    why_keras: str | None = None
