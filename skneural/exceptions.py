"""The errors and warnings that skneural adds to those of Python, scikit-learn and Keras.

::

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


class InterruptedFitWarning(UserWarning):
    """A fit was interrupted from the keyboard and kept the best weights that it had so far."""
