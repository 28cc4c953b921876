"""What has to be set before TensorFlow and matplotlib are imported, Ctrl-C, and figures closed after each test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# An error of skneural's own must not pass for a model that cannot be compiled.
os.environ.setdefault("SKNEURAL_RAISES_OWN_FAULTS", "1")

# Workers that run side by side share the cores; the processes that a test starts inherit the same limit.
_THREADS = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(_THREADS))
os.environ.setdefault("OMP_NUM_THREADS", str(_THREADS))

# A shell lets what it runs in the background ignore Ctrl-C; then a fit that a test interrupts would never end.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The first call of a network compiles it, so a time limit per example would only measure the machine.
settings.register_profile("skneural", deadline=None, derandomize=True)
settings.load_profile("skneural")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def saved_with_cores(tmp_path):
    """Run a script in a process with so many cores, which saves arrays at the path that it is given."""

    import numpy as np

    def run(script, n_threads):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(n_threads))
        path = tmp_path / f"{n_threads}.npz"
        subprocess.run([sys.executable, "-c", script, path], check=True, env=os.environ | limits)
        return dict(np.load(path))

    return run
