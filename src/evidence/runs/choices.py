"""Allowed values that come from the workbook's definitions, such as ``@areas``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evidence.data import catalogue
from evidence.errors import RunError

KINDS = {"@areas": "ccg", "@boroughs": "borough"}


def allowed_values(name: str, values: Mapping[str, Any]) -> list[str]:
    """Return the values that a parameter with ``allowed: NAME`` may take.

    Parameters
    ----------
    name
        ``@areas`` (codes of London CCGs), ``@boroughs``, ``@indicators`` or ``@periods``.
    values
        All values of the notebook: the periods are those of its ``indicator``, if it has one.

    Raises
    ------
    RunError
        If `name` is not a known catalogue.
    """
    if name == "@indicators":
        return catalogue.indicators()
    if name in KINDS:
        return [area.code for area in catalogue.areas(kind=KINDS[name])]
    if name == "@periods":
        indicators = [values["indicator"]] if "indicator" in values else catalogue.indicators()
        found = (catalogue.definition(item).periods for item in indicators)
        return sorted({period for periods in found for period in periods})
    raise RunError(
        f"allowed values come from @areas, @boroughs, @indicators or @periods; got {name!r}. "
        "Name one of these, or list the values."
    )
