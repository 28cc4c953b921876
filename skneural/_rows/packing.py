"""Sentences of different lengths, laid one behind the other into rows of one length: one program trains them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Tokens = Sequence[int]
# A row is closed when so many younger ones are open.
_N_OPEN = 40


class PackedRows(NamedTuple):
    """Rows of tokens, shape (n, length), and what each token of the target weighs; the mean weight of a row is one."""

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    weights: NDArray[np.float32]


@dataclass
class _Row:
    """Which pairs lie in a row, and the room that is left on both sides."""

    rooms: tuple[int, int]
    pairs: list[int]


def pack(
    sources: Sequence[Tokens],
    targets: Sequence[Tokens],
    weights: NDArray[np.floating] | None,
    *,
    length: int,
    begin: int,
    end: int,
    seed: int,
) -> PackedRows:
    """Lay pairs, none longer than ``length`` - 1, into rows, in an order that is drawn from ``seed``."""
    needs = [(len(source) + 1, len(target) + 1) for source, target in zip(sources, targets, strict=True)]
    rows = _laid(needs, np.random.default_rng(seed).permutation(len(needs)), length)
    source, target = (np.zeros((len(rows), length), np.int32) for _ in range(2))
    token_weights = np.zeros((len(rows), length), np.float32)
    for row, pairs in enumerate(rows):
        at_source = at_target = 0
        for pair in pairs:
            n_source, n_target = needs[pair]
            source[row, at_source : at_source + n_source] = [*sources[pair], end]
            target[row, at_target : at_target + n_target] = [begin, *targets[pair]]
            token_weights[row, at_target : at_target + n_target] = 1 if weights is None else weights[pair]
            at_source, at_target = at_source + n_source, at_target + n_target
    return PackedRows(source, target, token_weights * np.float32(len(rows) / token_weights.sum(dtype=np.float64)))


def _laid(needs: Sequence[tuple[int, int]], order: NDArray[np.intp], length: int) -> list[list[int]]:
    """Put each pair into the first open row with room for it."""
    rows: list[_Row] = []
    begun: list[_Row] = []
    for pair in order.tolist():
        n_source, n_target = needs[pair]
        row = next((one for one in begun if one.rooms[0] >= n_source and one.rooms[1] >= n_target), None)
        if row is None:
            row = _Row((length, length), [])
            rows.append(row)
            begun = [*begun[-_N_OPEN + 1 :], row]
        row.rooms = (row.rooms[0] - n_source, row.rooms[1] - n_target)
        row.pairs.append(pair)
    return [row.pairs for row in rows]
