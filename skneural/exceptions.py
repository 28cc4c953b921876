"""The errors and warnings that skneural adds to those of Python, scikit-learn and Keras.

::

    RuntimeError
     +-- ReadError                  rows that lie outside of the memory could not be read
    ValueError
     +-- TrainingDivergedError      the loss or a weight became NaN or infinite
    UserWarning
     +-- InterruptedFitWarning      Ctrl-C ended a fit, which kept its best weights so far
"""

from __future__ import annotations


class TrainingDivergedError(ValueError):
    """The loss, or a weight, became NaN or infinite during training.

    Parameters
    ----------
    epoch : int
        The epoch, counted from 1, in which it happened.
    loss : float
        The loss of that epoch, which may be finite where weights are not.
    what : {"loss", "validation loss", "weights"}, default="loss"
        What is not finite.
    """

    def __init__(self, epoch: int, loss: float, what: str = "loss") -> None:
        super().__init__(epoch, loss, what)
        self.epoch = epoch
        self.loss = loss
        self.what = what

    def __str__(self) -> str:
        became = "NaN or infinite" if self.what == "weights" else self.loss
        return (
            f"The {self.what} became {became} in epoch {self.epoch}. Try a smaller learning_rate "
            "(a tenth of the present one), scale X (a StandardScaler in front), or clip the gradients "
            "(optimizer__clipnorm=1.0)."
        )


class ReadError(RuntimeError):
    """Rows that are read part after part, from a file or an object of the user's, could not be read.

    Parameters
    ----------
    start, stop : int
        The rows that were wanted, the last one not among them.
    n_rows : int
        All rows that there are.
    n_read : int
        How many had been read before, in all passes over them.
    reason : str
        What stood in the way.
    """

    def __init__(self, start: int, stop: int, n_rows: int, n_read: int, reason: str) -> None:
        super().__init__(start, stop, n_rows, n_read, reason)
        self.start = start
        self.stop = stop
        self.n_rows = n_rows
        self.n_read = n_read
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"Rows {self.start} to {self.stop} of the {self.n_rows} in X could not be read: {self.reason}. "
            f"Before, {self.n_read} rows had been read in all."
        )


class InterruptedFitWarning(UserWarning):
    """A fit was interrupted from the keyboard and kept the best weights that it had so far."""
