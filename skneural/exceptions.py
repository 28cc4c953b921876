"""The errors and warnings that skneural adds to those of Python, scikit-learn and Keras.

::

    ValueError
     +-- TrainingDivergedError      the loss became NaN or infinite
    UserWarning
     +-- InterruptedFitWarning      Ctrl-C ended a fit, which kept its best weights so far
"""

from __future__ import annotations


class TrainingDivergedError(ValueError):
    """The loss became NaN or infinite during training.

    Parameters
    ----------
    epoch : int
        The epoch, counted from 1, in which it happened.
    loss : float
        The loss of that epoch.
    """

    def __init__(self, epoch: int, loss: float) -> None:
        super().__init__(epoch, loss)
        self.epoch = epoch
        self.loss = loss

    def __str__(self) -> str:
        return (
            f"The loss became {self.loss} in epoch {self.epoch}. Try a smaller learning_rate "
            "(a tenth of the present one), scale X (a StandardScaler in front), or clip the gradients "
            "(optimizer__clipnorm=1.0)."
        )


class InterruptedFitWarning(UserWarning):
    """A fit was interrupted from the keyboard and kept the best weights that it had so far."""
