"""How a translator is made: sentences, subwords, packed rows, training; and its network as arrays."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from skneural import _engine
from skneural._architectures.translation import (
    DECODER,
    ENCODER,
    TranslationArchitecture,
    Translator,
    build_translation,
)
from skneural._architectures.translation_layers import BEGIN, END
from skneural._architectures.translation_step import translation_step
from skneural._architectures.warm_adam import WarmAdam
from skneural._decoding.beams import BeamSearch
from skneural._decoding.networks import TranslationNumbers
from skneural._decoding.numbers import NamedWeights
from skneural._estimators.interrupts import stacklevel_of_the_user
from skneural._estimators.keras_arguments import Schedule
from skneural._rows.packing import pack
from skneural._rows.sentences import check_sentences
from skneural._rows.subwords import Subwords
from skneural._rows.training_rows import TrainingRows
from skneural._rows.validation import check_lengths
from skneural._rows.weights import validate_weights

from .base import FamilyEstimator, Head
from .bleu import bleu_of, check_sacrebleu

Tokens = list[int]
# The least length of a row of tokens, and what longer ones are a multiple of.
_ROW_LENGTH, _LENGTH_UNIT = 64, 32
_LEAST_EPOCHS, _LEAST_STEPS = 15, 1500


class TrainedTranslator(FamilyEstimator, BaseEstimator):
    """What a translator does between its parameters and its public methods."""

    _count_words: ClassVar[Any] = {"epochs": ("auto",)}
    _build: Callable[[Any], keras.Model] = staticmethod(build_translation)
    _learned_before_network: ClassVar[str] = "tokenizer_"
    _first_fit_parameters: ClassVar[tuple[str, ...]] = ("tokenizer", "vocab_size", "lowercase")
    _without_effect_on_training: ClassVar[tuple[str, ...]] = (
        *FamilyEstimator._without_effect_on_training,
        "beam_size",
        "length_penalty",
    )
    optimizer: Any = WarmAdam
    kernel_initializer: Any = "glorot_uniform"
    metrics: Any = None
    tokenizer_: Subwords
    # The sizes of the network, whatever the parameters may have become since.
    _sizes: TranslationArchitecture
    # Tokens of the pairs for validation, while a fit goes on.
    _judged: tuple[list[Tokens], list[Tokens]] | None = None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, True, False
        tags.target_tags.required = True
        tags.target_tags.single_output = True
        tags.requires_fit = True
        tags.non_deterministic = self.random_state is None
        return tags

    # --- parameters ---------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        super()._check_parameters()
        owner = type(self).__name__
        if self.d_model % (2 * self.n_heads):
            raise ValueError(
                f"The 'd_model' parameter of {owner} must be a multiple of twice 'n_heads'. Got {self.d_model} and "
                f"{self.n_heads} heads."
            )
        if self.monitor == "bleu":
            check_sacrebleu(f"{owner}(monitor='bleu')")

    def _optimizer(self) -> tuple[type, dict[str, Any]]:
        arguments = {
            "learning_rate": self.learning_rate,
            "beta_2": 0.98,
            "epsilon": 1e-9,
            "global_clipnorm": self.clip_norm,
            "warmup_steps": int(self.warmup_steps),
        }
        return WarmAdam, arguments

    def _head(self) -> Head:
        return Head(None, self.tokenizer_.n_tokens, "linear")

    def _architecture(self, head: Head) -> TranslationArchitecture:
        return TranslationArchitecture(
            architecture=self.architecture,
            n_tokens=head.n_outputs,
            d_model=int(self.d_model),
            n_heads=int(self.n_heads),
            n_encoder_layers=int(self.n_encoder_layers),
            n_decoder_layers=int(self.n_decoder_layers),
            d_feedforward=int(self.d_feedforward),
            activation=self.activation,
            dropout=float(self.dropout),
        )

    # --- rows ---------------------------------------------------------------------------------------------------

    def _validate(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, class_weight: Any = None) -> TrainingRows:
        owner = type(self).__name__
        if y is None:
            raise ValueError(f"{owner} requires y to be passed, but the target y is None: a translation of each row.")
        sources, targets = check_sentences(owner, "X", X), check_sentences(owner, "y", y)
        check_lengths(sources, targets)
        if not len(sources):
            raise ValueError(f"Found array with 0 sample(s) while a minimum of 1 is required by {owner}.")
        return TrainingRows(sources, targets, validate_weights(sample_weight, len(sources)))

    def _learn(self, rows: TrainingRows) -> None:
        rows = rows.without_weightless()
        assert rows.y is not None
        self.tokenizer_ = Subwords.learned_from(
            itertools.chain(rows.X, rows.y),
            kind=self.tokenizer,
            n_tokens=int(self.vocab_size),
            lowercase=bool(self.lowercase),
        )
        self._sizes = self._architecture(self._head())

    def _encode(self, rows: TrainingRows) -> TrainingRows:
        """Tokens of the pairs, cut off where a side is longer than ``max_length``."""
        rows = rows.without_weightless()
        assert rows.y is not None
        (sources, is_cut), (targets, is_cut_too) = self._tokens_of(rows.X), self._tokens_of(rows.y)
        self.n_truncated_ = int((is_cut | is_cut_too).sum())
        self._tell_of_cut(self.n_truncated_, "pairs")
        return rows._replace(X=_as_rows(sources), y=_as_rows(targets))

    def _tokens_of(self, sentences: Sequence[str] | NDArray[Any]) -> tuple[list[Tokens], NDArray[np.bool_]]:
        """Return the tokens of sentences, and which of these were too long."""
        limit = int(self.max_length) - 1
        tokens = self.tokenizer_.tokens_of(sentences)
        return [one[:limit] for one in tokens], np.array([len(one) > limit for one in tokens], bool)

    def _tell_of_cut(self, n_cut: int, what: str) -> None:
        if n_cut:
            warnings.warn(
                f"{n_cut} of the {what} are longer than max_length={self.max_length} tokens and were cut off there.",
                UserWarning,
                stacklevel=stacklevel_of_the_user(),
            )

    def _split(
        self, rows: TrainingRows, validation: tuple[Any, Any, Any], schedule: Schedule
    ) -> tuple[TrainingRows, TrainingRows | None]:
        n_truncated = self.n_truncated_
        if validation[0] is None and rows.n_rows < 2:
            train, held_out = rows, None
        else:
            train, held_out = super()._split(rows, validation, schedule)
        self.n_truncated_ = n_truncated
        self._judged = None if held_out is None else (list(held_out.X), [] if held_out.y is None else list(held_out.y))
        return self._packed(train), None if held_out is None else self._packed(held_out)

    def _packed(self, rows: TrainingRows) -> TrainingRows:
        """Rows of several pairs each, all of one length."""
        assert rows.y is not None
        longest = 1 + max(len(tokens) for tokens in (*rows.X, *rows.y))
        length = max(_ROW_LENGTH, -(-longest // _LENGTH_UNIT) * _LENGTH_UNIT)
        packed = pack(
            list(rows.X), list(rows.y), rows.weights, length=length, begin=BEGIN, end=END, seed=self._seeds.order
        )
        return TrainingRows(_engine.ManyInputs(packed), None, None)

    def _data(self, rows: TrainingRows) -> _engine.Data:
        return _engine.Data.of(rows.X)

    def _merges_rows(self, network: _engine.Network) -> bool:
        return False

    # --- one training run ---------------------------------------------------------------------------------------

    def _settings(self, train: TrainingRows, held_out: TrainingRows | None, schedule: Schedule) -> _engine.Settings:
        length = train.X.arrays[0].shape[1]
        n_rows = max(1, int(self.batch_tokens) // length)
        arguments = {**schedule.arguments, "batch_size": n_rows}
        settings = super()._settings(train, held_out, schedule._replace(arguments=arguments))
        callbacks = list(settings.callbacks)
        if self.monitor == "bleu" and self._judged is not None:
            callbacks.insert(0, _BleuOfValidation(self, *self._judged))
        if settings.verbose:
            callbacks.append(_Pace(int((train.X.arrays[1] != 0).sum())))
        return replace(
            settings,
            step=translation_step(float(self.label_smoothing)),
            callbacks=tuple(callbacks),
            n_averaged=1 if schedule.is_partial else int(self.n_averaged),
        )

    def _batch_size(self, batch_size: Any, n_rows: int) -> int:
        # Never less than asked for: fits on few rows share a program.
        return int(batch_size)

    def _n_epochs(self, epochs: Any, n_rows: int, batch_size: int) -> int:
        if epochs != "auto":
            return super()._n_epochs(epochs, n_rows, batch_size)
        return max(_LEAST_EPOCHS, -(-_LEAST_STEPS // -(-n_rows // batch_size)))

    def _early_stopping(self, schedule: Schedule, *, is_judged: bool) -> _engine.EarlyStopping | None:
        rule = super()._early_stopping(schedule, is_judged=is_judged)
        if rule is None or self.monitor == "loss" or not is_judged:
            return rule
        return replace(rule, monitor="val_bleu", mode="max")

    def _after_training(self, rows: TrainingRows) -> None:
        self._judged = None

    # --- the network --------------------------------------------------------------------------------------------

    @property
    def encoder_(self) -> keras.Model:
        """From tokens of the source to what the decoder looks at."""
        return self.model_.get_layer(ENCODER)

    @property
    def decoder_(self) -> keras.Model:
        """From tokens of both sides and the encoder's answer to logits of the next token."""
        return self.model_.get_layer(DECODER)

    def _network_of(self, model: Any) -> _engine.Network:
        network = super()._network_of(model)
        # Decoding goes by the sizes that the model has, whatever the parameters say.
        self._sizes = model.sizes
        return network

    def _check_shapes_of(self, model: keras.Model) -> None:
        owner, n_tokens = type(self).__name__, self.tokenizer_.n_tokens
        if not isinstance(model, Translator):
            raise ValueError(
                f"{owner} needs a model of its own kind, such as 'model_' of another {owner}, or one that "
                f"keras.models.load_model has read from its file. Got a {type(model).__name__}."
            )
        if model.sizes.n_tokens != n_tokens:
            raise ValueError(
                f"{owner} knows {n_tokens} tokens, but the model has vectors of {model.sizes.n_tokens}. A network goes "
                "with the tokens that it was trained on: take both from one estimator, by save or pickle."
            )

    def _numbers(self) -> TranslationNumbers:
        """The trained network as arrays."""
        check_is_fitted(self)
        network = self._fitted_network()
        assert network is not None
        variables = network.any_model.variables
        paths = [variable.path for variable in variables]
        return self._numbers_of(dict(zip(paths, network.variable_values(), strict=True)))

    def _numbers_of(self, values: dict[str, NDArray[Any]]) -> TranslationNumbers:
        name = self._sizes.activation
        function = keras.activations.get(name)

        def activation(rows: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.maximum(rows, np.float32(0)) if name == "relu" else np.asarray(function(rows))

        return TranslationNumbers(self._sizes, NamedWeights(values), activation)

    def _search(self, n_beams: int) -> BeamSearch:
        limit = int(self.max_length)
        return BeamSearch(n_beams, float(self.length_penalty), lambda source: min(limit, 2 * len(source) + 10))

    def _checked_sources(self, X: Any) -> list[Tokens]:
        """Return the tokens of sentences to be translated."""
        check_is_fitted(self)
        sources, is_cut = self._tokens_of(check_sentences(type(self).__name__, "X", X))
        self._tell_of_cut(int(is_cut.sum()), "sentences")
        return sources

    def _checked_pairs(self, X: Any, y: Any) -> tuple[list[Tokens], list[Tokens]]:
        check_is_fitted(self)
        rows = self._validate(X, y, None, reset=False)
        assert rows.y is not None
        (sources, is_cut), (targets, is_cut_too) = self._tokens_of(rows.X), self._tokens_of(rows.y)
        self._tell_of_cut(int((is_cut | is_cut_too).sum()), "pairs")
        return sources, targets


def _as_rows(tokens: list[Tokens]) -> NDArray[np.object_]:
    rows = np.empty(len(tokens), dtype=object)
    rows[:] = tokens
    return rows


class _BleuOfValidation(keras.callbacks.Callback):
    """Adds to the logs of an epoch the BLEU of the validation pairs, translated without beams."""

    def __init__(self, translator: TrainedTranslator, sources: Sequence[Tokens], targets: Sequence[Tokens]) -> None:
        super().__init__()
        self._translator, self._sources = translator, sources
        self._references = [translator.tokenizer_.sentence_of(one) for one in targets]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        translator = self._translator
        values = {variable.path: variable.value.numpy() for variable in self.model.variables}
        found = translator._search(1).translate(translator._numbers_of(values), self._sources)
        said = [translator.tokenizer_.sentence_of(one[0].tokens) for one in found]
        if logs is not None:
            logs["val_bleu"] = bleu_of(said, self._references)


class _Pace(keras.callbacks.Callback):
    """Tells after each epoch how many tokens were learned in a second."""

    def __init__(self, n_tokens: int) -> None:
        super().__init__()
        self._n_tokens = n_tokens

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        seconds = max(time.monotonic() - self._began, 1e-9)
        print(f" {self._n_tokens / seconds:,.0f} tokens/s")  # noqa: T201
