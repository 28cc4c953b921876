"""What keeps a network from the compiled engine, so that Keras's own fit trains it."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

from skneural.exceptions import ReadError

# Set where this package's own tests run: a fault of ours must not pass for something that cannot be compiled.
_RAISES_OWN_FAULTS = "SKNEURAL_RAISES_OWN_FAULTS" in os.environ
_PACKAGE = str(Path(__file__).parent)


class ObstacleError(Exception):
    """A model cannot be copied, traced or compiled, for the reason in the message."""


def obstacle_from(error: Exception) -> ObstacleError:
    """Say in one line what went wrong in what a user, Keras or TensorFlow has written."""
    if isinstance(error, ObstacleError):
        return error
    if isinstance(error, ReadError):
        raise error
    if _RAISES_OWN_FAULTS and _is_ours(error):
        raise error
    return ObstacleError(f"{type(error).__name__}: {[*str(error).strip().splitlines(), ''][0]}")


def _is_ours(error: Exception) -> bool:
    """Tell whether an error was raised in this package, not in what it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(_PACKAGE)
