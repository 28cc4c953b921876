"""Train a translator on sentences of a small grammar, or on pairs of your own, and see what it looks at.

Run it with ``make translation``. The grammar below makes English sentences and their German translations, with
articles and endings that depend on the noun, and with the place in front of half of the sentences, where German turns
verb and subject round. No sentence of the test is among those that are learned.

``--tsv FILE`` takes pairs of your own, one a line, source and translation apart by a tab. ``--data FOLDER`` trains on
the 29,000 pairs of Multi30k in that folder, which takes most of an hour.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.model_selection import train_test_split

import skneural  # whose classes load TensorFlow when they are first named, not for --help

# English noun; German noun; its gender.
NOUNS = [
    ("man", "Mann", "m"),
    ("dog", "Hund", "m"),
    ("teacher", "Lehrer", "m"),
    ("woman", "Frau", "f"),
    ("cat", "Katze", "f"),
    ("friend", "Freundin", "f"),
    ("child", "Kind", "n"),
    ("girl", "Mädchen", "n"),
    ("horse", "Pferd", "n"),
]
ADJECTIVES = [("old", "alt"), ("small", "klein"), ("happy", "glücklich"), ("tired", "müd"), ("new", "neu")]
VERBS = [("sees", "sieht"), ("hears", "hört"), ("seeks", "sucht"), ("finds", "findet"), ("likes", "mag")]
PLACES = [
    ("in the garden", "im Garten"),
    ("in the city", "in der Stadt"),
    ("at the river", "am Fluss"),
    ("behind the house", "hinter dem Haus"),
]
SUBJECT = {"m": ("der", "e"), "f": ("die", "e"), "n": ("das", "e")}
OBJECT = {"m": ("den", "en"), "f": ("die", "e"), "n": ("das", "e")}


def drawn_pair(rng: np.random.Generator) -> tuple[str, str]:
    """Draw an English sentence and its German translation."""
    (who, wer, gender), (whom, wen, other) = (NOUNS[place] for place in rng.choice(len(NOUNS), 2, replace=False))
    adjectives = [ADJECTIVES[place] for place in rng.choice(len(ADJECTIVES), 2)]
    (verb, tut), (where, wo) = VERBS[rng.integers(len(VERBS))], PLACES[rng.integers(len(PLACES))]
    (article, ending), (of_object, its_ending) = SUBJECT[gender], OBJECT[other]
    subject = f"{article} {adjectives[0][1]}{ending} {wer}"
    object_ = f"{of_object} {adjectives[1][1]}{its_ending} {wen}"
    english = f"the {adjectives[0][0]} {who} {verb} the {adjectives[1][0]} {whom}"
    if rng.random() < 0.5:
        return as_sentence(f"{where} {english}"), as_sentence(f"{wo} {tut} {subject} {object_}")
    return as_sentence(f"{english} {where}"), as_sentence(f"{subject} {tut} {object_} {wo}")


def as_sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def main() -> None:
    options = read_options()
    mpl.use("agg")  # figures are saved, and need no screen
    options.output.mkdir(parents=True, exist_ok=True)
    pairs, translator = pairs_and_translator(options)
    train, test = train_test_split(pairs, test_size=min(500, len(pairs) // 5), random_state=0)
    X, y = zip(*train, strict=True)
    X_test, y_test = zip(*test, strict=True)

    print(f"Learning from {len(X):,} pairs, such as {X[0]!r} and {y[0]!r} ...")
    translator.fit(X, y, X_val=X_test, y_val=y_test)
    for source, found in zip(X_test[:5], translator.predict(X_test[:5]), strict=True):
        print(f"  {source}\n    -> {found}")
    print(f"BLEU of {len(X_test)} sentences that were not learned: {100 * translator.score(X_test, y_test):.1f}")
    save(skneural.TrainingCurveDisplay.from_estimator(translator).figure_, options.output / "loss.png")
    save(skneural.AttentionDisplay.from_estimator(translator, X_test[:2]).figure_, options.output / "attention.png")


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("translation_report"), help="folder for the figures")
    parser.add_argument("--n-pairs", type=int, default=5000, help="pairs that the grammar makes")
    parser.add_argument("--tsv", type=Path, help="a file of your own: source and translation apart by a tab")
    parser.add_argument("--data", type=Path, help="a folder with Multi30k, German to English")
    parser.add_argument("--epochs", type=int, default=None, help="passes over the pairs")
    return parser.parse_args()


def pairs_and_translator(options: argparse.Namespace) -> tuple[list[tuple[str, str]], skneural.Seq2SeqTranslator]:
    """Give what is asked for: pairs, and a translator whose size suits them."""
    if options.data is not None:
        pairs = [(german, english) for english, german in read_pairs(options.data / "multi30k_train.en-de.tsv.gz")]
        return pairs, skneural.Seq2SeqTranslator(epochs=options.epochs or "auto", verbose=2, random_state=0)
    if options.tsv is not None:
        return read_pairs(options.tsv), skneural.Seq2SeqTranslator(
            epochs=options.epochs or "auto", verbose=2, random_state=0
        )
    rng = np.random.default_rng(0)
    pairs = sorted({drawn_pair(rng) for _ in range(options.n_pairs)})
    sizes = {"d_model": 64, "d_feedforward": 128, "n_encoder_layers": 2, "n_decoder_layers": 1, "vocab_size": 500}
    return pairs, skneural.Seq2SeqTranslator(
        **sizes, dropout=0.1, epochs=options.epochs or 12, warmup_steps=100, random_state=0
    )


def read_pairs(path: Path) -> list[tuple[str, str]]:
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise SystemExit(
                f"Line {number} of {path} must have a source, a tab and a translation. Got {len(row)} parts."
            )
    return [(source, target) for source, target in rows]


def save(figure: mpl.figure.Figure, path: Path) -> None:
    figure.savefig(path)
    print(path)


if __name__ == "__main__":
    main()
