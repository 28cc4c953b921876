"""Convolutional networks for images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Unpack

import numpy as np

from skneural import _engine
from skneural._architectures.augmentation import augmentation_of
from skneural._architectures.convolutional import (
    STANDARDIZATION,
    ConvArchitecture,
    build_conv,
    image_shape_of,
    pooled,
)
from skneural._compat.scikit_names import Interval, StrOptions
from skneural._routed import Routed
from skneural._rows.image_files import paths_in, stored_images
from skneural._rows.validation import moments_of_all_values
from skneural._types import ClassWeight, Every, Folder, RandomState

from .base import (
    CLASSIFIER_CONSTRAINTS,
    SHARED_CONSTRAINTS,
    FamilyEstimator,
    Head,
    check_image_shape,
    check_sizes,
    is_one_size,
)
from .paragraphs import Paragraphs, with_shared_paragraphs
from .supervised import FamilyClassifier, FamilyRegressor

_SIZES = ["array-like", Interval(Integral, 1, None, closed="left")]
_CONV_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "image_shape": [tuple, list, None],
    "filters": [StrOptions({"auto"}), *_SIZES],
    "kernel_size": _SIZES,
    "convolutions_per_block": [Interval(Integral, 1, None, closed="left")],
    "pooling": [StrOptions({"max", "average"}), None],
    "pool_size": [Interval(Integral, 1, None, closed="left")],
    "hidden_layer_sizes": _SIZES,
    "augment": ["boolean", dict],
    "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
}


class _ConvNet(FamilyEstimator):
    """Blocks of convolutions and pooling, then dense layers."""

    _parameter_paragraphs: ClassVar[Paragraphs] = {
        "image_shape": (
            "tuple of int",
            "(height, width) or (height, width, channels) of the images in flat rows. None takes the "
            "shape of X of shape (n, height, width) or (n, height, width, channels); flat rows are then "
            "squares of one channel where the number of columns is a square, else images of one row, and "
            "kernels and pooling are cut to what fits in them.",
        ),
        "filters": (
            'int, sequence of int or "auto"',
            'Filters of the convolutions in each block. "auto" is (32, 64) for images less than 16 pixels'
            " high or wide, else (16, 32, 64).",
        ),
        "kernel_size": (
            "int or sequence of int",
            "Height and width of the convolutions in pixels, one for all blocks or one per block. The "
            "border is padded with zeros.",
        ),
        "convolutions_per_block": (
            "int",
            "Convolutions in each block, before its pooling.",
        ),
        "pooling": (
            '{"max", "average"} or None',
            "What ends each block: the largest or the mean value of each square of ``pool_size`` pixels, or nothing.",
        ),
        "pool_size": (
            "int",
            "Height and width of that square in pixels. A rest at the border is left out.",
        ),
        "hidden_layer_sizes": (
            "int or sequence of int",
            "Units of each dense layer between the blocks and the output; ``()`` for none.",
        ),
        "activation": (
            "str, callable or sequence of them",
            "Activation of the blocks and hidden layers, one for all, or one per block and then one per "
            'hidden layer: "relu", "sigmoid", "tanh", or any other of Keras\'s.',
        ),
        "dropout": (
            "float",
            "Fraction in [0, 1) of the inputs of each dense layer, the output among them, that is dropped"
            " in a training step.",
        ),
        "batch_normalization": (
            "bool",
            "Whether each convolution and hidden layer is normalised over the batch before its activation.",
        ),
        "epochs": (
            'int or "auto"',
            'Passes over the rows; the most passes with ``early_stopping``. "auto" is 3000 / '
            "sqrt(n_samples), within 10 and 100: 95 for 1000 rows, 12 for 60,000.",
        ),
        "random_state": (
            "int, numpy.random.RandomState or None",
            "Draws initial weights, validation rows, the order of rows, augmentation and dropout masks. "
            "An int gives the same result each time.",
        ),
        "augment": (
            "bool or dict",
            "Whether each image is turned, shifted and zoomed at random in each training step. True means"
            ' the dict {"rotation": 10.0, "shift": 0.1, "zoom": 0.1, "horizontal_flip": False}, of which '
            "a dict changes some: the largest angle to either side in degrees, the largest shift in each "
            "direction as a fraction of height or width, the largest change of size as a fraction (0.1 "
            "means factors from 0.9 to 1.1), and whether left and right are exchanged in half of the "
            "images. What comes in from outside of the image repeats its edge.",
        ),
    }

    _allows_nd = True
    _count_words: ClassVar = {**FamilyEstimator._count_words, "epochs": ("auto",)}
    _build = staticmethod(build_conv)

    def _opened(self, X: Any) -> Any:
        paths = paths_in(X)
        if paths is None:
            return super()._opened(X)
        owner = type(self).__name__
        return stored_images(owner, paths, check_image_shape(owner, self.image_shape))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not self._chooses_filters:
            self._kernels(len(self._given_filters()))
        check_sizes(type(self).__name__, "hidden_layer_sizes", self.hidden_layer_sizes)
        self._augmentation()
        check_image_shape(type(self).__name__, self.image_shape)

    @property
    def _chooses_filters(self) -> bool:
        return isinstance(self.filters, str)

    def _given_filters(self) -> tuple[int, ...]:
        owner = type(self).__name__
        filters = check_sizes(owner, "filters", self.filters)
        if not filters:
            raise ValueError(
                f"The 'filters' parameter of {owner} must have an entry for at least one block. Got {self.filters!r}. "
                "For a network without convolutions use a DenseNet class."
            )
        return filters

    def _kernels(self, n_blocks: int) -> tuple[int, ...]:
        """Return the kernel size of each block."""
        owner = type(self).__name__
        kernels = check_sizes(owner, "kernel_size", self.kernel_size)
        if is_one_size(self.kernel_size):
            kernels *= n_blocks
        if len(kernels) != n_blocks:
            raise ValueError(
                f"The 'kernel_size' parameter of {owner} must be one size, or one per block. "
                f"Got {len(kernels)} for {n_blocks} blocks of filters."
            )
        return kernels

    def _architecture(self, head: Head) -> ConvArchitecture:
        owner = type(self).__name__
        row_shape = tuple(int(size) for size in self.X_shape_[1:])
        image_shape = image_shape_of(owner, check_image_shape(owner, self.image_shape), row_shape)
        filters = auto_filters(image_shape) if self._chooses_filters else self._given_filters()
        kernel_sizes, pool_sizes = self._fitted_sizes(image_shape, self._kernels(len(filters)))
        hidden = check_sizes(owner, "hidden_layer_sizes", self.hidden_layer_sizes)
        return ConvArchitecture(
            row_shape=row_shape,
            image_shape=image_shape,
            filters=filters,
            kernel_sizes=kernel_sizes,
            convolutions_per_block=int(self.convolutions_per_block),
            pooling=self.pooling,
            pool_sizes=pool_sizes,
            hidden_layer_sizes=hidden,
            activations=self._activations({"block": len(filters), "hidden layer": len(hidden)}),
            n_outputs=head.n_outputs,
            output_activation=head.activation,
            augmentation=self._augmentation(),
            dropout=float(self.dropout),
            batch_normalization=bool(self.batch_normalization),
            l2=float(self.l2),
            kernel_initializer=self.kernel_initializer,
        )

    def _fitted_sizes(
        self, image_shape: tuple[int, int, int], kernels: tuple[int, ...]
    ) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Return height and width of each block's kernels and pooling, or raise where an image is too small.

        For images whose shape nobody gave they are cut to what fits.
        """
        owner = type(self).__name__
        is_guessed = self.image_shape is None and len(self.X_shape_) == 2
        size, pool = image_shape[:2], (int(self.pool_size),) * 2
        kernel_sizes, pool_sizes = [], []
        for block, kernel in enumerate(kernels, start=1):
            if kernel > min(image_shape[:2]) and not is_guessed:
                raise ValueError(
                    f"The 'kernel_size' parameter of {owner} must not be larger than the image of "
                    f"{image_shape[0]} x {image_shape[1]} pixels. Got {kernel} in block {block}."
                )
            kernel_sizes.append((min(kernel, size[0]), min(kernel, size[1])) if is_guessed else (kernel, kernel))
            pool_sizes.append((min(pool[0], size[0]), min(pool[1], size[1])) if is_guessed else pool)
            left = size if self.pooling is None else pooled(size, pool_sizes[-1])
            if min(left) < 1:
                raise ValueError(
                    f"The pooling of {owner} leaves nothing of the image: {size[0]} x {size[1]} pixels come to block "
                    f"{block}, too few for pool_size={self.pool_size}. Use fewer blocks, a smaller pool_size, or "
                    "pooling=None."
                )
            size = left
        return tuple(kernel_sizes), tuple(pool_sizes)

    def _augmentation(self) -> tuple[tuple[str, Any], ...]:
        """Return the arguments of the layer that changes images in training; none where it would change nothing."""
        ranges = augmentation_of(type(self).__name__, self.augment)
        return tuple(ranges.items()) if any(ranges.values()) else ()

    def _prepare(self, rows: Any) -> None:
        super()._prepare(rows)
        moments = moments_of_all_values(rows.X, rows.weights)
        self._network.assign_weights(STANDARDIZATION, [np.array(moment) for moment in moments])

    def _merges_rows(self, network: _engine.Network) -> bool:
        return not self._augmentation() and super()._merges_rows(network)

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        return auto_epochs(n_rows) if epochs == "auto" else super()._n_epochs(epochs, n_rows, batch_size)


def auto_filters(image_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the filters of each block: small images are learnt better with two poolings than with three."""
    return (32, 64) if min(image_shape[:2]) < 16 else (16, 32, 64)


def auto_epochs(n_rows: int) -> int:
    """Return how many epochs train well: fewer for more rows, though more steps in all."""
    return int(np.clip(round(3000 / math.sqrt(max(n_rows, 1))), 10, 100))


@with_shared_paragraphs
class ConvNetClassifier(_ConvNet, FamilyClassifier):
    """A convolutional network that classifies images.

    It minimises the mean over the rows of w_i * loss(y_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where f ends in a softmax (one sigmoid for two classes, one per label for multilabel y), the loss is the
    cross-entropy in nats, and w_i is the product of sample and class weight, scaled to a mean of one.

    See Also
    --------
    ConvNetRegressor : The same for numbers instead of classes.
    DenseNetClassifier : For tables.
    KerasClassifier : For a Keras model of your own.

    Notes
    -----
    X need not be scaled: the first layer of the network subtracts the mean of all pixels seen in fit and divides by
    their standard deviation, so that pixels from 0 to 255 and from 0 to 1 give the same. A DataFrame of pixels works as
    an array does. X may also hold the paths of image files, in a list, a Series or a frame of one column: with
    ``image_shape`` they are read, part after part where they are many, and brought to that height and width. Turn
    ``augment`` off where the place or the angle of what an image shows tells its class.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville (2016), Deep Learning, chapter 9, https://www.deeplearningbook.org.

    P. Simard, D. Steinkraus, J. Platt (2003), Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis, section 2, https://doi.org/10.1109/ICDAR.2003.1227801.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skneural import ConvNetClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = ConvNetClassifier(image_shape=(8, 8), filters=16, epochs=20, augment=False, random_state=0)
    >>> bool(classifier.fit(X[:600], y[:600]).score(X[600:], y[600:]) > 0.9)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {**_CONV_CONSTRAINTS, **CLASSIFIER_CONSTRAINTS}

    def __init__(
        self,
        filters: Any = "auto",
        *,
        image_shape: Any = None,
        kernel_size: Any = 3,
        convolutions_per_block: int = 2,
        pooling: str | None = "max",
        pool_size: int = 2,
        hidden_layer_sizes: Any = (128,),
        augment: bool | Mapping[str, Any] = True,
        activation: Any = "relu",
        dropout: float = 0.4,
        batch_normalization: bool = True,
        l2: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 2e-3,
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
        self.image_shape = image_shape
        self.filters = filters
        self.kernel_size = kernel_size
        self.convolutions_per_block = convolutions_per_block
        self.pooling = pooling
        self.pool_size = pool_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.augment = augment
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
class ConvNetRegressor(_ConvNet, FamilyRegressor):
    """A convolutional network that predicts numbers from images.

    It minimises the mean over the rows of w_i * loss(z_i, f(x_i)) plus l2 times the sum of squared kernel weights,
    where z = (y - mean(y)) / std(y) for each output, and w_i is the sample weight, scaled to a mean of one. Predictions
    are in the units of y.

    See Also
    --------
    ConvNetClassifier : The same for classes instead of numbers.
    DenseNetRegressor : For tables.
    KerasRegressor : For a Keras model of your own.

    Notes
    -----
    X need not be scaled: the first layer of the network subtracts the mean of all pixels seen in fit and divides by
    their standard deviation. X may also hold the paths of image files, which are read and brought to ``image_shape``.
    For the losses "poisson" and "mean_absolute_percentage_error" y is divided by its mean size instead of standardised,
    for "mean_squared_logarithmic_error" it is left as it is.

    References
    ----------
    I. Goodfellow, Y. Bengio, A. Courville (2016), Deep Learning, chapter 9, https://www.deeplearningbook.org.

    P. Simard, D. Steinkraus, J. Platt (2003), Best Practices for Convolutional Neural Networks Applied to Visual
    Document Analysis, section 2, https://doi.org/10.1109/ICDAR.2003.1227801.

    Examples
    --------
    >>> import numpy as np
    >>> from skneural import ConvNetRegressor
    >>> X = np.random.default_rng(0).random((300, 6, 6))
    >>> y = X[:, :, :3].sum(axis=(1, 2))
    >>> regressor = ConvNetRegressor(filters=8, epochs=30, dropout=0.0, random_state=0)
    >>> bool(regressor.fit(X, y).score(X, y) > 0.8)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = _CONV_CONSTRAINTS

    def __init__(
        self,
        filters: Any = "auto",
        *,
        image_shape: Any = None,
        kernel_size: Any = 3,
        convolutions_per_block: int = 2,
        pooling: str | None = "max",
        pool_size: int = 2,
        hidden_layer_sizes: Any = (128,),
        augment: bool | Mapping[str, Any] = False,
        activation: Any = "relu",
        dropout: float = 0.25,
        batch_normalization: bool = False,
        l2: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 2e-3,
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
        self.image_shape = image_shape
        self.filters = filters
        self.kernel_size = kernel_size
        self.convolutions_per_block = convolutions_per_block
        self.pooling = pooling
        self.pool_size = pool_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.augment = augment
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
