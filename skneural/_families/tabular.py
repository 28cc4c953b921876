"""Networks for tables with numbers, categories and holes."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score

from skneural._architectures.table_encoding import ENCODINGS
from skneural._compat.scikit_names import Interval, StrOptions
from skneural._estimators.targets import scaling_for
from skneural._routed import Routed
from skneural._rows.tables import FROM_DTYPE
from skneural._rows.training_rows import TrainingRows
from skneural._types import ClassWeight, Every, Folder, RandomState

from .base import CLASSIFIER_CONSTRAINTS, SHARED_CONSTRAINTS, Head
from .paragraphs import Paragraphs, with_shared_paragraphs
from .supervised import FamilyClassifier, FamilyRegressor
from .tabular_calibration import activated, best_temperature, logits_of
from .tabular_paragraphs import ATTRIBUTES, PARAMETERS
from .tabular_targets import BoundedTargets, QuantileLoss, QuantileScore
from .tabular_training import TabularTraining

_TABULAR_CONSTRAINTS = {
    **SHARED_CONSTRAINTS,
    "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
    "n_members": [Interval(Integral, 1, None, closed="left")],
    "numeric_encoding": [StrOptions(set(ENCODINGS))],
    "n_bins": [Interval(Integral, 1, None, closed="left")],
    "embedding_size": [Interval(Integral, 1, None, closed="left"), None],
    "categorical_features": ["array-like", StrOptions({FROM_DTYPE}), None],
    "epochs": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
    "n_iter_no_change": [StrOptions({"auto"}), *SHARED_CONSTRAINTS["n_iter_no_change"]],
    "store_validation_predictions": ["boolean"],
    "compute_importances": ["boolean"],
}


class _TabularNet(TabularTraining):
    """What classifier and regressor say of themselves alike."""

    _parameter_paragraphs: ClassVar[Paragraphs] = PARAMETERS
    _attribute_paragraphs: ClassVar[Paragraphs] = {
        **ATTRIBUTES,
        "engine_": (
            '{"native", "compiled", "keras"}',
            "What trained: the native engine, for common losses, metrics and optimizers; the compiled engine; or "
            "Keras's own ``fit``, with the reason logged at level INFO.",
        ),
    }


@with_shared_paragraphs
class TabularNetClassifier(_TabularNet, FamilyClassifier):
    """Networks that classify the rows of a table with numbers, categories and holes, as it is.

    Each of ``n_members`` networks minimises the mean over its rows of w_i * loss(y_i, f(x_i)) plus l2 times the sum of
    squared kernel weights, where the loss is the cross-entropy in nats, and w_i is the product of sample and class
    weight, scaled to a mean of one; the fold that it leaves out says when to stop. Probabilities are the mean of the
    members', each of which is softmax(z / T) of its outputs z, with the T that suits the left-out rows best.

    Parameters
    ----------
    calibrated : bool, default=True
        Whether the members' outputs are divided by one temperature T, chosen by the cross-entropy of left-out rows
        (Guo et al. 2017).

    Attributes
    ----------
    temperature_ : float
        The temperature T; only with ``calibrated`` where rows were left out.

    See Also
    --------
    TabularNetRegressor : The same for numbers instead of classes.
    DenseNetClassifier : One network of dense layers for columns of numbers that are scaled already.
    sklearn.ensemble.HistGradientBoostingClassifier : Trees for the same tables.

    Notes
    -----
    A missing number is seen as the average one, and as missing; a missing category, and one that fit has not seen, as
    none of those that fit has. Beyond the 256 most frequent categories of a column the others count as not seen. Bools
    are numbers, times are refused. A column of one value alone is not seen. Sparse tables are refused.

    ``partial_fit`` trains all members on all rows, as the columns were seen in the first call.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko (2022), On Embeddings for Numerical Features in Tabular Deep Learning,
    section 3.2, https://arxiv.org/abs/2203.05556.
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
    Tabular Data, section 3, https://arxiv.org/abs/2407.04491.
    C. Guo, G. Pleiss, Y. Sun, K. Weinberger (2017), On Calibration of Modern Neural Networks, section 4.2,
    https://arxiv.org/abs/1706.04599.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skneural import TabularNetClassifier
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"size": rng.normal(size=200), "kind": rng.choice(["a", "b", None], 200)})
    >>> y = np.where((table["size"] > 0) == (table["kind"] == "a"), "yes", "no")
    >>> classifier = TabularNetClassifier(random_state=0).fit(table, y)
    >>> bool(classifier.validation_score_ > 0.9)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {
        **_TABULAR_CONSTRAINTS,
        **CLASSIFIER_CONSTRAINTS,
        "calibrated": ["boolean"],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (256, 256),
        *,
        n_members: int = 5,
        numeric_encoding: str = "piecewise_linear",
        n_bins: int = 16,
        embedding_size: int | None = None,
        categorical_features: Any = "from_dtype",
        activation: Any = "relu",
        dropout: float = 0.25,
        l2: float = 1e-5,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 2e-3,
        learning_rate_schedule: str = "coslog4",
        loss: Any = "auto",
        metrics: Any = "accuracy",
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        shuffle: bool = True,
        class_weight: ClassWeight = None,
        early_stopping: bool = True,
        n_iter_no_change: float | str = "auto",
        tol: float = 0.0,
        calibrated: bool = True,
        store_validation_predictions: bool = False,
        compute_importances: bool = False,
        warm_start: bool = False,
        callbacks: Any = None,
        checkpoint: Folder = None,
        checkpoint_every: Every = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_members = n_members
        self.numeric_encoding = numeric_encoding
        self.n_bins = n_bins
        self.embedding_size = embedding_size
        self.categorical_features = categorical_features
        self.activation = activation
        self.dropout = dropout
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
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.calibrated = calibrated
        self.store_validation_predictions = store_validation_predictions
        self.compute_importances = compute_importances
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)

    def _begin_with(self, rows: TrainingRows) -> None:
        head = self._head()
        truth = self._indicators(rows.y, head.n_outputs)
        # A class without a row is not impossible.
        shares = np.average(truth, axis=0, weights=rows.weights).clip(1 / (2 * len(truth)), 1 - 1 / (2 * len(truth)))
        self._first_shares = shares

    def _first_outputs(self, bias: NDArray[np.float32]) -> NDArray[Any]:
        activation = self._head().activation
        return bias if activation == "linear" else logits_of(self._first_shares, activation)

    def _calibrated(self, rows: TrainingRows, outputs: NDArray[Any]) -> NDArray[Any]:
        head = self._head()
        if not self.calibrated or head.activation not in ("softmax", "sigmoid"):
            return outputs
        logits, truth = logits_of(outputs, head.activation), self._indicators(rows.y, outputs.shape[1])
        self.temperature_ = best_temperature(logits, truth, rows.for_training().weights, head.activation)
        self._divide_outputs(self.temperature_)
        return activated(logits / self.temperature_, head.activation).astype(np.float32)

    def _indicators(self, y: Any, n_outputs: int) -> NDArray[np.float64]:
        """Give encoded targets as shares, shape (n, n_outputs)."""
        if n_outputs == 1 or y.shape[-1:] == (n_outputs,):
            return np.asarray(y, np.float64).reshape(len(y), n_outputs)
        return np.eye(n_outputs)[y.ravel().astype(int)]

    def _validation_score(self, rows: TrainingRows, outputs: NDArray[Any]) -> float:
        truth = self._indicators(rows.y, outputs.shape[1])
        labels = [self.target_encoder_.inverse_transform(one) for one in (truth, outputs)]
        return float(accuracy_score(*labels, sample_weight=rows.weights))

    def _read(self, outputs: NDArray[Any]) -> NDArray[Any]:
        if self.target_encoder_.outputs == "margins":
            return outputs
        shares = activated(outputs, self._shares_of()) if self._gives_logits else outputs
        probabilities: NDArray[Any] = self.target_encoder_.inverse_transform(shares, return_proba=True)
        return probabilities

    def _shares_of(self) -> str:
        return "sigmoid" if self._head().n_outputs == 1 or self._is_multilabel() else "softmax"


@with_shared_paragraphs
class TabularNetRegressor(_TabularNet, FamilyRegressor):
    """Networks that predict numbers for the rows of a table with numbers, categories and holes, as it is.

    Each of ``n_members`` networks minimises the mean over its rows of w_i * loss(z_i, f(x_i)) plus l2 times the sum of
    squared kernel weights, where z = (y - mean(y)) / std(y) for each output, and w_i is the sample weight, scaled to a
    mean of one; the fold that it leaves out says when to stop. Predictions are the mean of the members', in the units
    of y, and never beyond the least and the largest y seen.

    Parameters
    ----------
    loss : str, class, keras.losses.Loss or callable, default="squared_error"
        "squared_error", "absolute_error", "poisson" (of y >= 0), "quantile", or another one of Keras's.
    quantiles : float or sequence of float, default=None
        The quantiles that "quantile" learns, each within 0 and 1: one number for predictions of shape (n,), several for
        a column of each, which never cross. None is the median.

    See Also
    --------
    TabularNetClassifier : The same for classes instead of numbers.
    DenseNetRegressor : One network of dense layers for columns of numbers that are scaled already.
    sklearn.ensemble.HistGradientBoostingRegressor : Trees for the same tables.

    Notes
    -----
    A missing number is seen as the average one, and as missing; a missing category, and one that fit has not seen, as
    none of those that fit has. Beyond the 256 most frequent categories of a column the others count as not seen. Bools
    are numbers, times are refused. A column of one value alone is not seen. Sparse tables are refused.

    With "quantile", ``score`` is the mean over the quantiles of ``sklearn.metrics.d2_pinball_score``. ``model_`` gives
    scaled targets, without the bounds and with quantiles as they come.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko (2022), On Embeddings for Numerical Features in Tabular Deep Learning,
    section 3.2, https://arxiv.org/abs/2203.05556.
    D. Holzmüller, L. Grinsztajn, I. Steinwart (2024), Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
    Tabular Data, section 3, https://arxiv.org/abs/2407.04491.
    V. Chernozhukov, I. Fernandez-Val, A. Galichon (2010), Quantile and Probability Curves Without Crossing,
    https://doi.org/10.3982/ECTA7880.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skneural import TabularNetRegressor
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"size": rng.uniform(-2, 2, 200), "kind": rng.choice(["a", "b"], 200)})
    >>> y = 1e3 * np.where(table["kind"] == "a", np.sin(2 * table["size"]), table["size"])
    >>> bool(TabularNetRegressor(random_state=0).fit(table, y).validation_score_ > 0.9)
    True
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {
        **_TABULAR_CONSTRAINTS,
        "quantiles": ["array-like", Interval(Real, 0, 1, closed="neither"), None],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (256, 256),
        *,
        n_members: int = 5,
        numeric_encoding: str = "piecewise_linear",
        n_bins: int = 16,
        embedding_size: int | None = None,
        categorical_features: Any = "from_dtype",
        activation: Any = "relu",
        dropout: float = 0.15,
        l2: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        optimizer: Any = "adam",
        learning_rate: Any = 2e-3,
        learning_rate_schedule: str = "coslog4",
        loss: Any = "squared_error",
        quantiles: Any = None,
        metrics: Any = None,
        epochs: int | str = "auto",
        batch_size: int | str = "auto",
        shuffle: bool = True,
        early_stopping: bool = True,
        n_iter_no_change: float | str = "auto",
        tol: float = 0.0,
        store_validation_predictions: bool = False,
        compute_importances: bool = False,
        warm_start: bool = False,
        callbacks: Any = None,
        checkpoint: Folder = None,
        checkpoint_every: Every = 1,
        random_state: RandomState = None,
        verbose: int = 0,
        **routed: Unpack[Routed],
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.n_members = n_members
        self.numeric_encoding = numeric_encoding
        self.n_bins = n_bins
        self.embedding_size = embedding_size
        self.categorical_features = categorical_features
        self.activation = activation
        self.dropout = dropout
        self.l2 = l2
        self.kernel_initializer = kernel_initializer
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.loss = loss
        self.quantiles = quantiles
        self.metrics = metrics
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.store_validation_predictions = store_validation_predictions
        self.compute_importances = compute_importances
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.random_state = random_state
        self.verbose = verbose
        self._store_further(routed)

    @property
    def target_encoder(self) -> BoundedTargets:
        """The transformer between the user's units and those the network learns in."""
        shares = self._shares()
        return BoundedTargets(scaling_for(self._loss_name()), None if shares is None else len(shares))

    @property
    def scorer(self) -> Any:
        """What ``score`` calls: R2, or for quantiles the mean of their D2."""
        shares = self._shares()
        return super().scorer if shares is None else QuantileScore(shares)

    def _shares(self) -> tuple[float, ...] | None:
        """Return the quantiles to be learned, None for another loss."""
        if self.loss != "quantile":
            return None
        return (0.5,) if self.quantiles is None else tuple(float(share) for share in np.ravel(self.quantiles))

    def _loss_name(self) -> str:
        return _LOSSES.get(self.loss, super()._loss_name()) if isinstance(self.loss, str) else super()._loss_name()

    def _resolved_loss(self, loss: Any) -> Any:
        shares = self._shares()
        if shares is not None:
            return QuantileLoss(shares)
        return super()._resolved_loss(_LOSSES.get(loss, loss) if isinstance(loss, str) else loss)

    def _head(self) -> Head:
        head, shares = super()._head(), self._shares()
        return head if shares is None else Head(head.loss, len(shares), "linear")

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner, shares = type(self).__name__, self._shares()
        if shares is None and self.quantiles is not None:
            raise ValueError(
                f"The 'quantiles' parameter of {owner} needs loss='quantile'. Got {self.quantiles!r} and loss="
                f"{self.loss!r}."
            )
        if shares is not None and not (shares and all(0 < share < 1 for share in shares)):
            raise ValueError(
                f"The 'quantiles' parameter of {owner} must hold numbers in the range (0, 1). Got {self.quantiles!r}."
            )
        if shares is not None and list(shares) != sorted(set(shares)):
            raise ValueError(
                f"The 'quantiles' parameter of {owner} must be in ascending order. Got {self.quantiles!r}."
            )

    def _fit_target_encoder(self, rows: TrainingRows) -> BoundedTargets:
        encoder: BoundedTargets = super()._fit_target_encoder(rows)
        if encoder.n_quantiles is not None and encoder.n_outputs_ > 1:
            raise ValueError(
                f"The 'loss' parameter of {type(self).__name__} does not fit the target: 'quantile' is for one output, "
                f"but y has {encoder.n_outputs_}. Fit one estimator for each, for example by a MultiOutputRegressor."
            )
        return encoder

    def _validation_score(self, rows: TrainingRows, outputs: NDArray[Any]) -> float:
        truth = self.target_encoder_.of_targets(rows.y)
        return float(self.scorer(*self._for_scorer(truth, self._read(outputs)), sample_weight=rows.weights))

    def _read(self, outputs: NDArray[Any]) -> NDArray[Any]:
        predictions: NDArray[Any] = self.target_encoder_.inverse_transform(outputs)
        return predictions


_LOSSES = {
    "squared_error": "mean_squared_error",
    "absolute_error": "mean_absolute_error",
    # As far as scaling goes.
    "quantile": "mean_absolute_error",
}
