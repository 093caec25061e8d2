"""The only reader of data/raw and data/definitions: catalogue, tables, indicators, joins.

Names are imported on first use, so that the catalogue is at hand without pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evidence.data.catalogue import (
        Area,
        Dataset,
        Indicator,
        areas,
        current_hash,
        dataset,
        datasets,
        definition,
        forget,
        indicators,
        noted,
        root,
    )
    from evidence.data.indicators import indicator
    from evidence.data.plausibility import Notice, notices
    from evidence.data.tables import check, join, load

_HOMES = {
    "catalogue": (
        "Area",
        "Dataset",
        "Indicator",
        "areas",
        "current_hash",
        "dataset",
        "datasets",
        "definition",
        "forget",
        "indicators",
        "noted",
        "root",
    ),
    "indicators": ("indicator",),
    "plausibility": ("Notice", "notices"),
    "tables": ("check", "join", "load"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Area",
    "Dataset",
    "Indicator",
    "Notice",
    "areas",
    "check",
    "current_hash",
    "dataset",
    "datasets",
    "definition",
    "forget",
    "indicator",
    "indicators",
    "join",
    "load",
    "noted",
    "notices",
    "root",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'evidence.data' has no attribute {name!r}")
    return getattr(import_module(f"evidence.data.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
