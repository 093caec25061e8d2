"""Rates made comparable between populations of different ages, and life expectancy.

Direct standardisation weights each age band by a standard population; indirect standardisation
compares events with those expected at reference rates.
Eayres, *Technical briefing 3*, APHO 2008; Breslow and Day, IARC 1987, chapter 2.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy import stats

from evidence.errors import DataError, require_choice, require_columns
from evidence.variation import rates, words
from evidence.variation.checks import OK, counts, require_level, require_unique

Array = np.ndarray

ESP2013 = MappingProxyType(
    {
        "0-4": 5000,
        "5-9": 5500,
        "10-14": 5500,
        "15-19": 5500,
        "20-24": 6000,
        "25-29": 6000,
        "30-34": 6500,
        "35-39": 7000,
        "40-44": 7000,
        "45-49": 7000,
        "50-54": 7000,
        "55-59": 6500,
        "60-64": 6000,
        "65-69": 5500,
        "70-74": 5000,
        "75-79": 4000,
        "80-84": 2500,
        "85-89": 1500,
        "90+": 1000,
    }
)
"""European Standard Population 2013 (Eurostat, *Revision of the European Standard Population*)."""

FEWEST_EVENTS = 10
"""Below this number of events a directly standardised rate is not published (Eayres 2008)."""
FEWEST_PEOPLE = 5000
"""Below this number of person-years a life expectancy is not published (Toson and Baker 2003)."""


def direct_rates(
    table: pd.DataFrame,
    *,
    by: str = "area_code",
    band: str = "age_band",
    events: str = "numerator",
    population: str = "denominator",
    standard: str = "standard",
    frequency: str | None = None,
    multiplier: float = 100_000,
    level: float = 0.95,
    method: str = "dobson",
    fewest: int = FEWEST_EVENTS,
) -> pd.DataFrame:
    """Return directly age-standardised rates with their intervals.

    Parameters
    ----------
    table
        One row per area and age band; with `frequency`, one per area, band and number of events.
    by, band, events, population
        Columns.
    standard
        Column of standard populations, such as those of `ESP2013`.
    frequency
        Column with the number of events that each of the `events` people had: repeat events of
        one person are not independent, and widen the interval. None if events are independent.
    multiplier, level
        As in `rates.crude_rates`.
    method
        ``dobson`` (default, the published practice) or ``gamma`` (better cover where few events
        carry large weights).
    fewest
        Fewer events than this give no figure.

    Returns
    -------
    DataFrame
        One row per area, sorted: the area, `events`, `population`, `value`, `low`, `high` and
        `status`.

    Raises
    ------
    DataError
        If columns are absent, counts are negative, the standard holds nobody, or no area has every
        age band. An area that lacks a band, or a count in it, has no figure: its status names the
        band.

    References
    ----------
    Dobson et al., Stat Med 1991;10:457-462; Fay and Feuer, Stat Med 1997;16:791-801;
    for repeat events: Stukel et al., Stat Med 1994;13:1781-1791, eq. 3.
    """
    require_choice(method, ("dobson", "gamma"), "method")
    require_level(level)
    cells = _cells(table, by, band, events, population, standard, frequency)
    lacking = _lacking(cells)
    if not cells["standard"].any():
        raise DataError(
            f"a standard population must hold people; {standard!r} is 0 in every band. Take one "
            "such as ESP2013."
        )
    area, names = pd.factorize(cells["area"], sort=True)
    people = cells["population"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        per_event = cells["standard"].to_numpy() / people
    weight = np.bincount(area, cells["standard"])
    total = np.bincount(area, cells["events"])
    rate = np.bincount(area, per_event * cells["events"]) / weight
    variance = np.bincount(area, per_event**2 * cells["squares"]) / weight**2
    if method == "dobson":
        low, high = _dobson(rate, variance, total, level)
    else:
        heaviest = pd.Series(per_event).groupby(area).max().to_numpy() / weight
        low, high = _fay_feuer(rate, variance, heaviest, level)
    empty = np.bincount(area, people == 0) > 0
    absent = np.array([lacking.get(name, "") for name in names], dtype=object)
    status = np.select(
        [absent != "", empty, total < fewest],
        [absent, "a band without people", f"fewer than {fewest} events"],
        OK,
    )
    shown = status == OK
    return pd.DataFrame(
        {
            by: names,
            "events": total,
            "population": np.bincount(area, people),
            "value": np.where(shown, rate * multiplier, np.nan),
            "low": np.where(shown, low * multiplier, np.nan),
            "high": np.where(shown, high * multiplier, np.nan),
            "status": pd.Series(status, dtype="str"),
        }
    )


def _cells(
    table: pd.DataFrame,
    by: str,
    band: str,
    events: str,
    population: str,
    standard: str,
    frequency: str | None,
) -> pd.DataFrame:
    """Return one row per area and band with events and their sum of squares over people."""
    extra = [frequency] if frequency else []
    require_columns(table, (by, band, events, population, standard, *extra), "a standardised rate")
    require_unique(table, [by, band, *extra], "a standardised rate")
    people, often = counts(table, events), counts(table, frequency) if frequency else 1.0
    cells = pd.DataFrame(
        {
            "area": table[by].to_numpy(),
            "band": table[band].to_numpy(),
            "events": people * often,
            "squares": people * often**2,
            "population": counts(table, population),
            "standard": counts(table, standard),
        }
    )
    if not frequency:
        return cells
    together = {"events": "sum", "squares": "sum", "population": "first", "standard": "first"}
    grouped = cells.groupby(["area", "band"], sort=False, as_index=False)
    gaps = grouped["events"].count()["events"] < grouped.size()["size"]
    joined = grouped.agg(together)
    joined.loc[gaps.to_numpy(), ["events", "squares"]] = np.nan
    return joined


def _lacking(cells: pd.DataFrame) -> dict[object, str]:
    """Return, for each area that lacks an age band or a count in one, words that name the bands.

    A band without people is a row with population 0, never an absent row.
    """
    complete = cells[cells.notna().all(axis=1)]
    bands = cells["band"].drop_duplicates().tolist()
    found = complete.groupby("area", sort=False).size().reindex(cells["area"].unique())
    short = found[found.fillna(0) < len(bands)].index
    if short.empty:
        return {}
    if len(short) == len(found):
        raise DataError(
            f"a standardised rate needs an area with all {words.plural(len(bands), 'age band')}, "
            "with events, population and standard in each; none has them. A band without people "
            "is a row with population 0, never an absent row."
        )
    present = complete.groupby("area", sort=False)["band"].agg(set)
    return {
        area: "no count in age band "
        + words.listed([str(band) for band in bands if band not in present.get(area, set())])
        for area in short
    }


def _dobson(rate: Array, variance: Array, total: Array, level: float) -> tuple[Array, Array]:
    low, high = rates.byar(total, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.sqrt(variance / total)
    return rate + scale * (low - total), rate + scale * (high - total)


def _fay_feuer(rate: Array, variance: Array, heaviest: Array, level: float) -> tuple[Array, Array]:
    tail = (1 - level) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        low = stats.gamma.ppf(tail, rate**2 / variance, scale=variance / rate)
        upper, spread = rate + heaviest, variance + heaviest**2
        high = stats.gamma.isf(tail, upper**2 / spread, scale=spread / upper)
    return np.where(rate > 0, low, 0.0), high


def indirect_ratios(
    table: pd.DataFrame,
    *,
    by: str = "area_code",
    band: str = "age_band",
    events: str = "numerator",
    population: str = "denominator",
    reference_events: str = "reference_events",
    reference_population: str = "reference_population",
    ratio: float = 100,
    multiplier: float = 100_000,
    level: float = 0.95,
    method: str = "byar",
) -> pd.DataFrame:
    """Return indirectly standardised ratios (SMR) and rates with their intervals.

    Parameters
    ----------
    table
        One row per area and age band, with the reference's events and population of the band.
    by, band, events, population, reference_events, reference_population
        Columns.
    ratio
        Value of the ratio where events are as expected.
    multiplier
        Of the rates.
    level
        Coverage of the intervals.
    method
        ``byar`` (exact below 10 events) or ``exact``.

    Returns
    -------
    DataFrame
        One row per area, sorted: the area, `observed`, `expected`, `value` with `low` and `high`
        (the ratio), `rate` with `rate_low` and `rate_high`, `reference_rate`, `method`, `status`.

    Raises
    ------
    DataError
        If columns are absent, counts are negative, no area has every age band, or a reference
        band has no people. An area that lacks a band has no figure: its status names the band.

    References
    ----------
    Breslow and Day, IARC 1987, section 2.3; Eayres 2008.
    """
    require_choice(method, ("byar", "exact"), "method")
    reference = (reference_events, reference_population)
    cells = _cells(table, by, band, events, population, reference_population, None)
    require_columns(table, reference, "an indirectly standardised ratio")
    lacking = _lacking(cells)
    if (cells["standard"] == 0).any():
        raise DataError("every age band of the reference needs people; one has none. Join bands.")
    cells["at_reference"] = counts(table, reference_events) / cells["standard"]
    area, names = pd.factorize(cells["area"], sort=True)
    observed = np.bincount(area, cells["events"])
    expected = np.bincount(area, cells["population"] * cells["at_reference"])
    limits = rates.count_limits if method == "byar" else rates.poisson_exact
    low, high = limits(observed, level)
    crude = np.bincount(area, cells["at_reference"] * cells["standard"])
    with np.errstate(invalid="ignore"):
        reference_rate = crude / np.bincount(area, cells["standard"]) * multiplier
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            name: np.where(expected > 0, value / expected, np.nan)
            for name, value in (("value", observed), ("low", low), ("high", high))
        }
    used = np.where((observed < rates.SMALL_COUNT) | (method == "exact"), "exact", "byar")
    absent = np.array([lacking.get(name, "") for name in names], dtype=object)
    status = np.select([absent != "", expected == 0], [absent, "no event expected"], OK)
    for values in found.values():
        values[absent != ""] = np.nan
    return pd.DataFrame(
        {
            by: names,
            "observed": observed,
            "expected": expected,
            **{name: value * ratio for name, value in found.items()},
            "rate": found["value"] * reference_rate,
            "rate_low": found["low"] * reference_rate,
            "rate_high": found["high"] * reference_rate,
            "reference_rate": reference_rate,
            "method": pd.Series(used, dtype="str"),
            "status": pd.Series(status, dtype="str"),
        }
    )


def life_expectancy(
    table: pd.DataFrame,
    *,
    start: str = "start_age",
    deaths: str = "numerator",
    population: str = "denominator",
    level: float = 0.95,
    fewest: float = FEWEST_PEOPLE,
) -> pd.DataFrame:
    """Return life expectancy at every age of one abridged life table, with its interval.

    Parameters
    ----------
    table
        One row per age band in order of age, beginning with 0; the last band is open.
    start, deaths, population
        Columns: first age of the band, deaths, person-years.
    level
        Coverage of the intervals.
    fewest
        Fewer person-years than this in all give no figure.

    Returns
    -------
    DataFrame
        The rows of `table` with `value`, `low`, `high` and `status`.

    Raises
    ------
    DataError
        If columns are absent, ages are out of order or do not begin with 0, there are more deaths
        than person-years or than a band's width allows, or none in the open band.

    References
    ----------
    Chiang, *The life table and its applications*, 1984, chapters 6 and 8 (a = 0.1 in the first
    year, else 0.5); variance of the open band: Silcocks et al., J Epidemiol Community Health
    2001;55:38-43; `fewest`: Toson and Baker, ONS National Statistics Methodological Series 33.
    """
    require_columns(table, (start, deaths, population), "a life table")
    require_level(level)
    age, died, lived = (counts(table, name) for name in (start, deaths, population))
    _check_life_table(age, died, lived)
    enough = lived.sum() >= fewest
    value = half = np.full(len(age), np.nan)
    if enough:
        value, variance = _chiang(age, died, lived)
        half = stats.norm.isf((1 - level) / 2) * np.sqrt(variance)
    rows = table.reset_index(drop=True).assign(value=value, low=value - half, high=value + half)
    rows["status"] = OK if enough else f"fewer than {fewest:,.0f} person-years"
    return rows


def _check_life_table(age: Array, died: Array, lived: Array) -> None:
    if len(age) < 2 or age[0] != 0 or not (np.diff(age) > 0).all():
        raise DataError(
            f"a life table needs rising ages that begin with 0; got {age[:5].tolist()}. Sort them."
        )
    if np.isnan(died).any() or np.isnan(lived).any() or (died > lived).any():
        raise DataError(
            "a life table needs deaths and person-years in every band, and no more deaths than "
            "person-years. Correct the bands, or join them."
        )
    if died[-1] == 0:
        raise DataError(
            "the open last band of a life table needs deaths; it has none. Join the last bands."
        )


def _chiang(age: Array, died: Array, lived: Array) -> tuple[Array, Array]:
    rate = np.divide(died, lived, out=np.zeros_like(died), where=lived > 0)
    width = np.diff(age)
    share = np.where(age[:-1] == 0, 0.1, 0.5)
    dying = width * rate[:-1] / (1 + width * (1 - share) * rate[:-1])
    if (dying > 1).any():
        raise DataError(
            "a life table needs no more deaths than people in every band; those from age "
            f"{words.listed([f'{first:g}' for first in age[:-1][dying > 1]])} have more than their "
            "width allows. Join bands."
        )
    alive = np.concatenate(([1.0], np.cumprod(1 - dying)))
    years = np.append(width * (alive[1:] + share * alive[:-1] * dying), alive[-1] / rate[-1])
    expectancy = years[::-1].cumsum()[::-1] / alive
    spread = np.divide(
        dying**2 * (1 - dying), died[:-1], out=np.zeros_like(dying), where=died[:-1] > 0
    )
    terms = alive[:-1] ** 2 * ((1 - share) * width + expectancy[1:]) ** 2 * spread
    last = alive[-1] ** 2 / (died[-1] * rate[-1] ** 2)
    return expectancy, np.append(terms, last)[::-1].cumsum()[::-1] / alive**2
