"""scikeras's wrapper of classifiers brought to today's scikit-learn: bring your own Keras model."""

from __future__ import annotations

from typing import Any, Self

import keras
import numpy as np
import scikeras.wrappers
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.metaestimators import available_if

from skneural import _engine
from skneural._estimators.class_losses import MARGIN_LOSSES, gives_margins, layout_for, settle_metrics_of
from skneural._estimators.compiling import loss_name, single_loss
from skneural._estimators.one_state import of_one_state
from skneural._estimators.supervised import SupervisedEstimator
from skneural._estimators.targets import ClassTargets, check_labels
from skneural._rows.weights import class_weights
from skneural._types import ClassWeight, Every, Folder, RandomState, Rows

from .outputs import count_outputs


class KerasClassifier(SupervisedEstimator, scikeras.wrappers.KerasClassifier):
    """A Keras model of your own as a scikit-learn classifier.

    It trains the model that ``model`` makes by minimising the mean over the rows of w_i * loss(y_i, f(x_i)), where w_i
    is the product of sample and class weight, scaled to a mean of one.

    Parameters
    ----------
    model : callable or keras.Model, default=None
        A function that returns a Keras model, compiled or not, or a ready model, which is copied. The function may take
        ``meta`` (a dict with ``n_features_in_``, ``X_shape_``, ``n_classes_``, ``n_outputs_``, ``target_type_`` ...),
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
        Fraction of the rows split off for validation, stratified and drawn with ``random_state``.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    run_eagerly : bool, default=False
        Train step by step in Python, for debugging. Used where the model is not compiled yet.
    epochs : int, default=1
        Passes over the rows; 0 builds the network and trains nothing.
    class_weight : dict, "balanced" or list of dict, default=None
        Weights of the classes by label; "balanced" makes all classes weigh the same; for multilabel y one dict with
        the keys 0 and 1 per column. They multiply with ``sample_weight``, and as in Keras they do not weigh rows for
        validation. A label that the rows lack is ignored where each of their classes has a weight.
    **kwargs : dict
        Parameters of the model function, and routed parameters (``model__``, ``optimizer__``, ``loss__``,
        ``metrics__``, ``callbacks__``, ``compile__``, ``fit__``, ``predict__``).

    Attributes
    ----------
    model_ : keras.Model
        The trained model.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; for multilabel y the column numbers.
    n_classes_ : int
        The number of classes.
    n_outputs_ : int
        1, or for multilabel y the number of columns.
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
    DenseNetClassifier : A network of dense layers that needs no model function.
    KerasRegressor : The same for numbers instead of classes.

    References
    ----------
    A. Garcia Badaracco and the SciKeras developers, SciKeras 0.13, https://adriangb.com/scikeras.

    Examples
    --------
    >>> from skneural import KerasClassifier
    >>> import keras
    >>> from sklearn.datasets import load_iris
    >>> def build(meta, hidden=16):
    ...     return keras.Sequential([
    ...         keras.Input((meta["n_features_in_"],)),
    ...         keras.layers.Dense(hidden, activation="relu"),
    ...         keras.layers.Dense(meta["n_classes_"], activation="softmax"),
    ...     ])
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = KerasClassifier(
    ...     build, loss="sparse_categorical_crossentropy", optimizer="adam", epochs=50, random_state=0
    ... )
    >>> classifier.fit(X, y).predict_proba(X[:1]).shape
    (1, 3)
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
        class_weight: ClassWeight = None,
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
            class_weight=class_weight,
            **kwargs,
        )
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every

    def __sklearn_tags__(self) -> Tags:
        return self._tags("classifier", classifier_tags=ClassifierTags(multi_label=True), regressor_tags=None)

    @property
    def target_encoder(self) -> Any:
        """The transformer of y; a subclass may return another one with scikeras's protocol."""
        return ClassTargets(classes=getattr(self, "_all_classes", None))

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
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels of any type, or an indicator matrix.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, of which only the ratios count. A weight of zero equals the row left out.
        X_val, y_val, sample_weight_val : array-like, default=None
            Rows for validation; without them a share of X may be split off.
        **kwargs : dict
            Arguments of ``keras.Model.fit`` for this call. ``callbacks`` come behind those of the parameter,
            ``class_weight`` in its place, by label.

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
        declared = {"_all_classes": None}
        return self._fit_from(X, y, sample_weight, (X_val, y_val, sample_weight_val), kwargs, declared)

    def initialize(self, X: Rows, y: ArrayLike) -> Self:
        """Build the network for data of this shape without training it.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Rows like those to come.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their labels, each class among them.

        Returns
        -------
        self : estimator
            The estimator itself, ready to predict.
        """
        return self._initialize(X, y, {"_all_classes": None})

    def partial_fit(
        self,
        X: Rows,
        y: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        **kwargs: Any,
    ) -> Self:
        """Train for one more epoch on (X, y), going on from the present weights and optimizer state.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to learn from.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels there will ever be, needed in the first call where y lacks some.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        **kwargs : dict
            Arguments of ``keras.Model.fit`` for this call. ``callbacks`` come behind those of the parameter,
            ``class_weight`` in its place, by label.

        Returns
        -------
        self : estimator
            The fitted estimator.
        """
        if (
            self.initialized_
            and classes is not None
            and not np.array_equal(np.unique(np.asarray(classes)), self.classes_)
        ):
            raise ValueError(
                f"classes={np.unique(np.asarray(classes)).tolist()} is not the same as in the first call: "
                f"{self.classes_.tolist()}."
            )
        return self._partial_fit_from(X, y, sample_weight, kwargs, {"_all_classes": classes})

    @of_one_state
    def predict(self, X: Rows, **kwargs: Any) -> NDArray[Any]:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to classify.
        **kwargs : dict
            Arguments of ``keras.Model.predict``.

        Returns
        -------
        labels : ndarray of shape (n_samples,) or (n_samples, n_labels)
            Labels as in fit.
        """
        outputs = self._outputs(X, kwargs)
        return self._as_column(self.target_encoder_.inverse_transform(outputs))

    def _has_probabilities(self) -> bool:
        """Whether the network gives probabilities; what its loss says until there is one."""
        if self._gives_margins():
            name = loss_name(self.loss or single_loss(self.model_))
            raise AttributeError(
                f"A {type(self).__name__} trained with {name!r} gives margins and no probabilities. "
                "Use decision_function, or another loss."
            )
        return True

    def _gives_margins(self) -> bool:
        if self.initialized_:
            return getattr(self.target_encoder_, "outputs", None) == "margins"
        return loss_name(self.loss) in MARGIN_LOSSES

    @available_if(_gives_margins)
    @of_one_state
    def decision_function(self, X: Rows, **kwargs: Any) -> NDArray[np.float32]:
        """Return the margin of each class, for the losses "hinge" and "squared_hinge" only.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to classify.
        **kwargs : dict
            Arguments of ``keras.Model.predict``.

        Returns
        -------
        margins : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes that of the second one, which is predicted where it is above zero. For more of them the
            largest one decides; for multilabel y each column has its own.
        """
        margins: NDArray[np.float32] = self.target_encoder_.margins(self._outputs(X, kwargs))
        return margins

    @available_if(_has_probabilities)
    @of_one_state
    def predict_log_proba(self, X: Rows, **kwargs: Any) -> NDArray[np.float32]:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to classify.
        **kwargs : dict
            Arguments of ``keras.Model.predict``.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``, minus infinity where a probability is zero.
        """
        probabilities = self.predict_proba(X, **kwargs)
        with np.errstate(divide="ignore"):
            return np.log(probabilities)

    @available_if(_has_probabilities)
    @of_one_state
    def predict_proba(self, X: Rows, **kwargs: Any) -> NDArray[np.float32]:
        """Return the probability of each class; not there for losses of margins.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Rows to classify.
        **kwargs : dict
            Arguments of ``keras.Model.predict``.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``. Each row sums to one, except for multilabel y, where each column is the
            probability of one label.

        Raises
        ------
        ValueError
            For a network whose outputs are no probabilities.
        """
        outputs = self._outputs(X, kwargs)
        probabilities: NDArray[np.float32] = self.target_encoder_.inverse_transform(outputs, return_proba=True)
        return probabilities

    def _outputs(self, X: Any, arguments: dict[str, Any]) -> NDArray[np.float32]:
        """Outputs of the network as probabilities, shape (n, n_outputs)."""
        outputs = self._predict_raw(X, **arguments)
        if not self._gives_logits:
            return outputs
        activation = keras.ops.sigmoid if outputs.shape[-1] == 1 or self._is_multilabel() else keras.ops.softmax
        return np.asarray(activation(outputs))

    def _is_multilabel(self) -> bool:
        return bool(getattr(self.target_encoder_, "is_multilabel", False))

    def _validate_y(self, y: Any) -> NDArray[Any]:
        if not isinstance(self.target_encoder, ClassTargets):
            return np.asarray(y)
        return check_labels(y)[0]

    def _for_scorer(self, y: Any, predictions: Any) -> tuple[Any, Any]:
        is_ours = isinstance(self.target_encoder_, ClassTargets)
        return check_labels(y, warn=False)[0] if is_ours else y, predictions

    def _class_weights(self, class_weight: Any, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        if class_weight is None:
            return None
        if y.ndim == 2 and getattr(self.target_encoder, "exclusive_columns", False) and (y.sum(axis=1) == 1).all():
            y, classes = y.argmax(axis=1), np.arange(y.shape[1])
        known = getattr(self, "_all_classes", None) if classes is None else classes
        return class_weights(type(self).__name__, class_weight, y, known)

    def _strata(self, y: NDArray[Any]) -> NDArray[Any] | None:
        if self._is_multilabel():
            return None
        return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.ravel()

    def _build_network(self, seed: int) -> _engine.Network:
        network = super()._build_network(seed)
        if self._is_multilabel():
            settle_metrics_of(network.model)
        return network

    def _take_model(self, model: keras.Model) -> None:
        loss, encoder = single_loss(model), self.target_encoder_
        if isinstance(encoder, ClassTargets):
            n_outputs = count_outputs(model, self._encoded_shape)
            encoder.set_params(
                layout=layout_for(loss, n_outputs),
                outputs="margins" if gives_margins(model, loss) else "probabilities",
                n_columns=n_outputs,
            )
        self._gives_logits = bool(getattr(loss, "from_logits", False))

    def _check_outputs(self, model: keras.Model) -> None:
        encoder, n_outputs = self.target_encoder_, count_outputs(model, self._encoded_shape)
        if not isinstance(encoder, ClassTargets) or n_outputs in (None, encoder.n_classes_):
            return
        # One class is the answer of any network.
        if encoder.target_type_ == "binary" and (n_outputs == 1 or encoder.n_classes_ == 1):
            return
        raise ValueError(
            f"The model of {type(self).__name__} has {n_outputs} outputs per row, but y has {encoder.n_classes_} "
            f"{'labels' if encoder.is_multilabel else 'classes'}. Its last layer needs units={encoder.n_classes_} "
            "(meta['n_classes_'] in a model function)."
        )
