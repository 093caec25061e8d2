"""Pictures of results: each function draws one `Result` and returns a `Picture` with alt text.

`from evidence import plots; plots.funnel(result)`.
The drawing library is imported when the first picture is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PARTS = (
    "style",
    "variation",
    "inequality",
    "maps",
    "multiples",
    "forests",
    "scatters",
    "synthesis",
    "choices",
    "small_study",
    "networks",
    "bias_risk",
    "published",
    "evaluation",
    "practice",
)
"""Modules whose `__all__` is offered here."""


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        for part in PARTS:
            module = import_module(f"evidence.plots.{part}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"evidence.plots has no picture {name!r}")


def __dir__() -> list[str]:
    return sorted(
        name for part in PARTS for name in import_module(f"evidence.plots.{part}").__all__
    )
