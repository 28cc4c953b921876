"""The site's pages: their code runs and prints what they say, and every public name and page is reachable."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import pydoc
import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

import skneural

DOCS = Path(__file__).parents[1] / "docs"
WRITTEN = [path for path in sorted(DOCS.rglob("*.md")) if not {"_build", "auto_gallery"} & set(path.parts)]
WITH_CODE = [path for path in WRITTEN if "```python\n" in path.read_text(encoding="utf-8")]
CODE = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
NUMBER = re.compile(r"-?\d+\.\d+")


def _name(path: Path) -> str:
    return str(path.relative_to(DOCS))


def _toctree(path: Path) -> list[Path]:
    """Pages that a page's tables of contents name, those that the gallery makes left out."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
    names = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    found = [path.parent / f"{name}.md" for name in names if not name.startswith("auto_gallery")]
    return [one if one.exists() else one.with_suffix(".rst") for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_CODE, ids=_name)
def test_code_of_a_page_prints_what_stands_below_it(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers with a point may differ a little: the last digits depend on the machine's instructions."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for code, expected in CODE.findall(path.read_text(encoding="utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(path), "exec"), names)
        got = printed.getvalue()
        assert NUMBER.sub("#", got).split() == NUMBER.sub("#", expected).split(), code
        right = pytest.approx([float(number) for number in NUMBER.findall(expected)], rel=0.05, abs=0.021)
        assert [float(number) for number in NUMBER.findall(got)] == right, code


def test_every_public_name_is_in_the_reference() -> None:
    listed = re.findall(r"^   (\w+)$", (DOCS / "reference" / "index.rst").read_text(encoding="utf-8"), re.M)
    errors = [name for name, value in vars(skneural.exceptions).items() if inspect.isclass(value)]
    assert sorted(listed) == sorted([*set(skneural.__all__) - {"__version__", "exceptions"}, *errors])


def test_every_page_is_in_a_table_of_contents() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page.resolve())
        waiting += [one for one in _toctree(page) if one.suffix == ".md"] if page.suffix == ".md" else []
    included = {DOCS / "parameters.md"}
    assert {path.resolve() for path in WRITTEN} - reached == {path.resolve() for path in included}


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        page = (path.parent / target) if target else path
        if "auto_gallery" not in target:
            assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, anchor


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_no_page_asks_another_host_for_anything(path: Path) -> None:
    """Links may lead anywhere; what a page loads by itself may not."""
    assert not re.search(
        r"!\[[^\]]*\]\(https?:|<(script|img|link|iframe)\b[^>]*https?:", path.read_text(encoding="utf-8")
    )


@pytest.mark.parametrize("path", WITH_CODE, ids=_name)
def test_pages_show_their_code_whole(path: Path) -> None:
    code = "".join(found for found, _ in CODE.findall(path.read_text(encoding="utf-8")))
    assert [line for line in code.splitlines() if len(line) > 80] == []


def test_names_of_others_that_docstrings_link_to_exist() -> None:
    """The site makes links of them; without the network nothing else tells whether they lead anywhere."""
    linked = r":\w+:`~?((?:keras|sklearn)\.[\w.]+)`|``((?:keras|sklearn)(?:\.\w+)+)``"
    for path in sorted(Path(skneural.__file__).parent.rglob("*.py")):
        for one, other in re.findall(linked, path.read_text(encoding="utf-8")):
            assert pydoc.locate(one or other) is not None, (path, one or other)


def test_the_chart_of_benchmarks_is_that_of_its_tables() -> None:
    chart = runpy.run_path(str(DOCS.parent / "benchmarks" / "chart.py"))
    drawn = json.loads(Image.open(chart["PICTURE"]).text["Description"])
    assert drawn == chart["times_faster"](), "python benchmarks/chart.py draws it anew"
    assert all(set(of_peers) == set(chart["PEERS"]) for of_peers in drawn.values())


def test_every_example_asks_and_shows() -> None:
    """Each has a title, a text, and draws."""
    examples = sorted((DOCS / "gallery").glob("plot_*.py"))
    assert len(examples) >= 16
    for path in examples:
        text = path.read_text(encoding="utf-8")
        title = re.match(r'"""\n(.+)\n(=+)\n\n\S', text)
        assert title, path
        assert len(title[1]) == len(title[2]), path
        assert "from skneural import" in text, path
