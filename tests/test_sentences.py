"""Sentences as users give them, the subwords that they become, and the rows that these are laid into."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from skneural._rows.packing import pack
from skneural._rows.sentences import check_sentences, normalised
from skneural._rows.subwords import Subwords

SENTENCES = ["the cat sat on the mat", "the dog sat", "a dog and a cat"]


@pytest.mark.parametrize(
    "given",
    [
        SENTENCES,
        tuple(SENTENCES),
        np.array(SENTENCES),
        np.array(SENTENCES, dtype=object),
        np.array(SENTENCES)[:, None],
        pd.Series(SENTENCES),
        pd.Series(SENTENCES, dtype="string"),
        pd.Series(SENTENCES, dtype="string[python]"),
        pd.DataFrame({"text": SENTENCES}),
        pd.Index(SENTENCES),
    ],
    ids=lambda given: type(given).__name__,
)
def test_all_containers_give_the_same_sentences(given):
    rows = check_sentences("Translator", "X", given)
    assert rows.dtype == object
    assert rows.tolist() == SENTENCES
    assert all(type(row) is str for row in rows)


def test_polars_and_pyarrow_give_the_same_sentences():
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    for given in (polars.Series(SENTENCES), pyarrow.array(SENTENCES), pyarrow.chunked_array([SENTENCES])):
        assert check_sentences("Translator", "X", given).tolist() == SENTENCES


@pytest.mark.parametrize(
    ("wrong", "shown", "remedy"),
    [
        (None, "None (NoneType)", "Leave rows without a sentence out"),
        (float("nan"), "nan (float)", "Leave rows without a sentence out"),
        (pd.NA, "<NA> (NAType)", "Leave rows without a sentence out"),
        (3, "3 (int)", "str(value)"),
        (b"cat", "b'cat' (bytes)", "value.decode('utf-8')"),
        (["the", "cat"], "['the', 'cat'] (list)", "join its parts"),
    ],
)
def test_a_row_that_is_no_sentence_is_named(wrong, shown, remedy):
    with pytest.raises(TypeError) as raised:
        check_sentences("Translator", "y", ["a cat", wrong, "a dog"])
    assert str(raised.value).startswith(f"Each row of the 'y' of Translator must be a str. Got {shown} in row 1.")
    assert remedy in str(raised.value)


def test_numbers_are_no_sentences():
    with pytest.raises(TypeError, match=r"Got 0.0 \(float\) in row 0"):
        check_sentences("Translator", "X", np.zeros(3))


def test_one_string_is_no_list_of_sentences():
    with pytest.raises(TypeError, match="put a single sentence into a list"):
        check_sentences("Translator", "X", "the cat")


def test_two_columns_are_too_many():
    with pytest.raises(ValueError, match=r"shape \(n,\) or \(n, 1\). Got shape \(3, 2\)"):
        check_sentences("Translator", "X", np.array([SENTENCES, SENTENCES]).T)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("  the\tcat\n sat ", "the cat sat"),
        ("\ufb01ve \uff26", "five F"),
        ("a\x00b\ud800c", "a b c"),
        ("", ""),
        ("😀 Straße", "😀 Straße"),
    ],
)
def test_sentences_are_normalised(sentence, expected):
    assert normalised(sentence, lowercase=False) == expected


def test_lowercase_is_asked_for():
    assert normalised("Der MANN", lowercase=True) == "der mann"


@pytest.mark.parametrize("kind", ["bpe", "unigram", "char", "word"])
def test_no_character_is_lost_by_subwords(kind):
    subwords = Subwords.learned_from(SENTENCES, kind=kind, n_tokens=400, lowercase=False)
    assert subwords.n_tokens <= 400
    for sentence in [*SENTENCES, "unseen Wörter 😀 日本", "", "<s> </s> <unk> & <pad>", "x" * 1000]:
        (tokens,) = subwords.tokens_of([sentence])
        assert subwords.sentence_of(tokens) == sentence
        # Padding, begin, end and unknown never stand for anything in a sentence.
        assert min(tokens, default=4) >= 4


def test_more_characters_than_tokens_are_written_in_bytes():
    rare = "".join(chr(0x4E00 + place) for place in range(300))
    subwords = Subwords.learned_from([*SENTENCES * 50, rare], kind="bpe", n_tokens=300, lowercase=False)
    assert subwords.n_tokens <= 300
    assert subwords.sentence_of(subwords.tokens_of([rare])[0]) == rare


def test_a_very_long_sentence_is_no_obstacle():
    subwords = Subwords.learned_from(["ab " * 40_000, "a b"], kind="bpe", n_tokens=300, lowercase=False)
    assert subwords.sentence_of(subwords.tokens_of(["a b"])[0]) == "a b"


def test_nothing_but_spaces_teaches_nothing():
    with pytest.raises(ValueError, match="hold no character but spaces"):
        Subwords.learned_from(["", "  "], kind="bpe", n_tokens=300, lowercase=False)


def test_subwords_come_back_from_a_pickle():
    subwords = Subwords.learned_from(SENTENCES, kind="bpe", n_tokens=300, lowercase=True)
    again = pickle.loads(pickle.dumps(subwords))
    assert again.tokens_of(["The CAT"]) == subwords.tokens_of(["the cat"])


def test_pairs_are_packed_whole_and_aligned():
    rng = np.random.default_rng(0)
    sources = [rng.integers(4, 99, rng.integers(0, 15)).tolist() for _ in range(200)]
    targets = [rng.integers(4, 99, rng.integers(0, 15)).tolist() for _ in range(200)]
    weights = rng.uniform(0.5, 2, 200)
    packed = pack(sources, targets, weights, length=32, begin=1, end=2, seed=0)
    found, weight_of = [], {}
    for source, target, weight in zip(*packed, strict=True):
        ends = np.flatnonzero(source == 2)
        begins = [*np.flatnonzero(target == 1), np.flatnonzero(target).max() + 1]
        assert len(ends) == len(begins) - 1
        parts = np.split(source[: ends[-1] + 1], ends[:-1] + 1)
        for part, first, last in zip(parts, begins[:-1], begins[1:], strict=True):
            pair = (tuple(part[:-1]), tuple(target[first + 1 : last]))
            found.append(pair)
            assert np.ptp(weight[first:last]) == 0
            weight_of[pair] = weight[first]
        assert not weight[target == 0].any()
    assert sorted(found) == sorted(zip(map(tuple, sources), map(tuple, targets), strict=True))
    assert packed.weights.sum() == pytest.approx(len(packed.source), rel=1e-5)
    ratios = [weight_of[tuple(s), tuple(t)] / w for s, t, w in zip(sources, targets, weights, strict=True) if s and t]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)
    assert np.mean(packed.target > 0) > 0.8
