"""The numbers of a model that are inputs of its training program: learning rate, weight decay, L2, dropout rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras

from skneural._compat import flatten_layers


def apply_numbers(model: keras.Model, numbers: Mapping[Any, float]) -> None:
    """Set a blueprint's numbers on a built model: each goes to every place that takes it."""
    if "learning_rate" in numbers and isinstance(model.optimizer.learning_rate, keras.Variable):
        model.optimizer.learning_rate = numbers["learning_rate"]
    if "weight_decay" in numbers and model.optimizer.weight_decay is not None:
        model.optimizer.weight_decay = numbers["weight_decay"]
    if "l2" in numbers:
        for regularizer in l2_regularizers(model):
            regularizer.l2 = numbers["l2"]
    if "dropout" in numbers:
        for layer in dropout_layers(model):
            layer.rate = numbers["dropout"]


def dropout_layers(model: keras.Model) -> list[keras.layers.Dropout]:
    """Find the layers that drop values, those with a rate of zero left out: they hold no generator."""
    return [layer for layer in flatten_layers(model) if isinstance(layer, keras.layers.Dropout) and layer.rate > 0]


def l2_regularizers(model: keras.Model) -> Iterator[keras.regularizers.Regularizer]:
    """Find the L2 penalties on a model's weights."""
    for layer in flatten_layers(model):
        for value in vars(layer).values():
            if isinstance(value, keras.regularizers.L2):
                yield value
