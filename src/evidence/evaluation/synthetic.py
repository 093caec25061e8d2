"""Synthetic control: one unit against the weighted mean of others that followed it before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import optimize

from evidence.errors import DataError, require_columns
from evidence.evaluation.checks import (
    FAILED,
    LEAST_POINTS,
    NOT_POSSIBLE,
    NOT_SHOWN,
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
    shift_check,
)
from evidence.results import Caution, Estimate, Result

Array = np.ndarray

LEAST_DONORS = 2
SMALL_WEIGHT = 0.001
"""Weights below it are not named, nor is the donor left out in turn."""
CLOSE = 0.5
"""Root mean squared error before the event, as a share of the unit's own standard deviation, above
which the synthetic unit does not follow it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wide:
    """Figures by period and unit, the treated one apart."""

    labels: tuple[str, ...]
    at: Array
    treated: Array
    donors: Array
    names: tuple[str, ...]

    def before(self, moment: int) -> Array:
        return self.at < moment


def simplex_weights(target: Array, donors: Array) -> Array:
    """Return weights of 0 or more that add up to 1 and bring donors closest to a target.

    Solves min ‖target - donors w‖² exactly: with the differences D = donors - target, the
    non-negative least squares solution u of ‖D u‖² + (1ᵀu - 1)² is proportional to w, for at each
    direction w its minimum over the length of u is q/(1 + q) with q = ‖D w‖², which rises with q.

    Parameters
    ----------
    target, donors
        Shapes (m,) and (m, k).

    Returns
    -------
    array
        Shape (k,).

    Raises
    ------
    DataError
        If a figure is missing.

    References
    ----------
    Abadie, Diamond and Hainmueller 2010, JASA 105:493-505, section 2.3; Lawson and Hanson 1974,
    Solving Least Squares Problems, chapter 23.
    """
    if np.isnan(target).any() or np.isnan(donors).any():
        raise DataError(
            "weights need a figure in every period before the event; some are missing. Leave those "
            "periods or donors out."
        )
    apart = donors - target[:, None]
    size = float(np.abs(apart).max()) or 1.0
    stacked = np.vstack([apart / size, np.ones((1, donors.shape[1]))])
    found, _ = optimize.nnls(stacked, np.append(np.zeros(len(target)), 1.0))
    return found / found.sum()


def synthetic_control(
    table: pd.DataFrame,
    question: Question,
    *,
    treated: str,
    cluster: str = "area_code",
    period: str = "period",
    value: str = "value",
    donors: Sequence[str] = (),
) -> Result:
    """Estimate what an event changed in one unit, against a weighted mean of untouched units.

    Weights are 0 or more, add up to 1 and bring the mean closest to the unit's figures before the
    event (all of them, equally; no other predictors). There is no interval: the estimate is set
    beside the same figure of every donor treated as if the event had reached it.

    Parameters
    ----------
    table
        One row for each unit and period.
    question
        Event, outcome and breaks, as in `series.interrupted_series`.
    treated
        Name of the unit that the event reached.
    cluster, period, value
        Columns of the unit, the period and the figure.
    donors
        Units that may enter; all others if empty. Those without a figure in some period are left
        out, and said.

    Returns
    -------
    Result
        Estimates ``effect`` (mean gap after the event), ``last`` (gap in the last period),
        ``rmspe_before``, ``rmspe_ratio``, ``placebo_p`` (share of units whose ratio of errors after
        and before is at least as large; absent where the smallest possible exceeds 0.05),
        ``leave_one_out_low`` and ``leave_one_out_high``, ``weight.<donor>``. Table: period, value,
        counterfactual, gap, phase, and ``placebo.<donor>`` (its gap). Checks: minimum points, fit
        before the event, placebo dates, placebo units, donors left out, shifted dates, series
        breaks.

    Raises
    ------
    DataError
        If the unit is not in the table, a unit repeats a period, or fewer than two donors are left.

    References
    ----------
    Abadie, Diamond and Hainmueller 2010, JASA 105:493-505; 2015, Am J Polit Sci 59:495-510
    (placebo in time, donors left out).
    """
    question = replace(question, area=question.area or treated)
    wide, doubts = _read(table, cluster, period, value, treated, donors)
    moment = question.moment
    before = wide.before(moment)
    _require_sides(before, question.event)
    weights = simplex_weights(wide.treated[before], wide.donors[before])
    gap = wide.treated - wide.donors @ weights
    placebos = _placebo_gaps(wide, before)
    ratios = np.array([_ratio(line, before) for line in (gap, *placebos.T)])
    omitted = _omitted(wide, before, weights)
    return concluded(
        question,
        main=_gap_estimate(question, "effect", gap[~before].mean(), "mean gap after the event"),
        estimates=_estimates(question, wide, before, weights, gap, ratios, omitted),
        table=_course(wide, before, gap, placebos),
        settings={
            "method": "synthetic_control",
            "ratio": False,
            "treated": treated,
            "donors": list(wide.names),
            "weights": dict(zip(wide.names, weights.tolist(), strict=True)),
            "fitted_to": "every figure before the event, equally weighted",
        },
        found=_checks(wide, moment, gap, ratios, omitted),
        doubts=doubts,
        around=around_event(question, wide.labels, wide.treated, wide.donors.mean(axis=1)),
        tiers=("did", "controlled_before_after"),
        against="its synthetic control",
    )


def _read(
    table: pd.DataFrame,
    cluster: str,
    period: str,
    value: str,
    treated: str,
    donors: Sequence[str],
) -> tuple[_Wide, list[Caution]]:
    require_columns(table, (cluster, period, value), "a synthetic control")
    rows = pd.DataFrame(
        {
            "unit": table[cluster].astype(str).to_numpy(),
            "at": count_periods(table[period]),
            "label": table[period].astype(str).to_numpy(),
            "value": numbers_of(table, value),
        }
    )
    if rows.duplicated(["unit", "at"]).any():
        twice = rows.loc[rows.duplicated(["unit", "at"]), ["unit", "label"]].to_numpy()[0]
        raise DataError(
            f"a synthetic control needs one row for each unit and period; {' '.join(twice)} comes "
            "twice. Add the rows up."
        )
    absent = sorted({treated, *donors} - set(rows["unit"]))
    if absent:
        raise DataError(
            f"the treated unit and donors must be in {cluster!r}; {', '.join(absent[:3])} is not. "
            "Check the names."
        )
    cells = rows.pivot(index="at", columns="unit", values="value")
    cells = cells[cells[treated].notna()]
    chosen = [name for name in (donors or cells.columns) if name != treated]
    full = [name for name in chosen if cells[name].notna().all()]
    if len(full) < LEAST_DONORS:
        raise DataError(
            f"a synthetic control needs at least {LEAST_DONORS} donors with a figure in every "
            f"period of {treated!r}; {len(full)} of {len(chosen)} have. Choose others."
        )
    labels = dict(zip(rows["at"], rows["label"], strict=True))
    wide = _Wide(
        labels=tuple(labels[at] for at in cells.index),
        at=cells.index.to_numpy(),
        treated=cells[treated].to_numpy(),
        donors=cells[full].to_numpy(),
        names=tuple(full),
    )
    return wide, _left_out([name for name in chosen if name not in full])


def _left_out(names: list[str]) -> list[Caution]:
    if not names:
        return []
    return [
        Caution(
            "missing_periods",
            f"{len(names)} donors have no figure in some period and are left out: "
            f"{', '.join(names[:4])}{' …' if len(names) > 4 else ''}.",
        )
    ]


def _require_sides(before: Array, event: str) -> None:
    if before.sum() < 2 or before.all():
        raise DataError(
            "a synthetic control needs two periods before its event and one after; "
            f"{event!r} has {before.sum()} before and {(~before).sum()} after. Check the date."
        )


def _placebo_gaps(wide: _Wide, before: Array) -> Array:
    """The gap of each donor from a synthetic one made of the other donors, shape (periods, k)."""
    gaps = np.zeros_like(wide.donors)
    for place in range(len(wide.names)):
        others = np.delete(wide.donors, place, axis=1)
        weights = simplex_weights(wide.donors[before, place], others[before])
        gaps[:, place] = wide.donors[:, place] - others @ weights
    return gaps


def _ratio(gap: Array, before: Array) -> float:
    inside = max(float(np.sqrt(np.mean(gap[before] ** 2))), 1e-12)
    return float(np.sqrt(np.mean(gap[~before] ** 2))) / inside


def _omitted(wide: _Wide, before: Array, weights: Array) -> dict[str, float]:
    """Mean gap after the event with each weighted donor left out in turn."""
    found: dict[str, float] = {}
    if len(wide.names) <= LEAST_DONORS:
        return found
    for place in np.flatnonzero(weights > SMALL_WEIGHT):
        others = np.delete(wide.donors, place, axis=1)
        again = simplex_weights(wide.treated[before], others[before])
        found[wide.names[place]] = float((wide.treated - others @ again)[~before].mean())
    return found


def _gap_estimate(question: Question, key: str, value: float, measure: str) -> Estimate:
    return Estimate(
        key=key,
        value=value,
        measure=measure,
        scale="natural",
        unit=question.unit,
        **question.about(),
    )


def _estimates(
    question: Question,
    wide: _Wide,
    before: Array,
    weights: Array,
    gap: Array,
    ratios: Array,
    omitted: dict[str, float],
) -> list[Estimate]:
    found = [
        _gap_estimate(question, "last", gap[-1], f"gap in {wide.labels[-1]}"),
        _gap_estimate(
            question,
            "rmspe_before",
            float(np.sqrt(np.mean(gap[before] ** 2))),
            "root mean squared gap before the event",
        ),
        Estimate(
            key="rmspe_ratio",
            value=ratios[0],
            measure="root mean squared gap after the event over that before it",
        ),
    ]
    if 1 / len(ratios) <= SIZE:
        measure = f"share of {len(ratios)} units whose ratio of errors is at least as large"
        found.append(Estimate(key="placebo_p", value=_rank(ratios), measure=measure))
    if omitted:
        for side, value in (("low", min(omitted.values())), ("high", max(omitted.values()))):
            found.append(
                _gap_estimate(
                    question, f"leave_one_out_{side}", value, "mean gap with one donor left out"
                )
            )
    return found + [
        Estimate(key=f"weight.{_slug(name)}", value=weight, measure=f"weight of {name}")
        for name, weight in zip(wide.names, weights, strict=True)
        if weight > SMALL_WEIGHT
    ]


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)


def _rank(ratios: Array) -> float:
    return float(np.mean(ratios >= ratios[0]))


def _course(wide: _Wide, before: Array, gap: Array, placebos: Array) -> pd.DataFrame:
    shown = {
        "period": list(wide.labels),
        "value": wide.treated,
        "counterfactual": wide.treated - gap,
        "gap": gap,
        "phase": np.where(before, "before", "after").tolist(),
    }
    others = {f"placebo.{name}": placebos[:, place] for place, name in enumerate(wide.names)}
    return pd.DataFrame(shown | others)


def _checks(
    wide: _Wide, moment: int, gap: Array, ratios: Array, omitted: dict[str, float]
) -> list[Check]:
    before = wide.before(moment)
    count = int(before.sum())
    mean = float(gap[~before].mean())
    main = Check(check="effect", outcome="", found="", value=mean)
    return [
        Check(
            check="minimum points",
            outcome=PASSED if count >= LEAST_POINTS else FAILED,
            found=f"{count} periods before the event; at least {LEAST_POINTS} are asked for",
        ),
        _close(wide, before, gap),
        *_placebo_date(wide, before),
        _placebo_units(ratios),
        *_without_donors(mean, omitted),
        *shift_check(_shifts(wide, moment), main, 0.0),
    ]


def _close(wide: _Wide, before: Array, gap: Array) -> Check:
    error = float(np.sqrt(np.mean(gap[before] ** 2)))
    spread = float(wide.treated[before].std())
    fine = error <= CLOSE * spread
    return Check(
        check="fit before the event",
        outcome=PASSED if fine else FAILED,
        value=error,
        found=f"root mean squared gap {number(error)} before the event; the unit's own standard "
        f"deviation is {number(spread)}",
    )


def _placebo_date(wide: _Wide, before: Array) -> list[Check]:
    """The event put in the middle of the time before it: is the unit's gap the largest of all?"""
    name, count = "placebo dates", int(before.sum())
    if count < LEAST_POINTS or len(wide.names) < 1 / SIZE - 1:
        few = f"{count} periods before the event and {len(wide.names)} donors are too few"
        return [Check(check=name, outcome=NOT_POSSIBLE, found=few)]
    earlier = _Wide(
        wide.labels[:count], wide.at[before], wide.treated[before], wide.donors[before], wide.names
    )
    first = earlier.at < earlier.at[count // 2]
    weights = simplex_weights(earlier.treated[first], earlier.donors[first])
    gap = earlier.treated - earlier.donors @ weights
    gaps = _placebo_gaps(earlier, first)
    p = _rank(np.array([_ratio(line, first) for line in (gap, *gaps.T)]))
    return [
        Check(
            check=name,
            outcome=PASSED if p >= SIZE else FAILED,
            at=earlier.labels[count // 2],
            value=float(gap[~first].mean()),
            p=p,
            found=f"mean gap {number(gap[~first].mean())} from {earlier.labels[count // 2]}, when "
            f"nothing had happened; rank among all units gives p = {number(p)}",
        )
    ]


def _placebo_units(ratios: Array) -> Check:
    name, smallest = "placebo units", 1 / len(ratios)
    if smallest > SIZE:
        return Check(
            check=name,
            outcome=NOT_POSSIBLE,
            found=f"placebo test refused: with {len(ratios) - 1} donors its smallest possible p is "
            f"{smallest:.2g}",
        )
    p = _rank(ratios)
    return Check(
        check=name,
        outcome=PASSED if p <= SIZE else NOT_SHOWN,
        p=p,
        found=f"{round(p * len(ratios))} of {len(ratios)} units have a ratio of errors at least as "
        f"large (p = {number(p)})",
    )


def _without_donors(mean: float, omitted: dict[str, float]) -> list[Check]:
    name = "donors left out"
    if not omitted:
        return [Check(check=name, outcome=NOT_POSSIBLE, found="too few donors to leave one out")]
    same = all(np.sign(value) == np.sign(mean) for value in omitted.values())
    low, high = min(omitted.values()), max(omitted.values())
    rows = [
        Check(check="donor left out", outcome="", at=donor, value=value, found="")
        for donor, value in omitted.items()
    ]
    verdict = Check(
        check=name,
        outcome=PASSED if same else FAILED,
        low=low,
        high=high,
        found=f"mean gap {number(low)} to {number(high)} with one donor left out: the sign "
        f"{'stays' if same else 'changes'}",
    )
    return [verdict, *rows]


def _shifts(wide: _Wide, moment: int) -> list[Check]:
    """The event dated some periods off, the periods in between left out."""
    found = []
    for step in range(-WINDOW, WINDOW + 1):
        before = wide.before(min(moment, moment + step))
        after = ~wide.before(max(moment, moment + step))
        if before.sum() < 2 or not after.any():
            continue
        weights = simplex_weights(wide.treated[before], wide.donors[before])
        gap = (wide.treated - wide.donors @ weights)[after].mean()
        found.append(
            Check(check="shifted date", outcome="", at=f"{step:+d}", value=float(gap), found="")
        )
    return found
