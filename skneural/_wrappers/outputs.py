"""How many numbers a model of the user's gives."""

from __future__ import annotations

from typing import Any

import keras

from skneural._rows.features import zero_rows


def count_outputs(model: keras.Model, X_shape: Any) -> int | None:
    """How many numbers a model gives for a row of X, shape (n, ...); for a sequence of answers, for each of them."""
    shape = model.output_shape if getattr(model, "outputs", None) else model(zero_rows(X_shape)).shape
    last: int | None = shape[-1]
    return last
