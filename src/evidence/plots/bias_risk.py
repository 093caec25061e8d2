"""Pictures of the risk of bias: a light for each judgement, and shares of the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from evidence.errors import DataError
from evidence.plots.style import (
    FAINT,
    GREEN,
    INK,
    ORANGE,
    YELLOW,
    Picture,
    canvas,
    drawn,
    short,
)
from evidence.results import Result
from evidence.synthesis.certainty import SYMBOLS, TOOLS

__all__ = ["bias_shares", "traffic_light"]

COLOURS = {
    "low": GREEN,
    "some concerns": YELLOW,
    "unclear": YELLOW,
    "moderate": YELLOW,
    "high": ORANGE,
    "serious": ORANGE,
    "critical": "#8c2d04",
    "self-report": "#a6d9c6",
    "not low": ORANGE,
    "no information": FAINT,
}
"""Colour of a judgement; its symbol says the same."""

ROW = 0.2
ABOUT = ("study", "tool", "version", "overall", "overall_basis")


@drawn
def traffic_light(result: Result, *, title: str = "Risk of bias, study by study") -> Picture:
    """Draw every judgement as a light with its symbol, one row per study.

    Parameters
    ----------
    result
        What `evidence.synthesis.certainty.risk_of_bias` returned.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result has no judgements.
    """
    table, domains = judged(result)
    figure, axes = canvas(ROW * len(table) + 1.5)
    for x, domain in enumerate(domains):
        for y, judgement in enumerate(table[domain]):
            if isinstance(judgement, str) and judgement:
                colour = COLOURS.get(judgement, FAINT)
                axes.scatter(x, y, s=96, color=colour, linewidths=0, gid="light")
                axes.text(x, y, symbol(judgement), ha="center", va="center", fontsize=8, color=INK)
    axes.set_xlim(-0.6, len(domains) - 0.4)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_yticks(range(len(table)), [short(str(name), 26) for name in table["study"]])
    words = [short(name, 22) for name in domains]
    axes.set_xticks(range(len(domains)), words, rotation=35, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=7.8)
    for side in axes.spines.values():
        side.set_visible(False)
    lights = [
        Line2D([], [], marker="o", markersize=8, linewidth=0, color=COLOURS.get(name, FAINT),
               label=f"{symbol(name)}  {name}")
        for name in _scale(table, domains)
    ]  # fmt: skip
    figure.legend(handles=lights, loc="outside lower center", ncols=4, fontsize=7.8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return Picture(figure, f"{title}. {_alt(table, domains)}")


@drawn
def bias_shares(
    result: Result,
    weights: Mapping[str, float] | None = None,
    *,
    title: str = "Risk of bias, share of the evidence",
) -> Picture:
    """Draw per domain how much of the evidence has each judgement.

    Parameters
    ----------
    result
        What `evidence.synthesis.certainty.risk_of_bias` returned.
    weights
        Weight of each study in the pooled effect, by its name; every study the same if absent.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result has no judgements or a study has no weight.
    """
    table, domains = judged(result)
    shares = _shares(table, domains, weights)
    figure, axes = canvas(0.3 * len(domains) + 1.25)
    start = np.zeros(len(domains))
    for name in shares.columns:
        share = shares[name].to_numpy(float)
        bars = axes.barh(
            range(len(domains)), share, left=start, height=0.66, color=COLOURS.get(name, FAINT),
            edgecolor="white", label=f"{symbol(name)}  {name}",
        )  # fmt: skip
        axes.bar_label(
            bars, [f"{symbol(name)} {value:.0f}" if value >= 9 else "" for value in share],
            label_type="center", fontsize=7.8, color=INK,
        )  # fmt: skip
        start += share
    axes.set_yticks(range(len(domains)), [short(name, 26) for name in domains])
    axes.set_ylim(len(domains) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of studies" if weights is None else "% of the weight in the pooled effect")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    patches = [
        Patch(color=COLOURS.get(name, FAINT), label=f"{symbol(name)}  {name}") for name in shares
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=4, fontsize=7.8)
    listed = "; ".join(
        f"{domain} {shares.loc[domain].iloc[0]:.0f} % {shares.columns[0]}" for domain in domains
    )
    return Picture(figure, f"{title}, {len(table)} studies: {listed}.")


def judged(result: Result) -> tuple[pd.DataFrame, list[str]]:
    """Return the table of judgements, and its domains with the overall one at the end."""
    if not result.known or "overall_basis" not in result.table:
        raise DataError(f"a picture of the risk of bias needs its judgements; got: {result.text}")
    domains = [name for name in result.table.columns if name not in ABOUT]
    return result.table, [*domains, "overall"]


def symbol(judgement: str) -> str:
    """Return the symbol that says what the colour of a judgement says."""
    return SYMBOLS.get(judgement, "?")


def _scale(table: pd.DataFrame, domains: list[str]) -> list[str]:
    """Return the judgements that occur, best first."""
    order = list(dict.fromkeys(name for tool in table["tool"].unique() for name in TOOLS[tool]))
    present = set(table[domains].stack().unique())
    return [name for name in order if name in present]


def _shares(
    table: pd.DataFrame, domains: list[str], weights: Mapping[str, float] | None
) -> pd.DataFrame:
    """Return per cent of the weight by domain (rows) and judgement (columns, best first)."""
    known: Any = pd.Series(1.0, table.index) if weights is None else table["study"].map(weights)
    if known.isna().any():
        missing = ", ".join(table.loc[known.isna(), "study"].head(3))
        raise DataError(f"every study needs a weight; {missing} has none.")
    rows = {
        domain: known.groupby(table[domain]).sum() / known[table[domain].notna()].sum() * 100
        for domain in domains
    }
    return pd.DataFrame(rows).T.reindex(columns=_scale(table, domains)).fillna(0.0)


def _alt(table: pd.DataFrame, domains: list[str]) -> str:
    best = _scale(table, domains)[0]
    counts = [f"{domain} {int((table[domain] == best).sum())}" for domain in domains]
    return f"{len(table)} studies; number judged {best}: {', '.join(counts)}."
