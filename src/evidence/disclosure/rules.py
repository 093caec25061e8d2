"""The rule for restricted counts: which are shown, how they are rounded, what a reader can infer.

NHS England's rule for hospital statistics below national level (since September 2018) leaves out
counts of 1 to 7 and rounds others to 5; other publishers draw other lines, so both are parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evidence.errors import DataError
from evidence.results import Result


@dataclass(frozen=True, slots=True)
class Rule:
    """Counts of 1 to `threshold` are left out; others are rounded, halves up, to `base`; 0 stays.

    Raises
    ------
    DataError
        If either is no whole number of 1 or more, or a count above the threshold would become 0.
    """

    threshold: int
    base: int

    def __post_init__(self) -> None:
        for name in ("threshold", "base"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DataError(
                    f"a disclosure rule's {name} must be a whole number of 1 or more; "
                    f"got {value!r}. Correct the rule."
                )
        if 2 * (self.threshold + 1) < self.base:
            raise DataError(
                f"a count above the threshold must not be rounded to 0; with threshold "
                f"{self.threshold} and base {self.base} a count of {self.threshold + 1} would be. "
                "Raise the threshold or lower the base."
            )

    @classmethod
    def joint(cls, rules: Iterable[Mapping[str, int]]) -> Rule:
        """Return the rule that keeps all of these: largest threshold, least common base."""
        both = [cls(rule["threshold"], rule["base"]) for rule in rules]
        return cls(max(rule.threshold for rule in both), math.lcm(*(rule.base for rule in both)))

    @property
    def least(self) -> int:
        """The smallest figure above 0 that is ever shown."""
        return int(self._rounded(np.array([self.threshold + 1.0]))[0])

    def released(self, counts: Any) -> np.ndarray:
        """Return counts as they are shown: NaN where they are left out.

        Parameters
        ----------
        counts
            Whole numbers of 0 or more, NaN where there is none; shape (n,).

        Raises
        ------
        DataError
            If a count is negative or no whole number.
        """
        values = np.asarray(counts, dtype=float)
        wrong = values[~np.isnan(values) & ((values < 0) | (values != np.floor(values)))]
        if len(wrong):
            raise DataError(
                f"counts to be shown must be whole numbers of 0 or more; got {wrong[0]:g}. "
                "Control counts, and compute rates from what is shown."
            )
        small = (values >= 1) & (values <= self.threshold)
        return np.where(small, np.nan, self._rounded(values))

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        return np.floor(values / self.base + 0.5) * self.base

    def allows(self, figure: float) -> bool:
        """Return whether a figure can be a count as it is shown."""
        return figure == 0 or (figure >= self.least and figure % self.base == 0)

    def bounds(self, figure: float) -> tuple[float, float]:
        """Return the least and largest count that is shown as this figure."""
        if figure == 0:
            return 0.0, 0.0
        least = math.ceil(figure - self.base / 2)
        return float(max(least, self.threshold + 1)), math.ceil(figure + self.base / 2) - 1.0

    def stated(self, result: Result, *, not_counts: Iterable[str] = ()) -> Result:
        """Return the result with the rule in its settings, as a run of restricted data needs it.

        Parameters
        ----------
        result
            Computed from controlled tables only: this states the rule, it does not apply it.
        not_counts
            Columns and keys of estimates that hold whole numbers which count no people.
        """
        rule = {"threshold": self.threshold, "base": self.base, "not_counts": sorted(not_counts)}
        return replace(result, settings={**result.settings, "disclosure": rule})
