"""Network meta-analysis: by hand, multi-arm studies, refusals, properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.network import (
    build,
    contrasts,
    contributions,
    decompose,
    network_pool,
    p_scores,
    split_evidence,
)


def table(*rows):
    return pd.DataFrame(rows, columns=["study", "treatment1", "treatment2", "yi", "vi"])


LOOP = table(
    ("1", "A", "B", 1.0, 0.1),
    ("2", "B", "C", 1.0, 0.1),
    ("3", "A", "C", 2.3, 0.2),
)


def test_an_indirect_comparison_by_hand_is_the_sum_of_its_legs():
    chain = build(LOOP.head(2)).at(0.0)

    effect, error = chain.league()

    assert effect[0, 2] == pytest.approx(2.0)
    assert error[0, 2] == pytest.approx(np.sqrt(0.2))


def test_direct_and_indirect_evidence_are_averaged_and_taken_apart_again():
    network = build(LOOP)

    assert network.at(0.0).league()[0][0, 2] == pytest.approx((2.3 / 0.2 + 2.0 / 0.2) / 10)
    split = split_evidence(LOOP, network, 0.0).set_index(["treatment1", "treatment2"])
    assert split.loc[("A", "C"), "direct"] == pytest.approx(2.3)
    assert split.loc[("A", "C"), "indirect"] == pytest.approx(2.0)
    assert split.loc[("A", "C"), "proportion"] == pytest.approx(0.5)
    assert split.loc[("A", "C"), "z"] == pytest.approx(0.3 / np.sqrt(0.4))


def test_a_loop_has_one_degree_of_freedom_of_inconsistency():
    parts = decompose(build(LOOP))

    assert parts.between[1] == 1
    assert parts.between[0] == pytest.approx(0.3**2 / 0.4)
    assert parts.within == (pytest.approx(0.0, abs=1e-12), 0)


def test_a_multi_arm_study_counts_once():
    arms = pd.DataFrame(
        {
            "study": ["1"] * 3,
            "treatment": ["A", "B", "C"],
            "mean": [0.0, 1.0, 3.0],
            "sd": [1.0, 1.0, 1.0],
            "n": [10, 10, 10],
        }
    )
    pairs = contrasts(arms, measure="MD")

    effect, error = build(pairs).at(0.0).league()

    assert effect[2, 0] == pytest.approx(3.0)
    assert error[2, 0] == pytest.approx(np.sqrt(0.2))
    assert build(pairs).at(0.0).df == 0


def test_a_zero_cell_adds_half_an_event_to_all_arms_of_its_study():
    arms = pd.DataFrame(
        {
            "study": ["1", "1", "1"],
            "treatment": ["A", "B", "C"],
            "events": [0, 2, 4],
            "n": [10, 10, 10],
        }
    )

    pairs = contrasts(arms, measure="OR").set_index(["treatment1", "treatment2"])

    assert pairs.loc[("B", "C"), "yi"] == pytest.approx(np.log((2.5 / 8.5) / (4.5 / 6.5)))


def test_p_scores_rank_certain_effects_from_0_to_1():
    effect = np.array([[0.0, -5.0, -9.0], [5.0, 0.0, -4.0], [9.0, 4.0, 0.0]])
    se = np.full((3, 3), 0.01)

    assert p_scores(effect, se, "higher").tolist() == pytest.approx([0.0, 0.5, 1.0])
    assert p_scores(effect, se, "lower").tolist() == pytest.approx([1.0, 0.5, 0.0])


def test_contributions_of_a_chain_are_shared_by_its_legs():
    matrix = contributions(LOOP.head(2), build(LOOP.head(2)), 0.0)

    assert matrix.loc["A:C"].tolist() == pytest.approx([50.0, 50.0])
    assert matrix.loc["A:B"].tolist() == pytest.approx([100.0, 0.0])


def test_contrasts_without_an_effect_contribute_nothing():
    more = pd.concat([LOOP, table(("4", "A", "D", np.nan, np.nan), ("5", "A", "B", np.nan, 0.1))])

    with_them, without = (contributions(each, build(each), 0.1) for each in (more, LOOP))

    pd.testing.assert_frame_equal(with_them, without)


def test_contributions_add_up_to_100_per_cent():
    matrix = contributions(LOOP, build(LOOP), 0.1)

    assert matrix.sum(axis=1).tolist() == pytest.approx([100.0] * 3)


def test_a_network_that_falls_apart_is_refused_with_its_parts():
    apart = table(("1", "A", "B", 1.0, 0.1), ("2", "C", "D", 1.0, 0.1))

    with pytest.raises(DataError, match="its parts are: A, B; C, D"):
        build(apart)


def test_missing_contrasts_twice_given_arms_and_unknown_names_are_refused():
    three = table(("1", "A", "B", 1.0, 0.1), ("1", "A", "C", 1.0, 0.1))
    with pytest.raises(DataError, match="with 3 arms must have all 3 contrasts; 1 lacks 1"):
        build(three)
    twice = pd.DataFrame({"study": ["1", "1"], "treatment": ["A", "A"], "events": 1, "n": 9})
    with pytest.raises(DataError, match="1 has one twice"):
        contrasts(twice, measure="OR")
    with pytest.raises(DataError, match=r"the reference must be a treatment \(A, B, C\)"):
        network_pool(LOOP, direction_better="higher", reference="placebo", measure="MD")
    with pytest.raises(DataError, match="direction_better must be higher or lower to rank"):
        network_pool(LOOP, direction_better="none", reference="A", measure="MD")


def test_the_result_holds_the_league_and_the_ranking():
    result = network_pool(LOOP, direction_better="lower", reference="A", measure="MD")

    assert len(result.table) == 6
    assert result["vs.C"].value == pytest.approx(-2.15, abs=0.01)
    assert result["P.C"].value > result["P.B"].value > result["P.A"].value
    assert "highest ranked C" in result.text
    assert [one.key for one in result.estimates if one.unit == "%"] == ["I2"]


@given(st.permutations([0, 1, 2]), st.booleans())
def test_order_and_direction_of_contrasts_do_not_matter(order, flip):
    rows = LOOP.iloc[list(order)].copy()
    if flip:
        rows["yi"] = -rows["yi"]
        rows = rows.rename(columns={"treatment1": "treatment2", "treatment2": "treatment1"})

    one = network_pool(LOOP, direction_better="higher", reference="A", measure="MD")
    other = network_pool(rows, direction_better="higher", reference="A", measure="MD")

    assert other["vs.C"].value == pytest.approx(one["vs.C"].value)
    assert other["tau2"].value == pytest.approx(one["tau2"].value, abs=1e-9)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (table(("1", "A", "B", 1.0, 0.1), ("1", "B", "A", 0.2, 0.1)), "each contrast once.*for 1"),
        (table(("1", "A", "B", 1.0, 0.1), ("2", "A", "A", 0.2, 0.1)), "two treatments.*for 2"),
        (table(("1", "A", "B", 1.0, 0.1), ("2", "A", "B", 0.2, 0.0)), "above 0.*for 2"),
        (table(("1", "A", "B", np.inf, 0.1), ("2", "A", "B", 0.2, 1.0)), "finite.*for 1"),
        (table(("1", "A", "B", np.nan, 0.1)), "there is none"),
        (
            table(("1", "A", "B", 1, 0.1), ("1", "A", "C", 1, 0.1), ("1", "B", "C", 0, 9.0)),
            "no 3 arms can have those of 1",
        ),
    ],
    ids=["twice", "with itself", "no variance", "infinite", "empty", "variances that clash"],
)
def test_contrasts_that_are_no_network_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        build(wrong)


def test_arms_without_a_complete_pair_are_refused():
    arms = pd.DataFrame(
        {"study": ["1", "1"], "treatment": ["A", "B"], "events": [np.nan, 1], "n": 9}
    )

    with pytest.raises(DataError, match="no study has two arms with all their numbers"):
        contrasts(arms, measure="OR")


def test_different_measures_are_not_put_into_one_network():
    mixed = LOOP.assign(measure=["OR", "OR", "RR"])

    result = network_pool(mixed, direction_better="higher", reference="A")

    assert result.reason == "measures differ: odds ratio, risk ratio"
