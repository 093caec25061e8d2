"""Amounts and counts in plain words, the same way in every sentence and alt text."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float) -> str:
    """Return a value with as many digits as a reader can use, thousands separated."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    for limit, digits in ((100, 0), (1, 1), (0.1, 2)):
        if abs(value) >= limit:
            return f"{value:.{digits}f}"
    return "0" if value == 0 else f"{value:.2g}"


def amount(value: float, unit: str = "") -> str:
    """Return a value with its unit, such as ``52.0%`` or ``35.3 per 1,000 adults``."""
    if unit == "%":
        return f"{value:.1f}%"
    return f"{number(value)} {unit}".strip()


def gap(value: float, unit: str = "") -> str:
    """Return a difference with its unit: percentages differ by points."""
    if unit == "%":
        return f"{value:.1f} points"
    return f"{number(value)} {unit}".strip()


def between(low: float, high: float, unit: str = "") -> str:
    """Return an interval, such as ``2.1 to 3.4``."""
    if unit == "%":
        return f"{low:.1f} to {high:.1f}"
    return f"{number(low)} to {number(high)}"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return up to `most` names and how many more there are."""
    shown = list(names[:most])
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most} more"
    if len(shown) > 1:
        return f"{', '.join(shown[:-1])} and {shown[-1]}"
    return "".join(shown)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 area`` or ``3 areas``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def verb(count: int, one: str, many: str) -> str:
    """Return the form of a verb that goes with a count."""
    return one if count == 1 else many
