"""How a training went, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ._requirements import check_matplotlib, path_to_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_VALIDATION_PREFIX = "val_"
# Keras writes these into a history beside the metrics. They are settings, not results.
_SETTINGS = ("learning_rate", "lr")
_SCALES = ("linear", "log", "symlog", "asinh", "logit")
_ACRONYMS = frozenset({"auc", "mae", "mse", "msle", "rmse"})

# One number per epoch under each history key, grouped by the panel they are drawn in.
_Curves = dict[str, dict[str, NDArray[np.float64]]]


class TrainingCurveDisplay:
    """Curves of loss and metrics over the epochs of a training.

    There is one panel for the loss and one for each metric. Training and validation share a panel, and the best epoch
    is marked in each.

    It is recommended to use :meth:`from_estimator` or :meth:`from_history` to make a `TrainingCurveDisplay`. All
    parameters are stored as attributes.

    Parameters
    ----------
    history : dict of str to sequence of float, each of length n_epochs
        One number per epoch under each key, as Keras records them: "loss", "accuracy", "val_loss", "val_accuracy" ...
        A key that begins with "val_" holds the validation values of the metric named after it. NaN leaves a gap.
    best_epoch : int, default=None
        The epoch to mark, counted from 1. With None, no epoch is marked.
    name : str, default=None
        Name of the training, put before each entry of the legends. It tells trainings apart that are drawn on the same
        axes.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes, shape (n_panels,)
        The axes drawn on, in the order of the panels.
    figure_ : matplotlib Figure
        The figure that holds the first of the axes.
    lines_ : dict of str to matplotlib Line2D
        The curves by their key in `history`.
    best_epoch_lines_ : dict of str to matplotlib Line2D
        The lines that mark the best epoch, by the name of the panel. Empty where `best_epoch` is None.

    See Also
    --------
    sklearn.model_selection.LearningCurveDisplay : Scores over the number of training rows.

    Examples
    --------
    >>> from skneural import TrainingCurveDisplay
    >>> history = {
    ...     "loss": [0.9, 0.5, 0.3, 0.2],
    ...     "accuracy": [0.6, 0.8, 0.9, 0.95],
    ...     "val_loss": [0.8, 0.6, 0.5, 0.6],
    ...     "val_accuracy": [0.6, 0.7, 0.8, 0.8],
    ... }
    >>> display = TrainingCurveDisplay.from_history(history, best_epoch=3)
    >>> [axes.get_ylabel() for axes in display.axes_]
    ['Loss', 'Accuracy']
    >>> display.figure_.savefig("curves.png")  # doctest: +SKIP
    """

    __module__ = "skneural"

    axes_: NDArray[np.object_]
    figure_: Figure
    lines_: dict[str, Line2D]
    best_epoch_lines_: dict[str, Line2D]

    def __init__(
        self, *, history: Mapping[str, Sequence[float]], best_epoch: int | None = None, name: str | None = None
    ) -> None:
        self.history = history
        self.best_epoch = best_epoch
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        metrics: str | Sequence[str] | None = None,
        ax: Axes | Sequence[Axes] | NDArray[np.object_] | None = None,
        yscale: str | Mapping[str, str] | None = None,
        name: str | None = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the training of a fitted estimator.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator with `history_` (a dict of lists, one number per epoch) and, where it applies,
            `best_epoch_` (an int counted from 1, or None). Of a fitted :class:`~sklearn.pipeline.Pipeline` the last
            step is taken, of a fitted search its `best_estimator_`.
        metrics : str or sequence of str, default=None
            The panels to draw, in this order, such as `["loss", "accuracy"]`. With None, the loss and all metrics are
            drawn; a recorded "learning_rate" is drawn only when it is named here.
        ax : matplotlib Axes or array-like of Axes, default=None
            The axes to draw on, one for each panel. With None, a new figure is made.
        yscale : str or dict of str to str, default=None
            Scale of the y axes, one of "linear", "log", "symlog", "asinh" and "logit": one for all panels, or a dict
            from the names of panels to their scales. Axes without one keep the scale they have, which is linear in a
            new figure.
        name : str, default=None
            Name of the training, put before each entry of the legends.
        line_kw : dict, default=None
            Keyword arguments passed to Matplotlib's `plot` for each curve.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is fitted but has no `history_`.
        ValueError
            As in :meth:`plot`.
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skneural import DenseNetClassifier, TrainingCurveDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> classifier = DenseNetClassifier(epochs=20, random_state=0).fit(X, y)
        >>> display = TrainingCurveDisplay.from_estimator(classifier, metrics="loss", yscale="log")
        >>> display.lines_["loss"].get_xdata()[[0, -1]].tolist()
        [1, 20]
        """
        caller = f"{cls.__name__}.from_estimator"
        network = path_to_network(estimator, "history_", holds="records its training", caller=caller)[-1]
        return cls.from_history(
            network.history_,
            best_epoch=getattr(network, "best_epoch_", None),
            metrics=metrics,
            ax=ax,
            yscale=yscale,
            name=name,
            line_kw=line_kw,
        )

    @classmethod
    def from_history(
        cls,
        history: Any,
        *,
        best_epoch: int | None = None,
        metrics: str | Sequence[str] | None = None,
        ax: Axes | Sequence[Axes] | NDArray[np.object_] | None = None,
        yscale: str | Mapping[str, str] | None = None,
        name: str | None = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw a history of training.

        Parameters
        ----------
        history : dict of str to sequence of float, or keras.callbacks.History
            One number per epoch under each key: "loss", "accuracy", "val_loss", "val_accuracy" ... What
            `keras.Model.fit` returns is taken as well.
        best_epoch : int, default=None
            The epoch to mark, counted from 1. With None, no epoch is marked.
        metrics : str or sequence of str, default=None
            The panels to draw, in this order, such as `["loss", "accuracy"]`. With None, the loss and all metrics are
            drawn; a recorded "learning_rate" is drawn only when it is named here.
        ax : matplotlib Axes or array-like of Axes, default=None
            The axes to draw on, one for each panel. With None, a new figure is made.
        yscale : str or dict of str to str, default=None
            Scale of the y axes, one of "linear", "log", "symlog", "asinh" and "logit": one for all panels, or a dict
            from the names of panels to their scales. Axes without one keep the scale they have, which is linear in a
            new figure.
        name : str, default=None
            Name of the training, put before each entry of the legends.
        line_kw : dict, default=None
            Keyword arguments passed to Matplotlib's `plot` for each curve.

        Returns
        -------
        TrainingCurveDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If `history` is neither a dict nor what `keras.Model.fit` returns.
        ValueError
            As in :meth:`plot`.
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> from skneural import TrainingCurveDisplay
        >>> display = TrainingCurveDisplay.from_history({"loss": [0.9, 0.5, 0.3]})
        >>> display.lines_["loss"].get_ydata().tolist()
        [0.9, 0.5, 0.3]
        """
        record = getattr(history, "history", history)
        if not isinstance(record, Mapping):
            raise TypeError(
                f"The 'history' parameter of {cls.__name__}.from_history must be a dict with one list per key "
                f"('loss', 'val_loss' ...) or what keras.Model.fit returns. Got {type(history).__name__} instead."
            )
        # Copied, because an estimator appends to its history when it goes on training.
        snapshot = {key: list(values) for key, values in record.items()}
        display = cls(history=snapshot, best_epoch=best_epoch, name=name)
        return display.plot(ax, metrics=metrics, yscale=yscale, line_kw=line_kw)

    def plot(
        self,
        ax: Axes | Sequence[Axes] | NDArray[np.object_] | None = None,
        *,
        metrics: str | Sequence[str] | None = None,
        yscale: str | Mapping[str, str] | None = None,
        line_kw: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            The axes to draw on, one for each panel. With None, a new figure is made.
        metrics : str or sequence of str, default=None
            The panels to draw, in this order, such as `["loss", "accuracy"]`. With None, the loss and all metrics are
            drawn; a recorded "learning_rate" is drawn only when it is named here.
        yscale : str or dict of str to str, default=None
            Scale of the y axes, one of "linear", "log", "symlog", "asinh" and "logit": one for all panels, or a dict
            from the names of panels to their scales. Axes without one keep the scale they have, which is linear in a
            new figure.
        line_kw : dict, default=None
            Keyword arguments passed to Matplotlib's `plot` for each curve.

        Returns
        -------
        TrainingCurveDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `metrics` or `yscale` name something unknown, the number of axes is not the number of panels,
            `best_epoch` is not an epoch of the history, or the history is empty or not one number per epoch under
            each key.
        TypeError
            If `ax` holds something that is not Axes.
        ImportError
            If Matplotlib is not installed.

        Examples
        --------
        >>> from matplotlib.figure import Figure
        >>> from skneural import TrainingCurveDisplay
        >>> axes = Figure().subplots()
        >>> display = TrainingCurveDisplay(history={"loss": [0.9, 0.5, 0.3]}, best_epoch=3)
        >>> display.plot(axes, yscale="log").axes_[0] is axes
        True
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        curves = _group_curves(self.history, metrics)
        panels = list(curves)
        scales = _scale_by_panel(yscale, panels)
        _check_best_epoch(self.best_epoch, n_epochs=_count_epochs(curves))

        self.axes_ = _new_axes(len(panels)) if ax is None else _given_axes(ax, panels)
        self.figure_ = self.axes_[0].figure.get_figure(root=True)
        self.lines_, self.best_epoch_lines_ = {}, {}
        for axes, panel in zip(self.axes_, panels, strict=True):
            lines = self._draw_curves(axes, curves[panel], line_kw or {})
            self.lines_ |= lines
            if self.best_epoch is not None:
                self.best_epoch_lines_[panel] = self._mark_best_epoch(axes, self.best_epoch, list(lines.values())[-1])
            axes.set_ylabel(_title(panel))
            if panel in scales:
                axes.set_yscale(scales[panel])
            _label_epochs(axes)
            axes.legend()
        return self

    def _draw_curves(
        self, axes: Axes, curves: dict[str, NDArray[np.float64]], line_kw: Mapping[str, Any]
    ) -> dict[str, Line2D]:
        """Draw one panel's curves, each of shape (n_epochs,), over the epochs 1 to n_epochs."""
        lines = {}
        for key, values in curves.items():
            epochs = np.arange(1, len(values) + 1)
            style = {"label": self._legend_entry(_role(key)), "marker": _marker(values), **line_kw}
            (lines[key],) = axes.plot(epochs, values, **style)
        return lines

    def _mark_best_epoch(self, axes: Axes, best_epoch: int, curve: Line2D) -> Line2D:
        """Mark the best epoch with a vertical line behind the curves, in the colour of one of them."""
        label = self._legend_entry(f"Best epoch: {best_epoch}")
        return axes.axvline(best_epoch, color=curve.get_color(), linestyle="--", linewidth=1.0, zorder=1.5, label=label)

    def _legend_entry(self, text: str) -> str:
        """Put the name of the training, where there is one, before an entry of the legend."""
        return text if self.name is None else f"{self.name}: {text[0].lower()}{text[1:]}"


def _group_curves(history: Mapping[str, Sequence[float]], metrics: str | Sequence[str] | None) -> _Curves:
    """Group the history by panel, training before validation; each curve has shape (n_epochs,)."""
    if not history:
        raise ValueError("There is nothing to draw: the history is empty.")
    available = list(dict.fromkeys(key.removeprefix(_VALIDATION_PREFIX) for key in history))
    if metrics is None:
        panels = [panel for panel in available if panel not in _SETTINGS]
        # However the history is ordered, the loss comes first.
        panels.sort(key=lambda panel: panel != "loss")
    else:
        panels = list(dict.fromkeys([metrics] if isinstance(metrics, str) else metrics))
        _check_known("metrics", panels, available)
    if not panels:
        raise ValueError(f"There is nothing to draw: 'metrics' names no panel. Available are {available}.")
    return {
        panel: {key: _read_curve(history, key) for key in (panel, _VALIDATION_PREFIX + panel) if key in history}
        for panel in panels
    }


def _check_known(parameter: str, names: Sequence[str], available: Sequence[str]) -> None:
    """Raise a ValueError that lists the available panels where a name is not one of them."""
    for name in names:
        if name not in available:
            raise ValueError(
                f"The '{parameter}' parameter of TrainingCurveDisplay names {name!r}, which is not one of the panels "
                f"{list(available)}. Values of validation are drawn in the panel of their metric."
            )


def _read_curve(history: Mapping[str, Sequence[float]], key: str) -> NDArray[np.float64]:
    """Read the values under a key as an array of shape (n_epochs,)."""
    requirement = f"history[{key!r}] must be a list of one number per epoch."
    try:
        values = np.asarray(history[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{requirement} Got {history[key]!r} instead.") from error
    if values.ndim != 1:
        raise ValueError(f"{requirement} Got an array of shape {values.shape} instead.")
    return values


def _count_epochs(curves: _Curves) -> int:
    """Count the epochs, which all curves that are drawn must share."""
    lengths = {key: len(values) for panel in curves.values() for key, values in panel.items()}
    n_epochs = max(lengths.values())
    if n_epochs == 0:
        raise ValueError("There is nothing to draw: the history has no epoch.")
    if min(lengths.values()) != n_epochs:
        raise ValueError(
            f"All curves must have one number per epoch, so that they have the same length. Got {lengths} instead. "
            "Where a value was not computed at every epoch, fill it up with NaN."
        )
    return n_epochs


def _check_best_epoch(best_epoch: int | None, n_epochs: int) -> None:
    """Raise a ValueError where the best epoch is not one of the epochs 1 to n_epochs."""
    if best_epoch is None:
        return
    is_integer = isinstance(best_epoch, Integral) and not isinstance(best_epoch, bool)
    if not is_integer or not 1 <= best_epoch <= n_epochs:
        raise ValueError(
            f"The 'best_epoch' parameter of TrainingCurveDisplay must be None or an int in [1, {n_epochs}], the epochs "
            f"of the history counted from 1. Got {best_epoch!r} instead."
        )


def _scale_by_panel(yscale: str | Mapping[str, str] | None, panels: Sequence[str]) -> dict[str, str]:
    """Resolve `yscale` to a known scale for each panel that it gives one."""
    if yscale is None:
        return {}
    if isinstance(yscale, Mapping):
        _check_known("yscale", list(yscale), panels)
        scales = dict(yscale)
    else:
        scales = dict.fromkeys(panels, yscale)
    for scale in scales.values():
        if scale not in _SCALES:
            raise ValueError(
                f"The 'yscale' parameter of TrainingCurveDisplay must be one of {list(_SCALES)}, or a dict from panels "
                f"to these. Got {scale!r} instead."
            )
    return scales


def _new_axes(n_panels: int) -> NDArray[np.object_]:
    """Make a figure with axes of shape (n_panels,), up to three in a row."""
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    n_columns = n_panels if n_panels <= 3 else math.ceil(math.sqrt(n_panels))
    n_rows = math.ceil(n_panels / n_columns)
    width, height = (0.75 * length for length in plt.rcParams["figure.figsize"])
    # Inches. Matplotlib's own padding puts an axis label close to the frame of its neighbour.
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = plt.figure(figsize=(width * n_columns, height * n_rows), layout=layout)
    grid = figure.add_gridspec(n_rows, n_columns)
    # Created one by one, so that no empty axes stay in the last row.
    axes = np.empty(n_panels, dtype=object)
    for index in range(n_panels):
        axes[index] = figure.add_subplot(grid[divmod(index, n_columns)])
    return axes


def _given_axes(ax: Axes | Sequence[Axes] | NDArray[np.object_], panels: Sequence[str]) -> NDArray[np.object_]:
    """Check that the user's axes are one for each panel, and give them the shape (n_panels,)."""
    from matplotlib.axes import Axes

    axes = np.array([ax] if isinstance(ax, Axes) else ax, dtype=object).ravel()
    for candidate in axes:
        if not isinstance(candidate, Axes):
            raise TypeError(
                "The 'ax' parameter of TrainingCurveDisplay must be a matplotlib Axes or an array-like of them. "
                f"Got {type(candidate).__name__} instead."
            )
    if len(axes) != len(panels):
        raise ValueError(
            f"The 'ax' parameter of TrainingCurveDisplay must hold one Axes for each of the {len(panels)} panels "
            f"{list(panels)}. Got {len(axes)} instead. Choose the panels with 'metrics'."
        )
    return axes


def _role(key: str) -> str:
    """Say what a history key records."""
    if key.startswith(_VALIDATION_PREFIX):
        return "Validation"
    return _title(key) if key in _SETTINGS else "Train"


def _title(key: str) -> str:
    """Write a history key as an axis label: "top_k_accuracy" becomes "Top k accuracy", "mse" becomes "MSE"."""
    text = " ".join(word.upper() if word in _ACRONYMS else word for word in key.split("_"))
    return text[:1].upper() + text[1:]


def _marker(values: NDArray[np.float64]) -> str | None:
    """Choose points for values of shape (n_epochs,) that no line would show, such as those of a single epoch."""
    is_finite = np.isfinite(values)
    return None if np.any(is_finite[:-1] & is_finite[1:]) else "o"


def _label_epochs(axes: Axes) -> None:
    """Label the x axis with whole epochs, and leave out the epoch 0 that Matplotlib's margin would show."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if axes.get_autoscalex_on():
        axes.set_xlim(left=max(axes.get_xlim()[0], 0.5), auto=True)
