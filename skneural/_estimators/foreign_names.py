"""Names that users of scikit-learn's MLP, of scikeras, Keras and skorch write, and what to write here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

# Parameters that other libraries have -> what says the same here. The first table is for all estimators; of the
# others, one is for those that build their networks from parameters of their own, and one for models of the user's own.
_PARAMETERS: dict[str, str] = {
    "nb_epoch": "epochs=...",
    "nb_epochs": "epochs=...",
    "n_epochs": "epochs=...",
    "num_epochs": "epochs=...",
    "max_epochs": "epochs=...",
    "max_iter": "epochs=..., passes over the rows",
    "n_iter": "epochs=..., passes over the rows",
    "max_fun": "epochs=...: Keras has no L-BFGS",
    "solver": "optimizer=..., 'adam' or 'sgd' for example; Keras has no L-BFGS",
    "momentum": "optimizer__momentum=... with optimizer='sgd'",
    "nesterovs_momentum": "optimizer__nesterov=... with optimizer='sgd'",
    "beta_1": "optimizer__beta_1=...",
    "beta_2": "optimizer__beta_2=...",
    "epsilon": "optimizer__epsilon=...",
    "weight_decay": "optimizer__weight_decay=...",
    "clipnorm": "optimizer__clipnorm=...",
    "clipvalue": "optimizer__clipvalue=...",
    "decay": "a schedule such as keras.optimizers.schedules.InverseTimeDecay as learning rate",
    "criterion": "loss=...",
    "metric": "metrics=...",
    "class_weights": "class_weight=...",
    "seed": "random_state=...",
    "sample_weight": "sample_weight=... to fit",
    "validation_data": "X_val=... and y_val=... to fit",
    "X_val": "X_val=... to fit",
    "y_val": "y_val=... to fit",
    "workers": "parallel_fits() around a search, or its n_jobs",
    "n_jobs": "parallel_fits() around a search, or its n_jobs",
}
_NETWORK_PARAMETERS: dict[str, str] = {
    "alpha": "l2=..., times the sum of squared weights (MLP divides it by 2 and by the rows of a batch)",
    "learning_rate_init": "learning_rate=...",
    "lr": "learning_rate=...",
    "power_t": "learning_rate=keras.optimizers.schedules.InverseTimeDecay(...)",
    "init": "kernel_initializer=...",
    "init_mode": "kernel_initializer=...",
    "dropout_rate": "dropout=...",
    "patience": "n_iter_no_change=...",
    "min_delta": "tol=...",
    "restore_best_weights": "early_stopping=True, which keeps the best weights",
    "validation_split": "validation_fraction=... with early_stopping=True, or X_val and y_val to fit",
    "validation_batch_size": "fit__validation_batch_size=...",
    "run_eagerly": "compile__run_eagerly=...",
    "model": "a function or a ready model to KerasClassifier or KerasRegressor",
    "build_fn": "a function or a ready model to KerasClassifier or KerasRegressor",
    "module": "a function or a ready model to KerasClassifier or KerasRegressor",
}
_DENSE_PARAMETERS: dict[str, str] = dict.fromkeys(
    ("neurons", "units", "n_neurons", "n_hidden", "hidden_units", "hidden_layers", "layers"),
    "hidden_layer_sizes=..., one number for each hidden layer",
)
_MODEL_PARAMETERS: dict[str, str] = {
    "learning_rate": "optimizer__learning_rate=...",
    "learning_rate_init": "optimizer__learning_rate=...",
    "lr": "optimizer__learning_rate=...",
    "alpha": "kernel_regularizer=... to the layers in the model function",
    "l2": "kernel_regularizer=... to the layers in the model function",
    "power_t": "optimizer__learning_rate=keras.optimizers.schedules.InverseTimeDecay(...)",
    "early_stopping": "callbacks=keras.callbacks.EarlyStopping(...) with validation_split=...",
    "validation_fraction": "validation_split=...",
    "n_iter_no_change": "callbacks=keras.callbacks.EarlyStopping(patience=...)",
    "patience": "callbacks=keras.callbacks.EarlyStopping(patience=...)",
    "tol": "callbacks=keras.callbacks.EarlyStopping(min_delta=...)",
    "module": "model=...",
    "sk_params": "its entries as parameters",
}

# Attributes and methods that other libraries have -> what says the same here.
_ATTRIBUTES: Mapping[str, str] = {
    "predict_classes": "predict, which gives labels",
    "history": "history_, a dict of losses and metrics, or model_.history",
    "sk_params": "get_params()",
    "coefs_": "model_.get_weights(), kernels and biases in turn",
    "intercepts_": "model_.get_weights(), kernels and biases in turn",
    "n_layers_": "len(model_.layers)",
    "out_activation_": "model_.layers[-1].activation",
    "loss_": "loss_curve_[-1]",
    "best_loss_": "min(loss_curve_)",
    "t_": "model_.optimizer.iterations, which counts steps",
    "validation_scores_": "history_['val_loss'] and its like for the metrics",
    "best_validation_score_": "min(history_['val_loss']), or best_epoch_",
    "module_": "model_",
    "module": "model_",
}

# Values of parameters that other libraries have -> what says the same here.
_VALUES: Mapping[str, Mapping[str, str]] = {
    "activation": {"logistic": "'sigmoid'", "identity": "'linear'", "leakyrelu": "'leaky_relu'"},
    "optimizer": {
        "lbfgs": "'adam'; Keras has no L-BFGS, and for few rows more epochs and a larger learning rate do its work",
        "l-bfgs": "'adam'; Keras has no L-BFGS",
        "momentum": "'sgd' with optimizer__momentum=0.9",
        "lossscaleoptimizer": "a ready keras.optimizers.LossScaleOptimizer(...)",
        "multioptimizer": "a ready keras.optimizers.MultiOptimizer(...)",
    },
    "loss": {
        "log_loss": "'binary_crossentropy' or 'sparse_categorical_crossentropy'",
        "cross_entropy": "'binary_crossentropy' or 'sparse_categorical_crossentropy'",
        "crossentropy": "'binary_crossentropy' or 'sparse_categorical_crossentropy'",
        "squared_error": "'mean_squared_error'",
        "absolute_error": "'mean_absolute_error'",
    },
    "metrics": {
        "f1": "'f1_score'",
        "roc_auc": "'auc'",
        "r2": "'r2_score'",
        "balanced_accuracy": "'recall', or score the estimator with scikit-learn's balanced_accuracy_score",
        "rmse": "'root_mean_squared_error'",
    },
    "learning_rate": {
        "adaptive": "a number, with callbacks=keras.callbacks.ReduceLROnPlateau(monitor='loss', patience=2)",
        "invscaling": "keras.optimizers.schedules.InverseTimeDecay(...)",
        "constant": "a number, which stays constant unless learning_rate_schedule says otherwise",
    },
}
# Classes that nobody can choose by name alone: they need arguments, or are the bases of others.
_NOT_BY_NAME = frozenset(
    {
        "lossscaleoptimizer", "multioptimizer", "mean", "sum", "mean_metric_wrapper", "io_u", "mean_io_u",
        "one_hot_io_u", "one_hot_mean_io_u", "precision_at_recall", "recall_at_precision",
        "sensitivity_at_specificity", "specificity_at_sensitivity", "ctc", "stft", "stft_initializer",
        "identity_initializer", "orthogonal_initializer",
    }
)  # fmt: skip


def parameter_hint(name: str, known: Iterable[str], *, has_model_function: bool) -> str:
    """Say what to write instead of a parameter that an estimator does not have: a sentence behind a space, or nothing.

    ``known`` are the names that it has, among which a misspelt one is looked for.
    """
    known = list(known)
    table = _PARAMETERS | (_MODEL_PARAMETERS if has_model_function else _NETWORK_PARAMETERS)
    if "hidden_layer_sizes" in known:
        table |= _DENSE_PARAMETERS
    if name in table:
        return f" Give {table[name]}."
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""


def argument_hint(name: str) -> str | None:
    """Say what to write instead of an argument of ``fit`` that Keras once had, None for other names."""
    found = _PARAMETERS.get(name)
    return f"Give {found}." if found is not None and "to fit" not in found else None


def attribute_hint(name: str) -> str:
    """Say what to read instead of an attribute that there is not: a sentence behind a space, or nothing."""
    return f" Use {_ATTRIBUTES[name]}." if name in _ATTRIBUTES else ""


def value_hint(parameter: str, value: str, known: Iterable[str]) -> str:
    """Say what to write instead of an unknown name that a parameter has got."""
    foreign = _VALUES.get(parameter, {}).get(value.lower())
    if foreign is not None:
        return f"Give {foreign}."
    choices = sorted(set(known) - _NOT_BY_NAME)
    nearest = difflib.get_close_matches(value.lower(), choices, n=1, cutoff=0.5)
    return f"Did you mean {nearest[0]!r}?" if nearest else f"Known names: {', '.join(choices)}."


def foreign_value(parameter: str, value: object) -> str | None:
    """Say what to write instead of a name that other libraries know, None for all other values."""
    table = _VALUES.get(parameter, {})
    return f"Give {table[value]}." if isinstance(value, str) and value in table else None
