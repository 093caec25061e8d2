"""Many results side by side: what is real in the spread of many indicators, and many services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result
from evidence.variation import words
from evidence.variation.areas import small_area_variation
from evidence.variation.spc import SIGNALS

RARE = 0.1
"""Up to this share of all, chance moves counts like rare events (Poisson) within a tenth."""

RECENT = 12
"""Last months of a series in which a signal counts as recent."""


def real_variation(
    funnels: Mapping[str, Result],
    changes: Mapping[str, Result],
    *,
    labels: Mapping[str, str] | None = None,
    seed: int = 1,
) -> Result:
    """Return how much of the variation of each indicator is more than chance, and what lasts.

    Parameters
    ----------
    funnels
        Results of `limits.funnel` by indicator.
    changes
        Results of `rates.change` by indicator; one may be absent or without a correlation.
    labels
        Short names of indicators; the key if absent.
    seed
        Of the bootstrap behind `eb_low` and `eb_high`.

    Returns
    -------
    Result
        Table, one row per indicator: `indicator`, `label`, `unit`, `period`, `areas`, `pooled`,
        `tau`, `tau_low`, `tau_high` (standard deviation between areas, chance set aside),
        `relative`, `relative_low`, `relative_high` (the same in % of the pooled value),
        `not_chance` (mean over areas of the share of variance that is not chance, %),
        `lasting`, `lasting_low`, `lasting_high` (correlation with the year before),
        `eb_variance`, `eb_low`, `eb_high`, `scv` (only where events are rare or the indicator is
        a rate), `small_area` (why they are absent, or empty), `beyond` (areas outside the widened
        limits). Estimates: `indicators`, `figures`, `beyond`, `not_chance` and `lasting` (medians).

    Raises
    ------
    DataError
        If there is no funnel, or a result is no funnel.

    References
    ----------
    Spiegelhalter, Stat Med 2005;24:1185-1202 (spread beyond chance); Diehr et al., Med Care
    1992;30:1054-1066, Ibáñez et al., BMC Health Serv Res 2009;9:60 (small-area statistics).
    """
    if not funnels:
        raise DataError("an overview needs at least one funnel; got none. Run the indicators.")
    rows = [
        _indicator_row(key, found, changes.get(key), (labels or {}).get(key, key), seed)
        for key, found in funnels.items()
    ]
    table = pd.DataFrame(rows).sort_values("relative", ascending=False, na_position="last")
    table = table.reset_index(drop=True)
    figures, beyond = int(table["areas"].sum()), int(table["beyond"].sum())
    numbers = {
        "indicators": (len(table), "indicators"),
        "figures": (figures, "figures"),
        "beyond": (beyond, "figures"),
        "not_chance": (table["not_chance"].median(), "%"),
        "lasting": (table["lasting"].median(), ""),
    }
    return Result(
        text=_real_words(table, figures, beyond),
        estimates=tuple(
            Estimate(key=key, value=value, unit=unit, design="descriptive")
            for key, (value, unit) in numbers.items()
            if np.isfinite(value)
        ),
        table=table,
        settings={"method": "real_variation", "seed": seed, "rare": RARE},
        cautions=_real_doubts(table),
    )


def _indicator_row(
    key: str, found: Result, change: Result | None, label: str, seed: int
) -> dict[str, Any]:
    asked = found.settings
    if asked.get("method") != "funnel":
        raise DataError(f"an overview reads funnel results; {key!r} is not one. Leave it out.")
    numbers = {estimate.key: estimate for estimate in found.estimates}
    pooled = numbers["pooled"].value if "pooled" in numbers else np.nan
    beyond = numbers["outside_adjusted"].value if "outside_adjusted" in numbers else 0
    tau, relative = _limits(numbers.get("tau")), np.full(3, np.nan)
    if pooled:
        relative = 100 * tau / pooled
    signal = found.table["signal"] if "signal" in found.table else pd.Series(dtype="float64")
    kept = {estimate.key: estimate for estimate in change.estimates} if change else {}
    return {
        "indicator": key,
        "label": label,
        "unit": asked["unit"],
        "period": asked["period"],
        "areas": int(found.table["value"].notna().sum()),
        "pooled": pooled,
        **_ends("tau", tau),
        **_ends("relative", relative),
        "not_chance": 100 * signal.mean(),
        **_ends("lasting", _limits(kept.get("correlation"))),
        **_small_area(found, seed),
        "beyond": int(beyond or 0),
    }


def _limits(estimate: Estimate | None) -> np.ndarray:
    if estimate is None:
        return np.full(3, np.nan)
    return np.array([estimate.value, estimate.low, estimate.high], dtype=float)


def _ends(name: str, limits: np.ndarray) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), limits.tolist(), strict=True))


def _small_area(found: Result, seed: int) -> dict[str, Any]:
    rows, asked = found.table, found.settings
    known = rows[rows["value"].notna()]
    share = known["numerator"].sum() / known["denominator"].sum() if len(known) else np.nan
    absent = _ends("eb_variance", np.full(3, np.nan)) | {"scv": np.nan}
    if asked["measure"] == "proportion" and not share <= RARE:
        return _renamed(absent) | {"small_area": "events are common: chance is binomial"}
    expected = rows.assign(expected=share * rows["denominator"], population=rows["denominator"])
    spread = small_area_variation(expected, observed="numerator", seed=seed)
    if not spread.known:
        return _renamed(absent) | {"small_area": spread.reason}
    variance = _ends("eb_variance", _limits(spread["eb_variance"]))
    return _renamed(variance | {"scv": spread["scv"].value}) | {"small_area": ""}


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("eb_variance_", "eb_"): value for key, value in found.items()}


def _real_words(table: pd.DataFrame, figures: int, beyond: int) -> str:
    share, kept = table["not_chance"], table["lasting"]
    lasting = ""
    if kept.notna().any():
        lasting = f"; the correlation with the year before is {kept.min():.2f} to {kept.max():.2f}"
    if share.isna().all():
        return f"{words.plural(len(table), 'indicator')}: areas were not judged."
    found = words.share_of(beyond, figures, "figure")
    lie = words.verb(max(beyond, 1), "lies", "lie")
    return (
        f"In {words.plural(len(table), 'indicator')} chance explains {100 - share.max():.0f} to "
        f"{100 - share.min():.0f}\u00a0% of the variance between areas{lasting}. Yet "
        f"{f'only {found}' if beyond else found} {lie} beyond how far areas usually differ."
    )


def _real_doubts(table: pd.DataFrame) -> tuple[Caution, ...]:
    doubts = [
        Caution(
            "other",
            "More than chance is not the same as better or worse care: areas differ in who lives "
            "there, in what is recorded and in who is counted.",
        )
    ]
    without = table.loc[table["lasting"].isna(), "label"].tolist()
    if without:
        doubts.append(
            Caution(
                "missing_periods", f"No year before to compare with: {words.listed(without, 6)}."
            )
        )
    if len(table) and table["small_area"].ne("").any():
        doubts.append(
            Caution(
                "other",
                "Small-area statistics (empirical-Bayes variance, SCV) take events as rare; they "
                f"are left out where more than {100 * RARE:.0f}\u00a0% have the event, because "
                "there chance moves counts less than they assume.",
            )
        )
    return tuple(doubts)


def services(charts: Mapping[str, Result], *, indicator: str = "", unit: str = "") -> Result:
    """Return the signals of many control charts, one row for each service.

    Parameters
    ----------
    charts
        Results of `spc.xmr` by name of the service; a chart that could not be drawn keeps its
        reason.
    indicator, unit
        Words for the reader.

    Returns
    -------
    Result
        Table: `service`, `months` (with a figure), `first_mean` and `mean` (of the first and the
        last stretch between breaks), `latest`, `period`, `point` (reading of the latest month),
        `improvement`, `concern`, `other` and `at_break` (numbers of months), `recent` (what the
        signals of the last twelve months say: ``improvement``, ``concern``, ``both``, ``high or
        low``, ``none``), `breaks` (labels with their month) and `reason`. Estimates: `services`
        and the numbers of them by what is recent.

    Raises
    ------
    DataError
        If there is no chart.
    """
    if not charts:
        raise DataError("an overview of services needs at least one chart; got none.")
    rows = [_service_row(name, chart) for name, chart in charts.items()]
    table = pd.DataFrame(rows)
    table["months"] = table["months"].astype("int64")
    recent = table["recent"].value_counts()
    counted = {
        "services": len(table),
        "improving": int(recent.get("improvement", 0)),
        "worsening": int(recent.get("concern", 0)),
        "both": int(recent.get("both", 0)),
        "high_or_low": int(recent.get("high or low", 0)),
        "without": int(recent.get("none", 0)),
    }
    return Result(
        text=_service_words(counted, indicator or "This series"),
        estimates=tuple(
            Estimate(key=key, value=value, unit="services", design="descriptive")
            for key, value in counted.items()
        ),
        table=table,
        settings={"method": "services", "indicator": indicator, "unit": unit, "recent": RECENT},
        cautions=_service_doubts(table, charts),
    )


def _service_row(name: str, chart: Result) -> dict[str, Any]:
    counts = ("improvement", "concern", "other", "at_break")
    if not chart.known:
        blank = {"first_mean": np.nan, "mean": np.nan, "latest": np.nan, "period": "", "point": ""}
        nothing = dict.fromkeys(counts, 0)
        texts = {"recent": "none", "breaks": "", "reason": chart.reason}
        return {"service": name, "months": 0, **blank, **nothing, **texts}
    rows = chart.table
    known = rows[rows["value"].notna()]
    last = known.iloc[-1]
    kinds = known["point"].value_counts()
    return {
        "service": name,
        "months": len(known),
        "first_mean": known["mean"].iloc[0],
        "mean": last["mean"],
        "latest": last["value"],
        "period": last["period"],
        "point": last["point"],
        "improvement": int(kinds.get("improvement", 0)),
        "concern": int(kinds.get("concern", 0)),
        "other": int(kinds.get("neutral high", 0) + kinds.get("neutral low", 0)),
        "at_break": int(kinds.get("at a break", 0)),
        "recent": _recent(rows["point"].tail(RECENT)),
        "breaks": "; ".join(
            f"{event} ({period})"
            for event, period in rows.loc[rows["event"] != "", ["event", "period"]].to_numpy()
        ),
        "reason": "",
    }


def _recent(points: pd.Series) -> str:
    seen = set(points) & set(SIGNALS)
    if {"improvement", "concern"} <= seen:
        return "both"
    if seen & {"neutral high", "neutral low"}:
        return "high or low"
    return next(iter(seen), "none")


def _service_words(counted: dict[str, int], name: str) -> str:
    moved = [
        f"{counted[key]} {what}"
        for key, what in (
            ("improving", "for the better"),
            ("worsening", "for the worse"),
            ("both", "both ways"),
            ("high_or_low", "high or low"),
        )
        if counted[key]
    ]
    some = counted["services"] - counted["without"]
    judged = counted["high_or_low"] < some
    ways = f" ({', '.join(moved)})" if judged and moved else ""
    of = words.share_of(some, counted["services"], "service")
    return (
        f"{name}: in the last {RECENT} months {of} "
        f"{words.verb(max(some, 1), 'has', 'have')} a signal beyond routine variation{ways}."
    )


def _service_doubts(table: pd.DataFrame, charts: Mapping[str, Result]) -> tuple[Caution, ...]:
    doubts = [
        Caution(
            "multiple_testing",
            f"{words.plural(len(table), 'chart')} of up to {table['months'].max()} months are "
            "looked at together: some signals arise by chance in every one of them.",
        )
    ]
    rows = {name: chart.table for name, chart in charts.items() if chart.known}
    changed = {name: one.loc[one["event"] != "", "period"].tolist() for name, one in rows.items()}
    broken = [f"{name} ({', '.join(months)})" for name, months in changed.items() if months]
    if broken:
        doubts.append(
            Caution(
                "series_break",
                f"Codes changed: {'; '.join(broken)}. Mean and limits start anew there; a jump is "
                "consistent with a recording break and is not read as an effect.",
            )
        )
    return tuple(doubts)
