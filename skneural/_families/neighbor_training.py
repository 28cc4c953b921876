"""How an embedding that keeps neighbours is made: graph, layout, network, training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.neighbors import VALID_METRICS
from sklearn.utils.validation import assert_all_finite, column_or_1d

from skneural import _engine
from skneural._architectures.convolutional import STANDARDIZATION, image_shape_of
from skneural._architectures.embedding import EMBEDDING, EmbeddingArchitecture, build_embedding
from skneural._architectures.embedding_start import begin_at_landmarks, project_on_axes
from skneural._architectures.embedding_step import neighbor_step
from skneural._estimators.keras_arguments import Schedule
from skneural._geometry.graph import fuzzy_graph, fuzzy_weights, with_row_weights
from skneural._geometry.image_maps import Deformations, neighbors_of_images
from skneural._geometry.layout import LikenessCurve, first_layout, free_layout
from skneural._geometry.principal import PrincipalColumns
from skneural._geometry.search import Neighbors, nearest_neighbors, neighbors_of_graph
from skneural._geometry.supervised_graph import weights_with_labels
from skneural._rows.stores import in_memory
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import check_lengths, moments_of_all_values
from skneural._rows.weights import normalize_weights

from .base import Head, check_image_shape, check_sizes
from .transformers import FamilyTransformer

_N_LANDMARKS = 1000
_DENSE_LAYERS_OF_IMAGES = (128,)
_RATE_OF_RADIAL_UNITS, _RATE_OF_OTHERS = 0.05, 0.005
_LEAST_STEPS = 1000
_MOST_EPOCHS, _MOST_EPOCHS_OF_IMAGES, _FEW_ROWS = 25, 28, 10_000
_MAX_BATCH = 256


class TrainedNeighborEmbedding(FamilyTransformer):
    """What an embedding does between its parameters and its public methods."""

    _count_words: ClassVar[Mapping[str, tuple[str, ...]]] = {"batch_size": ("auto",), "epochs": ("auto",)}
    _build = staticmethod(build_embedding)
    _reads_in_parts = False
    _learned_before_network: ClassVar[str] = "n_components_"
    # Nothing is split off and no training ends early: a layout has no error of its own on other rows.
    early_stopping = False
    # A network from places to rows, made when it is first needed.
    _decoder: _engine.Network | None = None

    # --- parameters ---------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        check_image_shape(owner, self.image_shape)
        self._deformations()
        if self.metric == "precomputed":
            raise ValueError(
                f"The 'metric' parameter of {owner} measures distances of rows, which the network needs. "
                "Got 'precomputed': give X as rows, and the distances of neighbours as neighbors=<sparse matrix>."
            )
        known = sorted({*VALID_METRICS["brute"]} - {"precomputed"})
        if isinstance(self.metric, str) and self.metric not in known:
            raise ValueError(
                f"The 'metric' parameter of {owner} must be a function of two rows, or one of {', '.join(known)}. "
                f"Got {self.metric!r} instead."
            )
        is_known = self.neighbors is None or sparse.issparse(self.neighbors) or hasattr(self.neighbors, "fit_transform")
        if not is_known:
            raise ValueError(
                f"The 'neighbors' parameter of {owner} must be a sparse matrix of distances, a transformer that makes "
                f"one, such as sklearn.neighbors.KNeighborsTransformer, or None. Got {self.neighbors!r} instead."
            )

    def _deformations(self) -> Deformations | None:
        """Return how far images are changed, None where they are not."""
        if self.image_shape is None or not self.augment:
            return None
        given = self.augment if isinstance(self.augment, Mapping) else {}
        return Deformations.of(type(self).__name__, given)

    @property
    def _uses_landmarks(self) -> bool:
        return isinstance(self.hidden_layer_sizes, str) and self.image_shape is None

    # --- rows ---------------------------------------------------------------------------------------------------

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any = None) -> TrainingRows:
        rows = super()._validate(X, None, sample_weight, reset=reset)
        if rows.n_rows < 2:
            raise ValueError(f"{type(self).__name__} needs at least 2 rows, one and a neighbour. Got 1 sample.")
        if y is None or not self.target_weight:
            return rows
        y = column_or_1d(in_memory(y), warn=True)
        assert_all_finite(y, estimator_name=type(self).__name__, input_name="y")
        check_lengths(rows.X, y)
        return rows._replace(y=np.unique(y, return_inverse=True)[1] if y.dtype.kind not in "biuf" else y)

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if self.image_shape is not None and len(shape) > 2:
            X = X.reshape(shape[0], -1)
        X = super()._validate_rows(X, reset=reset)
        return X.toarray() if sparse.issparse(X) else X

    def _learn(self, rows: TrainingRows) -> None:
        self.n_components_ = int(self.n_components)
        self._axes = PrincipalColumns.of(rows.X, self._seeds.weights)
        # A number of few digits, so that folds of about one size share a compiled program.
        n_known = min(_N_LANDMARKS, rows.n_rows - rows.n_rows % unit_of(rows.n_rows))
        self._n_landmarks = n_known if self._uses_landmarks else 0
        self._is_new = True

    def _split(self, rows: TrainingRows, validation: Any, schedule: Schedule) -> tuple[TrainingRows, None]:
        return rows, None

    def _merges_rows(self, network: _engine.Network) -> bool:
        return False

    def _data(self, rows: TrainingRows) -> _engine.Data:
        """Find neighbours, their graph and its layout, which the network learns from."""
        X = np.ascontiguousarray(rows.X, np.float32)
        columns = self._axes.project(rows.X)
        neighbors = self._neighbors_of(rows.X, columns)
        weights = fuzzy_weights(neighbors.distances)
        if rows.y is not None:
            weights = weights_with_labels(neighbors, weights, rows.y, float(self.target_weight))
        row_weights = normalize_weights(rows.weights)
        self.graph_ = with_row_weights(fuzzy_graph(neighbors, weights), row_weights)
        if row_weights is not None:
            weights = weights * row_weights[neighbors.indices]
        first = first_layout(columns, self.n_components_, self._seeds.order) if self._is_new else self._places(X)
        curve = LikenessCurve.of(float(self.min_dist))
        layout = free_layout(self.graph_, first, curve, int(self.negative_sample_rate), self._seeds.order)
        if self._is_new:
            self._begin(rows.X, columns, layout)
        shares = np.cumsum(weights, axis=1)
        shares /= np.maximum(shares[:, -1:], np.finfo(np.float32).tiny)
        tables = {"X": X, "layout": layout, "neighbors": neighbors.indices, "shares": shares}
        if self._reconstructs:
            tables["columns"] = columns
        return _engine.Data(
            (np.arange(len(X), dtype=np.int32),),
            sample_weight=row_weights,
            tables={name: padded(table) for name, table in tables.items()},
        )

    def _neighbors_of(self, X: NDArray[Any], columns: NDArray[np.float32]) -> Neighbors:
        k, seed = int(self.n_neighbors), self._seeds.split
        if self.neighbors is not None:
            return neighbors_of_graph(self._given_graph(X), k)
        ranges = self._deformations()
        if ranges is not None:
            return neighbors_of_images(X, self._image_shape(), k, ranges=ranges, seed=seed)
        if self.metric in ("euclidean", "l2"):
            return nearest_neighbors(columns, k, metric="euclidean", seed=seed)
        return nearest_neighbors(X, k, metric=self.metric, seed=seed)

    def _given_graph(self, X: NDArray[Any]) -> Any:
        graph = self.neighbors if sparse.issparse(self.neighbors) else clone(self.neighbors).fit_transform(X)
        if not sparse.issparse(graph) or graph.shape != (len(X), len(X)):
            raise ValueError(
                f"The 'neighbors' parameter of {type(self).__name__} must give a sparse matrix of shape "
                f"{(len(X), len(X))}, the distances of each row of X to its neighbours. Got one of shape {graph.shape}."
            )
        return graph

    def _places(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the network answers to rows."""
        return self._answers(self._network, X, output=EMBEDDING if self._reconstructs else None)

    def _begin(self, X: NDArray[Any], columns: NDArray[np.float32], layout: NDArray[np.float32]) -> None:
        """Give the layers that know the rows or the layout their first weights."""
        is_image = self.image_shape is not None
        project_on_axes(self._network, self._axes, is_image=is_image, reconstructs=self._reconstructs)
        if is_image:
            moments = moments_of_all_values(X, None)
            self._network.assign_weights(STANDARDIZATION, [np.array(moment) for moment in moments])
        if self._n_landmarks:
            begin_at_landmarks(self._network, columns, layout, self._n_landmarks, self._seeds.weights)
        self._is_new = False

    def _after_training(self, train: TrainingRows) -> None:
        self._decoder = None

    # --- the network --------------------------------------------------------------------------------------------

    @property
    def _encoded_shape(self) -> tuple[int, int]:
        return 1, int(self.n_features_in_)

    def _check_shapes_of(self, model: keras.Model) -> None:
        super()._check_shapes_of(model)
        n_outputs = int(self.n_features_in_ if self._reconstructs else self.n_components_)
        names = [layer.name for layer in model.layers]
        if model.output_shape[-1] != n_outputs or (self._reconstructs and EMBEDDING not in names):
            inner = f", and a layer named {EMBEDDING!r}" if self._reconstructs else ""
            raise ValueError(
                f"{type(self).__name__} needs a model with {n_outputs} outputs for a row{inner}. "
                f"Got one with {model.output_shape[-1]} outputs and the layers {', '.join(names)}."
            )

    def _take_model(self, model: keras.Model) -> None:
        self._decoder = None

    @property
    def _reconstructs(self) -> bool:
        return self.reconstruction_weight > 0

    def _image_shape(self) -> tuple[int, int, int]:
        owner = type(self).__name__
        return image_shape_of(owner, check_image_shape(owner, self.image_shape), (int(self.n_features_in_),))

    def _first_learning_rate(self) -> Any:
        if self.learning_rate != "auto":
            return self.learning_rate
        return _RATE_OF_RADIAL_UNITS if self._uses_landmarks and not self._reconstructs else _RATE_OF_OTHERS

    def _head(self) -> Head:
        return Head(None, int(self.n_components), "linear")

    def _architecture(self, head: Head) -> EmbeddingArchitecture:
        is_image = self.image_shape is not None
        if isinstance(self.hidden_layer_sizes, str):
            sizes: tuple[int, ...] = _DENSE_LAYERS_OF_IMAGES if is_image else ()
        else:
            sizes = check_sizes(type(self).__name__, "hidden_layer_sizes", self.hidden_layer_sizes)
        ranges = self._deformations()
        return EmbeddingArchitecture(
            n_features=int(self.n_features_in_),
            n_columns=self._axes.kernel.shape[1],
            n_components=head.n_outputs,
            n_landmarks=self._n_landmarks,
            hidden_layer_sizes=sizes,
            activations=self._activations({"hidden layer": len(sizes)}) if sizes else (),
            image_shape=self._image_shape() if is_image else None,
            augmentation=() if ranges is None else ranges.of_layer(),
            reconstructs=self._reconstructs,
            kernel_initializer=self.kernel_initializer,
        )

    def _settings(self, train: Any, held_out: Any, schedule: Schedule) -> _engine.Settings:
        curve = LikenessCurve.of(float(self.min_dist))
        step = neighbor_step(
            mixes=self.image_shape is None,
            n_negatives=int(self.negative_sample_rate),
            reconstructs=self._reconstructs,
            numbers={"a": curve.a, "b": curve.b, "reconstruction_weight": float(self.reconstruction_weight)},
        )
        return replace(super()._settings(train, held_out, schedule), step=step)

    def _auto_batch_size(self, n_rows: int) -> int:
        return int(np.clip(2 ** int(np.log2(max(n_rows, 8) / 8)), 32, _MAX_BATCH))

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        if epochs != "auto":
            return super()._n_epochs(epochs, n_rows, batch_size)
        most = _MOST_EPOCHS if self.image_shape is None else _MOST_EPOCHS_OF_IMAGES
        fewest = round(min(most, most * np.sqrt(_FEW_ROWS / n_rows)))
        return max(fewest, -(-_LEAST_STEPS // -(-n_rows // batch_size)))

    def _decoding(self) -> _engine.Network:
        """Return a network from places to rows, with the weights of now."""
        network = self._fitted_network()
        assert network is not None
        if self._decoder is None:
            layers = network.snapshot().model.layers
            behind = layers[[layer.name for layer in layers].index(EMBEDDING) + 1 :]
            model = keras.Sequential([keras.Input((self.n_components_,)), *behind])
            # The engine shares programs of compiled models.
            model.compile(optimizer="sgd", loss="mean_squared_error")
            self._decoder = _engine.Network.from_model(model)
        elif network.is_materialised:
            # Whoever has 'model_' may have changed its weights.
            decoder = self._decoder.model
            decoder.set_weights(network.get_weights()[-len(decoder.weights) :])
        return self._decoder


def padded(table: NDArray[Any]) -> NDArray[Any]:
    """Add empty rows up to a number of few digits, so that folds of about one size share a compiled program."""
    rest = -len(table) % unit_of(len(table))
    return np.concatenate([table, np.zeros((rest, *table.shape[1:]), table.dtype)]) if rest else table


def unit_of(n_rows: int) -> int:
    """Return the value of the fourth binary digit of a number, or one."""
    return int(2 ** max(0, n_rows.bit_length() - 4))
