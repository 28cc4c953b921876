"""How many threads TensorFlow may take in a worker process that shares the machine with others."""

from __future__ import annotations

import multiprocessing
import os

import tensorflow as tf


def take_share_of_cores() -> None:
    """In a worker of loky, let TensorFlow take the threads that loky grants to libraries, instead of all cores.

    joblib sets ``OMP_NUM_THREADS`` in each worker (``inner_max_num_threads`` chooses it), which TensorFlow does not
    heed. Who has set TensorFlow's threads, or has used TensorFlow in this process, keeps what is there.
    """
    share = os.environ.get("OMP_NUM_THREADS", "")
    if not multiprocessing.current_process().name.startswith("LokyProcess") or not share.isdigit():
        return
    if tf.config.threading.get_intra_op_parallelism_threads() == 0 and "TF_NUM_INTRAOP_THREADS" not in os.environ:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(int(share))
        except RuntimeError:
            return
