"""Models of an autoencoder on raw columns: whole, or one half of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import keras

from skneural._compat.keras_names import names_from_the_start
from skneural._seeds import seeded_global_generators

from .autoencoder import AutoencoderArchitecture, layers_of
from .column_scaling import ColumnScaling


def compose(
    architecture: AutoencoderArchitecture,
    halves: Collection[str],
    scaling: ColumnScaling | None,
    *,
    replaces_missing: bool,
) -> tuple[keras.Model, list[keras.layers.Layer]]:
    """Build a model of the ``halves``, "encoder" and "decoder", and give its layers but for those of the scaling.

    No layer shares its weights with another one; the weights are to be set.
    """
    with seeded_global_generators(0), names_from_the_start():
        encoder, decoder = layers_of(replace(architecture, tied_weights=False))
        layers = [*(encoder if "encoder" in halves else []), *(decoder if "decoder" in halves else [])]
        has_front, has_behind = "encoder" in halves and scaling is not None, "decoder" in halves and scaling is not None
        front = scaling.layers_in_front(replaces_missing=replaces_missing) if has_front and scaling else []
        behind = scaling.layers_behind() if has_behind and scaling else []
        n_inputs = architecture.n_features if "encoder" in halves else architecture.n_components
        name = "autoencoder" if len(halves) > 1 else next(iter(halves))
        model = keras.Sequential([keras.Input((n_inputs,)), *front, *layers, *behind], name=name)
    return model, layers
