"""How a family's network is built and compiled, as plain data and as what the engine knows it by."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import keras

from skneural import _engine
from skneural._compat.keras_names import names_from_the_start
from skneural._estimators.compiling import Compilation
from skneural._seeds import seeded_global_generators

# Fields of an architecture that are inputs of the compiled program, and so tell architectures apart only by being zero.
_SIZES = ("dropout", "l2")


@dataclass(frozen=True)
class Plan:
    """What a family's network is made of: a function and what it takes, and how it is compiled."""

    build: Callable[[Any], keras.Model]
    architecture: Any
    dtype_policy: str
    settings: Hashable
    compilation: Compilation
    rates: Mapping[Any, float]

    def make(self) -> keras.Model:
        """Build a network; no global generator is left changed, and its layers always have the same names."""
        with seeded_global_generators(0), names_from_the_start(), _global_dtype_policy(self.dtype_policy):
            return self.build(self.architecture)

    def compile(self, model: keras.Model) -> None:
        """Compile a network; no global generator is left changed, optimizer and metrics always have the same names."""
        with seeded_global_generators(0), names_from_the_start():
            self.compilation.apply(model)

    @property
    def key(self) -> Hashable:
        """What plans share whose networks differ in numbers alone."""
        return (
            self.build,
            _structure_key(self.architecture),
            self.dtype_policy,
            self.settings,
            self.compilation.key(without=self.rates),
            tuple(sorted(self.rates)),
        )

    @property
    def numbers(self) -> dict[Any, float]:
        """What is an input of the compiled program."""
        sizes = {name: float(getattr(self.architecture, name)) for name in _SIZES}
        return {**self.rates, **{name: size for name, size in sizes.items() if size > 0}}


class FamilyBlueprint(_engine.Blueprint):
    """A blueprint that is stored as its plan; the key follows from that, in each version its own."""

    @classmethod
    def of(cls, plan: Plan) -> FamilyBlueprint:
        """Make a blueprint."""
        return cls(plan.key, partial(Plan.make, plan), partial(Plan.compile, plan), plan.numbers)

    @property
    def fields(self) -> dict[str, Any]:
        """What the plan consists of."""
        (plan,) = self.build.args  # type: ignore[attr-defined]
        return {field.name: getattr(plan, field.name) for field in fields(plan)}

    @classmethod
    def _from_stored_fields(cls, stored: Mapping[str, Any]) -> FamilyBlueprint:
        """Make a blueprint of what ``fields`` has given."""
        return cls.of(Plan(**stored))


@contextmanager
def _global_dtype_policy(name: str) -> Iterator[None]:
    """Let Keras build layers of this policy in the block; the policy belongs to the thread."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _structure_key(architecture: Any) -> Hashable:
    """Every field of an architecture, but of a number only whether it is zero."""
    return tuple(
        (field.name, getattr(architecture, field.name) > 0)
        if field.name in _SIZES
        else (field.name, _engine.fingerprint(_engine.carried(getattr(architecture, field.name))))
        for field in fields(architecture)
    )
