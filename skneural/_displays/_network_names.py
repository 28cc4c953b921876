"""Names of a network's inputs and outputs, from the estimators round it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ._network_layers import NetworkLayer

_LONGEST_NAME = 18


def shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def feature_names_of(path: list[Any]) -> list[str] | None:
    """Names of the network's inputs: its own, or those that come out of the pipeline before it."""
    names = getattr(path[-1], "feature_names_in_", None)
    pipelines = [estimator for estimator in path if isinstance(estimator, Pipeline)]
    if names is None and pipelines and hasattr(pipelines[-1], "feature_names_in_"):
        try:
            names = pipelines[-1][:-1].get_feature_names_out()
        except (AttributeError, ValueError):  # a step that does not know them
            return None
    shape = getattr(path[-1], "n_features_in_", None)
    return list(names) if names is not None and len(names) == shape else None


def class_names_of(network: Any, output: NetworkLayer) -> list[str] | None:
    """Names of the outputs of a classifier; one output for two classes is the probability of the second."""
    classes = getattr(network, "classes_", None)
    if classes is None or np.ndim(classes) != 1 or len(output.shape) != 1:
        return None
    if len(classes) == 2 and output.shape == (1,):
        classes = classes[1:]
    return [str(name) for name in classes] if len(classes) == output.shape[0] else None
