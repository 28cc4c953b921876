"""Models that end at a layer of another."""

from __future__ import annotations

from collections.abc import Sequence

import keras


def part_of(model: keras.Model, output: str | Sequence[str]) -> keras.Model:
    """Give a model from the inputs of another to one of its layers, or to several, with the same variables."""
    layers = {layer.name: layer for layer in model.layers}
    names = [output] if isinstance(output, str) else list(output)
    for name in names:
        if name not in layers:
            raise ValueError(f"The network has no layer {name!r}. Its layers: {', '.join(layers)}.")
    outputs = [layers[name].output for name in names]
    return keras.Model(model.inputs, outputs[0] if isinstance(output, str) else outputs)
