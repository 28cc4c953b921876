"""What a form of plain data is, and who takes values apart by forms and puts them together again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Node = Any  # what JSON can say
_GIVEN = "given"


class StoredDataError(ValueError):
    """What is stored cannot be read: it is damaged, or holds what no estimator of ours would write."""


@dataclass(frozen=True)
class Form:
    """How values of one kind are stored: ``{name: plain(value, writer)}``, and ``made(node, reader)`` of it."""

    name: str
    is_meant: Callable[[Any], bool]
    plain: Callable[[Any, Writer], Node]
    made: Callable[[Node, Reader], Any]


@dataclass(frozen=True)
class Given:
    """An object that plain data does not hold: who loads must have it, by the name of its own or of its parameter."""

    value: Any
    parameter: str | None

    @property
    def name(self) -> str | None:
        """The name that it can be asked for by; None where there is none."""
        own = getattr(self.value, "__name__", None) if _is_code(self.value) else None
        return own if own is not None and own.isidentifier() else self.parameter


def _is_code(value: Any) -> bool:
    return inspect.isfunction(value) or inspect.isclass(value)


@dataclass
class Writer:
    """Takes values apart into nodes of JSON, arrays, and objects that must be given again by who loads.

    Where these are asked for ``by_name``, a parameter with objects in it that have none is given as a whole.
    """

    forms: Sequence[Form]
    by_name: bool = False
    arrays: list[NDArray[Any]] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)
    shared: dict[int, Any] = field(default_factory=dict)
    _parameter: str | None = None

    def node(self, value: Any) -> Node:
        """Return the node of a value."""
        if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
            return value
        if type(value) is list:
            return [self.node(item) for item in value]
        places = [place for place, one in enumerate(self.given) if one.value is value]
        form = None if places else next((form for form in self.forms if form.is_meant(value)), None)
        if form is not None:
            return {form.name: form.plain(value, self)}
        if not places:
            places = [len(self.given)]
            self.given.append(Given(value, self._parameter))
        return {_GIVEN: places[0]}

    def attribute(self, name: str, value: Any, *, is_parameter: bool) -> Node:
        """Return the node of an attribute."""
        if not (is_parameter and self.by_name and self._parameter is None):
            return self.node(value)
        n_before, self._parameter = len(self.given), name
        node, self._parameter = self.node(value), None
        if any(not _is_code(one.value) or one.name == name for one in self.given[n_before:]):
            del self.given[n_before:]
            self.given.append(Given(value, name))
            node = {_GIVEN: n_before}
        return node

    def array(self, values: NDArray[Any]) -> int:
        """Keep an array, and return its place."""
        for place, one in enumerate(self.arrays):
            if one is values:
                return place
        self.arrays.append(values)
        return len(self.arrays) - 1


@dataclass
class Reader:
    """Puts values together again."""

    forms: Sequence[Form]
    arrays: Sequence[NDArray[Any]]
    given: Sequence[Any]
    shared: dict[int, Any] = field(default_factory=dict)

    def value(self, node: Node) -> Any:
        """Return the value of a node.

        Raises
        ------
        StoredDataError
            For a node that no writer makes.
        """
        if node is None or type(node) in (bool, int, str, float):
            return node
        if type(node) is list:
            return [self.value(item) for item in node]
        if type(node) is not dict or len(node) != 1:
            raise StoredDataError(f"There is no value of the form {str(node)[:80]!r}.")
        ((name, rest),) = node.items()
        if name == _GIVEN:
            return self._at(self.given, rest)
        form = next((form for form in self.forms if form.name == name), None)
        if form is None:
            raise StoredDataError(f"There is no value of the form {name!r}; a later version of skneural may know it.")
        return form.made(rest, self)

    def array(self, place: Node) -> NDArray[Any]:
        """Return the array of a place."""
        array: NDArray[Any] = self._at(self.arrays, place)
        return array

    @staticmethod
    def _at(values: Sequence[Any], place: Node) -> Any:
        if type(place) is not int or not 0 <= place < len(values):
            raise StoredDataError(f"There is nothing in the place {str(place)[:80]!r}.")
        return values[place]


def checked(node: Any, kind: type, n_items: int | None = None) -> Any:
    """Return a node that has to be of a kind and, being a list, to have so many items."""
    is_kind = type(node) is kind
    if not is_kind or (n_items is not None and len(node) != n_items):
        raise StoredDataError(f"Expected {kind.__name__}, got {str(node)[:80]!r}.")
    return node
