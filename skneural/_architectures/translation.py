"""Networks that translate: an encoder of the source, and a decoder that says the next token of the target."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras

from .translation_layers import (
    Backwards,
    Positions,
    SameSentence,
    SentenceGRUCell,
    SentenceNumbers,
    SharedEmbedding,
    WithinSentences,
)

ENCODER, DECODER = "encoder", "decoder"


@dataclass(frozen=True)
class TranslationArchitecture:
    """The sizes of a network that translates."""

    architecture: str
    n_tokens: int
    d_model: int
    n_heads: int
    n_encoder_layers: int
    n_decoder_layers: int
    d_feedforward: int
    activation: Any
    dropout: float
    l2: float = 0.0

    @property
    def is_recurrent(self) -> bool:
        return self.architecture == "recurrent"


@keras.saving.register_keras_serializable(package="skneural")
class Translator(keras.Model):
    """Source (n, length) and target (n, length) -> logits of the token behind each of the target.

    Its config is its sizes: Keras 3.15 reads a layer that two inner models share, here the embedding, back as two.
    """

    def __init__(self, sizes: TranslationArchitecture, **keywords: Any) -> None:
        embedding = SharedEmbedding(sizes.n_tokens, sizes.d_model, name="embedding")
        encoder, decoder = _encoder(sizes, embedding), _decoder(sizes, embedding)
        source, target = _tokens("source"), _tokens("target")
        super().__init__([source, target], decoder([target, source, encoder(source)]), **keywords)
        self.sizes = sizes

    def built_again(self) -> Translator:
        """Build another of the same sizes."""
        return Translator(self.sizes, name=self.name)

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(keras.activations.get(self.sizes.activation))
        return {"name": self.name, "trainable": self.trainable, **asdict(self.sizes), "activation": activation}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Translator:
        sizes = dict(config)
        keywords = {name: sizes.pop(name) for name in ("name", "trainable") if name in sizes}
        activation = keras.activations.deserialize(sizes.pop("activation"), custom_objects)
        return cls(TranslationArchitecture(**sizes, activation=activation), **keywords)


def build_translation(sizes: TranslationArchitecture) -> keras.Model:
    """Build a model of source (n, length) and target (n, length) -> logits of the token behind each of the target."""
    return Translator(sizes, name="translator")


def _tokens(side: str) -> Any:
    return keras.Input((None,), dtype="int32", name=side)


def _encoder(sizes: TranslationArchitecture, embedding: Any) -> keras.Model:
    """Tokens (n, length) -> what the decoder looks at, (n, length, d_model)."""
    source = _tokens("source")
    numbers = SentenceNumbers("source", name="source_sentences")(source)
    x = _embedded(sizes, "source", embedding(source), numbers)
    sees = SameSentence(name="source_sees")(numbers, numbers)
    for layer in range(1, sizes.n_encoder_layers + 1):
        if sizes.is_recurrent:
            x = _gone_over(sizes, f"encoder_{layer}", x, numbers, both_ways=True)
        else:
            x = _attended(sizes, f"encoder_{layer}_self", x, None, sees)
        x = _fed_forward(sizes, f"encoder_{layer}", x)
    return keras.Model(source, _normalised("encoder_end")(x), name=ENCODER)


def _decoder(sizes: TranslationArchitecture, embedding: Any) -> keras.Model:
    """Target (n, length), source (n, length) and the encoder's answer -> logits (n, length, n_tokens)."""
    target, source = _tokens("target"), _tokens("source")
    memory = keras.Input((None, sizes.d_model), name="memory")
    numbers = SentenceNumbers("target", name="target_sentences")(target)
    of_source = SentenceNumbers("source", name="sentences_of_source")(source)
    sees = SameSentence(causal=True, name="target_sees")(numbers, numbers)
    sees_source = SameSentence(name="target_sees_source")(numbers, of_source)
    x = _embedded(sizes, "target", embedding(target), numbers)
    for layer in range(1, sizes.n_decoder_layers + 1):
        if sizes.is_recurrent:
            x = _gone_over(sizes, f"decoder_{layer}", x, numbers, both_ways=False)
        else:
            x = _attended(sizes, f"decoder_{layer}_self", x, None, sees)
        x = _attended(sizes, f"decoder_{layer}_source", x, memory, sees_source)
        x = _fed_forward(sizes, f"decoder_{layer}", x)
    logits = embedding(_normalised("decoder_end")(x), reverse=True)
    return keras.Model([target, source, memory], logits, name=DECODER)


def _embedded(sizes: TranslationArchitecture, side: str, x: Any, numbers: Any) -> Any:
    """Vectors of tokens, which know their places where nothing else tells these."""
    if not sizes.is_recurrent:
        x = Positions(name=f"{side}_positions")(x, numbers)
    return keras.layers.Dropout(sizes.dropout, name=f"{side}_dropout")(x)


def _gone_over(sizes: TranslationArchitecture, name: str, x: Any, numbers: Any, *, both_ways: bool) -> Any:
    """Add to vectors what a GRU makes of those before them, and of those behind them."""
    normalised = _normalised(f"{name}_gru")(x)
    n_units = sizes.d_model // 2 if both_ways else sizes.d_model
    found = [_gru(f"{name}_forward", normalised, numbers, n_units, backwards=False)]
    if both_ways:
        found.append(_gru(f"{name}_backward", normalised, numbers, sizes.d_model - n_units, backwards=True))
    joined = keras.layers.Concatenate(name=f"{name}_both")(found) if both_ways else found[0]
    return _added(sizes, f"{name}_gru", x, joined)


def _gru(name: str, x: Any, numbers: Any, n_units: int, *, backwards: bool) -> Any:
    inputs = WithinSentences(backwards, name=f"{name}_within")(x, numbers)
    cell = SentenceGRUCell(n_units, name=f"{name}_cell")
    states = keras.layers.RNN(cell, return_sequences=True, go_backwards=backwards, name=name)(inputs)
    return Backwards(name=f"{name}_turned")(states) if backwards else states


def _added(sizes: TranslationArchitecture, name: str, x: Any, found: Any) -> Any:
    """Add to vectors what was found, some of it dropped; a layer, which the engine knows to go row by row."""
    dropped = keras.layers.Dropout(sizes.dropout, name=f"{name}_dropout")(found)
    return keras.layers.Add(name=f"{name}_added")([x, dropped])


def _normalised(name: str) -> keras.layers.Layer:
    return keras.layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")


def _attended(sizes: TranslationArchitecture, name: str, x: Any, memory: Any, sees: Any) -> Any:
    """Add to vectors what they find where they may look: in each other, or in the encoder's answer."""
    attention = keras.layers.MultiHeadAttention(sizes.n_heads, sizes.d_model // sizes.n_heads, name=name)
    normalised = _normalised(name)(x)
    found = attention(normalised, normalised if memory is None else memory, attention_mask=sees)
    return _added(sizes, name, x, found)


def _fed_forward(sizes: TranslationArchitecture, name: str, x: Any) -> Any:
    """Add to each vector what two dense layers make of it."""
    hidden = keras.layers.Dense(sizes.d_feedforward, sizes.activation, name=f"{name}_hidden")(_normalised(name)(x))
    hidden = keras.layers.Dense(sizes.d_model, name=f"{name}_out")(hidden)
    return _added(sizes, name, x, hidden)
