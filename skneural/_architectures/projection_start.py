"""First weights of an autoencoder: those with which it is the projection on the principal axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from skneural import _engine
from skneural._geometry.principal_axes import PrincipalAxes

from .autoencoder import CODE, DISTRIBUTION, RECONSTRUCTION, AutoencoderArchitecture
from .carried_numbers import Carrying, carry

Array = NDArray[Any]
# Of a sigmoid's inputs for a change of one in its output, round the middle.
_STEEPNESS = 4.0
# No mean of columns in [0, 1] is taken to be nearer to an end.
_LEAST_SHARE = 0.01


def begin_as_projection(
    network: _engine.Network, architecture: AutoencoderArchitecture, axes: PrincipalAxes, centre: Array
) -> None:
    """Let a new network begin as the projection of scaled columns on their principal axes.

    Codes that are drawn are so from the distribution of probabilistic principal components (Tipping and Bishop 1999).
    ``centre`` is the mean of the columns where they are not scaled. Layers whose activation does not tell a number
    from its opposite keep the weights that were drawn.
    """
    state = network.state
    variables = network.any_model.variables
    layers = [variable.path.split("/")[-2] for variable in variables]
    kernels = [place for place, variable in enumerate(variables) if variable.name == "kernel"]
    projection = _Projection.of(architecture, axes, centre)
    if architecture.image_shape is not None:
        changed: Mapping[int, Array] | None = {
            place: projection.image_kernels.get(layers[place], state.variables[place]) for place in kernels
        }
    else:
        changed = projection.dense_kernels({place: state.variables[place] for place in kernels}, architecture)
    if changed is None:
        return
    biases = {
        place: projection.biases[layers[place]]
        for place, variable in enumerate(variables)
        if variable.name == "bias" and layers[place] in projection.biases
    }
    values = {**changed, **biases}
    new = [np.asarray(values.get(place, value), value.dtype) for place, value in enumerate(state.variables)]
    network.state = _engine.State(new, state.optimizer)


@dataclass(frozen=True)
class _Projection:
    """The projection as products of matrices, from columns to the code's distribution and from codes to columns.

    ``into`` has shape (n_features, r) and ``to_code`` (r, n_distribution), ``from_code`` (n_components, r) and ``out``
    (r, n_features); ``deviations`` are those of the r numbers between.
    """

    into: Array
    to_code: Array
    from_code: Array
    out: Array
    deviations: Array
    biases: Mapping[str, Array]

    @classmethod
    def of(cls, architecture: AutoencoderArchitecture, axes: PrincipalAxes, centre: Array) -> _Projection:
        r, k = len(axes.axes), architecture.n_components
        # Codes that are drawn are to be near the standard normal distribution, which tied weights cannot undo.
        unit = axes.deviations if architecture.variational and not architecture.tied_weights else np.ones(r)
        is_sigmoid = architecture.output_activation == "sigmoid"
        mean = np.clip(centre, _LEAST_SHARE, 1 - _LEAST_SHARE)
        code_bias = np.zeros(architecture.n_distribution)
        if architecture.variational:
            noise = axes.residual
            posterior = noise * axes.deviations**2 / (axes.deviations**2 + noise)
            code_bias[k : k + r] = np.log(posterior / unit**2)
        reconstruction_bias = np.log(mean / (1 - mean)) if is_sigmoid else np.zeros(architecture.n_features)
        of_images = architecture.image_shape is not None
        names = ("linear_code", "linear_reconstruction") if of_images else (CODE, RECONSTRUCTION)
        names = (DISTRIBUTION, names[1]) if architecture.variational and not of_images else names
        return cls(
            into=axes.axes.T,
            to_code=np.pad(np.diag(1 / unit), ((0, 0), (0, architecture.n_distribution - r))),
            from_code=np.pad(np.diag(unit), ((0, k - r), (0, 0))),
            out=axes.axes * (_STEEPNESS if is_sigmoid else 1.0),
            deviations=axes.deviations,
            biases=dict(zip(names, (code_bias, reconstruction_bias), strict=True)),
        )

    def dense_kernels(
        self, drawn: Mapping[int, Array], architecture: AutoencoderArchitecture
    ) -> Mapping[int, Array] | None:
        """Change drawn kernels, those of the encoder first, or give None where activations do not carry a number."""
        carryings = [Carrying.of(_function(one), self.deviations) for one in architecture.activations]
        known = [one for one in carryings if one is not None]
        if len(known) < len(carryings):
            return None
        kernels = list(drawn.values())
        n_encoder = len(known) + 1
        changed = carry(kernels[:n_encoder], known, self.into, self.to_code)
        if kernels[n_encoder:]:
            changed += carry(kernels[n_encoder:], known[::-1], self.from_code, self.out)
        return dict(zip(drawn, changed, strict=True))

    @property
    def image_kernels(self) -> Mapping[str, Array]:
        """The kernels of the linear path by the names of their layers, and zero for the ends of the other path."""
        code, reconstruction = self.into @ self.to_code, self.from_code @ self.out
        return {"linear_code": code, "linear_reconstruction": reconstruction}


def _function(activation: Any) -> Callable[[Any], Any]:
    """Return an activation as a function; one that is a layer as a copy of it."""
    if isinstance(activation, keras.layers.Layer):
        layer: Callable[[Any], Any] = type(activation).from_config(activation.get_config())
        return layer
    found: Callable[[Any], Any] = keras.activations.get(activation)
    return found
