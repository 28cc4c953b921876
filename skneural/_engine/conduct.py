"""How a training run gets on with others that are under way in the process."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext


class CancelledRunError(BaseException):
    """The block that a fit ran in was aborted. Not an ``Exception``: nobody may take it for a failed fit."""


class Conduct:
    """What a training run does because of others: nothing, where it is the only one."""

    def ask(self) -> None:
        """Raise ``CancelledRunError`` where the run is to end; called many times a second."""

    def turn(self, n_bytes: int) -> AbstractContextManager[None]:
        """Wait for a turn at the processors, for a block that computes without Python's lock.

        ``n_bytes`` is the memory that the rows of the run take.
        """
        return nullcontext()

    def away(self) -> AbstractContextManager[None]:
        """Let others go on while the block waits for something that is not theirs to give."""
        return nullcontext()

    def begin(self, n_epochs: int) -> None:
        """Take note of a network that is to be trained for at most so many epochs."""

    def advance(self, n_epochs: int = 1) -> None:
        """Take note of epochs that are done."""

    def end(self, n_epochs_left: int) -> None:
        """Take note of the end; the epochs that are left will not come."""
