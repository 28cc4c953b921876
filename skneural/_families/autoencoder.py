"""An autoencoder: rows to a code of few numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.metrics import explained_variance_score
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted

from skneural import _engine
from skneural._architectures.autoencoder import (
    CODE,
    DISTRIBUTION,
    AutoencoderArchitecture,
    build_autoencoder,
)
from skneural._architectures.autoencoder_models import compose
from skneural._architectures.autoencoder_steps import evidence_step, squared_error_step
from skneural._architectures.code_layers import TiedDense
from skneural._architectures.column_scaling import ColumnScaling
from skneural._architectures.convolutional import image_shape_of
from skneural._architectures.drawn_codes import DrawnRows
from skneural._architectures.projection_start import begin_as_projection
from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.keras_arguments import Schedule
from skneural._estimators.one_state import of_one_state
from skneural._geometry.principal_axes import principal_axes
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import validate_padded_rows
from skneural._rows.weights import finite_sum, normalize_weights
from skneural._types import RandomState, Rows

from .base import SHARED_CONSTRAINTS, Head, check_image_shape, check_sizes
from .paragraphs import with_shared_paragraphs
from .transformers import IncrementalTransformer

_LOSSES = {"mean_squared_error": "linear", "binary_crossentropy": "sigmoid"}
_SHARED = {name: SHARED_CONSTRAINTS[name] for name in SHARED_CONSTRAINTS if name != "batch_normalization"}


@with_shared_paragraphs
class Autoencoder(IncrementalTransformer):
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

    _parameter_constraints: ClassVar = {
        **_SHARED,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "standardize": ["boolean"],
        "noise": [Interval(Real, 0, None, closed="left")],
        "tied_weights": ["boolean"],
        "variational": ["boolean"],
        "loss": [StrOptions(set(_LOSSES))],
        "missing": [StrOptions({"error", "mask"})],
        "image_shape": ["array-like", None],
        "filters": ["array-like", Interval(Integral, 1, None, closed="left")],
    }
    _first_fit_parameters: ClassVar[tuple[str, ...]] = ("standardize", "missing")
    _build = staticmethod(build_autoencoder)
    # A network from codes to scaled columns, made when it is first needed.
    _decoder: _engine.Network | None = None
    _built: AutoencoderArchitecture

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
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Any,
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
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)

    # --- parameters ---------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._given_image_shape()
        owner = type(self).__name__
        if self.tied_weights and self.image_shape is not None:
            raise ValueError(
                f"The 'tied_weights' parameter of {owner} is for dense layers. Got tied_weights=True with "
                f"image_shape={self.image_shape!r}: leave one of them out."
            )
        if self.loss != "mean_squared_error" and (self.variational or self.missing == "mask"):
            other = "variational=True" if self.variational else "missing='mask'"
            raise ValueError(
                f"The 'loss' parameter of {owner} must be 'mean_squared_error' with {other}. Got {self.loss!r}."
            )

    def _given_image_shape(self) -> tuple[int, ...] | None:
        if self.image_shape is None:
            return None
        owner = type(self).__name__
        if not check_sizes(owner, "filters", self.filters):
            raise ValueError(f"The 'filters' parameter of {owner} must have an entry for at least one convolution.")
        return check_image_shape(owner, self.image_shape)

    @property
    def _is_projection(self) -> bool:
        """Whether the principal axes are the answer, and nothing is to be trained."""
        is_linear = self.image_shape is None and not len(check_sizes("", "", self.hidden_layer_sizes))
        is_plain = not (self.noise or self.l2 or self.variational) and self.missing == "error"
        return is_linear and is_plain and self.loss == "mean_squared_error"

    # --- rows ---------------------------------------------------------------------------------------------------

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        if self.image_shape is not None and not sparse.issparse(X):
            X = _flat(X)
        if self.missing == "mask":
            return validate_padded_rows(self, X, reset=reset)
        X = super()._validate_rows(X, reset=reset)
        return X.toarray() if sparse.issparse(X) else X

    def _learn(self, rows: TrainingRows) -> None:
        X = rows.X
        self._scaling = ColumnScaling.of(X, rows.weights, each=bool(self.standardize))
        centre: Any = 0.0
        if self.loss == "binary_crossentropy":
            if X.min() < 0 or X.max() > 1:
                raise ValueError(
                    f"The 'loss' parameter of {type(self).__name__} does not fit X: 'binary_crossentropy' needs values "
                    f"in [0, 1]. Got values from {X.min():g} to {X.max():g}. Use 'mean_squared_error' instead."
                )
            centre = self._scaling.mean
            self._scaling = ColumnScaling.none(X.shape[1])
        self.mean_, self.scale_ = self._scaling.mean, self._scaling.scale
        self.n_components_ = int(self.n_components)
        scaled = _without_missing(self._scaling.scaled(X)) - np.asarray(centre, np.float32)
        self._axes = principal_axes(scaled, rows.weights, self.n_components_, self._seeds.weights)
        self._centre = np.broadcast_to(np.asarray(centre), self.mean_.shape)

    def _encode_features(self, X: Any) -> Any:
        return self._scaling.scaled(X)

    def _data(self, rows: TrainingRows) -> _engine.Data:
        return _engine.Data((_without_missing(rows.X),), rows.X, normalize_weights(rows.weights))

    def _merges_rows(self, network: _engine.Network) -> bool:
        return False

    # --- the network --------------------------------------------------------------------------------------------

    def _head(self) -> Head:
        loss = self._resolved_loss(self.loss) if self._step() is None else None
        return Head(loss, int(self.n_features_in_), _LOSSES[self.loss])

    def _step(self) -> _engine.Step | None:
        """Return the objective where Keras has no loss for it."""
        if self.variational:
            return evidence_step()
        return squared_error_step() if self.missing == "mask" else None

    def _architecture(self, head: Head) -> AutoencoderArchitecture:
        owner = type(self).__name__
        given = self._given_image_shape()
        sizes = check_sizes(owner, "hidden_layer_sizes", self.hidden_layer_sizes)
        filters = () if given is None else check_sizes(owner, "filters", self.filters)
        least = 2 * self.n_components if given is None else 1
        counts = {"hidden layer": len(sizes)} if given is None or sizes else {"convolution": 1}
        return AutoencoderArchitecture(
            n_features=head.n_outputs,
            n_components=int(self.n_components),
            hidden_layer_sizes=tuple(max(size, least) for size in sizes),
            activations=self._activations(counts),
            output_activation=head.activation,
            image_shape=None if given is None else image_shape_of(owner, given, (head.n_outputs,)),
            filters=filters,
            noise=float(self.noise),
            dropout=float(self.dropout),
            l2=float(self.l2),
            tied_weights=bool(self.tied_weights),
            variational=bool(self.variational),
            kernel_initializer=self.kernel_initializer,
        )

    def _build_network(self, seed: int) -> _engine.Network:
        network = super()._build_network(seed)
        self._built = self._architecture(self._head())
        begin_as_projection(network, self._built, self._axes, self._centre)
        return network

    # --- one training run ---------------------------------------------------------------------------------------

    def _validation_share(self, schedule: Schedule) -> float:
        return 0.0 if self._is_projection else super()._validation_share(schedule)

    def _settings(self, train: Any, held_out: Any, schedule: Schedule) -> _engine.Settings:
        settings = super()._settings(train, held_out, schedule)
        settings = replace(settings, step=self._step())
        is_ready = self._is_projection and not schedule.is_partial
        return replace(settings, epochs=0, learning_rate_factors=None) if is_ready else settings

    def _run(
        self, train: TrainingRows, held_out: TrainingRows | None, settings: _engine.Settings, schedule: Schedule
    ) -> _engine.Result:
        """Train the network, and put the state that it began with back where that was better."""
        start = self._network.state
        result = super()._run(train, held_out, settings, schedule)
        if schedule.is_partial or self.variational:
            return result
        judged, trained = train if held_out is None else held_out, self._network.state
        after = self._error_on(judged)
        self._network.state = start
        if self._error_on(judged) < after:
            return replace(result, best_epoch=-1 if settings.early_stopping else None)
        self._network.state = trained
        return result

    def _error_on(self, rows: TrainingRows) -> float:
        """Mean of the training loss over scaled rows, without penalties."""
        answers = self._answers(self._network, _without_missing(rows.X))
        if self.loss == "binary_crossentropy":
            errors = np.asarray(keras.losses.binary_crossentropy(rows.X, answers))
        else:
            errors = np.nansum((rows.X - answers) ** 2, axis=1)
        return float(np.average(errors, weights=rows.weights))

    def _after_training(self, rows: TrainingRows) -> None:
        self._decoder = None
        if self.variational:
            self._variance = self._drawn(rows.X).best_variance(rows.weights)
        answers = self._answers(self._network, _without_missing(rows.X))
        errors = np.nanmean((self.scale_ * (rows.X - answers)) ** 2, axis=1)
        self.reconstruction_error_ = float(np.average(errors, weights=rows.weights))

    def _decode(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._answers(self._decoding(), codes)

    def _drawn(self, rows: NDArray[np.float32]) -> DrawnRows:
        """Return what codes that are drawn for scaled rows say of these."""
        distributions = self._answers(self._network, _without_missing(rows), output=DISTRIBUTION)
        return DrawnRows.of(rows, distributions, self._decode, self._seeds.order)

    # --- models on raw columns ----------------------------------------------------------------------------------

    @property
    def model_(self) -> keras.Model:
        """From raw columns to their reconstruction, with the weights of now."""
        return self._composed("encoder", "decoder")

    @model_.setter
    def model_(self, model: Any) -> None:
        raise AttributeError(f"The 'model_' of {type(self).__name__} is put together when it is asked for: fit anew.")

    @property
    def encoder_(self) -> keras.Model:
        """From raw columns to codes, with the weights of now."""
        return self._composed("encoder")

    @property
    def decoder_(self) -> keras.Model:
        """From codes to raw columns, with the weights of now."""
        return self._composed("decoder")

    def _composed(self, *halves: str, on_raw_columns: bool = True) -> keras.Model:
        """Build a model of one half or both, with the scaling in front and behind, and the weights of now."""
        network = self._fitted_network()
        assert network is not None
        scaling = self._scaling if on_raw_columns else None
        model, layers = compose(self._built, halves, scaling, replaces_missing=self.missing == "mask")
        trained = network.snapshot().model.layers
        end = [layer.name for layer in trained].index(CODE) + 1
        old = [*(trained[:end] if "encoder" in halves else []), *(trained[end:] if "decoder" in halves else [])]
        with_weights = [[layer for layer in some if layer.weights] for some in (layers, old)]
        for new, taken_from in zip(*with_weights, strict=True):
            new.set_weights(_weights_of(taken_from))
        return model

    def _decoding(self) -> _engine.Network:
        """Return a network from codes to scaled columns."""
        if self._decoder is None:
            model = self._composed("decoder", on_raw_columns=False)
            # The engine shares programs of compiled models.
            model.compile(optimizer="sgd", loss="mean_squared_error")
            self._decoder = _engine.Network.from_model(model)
        return self._decoder

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
        return self._answers(self._network, _without_missing(self._checked_rows(X)), output=CODE)

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
        answers = self._answers(self._network, _without_missing(rows))
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


def _flat(X: Any) -> Any:
    """Give images one row each."""
    shape: tuple[int, ...] = getattr(X, "shape", ())
    return X.reshape(shape[0], -1) if len(shape) > 2 else X


def _without_missing(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scaled rows with the mean, zero, in the place of what is missing."""
    return np.nan_to_num(rows) if np.isnan(rows).any() else rows


def _weights_of(layer: keras.layers.Layer) -> list[NDArray[Any]]:
    """Return a layer's weights; those of a layer that borrows its kernel with it."""
    if isinstance(layer, TiedDense):
        return [np.asarray(layer.source_kernel()).T, np.asarray(layer.bias)]
    weights: list[NDArray[Any]] = layer.get_weights()
    return weights
