"""Learning rate schedules by name: how large the step size is in each epoch."""

from __future__ import annotations

import numpy as np

SCHEDULES = ("constant", "cosine")


def learning_rate_factors(schedule: str, epochs: int) -> tuple[float, ...] | None:
    """Give what each epoch multiplies the learning rate with, or None where it stays as it is.

    "cosine" falls from almost one to almost zero as (1 + cos(pi t)) / 2, with t in (0, 1) the middle of the epoch
    (Loshchilov and Hutter, 2017, SGDR, equation 5, without restarts, https://arxiv.org/abs/1608.03983).
    """
    if schedule == "constant":
        return None
    middles = (np.arange(epochs) + 0.5) / epochs
    return tuple(((1 + np.cos(np.pi * middles)) / 2).tolist())
