"""Many results side by side: what is real in the spread, and which services moved."""

import numpy as np
import pandas as pd
import pytest

from evidence.errors import DataError
from evidence.results import Result
from evidence.variation import areas, limits, overview, rates


def table(share, sd=0.0, k=32, size=4000, seed=1):
    draw = np.random.default_rng(seed)
    p = np.clip(draw.normal(share, sd, k), 0.001, 0.999)
    n = np.full(k, size)
    return pd.DataFrame(
        {
            "area_code": [f"A{i}" for i in range(k)],
            "area": [f"Area {i}" for i in range(k)],
            "numerator": draw.binomial(n, p),
            "denominator": n,
            "status": "ok",
        }
    )


def funnel(rows, indicator="Seen", measure="proportion", multiplier=100, unit="%"):
    return limits.funnel(
        rows,
        direction_better="higher",
        indicator=indicator,
        measure=measure,
        multiplier=multiplier,
        unit=unit,
        period="2019-20",
    )


def change(now, before):
    return rates.change(now, before, direction_better="higher")


@pytest.fixture(scope="module")
def real():
    wide, flat, rare = table(0.5, 0.05), table(0.5), table(0.05, 0.015, seed=4)
    found = {"wide": funnel(wide), "flat": funnel(flat), "rare": funnel(rare)}
    lasts = {"wide": change(wide, wide), "flat": change(flat, table(0.5, seed=9))}
    return overview.real_variation(found, lasts, labels={"wide": "Wide"})


def row(result, name):
    return result.table.set_index("indicator").loc[name]


def test_spread_is_carried_over_and_set_against_the_pooled_value(real):
    found = funnel(table(0.5, 0.05))

    assert row(real, "wide").tau == found["tau"].value
    assert row(real, "wide").relative == pytest.approx(
        100 * found["tau"].value / found["pooled"].value
    )
    assert row(real, "wide").label == "Wide"


def test_the_share_that_is_not_chance_is_between_over_whole_variance():
    """Areas of one size: tau^2 / (tau^2 + p(1-p)/n) for every area, so also on average."""
    rows = table(0.5, 0.05)
    found = funnel(rows)
    tau = found["tau"].value / 100
    chance = 0.25 / 4000

    share = row(overview.real_variation({"x": found}, {}), "x").not_chance

    assert share == pytest.approx(100 * tau**2 / (tau**2 + chance), abs=0.3)


def test_where_nothing_varies_hardly_anything_is_more_than_chance(real):
    assert row(real, "flat").not_chance < 40
    assert row(real, "wide").not_chance > 95
    assert real.table["indicator"].tolist()[-1] == "flat"


def test_what_lasts_is_the_correlation_of_two_years(real):
    assert row(real, "wide").lasting == pytest.approx(1)
    assert abs(row(real, "flat").lasting) < 0.5
    assert np.isnan(row(real, "rare").lasting)
    assert "No year before to compare with: rare" in repr(real)


def test_small_area_statistics_are_those_of_counts_against_the_pooled_share(real):
    rows = table(0.05, 0.015, seed=4)
    share = rows.numerator.sum() / rows.denominator.sum()
    expected = rows.assign(expected=share * rows.denominator, population=rows.denominator)
    alone = areas.small_area_variation(expected, observed="numerator")

    assert row(real, "rare").eb_variance == alone["eb_variance"].value
    assert row(real, "rare").eb_high == alone["eb_variance"].high
    assert row(real, "rare").scv == alone["scv"].value


def test_common_events_have_no_small_area_statistics_but_rates_do(real):
    assert np.isnan(row(real, "wide").eb_variance)
    assert "events are common" in row(real, "wide").small_area
    rate = funnel(table(0.5, 0.05), measure="rate", multiplier=1000, unit="per 1,000")
    assert row(overview.real_variation({"x": rate}, {}), "x").eb_variance > 0


def test_the_sentence_counts_figures_and_those_beyond(real):
    beyond = int(real.table.beyond.sum())

    assert real.text.startswith("In 3 indicators chance explains")
    assert f"only {beyond} of 96 figures" in real.text
    assert len(real.text.split()) <= 40


def test_a_funnel_without_judgement_keeps_its_row():
    few = funnel(table(0.5, k=2))
    found = row(overview.real_variation({"few": few}, {}), "few")

    assert found.areas == 2
    assert np.isnan(found.tau)
    assert found.beyond == 0


def series(values, **choices):
    months = pd.period_range("2022-01", periods=len(values), freq="M").strftime("%Y-%m")
    rows = pd.DataFrame({"period": months, "value": values})
    return limits.xmr(rows, **({"direction_better": "higher", "indicator": "Seen"} | choices))


QUIET = [10, 12, 9, 11, 10, 12, 9, 11] * 3


@pytest.fixture(scope="module")
def services():
    charts = {
        "Quiet": series(QUIET),
        "Better": series([*QUIET, 40]),
        "Worse": series([*QUIET, 0]),
        "Both": series([*QUIET, 40, 10, 11, 0]),
        "Neutral": series([*QUIET, 40], direction_better="none"),
        "Long ago": series([40, *QUIET]),
        "Moved": series(
            [*QUIET, *[value + 30 for value in QUIET]],
            breaks=[{"date": "2024-01", "label": "one code"}],
        ),
        "Short": series([1, 2]),
    }
    return overview.services(charts, indicator="Seen")


def test_recent_signals_say_which_way_a_service_moved(services):
    recent = services.table.set_index("service").recent

    assert recent.to_dict() == {
        "Quiet": "none",
        "Better": "improvement",
        "Worse": "concern",
        "Both": "both",
        "Neutral": "high or low",
        "Long ago": "none",
        "Moved": "none",
        "Short": "none",
    }


def test_a_jump_at_a_break_is_no_signal_and_is_named(services):
    moved = services.table.set_index("service").loc["Moved"]

    assert (moved.improvement, moved.concern) == (0, 0)
    assert moved["mean"] - moved["first_mean"] == pytest.approx(30)
    assert moved.breaks == "one code (2024-01)"
    assert "consistent with a recording break and is not read as an effect" in repr(services)
    assert "Codes changed: Moved (2024-01)." in repr(services)


def test_a_dip_in_the_month_of_a_break_is_counted_apart():
    dip = series([*QUIET, 0, *QUIET], breaks=[{"date": "2024-01", "label": "one code"}])

    found = overview.services({"Dip": dip}).table.iloc[0]

    assert (found.at_break, found.concern) == (1, 0)


def test_a_series_too_short_to_chart_keeps_its_row_and_reason(services):
    short = services.table.set_index("service").loc["Short"]

    assert short.months == 0
    assert "fewer than three periods" in short.reason


def test_the_counts_of_services_add_up(services):
    kinds = ("improving", "worsening", "both", "high_or_low", "without")

    assert sum(services[kind].value for kind in kinds) == services["services"].value == 8
    assert services.text.endswith(
        "in the last 12 months 4 of 8 services have a signal beyond routine variation "
        "(1 for the better, 1 for the worse, 1 both ways, 1 high or low)."
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: overview.real_variation({}, {}), "at least one funnel; got none"),
        (lambda: overview.real_variation({"x": series(QUIET)}, {}), "'x' is not one"),
        (lambda: overview.services({}), "at least one chart; got none"),
    ],
)
def test_nothing_to_look_at_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


def test_overviews_survive_json(real, services):
    for result in (real, services):
        assert Result.loads(result.dumps()) == result


def test_no_figure_beyond_is_said_in_words():
    flat = overview.real_variation({"flat": funnel(table(0.5))}, {})

    assert "Yet none of 32 figures lies beyond how far areas usually differ." in flat.text


def test_indicators_without_a_judgement_make_a_sentence_without_numbers():
    few = overview.real_variation({"few": funnel(table(0.5, k=2))}, {})

    assert few.text == "1 indicator: areas were not judged."
