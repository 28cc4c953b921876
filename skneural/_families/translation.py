"""Machine translation: sentences in one language to sentences in another."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from skneural._compat.scikit_names import Interval, StrOptions
from skneural._decoding.beams import Translation, forced
from skneural._estimators.one_state import of_one_state
from skneural._rows.sentences import check_sentences
from skneural._rows.subwords import N_FIXED_TOKENS, TOKENIZERS
from skneural._rows.validation import check_lengths
from skneural._types import Every, Folder, RandomState

from .base import SHARED_CONSTRAINTS
from .bleu import bleu_of, check_sacrebleu
from .paragraphs import with_shared_paragraphs
from .translation_training import TrainedTranslator

_SHARED = (
    "dropout",
    "learning_rate",
    "learning_rate_schedule",
    "early_stopping",
    "validation_fraction",
    "n_iter_no_change",
    "tol",
    "warm_start",
    "checkpoint",
    "checkpoint_every",
    "random_state",
    "verbose",
)
_SIZE: list[Any] = [Interval(Integral, 1, None, closed="left")]


class Attention(NamedTuple):
    """How much a translation looks at its source: weights (n_target, n_source), rows sum to one; tokens of both."""

    weights: NDArray[np.float32]
    target_tokens: list[str]
    source_tokens: list[str]


@with_shared_paragraphs
class Seq2SeqTranslator(TrainedTranslator):
    """A network that translates sentences: a small one, trained from nothing on pairs of your own.

    Sentences become subwords, which are learned from both languages together. An encoder reads those of the source, and
    a decoder says the translation token by token, looking back at the source (Vaswani et al. 2017, with normalisation
    in front of each layer). It is for domains that have their own pairs, some thousands of them, and for learning how
    translation works. For the languages of the world as they are, a network that was trained on a hundred million pairs
    is better: see the Notes.

    Parameters
    ----------
    architecture : {"transformer", "recurrent"}, default="transformer"
        What joins the tokens of a sentence: attention, or gated recurrent units (Bahdanau et al. 2015), in both
        directions in the encoder. Both look at the source by attention.
    tokenizer : {"bpe", "unigram", "char", "word"}, default="bpe"
        The kind of subwords that sentencepiece learns (Kudo and Richardson 2018). Characters that have no token of
        their own are written in bytes, so that none is lost.
    vocab_size : int, default=4000
        The most tokens, of both languages together; 260 of them stand for bytes and marks.
    lowercase : bool, default=False
        Whether sentences are lower-cased before anything else, those to be translated too. All are brought to Unicode's
        form NFKC, with a single space for spaces and control characters.
    d_model : int, default=192
        Components of the vector of a token, a multiple of twice ``n_heads``.
    n_heads : int, default=4
        Heads of each attention.
    n_encoder_layers : int, default=3
        Layers of the encoder.
    n_decoder_layers : int, default=2
        Layers of the decoder.
    d_feedforward : int, default=768
        Units between the two dense layers of each layer.
    activation : str or callable, default="relu"
        Their activation.
    dropout : float, default=0.2
        Fraction in [0, 1) of what each layer adds that is dropped in a training step.
    label_smoothing : float, default=0.1
        Share of the target that is spread over all tokens alike.
    max_length : int, default=128
        Tokens of a sentence, with its end. Longer ones are cut off there, counted and warned of.
    epochs : int or "auto", default="auto"
        Passes over the pairs; the most passes with ``early_stopping``. "auto" is 15, and for few pairs as many as make
        1,500 steps.
    batch_tokens : int, default=1024
        Tokens of the target in a step. Sentences are laid one behind the other in rows of 64 tokens, so that hardly
        any room is lost and one program trains all lengths.
    learning_rate : float, default=1.5e-3
        Step size of Adam.
    warmup_steps : int, default=300
        Steps in which the step size grows to ``learning_rate``.
    clip_norm : float or None, default=1.0
        The largest norm of the gradient, all weights taken together.
    n_averaged : int, default=5
        The weights that are kept are the mean of those of the last so many epochs.
    early_stopping : bool, default=False
        Whether to stop when ``monitor`` has not improved by ``tol`` for ``n_iter_no_change`` epochs, and to
        keep the weights of the best epoch.
    monitor : {"loss", "bleu"}, default="loss"
        What ``early_stopping`` looks at in the pairs for validation: their loss, or the BLEU of translations without
        beams, which is in ``history_`` then.
    validation_fraction : float, default=0.05
        Fraction of the pairs split off for ``early_stopping``, drawn with ``random_state``; ignored with ``X_val``.
    tol : float, default=0.0
        The least improvement of ``monitor`` that counts.
    beam_size : int, default=4
        Translations that are followed at the same time; 1 takes the likeliest token each time.
    length_penalty : float, default=1.0
        Translations are compared by log p / length ** ``length_penalty``.
    verbose : int, default=0
        1 shows Keras's progress bar, 2 one line per epoch, both with tokens a second and the time that is left.

    Attributes
    ----------
    model_ : keras.Model
        From tokens of the source and of the target, each of shape (n, length), to logits of the token behind each of
        the target.
    encoder_, decoder_ : keras.Model
        Its two halves.
    tokenizer_ : Subwords
        The subwords: ``tokens_of(sentences)`` and ``sentence_of(tokens)``.
    n_truncated_ : int
        Pairs of the last fit that were longer than ``max_length``.

    See Also
    --------
    RecurrentNetClassifier : A network for sequences that are to be classified.

    Notes
    -----
    A translation does not depend on the sentences that are translated with it. ``<pad>``, ``<unk>`` and ``<s>`` are
    never said. An empty sentence is translated by an empty one.

    A pretrained network can stand in the same place: any class with ``fit``, ``predict`` and ``score`` that calls, for
    example, a Marian model of the ``transformers`` library in ``predict``.

    References
    ----------
    A. Vaswani et al. (2017), Attention is all you need, NeurIPS, https://arxiv.org/abs/1706.03762.

    D. Bahdanau, K. Cho, Y. Bengio (2015), Neural machine translation by jointly learning to align and translate, ICLR,
    https://arxiv.org/abs/1409.0473.

    T. Kudo, J. Richardson (2018), SentencePiece, EMNLP, https://arxiv.org/abs/1808.06226.

    Examples
    --------
    >>> from skneural import Seq2SeqTranslator
    >>> numbers = ["one", "two", "three", "four"]
    >>> X = [f"{a} {b}" for a in numbers for b in numbers]
    >>> y = [f"{b} {a}" for a in numbers for b in numbers]
    >>> sizes = {"d_model": 32, "d_feedforward": 64, "n_encoder_layers": 1, "n_decoder_layers": 1}
    >>> rates = {"learning_rate": 0.01, "warmup_steps": 10, "batch_tokens": 64, "dropout": 0.0, "epochs": 80}
    >>> translator = Seq2SeqTranslator(tokenizer="word", **sizes, **rates, random_state=0).fit(X, y)
    >>> translator.predict(["three one"])
    array(['one three'], dtype=object)
    """

    __module__ = "skneural"

    _parameter_constraints: ClassVar = {
        **{name: SHARED_CONSTRAINTS[name] for name in _SHARED},
        "architecture": [StrOptions({"transformer", "recurrent"})],
        "tokenizer": [StrOptions(set(TOKENIZERS))],
        "vocab_size": [Interval(Integral, N_FIXED_TOKENS + 2, None, closed="left")],
        "lowercase": ["boolean"],
        "d_model": _SIZE,
        "n_heads": _SIZE,
        "n_encoder_layers": _SIZE,
        "n_decoder_layers": _SIZE,
        "d_feedforward": _SIZE,
        "activation": [str, callable],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "max_length": [Interval(Integral, 2, None, closed="left")],
        "epochs": [StrOptions({"auto"}), *_SIZE],
        "batch_tokens": _SIZE,
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "warmup_steps": _SIZE,
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "n_averaged": _SIZE,
        "monitor": [StrOptions({"loss", "bleu"})],
        "beam_size": _SIZE,
        "length_penalty": [Interval(Real, None, None, closed="neither")],
    }

    def __init__(
        self,
        architecture: str = "transformer",
        *,
        tokenizer: str = "bpe",
        vocab_size: int = 4000,
        lowercase: bool = False,
        d_model: int = 192,
        n_heads: int = 4,
        n_encoder_layers: int = 3,
        n_decoder_layers: int = 2,
        d_feedforward: int = 768,
        activation: Any = "relu",
        dropout: float = 0.2,
        label_smoothing: float = 0.1,
        max_length: int = 128,
        epochs: int | str = "auto",
        batch_tokens: int = 1024,
        learning_rate: float = 1.5e-3,
        learning_rate_schedule: str = "linear",
        warmup_steps: int = 300,
        clip_norm: float | None = 1.0,
        n_averaged: int = 5,
        early_stopping: bool = False,
        monitor: str = "loss",
        validation_fraction: float = 0.05,
        n_iter_no_change: float = 3,
        tol: float = 0.0,
        checkpoint: Folder = None,
        checkpoint_every: Every = 1,
        beam_size: int = 4,
        length_penalty: float = 1.0,
        warm_start: bool = False,
        callbacks: Any = None,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.architecture = architecture
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.lowercase = lowercase
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_encoder_layers = n_encoder_layers
        self.n_decoder_layers = n_decoder_layers
        self.d_feedforward = d_feedforward
        self.activation = activation
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.max_length = max_length
        self.epochs = epochs
        self.batch_tokens = batch_tokens
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.warmup_steps = warmup_steps
        self.clip_norm = clip_norm
        self.n_averaged = n_averaged
        self.early_stopping = early_stopping
        self.monitor = monitor
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.checkpoint = checkpoint
        self.checkpoint_every = checkpoint_every
        self.beam_size = beam_size
        self.length_penalty = length_penalty
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.random_state = random_state
        self.verbose = verbose

    # --- public methods -----------------------------------------------------------------------------------------

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Learn subwords and a network from pairs of sentences.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Sentences, one a row.
        y : array-like of str of shape (n_samples,)
            Their translations.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the pairs in the loss, of which only the ratios count.
        X_val, y_val, sample_weight_val : array-like, default=None
            Pairs to be judged on in each epoch, for ``history_`` and ``early_stopping``.

        Returns
        -------
        self : Seq2SeqTranslator
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            For rows that are no sentences, with the number of the row, and for parameters that cannot be; an earlier
            fit stays as it was.
        """
        return self._fit_from(X, y, sample_weight, (X_val, y_val, sample_weight_val), {})

    def partial_fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one more epoch on pairs of sentences, with the subwords of the first fit.

        Parameters
        ----------
        X, y : array-like of str of shape (n_samples,)
            Sentences and their translations.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the pairs.

        Returns
        -------
        self : Seq2SeqTranslator
            The fitted estimator.
        """
        return self._partial_fit_from(X, y, sample_weight, {})

    @of_one_state
    def predict(self, X: ArrayLike) -> NDArray[np.object_]:
        """Translate sentences.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Sentences.

        Returns
        -------
        translations : ndarray of object of shape (n_samples,)
            A str for each.
        """
        found = self._translated(X, int(self.beam_size))
        return _column([self.tokenizer_.sentence_of(one[0].tokens) for one in found])

    @of_one_state
    def predict_n_best(self, X: ArrayLike, n: int = 5) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
        """Return several translations of each sentence, the best first.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Sentences.
        n : int, default=5
            Translations of each; at least so many beams are followed.

        Returns
        -------
        translations : ndarray of object of shape (n_samples, n)
            Different ones; '' where no more were found.
        scores : ndarray of shape (n_samples, n)
            Logarithms log p / length ** ``length_penalty`` in nats, -inf where no more were found.
        """
        translations = np.full((len(check_sentences(type(self).__name__, "X", X)), n), "", dtype=object)
        scores = np.full(translations.shape, -np.inf)
        for row, found in enumerate(self._translated(X, max(int(self.beam_size), n))):
            best: dict[str, float] = {}
            for one in found:
                best.setdefault(self.tokenizer_.sentence_of(one.tokens), one.score)
            for place, (sentence, score) in enumerate(list(best.items())[:n]):
                translations[row, place], scores[row, place] = sentence, score
        return translations, scores

    def _translated(self, X: Any, n_beams: int) -> list[list[Translation]]:
        sources = self._checked_sources(X)
        search, numbers = self._search(n_beams), self._numbers()
        rows = [row for row, source in enumerate(sources) if source]
        found = [[search.finished((), 0.0)] for _ in sources]
        for row, translations in zip(rows, search.translate(numbers, [sources[row] for row in rows]), strict=True):
            found[row] = translations
        return found

    @of_one_state
    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the BLEU of translations, in [0, 1].

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Sentences.
        y : array-like of str of shape (n_samples,)
            Their translations, one of each.

        Returns
        -------
        bleu : float
            The score of sacreBLEU for all sentences together / 100, of the signature
            nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp.

        Raises
        ------
        ImportError
            Without sacrebleu (``pip install skneural[translation]``).
        """
        owner = type(self).__name__
        check_sacrebleu(f"{owner}.score")
        references = check_sentences(owner, "y", y)
        check_lengths(check_sentences(owner, "X", X), references)
        return bleu_of(self.predict(X), references)

    @of_one_state
    def score_samples(self, X: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each translation given its source.

        Parameters
        ----------
        X, y : array-like of str of shape (n_samples,)
            Sentences and translations.

        Returns
        -------
        log_probabilities : ndarray of shape (n_samples,)
            In nats, the sum over the tokens and the end. Low ones tell of pairs that do not belong together.
        """
        sources, targets = self._checked_pairs(X, y)
        found = np.zeros(len(sources))
        for row, log_shares, _ in forced(self._numbers(), sources, targets):
            found[row] = log_shares.sum(dtype=np.float64)
        return found

    @of_one_state
    def attention(self, X: ArrayLike, y: ArrayLike | None = None) -> list[Attention]:
        """Return how much each token of a translation looks at each of its source.

        Parameters
        ----------
        X : array-like of str of shape (n_samples,)
            Sentences.
        y : array-like of str of shape (n_samples,), default=None
            Their translations; by default the network's own.

        Returns
        -------
        attention : list of Attention
            For each pair ``weights`` (n_target, n_source), the mean over the heads of the last layer, whose rows sum
            to one, and the tokens of both, with their ends.
        """
        check_is_fitted(self)
        sources, targets = self._checked_pairs(X, self.predict(X) if y is None else y)
        found: list[Attention | None] = [None] * len(sources)
        for row, _, shares in forced(self._numbers(), sources, targets):
            found[row] = Attention(shares.mean(axis=1), self._written(targets[row]), self._written(sources[row]))
        return [one for one in found if one is not None]

    def _written(self, tokens: Sequence[int]) -> list[str]:
        return [*self.tokenizer_.pieces_of(tokens), "</s>"]


def _column(sentences: Sequence[str]) -> NDArray[np.object_]:
    column = np.empty(len(sentences), dtype=object)
    column[:] = sentences
    return column
