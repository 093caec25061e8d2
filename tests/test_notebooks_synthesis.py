"""Notebooks of syntheses say what they could not do, whatever parameters are chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evidence import data

FOLDER = Path(__file__).resolve().parents[1] / "notebooks" / "synthesis"


def drafted(notebook: str, **changed: Any) -> dict[str, Any]:
    """Run a notebook's code as JupyterLab does, with other parameters; return its names."""
    cells = json.loads((FOLDER / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names |= changed
    return names


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"least_studies": 100}, "no study has both a usable effect and a known format"),
        ({"by": "diagnosis", "least_studies": 25}, "diagnosis has one value only"),
    ],
    ids=["no group", "one group"],
)
def test_subgroups_that_cannot_be_compared_are_said_to_be_so(choices, reason):
    names = drafted("subgroups", **choices)

    assert names["box"].finding == f"Subgroups not compared: {reason}."
    assert not names["compared"].known
    assert "format" not in names["figures"]


@pytest.fixture(scope="module")
def alike():
    """Names of all trials but those that find nearly the same, between which nothing varies."""
    trials = data.load("reviews/psychotherapy_depression_uk", "trials")
    far = (trials["g"] - 0.4).abs() > 0.4 * trials["g_se"]
    return sorted(set(trials.loc[far, "study"]))


def test_features_of_trials_that_do_not_vary_explain_no_share(alike):
    names = drafted("moderators", leave_out=alike, orders=20)

    assert names["chosen"]["tau2"].value == 0.0
    assert names["slopes"]["R2"].isna().all()
    assert names["each"].table["trials"].max() == names["chosen"]["QE"].k


@pytest.mark.parametrize("measure", ["RR", "OR", "RD"])
def test_two_treatments_are_compared_in_each_measure(measure):
    names = drafted("two_treatments", measure=measure)

    shown = names["pooled"].show(**names["shown"]).table
    assert names["pooled"]["pooled"].measure == measure
    assert (shown["95 % low"] < shown["effect"]).all()


def test_a_multiverse_without_an_open_choice_is_its_one_analysis():
    factors = data.protocol("reviews/psychotherapy_depression_uk").multiverse

    names = drafted("multiverse", leave_out_factors=[str(one["factor"]) for one in factors])

    assert len(names["universe"].table) == 1
    assert names["universe"].text.startswith("1 specification: ")
    assert names["box"].finding.endswith("No choice was left open.")


def test_a_choice_that_no_published_finding_meets_is_said_to_be_so():
    names = drafted("published", intervention="none of them")

    assert names["box"].finding == "No published finding of the registry meets this choice."
    assert names["tiers"].text == "Findings by design: none."
