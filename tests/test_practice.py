"""Readings, directory, coverage and ladder: every finding counted once, whatever it says."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from evidence import book, data, plots
from evidence.data import practice, registry
from evidence.errors import DataError
from evidence.practice import cases, coverage, ladder, readings, steps
from evidence.results import Estimate, Result
from evidence.variation.limits import funnel
from evidence.vocabulary import DESIGNS

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))
    data.forget()


def finding(**changes):
    row = {
        "subject": "x",
        "name": "Care",
        "kind": "synthesis",
        "outcome": "response",
        "design": "rct",
        "direction_better": "higher",
        "measure": "RR",
        "unit": "",
        "estimate": 1.3,
        "low": 1.1,
        "high": 1.5,
        "decimals": 2,
        "stated_reading": "",
        "text": "",
        "n": "1 study",
        "population": "adults",
        "comparator": "usual care",
        "reported_by": "patients",
        "source": "a paper",
        "steps": "S1",
        "lessons": "L1 L2",
        "principles": "",
    }
    return row | changes


def table(*rows):
    return pd.DataFrame([finding(**row) for row in rows] or [finding()])


READ = {
    "a ratio above 1 that should be high": ({}, "better"),
    "a ratio above 1 that should be low": ({"direction_better": "lower"}, "worse"),
    "a ratio about 1": ({"low": 0.9}, "no clear difference"),
    "a limit at no effect": ({"low": 1.0}, "no clear difference"),
    "a difference below 0 that should be low": (
        {
            "measure": "SMD",
            "estimate": -0.3,
            "low": -0.4,
            "high": -0.2,
            "direction_better": "lower",
        },
        "better",
    ),
    "a difference below 0 that should be high": (
        {"measure": "MD", "estimate": -0.3, "low": -0.4, "high": -0.2},
        "worse",
    ),
    "no interval": ({"low": math.nan, "high": math.nan}, "not estimable"),
    "no direction": ({"direction_better": "none"}, "neither better nor worse"),
    "no direction and no difference": (
        {"direction_better": "none", "low": 0.9},
        "no clear difference",
    ),
    "no direction and no interval": (
        {"direction_better": "none", "low": math.nan, "high": math.nan},
        "not estimable",
    ),
    "before and after": ({"design": "before_after"}, "no comparison"),
    "before and after, for the worse": (
        {"design": "before_after", "direction_better": "lower"},
        "no comparison",
    ),
    "words of the source": ({"stated_reading": "no clear difference"}, "no clear difference"),
}


@pytest.mark.parametrize(("changes", "said"), READ.values(), ids=READ.keys())
def test_a_reading_follows_from_interval_direction_and_design(changes, said):
    assert readings.read(table(changes))["reading"].tolist() == [said]


def test_every_design_has_one_tier_and_an_unknown_one_is_refused():
    placed = [design for designs in readings.TIERS.values() for design in designs]
    assert sorted(placed) == sorted(DESIGNS)
    with pytest.raises(DataError, match="a design must be one of"):
        readings.tier("trial")
    with pytest.raises(DataError, match="need the column 'low'"):
        readings.read(table().drop(columns="low"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "RR 1.30 (1.10 to 1.50)"),
        ({"low": math.nan}, "RR 1.30"),
        ({"estimate": math.nan}, "no figure"),
        (
            {"measure": "percentage", "estimate": 75, "unit": "%", "low": math.nan, "decimals": 0},
            "75\N{NO-BREAK SPACE}%",
        ),
        (
            {"measure": "MD", "estimate": -98, "low": -118, "high": -78, "decimals": 0},
            "difference \N{MINUS SIGN}98 (\N{MINUS SIGN}118 to \N{MINUS SIGN}78)",
        ),
        (
            {"measure": "change", "estimate": -3, "low": math.nan, "decimals": 0}
            | {"unit": "bed-days a year"},
            "\N{MINUS SIGN}3 bed-days a year",
        ),
    ],
)
def test_a_figure_is_printed_as_its_source_prints_it(changes, said):
    assert readings.printed(finding(**changes)) == said


# Coverage -----------------------------------------------------------------------------------------


def all_entries():
    return [registry.entries(name) for name in ("steps", "lessons", "principles")]


def test_shares_over_all_cells_add_up_to_the_registry_and_counts_to_its_tags():
    entries = registry.registry()
    step, lesson, principle = all_entries()
    for rows, columns in ((step, lesson), (principle, lesson), (step, principle)):
        found = coverage.matrix(entries, rows, columns)
        down, across = found.settings["rows"], found.settings["columns"]
        tags = entries[down].str.split().str.len().clip(lower=1)
        tags *= entries[across].str.split().str.len().clip(lower=1)
        cells = found.table
        assert cells["share"].sum() == pytest.approx(len(entries))
        assert cells[list(coverage.KINDS)].to_numpy().sum() == tags.sum()
        assert len(cells) == (len(rows) + 1) * (len(columns) + 1)
        assert cells["local"].sum() == tags[entries["kind"] == "case"].sum()


def with_report_pages():
    return registry.with_pages(registry.registry(), book.plan(ROOT).pages)


def test_pages_count_too_and_the_shares_still_add_up_to_all_entries():
    step, lesson, principle = all_entries()
    entries = with_report_pages()
    assert (entries["kind"] == "page").sum() == len(book.plan(ROOT).pages)
    for rows, columns in ((step, lesson), (principle, lesson), (step, principle)):
        found = coverage.matrix(entries, rows, columns)
        plain = coverage.matrix(registry.registry(), rows, columns)
        assert found.table["share"].sum() == pytest.approx(len(entries))
        assert found["registry"].value == len(entries)
        assert found["gaps"] == plain["gaps"]
        assert found.table["evidence"].tolist() == plain.table["evidence"].tolist()
        assert found.table["pages"].sum() > plain.table["pages"].sum() == 0


def test_every_entry_and_every_page_carries_a_tag_of_a_framework():
    entries = with_report_pages()
    bare = entries[(entries[["steps", "lessons", "principles"]] == "").all(axis=1)]
    assert bare["entry"].tolist() == []


def test_tables_for_a_phone_hold_the_same_counts_in_five_columns_and_the_rest_in_words():
    step, lesson, principle = all_entries()
    totals = coverage.totals(with_report_pages(), step, lesson, principle)
    for framework, entries in (("steps", step), ("lessons", lesson), ("principles", principle)):
        found = coverage.listed(totals, framework)
        inside = totals.table[totals.table["framework"] == framework]
        counts = found.table[list(coverage.SHORT)]
        assert counts.to_numpy().tolist() == inside[list(readings.TIERS)].to_numpy().tolist()
        assert found.table.shape == (len(entries), 5)
        assert len(found.text.split()) <= 40
    said = coverage.besides(totals, "lessons").table.set_index("lesson")["also"]
    assert said["L1 local champions"] == "1 page"
    assert (
        said["L4 money that moves with the patient"]
        == "1 local site; 1 page; certainty 1 not rated"
    )
    assert not any(re.search(r"\b1 (indicators|pages|local sites)", text) for text in said)


def test_gaps_are_told_row_by_row_and_are_the_same_gaps():
    step, lesson, _ = all_entries()
    found = coverage.matrix(registry.registry(), step, lesson)
    rows = coverage.gaps_by_row(found).table
    ids = [id for column in rows.columns[1:] for text in rows[column] for id in text.split(", ")]
    assert len([id for id in ids if id != "none"]) == found["gaps"].value
    assert rows["step"].iloc[1].startswith("S2 ")


def test_empty_cells_are_named_as_gaps():
    step, lesson, _ = all_entries()
    found = coverage.matrix(registry.registry(), step, lesson)
    gaps = coverage.gaps(found).table
    assert len(gaps) == found["gaps"].value
    assert ("S2", "L2") in set(zip(gaps["row"], gaps["column"], strict=True))
    assert set(gaps["gap"]) == {"nothing", "an indicator, no evidence"}


def test_totals_name_what_has_no_evidence():
    step, lesson, principle = all_entries()
    found = coverage.totals(registry.registry(), step, lesson, principle)
    bare = found.table.loc[found.table["evidence"] == 0, "id"].tolist()
    assert len(found.table) == 28
    assert "L1" in bare
    assert bare == ["S2", "S6", "L1", "L2", "P4", "P9"]
    assert found.text.endswith("steps 2 and 6; lessons 1 and 2; principles 4 and 9.")


def small(**changes):
    row = {
        "entry": "a",
        "name": "A",
        "kind": "synthesis",
        "design": "rct",
        "certainty": "not rated",
        "certainty_source": "",
        "last_search": "not stated",
        "next_search": "not stated",
        "citation": "a paper",
        "steps": "S1",
        "lessons": "L1",
        "principles": "",
    }
    return pd.DataFrame([row | changes])


def test_certainty_is_cited_by_rule_or_not_rated():
    rated = small(certainty="low", certainty_source="a review")
    assert coverage.certainty(small()).tolist() == ["not rated"]
    assert coverage.certainty(rated).tolist() == ["low (cited: a review)"]
    assert "by rule" in coverage.certainty(small(design="before_after")).iloc[0]
    assert coverage.certainty(small(kind="indicator", design="")).tolist() == [""]


def test_coverage_refuses_repeated_entries_unknown_tags_and_one_framework_twice():
    step, lesson, _ = all_entries()
    with pytest.raises(DataError, match="'a' comes twice"):
        coverage.matrix(pd.concat([small(), small()]), step, lesson)
    with pytest.raises(DataError, match="'L99' is none"):
        coverage.matrix(small(lessons="L99"), step, lesson)
    with pytest.raises(DataError, match="needs two frameworks"):
        coverage.matrix(small(), step, step)


# Directory ----------------------------------------------------------------------------------------


def test_the_directory_holds_every_case_and_can_be_narrowed():
    sites = registry.sites()
    assert cases.directory(sites)["shown"].value == len(practice.cases())
    lambeth = cases.directory(sites, borough="E09000022")
    assert lambeth.table["id"].tolist() == ["lambeth-living-well-hub"]
    assert cases.directory(sites, lesson="L1")["shown"].value == 0
    with pytest.raises(DataError, match="at least one site"):
        cases.directory(sites.iloc[:0])


def test_the_two_street_triage_services_are_most_alike():
    found = cases.similar(registry.sites()).table.set_index("site")
    assert found.loc["Street triage, Sussex", "most like"].startswith("Street triage, North")
    assert found.loc["Street triage, Sussex", "likeness"] == 1
    alone = "Value-based contract for psychosis, Camden and Islington"
    assert found.loc[alone, "most like"] == "none"


def test_findings_are_told_in_two_columns_without_losing_what_they_rest_on():
    rows = readings.told(readings.read(table({}, {"estimate": math.nan, "low": math.nan})))
    assert rows["finding"].tolist() == ["Care: response"] * 2
    assert rows["says"].tolist() == ["RR 1.30 (1.10 to 1.50): better", "not estimable"]
    assert rows["rests"].iloc[0] == "trial; against usual care; 1 study; a paper"
    assert rows["told"].iloc[1] == "not estimable (trial; against usual care; 1 study; a paper)"
    sites = cases.directory(registry.sites()).table
    assert sites["judged"].str.contains("Judged by an? ").all()
    assert sites["carries"].str.contains("Source: ").all()


def test_counts_of_sites_and_indicators_are_sentences():
    sites = registry.sites()
    assert cases.directory(sites).text == (
        "8 documented sites: 1 quasi-experiment, 4 uncontrolled evaluations, 3 descriptions."
    )
    none = cases.directory(sites, lesson="L1")
    assert none.text == "None of the 8 documented sites belongs to this lesson."
    assert not none.cautions
    one = cases.directory(sites, borough="E09000022").text
    assert one == "1 of 8 documented sites belongs to this borough: 1 quasi-experiment."
    shown = pd.DataFrame({"page": ["a", "b"], "indicator": ["A", "B"]})
    said = [cases.measured(shown.iloc[:count]).text.split(" of")[0] for count in (0, 1, 2)]
    assert said == ["No indicator", "One indicator", "2 indicators"]


def test_lessons_without_a_site_are_named():
    found = cases.without_site(registry.sites(), registry.entries("lessons"))
    assert set(found.table["id"]) == {"L1", "L2", "L5", "L6", "L9"}


def test_outcomes_and_syntheses_together_are_all_findings():
    findings = registry.findings()
    outcomes, umbrella = cases.outcomes(findings), cases.umbrella(findings)
    assert len(outcomes.table) + len(umbrella.table) == len(findings)
    assert outcomes.text == "2 of 12 outcomes have an interval by which they can be judged."
    one = findings[findings["subject"] == "sandwell-wellbeing-hub"]
    assert cases.outcomes(one).text.startswith("None of 1 outcomes have an interval")
    assert cases.outcomes(findings.iloc[:0]).text == "No outcome of such a site is known."
    assert {"tier", "direction_better", "reading"} <= set(umbrella.table.columns)


# Ladder -------------------------------------------------------------------------------------------


def marks(picture):
    return [item for item in picture.figure.axes[0].collections if item.get_gid() == "finding"]


def test_null_and_harmful_findings_are_listed_as_often_as_they_exist():
    findings = readings.read(registry.findings())
    known = Counter()
    for tag in [each.id for each in practice.framework("lessons")]:
        found = ladder.ladder(findings, tag=tag)
        if found.known:
            known[tag] = Counter(found.table["reading"])
    for tag, counted in known.items():
        mine = findings[[tag in ids.split() for ids in findings["lessons"]]]
        assert counted == Counter(mine["reading"])
    assert sum(counted["no clear difference"] for counted in known.values()) > 0


def test_the_finding_of_every_lesson_and_step_fits_a_box_and_counts_in_plain_words():
    findings = registry.findings()
    for framework in ("lessons", "steps"):
        for each in practice.framework(framework):
            found = ladder.ladder(findings, tag=each.id, framework=framework, name=each.name)
            assert len(found.text.split()) <= 40
            assert not re.search(
                r"\b1 (findings|studies|trials|descriptions|uncontrolled evaluations)", found.text
            )
    one = ladder.ladder(table({"design": "descriptive"}), tag="L1")
    assert one.text == "1 finding on L1: 1 better."
    assert one.settings["standing"] == "By design: 1 description; never pooled."


def test_each_finding_has_one_mark_of_one_size_whatever_it_says():
    rows = [
        {"name": "Good"},
        {"name": "Null", "low": 0.9},
        {"name": "Harm", "direction_better": "lower"},
        {"name": "Before and after", "design": "before_after"},
        {"name": "Said only", "estimate": math.nan, "low": math.nan, "high": math.nan},
    ]
    drawn = marks(plots.ladder(ladder.ladder(table(*rows), tag="L1", name="a lesson")))
    assert len(drawn) == len(rows)
    assert len({tuple(mark.get_sizes()) for mark in drawn}) == 1
    columns = {round(float(mark.get_offsets()[0][0]), 3) for mark in drawn}
    assert len(columns) == 4


def test_tiers_are_never_pooled_and_stand_strongest_first():
    rows = [{"design": "descriptive"}, {"design": "its"}, {"design": "rct"}]
    found = ladder.ladder(table(*rows), tag="L1")
    assert found.table["tier"].tolist() == ["trials", "quasi-experiments", "descriptions"]
    assert "designs_differ" in [doubt.kind for doubt in found.cautions]
    assert not any(estimate.low for estimate in found.estimates)


def test_a_lesson_without_evidence_says_so_and_is_not_drawn():
    found = ladder.ladder(table(), tag="L9", name="a lesson")
    assert not found.known
    assert found.text.startswith("Nothing is known here of L9, a lesson:")
    with pytest.raises(DataError, match="a ladder needs findings"):
        plots.ladder(found)
    with pytest.raises(DataError, match="need the column 'themes'"):
        ladder.ladder(table(), tag="L9", framework="themes")


def test_a_pooled_effect_of_the_report_joins_the_ladder():
    effect = Estimate(
        key="pooled", value=0.5, low=0.3, high=0.7, measure="SMD", k=54, direction_better="higher"
    )
    pages = registry.pages()
    found = ladder.with_pages(registry.findings(), pages, {pages["page"].iloc[0]: effect})
    assert len(found) == len(registry.findings()) + 1
    assert readings.read(found)["reading"].iloc[-1] == "better"
    assert found["n"].iloc[-1] == "54 studies"


def test_readings_by_tier_count_every_finding():
    findings = registry.findings()
    found = ladder.counted(findings)
    counts = found.table.drop(columns="tier")
    assert counts[list(readings.READINGS)].to_numpy().sum() == len(findings)
    assert counts[[*ladder.JUDGED, "others"]].to_numpy().sum() == len(findings)


# Pictures -----------------------------------------------------------------------------------------


def test_the_coverage_picture_prints_the_numbers_of_its_cells():
    step, lesson, _ = all_entries()
    found = coverage.matrix(registry.registry(), step, lesson)
    picture = plots.coverage(found)
    drawn = Counter(text.get_text() for text in picture.figure.axes[0].texts)
    cells = found.table
    assert (
        sum(int(text) * n for text, n in drawn.items() if text.isdigit()) == cells["evidence"].sum()
    )
    assert drawn["i"] == ((cells["evidence"] == 0) & (cells["indicators"] > 0)).sum()
    assert f"{int(found['gaps'].value)} hold no evidence" in picture.alt
    assert picture.svg() == picture.svg()


def test_pictures_refuse_other_results():
    other = Result(text="something else")
    with pytest.raises(DataError, match="draws a result of coverage"):
        plots.coverage(other)
    with pytest.raises(DataError, match="draws a result of ladder"):
        plots.ladder(other)


# Steps --------------------------------------------------------------------------------------------


@pytest.fixture
def material():
    rows = [(f"A{n}", f"Area {n}", 40.0 + 5 * n, 100.0) for n in range(6)]
    counts = pd.DataFrame(rows, columns=["area_code", "area", "numerator", "denominator"])
    words = {"direction_better": "higher", "indicator": "Reviews", "unit": "%", "period": "2018-19"}
    codes = counts["area_code"]
    stated = {"id": ["reviews"], "short": "Reviews", "owner_role": "not stated"}
    return steps.Material(
        funnels={"reviews": funnel(counts, **words)},
        stated=pd.DataFrame(
            stated | {"next_review": "not stated", "rounding": 5, "breaks": "", "register": False}
        ),
        groups=pd.DataFrame({"area_code": codes, "group": ["north"] * 3 + ["south"] * 3}),
        findings=table({}, {"reported_by": "not stated"}),
        reviews=small(),
    )


def test_a_step_of_indicators_is_not_measured_where_none_is_published(material):
    bare = replace(material, funnels={}, gradients={})
    for step in steps.MEASURES:
        found = steps.measure(step, bare)
        assert found.known == (step in ("S2", "S3", "S8"))
        assert steps.shown(step, found).text == found.text


def test_groups_are_pooled_as_sum_over_sum_and_set_against_the_rest(material):
    found = steps.measure("S1", material).table.set_index("group")
    assert found.loc["north", "pooled"] == pytest.approx(100 * (40 + 45 + 50) / 300)
    assert found.loc["north", "rest of London"] == pytest.approx(found.loc["south", "pooled"])
    told = steps.shown("S1", steps.measure("S1", material)).table
    assert told["indicator"].tolist() == ["Reviews"]
    said = told["groups of areas pooled"].iloc[0]
    assert said.startswith("north 45.0\N{NO-BREAK SPACE}% (\N{MINUS SIGN}15.0 against the rest)")
    for step in set(steps.HEADINGS) - {"S5"}:
        narrow = steps.shown(step, steps.measure(step, material)).table
        assert narrow.shape == (1, 2)
        assert not re.search(r"\bnan\b", str(narrow.iloc[0, 1]))
    assert len(steps.shown("S2", steps.measure("S2", material)).table) == 1
    lost = steps.Material(
        funnels=material.funnels,
        stated=material.stated,
        groups=material.groups.iloc[1:],
        findings=material.findings,
        reviews=material.reviews,
    )
    with pytest.raises(DataError, match="Area 0 does not"):
        steps.measure("S1", lost)


def test_the_smallest_detectable_difference_by_hand(material):
    """London 52.5 % of 100 people: 2.8016 × √(2 × 0.525 × 0.475 / 100) = 19.8 points."""
    found = steps.smallest_difference(material.funnels["reviews"], 100)
    assert found == pytest.approx(100 * 2.80159 * math.sqrt(2 * 0.525 * 0.475 / 100), rel=1e-5)
    assert steps.measure("S4", material).table["median area"].iloc[0] == pytest.approx(found)


def test_every_step_has_a_measure_or_says_why_not(material):
    for step in [each.id for each in practice.framework("steps")]:
        found = steps.measure(step, material)
        assert found.text
        assert len(found.table) or not found.known
    assert steps.measure("S2", material).text.startswith("None of 1 indicators has an owner")
    assert steps.measure("S3", material).text.startswith("Patients report 1 of 2 outcomes")
    assert steps.measure("S7", material).table["counts rounded to"].tolist() == [5]
    assert not steps.measure("S5", material).known
    assert steps.measure("S6", material).table["more people"].iloc[0].endswith("people a year")
    dated = steps.measure("S8", replace(material, reviews=small(last_search="2024-01-01")))
    assert dated.text.startswith("1 of 1 bodies of evidence and sites states when a last search")
    assert dated.table["last search"].tolist() == ["2024-01-01; next: not stated"]
    with pytest.raises(DataError, match="a step must be one of"):
        steps.measure("S10", material)


def test_the_gradient_by_deprivation_is_read_where_it_is_known(material):
    columns = ["period", "sii", "sii_low", "sii_high"]
    slopes = pd.DataFrame(
        [("2018-19", 9.0, 8.0, 10.0), ("2019-20", 8.0, 7.0, 9.0)], columns=columns
    )
    known = {"reviews": Result(text="slopes", table=slopes)}
    found = steps.measure("S5", replace(material, gradients=known))

    assert found.table["slope"].tolist() == [8.0]
    assert (
        "Reviews rises most, by 8.0 points (7.0 to 9.0) on the slope index; 0 of 1 indicators"
        in found.text
    )
    assert steps.shown("S5", found).table.iloc[0, 1] == "8.0 points (7.0 to 9.0), 2019-20"


def test_a_difference_that_rounds_to_nothing_has_no_minus():
    assert steps._signed(-0.04) == "+0.0"
    assert steps._signed(-0.06) == "\N{MINUS SIGN}0.1"


def test_the_best_area_after_noise_is_named_beside_those_that_do_worse(material):
    found = steps.measure("S9", material).table.iloc[0]
    assert found["best after noise"] == "Area 5"
