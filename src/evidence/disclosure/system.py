"""Cells that add up: what a reader can infer of a cell that is not shown, and how to prevent it.

A reader knows every figure shown, the rule by which it was rounded, and which cells are sums of
which.  What can be inferred of a cell is the range that linear programming leaves it (Fischetti
and Salazar-González, J Am Stat Assoc 2000;95:916-928; Willenborg and de Waal, *Elements of
statistical disclosure control*, Springer 2001, chapter 4).  For lists and two-way tables the range
is exact for whole numbers too, because their equations are totally unimodular.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import optimize, sparse
from scipy.sparse import csgraph

from evidence.disclosure.rules import Rule
from evidence.errors import DataError

Array = np.ndarray
Sum = tuple[int, tuple[int, ...]]
"""Place of a total, and places of its parts."""

EXACT = 8
"""Up to this many cells that could be left out, every choice of them is tried."""
CLOSE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """Cells with their counts, and which are sums of which.

    Parameters
    ----------
    counts
        True counts, shape (n,).
    sums
        Equations between them.
    unseen
        Cells that are not part of the table but follow from it, such as the people of an area
        without an outcome; shape (n,).
    rule
        How cells are shown.
    """

    counts: Array
    sums: tuple[Sum, ...]
    unseen: Array
    rule: Rule

    @property
    def equations(self) -> sparse.csr_array:
        """One row per sum: its parts less its total."""
        entries = [
            (row, place, sign)
            for row, (total, parts) in enumerate(self.sums)
            for place, sign in ((total, -1.0), *((part, 1.0) for part in parts))
        ]
        rows, columns, values = zip(*entries, strict=True)
        return sparse.csr_array((values, (rows, columns)), shape=(len(self.sums), len(self.counts)))

    @property
    def small(self) -> Array:
        """Which cells count 1 to the threshold."""
        return (self.counts >= 1) & (self.counts <= self.rule.threshold)

    def ranges(self, left_out: Array) -> tuple[Array, Array]:
        """Return what a reader knows of each cell before adding up, given what is left out.

        A cell left out counts 1 or more, because zeros are never left out, and a total as many as
        its parts at least; why a cell was left out cannot be seen.
        """
        low, high = np.zeros(len(self.counts)), np.full(len(self.counts), np.inf)
        low[left_out & ~self.unseen] = 1.0
        for place in np.flatnonzero(~left_out & ~self.unseen):
            low[place], high[place] = self.rule.bounds(
                float(self.rule.released(self.counts[place]))
            )
        for total, parts in self.sums * 2:
            if left_out[total]:
                low[total] = max(low[total], low[list(parts)].sum())
        return low, high

    def inferred(self, left_out: Array, place: int) -> tuple[float, float]:
        """Return the range that adding up leaves a cell."""
        low, high = self.ranges(left_out)
        return tuple(self._extreme(place, sign, low, high) for sign in (1, -1))  # type: ignore[return-value]

    def _extreme(self, place: int, sign: int, low: Array, high: Array) -> float:
        aim = np.zeros(len(low))
        aim[place] = sign
        found = optimize.linprog(
            aim,
            A_eq=self.equations,
            b_eq=np.zeros(len(self.sums)),
            bounds=np.column_stack([low, high]),
            method="highs",
        )
        return float(found.x[place]) if found.status == 0 else sign * -np.inf

    def exposed(self, left_out: Array) -> Iterator[tuple[int, float]]:
        """Yield each small cell of which adding up says more than the rule, and what it rules out.

        Every count from 1 (from the number of parts with people, for a total) to the threshold
        must stay possible.
        """
        low, high = self.ranges(left_out)
        for place in np.flatnonzero(self.small & (left_out | self.unseen)).tolist():
            if self._extreme(place, -1, low, high) < self.rule.threshold - CLOSE:
                yield place, float(self.rule.threshold)
            elif self._extreme(place, 1, low, high) > max(1.0, low[place]) + CLOSE:
                yield place, float(max(1.0, low[place]))

    def connected(self) -> list[Array]:
        """Return the places of cells that sums tie together, group by group."""
        if not self.sums:
            return []
        tied = abs(self.equations)
        number, group = csgraph.connected_components(tied.T @ tied, directed=False)
        groups = [np.flatnonzero(group == each) for each in range(number)]
        return [places for places in groups if len(places) > 1]

    def part(self, places: Array) -> System:
        """Return the system of some connected cells alone."""
        at = {place: new for new, place in enumerate(places.tolist())}
        sums = tuple(
            (at[total], tuple(at[part] for part in parts))
            for total, parts in self.sums
            if total in at
        )
        return System(self.counts[places], sums, self.unseen[places], self.rule)

    def prices(self) -> Array:
        """Return what leaving out each cell costs: a total 100 cells, a total of totals 10,000."""
        price = 1 + self.counts / max(self.counts.max(), 1.0)
        parts = {place for _, some in self.sums for place in some}
        for total, _ in self.sums:
            price[total] += 100.0 if total in parts else 10_000.0
        return price


def protected(system: System) -> Array | None:
    """Return which cells to leave out so that nobody can work out a small count.

    Small counts are left out; of the others the cheapest (`System.prices`) that protect them: by
    trial of every choice where few could be left out, otherwise by the cheapest way in which
    the table could also read (Kelly, Golden and Assad, Networks 1992;22:397-417), thinned out.

    Parameters
    ----------
    system
        Cells of one table.

    Returns
    -------
    ndarray or None
        Which cells are left out, shape (n,); None if no choice protects them.
    """
    left_out = system.small & ~system.unseen
    for places in system.connected():
        found = _protected_part(system.part(places))
        if found is None:
            return None
        left_out[places] = found
    return left_out


def _protected_part(system: System) -> Array | None:
    first = system.small & ~system.unseen
    if not system.small.any() or _safe(system, first):
        return first
    could = np.flatnonzero(~first & ~system.unseen & (system.counts > 0)).tolist()
    if len(could) <= EXACT:
        return _by_trial(system, first, could)
    return _by_cheapest_reading(system, first, could)


def _safe(system: System, left_out: Array) -> bool:
    return next(system.exposed(left_out), None) is None


def _with(left_out: Array, more: Sequence[int]) -> Array:
    found = left_out.copy()
    found[list(more)] = True
    return found


def _by_trial(system: System, first: Array, could: Sequence[int]) -> Array | None:
    price = system.prices()
    choices = [some for size in range(1, len(could) + 1) for some in combinations(could, size)]
    choices.sort(key=lambda some: float(price[[*some]].sum()))
    tried = (_with(first, some) for some in choices)
    return next((left_out for left_out in tried if _safe(system, left_out)), None)


def _by_cheapest_reading(system: System, first: Array, could: Sequence[int]) -> Array | None:
    left_out = first
    while (found := next(system.exposed(left_out), None)) is not None:
        more = _other_reading(system, left_out, could, *found)
        if not more:
            return None
        left_out = _with(left_out, more)
    price = system.prices()
    for place in sorted(could, key=lambda place: -price[place]):
        if left_out[place]:
            fewer = left_out.copy()
            fewer[place] = False
            if _safe(system, fewer):
                left_out = fewer
    return left_out


def _other_reading(
    system: System, left_out: Array, could: Sequence[int], target: int, value: float
) -> list[int]:
    """Return cells to leave out so that the target could have this value, the cheapest way."""
    low, high = system.ranges(left_out)
    low[target] = high[target] = value
    number, free = len(low), np.array([place for place in could if not left_out[place]], dtype=int)
    price = system.prices()[free]
    down = np.maximum(low[free] - 1, 0)
    moved = system.equations[:, free]
    found = optimize.linprog(
        np.concatenate([np.zeros(number), price, price]),
        A_eq=sparse.hstack([system.equations, moved, -moved]),
        b_eq=np.zeros(len(system.sums)),
        bounds=[
            *zip(low, high, strict=True),
            *((0, np.inf) for _ in free),
            *((0, most) for most in down),
        ],
        method="highs",
    )
    if found.status != 0:
        return []
    up, under = found.x[number : number + len(free)], found.x[number + len(free) :]
    return [int(place) for place in free[(up > CLOSE) | (under > CLOSE)]]


def require_sums(system: System, names: Sequence[str]) -> None:
    """Refuse totals that are not the sum of their parts.

    Raises
    ------
    DataError
        Naming the first such total, but no count: a page that fails shows its error.
    """
    for total, parts in system.sums:
        added = system.counts[list(parts)].sum()
        if system.counts[total] != added:
            raise DataError(
                f"a total must be the sum of its parts, before rounding; {names[total]} is "
                f"{'more' if system.counts[total] > added else 'less'} than its parts add up to. "
                "Control exact counts, or leave the total out."
            )
