"""The choice between the ways to train a network."""

from __future__ import annotations

from ._keras_fit import fit_with_keras
from ._network import Network
from ._records import Data, Result, Settings


def fit(network: Network, train: Data, validation: Data | None, settings: Settings) -> Result:
    """Train a network on dense or sparse rows and leave the trained weights in it.

    Raises
    ------
    TrainingDivergedError
        When the loss of an epoch is NaN or infinite.
    """
    return fit_with_keras(network, train, validation, settings, "the compiled engine is not there yet")
