"""Many fits as one program: a joblib backend whose tasks meet when their networks are ready to train."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import joblib
import keras
from joblib.parallel import ParallelBackendBase

from . import _engine
from ._engine import Ledger, Meeting, Task, current_task
from ._progress import shown_progress

_DEFAULT_MAX_MODELS = 64
_DEFAULT_MAX_BYTES = 2 * 2**30


class FusedBackend(ParallelBackendBase):
    """Runs each task in a thread of its own, and lets those that come to train a network meet.

    The joblib hooks in the order of a ``Parallel`` call: ``start_call``, ``submit`` for each task,
    ``retrieval_context`` once the first tasks are dispatched, ``stop_call``, ``terminate``.
    """

    supports_retrieve_callback = True
    uses_threads = True
    supports_sharedmem = True

    def __init__(
        self,
        nesting_level: int | None = None,
        *,
        max_models: int = _DEFAULT_MAX_MODELS,
        max_bytes: int = _DEFAULT_MAX_BYTES,
        ledger: Ledger | None = None,
        meeting: Meeting | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, **kwargs)
        for name, value in (("max_models", max_models), ("max_bytes", max_bytes)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be an int in the range [1, inf). Got {value!r} instead.")
        self._max_models = max_models
        self._meeting = meeting or Meeting(
            _engine.trainer(max_models, max_bytes), max_models, max_bytes=max_bytes, ledger=ledger
        )
        self._running: list[Task] = []
        self._dispatches = False
        self._caller: Task | None = None
        self._context = contextvars.Context()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many tasks may be under way: enough for a full stack, whatever ``n_jobs`` asks for."""
        return max(2, self._max_models)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **backend_kwargs: Any) -> int:
        """Take over a ``Parallel`` object."""
        self.parallel = parallel
        return self.effective_n_jobs(n_jobs)

    def get_nested_backend(self) -> tuple[FusedBackend, int]:
        """Return the backend for a ``Parallel`` call inside a task: its tasks come to the same meeting."""
        nested = FusedBackend(self.nesting_level + 1, max_models=self._max_models, meeting=self._meeting)
        return nested, self.effective_n_jobs(None)

    def start_call(self) -> None:
        """Announce tasks; a task that calls ``Parallel`` itself is away until they are done."""
        self._meeting.open_dispatch()
        self._dispatches = True
        self._caller = current_task()
        self._context = contextvars.copy_context()
        if self._caller is not None:
            self._caller.meeting.go_away(self._caller)

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Task:
        """Start a task."""
        work = partial(self._run, keras.config.dtype_policy(), func, callback)
        self._running = [task for task in self._running if not task.has_ended.is_set()]
        task = self._meeting.submit(work, self.nesting_level or 0, self._context)
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
        # joblib may submit the next task here, so this one ends only afterwards: the meeting goes on waiting.
        if callback is not None:
            callback(outcome)

    def retrieve_result_callback(self, outcome: tuple[bool, Any]) -> Any:
        """Return what a task returned, or raise what it raised."""
        succeeded, result = outcome
        if not succeeded:
            raise result
        return result

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Close the dispatch: from here on only tasks that end bring new ones."""
        self._close_dispatch()
        yield

    def _close_dispatch(self) -> None:
        if self._dispatches:
            self._dispatches = False
            self._meeting.close_dispatch()

    def stop_call(self) -> None:
        """Count the calling task in again."""
        self._close_dispatch()
        if self._caller is not None:
            self._caller.meeting.come_back(self._caller)
            self._caller = None

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End all tasks: those that wait raise at once, a training ends with its epoch."""
        self._close_dispatch()
        self._meeting.cancel(self._running)
        self.terminate()

    def terminate(self) -> None:
        """Wait for the threads, so that none is left behind."""
        self._meeting.wait_for(task for task in self._running if task is not current_task())
        self._running = []


@contextmanager
def fused_training(
    max_models: int = _DEFAULT_MAX_MODELS, *, max_bytes: int = _DEFAULT_MAX_BYTES, verbose: int = 0
) -> Iterator[None]:
    """Train the networks of all fits in the block at the same time, under unchanged scikit-learn.

    Searches, cross-validation, ensembles and whatever else hands its fits to joblib run them in threads of this
    process, which share data, compiled programs and the cores. Networks of the same architecture are trained stacked
    in one program where that is faster. The results are those of fits one after the other.

    Parameters
    ----------
    max_models : int, default=64
        The most fits that are under way at once, and the most networks that are trained together.
    max_bytes : int, default=2**31
        About how many bytes the rows may take of networks that wait to be trained, and again of those that are
        trained together. Fits beyond that wait for their turn before they begin.
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
    >>> with skneural.fused_training():
    ...     scores = cross_val_score(skneural.DenseNetClassifier((8,), epochs=5), X, y)
    >>> len(scores)
    5
    """
    ledger = Ledger()
    backend = FusedBackend(max_models=max_models, max_bytes=max_bytes, ledger=ledger)
    with shown_progress(ledger) if verbose else nullcontext(), joblib.parallel_config(backend=backend):
        yield
