"""What Ctrl-C means to a fit: who called it himself keeps what it has, a fit that is one task of many ends them all."""

from __future__ import annotations

import sys
from collections.abc import Iterator

# Libraries that run many fits, wherever they stand among the callers.
_MANY = ("joblib", "optuna", "dask", "distributed", "ray")
# What of scikit-learn hands one call of fit on.
_HANDS_ON = ("sklearn.base", "sklearn.callback", "sklearn.pipeline", "sklearn.compose._target", "sklearn.utils")


def is_called_by_the_user() -> bool:
    """Tell whether the present fit is called by the user, and not by a search, an ensemble or their like."""
    return not any(_runs_many(module) for module in _calling_modules())


def stacklevel_of_the_user() -> int:
    """Tell the caller's ``stacklevel`` for a warning at the line that called skneural, through scikit-learn or not."""
    # The first two frames are those of this function.
    for level, module in enumerate(_calling_modules(), start=-1):
        if level > 0 and module.partition(".")[0] not in ("skneural", "sklearn", "contextlib"):
            return level
    return 1


def _runs_many(module: str) -> bool:
    if module.partition(".")[0] in _MANY:
        return True
    return module.startswith("sklearn.") and not module.startswith(_HANDS_ON)


def _calling_modules() -> Iterator[str]:
    """Give the modules of all frames, from the innermost on."""
    frame = sys._getframe()
    while frame is not None:
        yield str(frame.f_globals.get("__name__", ""))
        frame = frame.f_back  # type: ignore[assignment]
