"""Errors for wrong input: each says what must hold, what came and where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class EvidenceError(ValueError):
    """Base of every error that the workbook raises for wrong input."""


class DataError(EvidenceError):
    """A table, a value in it, or an argument of an analysis breaks its stated rule."""


class CatalogueError(EvidenceError):
    """A definition file (dataset, indicator, area, report) is missing, wrong or unknown."""


class RunError(EvidenceError):
    """A run cannot start, a parameter breaks its contract, or a result cannot be recorded."""


def require_columns(table: pd.DataFrame, columns: Iterable[str], task: str) -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    DataError
        Naming the columns that are absent and those that came.
    """
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise DataError(
            f"{task} needs the columns {', '.join(map(repr, absent))}; the table has "
            f"{', '.join(map(str, table.columns)) or 'none'}. Rename them or name them in the call."
        )


def require_random(seed: int, draws: int, least: int = 1) -> None:
    """Refuse random numbers that cannot be drawn, or too few of them to say anything.

    Raises
    ------
    DataError
        If the seed is below 0 or there are fewer than `least` draws.
    """
    if seed < 0:
        raise DataError(f"a seed must be 0 or more; got {seed}. Choose another.")
    if draws < least:
        raise DataError(f"there must be at least {least:,} random draws; got {draws:,}. Draw more.")


def require_choice(value: str, allowed: Iterable[str], name: str) -> None:
    """Refuse a choice that does not exist.

    Raises
    ------
    DataError
        Naming the argument, its value and what is allowed.
    """
    allowed = tuple(allowed)
    if value not in allowed:
        raise DataError(f"{name} must be one of {', '.join(allowed)}; got {value!r}. Choose one.")
