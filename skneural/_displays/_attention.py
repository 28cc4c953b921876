"""How much each token of a translation looks at each token of its source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ._requirements import check_matplotlib, path_to_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# What sentencepiece writes for a space in front of a word.
_SPACE = "\u2581"


class AttentionDisplay:
    """Attention of translations: one image a sentence, tokens of the source across and of the translation down.

    It is recommended to use :meth:`from_estimator` to make an `AttentionDisplay`. All parameters are stored as
    attributes.

    Parameters
    ----------
    attention : list of (weights, target_tokens, source_tokens)
        As ``Seq2SeqTranslator.attention`` returns it: weights of shape (n_target, n_source), and the tokens.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_sentences,)
        The axes drawn on.
    figure_ : matplotlib Figure
        The figure that holds them.
    images_ : list of matplotlib AxesImage
        The image of each sentence.

    See Also
    --------
    Seq2SeqTranslator : What translates.

    Examples
    --------
    >>> from skneural import AttentionDisplay
    >>> attention = ([[0.9, 0.1], [0.2, 0.8]], ["un", "chat"], ["a", "cat"])
    >>> display = AttentionDisplay(attention=[attention]).plot()
    >>> [label.get_text() for label in display.axes_[0].get_xticklabels()]
    ['a', 'cat']
    """

    __module__ = "skneural"

    axes_: NDArray[np.object_]
    figure_: Figure
    images_: list[AxesImage]

    def __init__(self, *, attention: Sequence[tuple[Any, Sequence[str], Sequence[str]]]) -> None:
        self.attention = attention

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any = None, **plot_arguments: Any) -> Self:
        """Draw what a fitted translator looks at.

        Parameters
        ----------
        estimator : Seq2SeqTranslator, or a Pipeline or search that ends in one
            Fitted.
        X : array-like of str of shape (n_samples,)
            Sentences, a few of them, as the translator itself takes them.
        y : array-like of str of shape (n_samples,), default=None
            Their translations; by default the translator's own.
        **plot_arguments : dict
            Arguments of :meth:`plot`.

        Returns
        -------
        display : AttentionDisplay
            The drawn display.
        """
        caller = f"{cls.__name__}.from_estimator"
        translator = path_to_network(estimator, "attention", holds="tells what it looks at", caller=caller)[-1]
        return cls(attention=translator.attention(X, y)).plot(**plot_arguments)

    def plot(self, *, axes: Any = None, cmap: str = "Blues") -> Self:
        """Draw the display.

        Parameters
        ----------
        axes : matplotlib Axes or array of them of shape (n_sentences,), default=None
            What to draw on. None makes a new figure, with a scale of colours beside.
        cmap : str, default="Blues"
            Colours from 0 to 1.

        Returns
        -------
        display : AttentionDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        if not len(self.attention):
            raise ValueError(f"The 'attention' of {type(self).__name__} must be of at least one sentence. Got none.")
        self.axes_ = self._axes_of(axes)
        self.figure_ = self.axes_[0].figure.get_figure(root=True)
        self.images_ = [_draw(one, *of_one, cmap) for one, of_one in zip(self.axes_, self.attention, strict=True)]
        if axes is None:
            self.figure_.colorbar(self.images_[0], ax=list(self.axes_), label="share of the attention")
        return self

    def _axes_of(self, given: Any) -> NDArray[np.object_]:
        n = len(self.attention)
        if given is not None:
            axes = np.atleast_1d(np.asarray(given, dtype=object))
            if axes.shape != (n,):
                raise ValueError(f"The 'axes' must be one for each of the {n} sentences. Got shape {axes.shape}.")
            return axes
        import matplotlib.pyplot as plt

        widths = [1.5 + 0.35 * len(source) for _, _, source in self.attention]
        height = 1.5 + 0.3 * max(len(target) for _, target, _ in self.attention)
        ratios = {"width_ratios": widths}
        _, new = plt.subplots(
            1, n, figsize=(sum(widths) + 0.8, height), squeeze=False, layout="constrained", gridspec_kw=ratios
        )
        return np.asarray(new, dtype=object)[0]


def _draw(axes: Axes, weights: Any, target: Sequence[str], source: Sequence[str], cmap: str) -> AxesImage:
    shares = np.asarray(weights, dtype=float)
    if shares.shape != (len(target), len(source)):
        raise ValueError(
            f"The weights of a sentence must have the shape (n_target, n_source) = {(len(target), len(source))}, of "
            f"its tokens. Got {shares.shape}."
        )
    image = axes.imshow(shares, cmap=cmap, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), [_shown(one) for one in source], rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), [_shown(one) for one in target])
    axes.xaxis.tick_top()
    axes.set_xlabel("source")
    axes.set_ylabel("translation")
    return image


def _shown(token: str) -> str:
    """Return a token as it may be read; a dollar sign would begin a formula."""
    return token.replace(_SPACE, " ").strip().replace("$", r"\$") or "_"
