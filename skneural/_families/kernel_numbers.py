"""Numbers of fixed kernels for training sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skneural._architectures.fixed_kernels import GROUP_SIZE, N_GROUPS, N_TERNARY, TERNARY, WIDTH

Array = NDArray[Any]

_GOLDEN_RATIO = (1 + 5**0.5) / 2
# Responses to steps that are alike, which roundings alone tell from a threshold, stay below it on any machine.
_MARGIN = 1e-5
# The most channels that one kernel adds up.
_MOST_CHANNELS = 9


@dataclass(frozen=True)
class KernelNumbers:
    """Weights of a ``FixedKernels`` layer, in its order."""

    difference_scale: Array
    channels: Array
    thresholds: Array
    random_kernels: Array


def draw_kernels(
    sequences: Array, weights: Array | None, dilations: tuple[tuple[int, int], ...], random: np.random.Generator
) -> KernelNumbers:
    """Draw the numbers of kernels for scaled sequences, shape (n, timesteps, channels), NaN where there is no step.

    A threshold is a quantile of a kernel's responses to one of the sequences, drawn by their weights.
    """
    n_channels = sequences.shape[2]
    differences = np.diff(sequences, axis=1) if sequences.shape[1] > 1 else np.full_like(sequences, np.nan)
    scale = _deviations(differences, weights)
    row_of = _by_weight(sequences, weights)
    forms = (sequences, differences / scale)
    channels = np.stack([_drawn_channels(len(dilations), n_channels, random) for _ in forms])
    thresholds = np.stack(
        [_thresholds(form, row_of, dilations, chosen, random) for form, chosen in zip(forms, channels, strict=True)]
    )
    random_kernels = np.stack([_competing_kernels(n_channels, random) for _ in forms])
    return KernelNumbers(scale, channels, thresholds, random_kernels)


def _deviations(values: Array, weights: Array | None) -> Array:
    """Root mean square of each channel over all steps that are there; one where nothing varies."""
    per_row = np.ones(len(values)) if weights is None else weights
    squares = np.nansum(values.astype(np.float64) ** 2, axis=1)
    counts = (~np.isnan(values)).sum(axis=1)
    mean = per_row @ squares / np.maximum(per_row @ counts, 1e-12)
    return np.where(mean > 0, np.sqrt(mean), 1.0)


def _by_weight(sequences: Array, weights: Array | None) -> Any:
    """Give a function from numbers in [0, 1) to rows, each as often as it weighs, whatever their order."""
    flat = np.nan_to_num(sequences.reshape(len(sequences), -1).astype(np.float64))
    order = np.argsort((flat * np.cos(np.arange(flat.shape[1]))).sum(axis=1), kind="stable")
    ends = np.cumsum(np.ones(len(flat)) if weights is None else weights[order])
    return lambda uniform: order[np.minimum(np.searchsorted(ends / ends[-1], uniform, side="right"), len(flat) - 1)]


def _drawn_channels(n_dilations: int, n_channels: int, random: np.random.Generator) -> Array:
    """Choose some channels for each kernel, shape (n_dilations, n_channels, 84), 1 where one is taken."""
    exponents = random.uniform(0, np.log2(min(n_channels, _MOST_CHANNELS) + 1), (n_dilations, 1, N_TERNARY))
    ranks = random.random((n_dilations, n_channels, N_TERNARY)).argsort(axis=1).argsort(axis=1)
    return (ranks < np.floor(2**exponents)).astype(np.float32)


def _competing_kernels(n_channels: int, random: np.random.Generator) -> Array:
    """Draw random kernels, shape (9 * n_channels, 512); those of a group add up the same channels."""
    kernels = random.normal(size=(WIDTH, 1, N_GROUPS, GROUP_SIZE))
    kernels -= kernels.mean(axis=0)
    kernels /= np.abs(kernels).sum(axis=0)
    n_taken = min(max(n_channels // 2, 1), GROUP_SIZE)
    ranks = random.random((n_channels, N_GROUPS)).argsort(axis=0).argsort(axis=0)
    taken = (ranks < n_taken)[None, :, :, None]
    return (kernels * taken).reshape(WIDTH * n_channels, -1).astype(np.float32)


def _thresholds(
    sequences: Array, row_of: Any, dilations: tuple[tuple[int, int], ...], channels: Array, random: np.random.Generator
) -> Array:
    """Choose thresholds of each kernel, shape (84, n_thresholds), halfway between its responses to drawn rows."""
    chosen: list[Array] = []
    n_before = 0
    for (dilation, count), taken in zip(dilations, channels, strict=True):
        rows = sequences[row_of(random.random(N_TERNARY))]
        is_there = ~np.isnan(rows).any(axis=2)
        responses = _responses(np.where(is_there[..., None], rows, 0.0), dilation, taken)
        shares = (n_before + np.arange(N_TERNARY * count).reshape(N_TERNARY, count) + 1) * _GOLDEN_RATIO % 1
        chosen.append(
            np.stack(
                [
                    np.quantile(response[steps], share, method="midpoint") + _MARGIN if steps.any() else np.zeros(count)
                    for response, steps, share in zip(responses, is_there, shares, strict=True)
                ]
            )
        )
        n_before += N_TERNARY * count
    return np.concatenate(chosen, axis=1).astype(np.float32)


def _responses(rows: Array, dilation: int, channels: Array) -> Array:
    """Return what kernel k answers to row k, shape (84, timesteps), for rows of shape (84, timesteps, channels)."""
    n_steps, reach = rows.shape[1], dilation * (WIDTH - 1) // 2
    padded = np.pad(np.einsum("ktc,ck->kt", rows, channels), [(0, 0), (reach, reach)])
    return sum(TERNARY[:, [start]] * padded[:, start * dilation : start * dilation + n_steps] for start in range(WIDTH))
