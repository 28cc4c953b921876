"""How many threads a training run may take, of TensorFlow's and of the native engine's."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import joblib
import tensorflow as tf

# Threads meet twice in each step, which pays from about so many products of a row and a weight in it: 0.4 ms.
_PRODUCTS_TO_SHARE = 2**22


def take_share_of_cores() -> None:
    """In a worker of loky, dask or ray let TensorFlow take the threads that these grant to libraries, not all cores.

    They set ``OMP_NUM_THREADS`` in each worker (joblib's ``inner_max_num_threads`` chooses it), which TensorFlow does
    not heed. Who has set TensorFlow's threads, or has used TensorFlow in this process, keeps what is there.
    """
    share = os.environ.get("OMP_NUM_THREADS", "")
    if not _is_worker() or not share.isdigit():
        return
    if tf.config.threading.get_intra_op_parallelism_threads() == 0 and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(int(share))
        except RuntimeError:
            return


def _is_worker() -> bool:
    name, script = multiprocessing.current_process().name, Path(sys.argv[0] if sys.argv else "")
    return name.startswith(("LokyProcess", "Dask Worker process")) or script.match("ray/_private/workers/*.py")


class _Running:
    """How many large runs of the native engine are under way."""

    def __init__(self) -> None:
        self.n_runs = 0
        self.lock = threading.Lock()


_running = _Running()
if hasattr(os, "register_at_fork"):
    # What is under way in the parent is not in its child.
    os.register_at_fork(after_in_child=_running.__init__)  # type: ignore[misc]


@contextmanager
def threads_for(n_products: int) -> Iterator[int]:
    """Give how many threads a native run may take whose steps have so many products, besides those under way.

    TensorFlow's setting for operations holds for the native engine too, and OpenMP's in the environment. No result
    depends on the number.
    """
    if n_products < _PRODUCTS_TO_SHARE:
        yield 1
        return
    with _running.lock:
        _running.n_runs += 1
        n_threads = max(1, _n_cores() // _running.n_runs)
    try:
        yield n_threads
    finally:
        with _running.lock:
            _running.n_runs -= 1


def _n_cores() -> int:
    chosen: int = tf.config.threading.get_intra_op_parallelism_threads()
    if chosen:
        return chosen
    named = [os.environ.get(name, "").split(",")[0] for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")]
    limits = [int(number) for number in named if number.isdigit() and int(number) > 0]
    # joblib heeds what a container or a worker may use of the machine.
    return min([int(joblib.cpu_count()), *limits])
