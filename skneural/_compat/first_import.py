"""TensorFlow's first import, without the lines that look like a broken installation.

It happens when this module is imported. Whoever has imported TensorFlow before has chosen what it says; then nothing is
done, nor where ``TF_CPP_MIN_LOG_LEVEL=0`` asks for every line.

TensorFlow 2.21 says that it uses oneDNN and found no CUDA when the linker loads its libraries
(https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/util/port.cc), before it reads any setting, and
reports its failed ``cuInit`` as an error on machines that have no GPU. This can go when it reads its log level first.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# What absl writes of severity INFO, and the line that it writes before the first of them.
_INFORMATION = re.compile(rb"I\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog\(\)")
_SIGNS_OF_A_GPU = ("/proc/driver/nvidia", "/dev/dxg")


def _import_tensorflow() -> None:
    if "tensorflow" in sys.modules or os.environ.get(_LEVEL) == "0":
        return
    with _log_level(), _without_information():
        import tensorflow  # noqa: F401


@contextmanager
def _log_level() -> Iterator[None]:
    """Set the log level while TensorFlow reads it, unless the user has: processes to come find what the user had."""
    if _LEVEL in os.environ:
        yield
        return
    # Where there is a GPU, an error that concerns it is worth reading.
    os.environ[_LEVEL] = "2" if any(Path(sign).exists() for sign in _SIGNS_OF_A_GPU) else "3"
    try:
        yield
    finally:
        del os.environ[_LEVEL]


@contextmanager
def _without_information() -> Iterator[None]:
    """Hold back what is written to the standard error stream, and pass on at the end what is no mere information."""
    try:
        stream, held = os.dup(2), tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    except OSError:  # no such stream, or no place for a file
        yield
        return
    with held:
        _flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            _flush()
            os.dup2(stream, 2)
            os.close(stream)
            held.seek(0)
            rest = b"".join(line for line in held if not _INFORMATION.match(line))
            if rest:
                os.write(2, rest)


def _flush() -> None:
    if sys.stderr is not None:  # None in a program without a console
        sys.stderr.flush()


_import_tensorflow()
