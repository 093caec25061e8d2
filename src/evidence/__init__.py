"""London mental health evidence workbook: the modules that its notebooks, runs and book share."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evidence.runs.record import start as start

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import `start` on first use, so that `import evidence` stays quick."""
    if name == "start":
        return importlib.import_module("evidence.runs.record").start
    raise AttributeError(f"module 'evidence' has no attribute {name!r}")
