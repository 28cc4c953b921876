"""What a display needs before it can draw: Matplotlib, and a fitted network."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


def check_matplotlib(caller: str) -> None:
    """Raise an ImportError that says how to get Matplotlib where it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib. You can install it with `pip install skneural[plots]`."
        ) from error


def path_to_network(estimator: Any, attribute: str, *, holds: str, caller: str) -> list[Any]:
    """Give the estimators from the outermost to the fitted one with the attribute, through pipelines and searches.

    ``holds`` says in the error what that estimator does with the attribute.
    """
    path = [estimator]
    while not hasattr(path[-1], attribute):
        inner = path[-1]
        if isinstance(inner, Pipeline):
            path.append(inner[-1])
        elif hasattr(inner, "best_estimator_"):
            path.append(inner.best_estimator_)
        else:
            check_is_fitted(
                inner,
                msg="This %(name)s instance is not fitted yet. Call 'fit' with appropriate arguments before using "
                f"{caller}.",
            )
            raise TypeError(
                f"{caller} needs an estimator that {holds} in '{attribute}', a Pipeline that ends in one, or "
                f"a search over one with refit=True. Got {type(inner).__name__}, which has no '{attribute}'. "
                "Of any other meta-estimator, pass the fitted network inside it."
            )
    return path
