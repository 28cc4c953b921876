"""Many fits at once, in threads of one process that share its processors: a joblib backend and what it schedules.

It imports the engine, never the other way round: a training run only knows the ``Conduct`` that it is given.
"""

from __future__ import annotations

from skneural._compat import first_import  # noqa: F401 - before whatever imports TensorFlow

from .backend import ParallelFitsBackend, parallel_fits
from .scheduler import current_conduct, current_task

__all__ = ["ParallelFitsBackend", "current_conduct", "current_task", "parallel_fits"]
