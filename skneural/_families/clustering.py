"""A network that finds clusters, and says to which of them new rows belong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClusterMixin

from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.one_state import of_one_state
from skneural._routed import Routed
from skneural._rows.weights import finite_sum
from skneural._types import Every, Folder, RandomState, Rows

from .base import SHARED_CONSTRAINTS
from .clustering_training import WAYS, TrainedClustering
from .paragraphs import with_shared_paragraphs

_SHARED = (
    "activation",
    "learning_rate",
    "learning_rate_schedule",
    "batch_size",
    "shuffle",
    "checkpoint",
    "checkpoint_every",
    "random_state",
    "verbose",
)


@with_shared_paragraphs
class DeepEmbeddedClustering(ClusterMixin, TrainedClustering):
    r"""A network that finds clusters without labels, and says of new rows to which of them they belong.

    Rows are joined to their nearest neighbours by edges of weights w_ij, those of UMAP. Clusters c are those that keep
    the most mutual information I(c_i; c_j) of the two ends of an edge drawn by its weight. A network p(c | x), whose
    last hidden layer is the embedding, then learns to tell them: it minimises the mean of -sum_c t_c log p(c | x),
    where t is 0.9 for the row's cluster plus a share of 0.1 for each. Its answers are the clusters, of the rows of fit
    too. Images are seen with small deformations, by the graph and by the network. Two methods of others, on the codes
    of an autoencoder, stand beside this one (``method``).

    Parameters
    ----------
    n_clusters : int or None, default=8
        The number of clusters. None finds it: dense parts of a two-dimensional layout of the graph, of codes ("idec")
        or of places ("n2d"), by HDBSCAN; rows in none of them are noise, and get the label -1.
    method : {"neighbors", "idec", "n2d"}, default="neighbors"
        "neighbors" is as above. "idec" (Guo et al. 2017) begins with the k-means clusters of an Autoencoder's codes and
        trains both further: the mean of the squared error of the reconstruction, plus 0.1 KL(p \|\| q), where q_j is in
        the ratio of 1 / (1 + \|\|z - centre_j\|\|^2), and p_j in that of q_j^2 over the sum of q_j, found anew for each
        epoch. "n2d" (McConville et al. 2019) is an Autoencoder, a NeighborEmbedding of its codes and a GaussianMixture
        of the places, put behind each other in one network; the mixture heeds the weights of rows.
    n_components : int, default=10
        Numbers that say where a row is in the embedding.
    n_neighbors : int, default=15
        Neighbours of each row in the graph, itself not among them; ignored by "idec".
    min_cluster_size : int or "auto", default="auto"
        With ``n_clusters=None`` the fewest rows of a cluster. "auto" is a fiftieth of the different rows, at least 5.
    hidden_layer_sizes : "auto", int or sequence of int, default="auto"
        Units of each dense hidden layer. "auto" is (256, 64), for images 128 units behind convolutions.
    image_shape : tuple of int, default=None
        (height, width) or (height, width, channels) of the images that the rows are; then the network is convolutional.
    augment : bool or dict, default=True
        For images and method="neighbors" only: whether small deformations make no difference, neither for distances
        (the smallest over random deformations of one of the two images) nor for the network. A dict changes how large
        they are: ``rotation`` in degrees (15), ``zoom`` (0.15), ``shear`` (0.2) and ``shift`` as a fraction of the
        side (0.06).
    learning_rate_schedule : {"constant", "cosine"}, default="cosine"
        "cosine" lets the learning rate fall over the ``epochs`` from its full size to zero, as half a cosine wave.
    epochs : int or "auto", default="auto"
        Passes over the rows. "auto" is 20 for 10,000 rows, fewer for more rows, as their square root, and more for few
        rows, so that there are at least 800 steps. The parts of "idec" and "n2d" that are trained before have an "auto"
        of their own, or as many epochs.
    batch_size : int or "auto", default="auto"
        Rows per step. "auto" is a power of two of at most an eighth of the rows, within 32 and 256.
    tol : float, default=1e-3
        For method="idec" only: training ends when less than this share of the rows, by weight, changes its cluster in
        an epoch, as in the paper. 0 trains for all ``epochs``.
    random_state : int, numpy.random.RandomState or None, default=None
        Draws starts of the clusters, initial weights, deformations and the order of rows. An int gives the same result
        each time, and the same network and labels whatever the number of cores.
    **routed : dict
        Parameters for a part of the training, by prefix: ``optimizer__``, ``callbacks__``, ``compile__``, ``fit__``.

    Attributes
    ----------
    model_ : keras.Sequential
        From raw columns to the probabilities of the clusters; the embedding is the output of its layer "embedding". It
        is put together when it is asked for.
    labels_ : ndarray of shape (n_samples,)
        The cluster of each row of fit, as ``predict`` says.
    probabilities_ : ndarray of shape (n_samples,)
        The probability of that cluster, 0 for noise.
    cluster_centers_ : ndarray of shape (n_clusters_, n_components)
        Mean of the rows of each cluster in the embedding.
    cluster_prototypes_ : ndarray of shape (n_clusters_,)
        For each cluster the row of fit that is nearest to its centre.
    n_clusters_ : int
        The number of clusters; less than ``n_clusters`` only where there are fewer different rows, or where one of
        "n2d" has lost all of its rows.
    n_components_ : int
        Numbers that say where a row is in the embedding.
    history_ : dict of str to list of float
        The loss of each epoch.
    engine_ : {"native", "compiled", "keras"}
        What trained.

    See Also
    --------
    NeighborEmbedding : Places rows so that neighbours stay neighbours.
    sklearn.cluster.KMeans : Clusters of the columns as they are.
    sklearn.cluster.HDBSCAN : Dense parts of the columns as they are.

    Notes
    -----
    Columns are centred and divided by their standard deviation inside, images by one mean and deviation of all values.
    Equal rows count as one with the sum of their weights. A row of weight two has the edges of the row twice. With
    ``n_clusters=None`` a row is noise where the log-likelihood of its embedding is less than that of all but as large a
    share of the rows of fit as HDBSCAN took for noise. There is no ``partial_fit`` and no ``warm_start``: clusters are
    found anew from all rows. "idec" differs from the paper in smaller layers, and in renewing p for each epoch, where
    the paper does so every 140 steps. The ``history_`` of "n2d" is that of its NeighborEmbedding, and a distribution of
    its mixture that is the most probable one of no row is left out.

    References
    ----------
    L. McInnes, J. Healy, J. Melville (2018), UMAP: uniform manifold approximation and projection for dimension
    reduction, https://arxiv.org/abs/1802.03426.

    X. Guo, L. Gao, X. Liu, J. Yin (2017), Improved deep embedded clustering with local structure preservation, IJCAI,
    https://doi.org/10.24963/ijcai.2017/243.

    R. McConville, R. Santos-Rodriguez, R. Piechocki, I. Craddock (2019), N2D: (not too) deep clustering via clustering
    the local manifold of an autoencoded embedding, https://arxiv.org/abs/1908.05968.

    N. Slonim, N. Tishby (1999), Agglomerative information bottleneck, NIPS,
    https://proceedings.neurips.cc/paper/1999/hash/be3e9d3f7d70537357c67bb3f4086846-Abstract.html.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.metrics import adjusted_rand_score
    >>> from skneural import DeepEmbeddedClustering
    >>> X, y = load_digits(return_X_y=True)
    >>> clustering = DeepEmbeddedClustering(10, random_state=0).fit(X[:1200])
    >>> bool(adjusted_rand_score(y[1200:], clustering.predict(X[1200:])) > 0.6)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {
        **{name: SHARED_CONSTRAINTS[name] for name in _SHARED},
        "n_clusters": [Interval(Integral, 1, None, closed="left"), None],
        "method": [StrOptions(set(WAYS))],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "min_cluster_size": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
        "hidden_layer_sizes": [StrOptions({"auto"}), "array-like", Interval(Integral, 1, None, closed="left")],
        "image_shape": ["array-like", None],
        "augment": ["boolean", dict],
        "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        n_clusters: int | None = 8,
        *,
        method: str = "neighbors",
        n_components: int = 10,
        n_neighbors: int = 15,
        min_cluster_size: int | str = "auto",
        hidden_layer_sizes: Any = "auto",
        activation: Any = "relu",
        image_shape: Sequence[int] | None = None,
        augment: bool | Mapping[str, float] = True,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 2e-3,
        learning_rate_schedule: str = "cosine",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        shuffle: bool = True,
        tol: float = 1e-3,
        callbacks: Any = None,
        checkpoint: Folder = None,
        checkpoint_every: Every = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.n_clusters = n_clusters
        self.method = method
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.min_cluster_size = min_cluster_size
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.image_shape = image_shape
        self.augment = augment
        self.kernel_initializer = kernel_initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.tol = tol
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)

    # --- public methods -----------------------------------------------------------------------------------------

    def fit(self, X: Rows, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Find clusters of the rows of X, and train a network that tells them.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to cluster; images may also have the shape (n_samples, height, width) or (n_samples, height, width,
            channels).
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, of which only the ratios count. A weight of zero equals the row left out, but that it
            gets a label. They do not change what HDBSCAN finds.

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
        return self._fit_from(X, None, sample_weight, (None, None, None), {})

    def fit_predict(self, X: Rows, y: Any = None, sample_weight: ArrayLike | None = None) -> NDArray[np.intp]:
        """Find clusters of the rows of X, and return them.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to cluster.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            The cluster of each row, -1 for noise.
        """
        return self.fit(X, sample_weight=sample_weight).labels_

    @of_one_state
    def predict(self, X: Rows) -> NDArray[np.intp]:
        """Return the cluster of each row, by one pass through the network.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows, those of fit or new ones.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Their clusters, numbered from zero; -1 for noise, which there is only with ``n_clusters=None``.
        """
        rows = self._checked_rows(X)
        return self._labels(self._places(rows), self._shares(rows))

    @of_one_state
    def predict_proba(self, X: Rows) -> NDArray[np.float32]:
        """Return how probable each cluster is for each row; a row of noise is treated as any other.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows, those of fit or new ones.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_clusters_)
            Probabilities, which sum to one.
        """
        return self._shares(self._checked_rows(X))

    @of_one_state
    def transform(self, X: Rows) -> NDArray[np.float32]:
        """Return where each row is in the embedding.

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

    @of_one_state
    def score_samples(self, X: Rows) -> NDArray[np.float64]:
        """Return how likely the embedding of each row is under the clusters.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Rows to be judged.

        Returns
        -------
        log_likelihoods : ndarray of shape (n_samples,)
            Logarithm, in nats, of the density of a mixture of normal distributions, one for each cluster. It is
            measured in units of the embedding in which the rows of fit have the identity as covariance, so that
            stretching the embedding changes nothing.
        """
        return self._densities.log_densities(self._places(self._checked_rows(X)))

    @of_one_state
    def score(self, X: Rows, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return how likely the embedding of the rows is under the clusters.

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
            The mean of ``score_samples``; the larger, the farther apart are the clusters for their size.
        """
        return float(np.average(self.score_samples(X), weights=finite_sum(sample_weight)))
