"""A Keras model read into plain records, one for each layer that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural._architectures.sequence_layers import MaskedConv1D, PoolOverTime, SideBySide

_ACTIVATION_NAMES = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "leaky_relu": "leaky ReLU",
    "prelu": "PReLU",
    "relu": "ReLU",
    "relu6": "ReLU6",
    "selu": "SELU",
    "silu": "SiLU",
}
_ACTIVATION_LAYERS = {
    "ELU": "ELU",
    "LeakyReLU": "leaky ReLU",
    "PReLU": "PReLU",
    "ReLU": "ReLU",
    "Softmax": "softmax",
}
# Layers without nodes of their own, and how they are noted at the layer before.
_NOTES = {
    "BatchNormalization": "batch norm",
    "Flatten": "flattened",
    "GroupNormalization": "group norm",
    "LayerNormalization": "layer norm",
    "Masking": "masked",
    "Normalization": "normalised",
    "Permute": "permuted",
    "RMSNormalization": "RMS norm",
    "Rescaling": "rescaled",
    "SequenceScaling": "standardised",
    "Standardization": "standardised",
    "UnitNormalization": "unit norm",
}
_NOTE_BEGINNINGS = {"Random": "augmented", "ZeroPadding": "padded", "Cropping": "cropped"}
_DROPOUTS = ("AlphaDropout", "Dropout", "GaussianDropout")
_CELLS = ("GRU", "LSTM", "SimpleRNN", "RNN")
_KIND_BEGINNINGS = {
    "AveragePooling": "pooling",
    "Conv": "convolution",
    "DepthwiseConv": "convolution",
    "GlobalAveragePooling": "pooling",
    "GlobalMaxPooling": "pooling",
    "MaskedConv": "convolution",
    "MaxPooling": "pooling",
    "PoolOverTime": "pooling",
    "SeparableConv": "convolution",
}
_MERGES = ("Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract")


@dataclass(frozen=True)
class NetworkLayer:
    """One drawn layer, with the layers folded into it.

    ``shape`` is that of the output of one row. ``weights`` of shape (n_nodes of the source, n_nodes) are those of a
    dense layer. ``sources`` are the positions of the layers whose outputs it takes.
    """

    kind: str
    name: str
    shape: tuple[int | None, ...]
    activation: str | None = None
    n_parameters: int = 0
    notes: tuple[str, ...] = ()
    sources: tuple[int, ...] = ()
    weights: NDArray[np.floating[Any]] | None = None

    @property
    def size(self) -> str:
        """The shape in words."""
        sizes = ["?" if n is None else f"{n:,}" for n in self.shape]
        if len(sizes) == 1:
            unit = "feature" if self.kind == "input" else "unit"
            return f"{sizes[0]} {unit}{'' if sizes == ['1'] else 's'}"
        return " × ".join(sizes)


@dataclass
class _Reading:
    """The records read so far; each layer appends one or is folded into an earlier one."""

    records: list[NetworkLayer] = field(default_factory=list)

    def add(self, layer: Any, sources: tuple[int, ...]) -> tuple[int, ...]:
        """Read one layer that takes the records at ``sources``; return where its output is."""
        if isinstance(layer, keras.Model) and _has_graph(layer):
            return self._add_model(layer, sources)
        if isinstance(layer, SideBySide):
            return self._add_branches(layer, sources)
        folded = len(sources) == 1 and self._fold(layer, sources[0])
        if folded:
            return sources
        self.records.append(_record(layer, sources))
        return (len(self.records) - 1,)

    def _add_model(self, model: keras.Model, sources: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                sources = self.add(layer, sources)
            return sources
        # Keras's tensors are not hashable by value, but each is one object from its layer to the next.
        places = {id(tensor): sources for tensor in model.inputs}
        for operation in model.operations:
            if isinstance(operation, keras.layers.InputLayer):
                continue
            taken = [place for tensor in _tensors(operation.input) for place in places.get(id(tensor), sources)]
            found = self.add(operation, tuple(dict.fromkeys(taken)))
            places |= dict.fromkeys(map(id, _tensors(operation.output)), found)
        return tuple(dict.fromkeys(place for tensor in model.outputs for place in places[id(tensor)]))

    def _add_branches(self, layer: SideBySide, sources: tuple[int, ...]) -> tuple[int, ...]:
        """Read networks that stand side by side and have their outputs joined."""
        ends = tuple(end for branch in layer.branches for end in self.add(branch, sources))
        self.records.append(NetworkLayer("merge", "Concatenate", _shape(layer), sources=ends))
        return (len(self.records) - 1,)

    def _fold(self, layer: Any, position: int) -> bool:
        """Note a layer without nodes at the record before; return whether it was one."""
        record = self.records[position]
        activation, note = _activation_of_layer(layer), _note(layer)
        if activation is not None and record.activation == "linear":
            record = replace(record, activation=activation)
        elif note is not None or activation is not None:
            record = replace(record, notes=(*record.notes, str(note or activation)))
        else:
            return False
        if record.kind == "input" and type(layer).__name__ == "Reshape":
            # Rows of pixels are drawn as the images that they are.
            record = replace(record, shape=_shape(layer), notes=(*record.notes[:-1], f"from {record.size}"))
        self.records[position] = replace(record, n_parameters=record.n_parameters + _count(layer))
        return True


def read_layers(model: Any, caller: str) -> list[NetworkLayer]:
    """Read a built model with one input, its input first.

    Raises
    ------
    TypeError
        If it is no Keras model, or one whose layers are not known to follow each other.
    ValueError
        If it is not built or has several inputs.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"{caller} needs a keras.Model. Got {type(model).__name__} instead.")
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            f"{caller} needs a model that is built. Got one without an input shape: begin it with keras.Input(...), or "
            "call it on data."
        )
    if not _has_graph(model):
        raise TypeError(
            f"{caller} needs a keras.Sequential or a functional model. Got {type(model).__name__}, a subclass of "
            "keras.Model that does not tell how its layers follow each other."
        )
    if len(model.inputs) != 1:
        raise ValueError(f"{caller} draws models with one input. Got one with {len(model.inputs)} inputs.")
    reading = _Reading([NetworkLayer("input", "Input", tuple(model.inputs[0].shape[1:]))])
    reading.add(model, (0,))
    return reading.records


def _has_graph(model: Any) -> bool:
    """Whether a model knows how its layers follow each other."""
    return isinstance(model, keras.Sequential) or bool(getattr(model, "operations", None))


def _tensors(nested: Any) -> list[Any]:
    tensors: list[Any] = keras.tree.flatten(nested)
    return tensors


def _record(layer: Any, sources: tuple[int, ...]) -> NetworkLayer:
    core = _unwrap(layer)
    kind = _kind(layer)
    kernel = getattr(core, "kernel", None) if kind == "dense" else None
    return NetworkLayer(
        kind=kind,
        name=_name(layer),
        shape=_shape(layer),
        activation=_activation_name(core),
        n_parameters=_count(layer),
        sources=sources,
        weights=None if kernel is None else keras.ops.convert_to_numpy(kernel),
    )


def _unwrap(layer: Any) -> Any:
    """The layer inside Bidirectional or TimeDistributed."""
    if isinstance(layer, keras.layers.Bidirectional):
        return layer.forward_layer
    return layer.layer if isinstance(layer, keras.layers.Wrapper) else layer


def _kind(layer: Any) -> str:
    name = type(_unwrap(layer)).__name__
    if name in ("Dense", "EinsumDense"):
        return "dense"
    if name == "Embedding":
        return "embedding"
    if name in _CELLS or name.startswith("ConvLSTM"):
        return "recurrent"
    if name in _MERGES:
        return "merge"
    return next((kind for beginning, kind in _KIND_BEGINNINGS.items() if name.startswith(beginning)), "other")


def _name(layer: Any) -> str:
    core = _unwrap(layer)
    if isinstance(core, PoolOverTime):
        return f"{core.pooling.capitalize()} over time"
    name = "Conv1D" if isinstance(core, MaskedConv1D) else type(core).__name__
    if core is not layer:
        name = f"{type(layer).__name__} {name}"
    window = getattr(core, "kernel_size", None) or getattr(core, "pool_size", None)
    if window is None:
        return name
    sizes = window if isinstance(window, Sequence) else (window,)
    return f"{name} {'×'.join(map(str, sizes))}"


def _shape(layer: Any) -> tuple[int | None, ...]:
    return tuple(_tensors(layer.output)[0].shape[1:])


def _count(layer: Any) -> int:
    return int(layer.count_params()) if isinstance(layer, keras.layers.Layer) else 0


def _activation_name(layer: Any) -> str | None:
    activation = getattr(layer, "activation", None)
    if activation is None:
        return None
    name = str(getattr(activation, "__name__", None) or getattr(activation, "name", type(activation).__name__))
    return _ACTIVATION_NAMES.get(name, name.replace("_", " "))


def _activation_of_layer(layer: Any) -> str | None:
    """What an activation layer computes; None for any other layer."""
    if isinstance(layer, keras.layers.Activation):
        return _activation_name(layer)
    return _ACTIVATION_LAYERS.get(type(layer).__name__)


def _note(layer: Any) -> str | None:
    """How a layer without nodes is noted at the layer before; None for any other layer."""
    name = type(layer).__name__
    if name.removesuffix("1D").removesuffix("2D").removesuffix("3D").removeprefix("Spatial") in _DROPOUTS:
        return f"dropout {layer.rate:g}"
    if name == "GaussianNoise":
        return f"noise {layer.stddev:g}"
    if name == "Reshape":
        return "as " + " × ".join(map(str, _shape(layer)))
    if name in _NOTES:
        return _NOTES[name]
    return next((note for beginning, note in _NOTE_BEGINNINGS.items() if name.startswith(beginning)), None)
