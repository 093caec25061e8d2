"""How far can a result be trusted: risk of bias and the domains of GRADE.

No judgement is made up here. Each one is carried over with its source, or given by a rule that is
stated and labelled ``by rule, not yet judged by a person``, or stays ``not rated``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from evidence.errors import DataError
from evidence.results import Caution, Estimate, Result
from evidence.synthesis.measures import MEASURES
from evidence.synthesis.pool import listed
from evidence.vocabulary import DESIGNS

BY_RULE = "by rule, not yet judged by a person"

TOOLS: dict[str, tuple[str, ...]] = {
    "RoB 2": ("low", "some concerns", "high"),
    "ROBINS-I": ("low", "moderate", "no information", "serious", "critical"),
    "Cochrane 1": ("low", "unclear", "high"),
    "four items of the database": ("low", "self-report", "not low"),
}
"""Judgements of each tool, best first. The four items are those that the Metapsy database takes
from version 1 of the Cochrane tool; it tells low risk from the rest, not unclear from high, and
counts an outcome that people report themselves as blinded. They are not RoB 2. ROBINS-I has no
information overall only where no domain is serious or critical, so that it stands before these."""

COUNTS_AS_LOW = ("low", "self-report")
"""Judgements that leave the overall one at low."""

DATABASE_ITEMS = {
    "sg": "sequence generation",
    "ac": "allocation concealment",
    "ba": "blinding of assessors",
    "itt": "intention to treat",
}
"""Columns of the Metapsy database with its items of risk of bias, and what they are about."""

SYMBOLS = {
    "low": "+",
    "some concerns": "!",
    "unclear": "?",
    "moderate": "!",
    "high": "−",
    "serious": "−",
    "critical": "×",
    "no information": "?",
    "self-report": "s",
    "not low": "−",
}
"""Symbols that say what the colour of a traffic light says."""

DOWN = ("risk of bias", "inconsistency", "indirectness", "imprecision", "publication bias")
UP = ("large effect", "dose response", "opposing confounding")
LEVELS = ("very low", "low", "moderate", "high")
START = {"rct": 3, "cluster_rct": 3}
"""Randomised evidence starts high, all other evidence low (Guyatt et al. 2011)."""


def risk_of_bias(judgements: pd.DataFrame) -> Result:
    """Return the judgements per study and domain, with an overall one by the tool's rule.

    RoB 2 (Sterne et al. 2019, BMJ 366:l4898) and ROBINS-I (Sterne et al. 2016, BMJ 355:i4919): the
    overall judgement is the worst of the domains. RoB 2 leaves it to a person to raise several
    domains with some concerns to high; the rule does not. For the four items of the database the
    overall judgement is low where all four are met, self-report counted as met.

    Parameters
    ----------
    judgements
        One row per study and domain: study, tool, version, domain, judgement, source. A row whose
        domain is ``overall`` is a person's and takes the place of the rule.

    Returns
    -------
    Result
        Table with study, tool, version, one column per domain, overall and overall_basis (the
        source, or that it is by rule); estimates ``low``, ``high`` with the number of studies whose
        overall judgement is low, or the worst kind of its tool.

    Raises
    ------
    DataError
        If a column, source or version is missing, a tool or judgement unknown, a domain twice, or a
        study judged by several tools.
    """
    _check_judgements(judgements)
    rows = [
        _judged_study(str(name), rows) for name, rows in judgements.groupby("study", sort=False)
    ]
    table = pd.DataFrame(rows)
    low = int((table["overall"] == "low").sum())
    high = int(table["overall"].isin(["high", "serious", "critical", "not low"]).sum())
    return Result(
        text=_bias_text(table),
        estimates=(
            Estimate(key="low", value=float(low), k=len(table)),
            Estimate(key="high", value=float(high), k=len(table)),
        ),
        table=table,
        settings={"tools": sorted(judgements["tool"].unique())},
    )


def _bias_text(table: pd.DataFrame) -> str:
    counts = table["overall"].value_counts()
    order = [name for name in dict.fromkeys(sum(TOOLS.values(), ())) if name in counts]
    found = ", ".join(f"{name} in {counts[name]}" for name in order)
    by_rule = int((table["overall_basis"] == BY_RULE).sum())
    basis = f" The overall judgement is {BY_RULE}" if by_rule else ""
    share = f" in {by_rule} of them" if 0 < by_rule < len(table) else ""
    tools = " and ".join(
        f"{tool} ({', '.join(rows['version'].unique())})" for tool, rows in table.groupby("tool")
    )
    studies = f"{len(table)} stud{'ies' if len(table) != 1 else 'y'}"
    ending = f"{basis}{share}." if basis else ""
    return f"{studies} judged by {tools}: overall risk of bias {found}.{ending}"


def from_items(
    rows: pd.DataFrame,
    items: Mapping[str, str] = MappingProxyType(DATABASE_ITEMS),
    *,
    version: str,
    source: str,
    tool: str = "four items of the database",
    study: str = "study",
) -> pd.DataFrame:
    """Return judgements as `risk_of_bias` reads them, from a table with one column per item.

    Parameters
    ----------
    rows
        One row per effect, with a column per item: 1 for low risk, ``sr`` for an outcome that
        people report themselves, 0 for anything else. Where the effects of a study differ, the
        study has the worst of them.
    items
        Name of the domain for each column; the four of the Metapsy database by default.
    version, source
        Version of the tool, and who judged.
    tool
        One of `TOOLS`.
    study
        Column with the study's name.

    Raises
    ------
    DataError
        If a column is missing or holds another value.
    """
    absent = [name for name in (study, *items) if name not in rows]
    if absent:
        raise DataError(f"items of risk of bias must be columns of the table; no {absent[0]!r}.")
    words = {"1": "low", "sr": "self-report", "0": "not low"}
    long = rows.melt(study, list(items), "item", "mark")
    numbers = pd.to_numeric(long["mark"], errors="coerce").map({1: "1", 0: "0"})
    long["judgement"] = numbers.fillna(long["mark"].astype("str")).map(words)
    if long["judgement"].isna().any():
        wrong = long[long["judgement"].isna()].iloc[0]
        raise DataError(
            f"an item must be 1, 0 or sr; {wrong[study]}, {items[wrong['item']]} has "
            f"{wrong['mark']!r}. Correct it at the source."
        )
    rank = long["judgement"].map(TOOLS[tool].index)
    worst = long.loc[rank.groupby([long[study], long["item"]], sort=False).idxmax()]
    return pd.DataFrame(
        {
            "study": worst[study].to_numpy(),
            "domain": worst["item"].map(items).to_numpy(),
            "judgement": worst["judgement"].to_numpy(),
        }
    ).assign(tool=tool, version=version, source=source)


def _check_judgements(judgements: pd.DataFrame) -> None:
    needed = ("study", "tool", "version", "domain", "judgement", "source")
    absent = [name for name in needed if name not in judgements]
    if absent:
        raise DataError(f"risk of bias needs the columns {', '.join(needed)}; no {absent}.")
    for name in ("version", "source"):
        bare = judgements[name].isna() | (judgements[name].astype("str").str.strip() == "")
        if bare.any():
            studies = ", ".join(judgements.loc[bare, "study"].astype("str").unique()[:4])
            raise DataError(
                f"each judgement must state its {name}; {studies} have none. Cite who judged it."
            )
    for row in judgements.itertuples():
        if row.tool not in TOOLS or row.judgement not in TOOLS[row.tool]:
            allowed = ", ".join(TOOLS.get(row.tool, ("those of a known tool",)))
            raise DataError(
                f"judgements of {row.tool} must be one of {allowed}; {row.study}, {row.domain} "
                f"has {row.judgement!r}."
            )
    twice = judgements.duplicated(["study", "domain"])
    if twice.any():
        names = ", ".join(judgements.loc[twice, "study"].astype("str").unique()[:4])
        raise DataError(f"a study must be judged once per domain; {names} come twice.")
    tools = judgements.groupby("study", sort=False)["tool"].nunique()
    if (tools > 1).any():
        names = ", ".join(str(name) for name in tools.index[tools > 1][:4])
        raise DataError(f"a study must be judged by one tool; {names} have several. Choose one.")


def _judged_study(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    tool = str(rows["tool"].iloc[0])
    domains = rows[rows["domain"] != "overall"]
    stated = rows[rows["domain"] == "overall"]
    order = TOOLS[tool]
    worst = max(domains["judgement"], key=order.index) if len(domains) else ""
    worst = "low" if worst in COUNTS_AS_LOW else worst
    return {
        "study": name,
        "tool": tool,
        "version": str(rows["version"].iloc[0]),
        **dict(zip(domains["domain"], domains["judgement"], strict=True)),
        "overall": str(stated["judgement"].iloc[0]) if len(stated) else worst,
        "overall_basis": str(stated["source"].iloc[0]) if len(stated) else BY_RULE,
    }


@dataclass(frozen=True, slots=True)
class Judgement:
    """One GRADE domain: how many levels it moves the certainty, why, and who says so.

    Parameters
    ----------
    levels
        0 for no concern, -1 serious, -2 very serious; 1 or 2 for the domains that raise.
    reason, source
        Why, and the citation of the person or document, or `BY_RULE`.

    Raises
    ------
    DataError
        If levels are out of range or reason or source are empty.
    """

    levels: int
    reason: str
    source: str

    def __post_init__(self) -> None:
        if not -2 <= self.levels <= 2:
            raise DataError(f"a GRADE judgement must move -2 to 2 levels; got {self.levels}.")
        if not self.reason.strip() or not self.source.strip():
            raise DataError("a GRADE judgement must state its reason and its source; one is empty.")


LOW_ENOUGH = 50.0
"""Per cent of the weight that studies at low risk of bias must carry."""


def suggested_risk_of_bias(bias: Result, weights: Mapping[str, float]) -> Judgement:
    """Return what the judgements of the studies suggest about risk of bias.

    Rule: one level down where studies at low risk overall carry less than half of the weight in the
    pooled effect. The Cochrane Handbook (version 6, table 14.2.a) asks from where most information
    comes, without a number; half is this workbook's reading of most.

    Parameters
    ----------
    bias
        What `risk_of_bias` returned.
    weights
        Weight of each pooled study by its name, in per cent.

    Raises
    ------
    DataError
        If a study has no judgement.
    """
    overall = bias.table.set_index("study")["overall"]
    absent = [name for name in weights if name not in overall.index]
    if absent:
        raise DataError(
            f"every pooled study needs its risk of bias; {', '.join(absent[:4])} have none."
        )
    total = sum(weights.values())
    share = 100 * sum(w for name, w in weights.items() if overall[name] == "low") / total
    reason = f"studies at low risk of bias carry {share:.0f}\u00a0% of the weight"
    return Judgement(0 if share >= LOW_ENOUGH else -1, reason, BY_RULE)


def suggested_imprecision(
    pooled: Estimate, difference: float | None, null: float = 0.0
) -> Judgement:
    """Return what the interval suggests about imprecision.

    Rule: with a minimal important difference, one level down for an interval that includes both no
    effect and that difference, two if it includes the difference in both directions; without one,
    one level down for an interval that includes no effect.

    Parameters
    ----------
    pooled
        The pooled effect with its interval.
    difference
        Minimal important difference from `null`, on the scale of `pooled`, or None.
    null
        No effect on that scale.

    Raises
    ------
    DataError
        If the effect has no interval.
    """
    if pooled.low is None or pooled.high is None:
        raise DataError("imprecision needs the pooled interval; the estimate has none.")
    inside = pooled.low <= null <= pooled.high
    if difference is None:
        reason = "the interval includes no effect" if inside else "the interval excludes no effect"
        return Judgement(-1 if inside else 0, f"{reason}; no important difference stated", BY_RULE)
    reached = [pooled.high >= null + abs(difference), pooled.low <= null - abs(difference)]
    if not inside or not any(reached):
        return Judgement(0, "the interval does not span no effect and an important one", BY_RULE)
    both = "in both directions" if all(reached) else "and an important one"
    return Judgement(-2 if all(reached) else -1, f"the interval includes no effect {both}", BY_RULE)


def suggested_inconsistency(pooled: Estimate, prediction: Estimate, null: float = 0.0) -> Judgement:
    """Return what the prediction interval suggests about inconsistency.

    Rule: one level down where a new study may fall on the other side of no effect although the
    pooled interval does not; nothing where both lie on one side or the pooled interval is unclear.

    Parameters
    ----------
    pooled, prediction
        The pooled effect with its interval, and the interval of a new study.
    null
        No effect on their scale.

    Raises
    ------
    DataError
        If an interval is missing.
    """
    ends = (pooled.low, pooled.high, prediction.low, prediction.high)
    if any(end is None for end in ends):
        raise DataError("inconsistency needs pooled and prediction intervals; one has no limits.")
    low, high, new_low, new_high = (float(end or 0.0) for end in ends)
    clear = low > null or high < null
    crosses = new_low <= null <= new_high
    if clear and crosses:
        return Judgement(-1, "a new study may find the opposite of the pooled effect", BY_RULE)
    return Judgement(0, "the prediction interval adds no doubt about the direction", BY_RULE)


def suggested_judgements(
    result: Result, *, bias: Result | None = None, difference: float | None = None
) -> dict[str, Judgement]:
    """Return the judgements that stated rules allow on a pooled result; the others stay open.

    Parameters
    ----------
    result
        What `evidence.synthesis.pool.pool` returned. Without a prediction interval (fewer than
        three studies) inconsistency stays open; of a measure without a value of no effect, such as
        a proportion, imprecision does too.
    bias
        What `risk_of_bias` returned for the studies; without it risk of bias stays open.
    difference
        Minimal important difference, or None where none is stated.

    Raises
    ------
    DataError
        If nothing was pooled or a pooled study has no judgement.
    """
    found, pooled = {one.key: one for one in result.estimates}, result["pooled"]
    null = MEASURES[pooled.measure].null if pooled.measure in MEASURES else 0.0
    judgements = {}
    if null is not None:
        judgements["imprecision"] = suggested_imprecision(pooled, difference, null)
    if null is not None and "prediction" in found:
        judgements["inconsistency"] = suggested_inconsistency(pooled, found["prediction"], null)
    if bias is not None:
        weights = dict(zip(result.table["study"], result.table["weight"], strict=True))
        judgements["risk of bias"] = suggested_risk_of_bias(bias, weights)
    return judgements


def certainty(design: str, judgements: Mapping[str, Judgement]) -> Result:
    """Return the GRADE certainty, or ``not rated`` while a domain has no judgement.

    Parameters
    ----------
    design
        Design tier: randomised evidence starts high, other evidence low.
    judgements
        By domain of `DOWN` (all five needed) and `UP`.

    Returns
    -------
    Result
        Table with domain, judgement (``no concern``, ``1 level down`` …, ``not rated`` for a domain
        of `DOWN` without one), levels, reason and source; settings ``certainty``, one of `LEVELS`
        or ``not rated``, ``reason`` in words, and ``basis``.

    Raises
    ------
    DataError
        If the design or a domain is unknown, or a domain moves in the wrong direction.
    """
    if design not in DESIGNS:
        raise DataError(f"a design must be one of {', '.join(DESIGNS)}; got {design!r}.")
    for domain, judgement in judgements.items():
        if domain not in (*DOWN, *UP):
            raise DataError(f"a domain must be one of {', '.join((*DOWN, *UP))}; got {domain!r}.")
        if (domain in DOWN and judgement.levels > 0) or (domain in UP and judgement.levels < 0):
            raise DataError(f"{domain} cannot move certainty by {judgement.levels:+d}. Change it.")
    named = [*DOWN, *[domain for domain in UP if domain in judgements]]
    table = pd.DataFrame([_graded(name, judgements.get(name)) for name in named])
    table["levels"] = table["levels"].astype("Int64")
    open_domains = [domain for domain in DOWN if domain not in judgements]
    rated = not open_domains
    total = START.get(design, 1) + sum(one.levels for one in judgements.values())
    level = LEVELS[min(3, max(0, total))] if rated else "not rated"
    rules = [name for name, one in judgements.items() if one.source == BY_RULE]
    basis = f"{BY_RULE}: {', '.join(rules)}" if rules else "cited judgements"
    reason = basis if rated else f"no judgement on {listed(open_domains)}"
    return Result(
        text=f"Certainty {level} ({reason})." if rated else f"Certainty {level}: {reason}.",
        table=table,
        settings={
            "certainty": level,
            "reason": reason,
            "basis": basis if rated else "",
            "design": design,
        },
        cautions=(Caution("other", f"Judged {BY_RULE}: {', '.join(rules)}."),) if rules else (),
    )


def _graded(domain: str, judgement: Judgement | None) -> dict[str, Any]:
    if judgement is None:
        reason = "not judged by a person, and no rule applies"
        return {
            "domain": domain,
            "judgement": "not rated",
            "levels": None,
            "reason": reason,
            "source": "not judged yet",
        }
    levels = judgement.levels
    moved = f"{abs(levels)} level{'s' if abs(levels) > 1 else ''} {'down' if levels < 0 else 'up'}"
    return {
        "domain": domain,
        "judgement": moved if levels else "no concern",
        "levels": levels,
        "reason": judgement.reason,
        "source": judgement.source,
    }
