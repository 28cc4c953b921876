"""How networks for tables are trained: members that each leave a fold of the rows out, and are judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags

from skneural import _engine
from skneural._architectures.table_encoding import TableEncoding
from skneural._architectures.tabular import ENCODING, TabularArchitecture, build_tabular
from skneural._estimators.base import Validation
from skneural._estimators.keras_arguments import Schedule
from skneural._rows.tables import TableColumns
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import are_few
from skneural._types import Rows

from .base import FamilyEstimator, Head, check_sizes
from .members import Members, OfMembers

# Each member leaves at most this share of the rows out.
_FEWEST_FOLDS = 5
# What "auto" stands for: steps of a training, and the share of its epochs to wait for a better one.
_N_STEPS, _MOST_EPOCHS = 1200, 400
_PATIENCE = 0.3
_OF_VALIDATION = ("validation_score_", "validation_predictions_", "feature_importances_", "temperature_")


class TabularTraining(OfMembers):
    """A family that takes tables as they are, and trains its members each on all folds of the rows but one."""

    _count_words: ClassVar = {**FamilyEstimator._count_words, "epochs": ("auto",)}
    _build = staticmethod(build_tabular)
    _reads_in_parts = False
    embedding_size: int | None
    _folds: NDArray[np.intp] | None
    _dealt: DealtRows | None
    _columns: TableColumns

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.sparse = False
        return tags

    # --- from tables to arrays ----------------------------------------------------------------------------------

    def _validate_rows(self, X: Any, *, reset: bool) -> Any:
        if not reset:
            return self._columns.array_of(self, X)
        self._columns, rows = TableColumns.seen(self, X)
        return rows

    @property
    def categories_(self) -> list[NDArray[Any] | None]:
        """The values of each column that holds categories, in the order of their codes; None for numbers."""
        return list(self._columns.categories)

    def coded(self, X: Rows) -> NDArray[np.float32]:
        """Return a table as ``model_`` takes it: numbers as they are, categories as their places in ``categories_``.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows with the columns of fit.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features)
            NaN stands for what is missing, -1 for a category that fit has not seen.
        """
        rows: NDArray[Any] = self._encode_features(self._validate_rows(self._opened(X), reset=False))
        return np.ascontiguousarray(rows, np.float32)

    def _encode(self, rows: TrainingRows) -> TrainingRows:
        # A row of weight two is then the row twice, also where rows are left out.
        return merged(super()._encode(rows)._replace(origin=_origin_of(rows)))

    # --- the network --------------------------------------------------------------------------------------------

    def _learn(self, rows: TrainingRows) -> None:
        super()._learn(rows)
        encoded = rows._replace(y=self.target_encoder_.transform(rows.y)).without_weightless()
        seen = merged(encoded)
        self._begin_with(seen)
        self._encoding = TableEncoding.of(
            seen.X,
            seen.weights,
            self._columns.n_codes,
            self.numeric_encoding,
            int(self.n_bins),
            self._seeds.weights,
        )

    def _begin_with(self, rows: TrainingRows) -> None:
        """Learn from encoded rows what the network begins with."""

    def _architecture(self, head: Head) -> TabularArchitecture:
        sizes = check_sizes(type(self).__name__, "hidden_layer_sizes", self.hidden_layer_sizes)
        return TabularArchitecture(
            n_features=int(self.n_features_in_),
            columns=self._encoding.columns,
            hidden_layer_sizes=sizes,
            activations=self._activations({"hidden layer": len(sizes)}),
            n_outputs=head.n_outputs,
            output_activation=head.activation,
            dropout=float(self.dropout),
            l2=float(self.l2),
            kernel_initializer=self.kernel_initializer,
            embedding_size=None if self.embedding_size is None else int(self.embedding_size),
        )

    def _build_network(self, seed: int) -> Any:
        members: Members = super()._build_network(seed)
        for network in members.networks:
            network.assign_weights(ENCODING, [self._encoding.numbers])
            output, (kernel, bias) = _output_of(network)
            network.assign_weights(output, [kernel, self._first_outputs(bias)])
        return members

    def _first_outputs(self, bias: NDArray[np.float32]) -> NDArray[Any]:
        """Give the biases of the outputs, shape (n_outputs,), that a network is to begin with."""
        return bias

    def _merges_rows(self, network: Any) -> bool:
        return False

    # --- folds --------------------------------------------------------------------------------------------------

    def _validation_share(self, schedule: Schedule) -> float:
        return 0.0

    def _split(
        self, rows: TrainingRows, validation: Validation, schedule: Schedule
    ) -> tuple[TrainingRows, TrainingRows | None]:
        self._folds = self._dealt = None
        is_split = validation[0] is not None or "validation_split" in schedule.arguments
        n_folds = max(int(self.n_members), _FEWEST_FOLDS)
        if is_split or schedule.is_partial or not self.early_stopping or rows.n_rows < 2 * n_folds:
            return super()._split(rows, validation, schedule)
        self._folds = fold_numbers(self._strata(rows.y), rows.n_rows, n_folds, self._seeds.split)
        self._dealt = DealtRows.of(rows, self._folds, int(self.n_members))
        return self._dealt.learned_from(0), None

    def _rows_of_member(
        self, place: int, train: TrainingRows, held_out: TrainingRows | None
    ) -> tuple[TrainingRows, TrainingRows | None]:
        if self._dealt is None:
            return train, held_out
        left_out = self._dealt.left_out(place)
        # By another loss than that of the training, weights of classes would be stopped away.
        judged = left_out.for_training()
        has_weight = judged.weights is None or bool((judged.weights > 0).any())
        judged = judged.without_weightless() if has_weight else left_out.for_judging()
        return self._weighted_by_class(self._dealt.learned_from(place)), judged

    def _run(
        self, train: TrainingRows, held_out: TrainingRows | None, settings: _engine.Settings, schedule: Schedule
    ) -> _engine.Result:
        # What an earlier training has left of its rows that were left out is no longer true.
        self._divide_outputs(1 / getattr(self, "temperature_", 1.0))
        for name in _OF_VALIDATION:
            self.__dict__.pop(name, None)
        return super()._run(train, held_out, settings, schedule)

    # --- one training run ---------------------------------------------------------------------------------------

    def _settings(self, train: Any, held_out: Any, schedule: Schedule) -> _engine.Settings:
        settings = super()._settings(train, held_out, schedule)
        if settings.early_stopping is None or self.n_iter_no_change != "auto":
            return settings
        patience = max(5, round(_PATIENCE * settings.epochs))
        return replace(settings, early_stopping=replace(settings.early_stopping, patience=patience))

    def _early_stopping(self, schedule: Schedule, *, is_judged: bool) -> _engine.EarlyStopping | None:
        if not self.early_stopping or schedule.is_partial or not (is_judged or self._folds is not None):
            return None
        patience = 1 if self.n_iter_no_change == "auto" else int(min(self.n_iter_no_change, 2**31))
        return _engine.EarlyStopping("val_loss", patience=patience, min_delta=float(self.tol))

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        return auto_epochs(n_rows, batch_size) if epochs == "auto" else super()._n_epochs(epochs, n_rows, batch_size)

    def _auto_batch_size(self, n_rows: int) -> int:
        return auto_batch_size(n_rows)

    # --- what the left-out rows tell ----------------------------------------------------------------------------

    def _after_training(self, rows: TrainingRows) -> None:
        folds, self._folds, self._dealt = self._folds, None, None
        members = self._network
        self.histories_: list[Mapping[str, list[float]]] = getattr(members, "histories", [])
        if folds is None or not isinstance(members, Members):
            return
        is_left_out = folds < len(members.networks)
        # Of what outputs are compared with, X is no part.
        judged = rows._replace(X=np.empty((rows.n_rows, 0))).take(is_left_out)
        outputs = _left_out_outputs(members, rows.X, folds)[is_left_out]
        outputs = self._calibrated(judged, outputs)
        self.validation_score_ = self._validation_score(judged, outputs)
        if self.compute_importances:
            self.feature_importances_ = self._importances(members, rows.X, folds, judged)
        if self.store_validation_predictions:
            full = np.full((rows.n_rows, outputs.shape[1]), np.nan, np.float32)
            full[is_left_out] = outputs
            self.validation_predictions_ = self._predictions_of_origin(full, is_left_out, rows.origin)

    def _importances(
        self, members: Members, X: NDArray[Any], folds: NDArray[np.intp], judged: TrainingRows
    ) -> NDArray[np.float64]:
        """Give how much the score of left-out rows falls when a column is permuted among those of each fold."""
        is_left_out = folds < len(members.networks)
        rng = np.random.default_rng(self._seeds.split)
        drawn = rng.permutation(len(folds))
        # Rows of each fold in their order, and in a drawn one.
        sources, places = drawn[np.argsort(folds[drawn], kind="stable")], np.argsort(folds, kind="stable")
        permuted = np.array(X)
        scores = []
        for column in range(permuted.shape[1]):
            permuted[places, column] = X[sources, column]
            outputs = _left_out_outputs(members, permuted, folds)[is_left_out]
            scores.append(self.validation_score_ - self._validation_score(judged, outputs))
            permuted[:, column] = X[:, column]
        return np.array(scores)

    def _calibrated(self, rows: TrainingRows, outputs: NDArray[Any]) -> NDArray[Any]:
        """Give outputs for rows that were left out as the network, changed by what they tell, would give them."""
        return outputs

    def _validation_score(self, rows: TrainingRows, outputs: NDArray[Any]) -> float:
        raise NotImplementedError

    def _read(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Give outputs as the user reads them: probabilities, or numbers in the units of y."""
        raise NotImplementedError

    def _predictions_of_origin(
        self, outputs: NDArray[Any], is_known: NDArray[np.bool_], origin: NDArray[np.intp] | None
    ) -> NDArray[Any]:
        """Give predictions for the user's own rows, NaN for those that no member has left out."""
        known = self._read(outputs[is_known])
        predictions = np.full((len(outputs), *known.shape[1:]), np.nan)
        predictions[is_known] = known
        if origin is None:
            return predictions
        found = predictions[origin]
        found[origin < 0] = np.nan
        return found

    def _divide_outputs(self, divisor: float) -> None:
        """Divide what the members give before the activation of their outputs."""
        members = self._network
        if divisor == 1.0 or not isinstance(members, Members):
            return
        for network in members.networks:
            output, values = _output_of(network)
            network.assign_weights(output, [value / divisor for value in values])


def _output_of(network: _engine.Network) -> tuple[str, list[NDArray[np.float32]]]:
    """Give the name of the layer of the outputs, with its kernel and bias."""
    model = network.any_model
    values = {id(one): value for one, value in zip(model.variables, network.variable_values(), strict=True)}
    output = model.layers[-1]
    return output.name, [values[id(weight)] for weight in output.weights]


def _left_out_outputs(members: Members, X: NDArray[Any], folds: NDArray[np.intp]) -> NDArray[np.float32]:
    """Give for each row what the member says that has not seen it, NaN where there is none."""
    answers = [_engine.predict(network, X[folds == place]) for place, network in enumerate(members.networks)]
    outputs = np.full((len(X), answers[0].shape[1]), np.nan, np.float32)
    for place, answer in enumerate(answers):
        outputs[folds == place] = answer
    return outputs


@dataclass(frozen=True)
class DealtRows:
    """Rows fold after fold, the first folds once more behind the last: what a member learns from lies in one piece.

    Member i leaves the i-th fold out and learns from those that follow it, so that no member needs rows of its own.
    """

    rows: TrainingRows
    ends: tuple[int, ...]
    n_folds: int

    @classmethod
    def of(cls, rows: TrainingRows, folds: NDArray[np.intp], n_members: int) -> DealtRows:
        """Lay rows out for so many members, from the number of each row's fold."""
        n_folds = int(folds.max()) + 1
        parts = [np.flatnonzero(folds == place % n_folds) for place in range(n_members + n_folds - 1)]
        ends = (0, *np.cumsum([len(part) for part in parts]).tolist())
        X = np.empty((ends[-1], *rows.X.shape[1:]), np.float32)
        for first, last, part in zip(ends, ends[1:], parts, strict=False):
            X[first:last] = rows.X[part]
        order = np.concatenate(parts)
        others = (None if one is None else one[order] for one in (rows.y, rows.weights, rows.class_weights))
        return cls(TrainingRows(X, *others), ends, n_folds)

    def left_out(self, place: int) -> TrainingRows:
        """Give the rows that a member is judged by."""
        return self._part(place, place + 1)

    def learned_from(self, place: int) -> TrainingRows:
        """Give the rows that a member learns from."""
        return self._part(place + 1, place + self.n_folds)

    def _part(self, first: int, last: int) -> TrainingRows:
        part = slice(self.ends[first], self.ends[last])
        return TrainingRows(*(None if array is None else array[part] for array in self.rows))


def fold_numbers(strata: NDArray[Any] | None, n_rows: int, n_folds: int, seed: int) -> NDArray[np.intp]:
    """Deal rows out to folds in a drawn order, those of each stratum one after the other; shape (n_rows,)."""
    order = np.random.default_rng(seed).permutation(n_rows)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    folds = np.empty(n_rows, np.intp)
    folds[order] = np.arange(n_rows) % n_folds
    return folds


def auto_batch_size(n_rows: int) -> int:
    """Return 64 rows for small tables, and 128 or 256 for larger ones."""
    return 64 if n_rows < 800 else 128 if n_rows < 1600 else 256


def auto_epochs(n_rows: int, batch_size: int) -> int:
    """Return how many epochs make the steps that most tables need, within 20 and 400."""
    n_steps = -(-n_rows // batch_size)
    return int(np.clip(round(_N_STEPS / n_steps), 20, _MOST_EPOCHS))


def _origin_of(rows: TrainingRows) -> NDArray[np.intp] | None:
    """Give the place of each row among those of a weight above zero; None where all have one."""
    if rows.weights is None or (rows.weights > 0).all():
        return None
    counts = rows.weights > 0
    return np.where(counts, np.cumsum(counts) - 1, -1)


def merged(rows: TrainingRows) -> TrainingRows:
    """Put each row in once, in sorted order, with the sum of its weights, where rows are so few that this is quick."""
    if rows.y is None or not are_few(rows.X):
        return rows
    # NaN differs from itself, and infinity is not among numbers that were validated.
    table = np.hstack([np.where(np.isnan(rows.X), np.inf, rows.X), rows.y.reshape(rows.n_rows, -1)])
    _, first, group = np.unique(table, axis=0, return_index=True, return_inverse=True)
    group = group.ravel()
    weights = np.bincount(group, weights=rows.weights, minlength=len(first)).astype(np.float64)
    origin = group if rows.origin is None else np.where(rows.origin < 0, -1, group[rows.origin])
    by_class = None if rows.class_weights is None else rows.class_weights[first]
    return TrainingRows(rows.X[first], rows.y[first], weights, by_class, origin)
