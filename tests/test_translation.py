"""Contract: a translator is an estimator like any other, from sentences to sentences."""

from __future__ import annotations

import pickle
import warnings

import keras
import numpy as np
import pandas as pd
import pytest
import sacrebleu
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import (
    check_estimator_cloneable,
    check_estimator_repr,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
)

from skneural import Seq2SeqTranslator
from skneural._engine.xla.program import traces
from skneural.exceptions import InterruptedFitWarning

SMALL = {
    "d_model": 32,
    "n_heads": 2,
    "d_feedforward": 64,
    "n_encoder_layers": 1,
    "n_decoder_layers": 1,
    "tokenizer": "char",
    "dropout": 0.0,
    "warmup_steps": 50,
    "learning_rate": 5e-3,
    "random_state": 0,
}


def drawn_digits(n, seed=0, longest=5):
    rng = np.random.default_rng(seed)
    return [[str(digit) for digit in rng.integers(0, 10, rng.integers(1, longest + 1))] for _ in range(n)]


DIGITS = drawn_digits(3000)
X = [" ".join(digits) for digits in DIGITS]
REVERSED = [" ".join(digits[::-1]) for digits in DIGITS]
UNSEEN = [" ".join(digits) for digits in drawn_digits(300, seed=1)]


def backwards(sentences):
    return [sentence[::-1] for sentence in sentences]


@pytest.fixture(scope="module")
def reverser():
    return Seq2SeqTranslator(**SMALL, epochs=80).fit(X, REVERSED)


@pytest.fixture(scope="module")
def barely():
    """Give a translator that has learned next to nothing, with the program of the other one."""
    return Seq2SeqTranslator(**SMALL, epochs=1).fit(X[:50], REVERSED[:50])


def test_a_transformer_learns_to_reverse(reverser):
    found = reverser.predict(UNSEEN)
    assert found.dtype == object
    assert found.tolist() == backwards(UNSEEN)
    assert reverser.engine_ == "compiled"
    assert reverser.score(UNSEEN, backwards(UNSEEN)) == 1.0


def test_a_transformer_learns_to_copy():
    copier = Seq2SeqTranslator(**SMALL, epochs=25).fit(X, X)
    assert copier.predict(UNSEEN).tolist() == UNSEEN


@pytest.mark.slow
def test_a_recurrent_network_learns_to_reverse():
    reverser = Seq2SeqTranslator("recurrent", **SMALL | {"d_model": 64}, epochs=80).fit(X, REVERSED)
    assert reverser.predict(UNSEEN).tolist() == backwards(UNSEEN)


def test_score_is_that_of_sacrebleu(barely):
    references = backwards(UNSEEN)
    expected = sacrebleu.corpus_bleu(barely.predict(UNSEEN).tolist(), [references], force=True).score / 100
    assert barely.score(UNSEEN, references) == pytest.approx(expected)
    assert barely.score(UNSEEN, references) < 0.9


def test_the_likelihood_of_a_pair(reverser):
    right = reverser.score_samples(UNSEEN[:50], backwards(UNSEEN[:50]))
    wrong = reverser.score_samples(UNSEEN[:50], backwards(UNSEEN[1:51]))
    assert np.mean(right > wrong) > 0.95
    assert right.shape == (50,)
    assert right.max() < 0


def test_n_best_have_falling_scores_and_are_different(reverser):
    translations, scores = reverser.predict_n_best(UNSEEN[:20], n=6)
    assert translations.shape == scores.shape == (20, 6)
    assert translations[:, 0].tolist() == backwards(UNSEEN[:20])
    assert (np.diff(scores) <= 0).all()
    found = [[one for one in row if one] for row in translations]
    assert all(len(set(row)) == len(row) >= 4 for row in found)
    likelihood = reverser.score_samples(UNSEEN[:20], translations[:, 0])
    lengths = [len(tokens) + 1 for tokens in reverser.tokenizer_.tokens_of(translations[:, 0])]
    np.testing.assert_allclose(scores[:, 0], likelihood / lengths, atol=1e-4)


def test_attention_looks_from_the_end(reverser):
    """The likeliest token to look at when the first digit of the answer is said is the last one of the source."""
    (attention,) = reverser.attention(["1 2 3 4 5"])
    assert attention.target_tokens[-1] == attention.source_tokens[-1] == "</s>"
    assert attention.weights.shape == (len(attention.target_tokens), len(attention.source_tokens))
    np.testing.assert_allclose(attention.weights.sum(axis=1), 1, atol=1e-5)
    (given,) = reverser.attention(["1 2 3 4 5"], ["5 4 3 2 1"])
    np.testing.assert_array_equal(given.weights, attention.weights)


def test_the_same_sentence_has_the_same_translation_alone(barely):
    together = barely.predict(UNSEEN)
    assert [barely.predict([one])[0] for one in UNSEEN[::60]] == together[::60].tolist()


def test_the_model_is_one_of_keras(reverser):
    model = reverser.model_
    assert isinstance(model, keras.Model)
    assert reverser.encoder_.name == "encoder"
    assert reverser.decoder_.name == "decoder"
    (source,), (target,) = (reverser.tokenizer_.tokens_of([one]) for one in ("1 2 3", "3 2 1"))
    logits = model([np.array([[*source, 2]]), np.array([[1, *target]])]).numpy()[0]
    shares = keras.ops.log_softmax(logits).numpy()[np.arange(len(target) + 1), [*target, 2]]
    assert reverser.score_samples(["1 2 3"], ["3 2 1"])[0] == pytest.approx(shares.sum(), abs=1e-3)


def test_a_translator_comes_back_from_a_pickle(reverser):
    again = pickle.loads(pickle.dumps(reverser))
    assert again.predict(UNSEEN[:20]).tolist() == reverser.predict(UNSEEN[:20]).tolist()
    assert again.history_ == reverser.history_


def test_one_seed_gives_one_result(barely):
    again = clone(barely).fit(X[:50], REVERSED[:50])
    assert again.history_ == barely.history_
    for one, other in zip(barely.model_.get_weights(), again.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_parameters_of_a_later_fit_do_not_change_translations(reverser):
    expected = reverser.predict(UNSEEN[:20]).tolist()
    other = pickle.loads(pickle.dumps(reverser)).set_params(
        n_heads=4, d_model=64, activation="gelu", n_decoder_layers=2
    )
    assert other.predict(UNSEEN[:20]).tolist() == expected


@pytest.mark.parametrize("empty", ["", "   "])
def test_an_empty_sentence_is_translated_by_an_empty_one(reverser, empty):
    assert reverser.predict([empty, "1 2"]).tolist() == ["", "2 1"]
    assert reverser.predict_n_best([empty], 2)[0].tolist() == [["", ""]]


@pytest.mark.parametrize("odd", ["😀", "日本語 ", "\x00\x01 3", "<s> </s>", "Ω≈ç√", "3" * 100])
def test_odd_characters_are_translated_somehow(barely, odd):
    (found,) = barely.predict([odd])
    assert isinstance(found, str)
    assert not {"<s>", "</s>", "<unk>", "<pad>"} & set(found.split())


def test_long_sentences_are_cut_off_and_told_of(barely):
    with pytest.warns(
        UserWarning, match="1 of the sentences are longer than max_length=128 tokens and were cut off there"
    ):
        (found,) = barely.predict(["1 " * 50_000])
    assert len(found) < 1000
    with pytest.warns(UserWarning, match="2 of the pairs are longer than max_length=8"):
        fitted = (
            clone(barely).set_params(max_length=8).fit(["1 2", "2 1", "1 " * 9, "2"], ["2 1", "1 2", "2", "1 " * 9])
        )
    assert fitted.n_truncated_ == 2


def test_rows_without_weight_are_left_out(barely):
    weights = np.r_[np.ones(50), np.zeros(10)]
    weighted = clone(barely).fit(X[:60], [*REVERSED[:50], *X[50:60]], sample_weight=weights)
    # The subwords are learned from all, which are the same characters here.
    for one, other in zip(barely.model_.get_weights(), weighted.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_heavier_pairs_are_learned_better(barely):
    pairs = X[:200] * 2, X[:200] + REVERSED[:200]
    losses = []
    for heavy in ((50, 1), (1, 50)):
        fitted = clone(barely).set_params(epochs=25).fit(*pairs, sample_weight=np.repeat(heavy, 200))
        losses.append([-fitted.score_samples(X[:50], target).mean() for target in (X[:50], REVERSED[:50])])
    assert losses[0][0] < losses[0][1]
    assert losses[1][0] > losses[1][1]


def test_going_on_keeps_the_subwords(reverser):
    fine = pickle.loads(pickle.dumps(reverser))
    for _ in range(8):
        fine.partial_fit(X[:50], X[:50])
    assert fine.n_iter_ == 88
    assert fine.tokenizer_ is not None
    assert fine.tokenizer_.model == reverser.tokenizer_.model
    assert fine.score_samples(X[:20], X[:20]).mean() > reverser.score_samples(X[:20], X[:20]).mean()
    fresh = clone(reverser).partial_fit(X[:50], X[:50])
    assert fresh.n_iter_ == 1


def test_warm_start_goes_on(barely):
    warm = clone(barely).set_params(warm_start=True)
    first = warm.fit(X[:50], REVERSED[:50]).score_samples(X[:20], REVERSED[:20]).mean()
    assert warm.fit(X[:50], REVERSED[:50]).score_samples(X[:20], REVERSED[:20]).mean() > first
    with pytest.raises(ValueError, match="vocab_size"):
        warm.set_params(vocab_size=500).fit(X[:50], REVERSED[:50])


def test_early_stopping_looks_at_the_pairs_for_validation(barely):
    stopped = clone(barely).set_params(early_stopping=True, n_iter_no_change=2, tol=9.0, epochs=30, n_averaged=1)
    stopped.fit(X[:50], REVERSED[:50], X_val=X[50:80], y_val=REVERSED[50:80])
    # The first epoch improves on nothing, and none of the others by the 9 nats that count.
    assert len(stopped.history_["val_loss"]) == 3
    assert stopped.best_epoch_ == np.argmin(stopped.history_["val_loss"]) + 1


def test_early_stopping_by_bleu(barely):
    stopped = clone(barely).set_params(early_stopping=True, monitor="bleu", epochs=3, validation_fraction=0.5)
    stopped.fit(X[:100], REVERSED[:100])
    assert stopped.best_epoch_ == np.argmax(stopped.history_["val_bleu"]) + 1
    assert all(0 <= bleu <= 1 for bleu in stopped.history_["val_bleu"])


def test_in_scikit_learn(barely):
    train, test, y_train, y_test = train_test_split(pd.Series(X[:60]), pd.Series(REVERSED[:60]), random_state=0)
    cleaned = make_pipeline(FunctionTransformer(lambda sentences: [one.strip() for one in sentences]), clone(barely))
    cleaned.fit(train, y_train)
    assert cleaned.predict(test).shape == (15,)
    assert 0 <= cleaned.score(test, y_test) <= 1
    assert len(cross_validate(clone(barely), X[:40], REVERSED[:40], cv=2)["test_score"]) == 2
    search = GridSearchCV(clone(barely), {"beam_size": [1, 2]}, cv=2).fit(np.array(X[:40]), np.array(REVERSED[:40]))
    assert search.best_params_["beam_size"] in (1, 2)


@pytest.mark.parametrize(
    "check",
    [
        check_estimator_cloneable,
        check_no_attributes_set_in_init,
        check_parameters_default_constructible,
        check_estimator_repr,
    ],
)
def test_scikit_learn_check_passes(check):
    """Of the other checks scikit-learn says itself that they do not suit an estimator of strings."""
    check("Seq2SeqTranslator", Seq2SeqTranslator())


def test_tags_tell_of_strings():
    tags = get_tags(Seq2SeqTranslator())
    assert tags.input_tags.string
    assert not tags.input_tags.two_d_array
    assert tags.target_tags.required


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"d_model": 30, "n_heads": 2},
            "'d_model' parameter of Seq2SeqTranslator must be a multiple of twice 'n_heads'",
        ),
        ({"vocab_size": 100}, "'vocab_size' parameter of Seq2SeqTranslator must be an int in the range"),
        ({"tokenizer": "bytes"}, "'tokenizer' parameter of Seq2SeqTranslator must be a str among"),
        ({"epochs": 0}, "'epochs' parameter of Seq2SeqTranslator must be"),
        ({"checkpoint": "folder", "random_state": None}, "needs a fit that is the same each time"),
        ({"activation": "rellu"}, "rellu"),
    ],
)
def test_parameters_are_checked_before_anything_is_learned(parameters, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Seq2SeqTranslator(**SMALL | parameters).fit(X[:5], REVERSED[:5])


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (X[:5], None, "requires y to be passed"),
        (X[:5], X[:4], "X has 5 and y has 4"),
        ([], [], "Found array with 0 sample"),
        (X[:2], ["1", None], "Got None .NoneType. in row 1"),
        ("1 2 3", ["1"], "put a single sentence into a list"),
    ],
)
def test_pairs_are_checked_and_an_earlier_fit_stays(barely, sources, targets, message):
    before = barely.model_.get_weights()
    with pytest.raises((ValueError, TypeError), match=message):
        barely.fit(sources, targets)
    for one, other in zip(before, barely.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_who_is_not_fitted_says_so():
    for call in ("predict", "predict_n_best", "attention"):
        with pytest.raises(NotFittedError):
            getattr(Seq2SeqTranslator(), call)(["1"])


def test_without_sacrebleu_score_says_how_to_get_it(barely, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    with pytest.raises(ImportError, match=r"pip install skneural\[translation\]"):
        barely.score(["1"], ["1"])
    with pytest.raises(ImportError, match=r"pip install skneural\[translation\]"):
        clone(barely).set_params(monitor="bleu").fit(X[:5], X[:5])


def test_a_fit_is_quiet_and_traces_one_program(barely, capfd):
    new, before = clone(barely).set_params(d_feedforward=48), traces.n_traces
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new.fit(X[:60], REVERSED[:60])
    assert capfd.readouterr() == ("", "")
    assert traces.n_traces == before + 1
    # Pairs of other lengths, and other numbers, need no other program.
    new.set_params(learning_rate=1e-3, label_smoothing=0.0).fit([*X[:50], "1 " * 20], [*REVERSED[:50], "2 " * 25])
    assert traces.n_traces == before + 1


def test_an_interrupted_fit_keeps_what_it_has(barely):
    class Interrupts(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    stopped = clone(barely).set_params(epochs=9, learning_rate_schedule="constant", callbacks=Interrupts())
    with pytest.warns(InterruptedFitWarning, match="interrupted in epoch 3. The best weights so far are kept"):
        stopped.fit(X[:50], REVERSED[:50])
    whole = clone(barely).set_params(epochs=2, learning_rate_schedule="constant").fit(X[:50], REVERSED[:50])
    for one, other in zip(stopped.model_.get_weights(), whole.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_progress_tells_of_tokens_a_second(barely, capsys):
    clone(barely).set_params(verbose=2, epochs=2).fit(X[:50], REVERSED[:50])
    shown = capsys.readouterr().out
    assert shown.count("tokens/s") == 2
