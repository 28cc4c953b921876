"""The C extension, where there was a compiler to build it."""

from __future__ import annotations

from typing import Any

engine: Any
try:
    from . import _native as engine
except ImportError:
    engine = None

# Whether to do without what only some processors have; for tests.
IS_PORTABLE = False


def number(name: str) -> int:
    """Give the engine's number of what has this name."""
    value: int = getattr(engine, name)
    return value
