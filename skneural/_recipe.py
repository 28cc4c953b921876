"""What a network was built from: a training that goes on heeds some of it and refuses the rest."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """The parameters that a network was built from.

    ``rates`` are the numbers that a running training takes: the learning rate and the weight decay.
    """

    parameters: Mapping[str, Any]
    rates: Mapping[str, float]

    def new_rates(self, owner: str, now: Recipe) -> dict[str, float]:
        """Return the rates that have changed since, or raise for anything else that has."""
        names = sorted({*self.parameters, *now.parameters})
        changed = [name for name in names if not is_same(self.parameters.get(name), now.parameters.get(name))]
        changed += sorted(f"optimizer__{name}" for name in {*self.rates} - {*now.rates})
        if changed:
            raise ValueError(
                f"{owner} was to go on training the network of an earlier fit, but its parameter {changed[0]!r} has "
                "changed since and describes another network. Set warm_start=False, or use a new estimator."
            )
        return {name: rate for name, rate in now.rates.items() if rate != self.rates.get(name)}


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a parameter mean the same, also where one is a copy of the other."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(is_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    if isinstance(one, functools.partial):
        return is_same((one.func, one.args, one.keywords), (other.func, other.args, other.keywords))
    if hasattr(one, "get_config") and not isinstance(one, type):
        return is_same(one.get_config(), other.get_config())
    return bool(one == other)
