"""What a network was built from: a training that goes on heeds some of it and refuses the rest."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from skneural import _engine


@dataclass(frozen=True)
class Recipe:
    """The parameters that a network was built from.

    ``parameters`` are keys of their values, since Keras's objects would lose arguments in a pickle. ``rates`` are the
    numbers that a running training takes: the learning rate and the weight decay.
    """

    parameters: Mapping[str, Hashable]
    rates: Mapping[str, float]

    @classmethod
    def of(cls, parameters: Mapping[str, Any], rates: Mapping[str, float]) -> Recipe:
        """Make a recipe of the values of parameters."""
        return cls({name: _key_of(value) for name, value in parameters.items()}, rates)

    def new_rates(self, owner: str, now: Recipe) -> dict[str, float]:
        """Return the rates that have changed since, or raise for anything else that has."""
        names = sorted({*self.parameters, *now.parameters})
        changed = [name for name in names if self.parameters.get(name) != now.parameters.get(name)]
        changed += sorted(f"optimizer__{name}" for name in {*self.rates} - {*now.rates})
        if changed:
            raise ValueError(
                f"{owner} was to go on training the network of an earlier fit, but its parameter {changed[0]!r} has "
                "changed since and describes another network. Set warm_start=False, or use a new estimator."
            )
        return {name: rate for name, rate in now.rates.items() if rate != self.rates.get(name)}


def _key_of(value: Any) -> Hashable:
    """A key of a parameter's value: a model or layer by its config, so that a copy of it is the same."""
    is_layer = isinstance(value, keras.Layer)
    return (type(value), _engine.fingerprint(value.get_config())) if is_layer else _engine.fingerprint(value)


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a parameter mean the same, also where one is a copy of the other."""
    return one is other or _key_of(one) == _key_of(other)
