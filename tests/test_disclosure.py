"""Disclosure control of a SYNTHETIC restricted table: what is left out, and attacks on the rest."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence import data
from evidence.disclosure import Rule, control, control_parts
from evidence.disclosure.system import System, protected
from evidence.errors import DataError
from evidence.variation import limits

RULE = Rule(threshold=7, base=5)


def listed(*counts, total=True):
    """A SYNTHETIC list of areas with their total."""
    rows = [(f"A{place}", count) for place, count in enumerate(counts)]
    rows += [("All", sum(counts))] if total else []
    return pd.DataFrame(rows, columns=["area", "count"])


def crossed(cells):
    """A SYNTHETIC two-way table with margins."""
    cells = np.array(cells)
    table = pd.DataFrame(cells, columns=[f"c{at}" for at in range(cells.shape[1])])
    table["All"] = table.sum(axis=1)
    table.loc["All"] = table.sum()
    long = table.rename_axis("area").reset_index().melt("area", var_name="group")
    return long.astype({"area": "str"}).rename(columns={"value": "count"})


def shown(table, rule=RULE, **choices):
    return control(table, rule, **{"by": ["area"], "total": "All", **choices})


def figures(table):
    return [None if pd.isna(value) else int(value) for value in table["count"]]


def released(count, rule=RULE):
    return float(rule.released([count])[0])


def readings(table, threshold=7, most=60):
    """By brute force: every count of the first area that fits what is shown of a list of three.

    A reader tries all counts of the parts, and keeps those whose figures are the ones shown.
    """
    *parts, total = figures(table)
    possible = [
        [n for n in range(1, most) if part is None or released(n) == part] if part != 0 else [0]
        for part in parts
    ]
    fits = set()
    for counts in product(*possible):
        if total is None or released(sum(counts)) == total:
            fits.add(counts[0])
    return fits & set(range(1, threshold + 1))


@pytest.mark.parametrize(
    ("count", "figure"), [(0, 0), (1, None), (7, None), (8, 10), (12, 10), (13, 15), (22, 20)]
)
def test_zero_stays_small_counts_are_left_out_and_others_are_rounded_half_up(count, figure):
    table = control(listed(count, total=False), RULE, by=["area"])

    assert figures(table) == [figure]
    assert table["status"].tolist() == ["suppressed" if figure is None else "ok"]


def test_halves_are_rounded_up_not_to_even():
    assert Rule(1, 2).released([3, 5, 7]).tolist() == [4, 6, 8]


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 10_000))
def test_a_count_lies_within_the_bounds_of_its_figure(threshold, base, count):
    if 2 * (threshold + 1) < base:
        return
    rule = Rule(threshold, base)
    figure = released(count, rule)

    if not np.isnan(figure):
        low, high = rule.bounds(figure)
        assert low <= count <= high
        assert rule.allows(figure)
        assert released(low, rule) == figure == released(high, rule)


def test_the_joint_rule_keeps_both():
    rule = Rule.joint([{"threshold": 7, "base": 5}, {"threshold": 4, "base": 2}])

    assert (rule.threshold, rule.base) == (7, 10)


@pytest.mark.parametrize(
    ("threshold", "base", "words"),
    [
        (0, 5, "threshold must be a whole number of 1 or more; got 0"),
        (7, 2.5, "base must be a whole number of 1 or more; got 2.5"),
        (2, 10, "a count of 3 would be"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(threshold, base, words):
    with pytest.raises(DataError, match=words):
        Rule(threshold, base)


def test_total_less_the_rest_does_not_give_the_small_count():
    """Shown as 20 of 20, the rest could be 1 to 4 only: another area is left out too."""
    naive = pd.DataFrame({"count": [None, 0, 20, 20]})
    table = shown(listed(3, 0, 19))

    assert readings(naive) == {1, 2, 3, 4}
    assert figures(table) == [None, 0, None, 20]
    assert readings(table) == set(range(1, 8))


def test_nothing_more_is_left_out_where_rounding_protects_already():
    table = shown(listed(3, 0, 20))

    assert figures(table) == [None, 0, 20, 25]
    assert readings(table) == set(range(1, 8))


@settings(max_examples=25, deadline=None)
@given(st.tuples(st.integers(1, 7), st.integers(1, 25), st.integers(1, 25)))
def test_no_list_of_three_gives_a_small_count_back(counts):
    table = shown(listed(*counts))

    assert readings(table) == set(range(1, 8))


def test_the_cheapest_choice_is_taken_the_smallest_of_the_cells_that_protect():
    table = shown(listed(3, 300, 12, 40), rule=Rule(7, 1))

    assert figures(table) == [None, 300, None, 40, 355]


def test_margins_of_a_two_way_table_do_not_give_the_small_count():
    table = crossed([[3, 40, 55], [60, 70, 80], [90, 33, 44]])

    found = shown(table, rule=Rule(7, 1), by=["area", "group"])

    inner = found[(found["area"] != "All") & (found["group"] != "All")]
    left_out = inner[inner["status"] == "suppressed"]
    assert len(left_out) == 4
    assert (left_out.groupby("area").size() == 2).all()
    assert (left_out.groupby("group").size() == 2).all()
    assert found.loc[found["area"] == "All", "count"].notna().all()


def attack(counts, sums, left_out, place, rule):
    """What adding up tells of a cell."""
    system = System(np.array(counts, float), sums, np.zeros(len(counts), bool), rule)
    return system.inferred(np.array(left_out), place)


def test_the_attack_works_where_only_small_counts_are_left_out():
    """The check of the checks: row total less the shown cells of its row is the count itself."""
    rule, sums = Rule(7, 1), ((3, (0, 1, 2)),)

    assert attack([3, 40, 55, 98], sums, [True, False, False, False], 0, rule) == (3, 3)
    low, high = attack([3, 40, 55, 98], sums, [True, True, False, False], 0, rule)
    assert (low, high) == (1, 42)


@pytest.mark.parametrize("base", [1, 5])
@pytest.mark.parametrize("seed", range(3))
def test_large_two_way_tables_are_protected_by_the_cheapest_other_reading(seed, base):
    draw = np.random.default_rng(seed)
    table = crossed(draw.poisson(draw.gamma(1, 18, (12, 5))))
    rule = Rule(7, base)

    found = shown(table, rule=rule, by=["area", "group"])

    system = system_of(table, rule)
    left_out = (found["status"] == "suppressed").to_numpy()
    assert left_out[system.small].all()
    for place in np.flatnonzero(system.small):
        low, high = system.inferred(left_out, place)
        assert high >= 7 - 1e-6
        assert low <= max(1, system.ranges(left_out)[0][place]) + 1e-6
    assert left_out.sum() < 3 * system.small.sum()


def system_of(table, rule):
    sums = []
    for column, other in (("area", "group"), ("group", "area")):
        for _, line in table.groupby(other):
            whole = line.index[line[column] == "All"][0]
            sums.append((whole, tuple(line.index[line[column] != "All"])))
    none = np.zeros(len(table), bool)
    return System(table["count"].to_numpy(float), tuple(sums), none, rule)


def test_trial_and_cheapest_reading_protect_the_same_table():
    counts = np.array([3.0, 40, 55, 60, 98 + 60])
    system = System(counts, ((4, (0, 1, 2, 3)),), np.zeros(5, bool), Rule(7, 1))

    from evidence.disclosure import system as module

    by_trial = protected(system)
    exact, module.EXACT = module.EXACT, 0
    try:
        by_reading = protected(system)
    finally:
        module.EXACT = exact

    assert by_trial.tolist() == [True, True, False, False, False] == by_reading.tolist()


def test_a_percentage_with_a_known_denominator_gives_no_count_back():
    """7.5 % of 40 is 3: no figure beside the counts, and none where a count is left out."""
    table = pd.DataFrame({"area": ["A0"], "count": [3], "percent": [7.5]})

    with pytest.raises(DataError, match=r"no numbers beside its counts.*percent came too"):
        control(table, RULE, by=["area"])


def test_the_people_without_the_outcome_are_protected_like_those_with_it():
    """60 of 60 less 58 is 2: the numerator is left out because its rest is small."""
    table = pd.DataFrame({"area_code": ["A", "B"], "numerator": [58, 30], "denominator": [60, 60]})

    found = control_parts(table, Rule(7, 1))

    assert found["status"].tolist() == ["suppressed", "ok"]
    assert found["numerator"].isna().tolist() == [True, False]
    assert found["denominator"].tolist() == [60, 60]


def test_the_total_of_two_columns_gives_no_area_back():
    table = pd.DataFrame(
        {
            "area_code": ["A", "B", "C", "All"],
            "numerator": [3, 40, 80, 123],
            "denominator": [50, 90, 200, 340],
        }
    )

    found = control_parts(table, Rule(7, 1), total="All").set_index("area_code")

    assert found["numerator"].isna().tolist() == [True, True, False, False]
    assert found.loc["All", "numerator"] == 123


def test_overlapping_areas_do_not_give_the_difference():
    """North and East is North, East and a street of 4 people less: the street is not shown."""
    table = pd.DataFrame(
        {
            "area": ["North and East", "North", "East without the street", "the street"],
            "count": [104, 60, 40, 4],
            "row": [True, True, True, False],
        }
    )
    sums = [("North and East", ["North", "East without the street", "the street"])]

    naive = control(table[table["row"]].drop(columns="row"), Rule(7, 1), by=["area"])
    found = control(table, Rule(7, 1), by=["area"], shown="row", sums=sums)

    assert figures(naive) == [104, 60, 40]
    assert found["area"].tolist() == ["North and East", "North", "East without the street"]
    assert found["count"].isna().sum() == 1


def test_why_a_cell_is_left_out_is_not_told():
    assert set(shown(listed(3, 0, 19))["status"]) == {"ok", "suppressed"}


def test_rows_keep_their_order_and_labels_do_not_matter():
    table = listed(3, 12, 300, 40)

    turned = shown(table.iloc[::-1], rule=Rule(7, 1))
    renamed = shown(table.assign(area=["d", "c", "b", "a", "All"]), rule=Rule(7, 1))

    assert figures(turned)[::-1] == figures(shown(table, rule=Rule(7, 1))) == figures(renamed)


@pytest.mark.parametrize(
    ("table", "choices", "words"),
    [
        (listed(3, 20).assign(count=[3, 20, 24]), {}, "All is more than its parts add up to"),
        (listed(3, 20).assign(count=[3, 20, 22]), {}, "All is less than its parts add up to"),
        (listed(3, 20).assign(count=[3, np.nan, 23]), {}, r"rows \[1\] of 'count' have none"),
        (listed(3, 2.5), {}, "whole numbers of 0 or more; got 2.5"),
        (listed(3, 20), {"by": ["area", "b", "c"]}, "a list or a two-way table; 3 columns"),
        (listed(3, 20), {"by": ["place"]}, "needs the columns 'place'"),
        (listed(3, 20).assign(area="A0"), {}, "one row for each area; some repeat"),
        (listed(*([9] * 2600)), {}, "2,500 cells at most; 2,601 came"),
        (listed(3, 20), {"total": "Total"}, "label of totals must be in 'area'; 'Total' is not"),
        (listed(3, 20), {"sums": [("All", ["A0", "B"])]}, "must name rows of a list; B came"),
    ],
)
def test_what_cannot_be_controlled_is_refused(table, choices, words):
    with pytest.raises(DataError, match=words):
        shown(table, **choices)


def test_a_total_that_was_not_named_is_refused():
    """43 less 40 is the count of 3 that was left out."""
    table = listed(3, 40)
    both = table.rename(columns={"area": "area_code", "count": "denominator"})

    with pytest.raises(
        DataError, match=r"'All' is the sum of the other rows\. Name it with total='All'"
    ):
        control(table, Rule(7, 1), by=["area"])
    with pytest.raises(DataError, match="'All' is the sum of the other rows"):
        control_parts(both.assign(numerator=[2, 20, 22]), Rule(7, 1))
    assert len(control(table.replace(43, 50), Rule(7, 1), by=["area"])) == 3


def test_a_total_of_two_columns_that_is_not_there_is_refused():
    table = pd.DataFrame({"area_code": ["A", "All"], "numerator": [3, 3], "denominator": [9, 9]})

    with pytest.raises(DataError, match="label of totals must be in 'area_code'; 'London' is not"):
        control_parts(table, RULE, total="London")


def test_a_total_that_does_not_add_up_is_told_without_counts():
    with pytest.raises(DataError) as refused:
        shown(listed(3, 20).assign(count=[3, 20, 24]))

    assert not any(digit in str(refused.value) for digit in "234")


def test_an_indicator_is_controlled_as_it_is_read_and_its_funnel_says_how_it_was_rounded():
    table = data.indicator("smi-care-plan")

    found = control_parts(table, Rule(threshold=7, base=10))
    result = limits.funnel(found, direction_better="higher")

    assert found.columns.tolist() == [*table.columns.drop("denominator_rounding")]
    assert (found["numerator"] % 10 == 0).all()
    assert "each by up to 5" in repr(result)


def test_a_numerator_over_its_denominator_is_refused_by_name():
    table = pd.DataFrame({"area_code": ["A"], "numerator": [9], "denominator": [8]})

    with pytest.raises(DataError, match="over its denominator; it is in A"):
        control_parts(table, RULE)
