"""scikit-learn's callbacks: a fit is a task, each epoch a task in it, and what a hook asks for happens."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skneural import DenseNetClassifier, DenseNetRegressor


@pytest.fixture
def halves():
    """40 rows of 2 features in two classes that the sign of the first feature tells apart."""
    X = np.random.default_rng(0).normal(size=(40, 2))
    return X, np.where(X[:, 0] > 0, "right", "left")


def network(epochs=3, **parameters):
    return DenseNetClassifier((4,), epochs=epochs, learning_rate=0.05, batch_size=10, random_state=0, **parameters)


class Recorder:
    """Writes down what it is called with; asks to stop at the end of one epoch, or fails there."""

    def __init__(self, stop_after=None, fail_after=None):
        self.stop_after = stop_after
        self.fail_after = fail_after
        self.events = []
        self.seen = []

    def setup(self, estimator, context):
        self.events.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self.events.append(f"end {context.task_name} {context.task_id}")
        if context.task_name != "epoch":
            return False
        self.seen.append((X, y, metadata, fitted_estimator, context.parent.max_subtasks))
        if self.fail_after == context.task_id:
            raise RuntimeError("the callback has failed")
        return self.stop_after == context.task_id

    def teardown(self, estimator, context):
        self.events.append("teardown")


def test_each_epoch_is_a_task_of_the_fit(halves):
    recorder = Recorder()
    network(epochs=2).set_callbacks(recorder).fit(*halves)
    assert recorder.events == [
        "setup",
        "begin fit 0",
        "begin epoch 0",
        "end epoch 0",
        "begin epoch 1",
        "end epoch 1",
        "end fit 0",
        "teardown",
    ]
    assert [n_epochs for *_, n_epochs in recorder.seen] == [2, 2]


def test_partial_fit_and_a_second_fit_are_runs_of_their_own(halves):
    recorder = Recorder()
    classifier = network(epochs=1, warm_start=True).set_callbacks(recorder)
    classifier.fit(*halves).fit(*halves).partial_fit(*halves)
    one_run = ["setup", "begin fit 0", "begin epoch 0", "end epoch 0", "end fit 0", "teardown"]
    assert recorder.events == 3 * one_run


def test_hooks_see_the_data_and_the_estimator_of_that_epoch(halves):
    X, y = halves
    weights = np.linspace(0.5, 1.5, 40)
    recorder = Recorder()
    classifier = network().set_callbacks(recorder).fit(X, y, sample_weight=weights)
    for n_epochs, (seen_X, seen_y, metadata, fitted, _) in enumerate(recorder.seen, start=1):
        assert_array_equal(seen_X, X)
        assert_array_equal(seen_y, y)
        assert_array_equal(metadata["sample_weight"], weights)
        alone = network(n_epochs).fit(X, y, sample_weight=weights)
        assert_allclose(fitted.predict_proba(X), alone.predict_proba(X), atol=1e-6)
    last = recorder.seen[-1][3]
    assert_array_equal(last.predict_proba(X), classifier.predict_proba(X))


def test_callbacks_leave_the_training_as_it_is(halves):
    X, y = halves
    watched = network().set_callbacks(Recorder()).fit(X, y)
    alone = network().fit(X, y)
    assert_array_equal(watched.predict_proba(X), alone.predict_proba(X))
    assert watched.history_ == alone.history_


def test_hook_that_returns_true_stops_the_training(halves):
    X, y = halves
    recorder = Recorder(stop_after=1)
    classifier = network(epochs=5).set_callbacks(recorder).fit(X, y)
    assert classifier.n_iter_ == 2
    assert [event for event in recorder.events if event.startswith("end")] == [
        "end epoch 0",
        "end epoch 1",
        "end fit 0",
    ]
    assert recorder.events[-1] == "teardown"
    assert_array_equal(classifier.predict_proba(X), network(epochs=2).fit(X, y).predict_proba(X))


def test_early_stopping_ends_the_tasks_too(halves):
    X, y = halves
    recorder = Recorder()
    classifier = network(epochs=9, early_stopping=True, n_iter_no_change=1, tol=10.0).set_callbacks(recorder).fit(X, y)
    assert classifier.n_iter_ == 2
    assert sum(event.startswith("end epoch") for event in recorder.events) == 2
    assert recorder.events[-2:] == ["end fit 0", "teardown"]


def test_callbacks_are_torn_down_after_an_error_in_one(halves):
    X, y = halves
    classifier = network().fit(X, y)
    before = classifier.predict_proba(X)
    recorder = Recorder(fail_after=1)
    with pytest.raises(RuntimeError, match=r"^the callback has failed$"):
        classifier.set_callbacks(recorder).fit(X, y)
    assert recorder.events[-2:] == ["end epoch 1", "teardown"]
    assert_array_equal(classifier.predict_proba(X), before)


def test_warm_start_that_fails_keeps_the_weights_of_before(halves):
    X, y = halves
    classifier = network(warm_start=True).fit(X, y)
    before, history = classifier.predict_proba(X), classifier.history_
    with pytest.raises(RuntimeError, match=r"^the callback has failed$"):
        classifier.set_callbacks(Recorder(fail_after=1)).fit(X, y)
    assert_array_equal(classifier.predict_proba(X), before)
    assert classifier.history_ == history


def test_callbacks_are_not_called_for_bad_input(halves):
    X, y = halves
    recorder = Recorder()
    classifier = network().set_callbacks(recorder)
    with pytest.raises(ValueError, match="NaN"):
        classifier.fit(np.full_like(X, np.nan), y)
    assert recorder.events in ([], ["setup", "teardown"])
    with pytest.raises(NotFittedError):
        classifier.predict(X)


def test_set_callbacks_without_any_takes_them_away(halves):
    recorder = Recorder()
    network().set_callbacks(recorder).set_callbacks().fit(*halves)
    assert recorder.events == []


def test_progress_bar_shows_the_epochs(halves, capsys):
    network(epochs=2).set_callbacks(ProgressBar()).fit(*halves)
    shown = capsys.readouterr().out
    assert "DenseNetClassifier - fit" in shown
    assert "100%" in shown


def test_progress_bar_shows_search_pipeline_and_epochs(halves, capsys):
    pipeline = make_pipeline(StandardScaler(), network(epochs=1))
    bar = ProgressBar(max_propagation_depth=None)
    GridSearchCV(pipeline, {"densenetclassifier__l2": [0.0, 0.1]}, cv=2).set_callbacks(bar).fit(*halves)
    shown = capsys.readouterr().out
    assert "GridSearchCV - fit" in shown
    assert "Pipeline" in shown
    assert "DenseNetClassifier" in shown
    assert "100%" in shown


def test_progress_bar_is_closed_after_an_error(halves, capsys):
    X, y = halves
    classifier = network().set_callbacks(ProgressBar())
    for _ in range(2):
        with pytest.raises(ValueError, match="NaN"):
            classifier.fit(np.full_like(X, np.nan), y)
    classifier.fit(X, y)
    assert "100%" in capsys.readouterr().out


def test_scoring_monitor_scores_each_epoch(halves):
    X, y = halves
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    classifier = network().set_callbacks(monitor).fit(X, y)
    logs = monitor.get_logs().data
    epochs = [row for row in logs if row["task_name"] == "epoch"]
    assert [row["task_id_path"] for row in epochs] == [(0, 0), (0, 1), (0, 2)]
    for n_epochs, row in enumerate(epochs, start=1):
        probabilities = network(n_epochs).fit(X, y).predict_proba(X)
        assert_allclose(row["neg_log_loss"], -log_loss(y, probabilities), rtol=1e-5)
    (fit,) = [row for row in logs if row["task_name"] == "fit"]
    assert fit["accuracy"] == accuracy_score(y, classifier.predict(X))
    assert fit["neg_log_loss"] == epochs[-1]["neg_log_loss"]


def test_scoring_monitor_uses_the_weights_of_the_rows(halves):
    X, y = halves
    weights = np.where(X[:, 0] > 0, 3.0, 1.0)
    monitor = ScoringMonitor(scoring="neg_log_loss")
    classifier = network(epochs=1).set_callbacks(monitor).fit(X, y, sample_weight=weights)
    scores = {row["neg_log_loss"] for row in monitor.get_logs().data}
    assert len(scores) == 1
    assert scores.pop() == pytest.approx(-log_loss(y, classifier.predict_proba(X), sample_weight=weights), rel=1e-5)


def test_scoring_monitor_scores_a_regressor_in_the_units_of_y():
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = 1000 * X[:, 0]
    monitor = ScoringMonitor(scoring="neg_mean_absolute_error")
    regressor = DenseNetRegressor((), epochs=2, random_state=0).set_callbacks(monitor).fit(X, y)
    last = monitor.get_logs().data[-1]["neg_mean_absolute_error"]
    assert last == pytest.approx(-np.abs(y - regressor.predict(X)).mean(), rel=1e-6)


def test_scoring_monitor_scores_the_epochs_inside_a_pipeline(halves):
    X, y = halves
    monitor = ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), network().set_callbacks(monitor)).fit(X, y)
    log = monitor.get_logs()
    assert log.estimator_name == "Pipeline"
    epochs = [row for row in log.data if row["task_name"] == "epoch"]
    assert [row["task_id_path"] for row in epochs] == [(0, 1, 0), (0, 1, 1), (0, 1, 2)]
    assert epochs[-1]["accuracy"] == pipeline.score(X, y)


def test_scoring_monitor_scores_the_epochs_of_every_fit_of_a_search(halves):
    X, y = halves
    monitor = ScoringMonitor(scoring="accuracy")
    pipeline = make_pipeline(StandardScaler(), network(epochs=2).set_callbacks(monitor))
    search = GridSearchCV(pipeline, {"densenetclassifier__l2": [0.0, 0.1]}, cv=2).fit(X, y)
    log = monitor.get_logs()
    assert log.estimator_name == "GridSearchCV"
    epochs = [row for row in log.data if row["task_name"] == "epoch"]
    assert len(epochs) == (2 * 2 + 1) * 2
    assert len({row["parent_task_id_path"] for row in epochs}) == 2 * 2 + 1
    assert epochs[1]["task_id_path"] == (0, 1, 1, 1)  # the refit comes first, having the shortest path
    assert epochs[1]["accuracy"] == search.score(X, y)


def test_hook_stops_the_training_inside_a_pipeline(halves):
    pipeline = make_pipeline(StandardScaler(), network(epochs=5).set_callbacks(Recorder(stop_after=0)))
    assert pipeline.fit(*halves)[-1].n_iter_ == 1


@pytest.mark.slow
def test_scoring_monitor_hears_from_other_processes(halves):
    X, y = halves
    monitor = ScoringMonitor(scoring="accuracy")
    classifier = network(epochs=2).set_callbacks(monitor)
    GridSearchCV(classifier, {"l2": [0.0, 0.1]}, cv=2, n_jobs=2).fit(X, y)
    epochs = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(epochs) == (2 * 2 + 1) * 2
