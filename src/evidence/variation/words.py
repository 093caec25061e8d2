"""Amounts and counts in plain words, the same way in every sentence and alt text."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float) -> str:
    """Return a value with as many digits as a reader can use, thousands separated."""
    if abs(value) >= 1000:
        return true_minus(f"{value:,.0f}")
    for limit, digits in ((100, 0), (1, 1), (0.1, 2)):
        if abs(value) >= limit:
            return true_minus(f"{value:.{digits}f}")
    return "0" if value == 0 else true_minus(f"{value:.2g}")


def true_minus(written: str) -> str:
    """Return a written number with the sign for minus in place of a hyphen."""
    return written.replace("-", "−", 1) if written.startswith("-") else written


def amount(value: float, unit: str = "") -> str:
    """Return a value with its unit, such as ``52.0 %`` or ``35.3 per 1,000 adults``."""
    if unit == "%":
        return true_minus(f"{value:.1f}\u00a0%")
    return f"{number(value)} {unit}".strip()


def gap(value: float, unit: str = "") -> str:
    """Return a difference with its unit: percentages differ by points."""
    if unit == "%":
        return true_minus(f"{value:.1f} points")
    return f"{number(value)} {unit}".strip()


def between(low: float, high: float, unit: str = "") -> str:
    """Return an interval, such as ``2.1 to 3.4``."""
    if unit == "%":
        return f"{true_minus(f'{low:.1f}')} to {true_minus(f'{high:.1f}')}"
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


def share_of(count: int, all_of_them: int, noun: str) -> str:
    """Return how many of how many: ``none of 32 areas``, ``3 of 32 areas``, ``all 32 areas``."""
    whole = plural(all_of_them, noun)
    if count == all_of_them > 1:
        return f"all {whole}"
    return f"{f'{count:,}' if count else 'none'} of {whole}"


def verb(count: int, one: str, many: str) -> str:
    """Return the form of a verb that goes with a count."""
    return one if count == 1 else many
