"""Allowed values that come from the workbook's definitions, such as ``@areas``."""

from __future__ import annotations

from evidence.data import catalogue
from evidence.errors import RunError


def allowed_values(name: str) -> list[str]:
    """Return the values that a parameter with ``allowed: NAME`` may take.

    Raises
    ------
    RunError
        If `name` is not a known catalogue.
    """
    if name == "@indicators":
        return catalogue.indicators()
    if name == "@areas":
        return [area.code for area in catalogue.areas(kind="ccg")]
    if name == "@periods":
        found = (catalogue.definition(item).periods for item in catalogue.indicators())
        return sorted({period for periods in found for period in periods})
    raise RunError(
        f"allowed values come from @areas, @indicators or @periods; got {name!r}. "
        "Name one of these, or list the values."
    )
