"""A joblib backend that prepares, trains and scores many fits in threads of one process."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import joblib
import keras
from joblib.parallel import ParallelBackendBase

from .ledger import Ledger
from .progress import shown_progress
from .scheduler import Scheduler, Task, current_task

_DEFAULT_MAX_BYTES = 2 * 2**30
# How many tasks joblib may hand over at once; few of them begin before others have ended.
_N_TASKS = 64


class ParallelFitsBackend(ParallelBackendBase):
    """Runs tasks in few threads, which take turns in Python and train networks side by side.

    The joblib hooks in the order of a ``Parallel`` call: ``start_call``, ``submit`` for each task, ``stop_call``,
    ``terminate``.
    """

    supports_retrieve_callback = True
    uses_threads = True
    supports_sharedmem = True

    def __init__(
        self,
        nesting_level: int | None = None,
        *,
        max_bytes: int = _DEFAULT_MAX_BYTES,
        ledger: Ledger | None = None,
        scheduler: Scheduler | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, **kwargs)
        if not isinstance(max_bytes, int) or isinstance(max_bytes, bool) or max_bytes < 1:
            raise ValueError(f"max_bytes must be an int in the range [1, inf). Got {max_bytes!r} instead.")
        self._scheduler = scheduler or Scheduler(max_bytes=max_bytes, ledger=ledger)
        self._running: list[Task] = []
        self._away = ExitStack()
        self._context = contextvars.Context()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many tasks joblib may hand over at once, whatever ``n_jobs`` asks for."""
        return _N_TASKS

    def configure(self, n_jobs: int = 1, parallel: Any = None, **backend_kwargs: Any) -> int:
        """Take over a ``Parallel`` object."""
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def get_nested_backend(self) -> tuple[ParallelFitsBackend, int]:
        """Return the backend for a ``Parallel`` call inside a task: its tasks come to the same scheduler."""
        nested = ParallelFitsBackend(self.nesting_level + 1, scheduler=self._scheduler)
        return nested, self.effective_n_jobs(None)

    def start_call(self) -> None:
        """Prepare for tasks; a task that calls ``Parallel`` itself is away until they are done."""
        self._context = contextvars.copy_context()
        caller = current_task()
        if caller is not None:
            self._away.enter_context(caller.away())

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Task:
        """Start a task."""
        work = partial(self._run, keras.config.dtype_policy(), func, callback)
        self._running = [task for task in self._running if not task.has_ended.is_set()]
        task = self._scheduler.submit(work, self.nesting_level or 0, self._context)
        self._running.append(task)
        return task

    def _run(
        self,
        dtype_policy: keras.DTypePolicy,
        func: Callable[[], Any],
        callback: Callable[[Any], None] | None,
        error: BaseException | None,
    ) -> None:
        # What the user has set, Keras keeps for the thread that set it.
        keras.config.set_dtype_policy(dtype_policy)
        try:
            outcome: tuple[bool, Any] = (False, error) if error else (True, func())
        except BaseException as raised:  # raised again by retrieve_result_callback
            outcome = False, raised
        # joblib may submit the next task here.
        if callback is not None:
            callback(outcome)

    def retrieve_result_callback(self, outcome: tuple[bool, Any]) -> Any:
        """Return what a task returned, or raise what it raised."""
        succeeded, result = outcome
        if not succeeded:
            raise result
        return result

    def stop_call(self) -> None:
        """Let the calling task compute again."""
        self._away.close()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End all tasks: those that have not begun never do, a training ends with its batch."""
        self._scheduler.cancel(self._running)
        self.terminate()

    def terminate(self) -> None:
        """Wait for the threads, so that none is left behind."""
        self._scheduler.wait_for(task for task in self._running if task is not current_task())
        self._running = []


@contextmanager
def parallel_fits(*, max_bytes: int = _DEFAULT_MAX_BYTES, verbose: int = 0) -> Iterator[None]:
    """Prepare, train and score the fits in the block side by side, under unchanged scikit-learn.

    Searches, cross-validation, ensembles and whatever else hands its fits to joblib run them in threads of this
    process, which share data, compiled programs and processors: while networks are trained on all of them, the next fit
    is prepared and the last one scored. The results are those of fits one after the other.

    Parameters
    ----------
    max_bytes : int, default=2**31
        About how many bytes the rows may take of fits that have begun. Others wait before they begin.
    verbose : int, default=0
        1 shows one bar for the block, on the standard error stream: networks, epochs and the time left.

    Yields
    ------
    None

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> import skneural
    >>> X, y = load_iris(return_X_y=True)
    >>> with skneural.parallel_fits():
    ...     scores = cross_val_score(skneural.DenseNetClassifier((8,), epochs=5), X, y)
    >>> len(scores)
    5
    """
    ledger = Ledger()
    backend = ParallelFitsBackend(max_bytes=max_bytes, ledger=ledger)
    with shown_progress(ledger) if verbose else nullcontext(), joblib.parallel_config(backend=backend):
        yield
