"""Probabilities that are as sure as they should be: one number that divides what a network gives for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax


def logits_of(outputs: NDArray[Any], activation: str) -> NDArray[np.float64]:
    """Give what a sigmoid or a softmax gives these outputs for."""
    tiny = 1e-12
    shares = np.clip(outputs.astype(np.float64), tiny, 1.0)
    return np.log(shares) - np.log(np.clip(1.0 - shares, tiny, 1.0)) if activation == "sigmoid" else np.log(shares)


def activated(logits: NDArray[Any], activation: str) -> NDArray[Any]:
    """Give the sigmoid or the softmax of logits."""
    return expit(logits) if activation == "sigmoid" else softmax(logits, axis=1)


def best_temperature(
    logits: NDArray[np.float64], truth: NDArray[np.float64], weights: NDArray[Any] | None, activation: str
) -> float:
    """Find the number within 1/5 and 5 by which logits are divided for the least cross-entropy."""

    def loss(logarithm: float) -> float:
        shares = np.clip(activated(logits * np.exp(-logarithm), activation), 1e-12, 1.0)
        losses = truth * np.log(shares)
        if activation == "sigmoid":
            losses += (1 - truth) * np.log(np.clip(1.0 - shares, 1e-12, 1.0))
        return -float(np.average(losses.sum(axis=1), weights=weights))

    found = minimize_scalar(loss, bounds=(-np.log(5), np.log(5)), method="bounded")
    return float(np.exp(found.x))
