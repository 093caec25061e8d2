"""Pool the effects of studies: common and random effects, heterogeneity, prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Direction, Estimate, Result
from evidence.synthesis import fit as fitting
from evidence.synthesis.fit import Fit
from evidence.synthesis.measures import MEASURES, back_transform
from evidence.synthesis.weighting import Array
from evidence.vocabulary import DESIGNS

FEW_STUDIES = 5
"""Below this a between-study variance is little more than a guess (Cochrane Handbook 10.10.4)."""

PREDICTION_STUDIES, PREDICTION_I2 = 20, 50.0
"""Below either, t(k-1) prediction intervals covered only about 83 to 92 % in simulation."""

FAR_APART = 1e7
"""Beyond this ratio of the largest to the smallest sampling variance one study decides all."""

AT_ZERO = Caution(
    "boundary",
    "The estimated variance between studies is 0, its lowest possible value; that does not show "
    "that the studies agree.",
)
"""What must be said of a between-study variance at the end of its range."""

UNCONTROLLED = ("before_after", "descriptive")

DESIGN_NAMES = {
    "rct": "randomised trials",
    "cluster_rct": "cluster-randomised trials",
    "did": "differences in differences",
    "its": "interrupted time series",
    "controlled_before_after": "before and after with a comparison",
    "before_after": "before and after without a comparison",
    "descriptive": "descriptions",
}
"""Designs in words, several of them, as they stand in a list."""

BETTER = {"higher": "higher is better", "lower": "lower is better", "none": "neither is better"}


@dataclass(frozen=True, slots=True)
class About:
    """What the pooled number is about: words of its sentence, fields of its estimates."""

    measure: str
    direction_better: Direction
    outcome: str
    intervention: str
    comparator: str
    population: str
    area: str
    period: str
    unit: str
    design: str

    @property
    def name(self) -> str:
        """The measure in words."""
        return measure_name(self.measure)

    @property
    def null(self) -> float | None:
        """No effect, on the reader's scale."""
        return MEASURES[self.measure].null if self.measure in MEASURES else 0.0

    @property
    def transformed(self) -> bool:
        """Whether readers see another scale than the one of the analysis."""
        return self.measure in MEASURES and MEASURES[self.measure].back != ""


def pool(
    effects: pd.DataFrame,
    *,
    direction_better: Direction,
    measure: str = "",
    model: str = "random",
    tau2: str = "REML",
    test: str = "hartung_knapp",
    floor: str = "scale",
    level: float = 0.95,
    prediction: str = "t_k_minus_1",
    tau2_interval: str = "Q_profile",
    study: str = "study",
    label: str = "",
    people: str = "n",
    mix_designs: bool = False,
    outcome: str = "",
    intervention: str = "the intervention",
    comparator: str = "control",
    population: str = "",
    area: str = "",
    period: str = "",
    unit: str = "",
) -> Result:
    """Pool effects of studies and say what came out, with its doubts.

    The defaults are Cochrane practice: restricted maximum likelihood, which is nearly unbiased for
    the between-study variance; the Hartung-Knapp interval, which allows for its uncertainty, with
    a floor because that interval can be absurdly narrow when the studies happen to agree; a
    Q-profile interval for the variance; and a prediction interval with k-1 degrees of freedom,
    because readers ask what to expect in the next place, not on average.

    Parameters
    ----------
    effects
        One row per study with ``yi``, ``vi`` and the column `study`, as `effect_sizes` and
        `one_per_study` return. Columns ``measure``, ``design`` and ``direction_better`` are
        respected where present, ``excluded`` says why a row has no effect; all columns go on into
        the result's table.
    direction_better
        ``higher``, ``lower`` or ``none``: which direction of the effect is good. Never guessed.
    measure
        Measure of the effects where the table has no such column.
    model
        ``random`` or ``common``.
    tau2
        ``REML``, ``DL``, ``PM``, ``ML``, ``EB``, ``HE``, ``HS``, ``HSk``, ``SJ``, ``PMM``,
        ``DLIT``, ``GENQ`` or ``GENQM``.
    test
        ``hartung_knapp``, ``z``, ``t`` or ``kenward_roger``.
    floor
        For Hartung-Knapp: ``scale`` (variance never below the classic one: max(1, q)),
        ``interval`` (the classic interval wherever that is wider), ``iqwig6`` (floor only if
        narrower than the DerSimonian-Laird interval) or ``none``.
    level
        Coverage of all intervals.
    prediction
        ``t_k_minus_1`` (default), ``t_k_minus_2``, ``normal``, ``HTS_k_minus_2``,
        ``classic_k_minus_1``, ``KR`` or ``KR_PR``; see `fit.prediction_interval`.
    tau2_interval
        ``Q_profile``, ``profile_likelihood`` or ``generalised_Q``.
    study, label, people
        Columns with the study's name, the label in plots (the study if empty) and people.
    mix_designs
        Pool different design tiers all the same, with a caution.
    outcome, intervention, comparator, population, area, period, unit
        Words for the sentence and the estimates.

    Returns
    -------
    Result
        Table with study, label, yi, vi, se, low, high (95 % or `level`), weight (%), n and the
        other columns, on the analysis scale (log for ratios); estimates ``pooled`` and
        ``prediction`` on the reader's scale (``se`` on the analysis scale), ``tau2``, ``tau``,
        ``I2`` (per cent, from tau2), ``I2_Q``, ``H2``, ``Q``, ``Q_p``, ``p`` and ``common``.
        If studies of different tiers, measures or directions meet, or none is usable, a result
        that says so.

    Raises
    ------
    DataError
        If a column is missing, a choice is unknown, a variance is not positive or people are not
        numbers.
    """
    _check_direction(direction_better)
    _check_columns(effects, study, label, people)
    usable, left_out = _usable(effects, study)
    about = About(
        measure or stated_measure(usable),
        direction_better,
        outcome,
        intervention,
        comparator,
        population,
        area,
        period,
        unit,
        _design(usable),
    )
    settings = {
        "model": model,
        "tau2": tau2 if model == "random" else "none",
        "test": test,
        "floor": floor if test == "hartung_knapp" else "none",
        "level": level,
        "prediction": prediction if model == "random" else "none",
        "tau2_interval": tau2_interval if model == "random" else "none",
        "measure": about.measure,
        "direction_better": direction_better,
        "intervention": intervention,
        "comparator": comparator,
        "left_out": left_out,
    }
    refusal = _refusal(usable, about, measure, mix_designs)
    if refusal:
        return Result.could_not("Not pooled", refusal, **settings)
    fitted = fitting.fit(
        usable["yi"], usable["vi"], model=model, tau2=tau2, test=test, floor=floor, level=level
    )
    if no_interval(fitted):
        return Result.could_not("Not pooled", no_interval(fitted), **settings)
    predicted = fitting.prediction_interval(fitted, prediction)
    predicted = predicted if fitted.k > 2 else None
    estimates = _estimates(fitted, usable, about, predicted, tau2_interval, study, people)
    return Result(
        text=_sentence(estimates, about, fitted),
        estimates=estimates,
        table=_table(usable, fitted, about, study, label, people),
        settings=settings,
        cautions=tuple(_cautions(fitted, usable, about, left_out, predicted, study, test)),
    )


NO_LIMITS = (
    "the test has less than one degree of freedom, so its interval says nothing; "
    "choose the test of Hartung and Knapp"
)
NO_WIDTH = (
    "all effects are equal, so the Hartung-Knapp interval without a floor has no width; "
    "choose a floor"
)


def no_interval(fitted: Fit) -> str:
    """Return why the interval of a pooled effect would say nothing, or nothing where it does."""
    if fitted.se[0] < 1e-7 * fitted.classic_se[0]:
        return NO_WIDTH
    return NO_LIMITS if fitted.df is not None and fitted.df < 1 else ""


def with_and_without(effects: pd.DataFrame, without: Sequence[bool], **choices: Any) -> Result:
    """Pool twice, with and without some rows, and put both results side by side.

    Parameters
    ----------
    effects
        As for `pool`.
    without
        For each row whether it is left out the second time, shape (rows,).
    **choices
        Choices of `pool`, the same both times.

    Returns
    -------
    Result
        Table with one row per pooling (`which`: ``all``, ``without those left out``; k, value, low,
        high, tau2, I2) and estimates ``with`` and ``without``; the reason if one of them could not
        be pooled.

    Raises
    ------
    DataError
        If `without` does not have one value per row, or `pool` refuses the input.
    """
    mask = np.asarray(without, bool)
    if mask.shape != (len(effects),):
        raise DataError(
            f"`without` must hold one truth value per row; got {mask.size} for {len(effects)} rows."
        )
    results = {"with": pool(effects, **choices), "without": pool(effects[~mask], **choices)}
    for which, result in results.items():
        if not result.known:
            return Result.could_not(f"Not compared ({which} the rows)", result.reason)
    estimates = tuple(replace(result["pooled"], key=key) for key, result in results.items())
    return Result(
        text=_comparison(estimates, int(mask.sum())),
        estimates=estimates,
        table=pd.DataFrame([_summary(_WHICH[key], result) for key, result in results.items()]),
        settings=results["with"].settings,
        cautions=results["without"].cautions,
    )


_WHICH = {"with": "all", "without": "without those left out"}


def _comparison(estimates: Sequence[Estimate], rows: int) -> str:
    before, after = estimates
    decimals = decimals_for(before.low, before.high)
    return (
        f"Leaving out {rows} row{'s' if rows != 1 else ''} changes the pooled result from "
        f"{interval_words(before, decimals)} to {interval_words(after, decimals)}."
    )


def _summary(which: str, result: Result) -> dict[str, Any]:
    pooled = result["pooled"]
    return {
        "which": which,
        "k": pooled.k,
        "value": pooled.value,
        "low": pooled.low,
        "high": pooled.high,
        "tau2": result["tau2"].value,
        "I2": result["I2"].value,
    }


def measure_name(measure: str) -> str:
    """Return a measure in words, or as it came where it has none."""
    return MEASURES[measure].name if measure in MEASURES else measure


def _check_direction(direction_better: str) -> None:
    if direction_better not in ("higher", "lower", "none"):
        raise DataError(
            f"direction_better must be higher, lower or none; got {direction_better!r}. State "
            "which direction is good: published effects of one subject carry opposite signs."
        )


def _check_columns(effects: pd.DataFrame, study: str, label: str, people: str) -> None:
    absent = [name for name in ("yi", "vi", study, label) if name and name not in effects]
    if absent:
        raise DataError(
            f"effects to pool must have the columns yi, vi and the study's name; the table has no "
            f"{', '.join(absent)}. Use effect_sizes() first or name the column."
        )
    if people in effects:
        given = effects[people].dropna()
        texts = given[pd.to_numeric(given, errors="coerce").isna()]
        if len(texts):
            raise DataError(
                f"people must be numbers; {people!r} has {texts.iloc[0]!r}. Name another column."
            )


def _usable(effects: pd.DataFrame, study: str) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows with an effect, and why the others are left out."""
    empty = effects["yi"].isna() | effects["vi"].isna()
    reasons = effects["excluded"] if "excluded" in effects else pd.Series("", effects.index)
    left_out = [
        f"{name}: {reason or 'no effect or variance'}"
        for name, reason in zip(effects[study][empty], reasons[empty].fillna(""), strict=True)
    ]
    return effects[~empty], left_out


def stated_measure(effects: pd.DataFrame) -> str:
    """Return the first measure that a table of effects states, or nothing."""
    return next(iter(_distinct(effects, "measure")), "")


def _distinct(effects: pd.DataFrame, column: str) -> list[str]:
    if column not in effects:
        return []
    return [str(value) for value in effects[column].dropna().unique() if str(value)]


def _design(effects: pd.DataFrame) -> str:
    """Return the design tier of the studies, the weakest one where several are mixed on purpose."""
    found = _distinct(effects, "design")
    unknown = [design for design in found if design not in DESIGNS]
    if unknown:
        raise DataError(
            f"a design must be one of {', '.join(DESIGNS)}; got {', '.join(unknown)}. Correct it."
        )
    return max(found, key=DESIGNS.index) if found else ""


def _refusal(effects: pd.DataFrame, about: About, measure: str, mix_designs: bool) -> str:
    if effects.empty:
        return "no study has a usable effect"
    differ = what_differs(effects, measure, about.direction_better, mix_designs=mix_designs)
    if not differ and not about.measure:
        raise DataError("the measure must be stated; the table has no such column. Pass measure=.")
    return differ


def what_differs(
    effects: pd.DataFrame, measure: str, direction_better: str, *, mix_designs: bool = False
) -> str:
    """Return why effects must not be pooled together, or nothing.

    Parameters
    ----------
    effects
        Effects with a value; their columns ``design``, ``measure`` and ``direction_better`` are
        read where present.
    measure, direction_better
        What the pooled effect is said to be; any measure if empty.
    mix_designs
        Whether design tiers may differ.
    """
    designs, measures = _distinct(effects, "design"), _distinct(effects, "measure")
    if len(designs) > 1 and not mix_designs:
        return f"designs differ: {', '.join(DESIGN_NAMES.get(name, name) for name in designs)}"
    if len(measures) > 1 or (measures and measure and measures != [measure]):
        named = dict.fromkeys(name for name in [*measures, measure] if name)
        return f"measures differ: {', '.join(map(measure_name, named))}"
    directions = _distinct(effects, "direction_better")
    if directions and directions != [direction_better]:
        named = dict.fromkeys([*directions, direction_better])
        return f"directions differ: {', '.join(BETTER.get(name, name) for name in named)}"
    return ""


def _estimates(
    fitted: Fit,
    effects: pd.DataFrame,
    about: About,
    predicted: tuple[float, float] | None,
    tau2_interval: str,
    study: str,
    people: str,
) -> tuple[Estimate, ...]:
    counts = _counted(effects, people) if people in effects else None
    n = _people(effects, counts, study)
    sizes = None if counts is None else float(len(counts) / np.sum(1 / counts))
    pooled = Estimate(
        key="pooled",
        **reader_scale(fitted.b[0], fitted.low[0], fitted.high[0], about.measure, sizes),
        level=fitted.level,
        se=float(fitted.se[0]),
        measure=about.measure,
        scale="natural",
        unit=about.unit,
        outcome=about.outcome,
        population=about.population,
        area=about.area,
        period=about.period,
        direction_better=about.direction_better,
        k=fitted.k,
        n=n,
        design=about.design,
    )
    found = [pooled, Estimate(key="p", value=float(fitted.p[0])), *_spread(fitted, tau2_interval)]
    if about.transformed:
        found.append(_on_analysis_scale(pooled, fitted))
    if predicted:
        limits = reader_scale(fitted.b[0], *predicted, about.measure, sizes)
        found.append(replace(pooled, key="prediction", **limits, se=None))
    if fitted.model == "random":
        found.append(_common(fitted, pooled, sizes))
    return tuple(found)


def _counted(effects: pd.DataFrame, people: str) -> Array:
    return np.asarray(pd.to_numeric(effects[people]).to_numpy(float, na_value=np.nan))


def first_coefficient(key: str, fitted: Fit) -> Estimate:
    """Return the first coefficient of a fit with its interval, on the scale of the analysis."""
    return Estimate(
        key=key,
        value=fitted.b[0],
        low=fitted.low[0],
        high=fitted.high[0],
        se=fitted.se[0],
        level=fitted.level,
        k=fitted.k,
    )


def _people(effects: pd.DataFrame, counts: Any, study: str) -> float | None:
    """Return the number of people where every study gives it and none is counted twice."""
    if counts is None or np.isnan(counts).any() or effects[study].duplicated().any():
        return None
    return float(counts.sum())


def _on_analysis_scale(pooled: Estimate, fitted: Fit) -> Estimate:
    limits: dict[str, Any] = {"value": fitted.b[0], "low": fitted.low[0], "high": fitted.high[0]}
    return replace(pooled, key="pooled_analysis_scale", scale="analysis", **limits)


def _common(fitted: Fit, pooled: Estimate, sizes: float | None) -> Estimate:
    data = fitted.studies
    common = data.at(0.0)
    root = np.sqrt(data.unit)
    value = float(np.linalg.solve(data.r, common.coefficients)[0]) * root
    se = float(np.sqrt(common.inverse[0, 0]) / abs(data.r[0, 0])) * root
    half = fitting.quantile(1 - (1 - fitted.level) / 2, None) * se
    limits = reader_scale(value, value - half, value + half, pooled.measure, sizes)
    return replace(pooled, key="common", se=se, **limits)


def _spread(fitted: Fit, kind: str) -> list[Estimate]:
    """Return the estimates of heterogeneity with their intervals."""
    limits = fitting.tau2_interval(fitted, kind)
    low, high = limits or (None, None)
    known: dict[str, Any] = {"level": fitted.level if limits else None, "k": fitted.k}
    typical = fitted.typical_v

    def share(tau2: float | None) -> float | None:
        return None if tau2 is None else 100 * tau2 / (tau2 + typical)

    def ratio(tau2: float | None) -> float | None:
        return None if tau2 is None else 1 + tau2 / typical

    def root(tau2: float | None) -> float | None:
        return None if tau2 is None else float(np.sqrt(tau2))

    inside = _ordered(fitted.i2, share(low), share(high))
    spread = _ordered(fitted.h2, ratio(low), ratio(high))
    from_q = fitting.q_based(fitted)["I2"]
    return [
        Estimate(key="tau2", value=fitted.tau2, low=low, high=high, se=fitted.tau2_se, **known),
        Estimate(key="tau", value=root(fitted.tau2), low=root(low), high=root(high), **known),
        Estimate(key="I2", unit="%", **inside, **known),
        Estimate(key="H2", **spread, **known),
        Estimate(key="I2_Q", value=from_q[0], unit="%", k=fitted.k),
        Estimate(key="Q", value=fitted.q, k=fitted.k),
        Estimate(key="Q_p", value=fitted.q_p, k=fitted.k),
    ]


def _ordered(value: float, low: float | None, high: float | None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high}


def reader_scale(
    value: float, low: float, high: float, measure: str, sizes: float | None = None
) -> dict[str, Any]:
    """Return value and limits on the reader's scale, in order also after a decreasing transform."""
    ends = [float(back_transform(item, measure, sizes)) for item in (value, low, high)]
    return {"value": ends[0], "low": min(ends[1:]), "high": max(ends[1:])}


def _table(
    effects: pd.DataFrame, fitted: Fit, about: About, study: str, label: str, people: str
) -> pd.DataFrame:
    yi, vi = effects["yi"].to_numpy(float), effects["vi"].to_numpy(float)
    half = fitting.quantile(1 - (1 - fitted.level) / 2, None) * np.sqrt(vi)
    columns: dict[str, Any] = {
        "study": effects[study].astype("str").to_numpy(),
        "label": effects[label or study].astype("str").to_numpy(),
        "yi": yi,
        "vi": vi,
        "se": np.sqrt(vi),
        "low": yi - half,
        "high": yi + half,
        "weight": fitted.weights,
        "n": _counted(effects, people) if people in effects else np.full(len(yi), np.nan),
    }
    if about.transformed:
        for name, values in (("effect", yi), ("effect_low", yi - half), ("effect_high", yi + half)):
            columns[name] = back_transform(values, about.measure, columns["n"])
    table = pd.DataFrame(columns)
    for name in effects.columns:
        if name not in table and name not in ("excluded", study, people):
            table[str(name)] = effects[name].to_numpy()
    return table


def _cautions(
    fitted: Fit,
    effects: pd.DataFrame,
    about: About,
    left_out: list[str],
    predicted: tuple[float, float] | None,
    study: str,
    test: str,
) -> list[Caution]:
    found = [
        *_study_cautions(fitted.k, effects, study, about),
        *_left_out_caution(left_out),
        *_interval_cautions(fitted, test),
        *_prediction_cautions(fitted, predicted),
        *_variance_caution(fitted),
    ]
    designs = _distinct(effects, "design")
    if len(designs) > 1:
        named = ", ".join(DESIGN_NAMES[design] for design in designs)
        found.append(Caution("designs_differ", f"Designs are mixed: {named}."))
    return found


def _study_cautions(k: int, effects: pd.DataFrame, study: str, about: About) -> list[Caution]:
    found = []
    names = effects[study].nunique()
    if names < k:
        found.append(
            Caution(
                "dependence",
                f"{k} effects come from {names} studies and are treated as independent, so the "
                "interval is too narrow.",
            )
        )
    if k == 1:
        found.append(Caution("few_studies", "One study: nothing was pooled."))
    elif k < FEW_STUDIES:
        found.append(only_few(k))
    if about.design in UNCONTROLLED:
        found.append(
            Caution(
                "uncontrolled_design",
                f"Some or all studies have no comparison group ({DESIGN_NAMES[about.design]}), so "
                "the change may have other causes.",
            )
        )
    return found


def only_few(k: int) -> Caution:
    """Return what must be said of fewer than `FEW_STUDIES` studies."""
    return Caution(
        "few_studies", f"Only {k} studies: how much they differ beyond chance is hardly known."
    )


def _left_out_caution(left_out: list[str]) -> list[Caution]:
    if not left_out:
        return []
    shown = "; ".join(left_out[:3]) + (
        f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
    )
    rows = "row was" if len(left_out) == 1 else "rows were"
    return [Caution("other", f"{len(left_out)} {rows} left out: {shown}.")]


def _interval_cautions(fitted: Fit, test: str) -> list[Caution]:
    """Return doubts about the interval; a floor may have put another test in place of `test`."""
    if fitted.model == "common":
        return []
    found = []
    if fitted.tau2 == 0 and fitted.k > 1:
        found.append(AT_ZERO)
    raw = fitted.weighted.rss / max(fitted.studies.df, 1)
    if test == "hartung_knapp" and fitted.studies.df and raw < 1:
        found.append(_floor_caution(fitted, raw))
    return found


def _variance_caution(fitted: Fit) -> list[Caution]:
    ratio = float(fitted.studies.v.max() / fitted.studies.v.min())
    if ratio <= FAR_APART:
        return []
    return [
        Caution(
            "suspected_error",
            f"The largest sampling variance is {ratio:,.0f} times the smallest: check whether one "
            "of them is wrong.",
        )
    ]


def _floor_caution(fitted: Fit, raw: float) -> Caution:
    classic = float(fitted.classic_se[0])
    if float(fitted.se[0]) < classic:
        return Caution(
            "interval_narrow",
            f"The Hartung-Knapp standard error is {float(fitted.se[0]) / classic:.2f} times the "
            "classic one: the interval may be too narrow.",
        )
    return Caution(
        "interval_narrow",
        f"The Hartung-Knapp interval would have been narrower than the classic one (factor "
        f"{np.sqrt(raw):.2f}); a floor keeps it from being so.",
    )


def _prediction_cautions(fitted: Fit, predicted: tuple[float, float] | None) -> list[Caution]:
    if fitted.model == "common":
        return []
    if predicted is None:
        few = "Too few studies for a prediction interval (3 are needed)."
        undefined = "The prediction interval that was chosen has no degrees of freedom here."
        return [Caution("prediction_interval", few if fitted.k < 3 else undefined)]
    if fitted.k >= PREDICTION_STUDIES and fitted.i2 >= PREDICTION_I2:
        return []
    return [
        Caution(
            "prediction_interval",
            f"With {fitted.k} studies and I² {fitted.i2:.0f} % the prediction interval is likely "
            f"to cover fewer than {100 * fitted.level:g} % of new studies.",
        )
    ]


def _sentence(estimates: Sequence[Estimate], about: About, fitted: Fit) -> str:
    found = {estimate.key: estimate for estimate in estimates}
    pooled = found["pooled"]
    decimals = decimals_for(pooled.low, pooled.high)
    subject = f"{about.outcome}: " if about.outcome else ""
    studies = f"{fitted.k} stud{'ies' if fitted.k != 1 else 'y'}"
    people = f" ({pooled.n:,.0f} people)" if pooled.n else ""
    first = (
        f"{subject}{studies}{people}, {about.name} {interval_words(pooled, decimals)}"
        f"{_verdict(pooled, about)}."
    )
    if "prediction" not in found or fitted.tau2 == 0:
        return first
    new = found["prediction"]
    return (
        f"{first} A new study may find {number(new.low, decimals)} to {number(new.high, decimals)}."
    )


def _verdict(pooled: Estimate, about: About) -> str:
    """Return which side the interval is on, in words."""
    null = about.null
    if null is None or pooled.value is None or pooled.low is None or pooled.high is None:
        return ""
    if pooled.low <= null <= pooled.high:
        return ": no clear difference"
    higher = pooled.value > null
    if about.direction_better == "none":
        return f": {'higher' if higher else 'lower'} with {about.intervention}"
    good = higher == (about.direction_better == "higher")
    return f", in favour of {about.intervention if good else about.comparator}"


def decimals_for(low: float | None, high: float | None) -> int:
    """Return how many decimals the width of an interval justifies, at most 4."""
    if low is None or high is None or high <= low:
        return 2
    return int(np.clip(1 - np.floor(np.log10((high - low) / 2)), 0, 4))


def number(value: float | None, decimals: int) -> str:
    """Return a number with a true minus sign."""
    if value is None:
        return "not known"
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def interval_words(estimate: Estimate, decimals: int) -> str:
    """Return ``0.52 (95 % interval 0.35 to 0.68)``."""
    level = f"{100 * (estimate.level or 0.95):g} %"
    limits = f"{number(estimate.low, decimals)} to {number(estimate.high, decimals)}"
    return f"{number(estimate.value, decimals)} ({level} interval {limits})"


def listed(names: Sequence[str]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def as_key(name: str) -> str:
    """Return a name as part of an estimate's key: letters and digits stay, the rest is ``_``."""
    return "".join(char if char.isalnum() else "_" for char in name)
