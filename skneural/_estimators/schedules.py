"""Learning rate schedules by name: how large the step size is in each epoch."""

from __future__ import annotations

import numpy as np

SCHEDULES = ("constant", "cosine", "coslog4", "linear")
# How much longer all four cycles of "coslog4" are than the first.
_OF_FIRST = 15


def learning_rate_factors(schedule: str, epochs: int) -> tuple[float, ...] | None:
    """Give what each epoch multiplies the learning rate with, or None where it stays as it is.

    "cosine" falls from almost one to almost zero as (1 + cos(pi t)) / 2, with t in (0, 1) the middle of the epoch
    (Loshchilov and Hutter, 2017, SGDR, equation 5, without restarts, https://arxiv.org/abs/1608.03983). "coslog4" rises
    and falls in four cycles, each twice as long as the one before: (1 - cos(2 pi log2(1 + 15 t))) / 2 (Holzmüller,
    Grinsztajn and Steinwart, 2024, section 3, https://arxiv.org/abs/2407.04491).
    """
    if schedule == "constant":
        return None
    middles = (np.arange(epochs) + 0.5) / epochs
    if schedule == "cosine":
        return tuple(((1 + np.cos(np.pi * middles)) / 2).tolist())
    if schedule == "linear":
        return tuple((1 - middles).tolist())
    return tuple(((1 - np.cos(2 * np.pi * np.log2(1 + _OF_FIRST * middles))) / 2).tolist())
