"""The numbers of a model that are inputs of its training program: L1, L2, dropout rates, weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from skneural._compat.keras_names import flatten_layers


@dataclass(frozen=True)
class Slot:
    """One such number: where it stands in a model, and for a penalty the variable that it is put on."""

    kind: str
    owner: Any
    attribute: str
    variable: keras.Variable | None = None

    def read(self) -> float:
        return float(getattr(self.owner, self.attribute))


def number_slots(model: keras.Model) -> list[Slot]:
    """Find the numbers of a built and compiled model, in the same order for every model of one architecture."""
    slots = [Slot("dropout", layer, "rate") for layer in dropout_layers(model)]
    for variable in model.trainable_variables:
        for kind in penalty_kinds(variable.regularizer):
            slots.append(Slot(kind, variable.regularizer, kind, variable))
    if getattr(model.optimizer, "weight_decay", None) is not None:
        slots.append(Slot("weight_decay", model.optimizer, "weight_decay"))
    return slots


def dropout_layers(model: keras.Model) -> list[keras.layers.Dropout]:
    """Find the layers that drop values, those with a rate of zero left out: they hold no generator."""
    return [layer for layer in flatten_layers(model) if isinstance(layer, keras.layers.Dropout) and layer.rate > 0]


def penalty_kinds(regularizer: Any) -> tuple[str, ...]:
    """Tell which of ``"l1"`` and ``"l2"`` a weight's regularizer is made of; nothing for all others."""
    if type(regularizer) is keras.regularizers.L1:
        return ("l1",)
    if type(regularizer) is keras.regularizers.L2:
        return ("l2",)
    return ("l1", "l2") if type(regularizer) is keras.regularizers.L1L2 else ()


def apply_numbers(model: keras.Model, numbers: Mapping[Any, float]) -> None:
    """Set a blueprint's numbers on a built model: each goes to every place that takes it."""
    if "learning_rate" in numbers and isinstance(model.optimizer.learning_rate, keras.Variable):
        model.optimizer.learning_rate = numbers["learning_rate"]
    for slot in number_slots(model):
        if slot.kind in numbers:
            setattr(slot.owner, slot.attribute, numbers[slot.kind])
