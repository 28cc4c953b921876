from __future__ import annotations

import importlib.util
import re
import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import TrainingCurveDisplay

X = np.arange(12.0).reshape(6, 2)
y = np.array([0, 1, 0, 1, 0, 1])


class RecordingClassifier(ClassifierMixin, BaseEstimator):
    """A classifier whose training is only its record: the loss falls by `rate` per epoch."""

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = rate

    def fit(self, X: Any, y: Any) -> RecordingClassifier:
        self.classes_ = np.unique(y)
        self.history_ = {"loss": [self.rate**epoch for epoch in range(4)]}
        self.best_epoch_ = 4
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.classes_[0])


@pytest.fixture
def history() -> dict[str, list[float]]:
    return {
        "accuracy": [0.5, 0.7, 0.9],
        "loss": [0.8, 0.4, 0.2],
        "learning_rate": [0.1, 0.1, 0.01],
        "val_accuracy": [0.4, 0.7, 0.6],
        "val_loss": [0.9, 0.5, 0.6],
    }


def legend_entries(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def whole(message: str) -> str:
    return f"^{re.escape(message)}$"


def test_lines_hold_the_history_over_epochs_counted_from_one(history):
    display = TrainingCurveDisplay.from_history(history)

    assert list(display.lines_) == ["loss", "val_loss", "accuracy", "val_accuracy"]
    for key, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_data(), [[1, 2, 3], history[key]])


def test_train_and_validation_share_one_panel_per_metric_with_the_loss_first(history):
    display = TrainingCurveDisplay.from_history(history)

    assert [axes.get_ylabel() for axes in display.axes_] == ["Loss", "Accuracy"]
    assert [axes.get_xlabel() for axes in display.axes_] == ["Epoch", "Epoch"]
    for axes, keys in zip(display.axes_, [("loss", "val_loss"), ("accuracy", "val_accuracy")], strict=True):
        assert [display.lines_[key].axes for key in keys] == [axes, axes]
        assert legend_entries(axes) == ["Train", "Validation"]
        assert len({display.lines_[key].get_color() for key in keys}) == 2


def test_history_without_validation_draws_training_alone():
    display = TrainingCurveDisplay.from_history({"loss": [0.5, 0.25]})

    assert list(display.lines_) == ["loss"]
    assert legend_entries(display.axes_[0]) == ["Train"]


def test_metric_recorded_on_validation_alone_has_a_panel():
    display = TrainingCurveDisplay.from_history({"loss": [2, 1], "val_auc": [0.5, 0.6]})

    assert display.axes_[1].get_ylabel() == "AUC"
    assert legend_entries(display.axes_[1]) == ["Validation"]


def test_best_epoch_is_marked_in_every_panel(history):
    display = TrainingCurveDisplay.from_history(history, best_epoch=2)

    assert list(display.best_epoch_lines_) == ["loss", "accuracy"]
    for axes, line in zip(display.axes_, display.best_epoch_lines_.values(), strict=True):
        assert line.axes is axes
        assert list(line.get_xdata()) == [2, 2]
        assert line.get_linestyle() == "--"
        assert legend_entries(axes) == ["Train", "Validation", "Best epoch: 2"]


def test_no_epoch_is_marked_without_a_best_epoch(history):
    assert TrainingCurveDisplay.from_history(history).best_epoch_lines_ == {}


def test_metrics_choose_the_panels_and_their_order(history):
    display = TrainingCurveDisplay.from_history(history, metrics=["accuracy", "loss"])

    assert [axes.get_ylabel() for axes in display.axes_] == ["Accuracy", "Loss"]


def test_learning_rate_is_drawn_only_when_named(history):
    display = TrainingCurveDisplay.from_history(history, metrics="learning_rate")

    assert list(display.lines_) == ["learning_rate"]
    assert display.axes_[0].get_ylabel() == "Learning rate"
    assert legend_entries(display.axes_[0]) == ["Learning rate"]


@pytest.mark.parametrize(
    ("key", "label"), [("top_k_categorical_accuracy", "Top k categorical accuracy"), ("mse", "MSE"), ("R2", "R2")]
)
def test_axis_labels_are_readable(key, label):
    assert TrainingCurveDisplay.from_history({key: [1, 2]}).axes_[0].get_ylabel() == label


def test_name_stands_before_each_legend_entry(history):
    display = TrainingCurveDisplay.from_history(history, metrics="loss", best_epoch=2, name="Adam")

    assert legend_entries(display.axes_[0]) == ["Adam: train", "Adam: validation", "Adam: best epoch: 2"]


def test_two_trainings_on_the_same_axes_differ_in_colour(history):
    first = TrainingCurveDisplay.from_history(history, best_epoch=1, name="first")
    second = TrainingCurveDisplay.from_history(history, best_epoch=2, name="second", ax=first.axes_)

    assert len(first.axes_[0].get_lines()) == 6
    colors = {line.get_color() for display in (first, second) for line in (display.lines_["loss"],)}
    assert len(colors) == 2
    assert first.best_epoch_lines_["loss"].get_color() != second.best_epoch_lines_["loss"].get_color()


def test_line_kw_style_each_curve(history):
    display = TrainingCurveDisplay.from_history(history, line_kw={"linewidth": 3, "marker": "x"})

    assert {(line.get_linewidth(), line.get_marker()) for line in display.lines_.values()} == {(3, "x")}


def test_history_of_one_epoch_draws_points():
    display = TrainingCurveDisplay.from_history({"loss": [0.5], "val_loss": [0.6]}, best_epoch=1)

    assert [line.get_marker() for line in display.lines_.values()] == ["o", "o"]
    assert TrainingCurveDisplay.from_history({"loss": [0.5, 0.4]}).lines_["loss"].get_marker() == "None"


def test_validation_at_every_other_epoch_draws_points():
    nan = float("nan")
    display = TrainingCurveDisplay.from_history({"loss": [4, 3, 2, 1], "val_loss": [nan, 3, nan, 2]})

    assert [line.get_marker() for line in display.lines_.values()] == ["None", "o"]


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 7, 100, 1000])
def test_ticks_are_epochs(n_epochs):
    axes = TrainingCurveDisplay.from_history({"loss": np.linspace(1, 0, n_epochs)}).axes_[0]

    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert low <= 1
    assert n_epochs <= high
    assert ticks
    assert all(tick == int(tick) and tick >= 1 for tick in ticks)


def test_yscale_is_for_all_panels_or_for_those_it_names(history):
    def scales(**kwargs):
        return [axes.get_yscale() for axes in TrainingCurveDisplay.from_history(history, **kwargs).axes_]

    assert scales() == ["linear", "linear"]
    assert scales(yscale="log") == ["log", "log"]
    assert scales(yscale={"loss": "log"}) == ["log", "linear"]


def test_given_axes_keep_their_scale_and_limits():
    axes = Figure().subplots()
    axes.set(yscale="log", xlim=(-10, 10))

    TrainingCurveDisplay.from_history({"loss": [2, 1]}, ax=axes)

    assert axes.get_yscale() == "log"
    assert axes.get_xlim() == (-10, 10)


def test_given_axes_are_drawn_on_without_a_new_figure(history):
    figure, grid = plt.subplots(2, 2)

    display = TrainingCurveDisplay.from_history(history, ax=grid[1])

    assert display.figure_ is figure
    assert list(display.axes_) == list(grid[1])
    assert [len(axes.get_lines()) for axes in grid.ravel()] == [0, 0, 2, 2]
    assert plt.get_fignums() == [figure.number]


def test_single_panel_takes_a_single_axes(history):
    axes = Figure().subplots()

    display = TrainingCurveDisplay.from_history(history, metrics="loss", ax=axes)

    assert display.axes_.shape == (1,)
    assert display.axes_[0] is axes
    assert plt.get_fignums() == []


@pytest.mark.parametrize(("n_panels", "n_rows", "n_columns"), [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 2, 2), (5, 2, 3)])
def test_new_figure_has_one_panel_per_metric_and_no_empty_ones(n_panels, n_rows, n_columns):
    display = TrainingCurveDisplay.from_history({f"metric_{index}": [1, 2] for index in range(n_panels)})

    assert display.figure_.axes == list(display.axes_)
    assert len(display.axes_) == n_panels
    assert display.axes_[0].get_gridspec().get_geometry() == (n_rows, n_columns)


def test_axis_labels_do_not_overlap_the_neighbouring_panel(history):
    display = TrainingCurveDisplay.from_history(history)
    display.figure_.draw_without_rendering()

    left, right = (axes.get_tightbbox() for axes in display.axes_)
    assert left.x1 < right.x0


def test_plot_returns_the_display_and_draws_anew(history):
    display = TrainingCurveDisplay(history=history, best_epoch=3)

    assert display.plot(metrics="loss") is display
    assert display.plot(metrics="accuracy") is display
    assert list(display.lines_) == ["accuracy", "val_accuracy"]
    assert list(display.best_epoch_lines_) == ["accuracy"]


def test_display_keeps_what_it_was_given(history):
    display = TrainingCurveDisplay.from_history(history, best_epoch=3, name="Adam")

    assert (display.history, display.best_epoch, display.name) == (history, 3, "Adam")


def test_display_does_not_follow_training_that_goes_on():
    classifier = RecordingClassifier().fit(X, y)
    display = TrainingCurveDisplay.from_estimator(classifier)

    classifier.history_["loss"].append(0.0)

    assert len(display.plot().lines_["loss"].get_xdata()) == 4


def test_from_history_takes_what_keras_returns(history):
    class History:
        def __init__(self) -> None:
            self.history = history

    assert TrainingCurveDisplay.from_history(History()).history == history


def search_over(estimator: Any, parameter: str, **kwargs: Any) -> GridSearchCV:
    return GridSearchCV(estimator, {parameter: [0.25]}, cv=2, **kwargs)


@pytest.mark.parametrize(
    "estimator",
    [
        RecordingClassifier(rate=0.25),
        make_pipeline(StandardScaler(), RecordingClassifier(rate=0.25)),
        search_over(RecordingClassifier(), "rate"),
        search_over(make_pipeline(StandardScaler(), RecordingClassifier()), "recordingclassifier__rate"),
        make_pipeline(StandardScaler(), search_over(RecordingClassifier(), "rate")),
    ],
    ids=["estimator", "pipeline", "search", "search over pipeline", "pipeline with search"],
)
def test_from_estimator_finds_the_trained_network(estimator):
    display = TrainingCurveDisplay.from_estimator(estimator.fit(X, y))

    np.testing.assert_array_equal(display.lines_["loss"].get_data(), [[1, 2, 3, 4], [1, 0.25, 0.0625, 0.015625]])
    assert list(display.best_epoch_lines_["loss"].get_xdata()) == [4, 4]


def test_from_estimator_passes_its_parameters_on():
    axes = Figure().subplots()

    display = TrainingCurveDisplay.from_estimator(
        RecordingClassifier().fit(X, y), metrics=["loss"], ax=axes, yscale="log", name="A", line_kw={"linewidth": 3}
    )

    assert display.axes_[0] is axes
    assert axes.get_yscale() == "log"
    assert legend_entries(axes) == ["A: train", "A: best epoch: 4"]
    assert display.lines_["loss"].get_linewidth() == 3


def test_estimator_without_best_epoch_is_drawn_without_it():
    classifier = RecordingClassifier().fit(X, y)
    del classifier.best_epoch_

    assert TrainingCurveDisplay.from_estimator(classifier).best_epoch_lines_ == {}


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (RecordingClassifier(), "RecordingClassifier"),
        (make_pipeline(StandardScaler(), RecordingClassifier()), "RecordingClassifier"),
        (search_over(RecordingClassifier(), "rate"), "GridSearchCV"),
    ],
    ids=["estimator", "pipeline", "search"],
)
def test_unfitted_estimator_is_an_error(estimator, name):
    message = (
        f"This {name} instance is not fitted yet. Call 'fit' with appropriate arguments before using "
        "TrainingCurveDisplay.from_estimator."
    )
    with pytest.raises(NotFittedError, match=whole(message)):
        TrainingCurveDisplay.from_estimator(estimator)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (LogisticRegression(), "LogisticRegression"),
        (search_over(RecordingClassifier(), "rate", refit=False), "GridSearchCV"),
    ],
    ids=["no network", "search without refit"],
)
def test_estimator_without_history_is_an_error(estimator, name):
    message = (
        "TrainingCurveDisplay.from_estimator needs an estimator that records its training in 'history_', a Pipeline "
        f"that ends in one, or a search over one with refit=True. Got {name}, which has no 'history_'. Of any other "
        "meta-estimator, pass the fitted network inside it."
    )
    with pytest.raises(TypeError, match=whole(message)):
        TrainingCurveDisplay.from_estimator(estimator.fit(X, y))


UNKNOWN_PANEL = (
    "The '{}' parameter of TrainingCurveDisplay names {!r}, which is not one of the panels {}. "
    "Values of validation are drawn in the panel of their metric."
)
BEST_EPOCH = (
    "The 'best_epoch' parameter of TrainingCurveDisplay must be None or an int in [1, 3], the epochs of the history "
    "counted from 1. Got {} instead."
)
YSCALE = (
    "The 'yscale' parameter of TrainingCurveDisplay must be one of ['linear', 'log', 'symlog', 'asinh', 'logit'], or "
    "a dict from panels to these. Got 'logarithmic' instead."
)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"metrics": "auc"}, UNKNOWN_PANEL.format("metrics", "auc", ["accuracy", "loss", "learning_rate"])),
        ({"metrics": ["val_loss"]}, UNKNOWN_PANEL.format("metrics", "val_loss", ["accuracy", "loss", "learning_rate"])),
        (
            {"metrics": []},
            "There is nothing to draw: 'metrics' names no panel. Available are ['accuracy', 'loss', 'learning_rate'].",
        ),
        ({"yscale": {"auc": "log"}}, UNKNOWN_PANEL.format("yscale", "auc", ["loss", "accuracy"])),
        ({"yscale": "logarithmic"}, YSCALE),
        ({"yscale": {"loss": "logarithmic"}}, YSCALE),
        ({"best_epoch": 0}, BEST_EPOCH.format(0)),
        ({"best_epoch": 4}, BEST_EPOCH.format(4)),
        ({"best_epoch": 1.5}, BEST_EPOCH.format(1.5)),
        ({"best_epoch": True}, BEST_EPOCH.format(True)),
    ],
)
def test_bad_parameter_is_an_error_and_leaves_no_figure(history, kwargs, message):
    with pytest.raises(ValueError, match=whole(message)):
        TrainingCurveDisplay.from_history(history, **kwargs)
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("bad_history", "message"),
    [
        ({}, "There is nothing to draw: the history is empty."),
        ({"loss": []}, "There is nothing to draw: the history has no epoch."),
        (
            {"loss": [3, 2, 1], "val_loss": [2]},
            "All curves must have one number per epoch, so that they have the same length. Got {'loss': 3, 'val_loss': "
            "1} instead. Where a value was not computed at every epoch, fill it up with NaN.",
        ),
        (
            {"f1_score": [[0.1, 0.2]]},
            "history['f1_score'] must be a list of one number per epoch. Got an array of shape (1, 2) instead.",
        ),
        ({"loss": ["low"]}, "history['loss'] must be a list of one number per epoch. Got ['low'] instead."),
    ],
    ids=["empty", "no epoch", "lengths", "two-dimensional", "text"],
)
def test_bad_history_is_an_error_and_leaves_no_figure(bad_history, message):
    with pytest.raises(ValueError, match=whole(message)):
        TrainingCurveDisplay.from_history(bad_history)
    assert plt.get_fignums() == []


def test_curve_that_is_not_drawn_is_not_checked():
    display = TrainingCurveDisplay.from_history({"loss": [2, 1], "f1_score": [[0.1, 0.2], [0.3, 0.4]]}, metrics="loss")

    assert list(display.lines_) == ["loss"]


def test_history_of_the_wrong_type_is_an_error():
    message = (
        "The 'history' parameter of TrainingCurveDisplay.from_history must be a dict with one list per key ('loss', "
        "'val_loss' ...) or what keras.Model.fit returns. Got list instead."
    )
    with pytest.raises(TypeError, match=whole(message)):
        TrainingCurveDisplay.from_history([0.5, 0.4])


@pytest.mark.parametrize("n_axes", [1, 3])
def test_wrong_number_of_axes_is_an_error(history, n_axes):
    message = (
        "The 'ax' parameter of TrainingCurveDisplay must hold one Axes for each of the 2 panels ['loss', 'accuracy']. "
        f"Got {n_axes} instead. Choose the panels with 'metrics'."
    )
    with pytest.raises(ValueError, match=whole(message)):
        TrainingCurveDisplay.from_history(history, ax=Figure().subplots(1, n_axes))


def test_axes_of_the_wrong_type_are_an_error(history):
    message = (
        "The 'ax' parameter of TrainingCurveDisplay must be a matplotlib Axes or an array-like of them. "
        "Got Figure instead."
    )
    with pytest.raises(TypeError, match=whole(message)):
        TrainingCurveDisplay.from_history(history, ax=Figure())


def test_missing_matplotlib_is_an_error_only_when_drawing(history, monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    # A second copy of the module, because the one in use was imported while Matplotlib was there.
    spec = importlib.util.find_spec("skneural._displays._training_curves")
    displays = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(displays)
    display = displays.TrainingCurveDisplay(history=history)

    message = "TrainingCurveDisplay.plot requires matplotlib. You can install it with `pip install skneural[plots]`."
    with pytest.raises(ImportError, match=whole(message)):
        display.plot()


def test_given_axes_need_no_pyplot(history, monkeypatch):
    axes = Figure().subplots(1, 2)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)

    assert len(TrainingCurveDisplay.from_history(history, ax=axes).lines_) == 4


def test_figure_of_axes_in_a_subfigure_is_the_one_that_can_be_saved(history):
    figure = plt.figure()
    axes = figure.subfigures(1, 2)[1].subplots(1, 2)
    assert TrainingCurveDisplay.from_history(history, ax=axes).figure_ is figure
