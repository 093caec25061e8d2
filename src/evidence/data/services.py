"""Monthly series of Talking Therapies services, one service or several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from evidence.data.tables import load
from evidence.errors import DataError

DATASET = "talking_therapies_services"
ENGLAND = "ENGLAND"


@dataclass(frozen=True, slots=True)
class Series:
    """What a monthly series counts; a share if it has a denominator, otherwise a count.

    The denominator is the sum of `whole` less `minus`.
    """

    label: str
    unit: str
    direction_better: str
    part: str
    whole: str = ""
    minus: str = ""

    @property
    def measures(self) -> list[str]:
        """The measures of the source that the series needs."""
        return [name for name in (self.part, self.whole, self.minus) if name]

    def described(self, services: Sequence[str], months: pd.DataFrame) -> dict[str, str]:
        """Return what the series counts, part by part, in words for a reader."""
        gaps = months.loc[months["status"] != "ok", "period"]
        counted, *whole = (MEASURES[name] for name in self.measures)
        return {
            "Counted": counted,
            "Out of": " less ".join(whole) or "nothing: a count",
            "Better": {"none": "no direction is better"}.get(
                self.direction_better, self.direction_better
            ),
            "Service codes": " ".join(services),
            "Codes reporting": f"{months['services'].min()} to {months['services'].max()} a month",
            "Months without a figure": " ".join(gaps) or "none",
        }


MEASURES = {
    "recovery": "courses that ended in recovery: from caseness to below it",
    "reliable_recovery": "courses that ended in recovery with a reliable improvement",
    "finished_course_treatment": "courses finished in the month",
    "not_at_caseness": "those that were not at caseness when they began",
    "referrals_received": "referrals received in the month",
}
"""What the measures of the source count, in words."""

SERIES = {
    "recovery": Series(
        "Recovery after Talking Therapies",
        "%",
        "higher",
        "recovery",
        "finished_course_treatment",
        "not_at_caseness",
    ),
    "reliable_recovery": Series(
        "Reliable recovery after Talking Therapies",
        "%",
        "higher",
        "reliable_recovery",
        "finished_course_treatment",
        "not_at_caseness",
    ),
    "referrals_received": Series(
        "Referrals to Talking Therapies", "referrals a month", "none", "referrals_received"
    ),
    "finished_course_treatment": Series(
        "Finished courses of Talking Therapies",
        "courses a month",
        "none",
        "finished_course_treatment",
    ),
}


def service_codes(boroughs: Sequence[str] = (), *, in_each: bool = False) -> list[str]:
    """Return the codes of the services that work in these boroughs, or of all London services.

    Only services whose borough could be placed are found by borough.

    Parameters
    ----------
    boroughs
        Codes of boroughs.
    in_each
        Whether each borough must have one, so that what is said of all holds for all.

    Raises
    ------
    DataError
        If `in_each` and a borough has no service that could be placed.
    """
    if not boroughs:
        return list(load(DATASET, "services")["service_code"])
    placed = load(DATASET, "service_boroughs")
    without = [code for code in boroughs if code not in set(placed.borough_code)]
    if in_each and without:
        raise DataError(
            f"each borough must have a service that could be placed; {', '.join(without)} has "
            "none. Leave it out."
        )
    return list(dict.fromkeys(placed.loc[placed.borough_code.isin(boroughs), "service_code"]))


def service_months(measure: str, services: Sequence[str]) -> pd.DataFrame:
    """Return a monthly series of some services together.

    A service counts in a month only with all the measures that the series needs.
    A count is not given for a month in which a service that reports before and after is missing,
    or in which the places of an ended code report under no code; a share still is.

    Parameters
    ----------
    measure
        A key of `SERIES`.
    services
        Codes of services, or ``ENGLAND`` alone.

    Returns
    -------
    DataFrame
        period, numerator, denominator, value, services (how many counted), missing (their codes,
        separated by spaces), status (ok or missing), in order of period.

    Raises
    ------
    DataError
        If the measure or a code is unknown.
    """
    series = _series(measure)
    months = load(DATASET, "months")
    unknown = sorted(set(services) - set(months["service_code"].unique()))
    if unknown or not services:
        raise DataError(
            f"services must be codes of {DATASET}; got {', '.join(unknown) or 'none'}. "
            "See services.csv of that dataset."
        )
    mine = months[months.service_code.isin(services) & months.measure.isin(series.measures)]
    wide = mine.pivot(index=["period", "service_code"], columns="measure", values="value").dropna()
    table = _summed(wide, series, sorted(months["period"].unique()))
    table["missing"] = [" ".join(codes) for codes in _absent(wide, table["period"], services)]
    counted = table["numerator"].notna() & ((table["missing"] == "") | (series.whole != ""))
    table["status"] = counted.map({True: "ok", False: "missing"}).astype("str")
    table["value"] = table["value"].where(counted)
    return table


def service_events(services: Sequence[str], series: pd.DataFrame) -> list[dict[str, str]]:
    """Return the reorganisations of these services that fall inside a series.

    Parameters
    ----------
    services
        Codes of services.
    series
        From `service_months`.

    Returns
    -------
    list of dict
        ``date`` (month) and ``label``; the reorganisation of most codes first.
    """
    events = load(DATASET, "service_events")
    events = events.assign(old=events["old_codes"].str.split(";"))
    codes = set(services)
    first, last = series["period"].iloc[0], series["period"].iloc[-1]
    return [
        {"date": row.date, "label": _event_label(row)}
        for row in sorted(events.itertuples(), key=lambda row: -len(row.old))
        if first < row.date <= last and codes & {row.new_code, *row.old}
    ]


def _event_label(event: Any) -> str:
    places = event.note.partition(":")[0].partition(" under")[0].replace(" and ", ", ")
    merged = len(event.old) > 1
    return f"{places}: {'one code' if merged else 'new code'}"


def _series(measure: str) -> Series:
    if measure not in SERIES:
        raise DataError(
            f"a monthly series must be one of {', '.join(SERIES)}; got {measure!r}. Choose one."
        )
    return SERIES[measure]


def _summed(wide: pd.DataFrame, series: Series, periods: list[str]) -> pd.DataFrame:
    total = wide.groupby(level="period").sum().reindex(periods)
    table = pd.DataFrame({"period": periods, "numerator": total[series.part].to_numpy()})
    if not series.whole:
        table["denominator"] = float("nan")
        table["value"] = table["numerator"]
    else:
        table["denominator"] = (total[series.whole] - total[series.minus]).to_numpy()
        table["value"] = 100 * table["numerator"] / table["denominator"]
    count = wide.groupby(level="period").size().reindex(periods).fillna(0)
    table["services"] = count.astype("int64").to_numpy()
    return table


def _absent(wide: pd.DataFrame, periods: pd.Series, services: Sequence[str]) -> list[list[str]]:
    """Return for each period the codes that should have reported and did not."""
    present = {(period, code) for period, code in wide.index}
    spans = wide.reset_index().groupby("service_code")["period"].agg(["min", "max"])
    until = _bridged(spans, services)
    return [
        [
            code
            for code, first, last in until
            if first <= period <= last and (period, code) not in present
        ]
        for period in periods
    ]


def _bridged(spans: pd.DataFrame, services: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return code, first and last month; an ended code lasts until its successor reports."""
    successors = {
        old: row.new_code
        for row in load(DATASET, "service_events").itertuples()
        for old in row.old_codes.split(";")
    }
    found = []
    for code, first, last in spans.itertuples():
        heir = successors.get(code)
        if heir in services and heir in spans.index:
            last = max(last, _month_before(spans.loc[heir, "min"]))
        found.append((code, first, last))
    return found


def _month_before(period: str) -> str:
    return str(pd.Period(period, "M") - 1)
