"""Beam search: the translations that a network finds most likely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skneural._architectures.translation_layers import BEGIN, END, PADDING, UNKNOWN

from .networks import Decoding, Tokens, TranslationNumbers, padded_length
from .numbers import Floats, log_softmax, one_thread

# Rows, of all sentences and beams, that are translated at the same time.
_N_ROWS = 128
# Values that are looked at as one, as far as none of them is large.
_N_TOGETHER = 64
_NEVER_SAID = [PADDING, BEGIN, UNKNOWN]


class Translation(NamedTuple):
    """What was said, without the end, its logarithm of probability, and this over a power of the length."""

    tokens: tuple[int, ...]
    log_probability: float
    score: float


@dataclass(frozen=True)
class BeamSearch:
    """How translations are looked for.

    ``n_beams`` are kept of each sentence. Finished ones are compared by log p / length ** ``length_penalty``, with the
    end counted (Wu et al. 2016, section 7, with another normalisation); a sentence is done when ``n_beams`` are
    finished and none that is on its way is better than the worst of them, would it end now. ``limit`` tells how many
    tokens, with the end, a translation of a source may have at most.
    """

    n_beams: int
    length_penalty: float
    limit: Callable[[Tokens], int]

    def translate(self, network: TranslationNumbers, sources: Sequence[Tokens]) -> list[list[Translation]]:
        """Return for each source at most ``n_beams`` translations, the best first."""
        found: list[list[Translation]] = [[] for _ in sources]
        with one_thread():
            for positions in _blocks(sources, max(1, _N_ROWS // self.n_beams)):
                block = _Block(self, network, [sources[one] for one in positions])
                for position, translations in zip(positions, block.run(), strict=True):
                    found[position] = translations
        return found

    def finished(self, tokens: Sequence[int], log_probability: float) -> Translation:
        """Return a translation that has come to its end."""
        score = self.score(len(tokens), log_probability)
        return Translation(tuple(int(one) for one in tokens), float(log_probability), score)

    def score(self, n_tokens: int, log_probability: float) -> float:
        """Return what translations are compared by; the end is counted too."""
        return float(log_probability / (n_tokens + 1) ** self.length_penalty)


def _blocks(sources: Sequence[Tokens], size: int) -> Iterator[list[int]]:
    """Positions of sources of one padded length, sorted by their lengths."""
    by_length: dict[int, list[int]] = {}
    for position in sorted(range(len(sources)), key=lambda one: len(sources[one])):
        by_length.setdefault(padded_length(sources[position]), []).append(position)
    for positions in by_length.values():
        for first in range(0, len(positions), size):
            yield positions[first : first + size]


class _Block:
    """Sentences that are translated together.

    Of the sentences that are not done, ``alive`` has the positions, ``said`` the tokens (n, n_beams, steps) and
    ``totals`` the logarithms of probabilities (n, n_beams) of their beams.
    """

    def __init__(self, search: BeamSearch, network: TranslationNumbers, sources: Sequence[Tokens]) -> None:
        self._search = search
        self._network = network
        self._limits = np.array([search.limit(source) for source in sources])
        self._finished: list[list[Translation]] = [[] for _ in sources]
        self._decoding: Decoding = network.begin(sources, search.n_beams, int(self._limits.max()))
        n, k = len(sources), search.n_beams
        self._alive = np.arange(n)
        self._said = np.empty((n, k, 0), np.intp)
        self._totals = np.full((n, k), -np.inf, np.float64)
        self._totals[:, 0] = 0

    def run(self) -> list[list[Translation]]:
        last = np.full(len(self._alive) * self._search.n_beams, BEGIN, np.intp)
        while len(self._alive):
            last = self._step(self._network.step(self._decoding, last))
        return self._finished

    def _step(self, logits: Floats) -> NDArray[np.intp]:
        """Take the logits of all beams; return the tokens with which those that go on do so."""
        k, n = self._search.n_beams, len(self._alive)
        is_last = self._said.shape[2] + 1 >= self._limits[self._alive]
        log_shares = self._log_shares(logits, is_last)
        # Of each beam no more can be among the best of all than there are of these.
        likely = _best(log_shares, min(2 * k, log_shares.shape[1]))
        totals = self._totals[:, :, None] + np.take_along_axis(log_shares, likely, axis=1).reshape(n, k, -1)
        best = _best(totals.reshape(n, -1), min(2 * k, totals[0].size))
        beams = best // totals.shape[2]
        tokens = np.take_along_axis(likely.reshape(n, -1), best, axis=1)
        scores = np.take_along_axis(totals.reshape(n, -1), best, axis=1)
        self._finish(beams[:, :k], tokens[:, :k], scores[:, :k])
        # The best that have not come to an end; where there are too few, the rest are impossible.
        order = np.argsort(tokens == END, axis=1, kind="stable")[:, :k]
        beams, tokens, scores = (np.take_along_axis(one, order, axis=1) for one in (beams, tokens, scores))
        scores = np.where(tokens == END, -np.inf, scores)
        goes_on = ~is_last & [
            self._may_get_better(int(one), float(best)) for one, best in zip(self._alive, scores[:, 0], strict=True)
        ]
        return self._go_on(np.flatnonzero(goes_on), beams, tokens, scores)

    def _log_shares(self, logits: Floats, is_last: NDArray[np.bool_]) -> Floats:
        shares = log_softmax(logits)
        shares[:, _NEVER_SAID] = -np.inf
        rows = np.repeat(is_last, self._search.n_beams)
        ends = shares[rows, END].copy()
        shares[rows] = -np.inf
        shares[rows, END] = ends
        return shares

    def _finish(self, beams: NDArray[np.intp], tokens: NDArray[np.intp], scores: NDArray[np.float64]) -> None:
        for row, place in zip(*np.nonzero((tokens == END) & np.isfinite(scores)), strict=True):
            said = self._said[row, beams[row, place]]
            finished = self._finished[self._alive[row]]
            finished.append(self._search.finished(said, scores[row, place]))
            finished.sort(key=lambda translation: -translation.score)
            del finished[self._search.n_beams :]

    def _may_get_better(self, sentence: int, best: float) -> bool:
        """Whether the best that is on its way belongs among the finished ones, would it end now."""
        finished, n_said = self._finished[sentence], self._said.shape[2] + 1
        is_full = len(finished) == self._search.n_beams
        return bool(np.isfinite(best)) and not (is_full and finished[-1].score >= self._search.score(n_said, best))

    def _go_on(
        self, rows: NDArray[np.intp], beams: NDArray[np.intp], tokens: NDArray[np.intp], scores: NDArray[np.float64]
    ) -> NDArray[np.intp]:
        k = self._search.n_beams
        if (beams != np.arange(k)).any():
            self._decoding.take_rows((np.arange(len(beams))[:, None] * k + beams).ravel())
        if len(rows) < len(self._alive):
            self._decoding.take_sentences(rows)
        said = np.take_along_axis(self._said, beams[:, :, None], axis=1)
        self._said = np.concatenate([said, tokens[:, :, None]], axis=2)[rows]
        self._alive, self._totals = self._alive[rows], scores[rows]
        return tokens[rows].ravel()


def _best(values: NDArray[np.floating[Any]], n: int) -> NDArray[np.intp]:
    """Return where the largest ``n`` values of each row stand, the largest first."""
    if values.shape[1] > 2 * n * _N_TOGETHER:
        # They are all in those groups whose largest values are the largest.
        n_groups = values.shape[1] // _N_TOGETHER
        grouped = values[:, : n_groups * _N_TOGETHER].reshape(len(values), n_groups, _N_TOGETHER)
        groups = _best(grouped.max(axis=2), n)
        rest = np.arange(n_groups * _N_TOGETHER, values.shape[1])
        candidates = (groups[:, :, None] * _N_TOGETHER + np.arange(_N_TOGETHER)).reshape(len(values), -1)
        candidates = np.concatenate([candidates, np.broadcast_to(rest, (len(values), len(rest)))], axis=1)
        of_candidates = _best(np.take_along_axis(values, candidates, axis=1), n)
        return np.take_along_axis(candidates, of_candidates, axis=1)
    if n < values.shape[1]:
        places = np.sort(np.argpartition(-values, n - 1, axis=1)[:, :n], axis=1)
    else:
        places = np.broadcast_to(np.arange(n), values.shape)
    order = np.argsort(-np.take_along_axis(values, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


def forced(
    network: TranslationNumbers, sources: Sequence[Tokens], targets: Sequence[Tokens]
) -> Iterator[tuple[int, Floats, Floats]]:
    """For each pair its position, the log-probability of each token of the target and its end, and the attention.

    The latter has shape (n_target, heads, n_source), in the last layer, with the ends of both.
    """
    for positions in _blocks(sources, _N_ROWS):
        with one_thread():
            decoding = network.begin(
                [sources[one] for one in positions], 1, max(len(targets[one]) + 1 for one in positions)
            )
            said = [[BEGIN, *targets[one]] for one in positions]
            n_steps = max(len(one) for one in said)
            log_shares, shares = [], []
            for step in range(n_steps):
                tokens = np.array([one[min(step, len(one) - 1)] for one in said], np.intp)
                following = [[*one[1:], END][min(step, len(one) - 1)] for one in said]
                log_shares.append(log_softmax(network.step(decoding, tokens))[np.arange(len(said)), following])
                assert decoding.shares is not None
                shares.append(decoding.shares)
        for row, position in enumerate(positions):
            n_target, n_source = len(said[row]), len(sources[position]) + 1
            yield (
                position,
                np.array([step[row] for step in log_shares[:n_target]]),
                np.array([step[row, :, :n_source] for step in shares[:n_target]]),
            )
