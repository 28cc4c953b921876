"""A network that keeps neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.one_state import of_one_state
from skneural._routed import Routed
from skneural._types import Every, Folder, RandomState, Rows

from .base import SHARED_CONSTRAINTS
from .neighbor_training import TrainedNeighborEmbedding

_SHARED = (
    "activation",
    "learning_rate_schedule",
    "shuffle",
    "warm_start",
    "checkpoint",
    "checkpoint_every",
    "random_state",
    "verbose",
)


class NeighborEmbedding(TrainedNeighborEmbedding):
    r"""A network that places rows in few dimensions and keeps neighbours: parametric UMAP.

    Each row has an edge to its nearest neighbours, of weight w_ij = exp(-max(0, d_ij - rho_i) / sigma_i), the two
    directions joined to w_ij + w_ji - w_ij w_ji. With places z = f(x) and likenesses
    q_ij = 1 / (1 + a \|\|z_i - z_j\|\| ** (2 b)), the network f minimises the mean of
    -log q_ij - sum_l log(1 - q_il) + 4 h_i + 4 h_j over rows i, where a neighbour j is drawn by its weight, the rows l
    are others of the batch, and h is the Huber distance of a row to its place in a layout that was found first, for
    the rows alone, by the same cross-entropy. In training a row is seen at a random place, up to half-way to one of
    its neighbours, an image turned, shifted, zoomed and slanted a little, so that new rows find their places.

    Parameters
    ----------
    n_components : int, default=2
        Numbers that say where a row is.
    n_neighbors : int, default=15
        Neighbours of each row, itself not among them; all other rows where there are fewer.
    min_dist : float, default=0.1
        The distance, in units of the embedding, below which two places are as like as can be: small values make
        tight groups.
    metric : str or callable, default="euclidean"
        Distance of two rows, as for ``sklearn.neighbors.NearestNeighbors``. "euclidean" is measured on at most 50
        principal components. Ignored with ``neighbors``, and for images that are augmented.
    neighbors : sparse matrix of shape (n_samples, n_samples), transformer or None, default=None
        Distances of the rows of X to their neighbours, or what makes them from X, such as
        :class:`~sklearn.neighbors.KNeighborsTransformer` and others with its interface. None compares each row with all
        others up to 65,536 rows, and above with those of the nearest cells of the space.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of each dense hidden layer. "auto" is, for rows, one layer of radial units at up to 1,000 rows of X, whose
        outputs sum to one (Moody and Darken 1989), and, for images, 128 units behind three convolutions.
    activation : str, callable or sequence of them, default="relu"
        Activation of the dense hidden layers, one for all or one per layer. Radial units have their own.
    negative_sample_rate : int, default=5
        Rows that a row is pushed away from for each neighbour that it is pulled to.
    reconstruction_weight : float, default=0.0
        Weight of the mean squared error, in principal columns of a mean variance of one, of a decoder from places to
        rows; above zero there is ``inverse_transform``.
    target_weight : float, default=0.5
        How much y counts, in [0, 1]: 0 ignores it, 1 cuts edges between rows of different labels.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images that the rows are; then the network is convolutional.
    augment : bool or dict, default=True
        For images only: whether small deformations make no difference, neither for distances (the smallest over random
        deformations of one of the two images) nor for the network. A dict changes how large they are: ``rotation`` in
        degrees (15), ``zoom`` (0.15), ``shear`` (0.2) and ``shift`` as a fraction of the side (0.06).
    kernel_initializer : str, keras.initializers.Initializer or callable, default="glorot_uniform"
        What the kernels are drawn from; biases start at zero.
    optimizer : str, class or keras.optimizers.Optimizer, default="adam"
        ``optimizer__beta_1`` and the like go to its constructor.
    learning_rate : float, keras.optimizers.schedules.LearningRateSchedule or "auto", default="auto"
        Step size of the optimizer. "auto" is 0.05 for radial units, and 0.005 where there are other layers.
    learning_rate_schedule : {"constant", "cosine"}, default="cosine"
        "cosine" lets the learning rate fall over the ``epochs`` from its full size to zero, as half a cosine wave.
    epochs : int or "auto", default="auto"
        Passes over the rows, each with one of its neighbours. "auto" is 25 for 10,000 rows, for images 28, fewer for
        more rows, as their square root, and more for few rows, so that there are at least 1,000 steps.
    batch_size : int or "auto", default="auto"
        Rows per step, to which as many neighbours come. "auto" is a power of two of at most an eighth of the rows,
        within 32 and 256.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the network of the last fit and the places that it gives to the rows.
    callbacks : list, dict, keras.callbacks.Callback or class, default=None
        Keras callbacks. Those of scikit-learn are set with ``set_callbacks``.
    checkpoint : str, path or None, default=None
        A folder in which the training is kept. After a kill the same ``fit``, on the same data with the same
        parameters, goes on from there and ends at the same weights; one that had ended comes back at once, and any
        other is an error. ``{fit}`` in its name stands for the fit: each then has a folder of its own. Needs an int as
        ``random_state``. Training that goes on from a network (``partial_fit``, ``warm_start``) is not kept.
    checkpoint_every : int, str or datetime.timedelta, default=1
        After how much the training is kept again: epochs, or a span of time, as a timedelta or as text that
        ``pandas.Timedelta`` reads ("5min"), at the end of the epoch in which it has passed.
    random_state : int, numpy.random.RandomState or None, default=None
        Draws initial weights, radial units, the layout, deformations, neighbours and the order of rows. An int gives
        the same result each time, and the same network whatever the number of cores.
    verbose : int, default=0
        1 shows Keras's progress bar, 2 one line per epoch.
    **routed : dict
        Parameters for a part of the training, by prefix: ``optimizer__``, ``callbacks__``, ``compile__``, ``fit__``.

    Attributes
    ----------
    model_ : keras.Sequential
        The trained network, from raw columns to places, and with ``reconstruction_weight`` on to rows: the places are
        then the output of its layer "embedding". The first layer, a projection on principal axes, is not trained.
    graph_ : scipy.sparse.csr_array of shape (n_samples, n_samples)
        Weights of the edges, in [0, 1], symmetric; y is in them where it counts.
    n_components_ : int
        Numbers that say where a row is.
    n_features_in_ : int
        The number of features seen in fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, where X had names of type str.
    history_ : dict of str to list of float
        The loss of each epoch.
    loss_curve_ : list of float
        The same.
    n_iter_ : int
        The number of epochs trained.
    engine_ : {"compiled"}
        What trained.

    See Also
    --------
    Autoencoder : Keeps what the rows are, not who their neighbours are.
    EmbeddingDisplay : Draws rows in two dimensions.
    sklearn.manifold.TSNE : Neighbours without a network, and so without places for new rows.

    Notes
    -----
    Columns are not scaled: put a StandardScaler in front of those in different units. ``fit_transform`` is
    ``transform`` of the rows of fit: the network's answer, not the layout. Without y a fit looks at no label; a
    Pipeline hands y on, so set ``target_weight=0`` where it shall not count. Distances between groups mean little.
    Unlike umap-learn's, ``n_neighbors`` does not count the row itself, the layout begins with principal components, and
    negatives are drawn from the batch.

    References
    ----------
    L. McInnes, J. Healy, J. Melville (2018), UMAP: uniform manifold approximation and projection for dimension
    reduction, https://arxiv.org/abs/1802.03426.

    T. Sainburg, L. McInnes, T. Gentner (2021), Parametric UMAP embeddings for representation and semisupervised
    learning, Neural Computation 33, https://arxiv.org/abs/2009.12981.

    J. Moody, C. Darken (1989), Fast learning in networks of locally-tuned processing units, Neural Computation 1,
    https://doi.org/10.1162/neco.1989.1.2.281.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from skneural import NeighborEmbedding
    >>> X, y = load_digits(return_X_y=True)
    >>> embedding = NeighborEmbedding(random_state=0).fit(X[:1200])
    >>> places = embedding.transform(X[1200:])
    >>> places.shape
    (597, 2)
    >>> reader = KNeighborsClassifier().fit(embedding.transform(X[:1200]), y[:1200])
    >>> bool(reader.score(places, y[1200:]) > 0.85)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {
        **{name: SHARED_CONSTRAINTS[name] for name in _SHARED},
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "min_dist": [Interval(Real, 0, 3, closed="left")],
        "metric": [str, callable],
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", Interval(Integral, 1, None, closed="left")],
        "negative_sample_rate": [Interval(Integral, 1, None, closed="left")],
        "reconstruction_weight": [Interval(Real, 0, None, closed="left")],
        "target_weight": [Interval(Real, 0, 1, closed="both")],
        "image_shape": ["array-like", None],
        "augment": ["boolean", dict],
        "learning_rate": [StrOptions({"auto"}), *SHARED_CONSTRAINTS["learning_rate"]],
        "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "batch_size": SHARED_CONSTRAINTS["batch_size"],
    }

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 15,
        min_dist: float = 0.1,
        metric: str | Callable[..., float] = "euclidean",
        neighbors: Any = None,
        hidden_layer_sizes: Any = "auto",
        activation: Any = "relu",
        negative_sample_rate: int = 5,
        reconstruction_weight: float = 0.0,
        target_weight: float = 0.5,
        image_shape: Sequence[int] | None = None,
        augment: bool | Mapping[str, float] = True,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = "auto",
        learning_rate_schedule: str = "cosine",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        shuffle: bool = True,
        warm_start: bool = False,
        callbacks: Any = None,
        checkpoint: Folder = None,
        checkpoint_every: Every = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.min_dist = min_dist
        self.metric = metric
        self.neighbors = neighbors
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.negative_sample_rate = negative_sample_rate
        self.reconstruction_weight = reconstruction_weight
        self.target_weight = target_weight
        self.image_shape = image_shape
        self.augment = augment
        self.kernel_initializer = kernel_initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)

    # --- public methods -----------------------------------------------------------------------------------------

    def fit(self, X: Rows, y: ArrayLike | None = None) -> Self:
        """Find the neighbours of the rows of X, and train a network that keeps them.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to learn from, at least two; images may also have the shape (n_samples, height, width) or (n_samples,
            height, width, channels).
        y : array-like of shape (n_samples,), default=None
            Labels or numbers: rows that differ in them are neighbours less (``target_weight``).

        Returns
        -------
        self : estimator
            The fitted estimator.

        Raises
        ------
        ValueError
            For data or parameters that cannot be trained on; an earlier fit stays as it was.
        TrainingDivergedError
            When the loss becomes NaN or infinite.
        """
        return self._fit_from(X, y, None, (None, None, None), {})

    @of_one_state
    def transform(self, X: Rows) -> NDArray[np.float32]:
        """Return the place of each row, by one pass through the network.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows, those of fit or new ones.

        Returns
        -------
        places : ndarray of shape (n_samples, n_components)
            Their places.
        """
        return self._places(self._checked_rows(X))

    def _has_decoder(self) -> bool:
        if not self._reconstructs:
            raise AttributeError(f"A {type(self).__name__} has a way back only with reconstruction_weight > 0.")
        return True

    @available_if(_has_decoder)
    @of_one_state
    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return rows for places; only with ``reconstruction_weight`` > 0.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Places.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            What the decoder makes of them, in the units of X in fit.
        """
        check_is_fitted(self)
        places = check_array(X, dtype=np.float32, estimator=self, input_name="X")
        if places.shape[1] != self.n_components_:
            raise ValueError(
                f"X of {type(self).__name__}.inverse_transform must have {self.n_components_} columns, one for each "
                f"component. Got {places.shape[1]}."
            )
        return self._answers(self._decoding(), places)
