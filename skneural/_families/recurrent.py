"""Networks of recurrent layers, for sequences."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Unpack

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import InputTags, Tags

from skneural import _engine
from skneural._architectures.recurrent import CELLS, RecurrentArchitecture, build_recurrent
from skneural._architectures.sequence_layers import POOLINGS
from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.compiling import averages_rows
from skneural._estimators.targets import mean_and_scale
from skneural._routed import Routed
from skneural._rows.containers import rows_in_objects
from skneural._rows.sequences import validate_sequences
from skneural._types import ClassWeight, Folder, RandomState

from .base import CLASSIFIER_CONSTRAINTS, SHARED_CONSTRAINTS, FamilyEstimator, Head, check_sizes, is_one_size
from .paragraphs import Paragraphs, with_shared_paragraphs
from .supervised import FamilyClassifier, FamilyRegressor

_SIZES: list[Any] = ["array-like", Interval(Integral, 1, None, closed="left")]
_RECURRENT_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "cell": [StrOptions(set(CELLS))],
    "units": _SIZES,
    "bidirectional": ["boolean"],
    "pooling": [StrOptions(set(POOLINGS))],
    "filters": _SIZES,
    "kernel_size": _SIZES,
    "hidden_layer_sizes": _SIZES,
    "sequence_shape": ["array-like", None],
    "standardize": ["boolean"],
    "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
}
# The number of steps that epochs="auto" aims at, and the fewest and most epochs that it gives.
_AUTO_STEPS = 1500
_AUTO_EPOCHS = (20, 500)


class _RecurrentNet(FamilyEstimator):
    """Recurrent layers, beside them perhaps convolutions, and dense layers behind both."""

    _parameter_paragraphs: ClassVar[Paragraphs] = {
        "units": (
            "int or sequence of int",
            "Units of each recurrent layer; ``()`` leaves them out.",
        ),
        "cell": (
            '{"gru", "lstm", "simple"}',
            "What a recurrent layer is made of: gated recurrent units, long short-term memory, or the "
            "plain tanh recurrence.",
        ),
        "bidirectional": (
            "bool",
            "Whether each recurrent layer reads the sequence from both ends, with ``units`` for each way.",
        ),
        "pooling": (
            '{"last", "max", "average"}',
            "What becomes of the last recurrent layer's outputs: the last one, or their maximum or mean over time.",
        ),
        "filters": (
            "int or sequence of int",
            "Filters of each convolution over time in a branch beside the recurrent one, whose mean over "
            "time is joined to it; ``()`` leaves the branch out.",
        ),
        "kernel_size": (
            "int or sequence of int",
            "Width of the convolutions in time steps, one for all or one per convolution; further ones are ignored.",
        ),
        "hidden_layer_sizes": (
            "int or sequence of int",
            "Units of each dense layer behind both branches.",
        ),
        "sequence_shape": (
            "(int, int) or None",
            "Timesteps and channels of the rows of a flat X, which hold the channels of the first step, "
            "then those of the second, and so on. None means one channel.",
        ),
        "standardize": (
            "bool",
            "Whether the network scales each channel to mean zero and standard deviation one over all "
            "steps of all training sequences, padding and sequences of weight zero left out.",
        ),
        "activation": (
            "str, callable or sequence of them",
            "Activation of the convolutions and then of the dense layers, one for all or one per layer: "
            '"relu", "tanh", or any other of Keras\'s.',
        ),
        "dropout": (
            "float",
            "Fraction in [0, 1) of the inputs of each dense layer, the output layer among them, that is "
            "dropped in a training step.",
        ),
        "batch_normalization": (
            "bool",
            "Whether each convolution and dense layer is normalised over the batch before its activation.",
        ),
        "l2": (
            "float",
            "Weight of the sum of squared kernel weights, recurrent ones among them, in the objective.",
        ),
        "epochs": (
            'int or "auto"',
            'Passes over the rows; the most passes with ``early_stopping``. "auto" makes 1500 steps of '
            "them, but at least 20 and at most 500 passes.",
        ),
        "batch_size": (
            'int or "auto"',
            'Rows per step. "auto" is the power of two nearest to n_samples / 16, within 16 and 128.',
        ),
    }

    _attribute_paragraphs: ClassVar[Paragraphs] = {
        "n_features_in_": (
            "int",
            "The number of columns seen in fit; only where X was flat rows.",
        ),
    }

    _allows_nd = True
    _build = staticmethod(build_recurrent)
    _first_fit_parameters: ClassVar[tuple[str, ...]] = ("standardize",)
    _reads_in_parts = False
    _count_words: ClassVar = {"batch_size": ("auto",), "epochs": ("auto",)}

    def _architecture(self, head: Head) -> RecurrentArchitecture:
        owner = type(self).__name__
        units, filters, hidden = (
            check_sizes(owner, name, getattr(self, name)) for name in ("units", "filters", "hidden_layer_sizes")
        )
        if not units and not filters:
            raise ValueError(
                f"{owner} needs recurrent layers or convolutions. Got units=() and filters=(): give one of them a size."
            )
        return RecurrentArchitecture(
            n_channels=int(self.X_shape_[2]),
            cell=self.cell,
            units=units,
            bidirectional=bool(self.bidirectional),
            pooling=self.pooling,
            filters=filters,
            kernel_sizes=self._kernel_sizes(len(filters)),
            hidden_layer_sizes=hidden,
            activations=self._activations({"convolution": len(filters), "hidden layer": len(hidden)}),
            n_outputs=head.n_outputs,
            output_activation=head.activation,
            dropout=float(self.dropout),
            batch_normalization=bool(self.batch_normalization) and bool(filters or hidden),
            l2=float(self.l2),
            kernel_initializer=self.kernel_initializer,
        )

    def _kernel_sizes(self, n_convolutions: int) -> tuple[int, ...]:
        """Return one width per convolution."""
        sizes = check_sizes(type(self).__name__, "kernel_size", self.kernel_size)
        if is_one_size(self.kernel_size):
            return sizes * n_convolutions
        if len(sizes) < n_convolutions:
            raise ValueError(
                f"The 'kernel_size' parameter of {type(self).__name__} must be one width, or one per convolution. "
                f"Got {len(sizes)} for {n_convolutions} convolutions."
            )
        return sizes[:n_convolutions]

    # --- sequences ----------------------------------------------------------------------------------------------

    def _validate_rows(self, X: Any, *, reset: bool) -> NDArray[Any]:
        sequences = rows_in_objects(X)
        if not reset:
            self._check_is_several(X)
        return validate_sequences(
            self,
            X if sequences is None else sequences,
            reset=reset,
            sequence_shape=self._checked_sequence_shape(),
            n_channels=None if reset else int(self.X_shape_[2]),
        )

    def _check_is_several(self, X: Any) -> None:
        """Raise for one sequence in the place of an array of them."""
        one = tuple(self.X_shape_[1:])
        if self.sequence_shape is None and one[0] > 1 and getattr(X, "shape", ()) == one:
            raise ValueError(
                f"X of {type(self).__name__} has the shape {one} of one sequence in fit. Give it as X[np.newaxis], of "
                f"shape (1, {one[0]}, {one[1]}); sequences of one time step have the shape (n, 1, {one[1]})."
            )

    def _checked_sequence_shape(self) -> tuple[int, int] | None:
        if self.sequence_shape is None:
            return None
        shape = check_sizes(type(self).__name__, "sequence_shape", self.sequence_shape)
        if len(shape) != 2:
            raise ValueError(
                f"The 'sequence_shape' parameter of {type(self).__name__} must be (timesteps, channels). "
                f"Got {self.sequence_shape!r}."
            )
        return shape[0], shape[1]

    def _build_network(self, seed: int) -> _engine.Network:
        if keras.config.dtype_policy().variable_dtype == "bfloat16":
            # The first weights from step to step are orthogonal, of a decomposition that TensorFlow 2.21 lacks there.
            raise ValueError(
                f"{type(self).__name__} cannot draw first weights of dtype bfloat16. Use "
                "keras.config.set_dtype_policy('mixed_bfloat16'), which keeps weights in float32."
            )
        return super()._build_network(seed)

    def _prepare(self, rows: Any) -> None:
        super()._prepare(rows)
        if self.standardize:
            self._network.state = _with_scaling(self._network.state, rows.X, rows.weights)

    def _tags(self, kind: str, **specific: Any) -> Tags:
        tags = super()._tags(kind, **specific)
        # NaN pads the ends of sequences; missing values within them, which allow_nan would promise, are refused.
        tags.input_tags = InputTags(sparse=False, three_d_array=True, allow_nan=False)
        return tags

    # --- one training run ---------------------------------------------------------------------------------------

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        if epochs == "auto":
            return int(np.clip(round(_AUTO_STEPS * batch_size / n_rows), *_AUTO_EPOCHS))
        return super()._n_epochs(epochs, n_rows, batch_size)

    def _auto_batch_size(self, n_rows: int) -> int:
        return int(np.clip(2 ** round(np.log2(max(n_rows, 1) / 16)), 16, 128))

    def _merges_rows(self, network: _engine.Network) -> bool:
        is_normalized = self._architecture(self._head()).batch_normalization
        return not self.dropout and not is_normalized and averages_rows(self._head().loss)


def _with_scaling(state: _engine.State, X: NDArray[Any], weights: NDArray[Any] | None) -> _engine.State:
    """Put mean and scale of the channels of X, shape (n, timesteps, channels), in the network's first two variables."""
    per_step = None if weights is None else np.repeat(weights, X.shape[1])
    moments = []
    for values in X.reshape(-1, X.shape[2]).T:
        is_there = ~np.isnan(values) if per_step is None else ~np.isnan(values) & (per_step > 0)
        weighted = None if per_step is None else per_step[is_there]
        moments.append(mean_and_scale(values[is_there].astype(np.float64), weighted, "standard"))
    scaling = zip(zip(*moments, strict=True), state.variables[:2], strict=True)
    return _engine.State([*(np.array(one, old.dtype) for one, old in scaling), *state.variables[2:]], state.optimizer)


@with_shared_paragraphs
class RecurrentNetClassifier(_RecurrentNet, FamilyClassifier):
    """A network of recurrent layers that classifies sequences.

    It minimises the mean over the rows of w_i * loss(y_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where f ends in a softmax (one sigmoid for two classes, one per label for multilabel y), the loss is the
    cross-entropy in nats, and w_i is the product of sample and class weight, scaled to a mean of one.

    See Also
    --------
    RecurrentNetRegressor : The same for numbers instead of classes.
    KerasClassifier : For a Keras model of your own.
    DenseNetClassifier : A network for tables.

    Notes
    -----
    X is an array of shape (n_samples, timesteps, channels) or (n_samples, timesteps), flat rows with
    ``sequence_shape``, or a list of arrays of shape (timesteps_i, channels) or (timesteps_i,). Sequences that end
    before others may be padded with NaN: what the network answers is the same as without the padding. Sequences to
    predict for may be longer or shorter than those of fit, but for flat rows.

    References
    ----------
    S. Hochreiter, J. Schmidhuber (1997), Long short-term memory, Neural Computation 9(8), section 4,
    https://doi.org/10.1162/neco.1997.9.8.1735. K. Cho et al. (2014), Learning phrase representations using RNN
    encoder-decoder, section 2.3, https://arxiv.org/abs/1406.1078. F. Karim et al. (2018), LSTM fully convolutional
    networks for time series classification, section III, https://arxiv.org/abs/1709.05206: here the recurrent branch
    reads the sequence step by step, and the mean of the convolutions is dropped out as well.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import RecurrentNetClassifier
    >>> random = np.random.default_rng(0)
    >>> rising = [np.sort(random.normal(size=length)) for length in random.integers(5, 15, 20)]
    >>> falling = [-sequence for sequence in rising]
    >>> labels = ["rising"] * 20 + ["falling"] * 20
    >>> classifier = RecurrentNetClassifier(8, filters=(), epochs=60, learning_rate=0.01, random_state=0)
    >>> bool(classifier.fit(rising + falling, labels).score(rising + falling, labels) > 0.9)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {**_RECURRENT_CONSTRAINTS, **CLASSIFIER_CONSTRAINTS}

    def __init__(
        self,
        units: Any = (32,),
        *,
        cell: str = "gru",
        bidirectional: bool = False,
        pooling: str = "last",
        filters: Any = (32, 64, 32),
        kernel_size: Any = (8, 5, 3),
        hidden_layer_sizes: Any = (),
        sequence_shape: Any = None,
        standardize: bool = True,
        activation: Any = "relu",
        dropout: float = 0.5,
        batch_normalization: bool = True,
        l2: float = 1e-4,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 1e-3,
        learning_rate_schedule: str = "cosine",
        loss: Any = "auto",
        metrics: Any = "accuracy",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        shuffle: bool = True,
        class_weight: ClassWeight = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        callbacks: Any = None,
        checkpoint: Folder = None,
        checkpoint_every: int = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.filters = filters
        self.kernel_size = kernel_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sequence_shape = sequence_shape
        self.standardize = standardize
        self.activation = activation
        self.dropout = dropout
        self.batch_normalization = batch_normalization
        self.l2 = l2
        self.kernel_initializer = kernel_initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.loss = loss
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)


@with_shared_paragraphs
class RecurrentNetRegressor(_RecurrentNet, FamilyRegressor):
    """A network of recurrent layers that forecasts: from a sequence to one number or several.

    It minimises the mean over the rows of w_i * loss(z_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where z = (y - mean(y)) / std(y) for each output, and w_i is the sample weight, scaled to a mean of one. Predictions
    are in the units of y.

    See Also
    --------
    RecurrentNetClassifier : The same for classes instead of numbers.
    KerasRegressor : For a Keras model of your own.
    DenseNetRegressor : A network for tables.

    Notes
    -----
    X is an array of shape (n_samples, timesteps, channels) or (n_samples, timesteps), flat rows with
    ``sequence_shape``, or a list of arrays of shape (timesteps_i, channels) or (timesteps_i,). Sequences that end
    before others may be padded with NaN: what the network answers is the same as without the padding. Sequences to
    predict for may be longer or shorter than those of fit, but for flat rows.

    For the losses "poisson" and "mean_absolute_percentage_error" y
    is divided by its mean size instead of standardised, for "mean_squared_logarithmic_error" it is left as it is.

    References
    ----------
    S. Hochreiter, J. Schmidhuber (1997), Long short-term memory, Neural Computation 9(8), section 4,
    https://doi.org/10.1162/neco.1997.9.8.1735. K. Cho et al. (2014), Learning phrase representations using RNN
    encoder-decoder, section 2.3, https://arxiv.org/abs/1406.1078. F. Karim et al. (2018), LSTM fully convolutional
    networks for time series classification, section III, https://arxiv.org/abs/1709.05206: here the recurrent branch
    reads the sequence step by step, and the mean of the convolutions is dropped out as well.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import RecurrentNetRegressor
    >>> wave = np.sin(np.arange(300) / 3)
    >>> windows = np.lib.stride_tricks.sliding_window_view(wave, 13)
    >>> X, y = windows[:, :12], windows[:, 12]
    >>> regressor = RecurrentNetRegressor(16, epochs=30, learning_rate=0.01, random_state=0).fit(X[:200], y[:200])
    >>> bool(regressor.score(X[200:], y[200:]) > 0.98)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = _RECURRENT_CONSTRAINTS

    def __init__(
        self,
        units: Any = (32,),
        *,
        cell: str = "gru",
        bidirectional: bool = False,
        pooling: str = "last",
        filters: Any = (),
        kernel_size: Any = (8, 5, 3),
        hidden_layer_sizes: Any = (),
        sequence_shape: Any = None,
        standardize: bool = True,
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_normalization: bool = True,
        l2: float = 1e-4,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 5e-3,
        learning_rate_schedule: str = "cosine",
        loss: Any = "auto",
        metrics: Any = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        callbacks: Any = None,
        checkpoint: Folder = None,
        checkpoint_every: int = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.units = units
        self.cell = cell
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.filters = filters
        self.kernel_size = kernel_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sequence_shape = sequence_shape
        self.standardize = standardize
        self.activation = activation
        self.dropout = dropout
        self.batch_normalization = batch_normalization
        self.l2 = l2
        self.kernel_initializer = kernel_initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.loss = loss
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)
