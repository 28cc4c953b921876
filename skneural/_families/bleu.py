"""BLEU, as sacreBLEU counts it."""

from __future__ import annotations

from collections.abc import Iterable


def check_sacrebleu(caller: str) -> None:
    """Raise an ImportError that says how to get sacreBLEU where it is missing."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires sacrebleu. You can install it with `pip install skneural[translation]`."
        ) from error


def bleu_of(translations: Iterable[str], references: Iterable[str]) -> float:
    """Return the BLEU of a corpus in [0, 1]: nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp."""
    import sacrebleu

    # Sentences come as they are; sacreBLEU would warn of ends that look tokenised.
    score = sacrebleu.metrics.BLEU(force=True).corpus_score(list(translations), [list(references)]).score
    # A geometric mean of ones is rounded.
    return min(1.0, float(score) / 100)
