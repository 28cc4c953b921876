"""scikeras's wrapper of regressors brought to today's scikit-learn: bring your own Keras model."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
import scikeras.wrappers
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import RegressorTags, Tags

from skneural._estimators.compiling import is_loss_of_keras, single_loss
from skneural._estimators.one_state import of_one_state
from skneural._estimators.supervised import SupervisedEstimator
from skneural._estimators.targets import RegressionTargets, check_values, to_safe_sizes
from skneural._rows.containers import shape_of
from skneural._types import Every, Folder, RandomState, Rows

from .outputs import count_outputs


class KerasRegressor(SupervisedEstimator, scikeras.wrappers.KerasRegressor):
    """A Keras model of your own as a scikit-learn regressor.

    It trains the model that ``model`` makes by minimising the mean over the rows of w_i * loss(y_i, f(x_i)), with the
    sample weights w_i scaled to a mean of one. The model sees y as it is given.

    Parameters
    ----------
    model : callable or keras.Model, default=None
        A function that returns a Keras model, compiled or not, or a ready model, which is copied. The function may take
        ``meta`` (a dict with ``n_features_in_``, ``X_shape_``, ``n_outputs_``, ``target_type_`` ...),
        ``compile_kwargs``, ``params``, and any parameter given as ``model__name`` or as a keyword here.
    build_fn : callable or keras.Model, default=None
        The old name of ``model``.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the network of the last fit.
    random_state : int, numpy.random.RandomState or None, default=None
        Draws initial weights, validation rows, the order of rows and dropout masks. An int gives the same result each
        time.
    checkpoint : str, path or None, default=None
        A folder in which the training is kept. After a kill the same ``fit``, on the same data with the same
        parameters, goes on from there and ends at the same weights; one that had ended comes back at once, and any
        other is an error. ``{fit}`` in its name stands for the fit: each then has a folder of its own. Needs an int as
        ``random_state``. Training that goes on from a fitted network is not kept. Where the model function has a
        parameter of this name, it is that function's alone.
    checkpoint_every : int, str or datetime.timedelta, default=1
        After how much the training is kept again: epochs, or a span of time, as a timedelta or as text that
        ``pandas.Timedelta`` reads ("5min"), at the end of the epoch in which it has passed.
    optimizer : str, keras.optimizers.Optimizer or class, default="rmsprop"
        Used where the model is not compiled yet. ``optimizer__learning_rate`` and the like go to its constructor.
    loss : str, keras.losses.Loss, class or callable, default=None
        Likewise. ``loss__name`` goes to its constructor.
    metrics : list, default=None
        Likewise.
    batch_size : int, default=None
        Rows per step. None means 32 and -1 all rows.
    validation_batch_size : int, default=None
        Rows per step of validation; None means ``batch_size``.
    verbose : int, default=0
        1 shows Keras's progress bar, 2 one line per epoch.
    callbacks : list, dict, keras.callbacks.Callback or class, default=None
        Keras callbacks; ``callbacks__name`` goes to the constructors of classes among them.
    validation_split : float, default=0.0
        Fraction of the rows split off for validation, drawn with ``random_state``.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    run_eagerly : bool, default=False
        Train step by step in Python, for debugging. Used where the model is not compiled yet.
    epochs : int, default=1
        Passes over the rows; 0 builds the network and trains nothing.
    **kwargs : dict
        Parameters of the model function, and routed parameters (``model__``, ``optimizer__``, ``loss__``,
        ``metrics__``, ``callbacks__``, ``compile__``, ``fit__``, ``predict__``).

    Attributes
    ----------
    model_ : keras.Model
        The trained model.
    n_outputs_ : int
        The number of columns of y.
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
    engine_ : {"native", "compiled", "keras"}
        What trained: the native engine, for dense layers with common losses, metrics and optimizers; the compiled
        engine; or Keras's own ``fit``, with the reason logged at level INFO.
    target_encoder_, feature_encoder_ : transformers
        From y and X to what the network takes.

    See Also
    --------
    DenseNetRegressor : A network of dense layers that needs no model function and scales y itself.
    KerasClassifier : The same for classes instead of numbers.

    References
    ----------
    A. Garcia Badaracco and the SciKeras developers, SciKeras 0.13, https://adriangb.com/scikeras.

    Examples
    --------
    >>> from skneural import KerasRegressor
    >>> import keras
    >>> import numpy as np
    >>> def build(meta):
    ...     return keras.Sequential([keras.Input((meta["n_features_in_"],)), keras.layers.Dense(1)])
    >>> X = np.linspace(-1, 1, 64).reshape(-1, 1)
    >>> regressor = KerasRegressor(build, loss="mse", optimizer="adam", optimizer__learning_rate=0.1,
    ...                            epochs=100, random_state=0)
    >>> bool(abs(regressor.fit(X, 3 * X[:, 0]).predict([[0.5]])[0] - 1.5) < 0.01)
    True
    """

    __module__ = "skneural"

    def __init__(
        self,
        model: Any = None,
        *,
        build_fn: Any = None,
        warm_start: bool = False,
        random_state: RandomState = None,
        checkpoint: Folder = None,
        checkpoint_every: Every = 1,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        batch_size: int | None = None,
        validation_batch_size: int | None = None,
        verbose: int = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        run_eagerly: bool = False,
        epochs: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            model=model,
            build_fn=build_fn,
            warm_start=warm_start,
            random_state=random_state,
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            batch_size=batch_size,
            validation_batch_size=validation_batch_size,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            shuffle=shuffle,
            run_eagerly=run_eagerly,
            epochs=epochs,
            **kwargs,
        )
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def __sklearn_tags__(self) -> Tags:
        return self._tags("regressor", regressor_tags=RegressorTags(), classifier_tags=None)

    @property
    def target_encoder(self) -> Any:
        """The transformer of y; a subclass may return another one with scikeras's protocol."""
        return RegressionTargets(scaling=None)

    def fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Rows | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Train a network on (X, y).

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to learn from.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, of which only the ratios count. A weight of zero equals the row left out.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows for validation; without them a share of X may be split off.
        **kwargs : dict
            Arguments of ``keras.Model.fit`` for this call. ``callbacks`` come behind those of the parameter.

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
        return self._fit_from(X, y, sample_weight, (X_val, y_val, sample_weight_val), kwargs)

    def partial_fit(
        self, X: Rows, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, **kwargs: Any
    ) -> Self:
        """Train for one more epoch on (X, y), going on from the present weights and optimizer state.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to learn from.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        **kwargs : dict
            Arguments of ``keras.Model.fit`` for this call. ``callbacks`` come behind those of the parameter.

        Returns
        -------
        self : estimator
            The fitted estimator.
        """
        return self._partial_fit_from(X, y, sample_weight, kwargs)

    @of_one_state
    def predict(self, X: Rows, **kwargs: Any) -> NDArray[np.float64]:
        """Return the prediction for each row.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to predict for.
        **kwargs : dict
            Arguments of ``keras.Model.predict``.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions in the units of y.
        """
        outputs = self._predict_raw(X, **kwargs)
        return self._as_column(self.target_encoder_.inverse_transform(outputs))

    def _check_outputs(self, model: keras.Model) -> None:
        encoder, n_outputs = self.target_encoder_, count_outputs(model, self._encoded_shape)
        if not isinstance(encoder, RegressionTargets) or n_outputs in (None, encoder.n_outputs_):
            return
        # A loss of the user's own may well want other outputs, such as a mean and a variance.
        if is_loss_of_keras(single_loss(model)):
            raise ValueError(
                f"The model of {type(self).__name__} has {n_outputs} outputs per row, but y has {encoder.n_outputs_}. "
                f"Its last layer needs units={encoder.n_outputs_} (meta['n_outputs_'] in a model function)."
            )

    def _validate_y(self, y: Any) -> NDArray[Any]:
        if not isinstance(self.target_encoder, RegressionTargets):
            return np.asarray(y)
        if self._keeps_columns and shape_of(y)[1:] == (1,):
            y = np.asarray(y).ravel()
        return check_values(y)

    def _for_scorer(self, y: Any, predictions: Any) -> tuple[Any, Any]:
        # R2 is a ratio of squares, whatever the units.
        is_ratio = self.scorer is scikeras.wrappers.KerasRegressor.scorer and isinstance(
            self.target_encoder_, RegressionTargets
        )
        return to_safe_sizes(y, predictions) if is_ratio else (y, predictions)
