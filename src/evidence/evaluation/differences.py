"""Difference in differences: those whom an event reached against those whom it did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice, require_columns, require_random
from evidence.evaluation.checks import (
    FAILED,
    NOT_POSSIBLE,
    PASSED,
    SIZE,
    WINDOW,
    Check,
    Question,
    around_event,
    concluded,
    count_periods,
    number,
    numbers_of,
    p_in_words,
    placebo_check,
    shift_check,
)
from evidence.evaluation.clusters import KINDS, Clustered, fit_clustered
from evidence.results import Caution, Estimate, Result

Array = np.ndarray

METHODS = ("two-way fixed effects", "two by two", "group-time")
"""Which regression gives the main estimate; the first is the default for one common date."""
LEAST_DF = 4.0
"""Satterthwaite degrees of freedom below which CR2 is not to be trusted (Tipton 2015)."""
LEAST_SIDE = 2
"""Clusters reached, and not reached, below which nothing says how much one of them varies."""
LEAST_EARLIER = 2
"""Periods before the event that are asked for."""
MOST_EXACT = 20_000
"""Assignments that are counted one by one; above it they are drawn."""
NEVER = np.iinfo(np.int64).max
"""Start of those whom the event never reached."""


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """Rows of a panel: cluster, period, figure, and the period in which the event reached it."""

    clusters: Array
    at: Array
    y: Array
    start: Array

    @property
    def ever(self) -> Array:
        return self.start != NEVER

    @property
    def did(self) -> Array:
        return (self.at >= self.start).astype(float)

    @property
    def cohorts(self) -> list[int]:
        return sorted(set(self.start[self.ever].tolist()))

    def size(self, cohort: int) -> int:
        return len(set(self.clusters[self.start == cohort]))

    def only(self, rows: Array) -> _Panel:
        return _Panel(self.clusters[rows], self.at[rows], self.y[rows], self.start[rows])

    def shifted(self, steps: int) -> _Panel:
        return replace(self, start=np.where(self.ever, self.start + steps, NEVER))

    def uncertain(self, steps: int) -> _Panel:
        """The event dated some periods off, the periods in between left out."""
        common = self.cohorts[0] if len(self.cohorts) == 1 else NEVER
        own = np.where(self.ever, self.start, common)
        far = np.where(own == NEVER, NEVER, own + steps)
        kept = (self.at < np.minimum(own, far)) | (self.at >= np.maximum(own, far))
        kept |= own == NEVER
        return (self.shifted(steps) if steps > 0 else self).only(kept)


def difference_in_differences(
    table: pd.DataFrame,
    question: Question,
    *,
    treated: str = "treated",
    starts: str = "",
    cluster: str = "area_code",
    period: str = "period",
    value: str = "value",
    method: str = "",
    covariance: str = "CR2",
    draws: int = 1999,
    seed: int = 1,
) -> Result:
    """Estimate how much more those whom an event reached changed than those it did not reach.

    Parameters
    ----------
    table
        One row for each cluster (area, person) and period, or several.
    question
        Event, outcome and breaks, as in `series.interrupted_series`.
    treated
        Column that says whom the event reached.
    starts
        Instead of an event and `treated`: a column with the first period of each cluster, empty
        for those never reached.
    cluster, period, value
        Columns. Errors are taken as dependent within a cluster.
    method
        ``two by two`` (y on treated, after and both), ``two-way fixed effects`` (a column for each
        cluster and period), or ``group-time`` (each group that starts together, in each period,
        against those never reached; averaged with the sizes of the groups as weights). By default
        two-way fixed effects for one common date and group-time for several, where two-way fixed
        effects compare late starters with early ones.
    covariance
        ``CR2`` with Satterthwaite's degrees of freedom (right with few clusters), ``CR1``,
        ``CR0``.
    draws, seed
        Of the permutation test, where assignments are too many to count.

    Returns
    -------
    Result
        Estimates ``effect``, ``df``, ``clusters_treated``, ``clusters_untreated``,
        ``permutation_p`` (where such a test can reach 0.05), and for group-time
        ``att.<start>.<period>``. Table: relative (periods since the event; -1 is the comparison),
        value, low, high, clusters. Checks: minimum points, number of clusters, earlier trend,
        placebo dates, shifted dates, series breaks.

    Raises
    ------
    DataError
        If columns are absent, a cluster changes group, or one side is empty before or after.

    References
    ----------
    Callaway and Sant'Anna 2021, J Econometrics 225:200-230 (group-time effects); Sun and Abraham
    2021, J Econometrics 225:175-199 (as one regression); Goodman-Bacon 2021, J Econometrics
    225:254-277; Pustejovsky and Tipton 2018, J Bus Econ Stat 36:672-683.
    """
    require_choice(covariance, KINDS, "covariance")
    panel, labels = _read(table, cluster, period, value, question.event, treated, starts)
    common = len(panel.cohorts) == 1
    chosen = method or (METHODS[0] if common else METHODS[2])
    require_choice(chosen, METHODS, "method")
    if chosen == "two by two" and not common:
        raise DataError("'two by two' needs one common date; starts differ. Take 'group-time'.")
    first = labels.get(panel.cohorts[0], str(panel.cohorts[0]))
    question, level = replace(question, event=first), question.level
    study = _event_study(panel, covariance)
    found = _effect(panel, chosen, covariance, level, study)
    permuted = _permuted(panel, draws, seed)
    main, others = _estimates(question, panel, found, permuted)
    if chosen == "group-time":
        others += _group_time(question, study, labels)
    return concluded(
        question,
        main=main,
        estimates=others,
        table=study.by_relative(level),
        settings={
            "method": "difference_in_differences",
            "regression": chosen,
            "covariance": covariance,
            "ratio": False,
            "weights": "number of clusters in each group that starts together",
            "draws": draws,
            "seed": seed,
            "permutation": permuted["how"],
        },
        found=_checks(panel, chosen, covariance, level, found, main),
        doubts=_doubts(panel, study, permuted),
        around=_around(question, panel, labels),
        tiers=("did", "controlled_before_after"),
        against="the comparison gives",
    )


def permutation_test(
    table: pd.DataFrame,
    question: Question,
    *,
    treated: str = "treated",
    starts: str = "",
    cluster: str = "area_code",
    period: str = "period",
    value: str = "value",
    draws: int = 1999,
    seed: int = 1,
) -> Result:
    """Test no effect on anyone by giving the event to other clusters.

    All assignments of the same sizes are counted where there are at most 20,000, otherwise drawn;
    the statistic is the two-way fixed effects difference, either sign. A test whose smallest
    possible p exceeds 0.05 is refused, for it could never find anything.

    Parameters
    ----------
    table, question, treated, starts, cluster, period, value
        As in `difference_in_differences`; every cluster has one row in every period.
    draws, seed
        Of the assignments, where they are drawn.

    Returns
    -------
    Result
        Estimate ``p``; or the reason why there is no test.

    Raises
    ------
    DataError
        As `difference_in_differences`.
    """
    panel, _ = _read(table, cluster, period, value, question.event, treated, starts)
    found = _permuted(panel, draws, seed)
    if found["p"] is None:
        return Result.could_not("permutation test refused", found["how"], method="permutation")
    return Result(
        text=f"Permutation test: p = {number(found['p'])} ({found['how']}).",
        estimates=(Estimate(key="p", value=found["p"], measure="two-sided permutation p"),),
        settings={"method": "permutation", "draws": draws, "seed": seed, "how": found["how"]},
    )


def _read(
    table: pd.DataFrame,
    cluster: str,
    period: str,
    value: str,
    event: str,
    treated: str,
    starts: str,
) -> tuple[_Panel, dict[int, str]]:
    if bool(event) == bool(starts):
        raise DataError(
            "either an event with a column of whom it reached, or a column of starts, must be "
            f"given; got event={event!r} and starts={starts!r}. Give one."
        )
    task = "a difference in differences"
    require_columns(table, (cluster, period, value, starts or treated), task)
    y, at = numbers_of(table, value), count_periods(table[period])
    start = np.full(len(table), NEVER)
    if starts:
        reached = (table[starts].notna() & (table[starts].astype(str) != "")).to_numpy()
        if reached.any():
            start[reached] = count_periods(table.loc[reached, starts])
    else:
        start[numbers_of(table, treated) > 0] = count_periods([event])[0]
    known = ~np.isnan(y)
    panel = _Panel(table[cluster].astype(str).to_numpy(), at, y, start).only(known)
    _require_sides(panel)
    stated = table.loc[start != NEVER, starts].astype(str) if starts else [event]
    labels = dict(zip(start[start != NEVER].tolist(), stated, strict=False))
    return panel, labels | dict(zip(at.tolist(), table[period].astype(str), strict=True))


def _require_sides(panel: _Panel) -> None:
    groups = pd.DataFrame({"cluster": panel.clusters, "start": panel.start})
    groups = groups.drop_duplicates().groupby("cluster").size()
    if (groups > 1).any():
        names = ", ".join(groups.index[groups > 1][:3])
        raise DataError(
            f"a cluster must be in one group throughout; {names} changes. Give each one start."
        )
    cells = {(bool(e), bool(d)) for e, d in zip(panel.ever, panel.did, strict=True)}
    if not panel.ever.any() or not (cells >= {(True, False), (True, True)}):
        raise DataError(
            "a difference in differences needs figures of those reached both before and after; "
            f"{len(set(panel.clusters[panel.ever]))} clusters are reached. Check event and starts."
        )
    if panel.ever.all() and len(panel.cohorts) == 1:
        raise DataError(
            "a difference in differences needs clusters that the event did not reach; all "
            f"{len(groups)} are reached at once. Add a comparison, or take an interrupted series."
        )


def _dummies(codes: Array, *, skip_first: bool) -> Array:
    names = np.unique(codes)[1 if skip_first else 0 :]
    return (codes[:, None] == names[None, :]).astype(float)


def _fixed_effects(panel: _Panel) -> Array:
    return np.column_stack(
        [_dummies(panel.clusters, skip_first=False), _dummies(panel.at, skip_first=True)]
    )


def _fit(panel: _Panel, columns: Array, covariance: str) -> Clustered:
    if np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise DataError(
            "the comparison must not be mixed up with clusters or periods; some period has only "
            "clusters of one kind. Leave that period out."
        )
    return fit_clustered(panel.y, columns, panel.clusters, covariance)


def _effect(
    panel: _Panel, method: str, covariance: str, level: float, study: _Study | None = None
) -> dict[str, float]:
    """The main estimate with its interval."""
    if method == "group-time":
        return (study or _event_study(panel, covariance)).overall(level)
    if method == "two by two":
        after = (panel.at >= panel.cohorts[0]).astype(float)
        columns = np.column_stack(
            [np.ones(len(panel.y)), panel.ever.astype(float), after, panel.did]
        )
    else:
        columns = np.column_stack([_fixed_effects(panel), panel.did])
    return _fit(panel, columns, covariance).contrast(np.eye(columns.shape[1])[-1], level)


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """Effects of every group in every period, from one regression."""

    fit: Clustered
    cells: tuple[tuple[int, int], ...]
    sizes: Mapping[int, int]
    left_out: str

    def contrast(self, chosen: Mapping[tuple[int, int], float], level: float) -> dict[str, float]:
        weights = np.zeros(len(self.fit.coef))
        total = sum(chosen.values())
        for place, cell in enumerate(self.cells):
            weights[len(weights) - len(self.cells) + place] = chosen.get(cell, 0.0) / total
        return self.fit.contrast(weights, level)

    def overall(self, level: float) -> dict[str, float]:
        after = {cell: float(self.sizes[cell[0]]) for cell in self.cells if cell[1] >= cell[0]}
        return self.contrast(after, level)

    def by_relative(self, level: float) -> pd.DataFrame:
        """The event study: mean effect by periods since the event, -1 being the comparison."""
        rows = []
        for relative in sorted({at - start for start, at in self.cells} | {-1}):
            cells = {c: float(self.sizes[c[0]]) for c in self.cells if c[1] - c[0] == relative}
            known = self.contrast(cells, level) if cells else {"value": 0.0}
            count = sum(cells.values()) if cells else sum(self.sizes.values())
            rows.append(
                {
                    "relative": relative,
                    "value": known["value"],
                    "low": known.get("low", 0.0),
                    "high": known.get("high", 0.0),
                    "clusters": int(count),
                }
            )
        return pd.DataFrame(rows)


def _event_study(panel: _Panel, covariance: str) -> _Study:
    """Sun and Abraham's regression: group times period, against those never or last reached."""
    left_out = ""
    seen = set(panel.start[panel.at < panel.start].tolist())
    always = np.array([start not in seen for start in panel.start])
    if always.any():
        names = sorted(set(panel.clusters[always]))
        left_out = f"{', '.join(names[:4])}: no period before they were reached, left out"
        panel = panel.only(~always)
    if panel.ever.all():
        last = panel.cohorts[-1]
        left_out = f"none is never reached: those who start last ({last}) are the comparison"
        panel = panel.only(panel.at < last)
        panel = replace(panel, start=np.where(panel.start == last, NEVER, panel.start))
    cells = [
        (start, at)
        for start in panel.cohorts
        for at in sorted(set(panel.at[panel.start == start].tolist()))
        if at != _comparison(panel, start)
    ]
    effects = [((panel.start == start) & (panel.at == at)).astype(float) for start, at in cells]
    fit = _fit(panel, np.column_stack([_fixed_effects(panel), *effects]), covariance)
    sizes = {start: panel.size(start) for start in panel.cohorts}
    return _Study(fit, tuple(cells), sizes, left_out)


def _comparison(panel: _Panel, start: int) -> int:
    """The last period before the start in which the group has figures."""
    return int(max(panel.at[(panel.start == start) & (panel.at < start)]))


def _estimates(
    question: Question, panel: _Panel, found: dict[str, float], permuted: dict[str, Any]
) -> tuple[Estimate, list[Estimate]]:
    about = question.about()
    reached = len(set(panel.clusters[panel.ever]))
    every = len(set(panel.clusters))
    spread = _spread_known(panel)
    main = Estimate(
        key="effect",
        value=found["value"],
        low=found["low"] if spread else None,
        high=found["high"] if spread else None,
        se=found["se"] if spread else None,
        level=question.level,
        measure="change of those reached less change of the others",
        scale="natural",
        unit=question.unit,
        k=every,
        n=len(panel.y),
        **about,
    )
    others = []
    if spread:
        others += [
            Estimate(key="df", value=found["df"], measure="degrees of freedom of the interval"),
            Estimate(key="p", value=found["p"], measure="two-sided p of the main estimate"),
        ]
    others += [
        Estimate(key="clusters_treated", value=reached, unit="clusters"),
        Estimate(key="clusters_untreated", value=every - reached, unit="clusters"),
    ]
    if permuted["p"] is not None:
        measure = f"two-sided permutation p: {permuted['how']}"
        others.append(Estimate(key="permutation_p", value=permuted["p"], measure=measure))
    return main, others


def _group_time(question: Question, study: _Study, labels: dict[int, str]) -> list[Estimate]:
    found = []
    for start, at in study.cells:
        if at >= start:
            known = study.contrast({(start, at): 1.0}, question.level)
            found.append(
                Estimate(
                    key=f"att.{labels.get(start, start)}.{labels.get(at, at)}",
                    value=known["value"],
                    low=known["low"],
                    high=known["high"],
                    se=known["se"],
                    level=question.level,
                    measure="mean effect on those who start together, in one period",
                    unit=question.unit,
                    k=study.sizes[start],
                    **question.about(),
                )
            )
    return found


def _around(question: Question, panel: _Panel, labels: dict[int, str]) -> tuple[Estimate, ...]:
    frame = pd.DataFrame({"at": panel.at, "y": panel.y, "ever": panel.ever})
    means = frame.groupby(["at", "ever"])["y"].mean().unstack()
    if True not in means:
        return ()
    names = [labels[at] for at in means.index.tolist()]
    control = means[False].to_numpy() if False in means else None
    return around_event(question, names, means[True].to_numpy(), control)


def _spread_known(panel: _Panel) -> bool:
    """Whether two clusters at least were reached and two not: one alone has no spread."""
    reached = len(set(panel.clusters[panel.ever]))
    return min(reached, len(set(panel.clusters)) - reached) >= LEAST_SIDE or len(panel.cohorts) > 1


def _doubts(panel: _Panel, study: _Study, permuted: dict[str, Any]) -> list[Caution]:
    found = []
    if not _spread_known(panel):
        alone = "Only one cluster was reached, or not reached: no interval can be given."
        found.append(Caution("few_units", alone))
    if permuted["p"] is None:
        found.append(Caution("few_units", f"Permutation test refused: {permuted['how']}."))
    if study.left_out:
        found.append(Caution("designs_differ", f"Event study: {study.left_out}."))
    if len({len(set(panel.at[panel.clusters == name])) for name in set(panel.clusters)}) > 1:
        found.append(
            Caution("missing_periods", "Some clusters have no figure in some periods: left out.")
        )
    return found


def _checks(
    panel: _Panel,
    method: str,
    covariance: str,
    level: float,
    found: dict[str, float],
    estimate: Estimate,
) -> list[Check]:
    fewest = min(len(set(panel.at[panel.at < start])) for start in panel.cohorts)
    reached = len(set(panel.clusters[panel.ever]))
    others = len(set(panel.clusters)) - reached
    enough = min(reached, others) >= (LEAST_SIDE if covariance == "CR2" else LEAST_DF)
    df = found["df"]
    enough = enough and df >= LEAST_DF
    main = Check(
        check="effect",
        outcome="",
        found="",
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
    )
    return [
        Check(
            check="minimum points",
            outcome=PASSED if fewest >= LEAST_EARLIER else FAILED,
            found=f"{fewest} periods before the event; at least {LEAST_EARLIER} are asked for",
        ),
        Check(
            check="number of clusters",
            outcome=PASSED if enough else FAILED,
            found=f"{reached} reached and {others} not, {df:.1f} degrees of freedom; at least "
            f"{LEAST_DF:.0f} are asked for",
        ),
        _parallel(panel, covariance),
        *placebo_check(
            _placebos(panel, covariance, level, fewest), "fewer than two periods before the event"
        ),
        *shift_check(_shifts(panel, method, covariance, level), main, 0.0),
    ]


def _parallel(panel: _Panel, covariance: str) -> Check:
    """Whether those reached drifted from the others before the event."""
    name = "earlier trend"
    earlier = panel.only(panel.at < panel.start)
    if not earlier.ever.any() or len(set(earlier.at[earlier.ever])) < LEAST_EARLIER:
        few = "fewer than two periods before the event"
        return Check(check=name, outcome=NOT_POSSIBLE, found=few)
    drift = np.where(earlier.ever, earlier.at - earlier.at.min(), 0).astype(float)
    columns = np.column_stack([_fixed_effects(earlier), drift])
    try:
        found = _fit(earlier, columns, covariance).contrast(np.eye(columns.shape[1])[-1])
    except DataError:
        few = "too few figures before the event"
        return Check(check=name, outcome=NOT_POSSIBLE, found=few)
    fine = found["p"] >= SIZE
    return Check(
        check=name,
        outcome=PASSED if fine else FAILED,
        value=found["value"],
        low=found["low"],
        high=found["high"],
        p=found["p"],
        found=f"before the event those reached {'moved like' if fine else 'drifted from'} the "
        f"others ({number(found['value'])} per period, p {p_in_words(found['p'])})",
    )


def _placebos(panel: _Panel, covariance: str, level: float, fewest: int) -> list[Check]:
    """The event put earlier by a half of the periods before it, with only those periods."""
    earlier = panel.only(panel.at < panel.start)
    step = fewest // 2
    if not step or not earlier.ever.any():
        return []
    moved = _tried(
        earlier.shifted(-step), METHODS[0], covariance, level, f"-{step}", "placebo date"
    )
    return [moved] if moved else []


def _shifts(panel: _Panel, method: str, covariance: str, level: float) -> list[Check]:
    chosen = METHODS[0] if method == "group-time" else method
    steps = range(-WINDOW, WINDOW + 1)
    tried = [
        _tried(panel.uncertain(step), chosen, covariance, level, f"{step:+d}", "shifted date")
        for step in steps
    ]
    return [check for check in tried if check is not None]


def _tried(
    panel: _Panel, method: str, covariance: str, level: float, at: str, name: str
) -> Check | None:
    reached = panel.did[panel.ever]
    if reached.min(initial=1) == 1 or reached.max(initial=0) == 0:
        return None
    try:
        found = _effect(panel, method, covariance, level)
    except DataError:
        return None
    shown = {key: float(found[key]) for key in ("value", "low", "high", "p")}
    return Check(check=name, outcome="", at=at, found="", **shown)


def _permuted(panel: _Panel, draws: int, seed: int) -> dict[str, Any]:
    """The permutation p, or None and why not."""
    names, codes = np.unique(panel.clusters, return_inverse=True)
    periods, places = np.unique(panel.at, return_inverse=True)
    start = np.full(len(names), NEVER)
    start[codes] = panel.start
    reached = start != NEVER
    total = _assignments(start)
    halves = len(set(start.tolist())) == 2 and reached.sum() * 2 == len(names)
    smallest = (2 if halves else 1) / total
    sizes = f"{len(names)} clusters, {reached.sum()} of them reached"
    if smallest > SIZE:
        return {"p": None, "how": f"with {sizes}, its smallest possible p is {smallest:.2g}"}
    if len(set(zip(codes.tolist(), places.tolist(), strict=True))) < len(names) * len(periods):
        return {"p": None, "how": "some clusters have no figure in some periods"}
    sums = np.zeros((len(names), len(periods)))
    counts = np.zeros_like(sums)
    np.add.at(sums, (codes, places), panel.y)
    np.add.at(counts, (codes, places), 1)
    means = _within(sums / counts)
    assigned = _each_assignment(start, total, draws, seed)
    found = np.array([_statistic(means, periods, chosen) for chosen in assigned])
    as_far = np.abs(found) >= abs(_statistic(means, periods, start)) * (1 - 1e-10)
    if total <= MOST_EXACT:
        return {"p": float(as_far.mean()), "how": f"all {total:,} assignments of {sizes}"}
    p = (1 + int(as_far.sum())) / (1 + len(found))
    return {"p": p, "how": f"{draws:,} assignments of {sizes}, drawn at random"}


def _assignments(start: Array) -> int:
    left, total = len(start), 1
    for size in np.unique(start, return_counts=True)[1]:
        total *= comb(left, int(size))
        left -= int(size)
    return total


def _each_assignment(start: Array, total: int, draws: int, seed: int) -> list[Array]:
    values = np.unique(start)
    if total > MOST_EXACT:
        require_random(seed, draws)
        random = np.random.default_rng(seed)
        return [random.permutation(start) for _ in range(draws)]
    found = [np.full(len(start), values[-1])]
    for value in values[:-1]:
        count = int((start == value).sum())
        found = [
            _placed(base, chosen, value)
            for base in found
            for chosen in combinations(np.flatnonzero(base == values[-1]).tolist(), count)
        ]
    return found


def _placed(base: Array, chosen: Sequence[int], value: int) -> Array:
    placed = base.copy()
    placed[list(chosen)] = value
    return placed


def _within(cells: Array) -> Array:
    return cells - cells.mean(axis=1, keepdims=True) - cells.mean(axis=0) + cells.mean()


def _statistic(means: Array, periods: Array, start: Array) -> float:
    apart = _within((periods[None, :] >= start[:, None]).astype(float))
    spread = float(np.sum(apart**2))
    return float(np.sum(apart * means)) / spread if spread else 0.0
