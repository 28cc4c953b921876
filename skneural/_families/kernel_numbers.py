"""Numbers of fixed kernels for training sequences, and of the last layer behind them, by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from skneural._architectures.fixed_kernels import GROUP_SIZE, N_GROUPS, N_TERNARY, TERNARY, WIDTH

Array = NDArray[Any]

_GOLDEN_RATIO = (1 + 5**0.5) / 2
# Responses to steps that are alike, which roundings alone tell from a threshold, stay below it on any machine.
_MARGIN = 1e-5
# The most channels that one kernel adds up.
_MOST_CHANNELS = 9
# Penalties in units of the features' mean squared length.
_PENALTIES = np.logspace(-4, 4, 17)
# What is added to the deviation of features in [0, 1] and more, so that those which hardly differ stay small.
_LEAST_DEVIATION = 1e-3


# --- kernels ----------------------------------------------------------------------------------------------------


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


# --- the last layer ---------------------------------------------------------------------------------------------


class Solution(NamedTuple):
    """A linear layer, and what it would say of each row had it not seen that row, shape (n, n_outputs)."""

    kernel: Array
    bias: Array
    left_out: Array


def solve_ridge(features: Array, targets: Array, weights: Array | None) -> Solution:
    """Minimise sum_i w_i |t_i - b - f_i K|^2 + penalty |K|^2, where the penalty is best for rows that are left out.

    Features of shape (n, p) are scaled to their deviations before. The sums are over rows, not features, so that time
    and memory grow with n^2 and n p.

    References
    ----------
    T. Hastie, R. Tibshirani, J. Friedman (2009), The elements of statistical learning, section 7.10 and 18.3.5.
    """
    share = np.full(len(features), 1 / len(features)) if weights is None else weights / weights.sum()
    root = np.sqrt(share)
    middle = share @ features
    spread = np.sqrt(np.maximum(share @ np.square(features) - middle**2, 0.0)) + _LEAST_DEVIATION
    scaled = features - middle.astype(np.float32)
    scaled /= spread.astype(np.float32)
    scaled *= root[:, None].astype(np.float32)
    mean = share @ targets
    wanted = root[:, None] * (targets - mean)
    products = (scaled @ scaled.T).astype(np.float64)
    sizes, directions = linalg.eigh(products)
    sizes = np.maximum(sizes, 0.0)
    turned = directions.T @ wanted
    best: tuple[float, Array, Array] | None = None
    for penalty in _PENALTIES * max(sizes.sum(), np.finfo(np.float64).tiny) / len(features):
        dual = directions @ (turned / (sizes + penalty)[:, None])
        # The row's own share in its fit; the mean, too, was learned with it.
        kept = penalty * ((directions**2) @ (1 / (sizes + penalty)) - share / penalty)
        errors = penalty * dual / np.maximum(kept, 1e-12)[:, None]
        loss = float((errors**2).sum())
        if best is None or loss < best[0]:
            best = loss, dual, errors
    assert best is not None
    _, dual, errors = best
    kernel = (scaled.T @ dual.astype(np.float32)).astype(np.float64) / spread[:, None]
    return Solution(kernel, mean - middle @ kernel, targets - errors / root[:, None])


def mean_of_solutions(solutions: Sequence[Solution]) -> Solution:
    """Average linear layers; those of fewer features have the first ones."""
    kernel = np.zeros_like(solutions[-1].kernel)
    for solution in solutions:
        kernel[: len(solution.kernel)] += solution.kernel / len(solutions)
    bias, left_out = (np.mean([getattr(one, name) for one in solutions], axis=0) for name in ("bias", "left_out"))
    return Solution(kernel, bias, left_out)


def temperature(left_out: Array, targets: Array, weights: Array | None, *, is_exclusive: bool) -> float:
    """Return the factor that makes the best log-odds of what a layer says of rows that it has not seen.

    ``targets`` are 1 and -1. One row more is taken to be of any class, so that the factor stays finite (J. Platt,
    1999, Probabilistic outputs for support vector machines, section 2).
    """
    share = np.full(len(targets), 1 / len(targets)) if weights is None else weights / weights.sum()
    doubt = 1 / (len(targets) + 2)

    def loss(logarithm: float) -> float:
        scores = np.exp(logarithm) * left_out
        if is_exclusive:
            wanted = (targets > 0) * (1 - doubt) + doubt / targets.shape[1]
            losses = -(wanted * log_softmax(scores, axis=1)).sum(axis=1)
        else:
            wanted = np.where(targets > 0, 1 - doubt / 2, doubt / 2)
            losses = (np.logaddexp(0, scores) - wanted * scores).sum(axis=1)
        return float(share @ losses)

    return float(np.exp(minimize_scalar(loss, bounds=(-4.0, 6.0), method="bounded").x))
