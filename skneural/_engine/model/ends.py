"""The ends of a model: the rows that it takes, and models that end at a layer of another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._engine.data.rows import dense_rows, rows_like
from skneural._engine.records import Data, ManyInputs, RowArray
from skneural._engine.stored_rows import StoredRows


@dataclass(frozen=True)
class ModelInputs:
    """What a model takes: shape and dtype of the rows of each input, and its name.

    Of a model that does not tell nothing is known.
    """

    shapes: tuple[tuple[int | None, ...], ...] | None
    dtypes: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, model: keras.Model) -> ModelInputs:
        inputs = getattr(model, "inputs", None)
        if not inputs:
            return cls(None, (), ())
        given = _structure_of_inputs(model)
        # Those under which the model was built with them, or those of their layers.
        names = keras.tree.flatten({name: name for name in given}) if isinstance(given, Mapping) else None
        return cls(
            tuple(tuple(one.shape[1:]) for one in inputs),
            tuple(str(one.dtype) for one in inputs),
            tuple(names or [one.name for one in inputs]),
        )

    def rows_of(self, data: Data) -> Data:
        """Give rows in the order of the inputs and of their ranks; sparse ones get those when they become dense.

        Raises
        ------
        ValueError
            For rows that the model does not take.
        """
        if self.shapes is None:
            return data
        data = self._in_order(data)
        inputs = tuple(
            rows_like(one, shape) if isinstance(one, np.ndarray | StoredRows) else one
            for one, shape in zip(data.inputs, self.shapes, strict=True)
        )
        is_same = all(one is other for one, other in zip(inputs, data.inputs, strict=True))
        return data if is_same else replace(data, inputs=inputs)

    def _in_order(self, data: Data) -> Data:
        named = dict(zip(data.names, data.inputs, strict=True)) if data.names is not None else None
        if named is not None and not all(name in named for name in self.names):
            raise ValueError(
                f"The model has inputs named {', '.join(map(repr, self.names))}, but X has arrays named "
                f"{', '.join(map(repr, named))}."
            )
        if named is not None and tuple(named) != self.names:
            data = replace(data, inputs=tuple(named[name] for name in self.names), names=self.names)
        if len(data.inputs) != len(self.names):
            raise ValueError(f"The model has {len(self.names)} inputs, but X is {len(data.inputs)} arrays.")
        return data

    def dense(self, inputs: Sequence[RowArray], rows: slice) -> list[NDArray[Any]]:
        """Take some rows, dense, of the model's dtypes and ranks; where it does not tell, one input is float32."""
        if self.shapes is None:
            dtypes = ["float32"] if len(inputs) == 1 else [one.dtype for one in inputs]
            return [dense_rows(one, rows, dtype) for one, dtype in zip(inputs, dtypes, strict=True)]
        return [
            rows_like(dense_rows(one, rows, dtype), shape)
            for one, dtype, shape in zip(inputs, self.dtypes, self.shapes, strict=True)
        ]


def _structure_of_inputs(model: keras.Model) -> Any:
    """Give the symbolic inputs of a model in the form that it was built with."""
    return model.inputs if isinstance(model, keras.Sequential) else model.input


def rows_for(model: keras.Model, X: Any) -> Any:
    """Give rows as a call of the model's own ``predict`` takes them."""
    if isinstance(X, ManyInputs):
        return X.for_keras
    rows = ModelInputs.of(model).rows_of(Data.of(X)).X
    return np.asarray(rows) if isinstance(rows, StoredRows) else rows


def packed(model: keras.Model, inputs: Sequence[Any]) -> Any:
    """Give the inputs of a call in the form that the model was built with: by itself, or in a list, tuple or dict."""
    given = _structure_of_inputs(model)
    if len(inputs) == 1 and not isinstance(given, Mapping):
        return inputs[0]
    return keras.tree.pack_sequence_as(given, list(inputs))


def place_of_layer(model: keras.Model, name: str) -> int:
    """Tell where the layer of a name stands among those of a model.

    Raises
    ------
    ValueError
        Where there is none.
    """
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ValueError(f"The network has no layer {name!r}. Its layers: {', '.join(names)}.")
    return names.index(name)


def part_of(model: keras.Model, output: str | Sequence[str]) -> keras.Model:
    """Give a model from the inputs of another to one of its layers, or to several, with the same variables."""
    names = [output] if isinstance(output, str) else list(output)
    outputs = [model.layers[place_of_layer(model, name)].output for name in names]
    return keras.Model(_structure_of_inputs(model), outputs[0] if isinstance(output, str) else outputs)
