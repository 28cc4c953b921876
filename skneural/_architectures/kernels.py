"""From sizes to a ``keras.Sequential`` of fixed kernels and one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from .fixed_kernels import FixedKernels
from .sequence_layers import SequenceScaling

KERNELS, OUTPUTS = "kernels", "outputs"


@dataclass(frozen=True)
class KernelArchitecture:
    """Scaling -> fixed kernels -> outputs. Nothing of it is trained step by step."""

    n_channels: int
    dilations: tuple[tuple[int, int], ...]
    competing: tuple[int, ...]
    n_outputs: int
    output_activation: str
    dropout: float = 0.0
    l2: float = 0.0


def build_kernels(architecture: KernelArchitecture) -> keras.Sequential:
    """Build the network of fixed kernels, not compiled."""
    outputs = keras.layers.Dense(
        architecture.n_outputs,
        activation=architecture.output_activation,
        kernel_initializer="zeros",
        trainable=False,
        name=OUTPUTS,
    )
    return keras.Sequential(
        [
            keras.Input((None, architecture.n_channels)),
            SequenceScaling(trainable=False),
            FixedKernels(architecture.dilations, architecture.competing, name=KERNELS),
            outputs,
        ]
    )
