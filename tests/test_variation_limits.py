"""Funnel limits: hand cases, published answers, false alarms, properties, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import limits, overdispersion


def areas(numerators, denominators, **columns):
    codes = [f"A{i}" for i in range(len(numerators))]
    return pd.DataFrame(
        {"area_code": codes, "numerator": numerators, "denominator": denominators, **columns}
    )


def spread(seed=3, k=32, sd=0.03, mean=0.5):
    draw = np.random.default_rng(seed)
    n = draw.integers(500, 6000, k)
    p = np.clip(draw.normal(mean, sd, k), 0.05, 0.95)
    return areas(draw.binomial(n, p), n, area=[f"Area {i}" for i in range(k)])


def funnel(table, **choices):
    return limits.funnel(table, **({"direction_better": "higher"} | choices))


@pytest.mark.parametrize("method", ["exact", "mid_p"])
@pytest.mark.parametrize("target", [0.03, 0.5, 0.9])
def test_binomial_limits_part_the_counts_exactly_where_their_tail_says(method, target):
    n, tail = 80, 0.025
    low, high = limits.funnel_limits(np.array([n]), target=target, level=0.95, method=method)
    count = np.arange(n + 1)
    half = 0.5 if method == "mid_p" else 0.0
    here = stats.binom.pmf(count, n, target)
    below = stats.binom.cdf(count, n, target) - half * here
    above = stats.binom.sf(count - 1, n, target) - half * here

    np.testing.assert_array_equal(count / n < low[0], below < tail)
    np.testing.assert_array_equal(count / n > high[0], above < tail)


@pytest.mark.parametrize("method", ["exact", "mid_p"])
@pytest.mark.parametrize("mean", [0.5, 4.0, 60.0, 5000.0])
def test_poisson_limits_part_the_counts_exactly_where_their_tail_says(method, mean):
    tail = 0.001
    low, high = limits.funnel_limits(
        np.array([mean]), target=1.0, measure="ratio", level=0.998, method=method
    )
    count = np.arange(int(mean + 20 * np.sqrt(mean) + 20))
    half = 0.5 if method == "mid_p" else 0.0
    here = stats.poisson.pmf(count, mean)

    np.testing.assert_array_equal(
        count / mean < low[0], stats.poisson.cdf(count, mean) - half * here < tail
    )
    np.testing.assert_array_equal(
        count / mean > high[0], stats.poisson.sf(count - 1, mean) - half * here < tail
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 5000), st.floats(0.02, 0.98), st.sampled_from(["proportion", "rate"]))
def test_wider_levels_and_smaller_areas_have_wider_limits(n, target, measure):
    size = np.array([n, 4 * n])
    narrow = limits.funnel_limits(size, target=target, measure=measure, level=0.95)
    wide = limits.funnel_limits(size, target=target, measure=measure, level=0.998)

    assert (wide[0] <= narrow[0]).all()
    assert (wide[1] >= narrow[1]).all()
    assert narrow[0][0] <= narrow[0][1] + 1e-9
    assert narrow[1][0] >= narrow[1][1] - 1e-9


@pytest.mark.parametrize(("measure", "p"), [("proportion", 0.5), ("rate", 0.01), ("ratio", 1.0)])
@pytest.mark.parametrize("adjust", ["none", "additive"])
def test_a_nominal_five_per_cent_flags_about_five_per_cent_when_nothing_varies(measure, p, adjust):
    draw = np.random.default_rng(11)
    outside = []
    for _ in range(30):
        n = draw.integers(int(55 / p), int(600 / p), 100)
        x = draw.binomial(n, p) if measure == "proportion" else draw.poisson(n * p)
        rows = funnel(areas(x, n), measure=measure, overdispersion=adjust, levels=(0.95,)).table
        outside.append((rows["position"] != "within").mean())

    assert 0.04 < np.mean(outside) < 0.06


def test_an_area_four_standard_deviations_out_is_found_among_a_hundred():
    table = spread(k=100, sd=0.02)
    n = table["denominator"].iloc[7]
    table.loc[7, "numerator"] = round(n * (0.5 + 4.5 * np.hypot(0.02, 0.5 / np.sqrt(n))))

    rows = funnel(table).table

    assert rows.loc[7, "judgement"] == "better"
    assert (rows["position"] != "within").sum() <= 3


def test_the_tau_of_areas_that_differ_is_found_within_its_interval():
    found = [funnel(spread(seed=seed, sd=0.03))["tau"] for seed in range(40)]

    assert np.mean([tau.value for tau in found]) == pytest.approx(3.0, abs=0.15)
    assert np.mean([tau.low <= 3.0 <= tau.high for tau in found]) >= 0.9


def test_the_dispersion_of_four_areas_is_that_worked_out_by_hand():
    """Four areas of 100 at 40, 50, 50, 60 %: Pearson's chi-square is 8, over four areas 2."""
    result = funnel(areas([40, 50, 50, 60], [100] * 4))

    assert result["pooled"].value == 50.0
    assert result["phi_pearson"].value == pytest.approx(2.0)


def test_more_areas_outside_limits_of_chance_than_outside_widened_limits():
    result = funnel(spread(), indicator="Recovery", unit="%", period="2019-20")

    assert result["outside_unadjusted"].value > result["outside_adjusted"].value
    assert "overdispersion" in [caution.kind for caution in result.cautions]
    assert result.text.startswith("Recovery, 2019-20: areas differ by about ")
    assert len(result.text.split()) <= 40


def test_areas_that_do_not_differ_are_said_to_vary_no_more_than_chance():
    result = funnel(areas([50] * 12, [100] * 12), indicator="Recovery", unit="%")

    assert result["tau"].value == 0
    assert "vary no more than chance alone makes them, around 50.0\u00a0%" in result.text
    assert result.table["shrunken"].tolist() == pytest.approx([50.0] * 12)


def test_without_extra_variation_the_adjusted_limits_are_those_of_chance():
    rows = funnel(areas([50, 49, 51, 50] * 3, [100] * 12)).table

    np.testing.assert_array_equal(rows["adjusted_lower_99_8"], rows["lower_99_8"])


def test_a_row_without_a_figure_is_no_figure_and_the_rest_is_judged():
    table = spread().assign(status="ok")
    table.loc[0, ["numerator", "status"]] = [np.nan, "suppressed"]
    table.loc[1, "denominator"] = 0
    table.loc[2, "numerator"] = table.loc[2, "denominator"] + 1

    result = funnel(table)

    assert result.table["judgement"].tolist()[:3] == ["no figure"] * 3
    assert (result.table["judgement"][3:] != "no figure").all()
    assert result.table["value"].isna().sum() == 3
    kinds = [caution.kind for caution in result.cautions]
    assert kinds.count("suspected_error") == 1
    assert kinds.count("suppression") == 2
    assert result["pooled"].k == 29


def test_the_direction_turns_a_high_figure_into_better_worse_or_higher():
    table = spread(sd=0.0)
    table.loc[0, "numerator"] = table.loc[0, "denominator"]
    judged = {
        direction: funnel(table, direction_better=direction).table["judgement"].iloc[0]
        for direction in ("higher", "lower", "none")
    }

    assert judged == {"higher": "better", "lower": "worse", "none": "higher"}


def test_the_order_of_areas_changes_nothing():
    table = spread()
    turned = funnel(table.iloc[::-1].reset_index(drop=True))

    result = funnel(table)

    assert turned["tau"].value == pytest.approx(result["tau"].value, rel=1e-9)
    assert turned.table["position"].tolist()[::-1] == result.table["position"].tolist()


def test_rounding_at_source_is_carried_as_an_interval_and_said():
    result = funnel(spread().assign(rounding=2.5, denominator_rounding=5.0), unit="%")
    row = result.table.iloc[0]
    low = (row["numerator"] - 2.5) / (row["denominator"] + 5) * 100
    high = (row["numerator"] + 2.5) / (row["denominator"] - 5) * 100

    assert row["rounding_low"] == pytest.approx(low)
    assert row["rounding_high"] == pytest.approx(high)
    assert "Counts are rounded at source (each by up to 2.5)" in repr(result)


def test_exact_counts_carry_no_caution_about_rounding():
    assert "rounded" not in repr(funnel(spread().assign(rounding=0.0)))


def test_few_areas_and_small_counts_are_said():
    kinds = [caution.kind for caution in funnel(areas([3, 4, 5], [20, 20, 20])).cautions]

    assert kinds == ["few_units", "small_counts", "multiple_testing"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (areas([1, 2], [5, 5]), "only 2 areas of 2 had a figure"),
        (areas([0, 0, 0], [5, 5, 5]), "no area, or every person, had the outcome"),
    ],
)
def test_too_little_to_judge_is_a_result_with_its_reason_and_its_table(table, reason):
    result = funnel(table)

    assert result.reason == reason
    assert result.table["judgement"].unique().tolist() == ["no figure"]
    assert len(result.table) == len(table)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"measure": "mean"}, "measure must be one of proportion, rate, ratio; got 'mean'"),
        ({"direction_better": "up"}, "direction_better must be one of higher, lower, none"),
        ({"levels": (0.998, 0.95)}, "levels must rise from narrow to wide"),
        ({"levels": (95,)}, "levels must lie between 0 and 1; got 95"),
        ({"overdispersion": "yes"}, "overdispersion must be one of additive, none"),
    ],
)
def test_a_wrong_choice_is_refused_with_those_allowed(choices, words):
    with pytest.raises(DataError, match=words):
        funnel(spread(), **choices)


def test_an_area_that_comes_twice_is_refused():
    table = spread()
    table.loc[1, "area_code"] = "A0"

    with pytest.raises(DataError, match="one row for each area_code; repeated: A0"):
        funnel(table)


@pytest.mark.parametrize("measure", ["proportion", "rate"])
def test_a_funnel_survives_json(measure):
    result = funnel(spread(), measure=measure)

    assert Result.loads(result.dumps()) == result


def test_shrinkage_keeps_the_share_that_is_signal():
    result = funnel(spread())
    rows, pooled = result.table, result["pooled"].value

    assert rows["signal"].between(0, 1, inclusive="neither").all()
    assert ((rows["shrunken"] - pooled).abs() <= (rows["value"] - pooled).abs() + 1e-9).all()
    assert (rows["shrunken_low"] < rows["shrunken"]).all()
    larger = rows.sort_values("denominator")["signal"]
    assert larger.is_monotonic_increasing


def test_winsorising_pulls_in_three_of_ten_and_truncating_leaves_them_out():
    figures = overdispersion.scaled(
        np.array([10, 40, 45, 50, 50, 50, 55, 60, 65, 95]), np.full(10, 100), 0.52, "arcsine"
    )

    pulled = overdispersion.dispersion(figures)
    left_out = overdispersion.dispersion(figures, method="truncate")
    raw = overdispersion.dispersion(figures, method="none")

    assert left_out.phi < pulled.phi < raw.phi
    assert np.isnan(left_out.z).sum() == 2
    assert raw.phi == pytest.approx(np.mean(figures.z**2))


def test_a_logarithm_of_no_events_is_refused_unless_truncated():
    figures = overdispersion.scaled(np.array([0, *range(1, 20)]), np.full(20, 9.0), 1.0, "log")

    with pytest.raises(DataError, match="needs events in every area; 1 have none"):
        overdispersion.dispersion(figures)
    assert np.isfinite(overdispersion.dispersion(figures, method="truncate").phi)


def test_the_words_of_the_spread_carry_the_share_that_was_winsorised():
    result = funnel(spread(), trim=0.2, indicator="Recovery", unit="%")
    listed = limits.spread(result).table

    assert listed["part"].str.contains("20\u00a0% winsorised").sum() == 1
    assert any("20\u00a0% winsorised" in caution.text for caution in result.cautions)
    assert listed["stated"].str.endswith(" areas").sum() == 2
    assert f"{result['tau'].value:.1f} points (95\u00a0% interval" in listed["stated"].iloc[0]


def test_a_funnel_that_judged_nothing_has_no_spread_to_list():
    found = limits.spread(funnel(areas([5, 6], [10, 10])))

    assert not found.known
    assert found.text.startswith("Spread not known: only 2 areas")


def test_limits_that_were_not_widened_are_not_called_those_of_the_usual_spread():
    alone, widened = funnel(spread(), overdispersion="none"), funnel(spread())
    said = [caution.text for caution in alone.cautions if caution.kind == "overdispersion"]

    assert alone.text.endswith("beyond limits of chance.")
    assert widened.text.endswith("beyond that usual spread (Area 20).")
    assert "usual spread" not in " ".join([*said, alone["outside_adjusted"].measure])
    assert "usual spread" in widened["outside_adjusted"].measure


def test_an_area_beyond_limits_is_named_also_where_areas_together_do_not_vary():
    counts = [500] * 39 + [560]
    result = funnel(areas(counts, [1000] * 40, area=[f"Area {i}" for i in range(40)]))

    assert result["tau"].value == 0
    assert result.table["position"].tolist() == ["within"] * 39 + ["above"]
    assert result.text.endswith("yet beyond limits: Area 39.")


def test_a_finding_fits_the_box_of_a_page_by_what_can_be_left_out():
    table = spread()
    words = {"unit": "per 100 referrals", "period": "2018-19"}
    short = funnel(table, indicator="Finished courses", **words)
    long = funnel(
        table, indicator="Finished courses of NHS Talking Therapies per referral", **words
    )
    longer = funnel(table, indicator=" ".join(["word"] * 15), **words)

    assert short.text.endswith("1 of 32 areas lies beyond that usual spread (Area 20).")
    assert long.text.endswith("1 of 32 areas lies beyond that usual spread.")
    assert "95\u00a0% interval" in long.text
    assert "95\u00a0% interval" not in longer.text
    assert max(len(found.text.split()) for found in (short, long, longer)) <= 40
