"""In the kernel of a real notebook: progress of every way to train, and the gallery's notebooks run as they are."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient", reason="runs notebooks")
nbformat = pytest.importorskip("nbformat", reason="reads notebooks")
pytest.importorskip("ipykernel", reason="the kernel of notebooks")
pytest.importorskip("ipywidgets", reason="scikit-learn's ProgressBar needs it in a notebook")
ROOT = Path(__file__).parents[1]
BEGIN = """
import warnings
import skneural
from skneural import KerasRegressor
import keras
from sklearn.callback import ProgressBar
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)

warnings.simplefilter("error")
X, y = load_digits(return_X_y=True)
X, y = X[:100] / 16, y[:100] % 2
small, of_search = (skneural.DenseNetClassifier((4,), epochs=3, random_state=0) for _ in range(2))
"""
SHOWN = {
    "native": "small.set_params(verbose=1).fit(X, y);",
    "compiled": "small.set_params(verbose=1, batch_normalization=True).fit(X, y);",
    "keras": "KerasRegressor(OwnStep([keras.layers.Dense(1)]), loss='mse', verbose=1, epochs=3).fit(X, y);",
    "verbose=2": "small.set_params(verbose=2).fit(X, y);",
    "silent": "small.set_params(verbose=0).fit(X, y);",
    "ProgressBar": "small.set_callbacks(ProgressBar()).fit(X, y);",
    "search": "GridSearchCV(of_search, {'tol': [1e-4, 1e-3]}, cv=2).set_callbacks(ProgressBar()).fit(X, y);",
}


def _run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    set_for_tests = {"MPLBACKEND", "TF_CPP_MIN_LOG_LEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in set_for_tests}
    client = nbclient.NotebookClient(
        notebook, kernel_name="python3", timeout=300, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment | {"PYTHONPATH": str(ROOT)})


def _lines(cell: nbformat.NotebookNode) -> list[str]:
    """What stands below a cell: of each line what was written last, as it is read."""
    assert {output.output_type for output in cell.outputs} <= {"stream"}, cell.outputs
    assert {output.name for output in cell.outputs} <= {"stdout"}, cell.outputs
    text = "".join(output.text for output in cell.outputs)
    return [line.split("\r")[-1] for line in text.removesuffix("\n").split("\n")]


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nbformat.NotebookNode]:
    """Run all of SHOWN in one kernel, and give its cells."""
    begin, *cells = map(nbformat.v4.new_code_cell, (BEGIN, *SHOWN.values()))
    notebook = nbformat.v4.new_notebook(cells=[begin, *cells])
    _run(notebook, tmp_path_factory.mktemp("notebook"))
    assert not begin.outputs, begin.outputs
    widgets = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    for cell in cells:
        cell.widgets = widgets
    return dict(zip(SHOWN, cells, strict=True))


@pytest.mark.parametrize("engine", ["native", "compiled", "keras"])
def test_a_cell_shows_a_full_bar_for_each_epoch(engine: str, below: dict[str, nbformat.NotebookNode]) -> None:
    lines = _lines(below[engine])
    assert [re.sub(r"^At most \d+ \w+ left\. ", "", line) for line in lines[::2]] == [f"Epoch {n}/3" for n in (1, 2, 3)]
    for line in lines[1::2]:
        assert line.count("━") == 20
        assert " loss: " in line
    assert len(lines) == 6


def test_plain_lines_and_silence(below: dict[str, nbformat.NotebookNode]) -> None:
    lines = _lines(below["verbose=2"])
    assert len([line for line in lines if " loss: " in line]) == 3
    assert not any("━" in line for line in lines)
    assert not below["silent"].outputs


@pytest.mark.parametrize(
    ("name", "what"), [("ProgressBar", "DenseNetClassifier - fit"), ("search", "GridSearchCV - fit")]
)
def test_bars_of_scikit_learn_end_full(name: str, what: str, below: dict[str, nbformat.NotebookNode]) -> None:
    view = "application/vnd.jupyter.widget-view+json"
    (shown,) = [output.data[view] for output in below[name].outputs if view in output.data]
    (output,) = below[name].widgets[shown["model_id"]]["state"]["outputs"]
    lines = output["data"]["text/plain"].splitlines()
    assert what in lines[0]
    assert all("100%" in line for line in lines)


def test_a_notebook_of_the_gallery_runs_as_it_is(tmp_path: Path) -> None:
    gallery = pytest.importorskip("sphinx_gallery.notebook", reason="makes the gallery's notebooks")
    parser = pytest.importorskip("sphinx_gallery.py_source_parser", reason="makes the gallery's notebooks")
    configuration = pytest.importorskip("sphinx_gallery.gen_gallery", reason="makes the gallery's notebooks")
    source = ROOT / "docs" / "gallery" / "plot_06_filters.py"
    _, blocks = parser.split_code_and_text_blocks(str(source))
    made = gallery.jupyter_notebook(blocks, dict(configuration.DEFAULT_GALLERY_CONF), str(source.parent))
    notebook = nbformat.reads(json.dumps(made), as_version=4)
    _run(notebook, tmp_path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", ()) for output in outputs)
