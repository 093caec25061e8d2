"""What files state about practice: cases, interventions, targets, frameworks, and their tables."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evidence import data
from evidence.data import practice, registry
from evidence.errors import CatalogueError, DataError
from evidence.practice import readings
from evidence.runs.parameters import contract

ROOT = Path(__file__).resolve().parents[1]
CASE = "sussex-street-triage"


@pytest.fixture(autouse=True)
def _here(monkeypatch):
    monkeypatch.setenv("EVIDENCE_ROOT", str(ROOT))
    data.forget()


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the definitions and cases that a test may break."""
    shutil.copytree(ROOT / "data" / "definitions", tmp_path / "data" / "definitions")
    for name in ("practice", "published_syntheses", "reviews"):
        shutil.copytree(ROOT / "data" / "raw" / name, tmp_path / "data" / "raw" / name)
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    return tmp_path


def broken(root: Path, path: str, old: str, new: str) -> None:
    file = root / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


BREAKS = {
    "an unknown lesson": ("lessons: [L7, L8]", "lessons: [L7, L11]", "lessons", "'L11' is none"),
    "an unknown step": ("steps: []", "steps: [S10]", "steps", "'S10' is none"),
    "no lesson": ("lessons: [L7, L8]", "lessons: []", "lessons", "at least one lesson"),
    "an unknown borough": ("boroughs: []", "boroughs: [E99]", "boroughs", "'E99' is none"),
    "no direction": ("    direction_better: lower\n", "", "direction_better", "it is missing"),
    "no tier": ("design: before_after\n", "", "design", "it is missing"),
    "an unknown tier": ("design: before_after", "design: trial", "design", "got 'trial'"),
    "an unknown status": ("status: unknown", "status: open", "status", "must be one of"),
    "an interval off its estimate": (
        "interval: [0.48, 0.76]",
        "interval: [0.48, 0.86]",
        "interval",
        "must fit the estimate 0.61 on the log scale",
    ),
    "an interval beside its estimate": (
        "interval: [0.48, 0.76]",
        "interval: [0.65, 0.76]",
        "interval",
        "must fit the estimate",
    ),
    "limits the wrong way round": (
        "interval: [0.48, 0.76]",
        "interval: [0.76, 0.48]",
        "interval",
        "must be [low, high]",
    ),
    "no interval at all": ("    interval: [0.48, 0.76]\n", "", "interval", "must be given"),
    "limits without end": (
        "interval: [0.48, 0.76]",
        "interval: [-.inf, .inf]\n    scale: asymmetric",
        "interval",
        "must be [low, high]",
    ),
    "a ratio below 0": (
        "estimate: 0.61\n    interval: [0.48, 0.76]",
        "estimate: -0.61\n    interval: not stated",
        "estimate",
        "possible for a RR",
    ),
    "a share over all": (
        "measure: change\n    unit: detentions\n    estimate: -63",
        "measure: percentage\n    unit: '%'\n    estimate: 163",
        "estimate",
        "possible for a percentage: 0 to 100",
    ),
    "a count below 0": (
        "measure: change\n    unit: detentions",
        "measure: count\n    unit: detentions",
        "estimate",
        "possible for a count",
    ),
    "decimals before the point": ("decimals: 2", "decimals: -400", "decimals", "0 to 6"),
    "decimals without end": ("decimals: 2", "decimals: 400", "decimals", "0 to 6"),
    "an outcome twice": ("id: custody", "id: detentions", "outcomes", "'detentions' comes twice"),
    "a lesson twice": ("lessons: [L7, L8]", "lessons: [L7, L7]", "lessons", "'L7' comes twice"),
    "a borough twice": (
        "boroughs: []",
        "boroughs: [E09000007, E09000007]",
        "boroughs",
        "'E09000007' comes twice",
    ),
    "a character that nobody sees": (
        "title: Street triage, Sussex",
        'title: "Street \\e[31mtriage"',
        "title",
        "nobody sees",
    ),
    "a number of people that is none": ("n: 312", "n: 0", "n", "must be a positive number"),
    "a key that nobody knows": ("status: unknown", "state: unknown", "status", "it is missing"),
    "no source": (
        'source: "Evaluation of the service (author, title and year not stated)"\n',
        "",
        "source",
        "it is missing",
    ),
}


@pytest.mark.parametrize(("old", "new", "key", "said"), BREAKS.values(), ids=BREAKS.keys())
def test_a_wrong_case_stops_with_file_and_key(copy, old, new, key, said):
    broken(copy, f"data/raw/practice/{CASE}.yml", old, new)

    with pytest.raises(CatalogueError) as told:
        practice.cases()

    assert f"data/raw/practice/{CASE}.yml" in str(told.value)
    assert key in str(told.value)
    assert said in str(told.value)


def test_a_case_must_be_named_as_its_file(copy):
    broken(copy, f"data/raw/practice/{CASE}.yml", f"id: {CASE}", "id: sussex")
    with pytest.raises(CatalogueError, match="must equal the name of its file"):
        practice.cases()


def test_an_unknown_case_is_refused_with_the_nearest():
    with pytest.raises(CatalogueError, match="Did you mean 'sussex-street-triage'"):
        practice.case("sussex-street-triag")


def test_an_interval_may_be_called_asymmetric_where_it_is(copy):
    broken(
        copy,
        f"data/raw/practice/{CASE}.yml",
        "interval: [0.48, 0.76]",
        "interval: [0.48, 0.96]\n    scale: asymmetric",
    )
    assert practice.case(CASE).findings[0].high == 0.96


@given(
    st.floats(-5, 5),
    st.floats(0.01, 2),
    st.sampled_from(["natural", "log"]),
    st.integers(1, 3),
)
def test_whatever_is_rounded_still_fits_and_what_is_moved_does_not(middle, reach, scale, decimals):
    turn = math.exp if scale == "log" else float
    value, low, high = (round(turn(x), decimals) for x in (middle, middle - reach, middle + reach))
    assume(scale == "natural" or low > 0)

    assert practice.fits(value, low, high, decimals, scale)

    unit = 10.0**-decimals
    further = turn(middle + reach / 2)
    assume(abs(further - turn(middle)) > 4 * unit)
    assert not practice.fits(round(further, decimals), low, high, decimals, scale)


def test_the_published_effects_fit_their_intervals():
    table = data.load("published_syntheses")
    known = table[table["lo"].notna()]
    assert len(known) == 31
    for row in known.to_dict("records"):
        scale = "log" if row["measure"] == "RR" else "natural"
        decimals = 1 if "iCBT" in row["intervention"] else 2
        assert practice.fits(row["est"], row["lo"], row["hi"], decimals, scale), row["id"]


def test_the_ratio_of_the_sussex_service_follows_from_its_two_counts():
    found = practice.case(CASE).findings[0]
    ratio, error = 118 / 194, math.sqrt(1 / 118 + 1 / 194)

    assert found.estimate == round(ratio, 2)
    assert found.low == round(ratio * math.exp(-1.959964 * error), 2)
    assert found.high == pytest.approx(ratio * math.exp(1.959964 * error), abs=0.006)


def test_derived_figures_in_notes_follow_from_the_stated_ones():
    assert round(100 * 463 / 1348) == 34
    assert round(14_500 * 245 / 1e6, 2) == 3.55
    assert round(3.5525 / 0.8, 1) == 4.4
    assert round(26.4 - 59.8, 1) == -33.4
    assert round(100 * 98 / 203) == 48
    assert 119 - 56 == 63


def test_figures_of_a_case_equal_the_row_of_the_published_syntheses_that_repeats_them():
    published = registry.effects().set_index("id")
    linked = [one for case in practice.cases() for one in case.findings if one.effect]
    assert len(linked) == 2
    for one in linked:
        row = published.loc[one.effect]
        assert (one.estimate, one.low, one.high) == (row["est"], row["lo"], row["hi"])
        assert one.design == row["tier"]
        if one.direction_better != row["direction_better"]:
            assert one.direction_better == "none"
            assert "neither better nor worse by themselves" in one.text


def test_fewer_assessments_at_the_lambeth_hub_are_neither_better_nor_worse():
    """The source measured no outcome of patients; a change of activity alone is no benefit."""
    hub = registry.findings().query("subject == 'lambeth-living-well-hub'")
    said = readings.read(hub).set_index("outcome")["reading"].to_dict()
    assert said == {
        "assessments by secondary care in a month": "neither better nor worse",
        "probability that a referral is accepted": "better",
    }


def test_readings_that_files_may_state_are_those_of_the_ladder():
    assert set(practice.READINGS) == set(readings.READINGS)


def test_published_effects_are_told_in_words_and_each_by_its_own():
    effects = registry.effects()
    columns = ["outcome_words", "design_words", "people", "instead", "offered"]
    terse = re.compile(r"\b(TAU|SMI|MDD|IPS|EIP|IAPT|MBCT|CBT|RCT|MA|NMA|IPD|\d+m)\b|[_~>+]")
    for text in effects[columns].to_numpy().ravel():
        assert not terse.search(text), text
    told = effects[["citation", "outcome_words", "people"]]
    assert not told.duplicated().any()
    assert set(practice.plain_words()) <= set(
        effects[["design", "population", "comparator", "intervention"]].to_numpy().ravel()
    )


def test_a_register_that_is_no_indicator_is_refused(copy):
    broken(copy, "data/definitions/gain.yml", "  smi-care-plan:", "  smi-care-plans:")
    with pytest.raises(CatalogueError, match=r"gain\.yml.*registers.*'smi-care-plans' is none"):
        practice.registers()


def test_indicators_on_a_register_say_so_in_their_definition():
    assert set(practice.registers()) == {
        id
        for id in data.indicators()
        if re.search(r"on the register|on lists of", data.definition(id).denominator.label)
        and data.definition(id).measure == "proportion"
    }


def test_every_row_of_the_published_syntheses_stands_once_among_the_findings():
    findings = registry.findings()
    assert (findings["kind"] == "synthesis").sum() == 30
    assert (findings["kind"] == "case").sum() == 12
    cases = {case.title for case in practice.cases()}
    assert cases <= set(findings["name"])


def test_the_registry_holds_every_indicator_case_and_intervention():
    table = registry.registry()
    assert table["entry"].is_unique
    assert (table.loc[table["kind"] != "indicator", "citation"] != "").all()
    assert (table["kind"] == "indicator").sum() == len(data.indicators())
    assert (table["kind"] == "case").sum() == len(practice.cases())
    names = set(table["name"])
    assert {each.name for each in practice.interventions()} <= names


def test_an_effect_without_an_intervention_is_refused_by_name(copy):
    broken(copy, "data/definitions/interventions.yml", "effects: [karyotaki_guided]", "effects: []")
    with pytest.raises(CatalogueError, match="'karyotaki_guided' is not"):
        registry.effects()


def test_an_effect_of_two_interventions_is_refused_by_name(copy):
    broken(
        copy, "data/definitions/interventions.yml", "[piet_mbct]", "[piet_mbct, karyotaki_guided]"
    )
    with pytest.raises(CatalogueError, match="'karyotaki_guided' belongs to two"):
        registry.effects()


def test_one_effect_is_found_by_its_id_and_an_unknown_one_refused_with_the_nearest():
    published = registry.effects()

    assert registry.effect("correll_hosp", published)["est"] == 0.74
    with pytest.raises(DataError, match=r"'corell_hosp' is none\. Did you mean 'correll_hosp'"):
        registry.effect("corell_hosp", published)


def test_chosen_effects_come_in_the_order_named_and_none_or_unknown_is_refused():
    chosen = registry.chosen_effects(["gaskell_dep", "correll_hosp"])

    assert chosen["id"].tolist() == ["gaskell_dep", "correll_hosp"]
    assert chosen["est"].tolist()[1] == 0.74
    with pytest.raises(DataError, match="at least one row of published_syntheses"):
        registry.chosen_effects([])
    with pytest.raises(DataError, match="Did you mean 'correll_hosp'"):
        registry.chosen_effects(["corell_hosp"])


def test_an_outcome_without_a_meaning_is_refused_by_name(copy):
    broken(copy, "data/definitions/gain.yml", "  relapse:", "  relapses:")
    with pytest.raises(CatalogueError, match="'relapse' is not"):
        registry.effects()


def test_frameworks_have_16_barriers_10_actors_and_say_what_each_step_asks():
    assert len(practice.framework("barriers")) == 16
    assert len(practice.framework("actors")) == 10
    every = [
        each for kind in ("steps", "lessons", "principles") for each in practice.framework(kind)
    ]
    assert all(each.asks and each.source for each in every)
    assert all(each.source for each in practice.framework("barriers"))
    assert practice.entry("L8").name.startswith("specialists freed")
    with pytest.raises(CatalogueError, match="'L12' is not"):
        practice.entry("L12")
    with pytest.raises(CatalogueError, match="Did you mean 'barriers'"):
        practice.framework("bariers")


def test_every_share_has_a_source_or_the_word_assumed():
    for target in practice.targets():
        for share in (target.eligible_share, target.reach, target.baseline):
            assert share is None or share.assumed or len(share.basis) > 20
    assert practice.target("newly-diagnosed-depression").reach.assumed


def test_a_share_above_1_is_refused(copy):
    broken(copy, "data/definitions/gain.yml", "value: 0.10", "value: 10")
    with pytest.raises(CatalogueError, match="must lie between 0 and 1"):
        practice.targets()


def read_definitions():
    practice.framework("actors")
    practice.registers()
    practice.targets()
    practice.plain_words()
    registry.effects()


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("gain", "value: 0.10", "value: 0", "reach.value must lie between 0 and 1, and not be 0"),
        ("gain", "baseline: {value: 0.50", "baseline: {value: 1", "must be below 1"),
        ("gain", "      treatment: UC\n", "", "baseline.treatment must be given"),
        ("gain", "within_months: 6", "within_months: -6", "within_months must be 1 or more"),
        ("gain", 'psychosis: "the same people"', "psychosis: 3", "populations must map to texts"),
        ("gain", "relapse of depression, months: not stated", "relapse, months: [1]", "months"),
        ("gain", "depression-register: adults", "depression-register: [adults] #", "registers"),
        ("gain", "effect: archer_dep_short_rr", "effect: archer", "'archer' is none"),
        ("interventions", 'TAU: "treatment as usual"', "TAU: [a]", "words must map to texts"),
        ("frameworks", "id: A2", "id: A1", "'A1' comes twice"),
    ],
)
def test_a_wrong_definition_of_practice_is_refused_by_key(copy, file, old, new, said):
    broken(copy, f"data/definitions/{file}.yml", old, new)
    with pytest.raises(CatalogueError) as told:
        read_definitions()
    assert said in str(told.value)


def test_a_baseline_from_a_table_without_arms_is_refused(copy):
    shutil.copytree(ROOT / "data/raw/population", copy / "data/raw/population")
    broken(
        copy, "data/definitions/gain.yml", "reviews/primary_care_depression_network", "population"
    )
    stated = practice.target("newly-diagnosed-depression")
    with pytest.raises(DataError, match="population has no column treatment, responders, n"):
        registry.shares(stated)


def test_a_target_without_a_direction_is_refused(copy):
    broken(copy, "data/definitions/gain.yml", "    direction_better: higher\n", "")
    with pytest.raises(CatalogueError, match=r"gain\.yml.*direction_better"):
        practice.targets()


def test_the_baseline_of_usual_care_is_that_of_the_trials():
    found = registry.shares(practice.target("newly-diagnosed-depression"))["baseline"]
    assert found["value"] == 556 / 2109
    assert found["low"] < found["value"] < found["high"]
    assert found["basis"].startswith("556 of 2,109 responders")


def test_a_share_set_by_hand_is_called_assumed():
    target = practice.target("newly-diagnosed-depression")
    found = registry.shares(target, baseline=0.3)["baseline"]
    assert (found["value"], found["basis"]) == (0.3, "assumed (set by hand)")
    with pytest.raises(DataError, match="a share must lie above 0"):
        registry.shares(target, reach=1.5)
    with pytest.raises(CatalogueError, match="has no indicator"):
        registry.shares(practice.target("early-psychosis"))


def test_the_notebooks_offer_every_target_lesson_and_step():
    offered = {
        ("gap_to_gain", "target"): [target.id for target in practice.targets()],
        ("lesson", "lesson"): [each.id for each in practice.framework("lessons")],
        ("step", "step"): [each.id for each in practice.framework("steps")],
        ("directory", "lesson"): ["all", *(each.id for each in practice.framework("lessons"))],
    }
    for (notebook, name), ids in offered.items():
        declared = contract(ROOT / "notebooks" / "practice" / f"{notebook}.ipynb")
        assert list(next(one.allowed for one in declared if one.name == name)) == ids


def test_every_area_has_a_place_among_those_like_it():
    table = registry.likeness()
    assert len(table) == 32
    assert table[["deprivation", "adults"]].notna().all().all()
    assert table.loc[table["deprivation"].idxmax(), "area_code"] == "07L"


def test_sites_and_pages_are_tables_of_what_the_files_say():
    sites = registry.sites()
    assert sorted(sites["id"]) == sorted(case.id for case in practice.cases())
    assert set(sites["accessed"]) == {"not stated"}
    assert registry.pages()["page"].tolist() == ["psychotherapy-depression-uk"]
    assert len(registry.boards()) == 32
