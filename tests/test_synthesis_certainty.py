"""Risk of bias, GRADE and absolute effects: rules, sources, refusals."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Estimate
from evidence.synthesis.certainty import (
    BY_RULE,
    DATABASE_ITEMS,
    DOWN,
    LOW_ENOUGH,
    Judgement,
    certainty,
    from_items,
    risk_of_bias,
    suggested_imprecision,
    suggested_inconsistency,
    suggested_judgements,
    suggested_risk_of_bias,
)
from evidence.synthesis.certainty_findings import (
    absolute_effects,
    plain_line,
    summary_of_findings,
)
from evidence.synthesis.pool import PREDICTION_I2, PREDICTION_STUDIES, pool

CITED = Judgement(0, "no concern", "Smith 2020, table 2")


def judged(*rows):
    table = pd.DataFrame(rows, columns=["study", "domain", "judgement"])
    return table.assign(tool="RoB 2", version="2019", source="Smith 2020, table 2")


def test_the_overall_risk_is_the_worst_domain_and_says_that_it_is_by_rule():
    result = risk_of_bias(
        judged(
            ("A", "D1", "low"),
            ("A", "D2", "low"),
            ("B", "D1", "some concerns"),
            ("B", "D2", "high"),
        )
    )

    assert result.table["overall"].tolist() == ["low", "high"]
    assert set(result.table["overall_basis"]) == {BY_RULE}
    assert result["low"].value == 1


@pytest.mark.parametrize(
    ("found", "overall"),
    [
        (("critical", "no information"), "critical"),
        (("no information", "serious", "low"), "serious"),
        (("no information", "moderate"), "no information"),
        (("low", "moderate"), "moderate"),
    ],
)
def test_no_information_in_a_domain_does_not_hide_a_serious_one(found, overall):
    rows = judged(*[("A", f"D{at}", judgement) for at, judgement in enumerate(found)])

    assert risk_of_bias(rows.assign(tool="ROBINS-I")).table["overall"].tolist() == [overall]


def test_a_study_judged_by_two_tools_is_refused():
    rows = judged(("A", "D1", "high"), ("A", "D2", "high"), ("B", "D1", "low"))

    with pytest.raises(DataError, match="judged by one tool; A have several"):
        risk_of_bias(rows.assign(tool=["RoB 2", "Cochrane 1", "RoB 2"]))


def test_a_persons_overall_judgement_takes_the_place_of_the_rule():
    result = risk_of_bias(judged(("A", "D1", "some concerns"), ("A", "overall", "high")))

    assert result.table["overall"].tolist() == ["high"]
    assert result.table["overall_basis"].tolist() == ["Smith 2020, table 2"]


def test_judgements_without_source_or_outside_the_tool_are_refused():
    with pytest.raises(DataError, match="each judgement must state its source; A have none"):
        risk_of_bias(judged(("A", "D1", "low")).assign(source=""))
    with pytest.raises(DataError, match="judgements of RoB 2 must be one of low, some concerns"):
        risk_of_bias(judged(("A", "D1", "unclear")))
    with pytest.raises(DataError, match="judged once per domain; A come twice"):
        risk_of_bias(judged(("A", "D1", "low"), ("A", "D1", "high")))


def items(**marks):
    names = {"sg": "sequence", "ba": "blinding"}
    return from_items(pd.DataFrame(marks), names, version="version 1", source="two raters")


def test_items_of_the_database_become_judgements_with_tool_version_and_source():
    table = items(study=["A", "B"], sg=[1, 0], ba=["sr", "1"])
    result = risk_of_bias(table)

    assert set(table["tool"]) == {"four items of the database"}
    assert result.table["sequence"].tolist() == ["low", "not low"]
    assert result.table["blinding"].tolist() == ["self-report", "low"]
    assert result.table["overall"].tolist() == ["low", "not low"]
    assert set(result.table["version"]) == {"version 1"}
    assert "low in 1, not low in 1" in result.text


def test_the_four_items_of_the_database_have_their_names():
    rows = pd.DataFrame({"study": ["A"], "sg": [1], "ac": [1], "ba": ["sr"], "itt": [0]})
    table = from_items(rows, version="version 1", source="two raters")

    assert table["domain"].tolist() == list(DATABASE_ITEMS.values())


def test_a_study_has_the_worst_of_its_effects():
    table = items(study=["A", "A", "A"], sg=[1, 1, 0], ba=["1", "sr", "1"])

    assert table.set_index("domain")["judgement"].to_dict() == {
        "sequence": "not low",
        "blinding": "self-report",
    }


def test_items_read_as_decimals_are_judged_and_the_missing_one_is_named():
    whole = items(study=["A", "B"], sg=[1.0, 0.0], ba=["1", "0"])

    assert whole["judgement"].tolist() == ["low", "not low", "low", "not low"]
    with pytest.raises(DataError, match="an item must be 1, 0 or sr; B, sequence has nan"):
        items(study=["A", "B"], sg=[1.0, None], ba=["1", "1"])


def test_items_with_other_marks_are_refused():
    with pytest.raises(DataError, match="an item must be 1, 0 or sr; A, blinding has 'x'"):
        items(study=["A"], sg=[1], ba=["x"])
    with pytest.raises(DataError, match="must be columns of the table; no 'ba'"):
        items(study=["A"], sg=[1])


def test_randomised_evidence_without_concern_is_of_high_certainty():
    assert certainty("rct", dict.fromkeys(DOWN, CITED)).settings["certainty"] == "high"
    assert certainty("its", dict.fromkeys(DOWN, CITED)).settings["certainty"] == "low"


def test_certainty_with_an_open_domain_is_not_rated():
    result = certainty("rct", {"imprecision": CITED})

    assert result.settings["certainty"] == "not rated"
    assert result.settings["reason"] == (
        "no judgement on risk of bias, inconsistency, indirectness and publication bias"
    )


def test_an_unknown_design_is_refused_and_not_taken_for_a_weak_one():
    with pytest.raises(DataError, match=r"a design must be one of rct, .*; got 'RCT'"):
        certainty("RCT", dict.fromkeys(DOWN, CITED))


def test_judgements_by_rule_reach_the_reader():
    by_rule = Judgement(-1, "the interval includes no effect", BY_RULE)

    result = certainty("rct", dict.fromkeys(DOWN, CITED) | {"imprecision": by_rule})

    assert result.settings["certainty"] == "moderate"
    assert "by rule, not yet judged by a person: imprecision" in result.text


def test_bare_and_impossible_judgements_are_refused():
    with pytest.raises(DataError, match="must state its reason and its source"):
        Judgement(-1, "inconsistent", "")
    with pytest.raises(DataError, match="must move -2 to 2 levels"):
        Judgement(-3, "x", "y")
    with pytest.raises(DataError, match=r"imprecision cannot move certainty by \+1"):
        certainty("rct", {"imprecision": Judgement(1, "x", "y")})
    with pytest.raises(DataError, match="a domain must be one of risk of bias"):
        certainty("rct", {"trust": CITED})


@pytest.mark.parametrize(
    ("low", "high", "difference", "levels"),
    [
        (0.1, 0.5, None, 0),
        (-0.1, 0.5, None, -1),
        (-0.1, 0.5, 0.3, -1),
        (-0.1, 0.2, 0.3, 0),
        (-0.5, 0.5, 0.3, -2),
        (0.1, 0.5, 0.3, 0),
    ],
)
def test_imprecision_follows_the_interval_and_the_important_difference(
    low, high, difference, levels
):
    pooled = Estimate(key="pooled", value=(low + high) / 2, low=low, high=high)

    found = suggested_imprecision(pooled, difference)

    assert (found.levels, found.source) == (levels, BY_RULE)


def test_inconsistency_follows_the_prediction_interval():
    pooled = Estimate(key="pooled", value=0.3, low=0.1, high=0.5)
    wide = Estimate(key="prediction", value=0.3, low=-0.4, high=1.0)

    assert suggested_inconsistency(pooled, wide).levels == -1
    assert suggested_inconsistency(pooled, pooled).levels == 0


@pytest.mark.parametrize(("measure", "effect", "expected"), [("RR", 0.5, -100), ("RD", -0.1, -100)])
def test_absolute_effects_by_hand(measure, effect, expected):
    pooled = Estimate(key="pooled", value=effect, low=effect, high=effect, measure=measure)

    table = absolute_effects(pooled, [0.2]).table

    assert table["difference"][0] == pytest.approx(expected)
    assert table["nnt"][0] == pytest.approx(10)


def test_an_odds_ratio_is_turned_into_risks_through_odds():
    pooled = Estimate(key="pooled", value=2.0, low=0.9, high=4.0, measure="OR")

    table = absolute_effects(pooled, [0.5]).table

    assert table["with_value"][0] == pytest.approx(1000 * 2 / 3)
    assert table["nnt"].isna().all()


@given(st.floats(0.05, 5), st.floats(0.01, 0.99))
def test_risks_stay_between_none_and_all(effect, risk):
    for measure in ("RR", "OR"):
        pooled = Estimate(key="pooled", value=effect, measure=measure)
        assert 0 <= absolute_effects(pooled, [risk]).table["with_value"][0] <= 1000 + 1e-9


@pytest.mark.parametrize(
    ("value", "risks", "said"),
    [
        (1.1, [0.09, 0.10], "Per 1,000 people: 9 to 10 events difference at risks of 9 to 10 %."),
        (0.5, [0.2, 0.01], "Per 1,000 people: −100 to −5 events difference at risks of 1 to 20 %."),
        (0.5, [0.1, 0.4, 0.2], "Per 1,000 people: −200 to −50 events"),
        (0.5, [0.1], "Per 1,000 people: −50 events difference"),
    ],
)
def test_differences_are_said_from_the_least_to_the_greatest_number(value, risks, said):
    pooled = Estimate(key="pooled", value=value, measure="RR")

    assert absolute_effects(pooled, risks).text.startswith(said)


def test_absolute_effects_of_other_measures_are_refused():
    with pytest.raises(DataError, match="need a risk ratio, odds ratio or risk difference"):
        absolute_effects(Estimate(key="pooled", value=0.5, measure="SMD"), [0.2])
    with pytest.raises(DataError, match=r"risks must lie between 0 and 1 .* got \[1\.5\]"):
        absolute_effects(Estimate(key="pooled", value=0.5, measure="RR"), [1.5])


@pytest.mark.parametrize(("k", "open_too"), [(2, ["inconsistency"]), (6, [])])
def test_rules_judge_what_they_can_and_leave_the_rest_open(k, open_too):
    names = [f"S{i}" for i in range(k)]
    effects = pd.DataFrame({"study": names, "yi": [0.3, 0.5] * (k // 2), "vi": 0.04})
    pooled = pool(effects, direction_better="higher", measure="SMD")
    bias = risk_of_bias(judged(*[(name, "D1", "low") for name in names]))

    with_bias, without = suggested_judgements(pooled, bias=bias), suggested_judgements(pooled)

    assert set(with_bias) == {"imprecision", "inconsistency", "risk of bias"} - set(open_too)
    assert set(without) == set(with_bias) - {"risk of bias"}
    assert all(one.source == BY_RULE for one in with_bias.values())


def test_rules_take_no_effect_of_a_ratio_as_one():
    effects = pd.DataFrame({"study": ["A", "B", "C"], "yi": [-0.1, 0.1, 0.0], "vi": 0.01})
    pooled = pool(effects, direction_better="higher", measure="RR")

    assert suggested_judgements(pooled)["imprecision"].levels == -1


def test_what_was_not_pooled_cannot_be_judged():
    nothing = pool(
        pd.DataFrame({"study": ["a"], "yi": [None], "vi": [None]}),
        direction_better="higher",
        measure="SMD",
    )

    with pytest.raises(DataError, match="got 'pooled'"):
        suggested_judgements(nothing)


def test_rules_about_no_effect_do_not_judge_a_measure_without_one():
    effects = pd.DataFrame({"study": list("abc"), "yi": [-1.0, -0.5, -2.0], "vi": [0.1, 0.2, 0.1]})
    proportion = pool(effects, direction_better="higher", measure="PLO")

    assert suggested_judgements(proportion) == {}


def test_every_domain_stands_in_the_table_and_open_ones_are_not_rated():
    by_rule = Judgement(-1, "the interval includes no effect", BY_RULE)
    table = certainty("rct", {"imprecision": by_rule, "risk of bias": CITED}).table

    assert table["domain"].tolist() == list(DOWN)
    stated = table.set_index("domain")["judgement"].to_dict()
    assert stated["imprecision"] == "1 level down"
    assert stated["risk of bias"] == "no concern"
    assert stated["indirectness"] == stated["publication bias"] == "not rated"


@pytest.mark.parametrize(("weights", "levels"), [((60, 40), 0), ((40, 60), -1), ((50, 50), 0)])
def test_risk_of_bias_follows_the_weight_of_studies_at_low_risk(weights, levels):
    bias = risk_of_bias(judged(("A", "D1", "low"), ("B", "D1", "high")))

    found = suggested_risk_of_bias(bias, dict(zip("AB", weights, strict=True)))

    assert (found.levels, found.source) == (levels, BY_RULE)
    assert f"carry {weights[0]}\u00a0% of the weight" in found.reason


def test_a_study_without_judgement_cannot_be_weighed():
    bias = risk_of_bias(judged(("A", "D1", "low")))
    with pytest.raises(DataError, match="every pooled study needs its risk of bias; B have none"):
        suggested_risk_of_bias(bias, {"A": 50.0, "B": 50.0})


RISKS = {"lowest quarter": 0.2, "highest quarter": 0.4}


def ratio(value, low, high, measure="RR", better="higher"):
    return Estimate(
        key="pooled", value=value, low=low, high=high, measure=measure, direction_better=better
    )


def test_a_summary_of_findings_by_hand():
    result = summary_of_findings(
        ratio(1.5, 1.25, 2.0), RISKS, event="respond", intervention="SSRI", comparator="placebo"
    )

    assert result.table["without"].tolist() == ["200", "400"]
    assert result.table["with"].tolist() == ["300", "600"]
    assert result.table["difference"].tolist() == ["100 (50 to 200)", "200 (100 to 400)"]
    assert result.table["needed to treat"].tolist() == ["10 (5 to 20)", "5 (2 to 10)"]
    assert set(result.table["certainty"]) == {"not rated"}
    assert result["nnt.2"].value == pytest.approx(5)
    assert result.text == (
        "Of 1,000 people, 200 to 400 respond with placebo; with SSRI 100 to 200 more do."
    )


def test_no_number_needed_to_treat_where_the_interval_includes_no_difference():
    result = summary_of_findings(ratio(0.8, 0.5, 1.2), {"one trial": 0.5})

    assert result.table["needed to treat"].tolist() == ["not given"]
    assert result.text.endswith("with the intervention 100 fewer do, but perhaps none.")
    assert "infinity" in result.cautions[0].text
    assert [one.key for one in result.estimates] == ["difference.1"]


@given(st.floats(1.01, 4), st.floats(0.05, 0.95))
def test_numbers_needed_to_treat_are_the_inverse_of_differences(effect, risk):
    pooled = ratio(effect, effect, effect, "OR")
    row = absolute_effects(pooled, [risk]).table.iloc[0]

    assert row["nnt"] == pytest.approx(1000 / row["difference"])
    assert row["nnt_low"] == pytest.approx(row["nnt"]) == row["nnt_high"]


@pytest.mark.parametrize(
    ("level", "words"),
    [
        ("high", "CBT is better than usual care for response."),
        ("moderate", "CBT is probably better than usual care for response."),
        ("low", "CBT may be better than usual care for response."),
        ("very low", "It is very uncertain whether CBT differs from usual care in response."),
        (
            "not rated",
            "In these studies CBT was better than usual care for response; how certain that is has "
            "not been rated.",
        ),
    ],
)
def test_the_verb_of_the_plain_sentence_follows_the_certainty(level, words):
    names = {"intervention": "CBT", "comparator": "usual care", "outcome": "response"}

    assert plain_line(ratio(1.5, 1.2, 2.0), level, **names) == words


def test_the_plain_sentence_knows_which_side_is_good_and_when_nothing_is_clear():
    names = {"intervention": "CBT", "comparator": "usual care", "outcome": "relapse"}

    assert "worse" in plain_line(ratio(1.5, 1.2, 2.0, better="lower"), "high", **names)
    assert plain_line(ratio(1.1, 0.9, 1.3), "high", **names) == (
        "These studies leave open whether CBT is better or worse than usual care for relapse."
    )
    with pytest.raises(DataError, match="needs the better direction"):
        plain_line(ratio(1.5, 1.2, 2.0, better="none"), "high", **names)


def test_the_methods_page_states_the_rules_as_the_code_has_them():
    methods = (Path(__file__).parents[1] / "book" / "methods.md").read_text(encoding="utf-8")

    assert LOW_ENOUGH == 50
    assert "carry less than half of the weight" in methods
    assert f"fewer than {PREDICTION_STUDIES} studies or an I² below {PREDICTION_I2:g} %" in methods
    assert all(f"- {domain}:" in methods for domain in ("risk of bias", "inconsistency"))
