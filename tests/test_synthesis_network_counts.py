"""Networks of rare events and ranks: by hand, against pairwise Mantel-Haenszel, properties."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.synthesis.network import build, contrasts, p_scores
from evidence.synthesis.network_counts import (
    design_contrasts,
    design_odds_ratios,
    network_pool_counts,
)
from evidence.synthesis.ranks import rank_probabilities
from evidence.synthesis.rare import pool_counts


def arms(*rows):
    return pd.DataFrame(rows, columns=["study", "treatment", "events", "n"])


TWO = arms(
    ("1", "A", 1, 50), ("1", "B", 4, 52), ("2", "A", 0, 80), ("2", "B", 3, 75),
    ("3", "A", 5, 200), ("3", "B", 9, 190), ("4", "A", 0, 30), ("4", "B", 0, 30),
)  # fmt: skip
THREE = arms(
    ("1", "A", 3, 100), ("1", "B", 6, 110), ("1", "C", 9, 95),
    ("2", "A", 2, 60), ("2", "B", 5, 66), ("2", "C", 4, 58),
    ("3", "A", 4, 90), ("3", "B", 5, 85), ("4", "B", 2, 70), ("4", "C", 6, 75),
)  # fmt: skip
WANTED = {"direction_better": "lower", "reference": "A"}


def test_two_treatments_are_the_pairwise_mantel_haenszel_odds_ratio():
    wide = TWO.pivot(index="study", columns="treatment", values=["events", "n"])
    table = pd.DataFrame(
        {
            "ai": wide["events", "B"],
            "n1i": wide["n", "B"],
            "ci": wide["events", "A"],
            "n2i": wide["n", "A"],
        }
    ).reset_index()

    pairwise = pool_counts(table, measure="OR", direction_better="lower")["pooled"]
    network = network_pool_counts(TWO, **WANTED)

    assert network["vs.B"].value == pytest.approx(pairwise.value, rel=1e-12)
    assert network["vs.B"].se == pytest.approx(pairwise.se, rel=1e-12)
    assert network["vs.B"].k == 3
    assert network.text.startswith("3 studies of 2 treatments")


def test_one_study_with_three_arms_by_hand_has_its_own_odds_ratios():
    events, sizes = np.array([[3.0, 6.0, 9.0]]), np.array([[100.0, 110.0, 95.0]])

    effect, variance = design_odds_ratios(events, sizes)

    assert effect[0, 1] == pytest.approx(np.log((3 / 97) / (6 / 104)))
    assert variance[0, 1] == pytest.approx(1 / 3 + 1 / 97 + 1 / 6 + 1 / 104)
    assert variance[1, 2] == pytest.approx(1 / 6 + 1 / 104 + 1 / 9 + 1 / 86)


def test_several_studies_with_three_arms_have_consistent_odds_ratios():
    events = np.array([[3.0, 6.0, 9.0], [2.0, 5.0, 4.0]])
    sizes = np.array([[100.0, 110.0, 95.0], [60.0, 66.0, 58.0]])

    effect, variance = design_odds_ratios(events, sizes)

    assert effect[0, 1] + effect[1, 2] == pytest.approx(effect[0, 2])
    assert (variance == variance.T).all()
    shared = (variance[0, 1] + variance[0, 2] - variance[1, 2]) / 2
    assert 0 < shared < min(variance[0, 1], variance[0, 2])


def test_the_variance_of_three_arms_is_what_simulation_finds():
    rng = np.random.default_rng(4)
    sizes = np.tile(np.array([[80.0, 90.0, 85.0], [120.0, 110.0, 130.0], [60.0, 75.0, 70.0]]), 1)
    odds = np.exp(np.array([-2.0, -1.7, -2.3])[:, None] + np.array([0.0, 0.5, -0.3]))
    draws = rng.binomial(sizes.astype(int), odds / (1 + odds), (4000, 3, 3)).astype(float)

    found = [design_odds_ratios(events, sizes) for events in draws]
    effects = np.array([effect for effect, _ in found])
    variances = np.array([variance for _, variance in found])

    usable = np.isfinite(effects).all(axis=(1, 2))
    assert usable.mean() > 0.99
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.mean(variances[usable, one, other]) == pytest.approx(
            np.var(effects[usable, one, other]), rel=0.1
        )


def test_with_many_events_the_method_nears_inverse_variance():
    many = THREE.assign(events=THREE["events"] * 400, n=THREE["n"] * 400)
    pairs = contrasts(many, measure="OR")

    ours = network_pool_counts(many, **WANTED)
    one = build(pairs.loc[pairs["study"].isin(["3"])])

    assert ours["vs.B"].value == pytest.approx(
        np.exp(build(pairs).at(0.0).league()[0][1, 0]), rel=0.1
    )
    assert len(one.treatments) == 2


def test_arms_and_studies_without_events_are_left_out_by_name():
    extra = arms(("5", "A", 0, 40), ("5", "D", 3, 40), ("6", "B", 2, 30), ("6", "D", 4, 30))

    result = network_pool_counts(pd.concat([TWO, extra]), **WANTED)

    assert result.settings["left_out"] == ["4", "5"]
    assert result.settings["arms_left_out"] == ["A in A, D"]
    texts = [caution.text for caution in result.cautions]
    assert any("2 studies without events" in text and "4; 5" in text for text in texts)
    assert any("1 arm without events" in text for text in texts)


def test_a_network_without_events_is_a_reason_and_one_that_falls_apart_is_named():
    assert network_pool_counts(TWO.assign(events=0), **WANTED).reason == (
        "no design has events in two of its arms"
    )
    apart = pd.concat([TWO, arms(("8", "C", 2, 20), ("8", "D", 4, 20))])
    with pytest.raises(DataError, match="its parts are: A, B; C, D"):
        network_pool_counts(apart, **WANTED)


def test_impossible_counts_missing_columns_and_repeated_arms_are_refused():
    with pytest.raises(DataError, match=r"events must lie between 0 and .*; 1 has not"):
        design_contrasts(TWO.assign(events=[99, *TWO["events"][1:]]))
    with pytest.raises(DataError, match=r"there is no \['events'\]"):
        design_contrasts(TWO.drop(columns="events"))
    with pytest.raises(DataError, match="each treatment once; 1 has not"):
        design_contrasts(pd.concat([TWO, TWO.head(1)]))


@settings(max_examples=25)
@given(st.randoms())
def test_the_order_of_rows_and_the_names_of_treatments_do_not_matter(random):
    order = list(range(len(THREE)))
    random.shuffle(order)
    renamed = THREE.iloc[order].replace({"treatment": {"A": "Z", "B": "Y", "C": "X"}})

    one = network_pool_counts(THREE, **WANTED)
    other = network_pool_counts(renamed, direction_better="lower", reference="Z")

    assert other["vs.Y"].value == pytest.approx(one["vs.B"].value)
    assert other["vs.X"].se == pytest.approx(one["vs.C"].se)
    assert other["Q_between_designs"].value == pytest.approx(one["Q_between_designs"].value)


def test_exchanging_events_and_people_without_inverts_the_odds_ratios():
    one = network_pool_counts(THREE, **WANTED)
    other = network_pool_counts(THREE.assign(events=THREE["n"] - THREE["events"]), **WANTED)

    assert other["vs.C"].value == pytest.approx(1 / one["vs.C"].value)
    assert other["vs.C"].se == pytest.approx(one["vs.C"].se)


def test_sucra_tends_to_the_p_score():
    table, _ = design_contrasts(THREE)
    fitted = build(table).at(0.05)

    ranks = rank_probabilities(fitted, "lower", draws=40_000)

    scores = p_scores(*fitted.league(), "lower")
    assert ranks["sucra"].tolist() == pytest.approx(scores.tolist(), abs=0.01)
    assert ranks[["rank_1", "rank_2", "rank_3"]].sum(axis=1).tolist() == pytest.approx([100.0] * 3)
    higher = rank_probabilities(fitted, "higher", draws=40_000)
    assert higher["sucra"].tolist() == pytest.approx((1 - ranks["sucra"]).tolist(), abs=1e-9)


def test_certain_effects_have_certain_ranks():
    table = pd.DataFrame(
        [("1", "A", "B", 1.0, 1e-6), ("2", "B", "C", 1.0, 1e-6)],
        columns=["study", "treatment1", "treatment2", "yi", "vi"],
    )

    ranks = rank_probabilities(build(table).at(0.0), "higher").set_index("treatment")

    assert ranks["sucra"].to_dict() == {"A": 1.0, "B": 0.5, "C": 0.0}
    assert ranks.loc["B", "rank_2"] == 100.0


def test_ranks_need_a_direction_and_draws():
    fitted = build(contrasts(THREE, measure="OR")).at(0.0)

    with pytest.raises(DataError, match="one of higher, lower; got 'none'"):
        rank_probabilities(fitted, "none")
    with pytest.raises(DataError, match="at least 1 random draws"):
        rank_probabilities(fitted, "lower", draws=0)
