"""Interrupted time series, alone or against a control series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.stattools import durbin_watson

from evidence.errors import DataError, require_choice, require_columns
from evidence.evaluation import models
from evidence.evaluation.checks import (
    LEAST_POINTS,
    PER_CENT,
    PLACEBO_POINTS,
    SIZE,
    WINDOW,
    Check,
    Question,
    around_event,
    concluded,
    count_periods,
    in_words,
    number,
    numbers_of,
    p_in_words,
    placebo_check,
    points_check,
    shift_check,
    signed,
    step_in_words,
)
from evidence.evaluation.models import Fit
from evidence.results import Caution, Estimate, Result

Array = np.ndarray

CHANGES = ("level and trend", "level")
"""What may change at the event."""
FAMILIES = ("linear", "poisson")
CONTRASTS = ("difference", "ratio")
"""How a series is set against its control: value less control, or the log of their ratio."""
LEAST_SIDE = 3
"""Points either side of the event below which nothing is fitted."""


@dataclass(frozen=True, slots=True, eq=False)
class _Series:
    """A series in order of period, and how it is modelled."""

    labels: tuple[str, ...]
    at: Array
    y: Array
    exposure: Array | None
    family: str
    errors: str
    change: str
    harmonics: int
    cycle: int
    lags: int | None
    logged: bool

    @property
    def log(self) -> bool:
        return self.logged or self.family == "poisson"

    def only(self, rows: Array) -> _Series:
        exposure = None if self.exposure is None else self.exposure[rows]
        labels = tuple(name for name, kept in zip(self.labels, rows, strict=True) if kept)
        return replace(self, labels=labels, at=self.at[rows], y=self.y[rows], exposure=exposure)

    def has_events(self, after: Array) -> bool:
        """Whether counts have events on either side: no ratio is finite without."""
        return bool(self.y[after].any() and self.y[~after].any())

    def design(self, moment: int, start: int) -> tuple[list[str], Array]:
        """Return names and columns of the model with an event at `moment`."""
        after = (self.at >= moment).astype(float)
        columns = {"intercept": np.ones(len(self.at)), "time": self.at - start + 1.0}
        columns["level"] = after
        if self.change == "level and trend":
            columns["trend_after"] = after * (self.at - moment)
        for wave in range(1, self.harmonics + 1):
            angle = 2 * np.pi * wave * self.at / self.cycle
            columns |= {f"sin{wave}": np.sin(angle), f"cos{wave}": np.cos(angle)}
        return list(columns), np.column_stack(list(columns.values()))

    def fit(self, names: Sequence[str], design: Array) -> Fit:
        if self.family == "poisson":
            return models.fit_counts(
                self.y, design, names, self.exposure, errors=self.errors, lags=self.lags
            )
        return models.fit_linear(self.y, design, names, self.at, errors=self.errors, lags=self.lags)


def interrupted_series(
    table: pd.DataFrame,
    question: Question,
    *,
    period: str = "period",
    value: str = "value",
    exposure: str | None = None,
    family: str = "linear",
    errors: str = "",
    change: str = "level and trend",
    harmonics: int = 0,
    cycle: int = 12,
    lags: int | None = None,
) -> Result:
    """Estimate how a series changed at an event, against its own earlier course.

    The model is ``intercept + time + level + trend_after`` with ``sin``/``cos`` pairs for the
    season. `time` is 1 in the first period; `level` is 1 from the event on; `trend_after` counts
    periods since the event and is **0 in the first period after it**, so that the level change is
    the jump at that first period and the main estimate. The mean difference over all periods after
    the event is given beside it; it leans on the earlier trend going on for as long.

    Parameters
    ----------
    table
        One row for each period.
    question
        Event, outcome and breaks. A break within three periods of the event makes the result
        "consistent with a recording break" and refuses an effect.
    period, value
        Columns of the period (months as ``2024-11``, or whole numbers) and of the figure; empty
        figures are left out and said.
    exposure
        Column of people at risk, for counts.
    family
        ``linear``, or ``poisson`` for counts (log-linear; estimates are ratios).
    errors
        See `models.fit_linear` (default ``ar1``) and `models.fit_counts` (default ``scaled``).
    change
        ``level and trend``, or ``level`` for a step alone.
    harmonics, cycle
        Pairs of sine and cosine, and periods in a cycle.
    lags
        Lags of Newey-West.

    Returns
    -------
    Result
        Estimates ``level`` (the main one), ``trend``, ``mean`` (mean difference over the periods
        after), ``correlation``, ``dispersion``, ``durbin_watson``, ``r2``. Table:
        period, value, fitted, counterfactual, low, high, phase. Checks (see `checks.listed`):
        minimum points, earlier trend, placebo dates, shifted dates (up to three periods off, the
        periods in between left out), series breaks; one that is not passed takes causal words away
        and makes the design ``before_after``.

    Raises
    ------
    DataError
        If columns are absent, periods repeat, fewer than three points lie on either side, or
        counts have no event on one side.

    References
    ----------
    Wagner et al. 2002, J Clin Pharm Ther 27:299-309; Lopez Bernal, Cummins and Gasparrini 2017,
    Int J Epidemiol 46:348-355; Turner et al. 2021, BMC Med Res Methodol 21:181.
    """
    series, missing = _read(
        table, period, value, exposure, family, errors, change, harmonics, cycle, lags
    )
    doubt = Caution(
        "uncontrolled_design",
        "One series without a control: whatever else changed at the same time is in the figure.",
    )
    return _evaluated(question, series, [doubt, *missing], method="interrupted_series")


def controlled_series(
    table: pd.DataFrame,
    question: Question,
    *,
    control: str = "control",
    contrast: str = "difference",
    period: str = "period",
    value: str = "value",
    errors: str = "",
    change: str = "level and trend",
    harmonics: int = 0,
    cycle: int = 12,
    lags: int | None = None,
    control_label: str = "the control",
) -> Result:
    """Estimate how a series changed at an event beyond how its control changed.

    The interrupted series of the difference between value and control (or of the log of their
    ratio, for series of different size): by least squares this is the interaction of a model of
    both series with a trend and a change for each; shared shocks and seasons cancel.

    Parameters
    ----------
    control
        Column of the control's figure.
    contrast
        ``difference``, or ``ratio`` (both figures above 0).
    control_label
        What the control is, for words.
    table, question, period, value, errors, change, harmonics, cycle, lags
        As in `interrupted_series`.

    Returns
    -------
    Result
        As `interrupted_series`, with a column control in the table; estimates are differences
        from the control's change, or ratios to it.

    Raises
    ------
    DataError
        As `interrupted_series`; or if a ratio meets a figure that is not above 0.
    """
    require_choice(contrast, CONTRASTS, "contrast")
    require_columns(table, (value, control), "a controlled series")
    mine, other = numbers_of(table, value), numbers_of(table, control)
    apart = table.assign(_apart=_against(mine, other, contrast))
    series, missing = _read(
        apart, period, "_apart", None, "linear", errors, change, harmonics, cycle, lags
    )
    beside = table.assign(_value=mine, _control=other)
    beside = beside.assign(_at=count_periods(table[period])).sort_values("_at")
    rows = beside[~np.isnan(_against(beside["_value"], beside["_control"], contrast))]
    return _evaluated(
        question,
        replace(series, logged=contrast == "ratio"),
        missing,
        method="controlled_series",
        beside=(rows["_value"].to_numpy(), rows["_control"].to_numpy()),
        control_label=control_label,
    )


def before_and_after(
    tables: Mapping[str, pd.DataFrame],
    question: Question,
    *,
    units: Mapping[str, str],
    period: str = "period",
    value: str = "value",
    control: str = "control",
    later: int = 6,
) -> Result:
    """Set several figures side by side in the periods next to an event: description, no inference.

    Parameters
    ----------
    tables
        Table of each figure by its name, one row for each period, in any order.
    question
        Event and area.
    units
        Unit of each figure; those in ``%`` change by points, others by per cent.
    period, value, control
        Columns; the control may be absent.
    later
        Periods after the event of one more figure, to show what comes back.

    Returns
    -------
    Result
        Table: figure, unit, before, after (with their periods), change, change_control, later, and
        `told`, all of it in words.

    Raises
    ------
    DataError
        If columns are absent, or a figure has nothing before or after the event.
    """
    rows = []
    for name, table in tables.items():
        require_columns(table, (period, value), "figures before and after an event")
        table = table.iloc[np.argsort(count_periods(table[period]), kind="stable")]
        labels, values = table[period].astype(str).tolist(), numbers_of(table, value)
        other = numbers_of(table, control) if control in table else None
        found = around_event(replace(question, unit=units.get(name, "")), labels, values, other)
        if not found:
            raise DataError(
                f"{name!r} must have a figure before and after {question.event!r}; it has not. "
                "Leave it out."
            )
        rows.append({"figure": name, "unit": units.get(name, "")} | _in_a_row(found))
        on = count_periods(labels) == question.moment + later
        rows[-1]["later"] = float(values[on][0]) if on.any() else np.nan
        rows[-1]["told"] = _told(rows[-1], later)
    listed = "; ".join(f"{row['figure']} {_change_of(row)}" for row in rows)
    return Result(
        text=f"{question.area or 'Figures'} from the last figure before "
        f"{in_words(question.event)} to the first from then on: {listed}.",
        table=pd.DataFrame(rows),
        settings={"method": "before_and_after", "event": question.event, "later": later},
    )


def year_by_year(
    table: pd.DataFrame,
    question: Question,
    figures: Mapping[str, str],
    *,
    period: str = "period",
) -> Result:
    """Set figures of years beside the year before: description, where years are too few for more.

    Parameters
    ----------
    table
        One row for each year, in any order, with a column for each figure.
    question
        `event` is the first year that counts as after it.
    figures
        Names for the reader by column; each is compared in per cent of the year before.
    period
        Column of the year, such as ``2019-20``.

    Returns
    -------
    Result
        Table: period, phase, and for each figure its value and its change in words. Estimates
        ``change.<column>``: the change from the last year before the event to the first after it,
        without a value where either year has none or the first of them is 0.

    Raises
    ------
    DataError
        If columns are absent, or there is no year before or after the event.
    """
    require_columns(table, (period, *figures), "figures of years")
    rows = table.assign(**{period: table[period].astype(str)})
    rows = rows.sort_values(period).reset_index(drop=True)
    before = int((rows[period] < question.event).sum())
    after = len(rows) - before
    if not before or not after:
        raise DataError(
            f"years must lie before and after {question.event!r}; {before} lie before and {after} "
            "after. Load more, or correct the event."
        )
    shown = pd.DataFrame({"period": rows[period]})
    shown["phase"] = ["before"] * before + ["after"] * after
    estimates = []
    for column, name in figures.items():
        change = 100 * rows[column].astype(float).pct_change(fill_method=None)
        shown[name] = rows[column].astype(float)
        shown[f"change of {name}"] = [
            f"{signed(one)}{PER_CENT}" if np.isfinite(one) else "" for one in change
        ]
        about = question.about() | {"design": "descriptive", "outcome": name}
        moved = float(change[before]) if np.isfinite(change[before]) else None
        estimates.append(Estimate(key=f"change.{column}", value=moved, unit="%", **about))
    told = ", ".join(
        f"{one.outcome} not known"
        if one.value is None
        else f"{one.outcome} {signed(one.value)}{PER_CENT}"
        for one in estimates
    )
    return Result(
        text=f"{question.area or 'Figures'} from {rows[period][before - 1]} to "
        f"{rows[period][before]}: {told}.{_too_few(before, after, question.event_label)}",
        estimates=tuple(estimates),
        table=shown,
        settings={"method": "year_by_year", "event": question.event, "least": LEAST_POINTS},
    )


def _too_few(before: int, after: int, event_label: str) -> str:
    if min(before, after) >= LEAST_POINTS:
        return ""
    years = "year" if before == 1 else "years"
    return (
        f" {before} {years} before {event_label} and {after} from it on are too few to estimate "
        "an effect of it."
    )


def _in_a_row(found: tuple[Estimate, ...]) -> dict[str, Any]:
    figures = {estimate.key: estimate for estimate in found}
    row: dict[str, Any] = {}
    for key in ("before", "after"):
        row |= {f"{key}_period": figures[key].period, key: figures[key].value}
    for key in ("change", "change_control"):
        row[key] = figures[key].value if key in figures else np.nan
    return row


def _told(row: dict[str, Any], later: int) -> str:
    unit = PER_CENT if row["unit"] == "%" else f" {row['unit']}".rstrip()
    told = f"{number(row['before'])}{unit}, then {number(row['after'])}{unit}"
    told += f" ({_change_of(row)}"
    if not np.isnan(row["change_control"]):
        told += f"; elsewhere {signed(row['change_control'])}{_mark(row)}"
    told += ")"
    if not np.isnan(row["later"]):
        told += f"; {later} periods later {number(row['later'])}{unit}"
    return told


def _change_of(row: dict[str, Any]) -> str:
    """The change in words; a share of none is not known."""
    if np.isnan(row["change"]):
        return f"from {number(row['before'])} to {number(row['after'])}"
    return f"{signed(row['change'])}{_mark(row)}"


def _mark(row: dict[str, Any]) -> str:
    return " points" if row["unit"] == "%" else PER_CENT


def _against(mine: Any, other: Any, contrast: str) -> Array:
    mine, other = np.asarray(mine, dtype=float), np.asarray(other, dtype=float)
    if contrast == "difference":
        return mine - other
    wrong = (mine <= 0) | (other <= 0)
    if wrong.any():
        raise DataError(
            f"a ratio to the control needs figures above 0; rows {np.flatnonzero(wrong)[:5]} have "
            "none. Take contrast='difference'."
        )
    return np.log(mine / other)


def _read(
    table: pd.DataFrame,
    period: str,
    value: str,
    exposure: str | None,
    family: str,
    errors: str,
    change: str,
    harmonics: int,
    cycle: int,
    lags: int | None,
) -> tuple[_Series, list[Caution]]:
    require_columns(
        table, [period, value, *([exposure] if exposure else [])], "an interrupted series"
    )
    require_choice(family, FAMILIES, "family")
    require_choice(change, CHANGES, "change")
    kinds = models.POISSON if family == "poisson" else models.LINEAR
    require_choice(errors or kinds[0], kinds, "errors")
    if harmonics < 0:
        raise DataError(f"harmonics must be 0 pairs or more; got {harmonics}. Take 1 or 2.")
    rows = table.assign(_at=count_periods(table[period])).sort_values("_at", kind="stable")
    at, y = rows["_at"].to_numpy(), numbers_of(rows, value)
    if len(set(at)) < len(at):
        twice = rows.loc[rows["_at"].duplicated(), period].astype(str).tolist()
        raise DataError(
            f"a series needs one row for each period; repeated: {', '.join(twice[:3])}. "
            "Add them up."
        )
    people = None if exposure is None else numbers_of(rows, exposure)
    _require_counts(y, people, family)
    known = ~np.isnan(y) if people is None else ~np.isnan(y) & ~np.isnan(people)
    labels = tuple(str(name) for name in rows[period])
    series = _Series(
        labels, at, y, people, family, errors or kinds[0], change, harmonics, cycle, lags, False
    ).only(known)
    absent = [name for name, kept in zip(labels, known, strict=True) if not kept]
    absent_rows = int(at[-1] - at[0] + 1 - len(at)) if len(at) else 0
    return series, _gaps(absent, absent_rows)


def _require_counts(y: Array, people: Array | None, family: str) -> None:
    if family == "poisson" and (y < 0).any():
        raise DataError(
            f"counts must be 0 or more; the smallest is {np.nanmin(y)}. Take family='linear'."
        )
    if people is not None and (people <= 0).any():
        raise DataError(
            f"an exposure must be above 0; the smallest is {np.nanmin(people)}. Correct the table."
        )


def _gaps(absent: list[str], rows: int) -> list[Caution]:
    if not absent and not rows:
        return []
    count = len(absent) + rows
    named = f" ({', '.join(absent[:6])}{' …' if len(absent) > 6 else ''})" if absent else ""
    lead = "1 period has" if count == 1 else f"{count} periods have"
    return [
        Caution(
            "missing_periods",
            f"{lead} no figure{named}: left out of the model, where time passes all the same.",
        )
    ]


def _evaluated(
    question: Question,
    series: _Series,
    doubts: list[Caution],
    *,
    method: str,
    beside: tuple[Array, Array] | None = None,
    control_label: str = "",
) -> Result:
    moment, start = question.moment, int(series.at[0]) if len(series.at) else 0
    before = int((series.at < moment).sum())
    _require_sides(before, len(series.at) - before, question.event)
    if series.family == "poisson" and not series.has_events(series.at >= moment):
        raise DataError(
            "a log-linear model needs events before and after its event; "
            f"{question.event!r} has none on one side. Take family='linear'."
        )
    _require_change(series)
    names, design = series.design(moment, start)
    fit = series.fit(names, design)
    after = series.at >= moment
    main, others = _estimates(question, series, fit, design, after)
    table = _course(series, fit, design, after, question.level, beside)
    doubts = [*doubts, *_taken_as_independent(series, fit, design)]
    shown = table["value"].to_numpy()
    settings = {
        "method": method,
        "family": series.family,
        "errors": series.errors,
        "change": series.change,
        "parameterisation": "level is 1 from the event on; trend_after is 0 in its first period",
        "harmonics": series.harmonics,
        "cycle": series.cycle,
        "ratio": series.log,
        "points_before": before,
        "points_after": int(after.sum()),
        "control": control_label,
        "coefficients": dict(zip(names, fit.coef.tolist(), strict=True)),
        "standard_errors": dict(zip(names, np.sqrt(np.diag(fit.vcov)).tolist(), strict=True)),
    }
    return concluded(
        question,
        main=main,
        estimates=others,
        table=table,
        settings=settings,
        found=_checks(question, series, _claimed(main, others)),
        doubts=doubts,
        around=around_event(question, series.labels, shown, None if beside is None else beside[1]),
        against="its earlier course gives"
        if beside is None
        else f"{control_label} and its earlier course give",
        detail=_then(main, others, step_in_words(question.event)),
    )


def _claimed(main: Estimate, others: list[Estimate]) -> Estimate:
    """What the words claim and checks look at: the level, unless only the slope has changed."""
    trend = next((estimate for estimate in others if estimate.key == "trend"), main)
    return main if _excludes_none(main) or not _excludes_none(trend) else trend


def _excludes_none(estimate: Estimate) -> bool:
    null = 1.0 if estimate.scale == "log" else 0.0
    return not (estimate.low or 0.0) <= null <= (estimate.high or 0.0)


def _then(main: Estimate, others: list[Estimate], step: str) -> str:
    """How the course went on after the jump, in words."""
    trend = next((estimate for estimate in others if estimate.key == "trend"), None)
    if trend is None:
        return ""
    log = main.scale == "log"
    slope, low, high = (
        f"{signed(100 * ((value or 1) - 1))}{PER_CENT}" if log else signed(value)
        for value in (trend.value, trend.low, trend.high)
    )
    limits = f" ({low} to {high})" if _claimed(main, others) is trend else ""
    return f" at once, then {slope}{limits} {step},"


def _require_sides(before: int, after: int, event: str) -> None:
    if min(before, after) < LEAST_SIDE:
        raise DataError(
            f"an interrupted series needs at least {LEAST_SIDE} points before and after its event; "
            f"{event!r} has {before} before and {after} after. Check the date, or wait for data."
        )


def _require_change(series: _Series) -> None:
    if series.family == "linear" and not np.ptp(series.y):
        raise DataError(
            f"a series must change at all; each of its {len(series.y)} figures is "
            f"{float(series.y[0]):g}. Check whether they were filled in."
        )


def _rows(names: Sequence[str], design: Array, after: Array) -> dict[str, Array]:
    """Contrasts: level, trend where there is one, and mean difference after the event."""
    changed = np.array([name in ("level", "trend_after") for name in names])
    found = {"level": np.array([name == "level" for name in names], float)}
    if "trend_after" in names:
        found["trend"] = np.array([name == "trend_after" for name in names], float)
    return found | {"mean": np.where(changed, design[after].mean(axis=0), 0.0)}


MEASURES = {
    "level": "change of level in the first period after the event",
    "trend": "change of slope per period",
    "mean": "mean difference from the course without the event, over the periods after",
}


def _estimates(
    question: Question, series: _Series, fit: Fit, design: Array, after: Array
) -> tuple[Estimate, list[Estimate]]:
    rows = _rows(fit.names, design, after)
    found = fit.contrasts(np.array(list(rows.values())), question.level)
    put = _unlogged if series.log else float
    about = question.about() | {"level": question.level, "n": len(series.at)}
    about |= {"scale": "log" if series.log else "natural"}
    made = {
        key: Estimate(
            key=key,
            value=put(found.value[at]),
            low=put(found.low[at]),
            high=put(found.high[at]),
            se=found.se[at],
            measure=MEASURES[key] + (", as a ratio" if series.log else ""),
            unit="ratio" if series.log else question.unit,
            **about,
        )
        for at, key in enumerate(rows)
    }
    further = _further(series, fit, design)
    return made.pop("level"), [*made.values(), *further]


def _unlogged(value: float) -> float:
    return float(np.exp(value))


def _further(series: _Series, fit: Fit, design: Array) -> list[Estimate]:
    found = []
    if fit.correlation is not None:
        measure = "correlation of neighbouring errors"
        found.append(Estimate(key="correlation", value=fit.correlation, measure=measure))
    if fit.dispersion is not None and series.family == "poisson":
        measure = "Pearson's chi-square over residual degrees of freedom"
        found.append(Estimate(key="dispersion", value=fit.dispersion, measure=measure))
    if series.family == "linear":
        left = series.y - design @ np.linalg.lstsq(design, series.y, rcond=None)[0]
        apart = float(np.sum((series.y - series.y.mean()) ** 2))
        if left @ left > 1e-18 * (1 + apart):
            found += [
                Estimate(
                    key="durbin_watson",
                    value=durbin_watson(left),
                    measure="Durbin-Watson statistic of least squares: 2 if errors do not follow "
                    "each other",
                ),
                Estimate(key="r2", value=1 - left @ left / apart, measure="R² of least squares"),
            ]
    return found


def _taken_as_independent(series: _Series, fit: Fit, design: Array) -> list[Caution]:
    """Say where errors are taken as independent, and what the residuals show."""
    if series.errors not in models.INDEPENDENT:
        return []
    left = series.y - design @ fit.coef
    if series.family == "poisson":
        size = 1 if series.exposure is None else series.exposure
        mean = size * np.exp(design @ fit.coef)
        left = (series.y - mean) / np.sqrt(mean)
    alike = models.neighbours_alike(left, series.at)
    seen = f"; residuals of neighbouring periods correlate {alike:+.2f}".replace("-", "−")
    return [
        Caution(
            "dependence",
            f"Errors are taken as independent of each other{'' if np.isnan(alike) else seen}. "
            "If errors follow each other, the interval is too narrow.",
        )
    ]


def _course(
    series: _Series,
    fit: Fit,
    design: Array,
    after: Array,
    level: float,
    beside: tuple[Array, Array] | None,
) -> pd.DataFrame:
    """The series beside its fitted course and the one without the event, in its own unit."""
    changed = np.array([name in ("level", "trend_after") for name in fit.names])
    without = fit.contrasts(np.where(changed, 0.0, design), level)
    lines = {"fitted": design @ fit.coef, "counterfactual": without.value}
    lines |= {"low": without.low, "high": without.high}
    shown = {"period": list(series.labels), "value": series.y if beside is None else beside[0]}
    if beside is not None:
        shown["control"] = beside[1]
        size = beside[1]
    else:
        size = np.ones(len(series.y)) if series.exposure is None else series.exposure
    for name, line in lines.items():
        if series.log:
            shown[name] = size * np.exp(line)
        else:
            shown[name] = line if beside is None else line + size
    shown["phase"] = np.where(after, "after", "before").tolist()
    return pd.DataFrame(shown)


def _checks(question: Question, series: _Series, claimed: Estimate) -> list[Check]:
    moment, key = question.moment, claimed.key
    earlier = series.only(series.at < moment)
    after = int((series.at >= moment).sum())
    steps = range(-WINDOW, WINDOW + 1)
    shifts = [_shifted(question, series, step, key) for step in steps]
    main = Check(
        check=key, outcome="", found="", value=claimed.value, low=claimed.low, high=claimed.high
    )
    return [
        points_check(len(earlier.at), after),
        _straight(earlier),
        *placebo_check(
            _placebos(question, earlier, key),
            f"fewer than {2 * PLACEBO_POINTS} points before the event",
        ),
        *shift_check(
            [check for check in shifts if check is not None], main, 1.0 if series.log else 0.0
        ),
    ]


def _shifted(question: Question, series: _Series, step: int, key: str) -> Check | None:
    """The event dated some periods off, the periods in between left out: their side is in doubt."""
    moment = question.moment
    first, last = min(moment, moment + step), max(moment, moment + step)
    certain = series.only((series.at < first) | (series.at >= last))
    return _moved(question, certain, last, key, f"{step:+d}", "shifted date")


def _straight(earlier: _Series) -> Check:
    """Whether the course before the event bends, by a quadratic term."""
    name = "earlier trend"
    count = len(earlier.at)
    columns, design = earlier.design(int(earlier.at[-1]) + 1, int(earlier.at[0]))
    kept = [at for at, column in enumerate(columns) if column not in ("level", "trend_after")]
    centred = (design[:, 1] - design[:, 1].mean()) / count
    design = np.column_stack([design[:, kept], centred**2])
    try:
        fit = earlier.fit([*(columns[at] for at in kept), "bend"], design)
    except DataError:
        return Check(
            check=name, outcome="not possible", found=f"only {count} points before the event"
        )
    bend = fit.contrasts(np.eye(design.shape[1])[-1:])
    straight = bend.p[0] >= SIZE
    return Check(
        check=name,
        outcome="passed" if straight else "failed",
        p=float(bend.p[0]),
        found=f"the course before the event {'shows no bend' if straight else 'bends'} "
        f"(quadratic term, p {p_in_words(bend.p[0])})",
    )


def _placebos(question: Question, earlier: _Series, key: str) -> list[Check]:
    """The event put at a quarter, half and three quarters of the time before it."""
    count = len(earlier.at)
    places = {round(count * share) for share in (0.25, 0.5, 0.75)}
    inside = sorted(p for p in places if PLACEBO_POINTS <= p <= count - PLACEBO_POINTS)
    tried = [
        _moved(
            question, earlier, int(earlier.at[place]), key, earlier.labels[place], "placebo date"
        )
        for place in inside
    ]
    return [check for check in tried if check is not None]


def _moved(
    question: Question, series: _Series, moment: int, key: str, at: str, name: str
) -> Check | None:
    """The main estimate with the event at another moment; None where that cannot be fitted."""
    after = series.at >= moment
    if min(after.sum(), (~after).sum()) < LEAST_SIDE:
        return None
    if series.family == "poisson" and not series.has_events(after):
        return None
    names, design = series.design(moment, int(series.at[0]))
    try:
        fit = series.fit(names, design)
    except DataError:
        return None
    found = fit.contrasts(_rows(names, design, after)[key], question.level)
    put = _unlogged if series.log else float
    return Check(
        check=name,
        outcome="",
        at=at,
        found="",
        value=put(found.value[0]),
        low=put(found.low[0]),
        high=put(found.high[0]),
        p=float(found.p[0]),
    )
