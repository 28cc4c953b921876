"""Networks of recurrent layers, for sequences."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from skneural._estimators.class_losses import MARGIN_LOSSES
from skneural._estimators.compiling import loss_name
from skneural._routed import Routed
from skneural._types import ClassWeight, Every, Folder, RandomState

from .base import CLASSIFIER_CONSTRAINTS
from .paragraphs import with_shared_paragraphs
from .recurrent_base import RECURRENT_CONSTRAINTS, RecurrentNet
from .supervised import FamilyClassifier, FamilyRegressor


@with_shared_paragraphs
class RecurrentNetClassifier(RecurrentNet, FamilyClassifier):
    """A network of recurrent layers that classifies sequences.

    It minimises the mean over the rows of w_i * loss(y_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where f ends in a softmax (one sigmoid for two classes, one per label for multilabel y), the loss is the
    cross-entropy in nats, and w_i is the product of sample and class weight, scaled to a mean of one.

    That is what recurrent layers and convolutions are trained by. The layer behind the fixed kernels minimises the sum
    of w_i (t_i - g(x_i))^2, where t_i is 1 for the class of the row and -1 for others, plus a penalty on its squared
    weights, and its answers are scaled to probabilities; penalty and scale are those that are best for rows left out,
    of at most 4,096 rows. The kernels' probabilities count twice as much as those of what is trained.

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
    reads the sequence step by step, and the mean of the convolutions is dropped out as well. A. Dempster, D. F.
    Schmidt, G. I. Webb (2021), MiniRocket, https://arxiv.org/abs/2012.08791; the same (2023), Hydra: competing
    convolutional kernels, https://arxiv.org/abs/2203.13652.

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

    _parameter_constraints: ClassVar = {**RECURRENT_CONSTRAINTS, **CLASSIFIER_CONSTRAINTS}
    _has_kernels_by_itself = True

    def __init__(
        self,
        units: Any = (32,),
        *,
        parts: Any = "auto",
        cell: str = "gru",
        bidirectional: bool = False,
        pooling: str = "last",
        filters: Any = (64, 64, 64),
        kernel_size: Any = (8, 5, 3),
        hidden_layer_sizes: Any = (),
        sequence_shape: Any = None,
        n_averaged_steps: int | str = "auto",
        standardize: bool = True,
        activation: Any = "relu",
        dropout: float = 0.2,
        batch_normalization: bool = True,
        l2: float = 1e-4,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 3e-3,
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
        checkpoint_every: Every = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.units = units
        self.parts = parts
        self.cell = cell
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.filters = filters
        self.kernel_size = kernel_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sequence_shape = sequence_shape
        self.n_averaged_steps = n_averaged_steps
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

    def _kernel_targets(self, y: Any) -> NDArray[np.float64]:
        head = self._head()
        columns = np.asarray(y, np.float64).reshape(len(y), -1)
        if columns.shape[1] < head.n_outputs:
            columns = (columns == np.arange(head.n_outputs)).astype(np.float64)
        # Some losses learn from -1 and 1 already.
        return np.where(columns > 0, 1.0, -1.0)

    def _kernel_kind(self) -> str:
        head = self._head()
        if loss_name(self.loss) in MARGIN_LOSSES:
            return "linear"
        if head.activation != "linear":
            return head.activation
        return "sigmoid" if head.n_outputs == 1 or self.target_encoder_.is_multilabel else "softmax"


@with_shared_paragraphs
class RecurrentNetRegressor(RecurrentNet, FamilyRegressor):
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

    _parameter_constraints: ClassVar = RECURRENT_CONSTRAINTS

    def __init__(
        self,
        units: Any = (32,),
        *,
        parts: Any = "auto",
        cell: str = "gru",
        bidirectional: bool = False,
        pooling: str = "last",
        filters: Any = (),
        kernel_size: Any = (8, 5, 3),
        hidden_layer_sizes: Any = (),
        sequence_shape: Any = None,
        n_averaged_steps: int | str = "auto",
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
        checkpoint_every: Every = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.units = units
        self.parts = parts
        self.cell = cell
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.filters = filters
        self.kernel_size = kernel_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.sequence_shape = sequence_shape
        self.n_averaged_steps = n_averaged_steps
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

    def _check_suits_kernels(self) -> None:
        if self._head().activation != "linear":
            raise ValueError(
                f"The 'parts' parameter of {type(self).__name__} names 'kernels', whose answers are found by least "
                f"squares, which does not suit loss={self.loss!r}. Use loss='mean_squared_error', or leave 'kernels' "
                "out."
            )
