"""The examples run and write the figures whose paths they print; the code in the README runs as it stands."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
from matplotlib.image import imread

ROOT = Path(__file__).parents[1]
README_CODE = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)


def run_example(name: str, *arguments: object) -> str:
    """Run an example in a process of its own and return what it prints."""
    command = [sys.executable, ROOT / "examples" / name, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::UserWarning"}
    finished = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def printed_figures(printed: str, folder: Path) -> list[str]:
    """Names of the figures whose paths were printed, each of them checked to show something."""
    paths = [Path(line) for line in printed.splitlines() if line.endswith(".png")]
    for path in paths:
        assert path.parent == folder
        # A figure on which nothing was drawn has one colour.
        assert imread(path).std() > 0.05, path
    return [path.name for path in paths]


@pytest.mark.slow
def test_digits_search_reports_the_best_network(tmp_path):
    printed = run_example("digits_search.py", "--quick", "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["confusion_matrix.png", "training_curves.png"]
    assert printed.count("[CV] END") == 4, "one line of progress for each of two candidates on two folds"
    assert re.search(r"^ +accuracy +log-loss +ROC AUC$", printed, re.M)
    assert re.findall(r"^(fold \d|mean) +0\.\d{4} +\d\.\d{4} +0\.\d{4}$", printed, re.M) == ["fold 1", "fold 2", "mean"]
    # Precision, recall, f1-score and count of each digit.
    assert len(re.findall(r"^ +\d( +[01]\.\d{3}){3} +\d+$", printed, re.M)) == 10


@pytest.mark.slow
def test_a_table_is_reported_and_a_stored_network_predicts(tmp_path):
    printed = run_example("tables.py", "--n-members", 300, "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["calibration.png"]
    assert re.findall(r"^(\w+) +0\.\d{3,4} +\d\.\d{3,4} +0\.\d{3,4}$", printed, re.M) == [
        "TabularNet",
        "HistGradientBoosting",
    ]
    assert len(re.findall(r"^(age|visits|distance_km|plan|club|trainer) +-?\d\.\d{3}$", printed, re.M)) == 6
    in_file, in_memory = re.search(r"in a new process: (0\.\d{3}); the estimator: (0\.\d{3})", printed).groups()
    assert in_file == in_memory


@pytest.mark.slow
def test_sentences_of_a_grammar_are_translated(tmp_path):
    printed = run_example("translation.py", "--n-pairs", 2500, "--epochs", 20, "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["loss.png", "attention.png"]
    assert printed.count("    -> ") == 5
    assert float(re.search(r"that were not learned: (\d+\.\d)$", printed, re.M)[1]) > 80


@pytest.mark.slow
def test_pairs_of_a_file_are_translated(tmp_path):
    (tmp_path / "pairs.tsv").write_text("".join(f"{number}\t{number} again\n" for number in range(40)))
    printed = run_example("translation.py", "--tsv", tmp_path / "pairs.tsv", "--epochs", 1, "--output", tmp_path)
    assert "Learning from 32 pairs" in printed
    assert "BLEU of 8 sentences" in printed


@pytest.mark.slow
def test_sequences_are_classified_and_the_thoughts_drawn(tmp_path):
    printed = run_example("sequences.py", "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["thoughts.png"]
    accuracy = re.search(r"Of 100 other signals it names (\d+\.\d)% right", printed)
    assert accuracy is not None
    assert float(accuracy[1]) > 90


@pytest.mark.slow
def test_clusters_of_digits_are_drawn_without_a_label(tmp_path):
    printed = run_example("digits_clusters.py", "--n-images", 500, "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["clusters.png", "confusion_matrix.png"]
    share = re.search(r"(\d+\.\d)% of them are in the cluster of their digit", printed)
    assert share is not None
    assert float(share[1]) > 80


@pytest.mark.slow
def test_introduction_walks_nine_steps(tmp_path):
    printed = run_example("keras_introduction.py", "--epochs", 3, "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["images.png", "network.png", "training_curves.png"]
    assert re.findall(r"^--- (\d)\.", printed, re.M) == list("123456789")
    assert "1797 rows, 65 columns" in printed
    assert "1437 rows to train on, 360 to test on" in printed
    assert re.search(r"Total params:", printed)
    assert re.search(r"It reads \d+\.\d% of the 360 test images right", printed)


@pytest.mark.slow
def test_introduction_takes_a_table_of_any_size_and_labels(tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.integers(0, 256, size=(60, 25)), columns=[f"pixel{i}" for i in range(25)])
    table.insert(0, "label", np.resize(["cat", "dog"], 60))
    table.to_csv(tmp_path / "table.csv", index=False)
    printed = run_example("keras_introduction.py", "--csv", tmp_path / "table.csv", "--epochs", 2, "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["images.png", "network.png", "training_curves.png"]
    assert "60 rows, 26 columns" in printed


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "../shared/data/mnist_1000.csv").exists(), reason="needs ../shared/data/mnist_1000.csv")
def test_introduction_reads_mnist(tmp_path):
    printed = run_example(
        "keras_introduction.py", "--csv", ROOT / "../shared/data/mnist_1000.csv", "--output", tmp_path
    )
    assert "1000 rows, 785 columns" in printed
    accuracy = re.search(r"It reads (\d+\.\d)% of the 200 test images right", printed)
    assert accuracy is not None
    assert float(accuracy[1]) > 85


@pytest.mark.slow
def test_handwritten_digits_are_read_and_drawn(tmp_path):
    printed = run_example("handwritten_digits.py", "--epochs", 3, "--output", tmp_path)
    assert printed_figures(printed, tmp_path) == ["confusion_matrix.png", "misread.png", "filters.png"]
    assert "1797 images of 8 x 8 pixels, 10 labels" in printed
    assert len(re.findall(r"^ +\d( +[01]\.\d{3}){3} +\d+$", printed, re.M)) == 10
    assert re.search(r"^\d+ of 450 test images are misread\.$", printed, re.M)


@pytest.mark.parametrize("n_misread", [0, 1, 2, 5, 9, 30])
def test_the_picture_of_misread_images_has_no_blank_quarter(n_misread: int, tmp_path: Path) -> None:
    draw_misread = runpy.run_path(str(ROOT / "examples" / "handwritten_digits.py"))["draw_misread"]
    random = np.random.default_rng(0)
    images, labels, probabilities = random.random((30, 8, 8)), np.zeros(30, int), random.dirichlet(np.ones(3), 30)
    network = SimpleNamespace(classes_=np.arange(3))
    draw_misread(network, images, labels, probabilities, np.arange(n_misread), tmp_path / "misread.png")
    picture = imread(tmp_path / "misread.png")[30:, :, 0]  # without the title
    height, width = (side // 2 for side in picture.shape)
    for quarter in (
        picture[rows, columns]
        for rows in (slice(height), slice(height, None))
        for columns in (slice(width), slice(width, None))
    ):
        assert (quarter < 0.5).mean() > 0.01


@pytest.mark.slow
def test_handwritten_digits_takes_a_table_of_other_images(tmp_path):
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.integers(0, 256, size=(80, 8 * 9)), columns=[f"pixel{i}" for i in range(72)])
    table.insert(0, "letter", np.resize(["a", "b"], 80))
    table.to_csv(tmp_path / "table.csv", index=False)
    arguments = ("--csv", tmp_path / "table.csv", "--image-shape", 8, 9, "--epochs", 2, "--output", tmp_path)
    printed = run_example("handwritten_digits.py", *arguments)
    assert printed_figures(printed, tmp_path) == ["confusion_matrix.png", "misread.png", "filters.png"]
    assert "80 images of 8 x 9 pixels, 2 labels" in printed


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_help_comes_without_tensorflow(path: Path) -> None:
    code = f"""
import runpy, sys
sys.argv = ["example", "--help"]
try:
    runpy.run_path({str(path)!r}, run_name="__main__")
except SystemExit:
    print({{"tensorflow", "keras"}} & set(sys.modules))
"""
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert finished.stdout.startswith(f"usage: {path.name} ")
    assert finished.stdout.endswith("set()\n")
    assert finished.stderr == ""


def test_first_example_of_the_readme_runs(capsys):
    names: dict[str, object] = {}
    exec(README_CODE[0], names)
    accuracy, probabilities = capsys.readouterr().out.splitlines()[:2]
    assert float(accuracy) > 0.95
    assert probabilities.startswith("[[")


@pytest.mark.slow
def test_all_code_of_the_readme_runs_in_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with sklearn.config_context():
        for code in README_CODE:
            exec(code, names)
    drawn, shown = imread(tmp_path / "training_curves.png"), imread(ROOT / "docs" / "images" / "digits.png")
    assert drawn.shape == shown.shape
    # Curves differ a little from machine to machine.
    assert np.abs(drawn - shown).mean() < 0.01


def test_pictures_of_the_readme_exist_and_are_small():
    pictures = re.findall(r"!\[.+\]\((.+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert pictures
    for picture in pictures:
        assert 1_000 < (ROOT / picture).stat().st_size < 100_000
