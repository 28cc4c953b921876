"""An autoencoder: rows to a code of few numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import explained_variance_score
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from skneural._architectures.autoencoder import (
    CODE,
)
from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.one_state import of_one_state
from skneural._routed import Routed
from skneural._rows.weights import finite_sum
from skneural._types import Every, Folder, RandomState, Rows

from .autoencoder_training import LOSSES, TrainedAutoencoder
from .base import SHARED_CONSTRAINTS
from .paragraphs import with_shared_paragraphs

_SHARED = {name: SHARED_CONSTRAINTS[name] for name in SHARED_CONSTRAINTS if name != "batch_normalization"}


@with_shared_paragraphs
class Autoencoder(TrainedAutoencoder):
    r"""A network that finds a code of few numbers for each row, from which another one brings the row back.

    It minimises the mean over rows x of w_x * \|\|g(f(x)) - x\|\|^2 / n_features, on columns that are centred and
    divided by their standard deviation, where f is the encoder, g the decoder and w_x the sample weight, scaled to a
    mean of one. Both begin as the projection on the principal axes: without hidden layers it is PCA, with them it is
    never worse on the rows that it is judged on.

    Parameters
    ----------
    n_components : int, default=2
        Numbers in a code.
    hidden_layer_sizes : int or sequence of int, default=(256, 64)
        Units of each hidden layer of the encoder; the decoder has the same in reverse. A layer has at least
        ``2 * n_components`` units, of which so many carry the projection in the beginning. ``()`` is PCA, by a
        decomposition instead of training where nothing else is asked for.
    activation : str, callable or sequence of them, default="relu"
        Activation of the hidden layers, one for all or one per layer of the encoder. Codes are linear.
    standardize : bool, default=False
        What a column is divided by. False is one number for all columns, their root mean square deviation, which leaves
        the squared error that of X itself, as in PCA. True is the deviation of each column, for columns of
        different units.
    noise : float, default=0.0
        Standard deviation, in units of the scaled columns, of the noise that is added to the rows in training but
        not to what they are compared with: a denoising autoencoder.
    tied_weights : bool, default=False
        Whether the kernels of the decoder are those of the encoder, transposed; not for images.
    variational : bool, default=False
        Whether codes are drawn from normal distributions that the encoder gives, kept near the standard normal
        distribution (Kingma and Welling 2014). The deviation of the reconstruction is the one that fits best (Rybkin et
        al. 2021). ``sample`` exists, and ``score`` is the evidence bound.
    loss : {"mean_squared_error", "binary_crossentropy"}, default="mean_squared_error"
        The second is for columns in [0, 1], which are not scaled.
    missing : {"error", "mask"}, default="error"
        With "mask" X may have NaN: they count in no sum, and ``inverse_transform`` fills them.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images that the rows are: then convolutions lead to the
        code and back, with a linear path beside them.
    filters : sequence of int, default=(32, 64)
        Filters of each convolution of ``image_shape``, of which each halves height and width.
    validation_fraction : float, default=0.1
        Fraction of the rows split off for ``early_stopping``, drawn with ``random_state``; ignored with ``X_val``. Of
        fewer than 10 rows none is split off.
    tol : float, default=1e-4
        The least improvement of the validation loss that counts, in units of the loss of scaled columns.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the network and the scaling of the last fit.
    random_state : int, numpy.random.RandomState or None, default=None
        Draws initial weights, validation rows, the order of rows, noise and dropout masks. An int gives the same result
        each time.
    **routed : dict
        Parameters for a part of the training, by prefix: ``optimizer__``, ``callbacks__``, ``compile__``, ``fit__``.

    Attributes
    ----------
    model_ : keras.Model
        From raw columns to their reconstruction. It is put together when it is asked for, with the weights of now.
    encoder_, decoder_ : keras.Model
        Its halves: from raw columns to codes, and from codes to raw columns.
    n_components_ : int
        Numbers in a code.
    mean_ : ndarray of shape (n_features_in_,)
        Weighted mean of each column.
    scale_ : ndarray of shape (n_features_in_,)
        What each column is divided by.
    reconstruction_error_ : float
        Mean squared difference between the rows of fit and their reconstructions, in the units of X.
    history_ : dict of str to list of float
        The loss of each epoch, that of validation as ``val_loss``.
    best_epoch_ : int
        The epoch, counted from 1, whose weights were kept, 0 for the projection on principal axes; only with
        ``early_stopping``.
    engine_ : {"native", "compiled", "keras"}
        What trained; absent where nothing was trained.

    See Also
    --------
    sklearn.decomposition.PCA : The linear autoencoder.
    DenseNetClassifier : A network of dense layers that classifies.

    Notes
    -----
    Codes have no scale or order of their own, unless there are no hidden layers. ``score`` is comparable with
    the sum of PCA's ``explained_variance_ratio_``.

    References
    ----------
    G. Hinton, R. Salakhutdinov (2006), Reducing the dimensionality of data with neural networks, Science 313,
    https://doi.org/10.1126/science.1127647.

    P. Vincent et al. (2008), Extracting and composing robust features with denoising autoencoders, ICML,
    https://doi.org/10.1145/1390156.1390294.

    D. Kingma, M. Welling (2014), Auto-encoding variational Bayes, ICLR, https://arxiv.org/abs/1312.6114.

    O. Rybkin, K. Daniilidis, S. Levine (2021), Simple and effective VAE training with calibrated decoders, ICML,
    https://arxiv.org/abs/2006.13202.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skneural import Autoencoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> autoencoder = Autoencoder(n_components=8, random_state=0).fit(X[:1200])
    >>> autoencoder.transform(X[1200:]).shape
    (597, 8)
    >>> bool(autoencoder.score(X) > PCA(8).fit(X).explained_variance_ratio_.sum())
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {
        **_SHARED,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "standardize": ["boolean"],
        "noise": [Interval(Real, 0, None, closed="left")],
        "tied_weights": ["boolean"],
        "variational": ["boolean"],
        "loss": [StrOptions(set(LOSSES))],
        "missing": [StrOptions({"error", "mask"})],
        "image_shape": ["array-like", None],
        "filters": ["array-like", Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        hidden_layer_sizes: Any = (256, 64),
        activation: Any = "relu",
        standardize: bool = False,
        noise: float = 0.0,
        dropout: float = 0.0,
        l2: float = 0.0,
        tied_weights: bool = False,
        variational: bool = False,
        loss: str = "mean_squared_error",
        missing: str = "error",
        image_shape: Sequence[int] | None = None,
        filters: Any = (32, 64),
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 1e-3,
        learning_rate_schedule: str = "constant",
        epochs: int = 100,
        batch_size: int | str = "auto",
        shuffle: bool = True,
        early_stopping: bool = True,
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
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.standardize = standardize
        self.noise = noise
        self.dropout = dropout
        self.l2 = l2
        self.tied_weights = tied_weights
        self.variational = variational
        self.loss = loss
        self.missing = missing
        self.image_shape = image_shape
        self.filters = filters
        self.kernel_initializer = kernel_initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
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

    # --- public methods -----------------------------------------------------------------------------------------

    @of_one_state
    def transform(self, X: Rows) -> NDArray[np.float32]:
        """Return the code of each row.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to encode.

        Returns
        -------
        codes : ndarray of shape (n_samples, n_components)
            The codes; where these are drawn (``variational``), the means that they are drawn round.
        """
        rows = self._without_missing(self._checked_rows(X))
        return self._answers(self._network, rows, output=CODE)

    @of_one_state
    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the rows that codes stand for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            Rows in the units of those in fit.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32, estimator=self, input_name="X")
        if codes.shape[1] != self.n_components_:
            raise ValueError(
                f"X of {type(self).__name__}.inverse_transform must have {self.n_components_} columns, one for each "
                f"component. Got {codes.shape[1]}."
            )
        return self._scaling.unscaled(self._answers(self._decoding(), codes))

    @of_one_state
    def score_samples(self, X: Rows) -> NDArray[np.float64]:
        """Return how well each row is reconstructed: the lower, the more unlike it is to the rows of fit.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to be judged.

        Returns
        -------
        scores : ndarray of shape (n_samples,)
            Minus the squared difference between row and reconstruction, summed over the columns that are not missing;
            with ``standardize`` of columns divided by their deviations.
        """
        rows = self._checked_rows(X)
        return -np.nansum(self._differences(rows) ** 2, axis=1)

    def _differences(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Differences between scaled rows and their reconstructions, in the units of X or of their deviations."""
        answers = self._answers(self._network, self._without_missing(rows))
        unit = 1.0 if self.standardize else self.scale_
        return unit * (rows - answers).astype(np.float64)

    @of_one_state
    def score(self, X: Rows, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the share of the variance of X that is in its reconstruction.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to be judged on.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        score : float
            ``sklearn.metrics.explained_variance_score`` of the reconstruction, columns weighted by their variance, at
            most 1; with ``variational`` the evidence bound, the mean over the rows of a lower bound on the logarithm of
            their density in nats.
        """
        rows = self._checked_rows(X)
        if self.variational:
            bounds = self._drawn(rows).evidence_bounds(self._variance * self.scale_**2, self._variance)
            return float(np.average(bounds, weights=finite_sum(sample_weight)))
        given = self._scaling.unscaled(rows) / (self.scale_ if self.standardize else 1.0)
        found = given - self._differences(rows)
        known = ~np.isnan(given)
        found, given = np.where(known, found, 0.0), np.where(known, given, 0.0)
        return float(
            explained_variance_score(
                given, found, sample_weight=finite_sum(sample_weight), multioutput="variance_weighted"
            )
        )

    def _is_variational(self) -> bool:
        if not self.variational:
            raise AttributeError(f"A {type(self).__name__} draws rows only with variational=True.")
        return True

    @available_if(_is_variational)
    @of_one_state
    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> NDArray[np.float64]:
        """Draw rows like those of fit; only with ``variational``.

        Parameters
        ----------
        n_samples : int, default=1
            How many.
        random_state : int, numpy.random.RandomState or None, default=None
            Draws the codes.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            What the decoder makes of codes from the standard normal distribution.
        """
        check_is_fitted(self)
        codes = check_random_state(random_state).standard_normal((n_samples, self.n_components_))
        return self.inverse_transform(codes)
