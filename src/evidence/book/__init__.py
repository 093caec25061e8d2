"""The book: the plan of the report, its static pages, and checks of them.

It is the only user of Jupyter Book and Sphinx, which are imported when a page must be rendered.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evidence.book.building import Built, build
    from evidence.book.checking import Problem, check
    from evidence.book.planning import Part, Report, plan

__all__ = ["Built", "Part", "Problem", "Report", "build", "check", "plan"]

_HOME_OF = {
    "Built": "building",
    "build": "building",
    "Problem": "checking",
    "check": "checking",
    "Part": "planning",
    "Report": "planning",
    "plan": "planning",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'evidence.book' has no attribute {name!r}")
    return getattr(import_module(f"evidence.book.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
