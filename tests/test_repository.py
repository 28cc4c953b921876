"""The files beside the package say what is so: versions, commands, Pythons."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

import skneural

ROOT = Path(__file__).parent.parent
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in WORKFLOWS)])
def test_commands_of_make_exist(name: str) -> None:
    text = (ROOT / name).read_text()
    used = set(re.findall(r"(?:^|`|run: )make ([a-z][a-z-]*)", text, flags=re.MULTILINE))
    assert used or name.endswith("wheels.yml")
    assert used <= TARGETS


def test_every_target_is_phony_and_helped() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)[1].split())  # type: ignore[index]
    assert phony == TARGETS
    helped = set(re.findall(r'@echo "make ([a-z-]+)', makefile))
    assert helped == TARGETS - {"help", "venv", "fresh-venv", "empty-venv"}


def test_pythons_that_are_tested_are_those_that_are_supported() -> None:
    tested = re.findall(r'"(3\.\d+)"', (ROOT / ".github/workflows/tests.yml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = SpecifierSet(project["requires-python"])
    assert tested == [f"3.{minor}" for minor in range(30) if supported.contains(f"3.{minor}")]


def test_citation_and_changelog_are_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {skneural.__version__}\n" in citation
    assert f"\n## [{skneural.__version__}] - " in (ROOT / "CHANGELOG.md").read_text()


def test_changelog_names_all_that_is_public() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    named = set(re.findall(r"`(\w+)`", text))
    assert set(skneural.__all__) - {"__version__", "exceptions"} <= named


@pytest.mark.parametrize(
    "name",
    ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/architecture.md", "docs/benchmarks.md"],
)
def test_links_to_files_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_a_release_has_whole_addresses(tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    address, version = "https://example.org/owner/skneural", "v1.2.3"
    command = [sys.executable, ROOT / ".github" / "release_addresses.py", address, version]
    subprocess.run(list(map(str, command)), cwd=tmp_path, check=True)
    text = (tmp_path / "README.md").read_text()
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert {mark for mark, _ in links} == {"", "!"}
    for mark, target in links:
        path = target.removeprefix(f"{address}/{'raw' if mark else 'blob'}/{version}/")
        assert (ROOT / path).exists(), target
        assert path != target
    assert re.findall("```.*?```", text, re.DOTALL) == re.findall(
        "```.*?```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project.pop("urls")["Repository"] == address
    assert project == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wheels = (ROOT / ".github" / "workflows" / "wheels.yml").read_text()
    assert wheels.count("release_addresses.py") == len(re.findall("- uses: pypa/cibuildwheel|run build", wheels))


def test_table_of_defaults_is_that_of_the_signatures() -> None:
    lines = [line for line in (ROOT / "docs" / "parameters.md").read_text().splitlines() if line.startswith("| ")]
    header, *rows = [[cell.strip() for cell in line[2:-1].split("|")] for line in lines]
    for column, name in enumerate(header[1:], start=1):
        parameters = inspect.signature(getattr(skneural, name)).parameters.values()
        defaults = {one.name: one.default for one in parameters if one.kind is not one.VAR_KEYWORD}
        shown = {row[0].strip("`"): ast.literal_eval(row[column].strip("`")) for row in rows if row[column]}
        assert shown == defaults, name
    classes = [name for name in skneural.__all__ if inspect.isclass(getattr(skneural, name))]
    parameters_of = {name: inspect.signature(getattr(skneural, name)).parameters for name in classes}
    # All that learn, but for those that take a model of the user's.
    families = {name for name, given in parameters_of.items() if "random_state" in given and "model" not in given}
    assert families == set(header[1:])
