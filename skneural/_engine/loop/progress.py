"""What a fit shows of its epochs while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras


def verbosity_here(verbose: int) -> int:
    """Give 2, a plain line an epoch, for a bar that would be written to a pipe or a file, which cannot take back."""
    can_take_back = getattr(sys.stdout, "isatty", bool)() or _is_notebook()
    return 2 if verbose == 1 and not can_take_back else verbose


def _is_notebook() -> bool:
    """Whether this is the kernel of a notebook, and no mere process that has imported one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras's bar, with the time that is left, and the speed of rows that are read in parts."""

    _speed: Mapping[str, float] = MappingProxyType({})
    _began: float | None = None

    def set_params(self, params: Mapping[str, Any]) -> None:
        super().set_params({**params, "verbose": verbosity_here(params["verbose"])})

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        now = time.monotonic()
        if self._began is not None:
            left = _in_words((now - self._began) * (self.epochs - epoch))
            if left:
                print(f"At most {left} left. ", end="")  # noqa: T201
        self._began = now
        super().on_epoch_begin(epoch, logs)

    def on_rows(self, n_batches: int, rows_a_second: float) -> None:
        self._speed = {"rows/s": rows_a_second}
        self.on_train_batch_end(n_batches - 1, self._speed)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        super().on_epoch_end(epoch, {**self._speed, **(logs or {})})


def _in_words(seconds: float) -> str:
    """Give a time in its largest unit; nothing where it is shorter than two seconds."""
    if seconds < 2:
        return ""
    for n_seconds, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * n_seconds:
            return f"{seconds / n_seconds:.0f} {unit}"
    return f"{seconds:.0f} s"
