"""Pictures of what single studies do to a pooled result."""

from __future__ import annotations

import numpy as np

from evidence.errors import DataError
from evidence.plots.style import BLUE, FAINT, ORANGE, Picture, canvas, drawn, label_points, short
from evidence.results import Result

__all__ = ["baujat"]

NAMED = 5
"""Studies named beside their point besides the influential ones."""


@drawn
def baujat(result: Result, *, title: str = "Which studies shape the result") -> Picture:
    """Draw each study's share in the heterogeneity against its influence on the pooled effect.

    Baujat et al. 2002 (Statistics in Medicine 21:2641-2652). Studies far to the right disagree with
    the others, studies high up move the pooled effect; diamonds pass a threshold of influence.

    Parameters
    ----------
    result
        What `evidence.synthesis.sensitivity.influence` returned.
    title
        Shown above.

    Raises
    ------
    DataError
        If the result has no influence diagnostics.
    """
    if not result.known or "baujat_x" not in result.table:
        raise DataError(f"a Baujat plot needs influence diagnostics; got: {result.text}")
    table = result.table
    figure, axes = canvas(3.5)
    for flagged, marker, colour, name in (
        (False, "o", BLUE, "study"),
        (True, "D", ORANGE, "influential by a usual threshold"),
    ):
        some = table[table["influential"] == flagged]
        axes.scatter(
            some["baujat_x"],
            some["baujat_y"],
            s=12 + 46 * some["weight"] / table["weight"].max(),
            marker=marker,
            color=colour,
            edgecolor="white",
            linewidth=0.5,
            label=name,
        )
    right, top = (table[name].max() or 1.0 for name in ("baujat_x", "baujat_y"))
    axes.set_xlim(-0.03 * right, 1.08 * right)
    axes.set_ylim(-0.04 * top, 1.12 * top)
    axes.set_xlabel("Share in heterogeneity (squared residual)")
    axes.set_ylabel("Influence on the pooled effect")
    axes.grid(color=FAINT, linewidth=0.5, alpha=0.5)
    axes.set_title(title)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=2)
    label_points(
        axes, table["baujat_x"].tolist(), table["baujat_y"].tolist(), _names(result), fontsize=8
    )
    return Picture(figure, _alt(result))


def _names(result: Result) -> list[str]:
    table = result.table
    order = table["baujat_y"].rank(ascending=False) + 1e-9 * np.arange(len(table))
    named = table["influential"] | (order <= NAMED)
    return [
        short(name, 22) if shown else "" for name, shown in zip(table["study"], named, strict=True)
    ]


def _alt(result: Result) -> str:
    table = result.table
    top, odd = table.loc[table["baujat_y"].idxmax()], table.loc[table["baujat_x"].idxmax()]
    names = table.loc[table["influential"], "study"].tolist()
    flagged = (
        f"Influential by a usual threshold: {', '.join(names)}." if names else "None is flagged."
    )
    both = f"{top['study']} moves the pooled effect most"
    both += " and adds" if top["study"] == odd["study"] else f", {odd['study']} adds"
    return f"Baujat plot of {len(table)} studies. {both} most to the heterogeneity. {flagged}"
