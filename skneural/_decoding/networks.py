"""An encoder and a decoder on arrays: the decoder says one token a call, and keeps what it needs of those before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skneural._architectures.translation import TranslationArchitecture
from skneural._architectures.translation_layers import END, PADDING, wave_numbers
from skneural._engine import product

from .numbers import AttentionNumbers, DenseNumbers, Floats, GruNumbers, NamedWeights, Normalisation

Tokens = Sequence[int]
Activation = Callable[[Floats], Floats]
# Sources are padded to a multiple of this, by their own length alone.
LENGTH_UNIT = 8


class _Kept(Protocol):
    """What a layer keeps of the tokens so far, for each row."""

    def take(self, rows: NDArray[np.intp]) -> _Kept:
        """Keep these rows."""


@dataclass
class _KeysAndValues:
    """Of (n, heads, room, size), ``n_known`` are filled."""

    keys: Floats
    values: Floats
    n_known: int

    def take(self, rows: NDArray[np.intp]) -> _KeysAndValues:
        return _KeysAndValues(self._taken(self.keys, rows), self._taken(self.values, rows), self.n_known)

    def _taken(self, array: Floats, rows: NDArray[np.intp]) -> Floats:
        taken = np.empty((len(rows), *array.shape[1:]), np.float32)
        taken[:, :, : self.n_known] = array[rows, :, : self.n_known]
        return taken


@dataclass
class _GruState:
    """The states of a GRU, (n, units)."""

    state: Floats

    def take(self, rows: NDArray[np.intp]) -> _GruState:
        return _GruState(self.state[rows])


class _Own(Protocol):
    """What joins a token with those that the translation has so far."""

    def begin(self, n_rows: int, room: int) -> _Kept:
        """Keep nothing yet, with room for so many tokens."""

    def step(self, x: Floats, kept: Any) -> Floats:
        """Return what is found for one more vector of each row, (n, d_model), and keep what it needs later."""


@dataclass(frozen=True)
class _SelfAttention:
    attention: AttentionNumbers

    def begin(self, n_rows: int, room: int) -> _KeysAndValues:
        width = self.attention.key.kernel.shape[1]
        shape = (n_rows, self.attention.n_heads, room, width // self.attention.n_heads)
        return _KeysAndValues(np.empty(shape, np.float32), np.empty(shape, np.float32), 0)

    def step(self, x: Floats, kept: _KeysAndValues) -> Floats:
        here, known, heads = x[:, None], kept.n_known + 1, self.attention.heads
        kept.keys[:, :, kept.n_known] = heads(self.attention.key(here))[:, :, 0]
        kept.values[:, :, kept.n_known] = heads(self.attention.value(here))[:, :, 0]
        kept.n_known = known
        return self.attention(here, kept.keys[:, :, :known], kept.values[:, :, :known], None)[0][:, 0]


@dataclass(frozen=True)
class _Recurrence:
    gru: GruNumbers

    def begin(self, n_rows: int, room: int) -> _GruState:
        return _GruState(np.zeros((n_rows, self.gru.n_units), np.float32))

    def step(self, x: Floats, kept: _GruState) -> Floats:
        kept.state = self.gru.step(x, kept.state)
        return kept.state


@dataclass(frozen=True)
class _FeedForward:
    norm: Normalisation
    hidden: DenseNumbers
    out: DenseNumbers
    activation: Activation

    def __call__(self, x: Floats) -> Floats:
        return x + self.out(self.activation(self.hidden(self.norm(x))))


@dataclass(frozen=True)
class _DecoderLayer:
    self_norm: Normalisation
    own: _Own
    source_norm: Normalisation
    source: AttentionNumbers
    feed_forward: _FeedForward


@dataclass
class Decoding:
    """Translations on their way: for each row what the layers keep; for each sentence the encoder's keys and values.

    There are ``n_beams`` rows for each sentence, one behind the other. ``shares`` (n, heads, n_source) tells how much
    each row's last token has looked at each token of the source, in the last layer.
    """

    n_beams: int
    n_said: int
    kept: list[_Kept]
    sources: list[tuple[Floats, Floats]]
    sees: NDArray[np.bool_]
    shares: Floats | None = None

    def take_rows(self, rows: NDArray[np.intp]) -> None:
        """Let each row go on from what another has said; no row leaves its sentence."""
        self.kept = [one.take(rows) for one in self.kept]

    def take_sentences(self, sentences: NDArray[np.intp]) -> None:
        """Go on with some of the sentences."""
        self.take_rows((sentences[:, None] * self.n_beams + np.arange(self.n_beams)).ravel())
        self.sources = [(keys[sentences], values[sentences]) for keys, values in self.sources]
        self.sees = self.sees[sentences]


class TranslationNumbers:
    """A trained network's encoder and decoder."""

    def __init__(self, sizes: TranslationArchitecture, weights: NamedWeights, activation: Activation) -> None:
        self._sizes = sizes
        self._weights = weights
        self._activation = activation
        self._table = weights["embedding/table"]
        self._logits_kernel = np.ascontiguousarray(self._table.T)
        self._encoder_end, self._decoder_end = (weights.normalisation(f"{side}_end") for side in ("encoder", "decoder"))
        self._layers = [self._decoder_layer(f"decoder_{n}") for n in range(1, sizes.n_decoder_layers + 1)]

    @property
    def n_tokens(self) -> int:
        return len(self._table)

    def begin(self, sources: Sequence[Tokens], n_beams: int, room: int) -> Decoding:
        """Encode sentences, whose padded lengths are equal, for translations of at most ``room`` tokens."""
        tokens = padded_sources(sources)
        memory, sees = self._encoded(tokens)
        known = [
            (layer.source.heads(layer.source.key(memory)), layer.source.heads(layer.source.value(memory)))
            for layer in self._layers
        ]
        kept: list[_Kept] = [layer.own.begin(len(sources) * n_beams, room) for layer in self._layers]
        return Decoding(n_beams, 0, kept, known, sees)

    def step(self, decoding: Decoding, tokens: NDArray[np.intp]) -> Floats:
        """Say a token (n,) for each row, and return the logits of the next, (n, n_tokens)."""
        x = self._embedded(tokens[:, None], np.full((1, 1), decoding.n_said))[:, 0]
        decoding.n_said += 1
        for layer, kept, (keys, values) in zip(self._layers, decoding.kept, decoding.sources, strict=True):
            x = x + layer.own.step(layer.self_norm(x), kept)
            looking = layer.source_norm(x).reshape(len(keys), decoding.n_beams, -1)
            found, shares = layer.source(looking, keys, values, decoding.sees)
            decoding.shares = shares.swapaxes(1, 2).reshape(len(x), layer.source.n_heads, -1)
            x = layer.feed_forward(x + found.reshape(len(x), -1))
        return product(self._decoder_end(x), self._logits_kernel)

    def _encoded(self, tokens: NDArray[np.intp]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return what the decoder looks at, (n, length, d_model), and where there is something to see."""
        is_there = tokens != PADDING
        sees = is_there[:, None, None, :]
        x = self._embedded(tokens, np.arange(tokens.shape[1])[None])
        for n in range(1, self._sizes.n_encoder_layers + 1):
            name = f"encoder_{n}"
            x = x + (self._gone_over(name, x, is_there) if self._sizes.is_recurrent else self._attended(name, x, sees))
            x = self._feed_forward(name)(x)
        return self._encoder_end(x), sees

    def _embedded(self, tokens: NDArray[np.intp], places: NDArray[np.intp]) -> Floats:
        x = self._table[tokens] * np.float32(np.sqrt(self._sizes.d_model))
        if self._sizes.is_recurrent:
            return x
        angles = places[..., None].astype(np.float32) * wave_numbers(self._sizes.d_model)
        return x + np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)

    def _attended(self, name: str, x: Floats, sees: NDArray[np.bool_]) -> Floats:
        attention = self._weights.attention(f"{name}_self", self._sizes.n_heads)
        normalised = self._weights.normalisation(f"{name}_self")(x)
        keys, values = (attention.heads(part(normalised)) for part in (attention.key, attention.value))
        return attention(normalised, keys, values, sees)[0]

    def _gone_over(self, name: str, x: Floats, is_there: NDArray[np.bool_]) -> Floats:
        """Return what GRUs make of the vectors before and behind each; padding stands behind a sentence."""
        normalised = self._weights.normalisation(f"{name}_gru")(x)
        places = list(range(x.shape[1]))
        ways = [("forward", places), ("backward", places[::-1])]
        return np.concatenate([self._states(f"{name}_{way}", normalised, is_there, order) for way, order in ways], 2)

    def _states(self, name: str, x: Floats, is_there: NDArray[np.bool_], order: Sequence[int]) -> Floats:
        gru = self._weights.gru(name)
        state = np.zeros((len(x), gru.n_units), np.float32)
        states = np.zeros((*x.shape[:2], gru.n_units), np.float32)
        for place in order:
            state = np.where(is_there[:, place, None], gru.step(x[:, place], state), np.float32(0))
            states[:, place] = state
        return states

    def _feed_forward(self, name: str) -> _FeedForward:
        hidden, out = (self._weights.dense(f"{name}_{part}") for part in ("hidden", "out"))
        return _FeedForward(self._weights.normalisation(name), hidden, out, self._activation)

    def _decoder_layer(self, name: str) -> _DecoderLayer:
        weights, n_heads = self._weights, self._sizes.n_heads
        own: _Own
        if self._sizes.is_recurrent:
            own_norm, own = weights.normalisation(f"{name}_gru"), _Recurrence(weights.gru(f"{name}_forward"))
        else:
            own_norm = weights.normalisation(f"{name}_self")
            own = _SelfAttention(weights.attention(f"{name}_self", n_heads))
        source = weights.attention(f"{name}_source", n_heads)
        return _DecoderLayer(own_norm, own, weights.normalisation(f"{name}_source"), source, self._feed_forward(name))


def padded_length(source: Tokens) -> int:
    """Return the length of a row for a source and its end; no other sentence has a say in it."""
    return -(-(len(source) + 1) // LENGTH_UNIT) * LENGTH_UNIT


def padded_sources(sources: Sequence[Tokens]) -> NDArray[np.intp]:
    """Return sources with their ends as rows of one length."""
    tokens = np.full((len(sources), max(padded_length(source) for source in sources)), PADDING, np.intp)
    for row, source in enumerate(sources):
        tokens[row, : len(source) + 1] = [*source, END]
    return tokens
