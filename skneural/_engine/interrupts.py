"""Ctrl-C in the middle of a training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import State


class InterruptedCallError(KeyboardInterrupt):
    """Ctrl-C ended an epoch before its end, with this state, and perhaps before its first batch."""

    def __init__(self, state: State, *, has_trained: bool) -> None:
        super().__init__()
        self.state = state
        self.has_trained = has_trained


@contextmanager
def interruptible(state: State, *, has_trained: bool) -> Iterator[None]:
    """Let Ctrl-C in the block end an epoch whose state is this, unless the block says what it has left."""
    try:
        yield
    except InterruptedCallError:
        raise
    except KeyboardInterrupt as error:
        raise InterruptedCallError(state, has_trained=has_trained) from error
