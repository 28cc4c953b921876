"""How an autoencoder is built and trained, and the models that are made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import Tags

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
from skneural._estimators.keras_arguments import Schedule
from skneural._geometry.principal_axes import principal_axes
from skneural._rows.stores import with_flat_rows
from skneural._rows.temporary_maps import blocks
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import validate_padded_rows
from skneural._rows.weights import normalize_weights

from .base import Head, check_image_shape, check_sizes
from .transformers import IncrementalTransformer

LOSSES = {"mean_squared_error": "linear", "binary_crossentropy": "sigmoid"}


class TrainedAutoencoder(IncrementalTransformer):
    """What an autoencoder does between its parameters and its public methods."""

    _first_fit_parameters: ClassVar[tuple[str, ...]] = ("standardize", "missing")
    _build = staticmethod(build_autoencoder)
    # A network from codes to scaled columns, made when it is first needed.
    _decoder: _engine.Network | None = None
    _built: AutoencoderArchitecture
    # Rows of the fit that is under way, and what the scaling has made of them.
    _scaled: tuple[Any, Any] = (None, None)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "mask"
        # What is missing in a sparse matrix nobody can tell from its zeros.
        tags.input_tags.sparse = self.missing != "mask"
        return tags

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

    @property
    def _reads_in_parts(self) -> bool:  # type: ignore[override]
        """What a variance is learned of, or has holes, is needed whole."""
        return not self.variational and self.missing == "error"

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        if self.image_shape is not None and not sparse.issparse(X):
            X = _flat(X)
        if self.missing == "mask":
            return validate_padded_rows(self, X, reset=reset)
        try:
            X = super()._validate_rows(X, reset=reset)
        except ValueError as error:
            if "contains NaN" not in str(error):
                raise
            what = f"X of {type(self).__name__} contains NaN (missing values)."
            raise ValueError(
                f"{what} Give missing='mask', which leaves them out of the training and fills them, or fill them "
                "first, for example with a SimpleImputer in front."
            ) from error
        return X.toarray() if sparse.issparse(X) else X

    def _learn(self, rows: TrainingRows) -> None:
        X = rows.X
        self._scaling = ColumnScaling.of(X, rows.weights, each=bool(self.standardize))
        centre = np.zeros(X.shape[1])
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
        # The rows are needed once more on the way to the network.
        self._scaled = X, self._scaling.scaled(X)
        self._axes = principal_axes(self._scaled[1], rows.weights, self.n_components_, self._seeds.weights, centre)
        self._centre = centre

    def _encode_features(self, X: Any) -> Any:
        known, scaled = self._scaled
        return scaled if X is known else self._scaling.scaled(X)

    def _without_missing(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scaled rows with the mean, zero, in the place of what is missing."""
        return np.nan_to_num(rows) if self.missing == "mask" else rows

    def _data(self, rows: TrainingRows) -> _engine.Data:
        return _engine.Data((self._without_missing(rows.X),), rows.X, normalize_weights(rows.weights))

    def _merges_rows(self, network: _engine.Network) -> bool:
        return False

    # --- the network --------------------------------------------------------------------------------------------

    def _head(self) -> Head:
        loss = self._resolved_loss(self.loss) if self._step() is None else None
        return Head(loss, int(self.n_features_in_), LOSSES[self.loss])

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

        def errors(block: NDArray[np.float32], answers: NDArray[np.float32]) -> NDArray[Any]:
            if self.loss == "binary_crossentropy":
                return np.asarray(keras.losses.binary_crossentropy(block, answers))
            return np.asarray(np.nansum((block - answers) ** 2, axis=1))

        return float(np.average(self._of_rows(rows.X, errors), weights=rows.weights))

    def _of_rows(
        self, X: NDArray[np.float32], errors: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]
    ) -> NDArray[np.float64]:
        """Compute the error of each scaled row from it and its reconstruction, block by block."""
        found = []
        for part in blocks(X):
            block = np.asarray(X[part])
            found.append(errors(block, self._answers(self._network, self._without_missing(block))))
            _engine.give_pages_back(X)
        return np.concatenate(found).astype(np.float64)

    def _after_training(self, rows: TrainingRows) -> None:
        self._decoder = None
        if self.variational:
            self._variance = self._drawn(np.asarray(rows.X)).best_variance(rows.weights)
        squares = self._of_rows(
            rows.X, lambda block, answers: np.nansum((self.scale_ * (block - answers)) ** 2, axis=1)
        )
        n_known = np.concatenate([(~np.isnan(rows.X[part])).sum(axis=1) for part in blocks(rows.X)])
        weights = np.ones(len(squares)) if rows.weights is None else rows.weights
        self.reconstruction_error_ = float(weights @ squares / max(weights @ n_known, 1e-300))
        self._scaled = None, None

    def _decode(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._answers(self._decoding(), codes)

    def _drawn(self, rows: NDArray[np.float32]) -> DrawnRows:
        """Return what codes that are drawn for scaled rows say of these."""
        distributions = self._answers(self._network, self._without_missing(rows), output=DISTRIBUTION)
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


def _flat(X: Any) -> Any:
    """Give images one row each."""
    shape: tuple[int, ...] = getattr(X, "shape", ())
    return with_flat_rows(X) if len(shape) > 2 else X


def _weights_of(layer: keras.layers.Layer) -> list[NDArray[Any]]:
    """Return a layer's weights; those of a layer that borrows its kernel with it."""
    if isinstance(layer, TiedDense):
        return [np.asarray(layer.kernel()), np.asarray(layer.bias)]
    weights: list[NDArray[Any]] = layer.get_weights()
    return weights
