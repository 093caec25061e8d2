"""Gap and gain: arithmetic by hand, matching with its refusals, and intervals of sums."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence import plots
from evidence.errors import DataError
from evidence.practice import gain, gap, matching
from evidence.results import Estimate, Result
from evidence.variation.limits import funnel

SHARES = {"eligible_share": 1.0, "reach": 0.1, "baseline": 0.25}


def areas(sizes=(1000, 2000, 4000), **more):
    codes = [f"A{n}" for n in range(len(sizes))]
    table = pd.DataFrame({"area_code": codes, "area": codes, "denominator": map(float, sizes)})
    return table.assign(**more)


def effect(measure="RR", est=1.32, lo=1.22, hi=1.43, better="higher"):
    return {
        "id": "x",
        "measure": measure,
        "est": est,
        "lo": lo,
        "hi": hi,
        "direction_better": better,
        "tier": "rct",
    }


def shrunken(values, half, sizes, better="higher"):
    """A funnel result with chosen values after noise, to be worked through by hand."""
    table = areas(sizes).assign(
        value=values,
        shrunken=values,
        shrunken_low=np.array(values) - half,
        shrunken_high=np.array(values) + half,
    )
    settings = {
        "method": "funnel",
        "multiplier": 100,
        "unit": "%",
        "indicator": "Reviews",
        "period": "2018-19",
        "direction_better": better,
    }
    return Result(text="a funnel", table=table, settings=settings)


# The gap ------------------------------------------------------------------------------------------


def test_the_gap_worked_by_hand():
    """Median of 60, 70, 80 is 70: only the first is behind, by 10 points of 1,000 people."""
    found = gap.gap(shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000)))
    first = found.table.iloc[0]

    assert found["benchmark"].value == 70
    assert (first["area"], first["people"], first["rank"]) == ("A0", 100.0, 1)
    assert (first["low"], first["high"]) == pytest.approx((80.4, 119.6))
    assert (first["printed"], first["between"]) == ("100", "100 (80 to 120)")
    assert found.table["people"].tolist() == [100.0, 0.0, 0.0]
    assert found["london"].value == 100
    assert found["behind"].value == 1


def test_the_gap_of_london_is_the_sum_and_its_interval_that_of_the_sum():
    """Areas 0 and 1 lie 20 and 10 points behind the best quartile, 80, of 1,000 people each."""
    found = gap.gap(
        shrunken([60.0, 70.0, 80.0, 80.0, 80.0], 1.96, (1000,) * 5), benchmark="best_quartile"
    )
    london = found["london"]

    assert london.value == pytest.approx(found.table["people"].sum()) == 300
    reach = 19.6 * math.sqrt(2)
    assert (london.low, london.high) == pytest.approx((300 - reach, 300 + reach), abs=1e-3)
    assert london.high - london.low < (found.table["high"] - found.table["low"])[:2].sum()


def test_where_lower_is_better_the_gap_lies_on_the_other_side():
    found = gap.gap(shrunken([10.0, 20.0, 30.0], 1.0, (1000, 1000, 1000), better="lower"))
    assert found.table.iloc[0]["area"] == "A2"
    assert found["london"].value == pytest.approx(100)


@given(st.floats(0.5, 50), st.permutations(range(4)))
def test_gaps_grow_with_the_denominators_and_ignore_the_order_of_rows(times, order):
    values, sizes = [40.0, 50.0, 60.0, 70.0], np.array([100.0, 200.0, 300.0, 400.0])
    plain = gap.gap(shrunken(values, 2.0, sizes))["london"].value
    turned = shrunken([values[n] for n in order], 2.0, [float(sizes[n] * times) for n in order])
    assert gap.gap(turned)["london"].value == pytest.approx(plain * times)


def test_a_real_funnel_gives_a_gap_and_a_gap_of_zero_where_all_reach_the_standard():
    counts = areas((400, 500, 600, 700)).assign(numerator=[200.0, 300.0, 380.0, 500.0])
    result = funnel(counts, direction_better="higher", indicator="Reviews", unit="%")
    assert gap.gap(result)["london"].value > 0
    none = gap.gap(result, benchmark="standard", standard=10.0)
    assert none["london"].value == 0
    assert "no area is behind the national standard" in none.text


def test_a_gap_without_a_direction_or_a_standard_says_why_there_is_none():
    neither = shrunken([1.0, 2.0, 3.0], 0.5, (10, 10, 10), better="none")
    assert gap.gap(neither).reason == "neither direction is better"
    assert gap.quartile_to_median(neither) is None
    plain = shrunken([1.0, 2.0, 3.0], 0.5, (10, 10, 10))
    assert "no national standard" in gap.gap(plain, benchmark="standard").reason


def test_a_gap_refuses_other_results_and_benchmarks():
    with pytest.raises(DataError, match="reads the result of a funnel"):
        gap.gap(Result(text="something else"))
    with pytest.raises(DataError, match="one of median, best_quartile, standard, peers"):
        gap.gap(shrunken([1.0], 1.0, (10,)), benchmark="best")


def near(**peers):
    """Peers of areas: each a string of area numbers."""
    rows = [(area, f"A{n}") for area, numbers in peers.items() for n in numbers]
    return pd.DataFrame(rows, columns=["area_code", "peer"])


def test_the_gap_to_peers_worked_by_hand():
    """A0 at 60 has peers at 70 and 80: 15 points of 1,000 people; A1 at 70, peers at 60 and 80."""
    plain = shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000))
    found = gap.gap(plain, benchmark="peers", peers=near(A0="12", A1="02", A2="01"))
    table = found.table.set_index("area")

    assert table["benchmark"].to_dict() == {"A0": 75.0, "A1": 70.0, "A2": 65.0}
    assert table["people"].to_dict() == {"A0": 150.0, "A1": 0.0, "A2": 0.0}
    assert (found["benchmark_lowest"].value, found["benchmark_highest"].value) == (65, 75)
    assert found.text.startswith(
        "With chance set aside, 150 people a year (130 to 170) lie between 1 area "
    )


def test_peers_without_a_figure_do_not_count_and_an_area_without_peers_is_refused_by_name():
    plain = shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000))
    missing = gap.gap(plain, benchmark="peers", peers=near(A0="19", A1="02", A2="01"))
    assert missing.table.set_index("area").loc["A0", "benchmark"] == 70
    with pytest.raises(DataError, match="A2 has none"):
        gap.gap(plain, benchmark="peers", peers=near(A0="12", A1="02"))
    with pytest.raises(DataError, match="needs the peers of each area"):
        gap.gap(plain, benchmark="peers")


def test_every_benchmark_stands_in_one_table_or_says_why_it_cannot():
    plain = shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000))
    three = gap.by_benchmark(plain, peers=near(A0="12", A1="02", A2="01"))
    table = three.table.set_index("benchmark")["people a year"]

    assert len(table) == len(gap.BENCHMARKS)
    assert table["the London median"] == "100 (80 to 120)"
    assert (
        table["the national standard"] == "none: no national standard is stated for this indicator"
    )
    assert three.text.startswith("London's gap to 3 of 4 benchmarks")
    assert len(gap.by_benchmark(plain, standard=75.0).table) == 3


def test_people_on_a_register_are_never_called_people_a_year():
    stock = {"counted": gap.ON_REGISTER}
    plain = shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000))
    found = gap.gap(plain, **stock)
    ranked = gap.ranking({"a": plain, "b": plain}, registers=["b"])

    assert "a year" not in found.text
    assert found["london"].unit == "people on the register"
    assert gap.quartile_to_median(plain, **stock).unit == "people on the register"
    assert "people on the register" in gap.by_benchmark(plain, **stock).table.columns
    assert ranked.table.set_index("indicator")["printed"].to_dict() == {
        "a": "100 people a year (80 to 120)",
        "b": "100 people on the register (80 to 120)",
    }
    assert any("at one date" in doubt.text for doubt in ranked.cautions)
    assert not gap.ranking({"a": plain}).cautions


def test_the_lowest_quartile_brought_to_the_median_by_hand():
    """Of 5 areas the lowest quartile are those at or below 60: 60 and 50, median 70."""
    found = gap.quartile_to_median(
        shrunken([50.0, 60.0, 70.0, 80.0, 90.0], 1.96, (100, 100, 100, 100, 100))
    )
    assert found.value == pytest.approx(0.20 * 100 + 0.10 * 100)
    assert found.k == 2
    assert found.high - found.value == pytest.approx(1.96 * math.sqrt(2), abs=1e-3)


def test_indicators_are_ranked_by_people_and_those_without_direction_left_out():
    found = gap.ranking(
        {
            "small": shrunken([60.0, 70.0, 80.0], 1.0, (10, 10, 10)),
            "large": shrunken([60.0, 70.0, 80.0], 1.0, (1000, 1000, 1000)),
            "neither": shrunken([60.0, 70.0, 80.0], 1.0, (10, 10, 10), better="none"),
        }
    )
    assert found.table["indicator"].tolist() == ["large", "small"]
    assert found.settings["left_out"] == ["neither"]
    assert found.text.endswith("1 indicator left out: neither direction is better.")


def test_indicators_are_ranked_by_a_standard_or_peers_and_without_any_gap_refused():
    plain = shrunken([60.0, 70.0, 80.0], 1.0, (1000, 1000, 1000))
    both = {"with": plain, "without": plain}
    by_standard = gap.ranking(both, benchmark="standard", standards={"with": 75.0})
    by_peers = gap.ranking(both, benchmark="peers", peers=near(A0="12", A1="02", A2="01"))

    assert by_standard.table["people"].tolist() == [200.0]
    assert "no national standard is stated" in by_standard.text
    assert by_peers.table["people"].tolist() == [150.0, 150.0]
    with pytest.raises(DataError, match="none of 2 has one"):
        gap.ranking(both, benchmark="standard")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.4, "fewer than 1"),
        (3.44, "3.4"),
        (34.4, "34"),
        (345, "340"),
        (1249, "1,200"),
        (12_700, "13,000"),
        (-345, "\N{MINUS SIGN}340"),
    ],
)
def test_people_are_printed_to_two_significant_figures(value, said):
    assert gap.two_figures(value) == said


# The gain -----------------------------------------------------------------------------------------


def test_the_gain_worked_by_hand():
    """1,000 people × 10 % reached × (0.25 × 1.32 − 0.25) = 8 people."""
    found = gain.gain(areas((1000, 2000)), effect(), **SHARES)

    assert found.table.set_index("area")["gained"].to_dict() == pytest.approx({"A0": 8, "A1": 16})
    assert found["london"].value == pytest.approx(24)
    assert found["risk_with"].value == pytest.approx(0.33)
    assert found["per_100"].value == pytest.approx(8)
    assert found["reached"].value == pytest.approx(300)


def test_the_interval_of_a_gain_is_that_of_the_effect():
    found = gain.gain(areas((1000,)), effect(), **SHARES, draws=200_000)
    low, high = found["london"].low, found["london"].high
    assert low == pytest.approx(1000 * 0.1 * 0.25 * (1.22 - 1), rel=0.02)
    assert high == pytest.approx(1000 * 0.1 * 0.25 * (1.43 - 1), rel=0.02)


@pytest.mark.parametrize(
    ("one", "risk"),
    [
        (effect("OR", 2.0, 1.5, 2.7), 0.5 / 1.25 / (0.5 / 1.25 + 0.75 / 1.25) * 1.0),
        (effect("RD", 0.10, 0.05, 0.15), 0.35),
        (effect("RR", 0.80, 0.70, 0.92), 0.20),
        (effect("SMD", 0.5, 0.3, 0.7), None),
    ],
)
def test_other_measures_change_the_risk_by_their_own_rule(one, risk):
    found = gain.gain(areas((1000,)), one, **SHARES)
    if risk is None:
        odds = math.exp(0.5 * math.pi / math.sqrt(3)) / 3
        risk = odds / (1 + odds)
    assert found["risk_with"].value == pytest.approx(risk)


def test_a_standardised_difference_is_turned_towards_the_outcome():
    better = gain.gain(areas((1000,)), effect("SMD", -0.34, -0.41, -0.27, "lower"), **SHARES)
    same = gain.gain(areas((1000,)), effect("SMD", 0.34, 0.27, 0.41, "higher"), **SHARES)
    assert better["london"].value == pytest.approx(same["london"].value)
    assert better["london"].value > 0
    assert 0 < better["london"].low < better["london"].value < better["london"].high


def test_a_bad_outcome_avoided_is_a_gain():
    found = gain.gain(
        areas((1000,)), effect("RR", 0.74, 0.61, 0.90, "lower"), **SHARES, direction_better="lower"
    )
    assert found["london"].value == pytest.approx(1000 * 0.1 * 0.25 * 0.26)
    assert found["london"].low > 0


def test_a_harmful_effect_is_a_loss_in_the_same_words():
    found = gain.gain(areas((1000,)), effect("RR", 0.80, 0.70, 0.92), **SHARES)
    assert found["london"].value == pytest.approx(-5)
    assert "fewer people who gain a year" in found.text


def test_one_effect_is_shared_so_london_is_as_uncertain_as_its_areas_together():
    found = gain.gain(areas(), effect(), **SHARES)
    london, table = found["london"], found.table
    widths = table["high"] - table["low"]

    assert london.low == pytest.approx(table["low"].sum())
    assert london.high == pytest.approx(table["high"].sum())
    independent = math.sqrt((widths**2).sum())
    assert london.high - london.low > 1.2 * independent


def test_with_noise_of_their_own_london_is_the_interval_of_the_sum_not_the_sum_of_intervals():
    noisy = areas((1000,) * 20, baseline=0.25, baseline_se=0.05)
    found = gain.gain(noisy, effect("OR", 1.6, 1.4, 1.83), **SHARES)
    london, table = found["london"], found.table
    widths = table["high"] - table["low"]
    shared_only = gain.gain(areas((1000,) * 20), effect("OR", 1.6, 1.4, 1.83), **SHARES)["london"]

    assert london.high - london.low < 0.98 * widths.sum()
    assert london.high - london.low > 1.5 * math.sqrt((widths**2).sum())
    assert london.high - london.low >= 0.98 * (shared_only.high - shared_only.low)


def test_an_areas_figures_do_not_depend_on_the_other_areas_or_their_order():
    noisy = areas((1000, 2000, 4000), baseline=0.25, baseline_se=0.05)
    together = gain.gain(noisy, effect(), **SHARES).table.set_index("area")
    alone = gain.gain(noisy.iloc[[1]], effect(), **SHARES).table.set_index("area")
    turned = gain.gain(noisy.iloc[::-1], effect(), **SHARES).table.set_index("area")

    assert alone.loc["A1", "low"] == together.loc["A1", "low"]
    pd.testing.assert_frame_equal(turned.sort_index(), together.sort_index())


def test_the_same_seed_gives_the_same_figures_and_another_seed_nearly_the_same():
    first, again, other = (
        gain.gain(areas(), effect(), **SHARES, seed=seed)["london"] for seed in (1, 1, 2)
    )
    assert first == again
    assert other.low != first.low
    assert other.low == pytest.approx(first.low, rel=0.03)


def test_an_area_without_people_has_no_row():
    some = areas((1000, 2000)).assign(denominator=[1000.0, np.nan])
    assert gain.gain(some, effect(), **SHARES).table["area"].tolist() == ["A0"]


def test_what_is_assumed_is_said():
    bases = {"eligible_share": "stated: all", "reach": "assumed", "baseline": "assumed (by hand)"}
    found = gain.gain(areas(), effect(), **SHARES, bases=bases)
    both = f"{gain.WHAT['reach']}, {gain.WHAT['baseline']}."
    assert found.cautions[-1].text == f"Assumed, without a source: {both}"
    stated = {name: {"value": SHARES[name], "basis": basis} for name, basis in bases.items()}
    said = gain.assumptions(stated)
    assert said.text == f"Assumed, not known: {both}"
    assert said.table["value"].tolist() == [
        "100\N{NO-BREAK SPACE}%",
        "10\N{NO-BREAK SPACE}%",
        "25\N{NO-BREAK SPACE}%",
    ]


def test_a_gain_of_people_on_a_register_is_counted_once_everywhere_it_is_said():
    found = gain.gain(areas(), effect(), **SHARES, counted=gap.ON_REGISTER)
    stated = {name: {"value": value, "low": None} for name, value in SHARES.items()}
    varied = gain.sensitivity(areas(), effect(), stated, counted=gap.ON_REGISTER)

    assert "a year" not in found.text + varied.text
    assert "700 people on the register" in found.text
    assert found["london"].unit == "people, counted once"
    assert varied.table["unit"].unique().tolist() == ["people, counted once"]
    assert any("counted once, not each year" in doubt.text for doubt in found.cautions)


def test_sensitivity_halves_and_doubles_the_reach_and_moves_the_baseline():
    stated = {name: {"value": value, "low": None, "high": None} for name, value in SHARES.items()}
    stated["baseline"] |= {"low": 0.2, "high": 0.3}
    table = gain.sensitivity(areas((1000,)), effect(), stated).table.set_index("case")
    people = table["people"]
    assert people["half the reach"] == pytest.approx(4)
    assert people["twice the reach"] == pytest.approx(16)
    assert people["lower baseline"] == pytest.approx(1000 * 0.1 * 0.2 * 0.32)
    assert people["higher baseline"] == pytest.approx(1000 * 0.1 * 0.3 * 0.32)


def test_a_share_of_the_gap_is_printed_only_for_the_same_outcome():
    behind = gap.gap(shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000)))
    gained = gain.gain(areas(), effect(), **SHARES)

    other = gain.share_of_gap(
        behind, gained, effect_outcome="response", indicator_outcome="review in time"
    )
    assert not other.known
    assert "people who gain do not close this gap" in other.text
    same = gain.share_of_gap(
        behind, gained, effect_outcome="response", indicator_outcome="response"
    )
    assert same["share"].value == pytest.approx(56.0)
    assert same.text.startswith("It would fill 56\N{NO-BREAK SPACE}% of London's gap")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gain.gain(areas(), effect(), **SHARES | {"reach": 1.2}), "reach must be a share"),
        (lambda: gain.gain(areas(), effect(), **SHARES | {"baseline": 1.0}), "baseline must be"),
        (lambda: gain.gain(areas(), effect("MD", -98, -118, -78), **SHARES), "effect on a risk"),
        (lambda: gain.gain(areas(), effect(lo=math.nan), **SHARES), "with its interval"),
        (lambda: gain.gain(areas(), effect(better="lower"), **SHARES), "of the outcome itself"),
        (lambda: gain.gain(areas().drop(columns="area"), effect(), **SHARES), "column 'area'"),
        (
            lambda: gain.gain(pd.concat([areas(), areas()]), effect(), **SHARES),
            "'A0' comes twice",
        ),
        (lambda: gain.gain(areas((-5,)), effect(), **SHARES), "A0 has fewer"),
        (lambda: gain.gain(areas(), effect(lo=1.9, hi=1.2), **SHARES), "must lie in its interval"),
        (lambda: gain.gain(areas(), effect("OR", 0.0, 0.0, 2.0), **SHARES), "a ratio above 0"),
        (lambda: gain.gain(areas(), effect(), **SHARES, draws=0), "100 random draws; got"),
        (lambda: gain.gain(areas(), effect(), **SHARES, seed=-1), "a seed must be 0 or more"),
        (lambda: gain.gain(areas(), effect(), **SHARES, level=95), "Write 0.95"),
        (
            lambda: gain.gain(areas(), effect(), **SHARES, direction_better="none"),
            "must be one of higher, lower",
        ),
        (lambda: gain.risk_with(np.array([0.1]), np.array([1.0]), "HR"), "must be one of RR"),
    ],
)
def test_a_gain_refuses_what_has_no_answer(call, said):
    with pytest.raises(DataError, match=said):
        call()


def test_a_gain_of_areas_without_figures_is_not_known():
    found = gain.gain(areas((math.nan, math.nan)), effect(), **SHARES)

    assert not found.known
    assert found.text == "How many would gain is not known: no area has a figure."


# Pictures -----------------------------------------------------------------------------------------


def dots(picture):
    axes = picture.figure.axes[0]
    return sum(len(one.get_offsets()) for one in axes.collections if hasattr(one, "get_sizes"))


def written(picture):
    axes = picture.figure.axes[0]
    figure = [text.get_text() for text in picture.figure.texts]
    return " ".join([axes.get_xlabel(), *figure])


def test_the_picture_of_gaps_draws_every_area_behind_and_counts_the_others():
    found = gap.gap(shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000)))
    picture = plots.gap(found)

    assert dots(picture) == 2
    assert "1 area is left out: nobody behind, even at the far end of the interval" in written(
        picture
    )
    assert "people a year behind\nthe London median" in written(picture)
    assert "Most: A0 100" in picture.alt
    assert found.text in picture.alt


def test_the_picture_of_gains_draws_every_area_and_is_another_one():
    found = gain.gain(areas(), effect(), **SHARES)
    picture = plots.gain(found)

    assert dots(picture) == 3
    assert "London 56 (38 to 75)" in picture.alt
    assert "people a year (95 % interval)" in written(picture)
    colours = [
        one.axes[0].collections[0].get_color().tolist()
        for one in (
            picture.figure,
            plots.gap(gap.gap(shrunken([60.0, 70.0], 1.0, (10, 10)))).figure,
        )
    ]
    assert colours[0] != colours[1]


def test_on_a_register_box_table_alt_text_and_picture_agree():
    stock = {"counted": gap.ON_REGISTER}
    behind = gap.gap(shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000)), **stock)
    gained = gain.gain(areas(), effect(), **SHARES, **stock)
    for result, picture in ((behind, plots.gap(behind)), (gained, plots.gain(gained))):
        said = " ".join([result.text, picture.alt, written(picture), result["london"].unit])
        assert "a year" not in said
        assert "people" in said


def test_pictures_of_people_refuse_other_results_and_gaps_that_nobody_has():
    with pytest.raises(DataError, match="draws a result of gap"):
        plots.gap(gain.gain(areas(), effect(), **SHARES))
    with pytest.raises(DataError, match="draws a result of gain"):
        plots.gain(Result(text="something else"))
    none = gap.gap(shrunken([60.0, 70.0], 1.0, (10, 10)), benchmark="standard", standard=10.0)
    with pytest.raises(DataError, match="needs an area behind"):
        plots.gap(none)


# Matching -----------------------------------------------------------------------------------------

WANTED = {
    "people": "people newly diagnosed",
    "outcome": "response",
    "scale_outcome": "severity",
    "populations": {"adults depression": "the same"},
    "comparators": {"usual care": "the same"},
    "within_months": 6,
}


def published(**changes):
    row = {
        "id": "x",
        "intervention": "care",
        "population": "adults depression",
        "comparator": "usual care",
        "outcome_is": "response",
        "months": "6",
        "tier": "rct",
        "measure": "RR",
        "est": 1.32,
        "lo": 1.22,
        "hi": 1.43,
    }
    return pd.DataFrame([row | changes])


def test_an_effect_on_the_same_people_comparison_outcome_and_time_is_carried_over():
    found = matching.match(published(), WANTED)
    assert found.known
    assert found.table["verdict"].tolist() == ["can be carried over"]
    assert matching.refusal(found, "x") == ""


REFUSED = {
    "uncontrolled": ({"measure": "d_prepost", "tier": "before_after"}, "tier", "no control group"),
    "a low tier": (
        {"tier": "its"},
        "tier",
        "too weak a design (an interrupted time series, where at least a cluster-randomised trial",
    ),
    "other people": ({"population": "panic"}, "population", "other people (panic)"),
    "another comparison": (
        {"comparator": "waiting list"},
        "comparator",
        "another comparison (waiting list)",
    ),
    "another outcome": (
        {"outcome_is": "employment"},
        "outcome",
        "another outcome (employment, not response)",
    ),
    "a later time": ({"months": "12"}, "time", "another time (12 months, where at most 6 are"),
    "an unknown time": ({"months": "not stated"}, "time", "another time (not stated"),
    "no interval": ({"lo": math.nan, "hi": math.nan}, "form", "no interval"),
    "no risk": ({"measure": "MD"}, "form", "no number of people (a difference in a mean)"),
    "an SMD unconverted": ({"measure": "SMD"}, "form", "no number of people (a standardised"),
}


@pytest.mark.parametrize(("changes", "rule", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_every_mismatch_is_refused_by_its_name(changes, rule, said):
    found = matching.match(published(**changes), WANTED)
    assert not found.known
    assert found.reason == "nothing transportable"
    assert found.table.iloc[0]["verdict"] == "refused"
    assert found.table.iloc[0][rule].startswith(said)
    assert said in matching.refusal(found, "x")


def test_an_uncontrolled_effect_is_refused_whatever_tier_is_asked_for():
    found = matching.match(published(measure="d_prepost"), WANTED, least_tier="descriptive")
    assert matching.refusal(found, "x").startswith("no control group (")


def test_readers_are_told_of_an_effect_in_words_and_of_refusals_by_their_number():
    two = pd.concat(
        [
            published(citation="Archer 2012", outcome_words="response of depression"),
            published(id="y", comparator="TAU", instead="treatment as usual"),
        ]
    )
    found = matching.match(two, WANTED)
    assert found.table["finding"].iloc[0] == "care: response of depression (Archer 2012)"
    assert found.table["answer"].tolist() == [
        "can be carried over",
        "refused: another comparison (treatment as usual)",
    ]
    assert found.table["why"].tolist() == ["", "another comparison (treatment as usual)"]
    assert found.text == (
        "1 of 2 published effects can be carried over to people newly diagnosed; the others are "
        "refused (1 for another comparison)."
    )


def test_a_lower_tier_passes_when_it_is_asked_for():
    assert matching.match(published(tier="its"), WANTED, least_tier="its").known


def test_a_standardised_difference_passes_with_a_conversion_on_the_scale_of_the_outcome():
    smd = published(measure="SMD", est=-0.34, outcome_is="severity")
    assert matching.match(smd, WANTED, smd_conversion="logistic").known
    other = published(measure="SMD", outcome_is="response")
    assert not matching.match(other, WANTED, smd_conversion="logistic").known


def test_matching_refuses_unknown_choices():
    with pytest.raises(DataError, match="a design must be one of"):
        matching.match(published(), WANTED, least_tier="trial")
    with pytest.raises(DataError, match="a conversion must be one of"):
        matching.match(published(), WANTED, smd_conversion="cohen")
    with pytest.raises(DataError, match="at least one effect"):
        matching.match(published().iloc[:0], WANTED)
    with pytest.raises(DataError, match="must be one of those matched"):
        matching.refusal(matching.match(published(), WANTED), "y")


def test_results_survive_json():
    for result in (
        gap.gap(shrunken([60.0, 70.0, 80.0], 1.96, (1000, 2000, 4000))),
        gain.gain(areas(), effect(), **SHARES),
        matching.match(published(), WANTED),
    ):
        assert Result.loads(result.dumps()) == result
    assert isinstance(gain.gain(areas(), effect(), **SHARES)["london"], Estimate)
