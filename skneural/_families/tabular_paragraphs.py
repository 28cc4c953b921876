"""Paragraphs of the docstrings of networks for tables."""

from __future__ import annotations

from .paragraphs import Paragraphs

PARAMETERS: Paragraphs = {
    "n_members": (
        "int",
        "Networks whose answers are averaged. Each leaves one of ``max(5, n_members)`` folds of the rows out, by which "
        "``early_stopping`` judges it.",
    ),
    "numeric_encoding": (
        '{"piecewise_linear", "periodic", "plain"}',
        "What the network sees of a number beside the number itself, scaled by median and quartiles and softly clipped "
        "at 3: how far it lies in each of ``n_bins`` bins of equally many rows, ``n_bins`` cosines of it, or "
        "nothing.",
    ),
    "n_bins": ("int", "Bins or cosines of each column of numbers."),
    "embedding_size": (
        "int or None",
        "Numbers of the trained vector by which a category of a column with more than 9 is seen; of one that is "
        "missing or that fit has not seen, all are zero. ``l2`` does not count them. With None, and in columns of at "
        "most 9 categories, each is a one in a place of its own.",
    ),
    "categorical_features": (
        'array-like, "from_dtype" or None',
        'Columns of categories, by names, places or a mask. With "from_dtype" these are the columns of data frames '
        "that hold strings, categories or objects other than numbers; with None there are none.",
    ),
    "epochs": (
        'int or "auto"',
        'Passes over the rows; the most passes with ``early_stopping``. "auto" makes about 1,200 steps, in 20 to 400 '
        "passes.",
    ),
    "batch_size": (
        'int or "auto"',
        'Rows per step. "auto" is 64 below 800 rows to learn from, 128 below 1,600, else 256.',
    ),
    "class_weight": (
        'dict, "balanced" or list of dict',
        'Weights of the classes by label; "balanced" makes all classes weigh the same; for multilabel y one dict with '
        "the keys 0 and 1 per column. They multiply with ``sample_weight``, also for left-out rows, but not "
        "in ``validation_score_``. A label that the rows lack is ignored where each of their classes has a weight.",
    ),
    "early_stopping": (
        "bool",
        "Whether each member leaves a fold out, stops when its loss on that has not improved by ``tol`` for "
        "``n_iter_no_change`` epochs, and keeps the weights of its best epoch. Without it, or with fewer than ten rows "
        "that differ, all members learn from all rows.",
    ),
    "n_iter_no_change": (
        'int, "auto" or np.inf',
        'Epochs without improvement before ``early_stopping`` stops; "auto" is 30 % of all, at least 5.',
    ),
    "callbacks": (
        "list, dict, keras.callbacks.Callback or class",
        "Keras callbacks, which see the first member. Those of scikit-learn are set with ``set_callbacks``.",
    ),
    "verbose": ("int", "1 shows Keras's progress bar of the first member, 2 one line per epoch."),
    "store_validation_predictions": ("bool", "Whether to keep ``validation_predictions_``."),
    "compute_importances": (
        "bool",
        "Whether to compute ``feature_importances_``: a prediction of all rows per column.",
    ),
}
ATTRIBUTES: Paragraphs = {
    "model_": (
        "keras.Model",
        "The mean of the members as one network, which takes numbers and codes of categories as ``coded`` gives them. "
        "It is a copy: a changed one has an effect as soon as it is given back, ``estimator.model_ = changed``.",
    ),
    "categories_": (
        "list of ndarray or None",
        "For each column the categories in the order of their codes, None for a column of numbers.",
    ),
    "history_": (
        "dict of str to list of float",
        "Loss and metrics of each epoch, those of left-out rows behind ``val_``, as means over the members.",
    ),
    "histories_": ("list of dict", "The same for each member, in the epochs that it was trained."),
    "n_iter_": ("int", "The number of epochs of the member that was trained longest."),
    "validation_score_": (
        "float",
        "What ``score`` gives for the rows, each predicted by the member that has left it out: an estimate for new "
        "rows, if a cautious one, for members do better together. Only with ``early_stopping`` and without ``X_val``.",
    ),
    "feature_importances_": (
        "ndarray of shape (n_features_in_,)",
        "How much ``validation_score_`` falls when a column is permuted among the rows that each member has left out; "
        "only with ``compute_importances``.",
    ),
    "validation_predictions_": (
        "ndarray of shape (n_samples,) or (n_samples, n_outputs)",
        "These predictions (of a classifier, probabilities), NaN where no member has left a row out; only with "
        "``store_validation_predictions``.",
    ),
}
