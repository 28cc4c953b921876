"""Networks of dense layers."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

from ._architectures import DenseArchitecture, build_dense
from ._families import CLASSIFIER_CONSTRAINTS, SHARED_CONSTRAINTS, FamilyEstimator, Head, check_sizes
from ._scikit_compat import Interval
from ._supervised_families import FamilyClassifier, FamilyRegressor
from ._types import ClassWeight, RandomState

_DENSE_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
}


class _DenseNet(FamilyEstimator):
    """A stack of dense layers."""

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


class DenseNetClassifier(_DenseNet, FamilyClassifier):
    """A network of dense layers that classifies.

    It minimises the mean over the rows of w_i * loss(y_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where f ends in a softmax (one sigmoid for two classes, one per label for multilabel y), the loss is the
    cross-entropy in nats, and w_i is the product of sample and class weight, scaled to a mean of one.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; ``()`` makes a linear model.
    activation : str, callable or sequence of them, default="relu"
        Activation of the hidden layers, one for all or one per layer: "relu", "sigmoid", "tanh", "softmax", or any
        other of Keras's.
    dropout : float, default=0.0
        Fraction in [0, 1) of each hidden layer's outputs that is dropped in a training step.
    batch_normalization : bool, default=False
        Whether each hidden layer is normalised over the batch before its activation.
    l2 : float, default=1e-4
        Weight of the sum of squared kernel weights in the objective.
    kernel_initializer : str, keras.initializers.Initializer or callable, default="glorot_uniform"
        What the kernels are drawn from; biases start at zero.
    optimizer : str, class or keras.optimizers.Optimizer, default="adam"
        ``optimizer__beta_1`` and the like go to its constructor.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule, default=1e-3
        Step size of the optimizer.
    learning_rate_schedule : {"constant", "cosine"}, default="constant"
        "cosine" lets the learning rate fall over the ``epochs`` from its full size to zero, as half a cosine wave.
        ``partial_fit`` ignores it.
    loss : str, class, keras.losses.Loss or callable, default="auto"
        "auto" is the cross-entropy that fits y. ``loss__label_smoothing`` and the like go to its constructor.
    metrics : str, list or None, default="accuracy"
        What ``history_`` holds beside the loss, with the rows weighted as in the loss.
    epochs : int, default=100
        Passes over the rows; the most passes with ``early_stopping``.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" is the power of two nearest to n_samples / 256, within 32 and 256.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    class_weight : dict, "balanced" or list of dict, default=None
        Weights of the classes by label; "balanced" makes all classes weigh the same; for multilabel y one dict with the
        keys 0 and 1 per column. They multiply with ``sample_weight``, and as in Keras they do not weigh rows for
        validation. A label that the rows lack is ignored where each of their classes has a weight.
    early_stopping : bool, default=False
        Whether to stop when the validation loss has not improved by ``tol`` for ``n_iter_no_change`` epochs, and to
        keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Fraction of the rows split off for ``early_stopping``, stratified and drawn with ``random_state``; ignored with
        ``X_val``.
    n_iter_no_change : int or np.inf, default=10
        Epochs without improvement before ``early_stopping`` stops.
    tol : float, default=1e-4
        The least improvement of the validation loss that counts, in nats.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the network of the last fit.
    callbacks : list, dict, keras.callbacks.Callback or class, default=None
        Keras callbacks. Those of scikit-learn are set with ``set_callbacks``.
    random_state : int, numpy.random.RandomState or None, default=None
        Draws initial weights, validation rows, the order of rows and dropout masks. An int gives the same result each
        time.
    verbose : int, default=0
        1 shows Keras's progress bar, 2 one line per epoch.
    **routed : dict
        Parameters for a part of the training, by prefix: ``optimizer__``, ``loss__``, ``metrics__``, ``callbacks__``,
        ``compile__``, ``fit__``, ``predict__``.

    Attributes
    ----------
    model_ : keras.Sequential
        The trained network.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; for multilabel y the column numbers.
    n_classes_ : int
        The number of classes.
    n_outputs_ : int
        1, or for multilabel y the number of columns.
    n_features_in_ : int
        The number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names of type str.
    history_ : dict of str to list of float
        Loss and metrics of each epoch, those of validation behind ``val_``.
    loss_curve_ : list of float
        The training loss of each epoch.
    n_iter_ : int
        The number of epochs trained.
    best_epoch_ : int
        The epoch, counted from 1, whose weights were kept; only with ``early_stopping``.
    engine_ : {"native", "compiled", "keras"}
        What trained: the native engine, for dense layers with common losses, metrics and optimizers; the compiled
        engine; or Keras's own ``fit``, with the reason logged at level INFO.

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
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Any,
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
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)


class DenseNetRegressor(_DenseNet, FamilyRegressor):
    """A network of dense layers that predicts numbers.

    It minimises the mean over the rows of w_i * loss(z_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where z = (y - mean(y)) / std(y) for each output, and w_i is the sample weight, scaled to a mean of one. Predictions
    are in the units of y.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; ``()`` makes a linear model.
    activation : str, callable or sequence of them, default="relu"
        Activation of the hidden layers, one for all or one per layer: "relu", "sigmoid", "tanh", "softmax", or any
        other of Keras's.
    dropout : float, default=0.0
        Fraction in [0, 1) of each hidden layer's outputs that is dropped in a training step.
    batch_normalization : bool, default=False
        Whether each hidden layer is normalised over the batch before its activation.
    l2 : float, default=1e-4
        Weight of the sum of squared kernel weights in the objective.
    kernel_initializer : str, keras.initializers.Initializer or callable, default="glorot_uniform"
        What the kernels are drawn from; biases start at zero.
    optimizer : str, class or keras.optimizers.Optimizer, default="adam"
        ``optimizer__beta_1`` and the like go to its constructor.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule, default=1e-3
        Step size of the optimizer.
    learning_rate_schedule : {"constant", "cosine"}, default="constant"
        "cosine" lets the learning rate fall over the ``epochs`` from its full size to zero, as half a cosine wave.
        ``partial_fit`` ignores it.
    loss : str, class, keras.losses.Loss or callable, default="auto"
        "auto" is "mean_squared_error". ``loss__delta`` and the like go to its constructor.
    metrics : str, list or None, default=None
        What ``history_`` holds beside the loss, with the rows weighted as in the loss, in units of the standard
        deviation of y.
    epochs : int, default=100
        Passes over the rows; the most passes with ``early_stopping``.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" is the power of two nearest to n_samples / 256, within 32 and 256.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    early_stopping : bool, default=False
        Whether to stop when the validation loss has not improved by ``tol`` for ``n_iter_no_change`` epochs, and to
        keep the weights of the best epoch.
    validation_fraction : float, default=0.1
        Fraction of the rows split off for ``early_stopping``, drawn with ``random_state``; ignored with ``X_val``.
    n_iter_no_change : int or np.inf, default=10
        Epochs without improvement before ``early_stopping`` stops.
    tol : float, default=1e-4
        The least improvement of the validation loss that counts, in units of the loss of scaled targets.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the network of the last fit.
    callbacks : list, dict, keras.callbacks.Callback or class, default=None
        Keras callbacks. Those of scikit-learn are set with ``set_callbacks``.
    random_state : int, numpy.random.RandomState or None, default=None
        Draws initial weights, validation rows, the order of rows and dropout masks. An int gives the same result each
        time.
    verbose : int, default=0
        1 shows Keras's progress bar, 2 one line per epoch.
    **routed : dict
        Parameters for a part of the training, by prefix: ``optimizer__``, ``loss__``, ``metrics__``, ``callbacks__``,
        ``compile__``, ``fit__``, ``predict__``.

    Attributes
    ----------
    model_ : keras.Sequential
        The trained network.
    n_outputs_ : int
        The number of columns of y.
    n_features_in_ : int
        The number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names of type str.
    history_ : dict of str to list of float
        Loss and metrics of each epoch, those of validation behind ``val_``, for targets as scaled inside.
    loss_curve_ : list of float
        The training loss of each epoch.
    n_iter_ : int
        The number of epochs trained.
    best_epoch_ : int
        The epoch, counted from 1, whose weights were kept; only with ``early_stopping``.
    engine_ : {"native", "compiled", "keras"}
        What trained: the native engine, for dense layers with common losses, metrics and optimizers; the compiled
        engine; or Keras's own ``fit``, with the reason logged at level INFO.

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
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Any,
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
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)
