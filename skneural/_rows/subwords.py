"""Sentences <-> tokens: subwords that were learned from sentences."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .sentences import normalised

TOKENIZERS = ("bpe", "unigram", "char", "word")
# What sentencepiece writes in the place of a space.
_SPACE = "\u2581"
# Padding, begin, end, unknown, and a token for each byte.
N_FIXED_TOKENS = 4 + 256
# Subwords are learned from so many characters of a sentence at most.
_MOST_CHARACTERS = 4000


@dataclass(frozen=True)
class Subwords:
    """Tokens that sentencepiece has learned, with byte fallback: no character is lost.

    ``model`` is sentencepiece's own serialised model.
    """

    model: bytes
    lowercase: bool

    @classmethod
    def learned_from(cls, sentences: Iterable[str], *, kind: str, n_tokens: int, lowercase: bool) -> Subwords:
        """Learn at most ``n_tokens`` tokens (Kudo and Richardson 2018, https://arxiv.org/abs/1808.06226).

        Raises
        ------
        ValueError
            For sentences without a character.
        """
        import sentencepiece

        texts = [
            text for text in (normalised(one, lowercase=lowercase)[:_MOST_CHARACTERS] for one in sentences) if text
        ]
        if not texts:
            raise ValueError("There is nothing to learn from: X and y hold no character but spaces.")
        texts = _of_common_characters(texts, n_tokens)
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=model,
            model_type=kind,
            vocab_size=n_tokens,
            hard_vocab_limit=False,
            character_coverage=1.0,
            byte_fallback=True,
            normalization_rule_name="identity",
            max_sentence_length=4 * _MOST_CHARACTERS + 1,
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            num_threads=1,
            minloglevel=2,
        )
        return cls(model.getvalue(), lowercase)

    @cached_property
    def _processor(self) -> Any:
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_proto=self.model)

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "lowercase": self.lowercase}

    @property
    def n_tokens(self) -> int:
        return int(self._processor.vocab_size())

    def tokens_of(self, sentences: Iterable[str]) -> list[list[int]]:
        """Return the tokens of each sentence, without begin and end."""
        texts = [normalised(one, lowercase=self.lowercase) for one in sentences]
        return [list(tokens) for tokens in self._processor.encode(texts)]

    def sentence_of(self, tokens: Sequence[int]) -> str:
        """Return the sentence that tokens stand for."""
        return " ".join(str(self._processor.decode([int(one) for one in tokens])).replace(_SPACE, " ").split())

    def pieces_of(self, tokens: Sequence[int]) -> list[str]:
        """Return each token as it may be written on an axis."""
        return [str(self._processor.id_to_piece(int(one))) for one in tokens]


def _of_common_characters(texts: list[str], n_tokens: int) -> list[str]:
    """Return texts with spaces for rare characters, where there are too many for a token each."""
    counts = Counter("".join(texts))
    n_known = max(1, (n_tokens - N_FIXED_TOKENS) // 2)
    if len(counts) <= n_known:
        return texts
    table = {ord(one): " " for one, _ in counts.most_common()[n_known:]}
    return [text.translate(table) for text in texts]
