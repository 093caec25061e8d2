"""The multiverse of a protocol: each specification equals the analysis done by itself."""

from __future__ import annotations

import pytest

from evidence import data
from evidence.errors import DataError
from evidence.synthesis.effects import one_per_study
from evidence.synthesis.pool import pool
from evidence.synthesis.specifications import moved_by, protocol_multiverse

ROWS = {
    "risk_of_bias": {"all": "", "rob 4 only": "low_risk"},
    "suspected_rows": {"kept": "", "left out": "unsuspected"},
    "comparator": {"all": "", "cau only": "cau"},
}


@pytest.fixture(scope="module")
def effects():
    table = data.load("reviews/psychotherapy_depression_uk", "trials")
    return table.assign(
        yi=table["g"],
        vi=table["g_se"] ** 2,
        low_risk=table["rob"] == 4,
        unsuspected=table["study"] != "O'Mahen, 2013a",
        cau=table["condition_arm2"] == "cau",
    )


@pytest.fixture(scope="module")
def stated():
    return data.protocol("reviews/psychotherapy_depression_uk").multiverse


@pytest.fixture(scope="module")
def universe(effects, stated):
    return protocol_multiverse(effects, stated, ROWS, direction_better="higher", measure="SMD")


def test_every_combination_of_the_protocol_is_there_once(universe):
    assert len(universe.table) == 3 * 2 * 4 * 2 * 2 * 2
    names = list(universe.settings["factors"])
    columns = ["tau2_method" if name == "tau2" else name for name in names]
    assert not universe.table.duplicated(columns).any()


@pytest.mark.parametrize(
    ("picks", "rho", "tau2", "test"),
    [
        ({"risk_of_bias": "all", "suspected_rows": "kept", "comparator": "all"}, 0.6, "REML", "z"),
        (
            {"risk_of_bias": "rob 4 only", "suspected_rows": "left out", "comparator": "cau only"},
            0.3,
            "PM",
            "hartung_knapp",
        ),
    ],
)
def test_a_specification_is_the_analysis_of_its_rows_alone(
    effects, universe, picks, rho, tau2, test
):
    kept = effects
    for factor, choice in picks.items():
        kept = kept[kept[ROWS[factor][choice]]] if ROWS[factor][choice] else kept
    alone = pool(
        one_per_study(kept, rho=rho), tau2=tau2, test=test, direction_better="higher", measure="SMD"
    )["pooled"]

    chosen = picks | {
        "within_study_correlation": f"{rho:g}",
        "tau2_method": tau2,
        "test": test,
    }
    table = universe.table
    row = table[(table[list(chosen)] == list(chosen.values())).all(axis=1)].iloc[0]
    assert row["k"] == alone.k
    assert [row["value"], row["low"], row["high"]] == pytest.approx(
        [alone.value, alone.low, alone.high], abs=1e-9
    )


def test_what_a_choice_moves_is_the_mean_range_between_its_neighbours(universe):
    table = universe.table
    wide = table.pivot_table(
        index=[
            "tau2_method", "test", "within_study_correlation", "suspected_rows", "comparator",
        ],
        columns="risk_of_bias",
        values="value",
    )  # fmt: skip
    by_hand = (wide["all"] - wide["rob 4 only"]).abs().mean()

    found = moved_by(universe)

    assert found["moves.risk_of_bias"].value == pytest.approx(by_hand)
    assert len(found.table) == 6
    assert found.table["reason"].str.len().min() > 10
    assert found.text.startswith("The most influential choice is ")


def test_a_choice_without_rows_and_an_absent_column_are_refused(effects, stated):
    with pytest.raises(DataError, match="'comparator', 'all' has none"):
        protocol_multiverse(
            effects, stated, {k: v for k, v in ROWS.items() if k != "comparator"},
            direction_better="higher", measure="SMD",
        )  # fmt: skip
    with pytest.raises(DataError, match="names 'cau', which is not there"):
        protocol_multiverse(
            effects.drop(columns="cau"), stated, ROWS, direction_better="higher", measure="SMD"
        )


def test_a_choice_that_leaves_a_row_open_is_refused(effects, stated):
    open_row = effects.assign(
        low_risk=effects["low_risk"].astype("object").mask(effects.index == 3)
    )

    with pytest.raises(DataError, match="'low_risk' is empty in 1"):
        protocol_multiverse(open_row, stated, ROWS, direction_better="higher", measure="SMD")


def test_only_a_multiverse_is_taken_apart(effects):
    plain = pool(one_per_study(effects), direction_better="higher", measure="SMD")
    with pytest.raises(DataError, match="needs a multiverse"):
        moved_by(plain)
