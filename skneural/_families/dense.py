"""Networks of dense layers."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Unpack

from skneural._architectures.dense import DenseArchitecture, build_dense
from skneural._compat.scikit_names import Interval
from skneural._routed import Routed
from skneural._types import ClassWeight, Every, Folder, RandomState

from .base import CLASSIFIER_CONSTRAINTS, SHARED_CONSTRAINTS, FamilyEstimator, Head, check_sizes
from .paragraphs import Paragraphs, with_shared_paragraphs
from .supervised import FamilyClassifier, FamilyRegressor

_DENSE_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
}


class _DenseNet(FamilyEstimator):
    """A stack of dense layers."""

    _attribute_paragraphs: ClassVar[Paragraphs] = {
        "engine_": (
            '{"native", "compiled", "keras"}',
            "What trained: the native engine, for dense layers with common losses, metrics and "
            "optimizers; the compiled engine; or Keras's own ``fit``, with the reason logged at level "
            "INFO.",
        ),
    }

    _build = staticmethod(build_dense)

    def _architecture(self, head: Head) -> DenseArchitecture:
        sizes = check_sizes(type(self).__name__, "hidden_layer_sizes", self.hidden_layer_sizes)
        return DenseArchitecture(
            n_features=int(self.n_features_in_),
            hidden_layer_sizes=sizes,
            activations=self._activations({"hidden layer": len(sizes)}),
            n_outputs=head.n_outputs,
            output_activation=head.activation,
            dropout=float(self.dropout),
            batch_normalization=bool(self.batch_normalization),
            l2=float(self.l2),
            kernel_initializer=self.kernel_initializer,
        )


@with_shared_paragraphs
class DenseNetClassifier(_DenseNet, FamilyClassifier):
    """A network of dense layers that classifies.

    It minimises the mean over the rows of w_i * loss(y_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where f ends in a softmax (one sigmoid for two classes, one per label for multilabel y), the loss is the
    cross-entropy in nats, and w_i is the product of sample and class weight, scaled to a mean of one.

    See Also
    --------
    DenseNetRegressor : The same for numbers instead of classes.
    KerasClassifier : For a Keras model of your own.
    sklearn.neural_network.MLPClassifier : The network of scikit-learn, in NumPy.

    Notes
    -----
    Scale X, for example with a StandardScaler in front. Unlike MLPClassifier, training without ``early_stopping`` runs
    all ``epochs``.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville (2016), Deep Learning, chapter 6, https://www.deeplearningbook.org.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skneural import DenseNetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = make_pipeline(StandardScaler(), DenseNetClassifier((64,), random_state=0)).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.9)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {**_DENSE_CONSTRAINTS, **CLASSIFIER_CONSTRAINTS}

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_normalization: bool = False,
        l2: float = 1e-4,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 1e-3,
        learning_rate_schedule: str = "constant",
        loss: Any = "auto",
        metrics: Any = "accuracy",
        epochs: int = 100,
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
        self.hidden_layer_sizes = hidden_layer_sizes
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
class DenseNetRegressor(_DenseNet, FamilyRegressor):
    """A network of dense layers that predicts numbers.

    It minimises the mean over the rows of w_i * loss(z_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where z = (y - mean(y)) / std(y) for each output, and w_i is the sample weight, scaled to a mean of one. Predictions
    are in the units of y.

    See Also
    --------
    DenseNetClassifier : The same for classes instead of numbers.
    KerasRegressor : For a Keras model of your own.
    sklearn.neural_network.MLPRegressor : The network of scikit-learn, in NumPy.

    Notes
    -----
    Scale X, for example with a StandardScaler in front. For the losses "poisson" and "mean_absolute_percentage_error" y
    is divided by its mean size instead of standardised, for "mean_squared_logarithmic_error" it is left as it is.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville (2016), Deep Learning, chapter 6, https://www.deeplearningbook.org.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import DenseNetRegressor
    >>> X = np.linspace(-2, 2, 200).reshape(-1, 1)
    >>> regressor = DenseNetRegressor((32, 32), learning_rate=1e-2, random_state=0)
    >>> bool(regressor.fit(X, 1e6 * np.sin(X[:, 0])).score(X, 1e6 * np.sin(X[:, 0])) > 0.98)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = _DENSE_CONSTRAINTS

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        activation: Any = "relu",
        dropout: float = 0.0,
        batch_normalization: bool = False,
        l2: float = 1e-4,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 1e-3,
        learning_rate_schedule: str = "constant",
        loss: Any = "auto",
        metrics: Any = None,
        epochs: int = 100,
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
        self.hidden_layer_sizes = hidden_layer_sizes
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
