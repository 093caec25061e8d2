"""What every evaluation is asked, what it is checked for, and how checks change its words."""

from __future__ import annotations

import re
from calendar import month_name
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError, require_choice
from evidence.results import Caution, Direction, Estimate, Result
from evidence.vocabulary import LONGEST_FINDING

Array = np.ndarray

WINDOW = 3
"""Periods by which the event is shifted either way, and within which a break explains it."""
LEAST_POINTS = 8
"""Points before and after an event below which no cause is claimed."""
PLACEBO_POINTS = 6
"""Points needed either side of a placebo date."""
KEPT = 0.5
"""Share of a difference that must stay when the event is dated some periods off."""
SIZE = 0.05
"""Probability at which a check calls a difference."""

PASSED, FAILED, NOT_POSSIBLE = "passed", "failed", "not possible"
NOT_SHOWN = "not shown"
"""Verdict of a test of the difference itself: nothing is wrong, but chance is not ruled out."""

CAUSAL = ("effect", "because", "caused", "due to", "led to", "impact", "thanks to")
"""Words that no result uses unless every check was passed."""

KIND = {"minimum points": "short_series", "series breaks": "series_break"}
"""Kind of the caution that a check raises; `uncontrolled_design` for the others."""

PER_CENT = "\N{NO-BREAK SPACE}%"

MONTH = re.compile(r"^(\d{4})-(0[1-9]|1[0-2])(-\d{2})?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is evaluated, in the words of its result.

    Parameters
    ----------
    event
        First period in which the event counts; empty only where a table states the dates.
    event_label
        What happened, as it stands in a sentence ("the ban").
    outcome, unit, area, population
        What was measured, in what, where, in whom.
    direction_better
        ``higher``, ``lower`` or ``none``.
    level
        Coverage of intervals.
    breaks
        Labelled breaks in recording: mappings with ``date`` and ``label``.

    Raises
    ------
    DataError
        If the level is no fraction, the direction unknown, or a break lacks its date or label.
    """

    event: str = ""
    event_label: str = "the event"
    outcome: str = "the outcome"
    unit: str = ""
    area: str = ""
    population: str = ""
    direction_better: Direction
    level: float = 0.95
    breaks: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "breaks", tuple(self.breaks))
        if not 0 < self.level < 1:
            raise DataError(f"level must lie between 0 and 1; got {self.level}. Write 0.95.")
        require_choice(self.direction_better, ("higher", "lower", "none"), "direction_better")
        for named in self.breaks:
            if not named.get("date") or not named.get("label"):
                raise DataError(
                    f"a break must have a date and a label; got {dict(named)}. State both."
                )

    @property
    def subject(self) -> str:
        """Outcome and area."""
        return ", ".join(part for part in (self.outcome, self.area) if part)

    @property
    def moment(self) -> int:
        """The event as a counted period."""
        return int(count_periods([self.event])[0])

    def about(self) -> dict[str, Any]:
        """Return the fields that every estimate of the answer carries."""
        return {
            "outcome": self.outcome,
            "area": self.area,
            "population": self.population,
            "period": f"from {self.event}",
            "direction_better": self.direction_better,
        }

    def recording_break(self) -> Mapping[str, Any] | None:
        """Return the break within `WINDOW` periods of the event that lies nearest, if any."""
        near = [(abs(self._distance(named)), place) for place, named in enumerate(self.breaks)]
        inside = [item for item in near if item[0] <= WINDOW]
        return self.breaks[min(inside)[1]] if inside else None

    def _distance(self, named: Mapping[str, Any]) -> int:
        date, event = count_periods([named["date"], self.event])
        return int(date - event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of an evaluation: what was looked at, and what was found."""

    check: str
    outcome: str
    found: str
    at: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def listed(result: Result) -> Result:
    """Return the checks of an evaluation as a table: one row for each, and for each date tried.

    Parameters
    ----------
    result
        What a method of this part returned.

    Returns
    -------
    Result
        Table: check, outcome, found, at, value, low, high, p; and in words `tried` (the check with
        its date) and `answer` (outcome and what was found, or the estimate with its interval).

    Raises
    ------
    DataError
        If the result has no checks.
    """
    if "checks" not in result.settings:
        raise DataError("checks are listed of an evaluation; this result has none. Pass another.")
    rows = pd.DataFrame(result.settings["checks"])
    for column in ("value", "low", "high", "p"):
        rows[column] = rows[column].astype("float64")
    records = rows.to_dict("records")
    rows = rows.assign(
        tried=[_tried(row) for row in records], answer=[_answer(row) for row in records]
    )
    wrong = sorted(
        {row.check for row in rows.itertuples() if row.outcome in (FAILED, NOT_POSSIBLE)}
    )
    count = rows.loc[rows["outcome"] != "", "check"].nunique()
    text = f"All {count} checks are passed."
    if (rows["outcome"] == NOT_SHOWN).any():
        text = f"None of {count} checks failed, but chance may explain the difference."
    if wrong:
        text = f"{len(wrong)} of {count} checks are not passed: {', '.join(wrong)}."
    return Result(text=text, table=rows, settings={"method": "checks", **_asked(result)})


def moved_by(at: str) -> str:
    """Return in words by how many periods an event was dated off, such as ``+2``."""
    by = int(at)
    if not by:
        return "as dated"
    periods = "period" if abs(by) == 1 else "periods"
    return f"{abs(by)} {periods} {'later' if by > 0 else 'earlier'}"


def _tried(row: Mapping[Any, Any]) -> str:
    if row["check"] == "shifted date":
        return f"event {moved_by(row['at'])}" if row["at"] != "+0" else "event as dated"
    if row["check"] == "placebo date":
        return f"event in {in_words(row['at'])}, when there was none"
    return str(row["check"])


def _answer(row: Mapping[Any, Any]) -> str:
    if row["outcome"]:
        return f"{row['outcome']}: {row['found']}" if row["found"] else str(row["outcome"])
    if np.isnan(row["value"]):
        return str(row["found"])
    interval = f" ({number(row['low'])} to {number(row['high'])})"
    return number(row["value"]) + ("" if np.isnan(row["low"]) else interval)


def _asked(result: Result) -> dict[str, Any]:
    names = ("outcome", "unit", "area", "event", "event_label", "ratio", "of")
    asked = {**result.settings, "of": result.settings["method"]}
    return {name: asked[name] for name in names if name in asked}


def concluded(
    question: Question,
    *,
    main: Estimate,
    estimates: Iterable[Estimate],
    table: pd.DataFrame,
    settings: Mapping[str, Any],
    found: Sequence[Check],
    doubts: Sequence[Caution] = (),
    around: tuple[Estimate, ...] = (),
    tiers: tuple[str, str] = ("its", "before_after"),
    against: str = "its earlier course gives",
    detail: str = "",
) -> Result:
    """Return the result of an evaluation in the words that its checks allow.

    Parameters
    ----------
    main
        The estimate that the words are about.
    estimates
        All others.
    found
        The checks made.
    around
        Figures just before and after the event, for a recording break.
    tiers
        Design tier if every check is passed, and if one is not.
    against
        What the difference is taken from, in words.
    detail
        Words after the size, such as how the course went on.
    """
    judged = [*found, _series_breaks(question)]
    kept: dict[str, Any] = {
        **settings,
        "main": main.key,
        "event": question.event,
        "event_label": question.event_label,
        "outcome": question.outcome,
        "unit": question.unit,
        "area": question.area,
        "level": question.level,
        "breaks": [dict(named) for named in question.breaks],
        "checks": [asdict(check) for check in judged],
    }
    cautions = [*doubts, *_cautions(judged)]
    named = question.recording_break()
    if named is not None:
        return _refused(question, named, around, table, kept, cautions)
    wrong = _not_passed(judged)
    tier = tiers[1] if wrong else tiers[0]
    final = [_with_design(estimate, tier) for estimate in (main, *estimates)]
    lead = f"{question.subject}: {size_in_words(main, question)}{detail}"
    kept["in_brief"] = _briefly(question, lead, judged)
    return Result(
        text=_words(question, lead, judged, against),
        estimates=tuple(final),
        table=table,
        settings=kept,
        cautions=tuple(cautions),
    )


def in_brief(result: Result) -> str:
    """Return the words of an evaluation, short enough for the box of a page.

    Parameters
    ----------
    result
        What a method of this part returned. Words that do not fit leave out what the difference is
        taken from and which checks were not passed; `listed` names them.
    """
    fits = len(result.text.split()) <= LONGEST_FINDING
    return result.text if fits else str(result.settings.get("in_brief", result.text))


def _with_design(estimate: Estimate, tier: str) -> Estimate:
    return Estimate(**{**asdict(estimate), "design": tier})


def _refused(
    question: Question,
    named: Mapping[str, Any],
    around: tuple[Estimate, ...],
    table: pd.DataFrame,
    settings: dict[str, Any],
    cautions: list[Caution],
) -> Result:
    figures = {estimate.key: estimate for estimate in around}
    moved = ""
    if {"before", "after"} <= set(figures):
        before, after = figures["before"], figures["after"]
        moved = (
            f" {number(before.value)} in {in_words(before.period)}, {number(after.value)} in "
            f"{in_words(after.period)}"
            f"{_change(figures)}."
        )
    return Result(
        text=f"{question.subject}:{moved} Consistent with a recording break, so refused as an "
        "effect.",
        reason=f"consistent with a recording break ({in_words(str(named['date']))}: "
        f"{named['label']}); refused as an effect",
        estimates=around,
        table=table,
        settings=settings,
        cautions=tuple(cautions),
    )


def _change(figures: dict[str, Estimate]) -> str:
    parts = [
        f"{name}{signed(figures[key].value)}{PER_CENT if figures[key].unit == '%' else ' points'}"
        for key, name in (("change", ""), ("change_control", "controls "))
        if key in figures
    ]
    return f" ({'; '.join(parts)})" if parts else ""


def _words(question: Question, lead: str, found: list[Check], against: str) -> str:
    wrong = _not_passed(found)
    if wrong:
        return (
            f"{lead} than {against}. A difference only, not to be put down to "
            f"{question.event_label}: {_how_many(wrong, found)} ({', '.join(wrong)})."
        )
    if not _shown(found):
        return f"{lead} than without {question.event_label}: no effect is shown, nor ruled out."
    return (
        f"{lead} than without {question.event_label}: an effect of it, if nothing else changed "
        "at that time."
    )


def _briefly(question: Question, lead: str, found: list[Check]) -> str:
    """Return the same in fewer words."""
    if wrong := _not_passed(found):
        return f"{lead} than expected. A difference only: {_how_many(wrong, found)}."
    if not _shown(found):
        return f"{lead} than without {question.event_label}: no effect is shown."
    return f"{lead} than without {question.event_label}: an effect of it, if nothing else changed."


def _how_many(wrong: list[str], found: list[Check]) -> str:
    count = len({check.check for check in found if check.outcome})
    return f"{len(wrong)} of {count} checks not passed"


def _shown(found: list[Check]) -> bool:
    return all(check.outcome != NOT_SHOWN for check in found)


def size_in_words(main: Estimate, question: Question) -> str:
    """Return how much higher or lower a figure is, with its interval, in words."""
    value = main.value or 0.0
    if main.scale == "log":
        value = 100 * (value - 1)
    side = "higher" if value > 0 else "lower"
    per_cent = main.scale == "log"
    unit = PER_CENT if per_cent else f" {_difference_unit(question.unit)}".rstrip()
    size = f"{side} by {number(abs(value))}{unit}"
    if main.low is None or main.high is None:
        return size
    if main.scale == "log":
        limits = (100 * (main.low - 1), 100 * (main.high - 1))
    else:
        limits = (main.low, main.high)
    share, mark = f"{question.level * 100:g}{PER_CENT} interval", PER_CENT if per_cent else ""
    return f"{size} ({share} {signed(limits[0])} to {signed(limits[1])}{mark})"


def _difference_unit(unit: str) -> str:
    return "points" if unit == "%" else unit


def _series_breaks(question: Question) -> Check:
    near = question.recording_break()
    if near is not None:
        return Check(
            check="series breaks",
            outcome=FAILED,
            at=str(near["date"]),
            found=f"{near['label']} ({in_words(str(near['date']))}) lies within {WINDOW} periods "
            "of the event",
        )
    if question.breaks:
        names = "; ".join(f"{named['label']} ({named['date']})" for named in question.breaks)
        return Check(
            check="series breaks",
            outcome=FAILED,
            found=f"labelled breaks elsewhere in the series are not modelled: {names}",
        )
    return Check(check="series breaks", outcome=PASSED, found="no break is labelled")


def _not_passed(found: Iterable[Check]) -> list[str]:
    wrong = [check.check for check in found if check.outcome in (FAILED, NOT_POSSIBLE)]
    return list(dict.fromkeys(wrong))


def _cautions(found: Iterable[Check]) -> list[Caution]:
    return [
        Caution(
            KIND.get(check.check, "uncontrolled_design"),
            f"Check of {check.check} {'failed' if check.outcome == FAILED else 'not possible'}: "
            f"{check.found}.",
        )
        for check in found
        if check.outcome in (FAILED, NOT_POSSIBLE)
    ]


def points_check(before: int, after: int, least: int = LEAST_POINTS) -> Check:
    """Return whether there are enough points before and after the event."""
    enough = min(before, after) >= least
    return Check(
        check="minimum points",
        outcome=PASSED if enough else FAILED,
        found=f"{before} points before and {after} after; at least {least} of each are asked for",
    )


def placebo_check(rows: Sequence[Check], too_few: str) -> list[Check]:
    """Return the verdict on several placebo dates, and a row for each.

    The check fails if the smallest p, times the number of dates (Bonferroni), is below 0.05;
    without any date it is not possible, for the reason `too_few`.
    """
    name = "placebo dates"
    if not rows:
        return [Check(check=name, outcome=NOT_POSSIBLE, found=too_few)]
    least = min(row.p if row.p is not None else 1.0 for row in rows)
    p = min(1.0, least * len(rows))
    verdict = Check(
        check=name,
        outcome=FAILED if p < SIZE else PASSED,
        p=p,
        found=f"{len(rows)} date{'s' * (len(rows) > 1)} before the event, when nothing happened; "
        f"smallest p {f'times {len(rows)} ' * (len(rows) > 1)}{p_in_words(p)}",
    )
    return [verdict, *rows]


def shift_check(rows: Sequence[Check], main: Check, null: float) -> list[Check]:
    """Return whether a difference stays when the periods next to the event are left out.

    It must keep its sign and at least half its size wherever the event is dated up to `WINDOW`
    periods off, the periods in between left out; for ratios the size is that of the logarithm.
    A difference whose own interval includes none has nothing to keep.

    Parameters
    ----------
    rows
        The difference for each date tried.
    main
        The difference as dated.
    null
        Value of no difference: 0, or 1 for ratios.
    """
    name = "shifted dates"
    values = [row.value for row in rows if row.value is not None]
    if len(values) < 2 * WINDOW + 1 or main.value is None:
        few = "too few periods to move the date"
        return [Check(check=name, outcome=NOT_POSSIBLE, found=few), *rows]
    span = f"{number(min(values))} to {number(max(values))} when dated up to {WINDOW} periods off"
    if main.low is not None and main.high is not None and main.low <= null <= main.high:
        verdict, says = NOT_SHOWN, "its interval as dated includes no difference"
    elif _least_share(values, main.value, null) >= KEPT:
        verdict, says = PASSED, "it keeps its sign and half its size"
    else:
        verdict, says = FAILED, "it does not keep its sign and half its size"
    return [Check(check=name, outcome=verdict, found=f"{span}: {says}"), *rows]


def _least_share(values: Sequence[float], main: float, null: float) -> float:
    away = np.log(values) if null == 1 else np.asarray(values, dtype=float)
    whole = np.log(main) if null == 1 else main
    return float(np.min(away / whole)) if whole else 0.0


def around_event(
    question: Question, periods: Sequence[str], values: Array, control: Array | None = None
) -> tuple[Estimate, ...]:
    """Return the last figure before the event, the first after it, and the change between them.

    The change is in per cent, or in points where the figures are percentages; it is left out where
    a figure is missing, and in per cent of none.

    Parameters
    ----------
    periods, values
        Labels and figures in order, NaN where missing.
    control
        Figures of the controls, or None.
    """
    at, known = count_periods(periods), ~np.isnan(values)
    before = np.flatnonzero(known & (at < question.moment))
    after = np.flatnonzero(known & (at >= question.moment))
    if not len(before) or not len(after):
        return ()
    last, first = int(before[-1]), int(after[0])
    about = question.about() | {"design": "descriptive"}
    found = [
        Estimate(key=key, value=values[place], unit=question.unit, **about | {"period": name})
        for key, place, name in (
            ("before", last, periods[last]),
            ("after", first, periods[first]),
        )
    ]
    share = question.unit == "%"
    for key, series in (("change", values), ("change_control", control)):
        if series is None or np.isnan(series[[last, first]]).any():
            continue
        if share or series[last]:
            change = series[first] - series[last] if share else series[first] / series[last] - 1
            found.append(
                Estimate(
                    key=key,
                    value=change if share else 100 * change,
                    unit="points" if share else "%",
                    measure="change between two periods",
                    **about,
                )
            )
    return tuple(found)


def count_periods(periods: Iterable[Any]) -> Array:
    """Return whole numbers that count periods, so that neighbours differ by one.

    Parameters
    ----------
    periods
        Months (``2024-11``; January of a year is its number times 12, plus 1) or whole numbers
        such as years.

    Raises
    ------
    DataError
        If the periods are neither.
    """
    texts = [str(period).strip() for period in periods]
    months = [MONTH.match(text) for text in texts]
    if all(months):
        return np.array(
            [int(match[1]) * 12 + int(match[2]) for match in months if match], dtype=int
        )
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = [np.nan]
    if np.isnan(numbers).any() or any(value != round(value) for value in numbers):
        raise DataError(
            "periods must all be months (2024-11) or whole numbers (2024); got "
            f"{', '.join(texts[:4])}. Write them in one form."
        )
    return np.array(numbers).astype(int)


def periods_between(
    table: pd.DataFrame, first: str, last: str, period: str = "period"
) -> pd.DataFrame:
    """Return the rows from one period to another, both included.

    Raises
    ------
    DataError
        If the periods are not all months or all whole numbers, or no row lies between them.
    """
    at = count_periods([*table[period], first, last])
    chosen = (at[:-2] >= at[-2]) & (at[:-2] <= at[-1])
    if not chosen.any():
        raise DataError(
            f"periods must lie from {first} to {last}; none of the table does. Take other limits."
        )
    return table[chosen]


def numbers_of(table: pd.DataFrame, column: str) -> Array:
    """Return a column as floats, NaN where there is no figure.

    Raises
    ------
    DataError
        If a value is no number.
    """
    try:
        return pd.to_numeric(table[column]).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{column!r} must hold numbers; {error}. Turn codes such as '*' into empty cells."
        ) from None


def in_words(period: str) -> str:
    """Return a month such as ``2024-11`` as November 2024; other periods as they stand."""
    found = MONTH.match(period)
    return f"{month_name[int(found[2])]} {found[1]}" if found else period


def step_in_words(event: str) -> str:
    """Return how often a series has a figure, from its event: a month or a period."""
    return "a month" if MONTH.match(event) else "a period"


def p_in_words(p: float) -> str:
    """Return a p-value as it follows its name: ``= 0.032``, or ``below 0.001``."""
    return "below 0.001" if p < 0.001 else f"= {number(p)}"


def number(value: float | None) -> str:
    """Return an amount with three figures, thousands separated."""
    value = value or 0.0
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def signed(value: float | None) -> str:
    """Return an amount with its sign."""
    return f"{'+' if (value or 0) > 0 else ''}{number(value)}"
