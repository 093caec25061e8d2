"""What figures say about areas: how much small areas vary, and one area across indicators.

Diehr et al., Med Care 1992;30:1054-1066, and Ibáñez et al., BMC Health Serv Res 2009;9:60, compare
the statistics of small-area variation: quotients and coefficients grow with chance alone, the
variance by empirical Bayes does not, so it leads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special, stats

from evidence.errors import DataError, require_columns, require_random
from evidence.results import Caution, Estimate, Result
from evidence.variation import rates, words
from evidence.variation.checks import OK, require_unique

Array = np.ndarray

BOOTSTRAPS = 2000
FEW_AREAS = 10

PROFILE_COLUMNS = (
    "value",
    "low",
    "high",
    "lower_99_8",
    "upper_99_8",
    "adjusted_lower_99_8",
    "adjusted_upper_99_8",
    "shrunken",
    "shrunken_low",
    "shrunken_high",
    "signal",
)
"""Columns of a funnel's table that an area's profile carries over."""


def profile(
    results: Mapping[str, Result],
    area_code: str,
    *,
    area: str = "",
    labels: Mapping[str, str] | None = None,
) -> Result:
    """Return one area's figures across indicators, ranked by their distance after noise.

    Parameters
    ----------
    results
        Results of `limits.funnel` by indicator; unit, period, direction and comparator are read
        from their settings.
    area_code
        The area.
    area
        Its name, if no result holds it.
    labels
        Short names of indicators for rows and charts; the indicator's own title if absent.

    Returns
    -------
    Result
        Table: one row per indicator, the largest distance first, with the funnel's columns for
        this area, `pooled`, `median`, `minimum`, `maximum`, `tau`, `gap` (value minus pooled),
        `gap_after_noise` with `gap_low` and `gap_high` (the empirical-Bayes estimate minus
        pooled), `side` (``better``, ``worse``, ``higher``, ``lower``, ``none``), `clear` (the
        interval excludes no gap),
        `reading` (the side where it is clear, otherwise ``not clear of noise``), `beyond` (``yes``
        outside the widened limits),
        `distance` (gap after noise in standard deviations between areas) and `rank` (1 for the
        largest distance; 0 where there is no figure). Estimates: `indicators`, `clear_better`,
        `clear_worse`, `beyond` (outside the widened limits).

    Raises
    ------
    DataError
        If there is no result, a result is no funnel, or no result knows the area.

    References
    ----------
    Efron and Morris, J Am Stat Assoc 1975;70:311-319 (shrinkage towards the common value).
    """
    if not results:
        raise DataError("a profile needs at least one funnel result; got none. Run the funnels.")
    rows = [
        _profile_row(key, result, area_code, (labels or {}).get(key, ""))
        for key, result in results.items()
    ]
    table = _ranked(pd.DataFrame(rows))
    names = [name for name in table.pop("area") if name]
    name = area or (names[0] if names else "")
    if not name:
        raise DataError(
            f"the area must be in at least one funnel; no result holds {area_code!r}. "
            "Check the code."
        )
    return Result(
        text=_profile_finding(table, name),
        estimates=_profile_estimates(table, name),
        table=table,
        settings={"method": "profile", "area_code": area_code, "area": name},
        cautions=_profile_cautions(table),
    )


def _profile_row(key: str, result: Result, area_code: str, label: str) -> dict[str, Any]:
    asked = result.settings
    if asked.get("method") != "funnel":
        raise DataError(f"a profile reads funnel results; {key!r} is not one. Leave it out.")
    found = result.table[result.table["area_code"] == area_code]
    row = found.iloc[0].to_dict() if len(found) else {}
    known = {estimate.key: estimate.value for estimate in result.estimates}
    pooled = known.get("pooled")
    return {
        "indicator": key,
        "label": label or asked["indicator"] or key,
        "unit": asked["unit"],
        "period": asked["period"],
        "direction_better": asked["direction_better"],
        "area": row.get("area", ""),
        "status": row.get("status", "not in this indicator"),
        **{name: row.get(name, np.nan) for name in PROFILE_COLUMNS},
        **{name: known.get(name, np.nan) for name in ("pooled", "median", "minimum", "maximum")},
        "tau": known.get("tau", np.nan),
        "position": row.get("position", "no figure"),
        "judgement": row.get("judgement", "no figure"),
        "gap": _less(row.get("value"), pooled),
        "gap_after_noise": _less(row.get("shrunken"), pooled),
        "gap_low": _less(row.get("shrunken_low"), pooled),
        "gap_high": _less(row.get("shrunken_high"), pooled),
    }


def _less(value: float | None, pooled: float | None) -> float:
    if value is None or pooled is None:
        return np.nan
    return 0.0 if math.isclose(value, pooled, rel_tol=1e-12) else value - pooled


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    gap, tau = table["gap_after_noise"], table["tau"]
    table["distance"] = np.where(tau > 0, gap / tau.where(tau > 0), 0.0 * gap)
    table["clear"] = (table["gap_low"] > 0) | (table["gap_high"] < 0)
    table["side"] = pd.Series(
        [_side(*pair) for pair in zip(gap, table["direction_better"], strict=True)], dtype="str"
    )
    order = table["distance"].abs().rank(ascending=False, method="first")
    table["rank"] = order.fillna(0).astype("int64")
    table["reading"] = _readings(table)
    table["beyond"] = table["position"].map(_BEYOND).astype("str")
    for name in ("indicator", "label", "unit", "period", "direction_better", "status"):
        table[name] = table[name].astype("str")
    last = table["rank"].where(table["rank"] > 0, len(table) + 1)
    return table.loc[last.sort_values(kind="stable").index].reset_index(drop=True)


_BEYOND = {"above": "yes", "below": "yes", "within": "no", "no figure": "no figure"}
"""Whether an area lies outside limits widened by the usual spread, by its position."""


def _readings(table: pd.DataFrame) -> pd.Series:
    """Return what each gap says in words: its side where it is clear of noise."""
    said = table["side"].where(table["clear"], "not clear of noise")
    return said.mask(table["value"].isna(), "no figure").astype("str")


def _side(gap: float, direction: str) -> str:
    if np.isnan(gap) or gap == 0:
        return "none"
    above, below = {"higher": ("better", "worse"), "lower": ("worse", "better")}.get(
        direction, ("higher", "lower")
    )
    return above if gap > 0 else below


def _profile_estimates(table: pd.DataFrame, area: str) -> tuple[Estimate, ...]:
    numbers = {
        "indicators": table["value"].notna().sum(),
        "clear_better": (table["clear"] & (table["side"] == "better")).sum(),
        "clear_worse": (table["clear"] & (table["side"] == "worse")).sum(),
        "beyond": table["position"].isin(["above", "below"]).sum(),
    }
    return tuple(
        Estimate(key=key, value=int(value), unit="indicators", area=area, design="descriptive")
        for key, value in numbers.items()
    )


def _profile_finding(table: pd.DataFrame, area: str) -> str:
    known = table[table["value"].notna()]
    clear = known[known["clear"]].sort_values("rank")
    if known.empty:
        return f"{area}: no indicator has a figure."
    if clear.empty:
        return (
            f"{area}: none of {words.plural(len(known), 'indicator')} differs from all areas "
            "together by more than noise."
        )
    worse = clear[clear["side"] == "worse"]
    first = (worse if len(worse) else clear).iloc[0]
    return (
        f"{area}: {words.share_of(len(clear), len(known), 'indicator')} "
        f"{words.verb(len(clear), 'differs', 'differ')} from all areas together by more than "
        f"noise; the largest gap{_of(first)} is {first['label']}, "
        f"{words.amount(first['value'], first['unit'])} against "
        f"{words.amount(first['pooled'], first['unit'])}."
    )


def _of(row: pd.Series) -> str:
    return {"worse": " for the worse", "better": " for the better"}.get(row["side"], "")


def _profile_cautions(table: pd.DataFrame) -> tuple[Caution, ...]:
    doubts = []
    absent = table[table["value"].isna()]
    if len(absent):
        doubts.append(
            Caution("suppression", f"No figure for {words.listed(absent['label'].tolist())}.")
        )
    known = len(table) - len(absent)
    doubts.append(
        Caution(
            "multiple_testing",
            f"{words.plural(known, 'indicator')} {words.verb(known, 'is', 'are')} looked at "
            "together: some gap appears in every area. Gaps are shrunk by the share that is noise, "
            "and ranked after that.",
        )
    )
    return tuple(doubts)


def small_area_variation(
    table: pd.DataFrame,
    *,
    observed: str = "observed",
    expected: str = "expected",
    population: str = "population",
    area_code: str = "area_code",
    status: str = "status",
    level: float = 0.95,
    draws: int = BOOTSTRAPS,
    seed: int = 1,
    indicator: str = "",
) -> Result:
    """Return how much small areas vary beyond chance, by the statistics in use.

    Parameters
    ----------
    table
        One row per area with observed and expected events, and people.
    observed, expected, population, area_code, status
        Columns; the last may be absent.
    level
        Coverage of the bootstrap interval of `eb_variance`.
    draws, seed
        Bootstrap samples of areas, and the seed of their choice.
    indicator
        Words for the reader.

    Returns
    -------
    Result
        Table: `area_code`, `observed`, `expected`, `population`, `status`, `rate`, `ratio`
        (observed over expected) and the shrunken `rate_marshall`, `ratio_marshall` and
        `ratio_gamma`. Estimates, the first of them the one to lead with: `eb_variance` (variance
        of log ratios between areas, gamma-Poisson: 1/θ) with interval, `scv` (systematic
        component of variation), `chi2` and `chi2_p`, `extremal_quotient` (absent with a rate of
        0), `quotient_5_95`, `quotient_quartiles`, `cv`, `cv_weighted`, `log_variance` (DerSimonian
        and Laird, areas with events), `log_mean`, `log_q`, `nb_theta`, `nb_mean`, `nb_loglik`.

    Raises
    ------
    DataError
        If columns are absent, areas repeat, or counts are negative.

    References
    ----------
    McPherson et al., N Engl J Med 1982;307:1310-1314 (SCV); Marshall, Appl Stat 1991;40:283-294;
    Clayton and Kaldor, Biometrics 1987;43:671-681 (gamma-Poisson, here by maximum likelihood).
    """
    require_columns(table, (area_code, observed, expected, population), "small-area variation")
    require_unique(table, [area_code], "small-area variation")
    o, e, reasons = rates.read_counts(table, observed, expected, status, bounded=False)
    _, n, people = rates.read_counts(table, observed, population, status, bounded=False)
    reasons = np.where(reasons == OK, people, reasons)
    used = reasons == OK
    rows = pd.DataFrame(
        {
            "area_code": table[area_code].astype("str").to_numpy(),
            "observed": o,
            "expected": e,
            "population": n,
            "status": pd.Series(reasons, dtype="str"),
        }
    )
    name = indicator or "This figure"
    settings = {"method": "small_area_variation", "level": level, "draws": draws, "seed": seed}
    if used.sum() < 3 or o[used].sum() == 0:
        because = f"{words.plural(int(used.sum()), 'area')} with a figure, or no event at all"
        return Result(
            text=f"{name}: variation not known: {because}.",
            table=rows,
            settings=settings,
            reason=because,
        )
    o, e, n = o[used], e[used], n[used]
    theta, mean, loglik = _gamma_poisson(o, e)
    for column, values in (
        ("rate", o / n),
        ("ratio", o / e),
        ("rate_marshall", _marshall(o, n)),
        ("ratio_marshall", _marshall(o, e)),
        ("ratio_gamma", _gamma_ratios(o, e, theta, mean)),
    ):
        rows.loc[used, column] = values
    variance = 0.0 if np.isinf(theta) else 1 / theta
    low, high = _bootstrap(o, e, level, draws, seed)
    found = _variation_values(o, e, n) | {"nb_mean": mean, "nb_loglik": loglik}
    if np.isfinite(theta):
        found["nb_theta"] = theta
    about: dict[str, Any] = {"outcome": indicator, "k": len(o), "design": "descriptive"}
    return Result(
        text=_variation_words(name, variance, low, high, found, len(o)),
        estimates=(
            Estimate(
                key="eb_variance",
                value=variance,
                low=min(low, variance),
                high=max(high, variance),
                level=level,
                measure="variance of log ratios between areas, gamma-Poisson (bootstrap of areas)",
                **about,
            ),
            *(Estimate(key=key, value=value, **about) for key, value in found.items()),
        ),
        table=rows,
        settings=settings,
        cautions=_variation_doubts(rows, e),
    )


def _variation_values(o: Array, e: Array, n: Array) -> dict[str, float]:
    rate, k = o / n, len(o)
    pooled = o.sum() / n.sum()
    q = np.quantile(rate, [0.05, 0.25, 0.75, 0.95])
    chi2 = float(np.sum((o - e) ** 2 / e))
    found = {
        "scv": float(np.mean((o - e) ** 2 / e**2) - np.mean(1 / e)),
        "chi2": chi2,
        "chi2_p": float(stats.chi2.sf(chi2, k - 1)),
        "cv": float(rate.std(ddof=1) / rate.mean()),
        "cv_weighted": float(np.sqrt(np.average((rate - pooled) ** 2, weights=n)) / pooled),
    }
    if rate.min() > 0:
        found["extremal_quotient"] = float(rate.max() / rate.min())
    if q[0] > 0:
        found["quotient_5_95"] = float(q[3] / q[0])
    if q[1] > 0:
        found["quotient_quartiles"] = float(q[2] / q[1])
    return found | _log_variance(o, e)


def _log_variance(o: Array, e: Array) -> dict[str, float]:
    seen = o > 0
    y, weight = np.log(o[seen] / e[seen]), o[seen]
    if len(y) < 2:
        return {}
    mean = np.average(y, weights=weight)
    q = float(np.sum(weight * (y - mean) ** 2))
    spread = weight.sum() - (weight**2).sum() / weight.sum()
    variance = max(0.0, (q - (len(y) - 1)) / spread)
    mean = np.average(y, weights=1 / (1 / weight + variance))
    return {"log_variance": float(variance), "log_mean": float(mean), "log_q": q}


def _gamma_poisson(o: Array, e: Array) -> tuple[float, float, float]:
    """Return θ, the mean ratio and the log-likelihood of negative-binomial counts.

    θ is infinite where the counts vary no more than Poisson counts do.
    """
    found = optimize.minimize_scalar(
        lambda log_theta: -_nb_profile(np.exp(log_theta), o, e)[1],
        bounds=(-7, 18),
        method="bounded",
        options={"xatol": 1e-9},
    )
    poisson = o.sum() / e.sum()
    flat = float(stats.poisson.logpmf(o, poisson * e).sum())
    if -found.fun <= flat + 1e-7:
        return np.inf, float(poisson), flat
    theta = float(np.exp(found.x))
    mean, loglik = _nb_profile(theta, o, e)
    return theta, mean, loglik


def _nb_profile(theta: float, o: Array, e: Array) -> tuple[float, float]:
    """Return the mean that is likeliest for a θ, and the log-likelihood there."""
    log_mean = np.log(o.sum() / e.sum())
    for _ in range(100):
        expected = np.exp(log_mean) * e
        score = np.sum((o - expected) * theta / (theta + expected))
        slope = np.sum(expected * theta * (theta + o) / (theta + expected) ** 2)
        step = score / slope
        log_mean += step
        if abs(step) < 1e-13:
            break
    expected = np.exp(log_mean) * e
    parts = special.gammaln(theta + o) - special.gammaln(theta) - special.gammaln(o + 1)
    parts = parts - theta * np.log1p(expected / theta) + special.xlogy(o, expected)
    return float(np.exp(log_mean)), float(np.sum(parts - special.xlogy(o, theta + expected)))


def _gamma_ratios(o: Array, e: Array, theta: float, mean: float) -> Array:
    if np.isinf(theta):
        return np.full(len(o), mean)
    return (o + theta) / (e + theta / mean)


def _marshall(o: Array, n: Array) -> Array:
    """Return Marshall's global empirical-Bayes rates."""
    rate, mean = o / n, o.sum() / n.sum()
    spread = np.sum(n * (rate - mean) ** 2) / n.sum() - mean / n.mean()
    if spread <= 0:
        return np.full(len(o), mean)
    return mean + spread * (rate - mean) / (spread + mean / n)


def _bootstrap(o: Array, e: Array, level: float, draws: int, seed: int) -> tuple[float, float]:
    """Return the percentile interval of the variance, areas drawn with replacement.

    The moment estimator of the same variance stands in for the likelihood's, which is too slow to
    repeat; both agree closely where the variance is clear. Samples without any event know no
    variance and are passed over.
    """
    require_random(seed, draws)
    chosen = np.random.default_rng(seed).integers(0, len(o), (draws, len(o)))
    chosen = chosen[o[chosen].any(axis=1)]
    seen, due = o[chosen], e[chosen]
    mean = seen.sum(axis=1) / due.sum(axis=1)
    expected = due * mean[:, None]
    excess = np.sum((seen - expected) ** 2 - expected, axis=1) / np.sum(expected**2, axis=1)
    low, high = np.quantile(np.maximum(excess, 0), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _variation_words(
    name: str, variance: float, low: float, high: float, found: dict[str, float], areas: int
) -> str:
    if variance == 0:
        return f"{name}: {words.plural(areas, 'area')} vary no more than chance alone makes them."
    typical = 100 * np.sqrt(variance)
    return (
        f"{name}: beyond chance, areas lie about {typical:.0f}\u00a0% above or below their "
        f"expectation (empirical-Bayes variance {variance:.3f}, {min(low, variance):.3f} to "
        f"{max(high, variance):.3f}; SCV {found['scv']:.3f})."
    )


def _variation_doubts(rows: pd.DataFrame, e: Array) -> tuple[Caution, ...]:
    doubts = []
    absent = rows.loc[rows["status"] != OK, "area_code"].tolist()
    if absent:
        doubts.append(
            Caution(
                "suppression",
                f"No figure for {words.plural(len(absent), 'area')}: {words.listed(absent)}.",
            )
        )
    if len(e) < FEW_AREAS:
        doubts.append(
            Caution("few_units", f"Only {len(e)} areas: their variance is very uncertain.")
        )
    if (e < rates.SMALL_COUNT).any():
        doubts.append(
            Caution(
                "small_counts",
                f"{words.plural(int((e < rates.SMALL_COUNT).sum()), 'area')} would expect fewer "
                f"than {rates.SMALL_COUNT} events: quotients and coefficients of variation there "
                "are mostly chance.",
            )
        )
    return tuple(doubts)


def one_map(
    table: pd.DataFrame,
    lineage: pd.DataFrame,
    *,
    area_code: str = "area_code",
    status: str = "status",
    from_code: str = "from_code",
    to_code: str = "to_code",
) -> pd.DataFrame:
    """Return the table with a status that leaves out areas of another map.

    An area and the area that took it over hold the same people: together they would count them
    twice. Of each such family the side with more rows stays (the older one if both have as many).

    Parameters
    ----------
    table
        One row per area.
    lineage
        One row per change of areas: which code became which. A row from a code to itself, such as
        a change of name, is passed over.
    area_code, status
        Columns of `table`; without a status every row is taken to be ``ok``.
    from_code, to_code
        Columns of `lineage`.

    Returns
    -------
    DataFrame
        The rows of `table`; where an area is of another map its status names those that stay, and
        every analysis says so and answers the rest.

    Raises
    ------
    DataError
        If columns are absent.
    """
    require_columns(table, (area_code,), "a check of maps")
    require_columns(lineage, (from_code, to_code), "a lineage of areas")
    codes = table[area_code].astype("str")
    heirs = _heirs(lineage[from_code].astype("str"), lineage[to_code].astype("str"))
    here = set(codes)
    clashes = [(old, new) for old in sorted(here) for new in sorted(heirs.get(old, set()) & here)]
    other: dict[str, str] = {}
    for new in dict.fromkeys(new for _, new in clashes):
        older = [old for old, heir in clashes if heir == new]
        newer = [heir for old, heir in clashes if old in older]
        leaving, staying = ([new], older) if len(older) >= len(set(newer)) else (older, newer)
        for code in leaving:
            other[code] = f"map of another date: {words.listed(list(dict.fromkeys(staying)))}"
    given = table[status] if status in table.columns else pd.Series(OK, index=table.index)
    found = codes.map(other)
    return table.assign(**{status: given.where(found.isna(), found).astype("str")})


def _heirs(old: pd.Series, new: pd.Series) -> dict[str, set[str]]:
    """Return for each code every code that it became, also by way of others."""
    nearest: dict[str, set[str]] = {}
    for code, heir in zip(old, new, strict=True):
        if code != heir:
            nearest.setdefault(code, set()).add(heir)
    found = {}
    for code in nearest:
        reached, waiting = set[str](), [code]
        while waiting:
            for heir in nearest.get(waiting.pop(), set()) - reached:
                reached.add(heir)
                waiting.append(heir)
        found[code] = reached - {code}
    return found


def peers(
    table: pd.DataFrame,
    *,
    columns: Sequence[str],
    area_code: str = "area_code",
    number: int = 5,
) -> pd.DataFrame:
    """Return for each area those most like it, with their distance.

    scikit-learn is imported here, not with the module: no other analysis of areas needs it.

    Parameters
    ----------
    table
        One row per area with what makes areas alike (deprivation, age, size …).
    columns
        Columns to compare; each is put on the scale of its standard deviation first.
    area_code
        Column.
    number
        Number of peers for each area.

    Returns
    -------
    DataFrame
        `area_code`, `peer`, `rank` (1 for the nearest) and `distance` (Euclidean, in standard
        deviations); an area with a missing value has no peers and is nobody's peer.

    Raises
    ------
    DataError
        If columns are absent, areas repeat, a column does not vary, or there are too few areas.
    """
    require_columns(table, (area_code, *columns), "peers")
    require_unique(table, [area_code], "peers")
    known = table[[area_code, *columns]].dropna().reset_index(drop=True)
    values = known[list(columns)].to_numpy(dtype=float)
    if len(known) <= number or number < 1:
        raise DataError(
            f"peers need more areas than the {number} asked for; {len(known)} have every value. "
            "Ask for fewer."
        )
    flat = [name for name, size in zip(columns, np.ptp(values, axis=0), strict=True) if size == 0]
    if flat:
        raise DataError(f"what makes areas alike must vary; {words.listed(flat)} does not.")
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().set_output(transform="pandas").fit_transform(known[list(columns)])
    alike = NearestNeighbors(n_neighbors=number).fit(scaled)
    distance, nearest = alike.kneighbors()
    codes = known[area_code].astype("str").to_numpy()
    return pd.DataFrame(
        {
            "area_code": np.repeat(codes, number),
            "peer": codes[nearest.ravel()],
            "rank": np.tile(np.arange(1, number + 1), len(codes)),
            "distance": distance.ravel(),
        }
    )
