"""Every public docstring says what its signature holds, in numpydoc's form."""

from __future__ import annotations

import doctest
import inspect
import operator
import re
from typing import Any

import pytest
from numpydoc.validate import validate

import skneural

# Left out are the checks for parts that not every docstring needs (extended summary, Examples, See Also of a method,
# Returns of what returns nothing to speak of), and those of taste, such as a full stop behind a description's type.
CHECKS = {
    "GL02",  # text ends on the line before the quotes
    "GL03",  # one blank line at most
    "GL05",  # tabs
    "GL06",  # unknown section
    "GL07",  # order of sections
    "GL08",  # no docstring
    "SS01",  # no summary
    "SS02",
    "SS03",  # it ends with a full stop
    "SS04",
    "SS05",  # it begins with an infinitive, not "Returns"
    "SS06",  # it fits one line
    "PR01",  # parameters are documented
    "PR02",  # no other ones are
    "PR03",  # in the order of the signature
    "PR04",  # each has a type
    "PR05",
    "PR06",  # "str", not "string"
    "PR07",  # each has a description
    "PR08",
    "PR09",  # which ends with a full stop
    "PR10",
    "RT01",  # what a method returns is documented
    "RT03",
    "RT04",
    "RT05",
    "SA02",  # what stands in See Also has a description
    "SA03",
    "SA04",
}
PUBLIC = [name for name in skneural.__all__ if name not in ("__version__", "exceptions")]
PUBLIC += [f"exceptions.{name}" for name in vars(skneural.exceptions) if name[0].isupper()]


def _public_names() -> list[str]:
    """Each public name, and the public methods and properties that a class of ours defines or inherits from ours."""
    names = []
    for name in PUBLIC:
        names.append(f"skneural.{name}")
        value = _find(f"skneural.{name}")
        if inspect.isclass(value):
            names += [f"skneural.{name}.{member}" for member in sorted(dir(value)) if _is_ours(value, member)]
    return names


def _find(name: str) -> Any:
    return operator.attrgetter(name.removeprefix("skneural."))(skneural)


def _is_ours(cls: type, member: str) -> bool:
    if member.startswith("_"):
        return False
    owner = next(base for base in cls.__mro__ if member in vars(base))
    value = inspect.unwrap(vars(owner)[member]) if callable(vars(owner)[member]) else vars(owner)[member]
    return owner.__module__.partition(".")[0] == "skneural" and (
        inspect.isroutine(value) or isinstance(value, property | classmethod) or hasattr(value, "fn")
    )


@pytest.mark.parametrize("name", _public_names())
def test_docstring(name: str) -> None:
    found = [f"{code}: {text}" for code, text in validate(name)["errors"] if code in CHECKS]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", [name for name in _public_names() if "References" in (_find(name).__doc__ or "")])
def test_references_have_a_year_and_an_address(name: str) -> None:
    """One paragraph each: authors, year, title, where it stands."""
    text = inspect.getdoc(_find(name)) or ""
    section = re.split(r"^[A-Z][A-Za-z ]+\n-+$", text.split("References\n----------\n")[1], flags=re.MULTILINE)[0]
    for reference in re.split(r"\n\s*\n", section.strip()):
        assert re.search(r"https?://", reference), reference
        assert re.search(r"\b(19|20)\d\d\b|\d+\.\d+", reference), reference


@pytest.mark.parametrize("name", [name for name in PUBLIC if hasattr(_find(f"skneural.{name}"), "fit")])
def test_parameters_that_attributes_hang_on_exist(name: str) -> None:
    value = _find(f"skneural.{name}")
    named = re.findall(r"(?:only|ignored) (?:with|where) ``(\w+)", inspect.getdoc(value) or "")
    assert set(named) <= set(inspect.signature(value).parameters) | set(inspect.signature(value.fit).parameters)


def test_classes_have_an_example() -> None:
    for name in skneural.__all__:
        if name[0].isupper():
            assert ">>> " in (getattr(skneural, name).__doc__ or ""), name


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(_find(f"skneural.{name}"))])
def test_examples_of_classes_say_what_comes_out(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    found = doctest.DocTestFinder(exclude_empty=True).find(_find(f"skneural.{name}"), name, module=False, globs={})
    for one in found:
        runner.run(one)
    assert runner.summarize(verbose=False) == (0, runner.tries)
