"""The narrow waist: JSON gives back what went in, wrong input is refused, the display is safe."""

from __future__ import annotations

import json
import math
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError, EvidenceError
from evidence.results import Box, Caution, Conclusion, Estimate, Result, fitting
from evidence.vocabulary import CAUTION_KINDS, DESIGNS

WORDS = st.text(min_size=1, max_size=30).filter(str.strip)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.from_regex(r"\A[A-Za-z0-9._-]{1,12}\Z")


@st.composite
def estimates(draw, key: str | None = None) -> Estimate:
    low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
    bounded = draw(st.booleans())
    return Estimate(
        key=key or draw(KEYS),
        value=draw(st.none() | NUMBERS),
        low=low if bounded else None,
        high=high if bounded else None,
        level=draw(st.none() | st.floats(0.001, 0.999)),
        se=draw(st.none() | st.floats(0, 1e300)),
        unit=draw(st.just("") | WORDS),
        area=draw(st.just("") | WORDS),
        direction_better=draw(st.sampled_from(["", "higher", "lower", "none"])),
        k=draw(st.none() | st.integers(0, 10**6)),
        n=draw(st.none() | st.integers(0, 10**9)),
        design=draw(st.sampled_from(["", *DESIGNS])),
    )


@st.composite
def tables(draw) -> pd.DataFrame:
    rows = draw(st.integers(0, 5))
    kinds = {
        "float64": st.floats(),
        "int64": st.integers(-(2**63), 2**63 - 1),
        "bool": st.booleans(),
        "str": st.none() | st.text(max_size=10),
        "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
        "boolean": st.none() | st.booleans(),
    }
    names = draw(st.lists(st.text(max_size=8), unique=True, min_size=1, max_size=6))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(kinds)))
        values = draw(st.lists(kinds[kind], min_size=rows, max_size=rows))
        columns[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(columns)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@st.composite
def results(draw) -> Result:
    keys = draw(st.lists(KEYS, unique=True, max_size=4))
    return Result(
        text=draw(WORDS),
        estimates=tuple(draw(estimates(key=key)) for key in keys),
        table=draw(tables()),
        settings=draw(st.dictionaries(st.text(max_size=8), PLAIN, max_size=3)),
        cautions=tuple(
            Caution(kind, draw(WORDS))
            for kind in draw(st.lists(st.sampled_from(CAUTION_KINDS), max_size=4))
        ),
        provenance=draw(st.dictionaries(st.text(max_size=8), PLAIN, max_size=2)),
        reason=draw(st.just("") | WORDS),
    )


@given(results())
def test_a_result_comes_back_from_json_exactly(result):
    back = Result.loads(result.dumps())
    assert back == result
    assert hash(back) == hash(result)
    assert back.dumps() == result.dumps()
    assert back.estimates == result.estimates
    pd.testing.assert_frame_equal(back.table, result.table, check_exact=True)


@given(estimates())
def test_an_estimate_comes_back_from_json_exactly(estimate):
    assert Estimate.from_json(json.loads(json.dumps(estimate.to_json()))) == estimate


@given(results())
def test_json_text_is_strict_and_survives_a_file(result):
    text = result.dumps().encode("utf-8").decode("utf-8")
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize(
    ("dtype", "values"),
    [("Int64", [1, None]), ("boolean", [True, None]), ("str", ["x", None]), ("float64", [1, None])],
)
def test_an_absent_cell_stays_absent_through_json(dtype, values):
    table = pd.DataFrame({"cell": pd.Series(values, dtype=dtype)})
    back = Result.loads(Result(text="one cell is absent", table=table).dumps())
    assert back.table["cell"].isna().tolist() == [False, True]
    assert str(back.table["cell"].dtype) == dtype


def test_infinite_limits_and_a_signed_zero_stay_what_they_are():
    table = pd.DataFrame({"limit": [math.inf, -math.inf, -0.0]})
    back = Result.loads(Result(text="open limits", table=table).dumps()).table["limit"].tolist()
    assert back == [math.inf, -math.inf, 0.0]
    assert math.copysign(1, back[2]) == -1


def test_numpy_scalars_and_arrays_become_plain_settings():
    settings = {"level": np.float64(0.95), "grid": np.array([1, 2]), "seed": np.array(7)}
    assert dict(Result(text="x", settings=settings).settings) == {
        "level": 0.95,
        "grid": [1, 2],
        "seed": 7,
    }


def test_results_that_differ_in_one_number_are_not_equal():
    one, other = (Result(text="x", estimates=(Estimate(key="a", value=v),)) for v in (1, 2))
    assert one != other
    assert one != "x"


def test_a_later_change_of_the_callers_table_does_not_reach_the_result():
    table = pd.DataFrame({"n": [1, 2]})
    result = Result(text="two rows", table=table)
    table.loc[0, "n"] = 99
    assert result.table["n"].tolist() == [1, 2]


def test_a_result_cannot_be_changed():
    result = Result(text="x", settings={"level": 0.95})
    with pytest.raises(AttributeError):
        result.text = "y"
    with pytest.raises(TypeError):
        result.settings["level"] = 0.9


@given(st.lists(st.sampled_from(CAUTION_KINDS), max_size=12))
def test_cautions_stand_in_order_of_weight_and_once_each(kinds):
    result = Result(text="x", cautions=tuple(Caution(kind, f"about {kind}") for kind in kinds))
    kept = [caution.kind for caution in result.cautions]
    assert kept == sorted(set(kinds), key=CAUTION_KINDS.index)


def test_cautions_of_one_kind_keep_the_order_in_which_they_came():
    first, second, heavier = (
        Caution("rounding", "b"),
        Caution("rounding", "a"),
        Caution("synthetic", "c"),
    )
    result = Result(text="x", cautions=(first,)).with_cautions(second, heavier, first)
    assert result.cautions == (heavier, first, second)


def test_a_result_is_asked_for_its_estimates_by_key():
    result = Result(text="x", estimates=(Estimate(key="pooled", value=1),))
    assert result["pooled"].value == 1
    with pytest.raises(DataError, match=r"\(pooled\); got 'median'"):
        result["median"]


def test_could_not_is_a_result_with_its_reason():
    result = Result.could_not("not pooled", "designs differ: rct, did", level=0.95)
    assert not result.known
    assert result.text == "not pooled: designs differ: rct, did."
    assert result.settings["level"] == 0.95
    assert Result.loads(result.dumps()) == result


BOX = {
    "finding": "Recovery differs between areas.",
    "size": "12 per 100",
    "design": "descriptive",
    "applies_to": "adults in London",
    "period": "2019-20",
}

REFUSED = {
    "a key with a space": (lambda: Estimate(key="a b"), "letters, digits and . _ - only"),
    "an empty key": (lambda: Estimate(key=""), "letters, digits and . _ - only"),
    "not a number": (lambda: Estimate(key="a", value=math.nan), "'a' has NaN"),
    "an infinite limit": (lambda: Estimate(key="a", high=math.inf), "must be finite"),
    "text for a number": (lambda: Estimate(key="a", value="12 %"), "must be a number or absent"),
    "limits the wrong way round": (lambda: Estimate(key="a", low=2, high=1), "Swap them"),
    "a level in per cent": (lambda: Estimate(key="a", level=95), "between 0 and 1"),
    "a negative standard error": (lambda: Estimate(key="a", se=-1), "must not be negative"),
    "half a study": (lambda: Estimate(key="a", k=2.5), "whole number"),
    "an unknown direction": (
        lambda: Estimate(key="a", direction_better="up"),
        "higher, lower or none",
    ),
    "an unknown design": (lambda: Estimate(key="a", design="cohort"), "a design must be one of"),
    "an unknown kind of caution": (lambda: Caution("doubt", "x"), "kind must be one of"),
    "a silent caution": (lambda: Caution("other", " "), "must say something"),
    "a box with an empty field": (lambda: Box(**{**BOX, "size": ""}), "'size' is empty"),
    "a finding that goes on": (lambda: Box(**{**BOX, "finding": "w " * 41}), "has 41"),
    "a finding cut off": (lambda: Box(**{**BOX, "finding": "No (see"}), "every bracket"),
    "a box of unknown design": (lambda: Box(**{**BOX, "design": "good"}), "design tier must be"),
    "a result without words": (lambda: Result(text=" "), "its text is empty"),
    "two estimates of one key": (
        lambda: Result(text="x", estimates=(Estimate(key="a"), Estimate(key="a"))),
        "'a' comes twice",
    ),
    "columns without names": (
        lambda: Result(text="x", table=pd.DataFrame([[1, 2]])),
        "unique text column names",
    ),
    "two columns of one name": (
        lambda: Result(text="x", table=pd.DataFrame([[1, 2]], columns=["a", "a"])),
        "unique text column names",
    ),
    "an index of its own": (
        lambda: Result(text="x", table=pd.DataFrame({"a": [1]}, index=["E09"])),
        "call reset_index",
    ),
    "dates in a table": (
        lambda: Result(text="x", table=pd.DataFrame({"a": [pd.Timestamp(2020, 1, 1)]})).dumps(),
        "numbers, text and truth values",
    ),
    "a column of two types": (
        lambda: Result(
            text="x", table=pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)})
        ).dumps(),
        "'a' mixes text",
    ),
    "a setting that is not finite": (
        lambda: Result(text="x", settings={"a": {"b": math.nan}}),
        "settings.a.b must hold finite numbers",
    ),
    "a setting that is no plain value": (
        lambda: Result(text="x", settings={"a": {1, 2}}),
        "settings.a must hold plain values; got set",
    ),
    "a conclusion without an interval": (
        lambda: Conclusion.from_interval(Estimate(key="a", value=1)),
        "needs a value and an interval",
    ),
}


@pytest.mark.parametrize(("make", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_input_is_refused_with_what_must_hold(make, said):
    with pytest.raises(DataError) as caught:
        make()
    assert said in str(caught.value)
    assert isinstance(caught.value, EvidenceError)


def test_a_box_comes_back_from_json():
    box = Box(**BOX)
    assert Box.from_json(json.loads(json.dumps(box.to_json()))) == box
    assert (box.certainty, box.next_review, box.cost) == ("not rated", "not stated", "not stated")


@pytest.mark.parametrize(
    ("value", "low", "high", "null", "difference", "verdict"),
    [
        (0.4, 0.1, 0.7, 0, None, "above 0; interval excludes 0"),
        (-0.4, -0.9, 0.1, 0, None, "below 0; interval includes 0"),
        (0.8, 0.7, 0.9, 1, None, "below 1; interval excludes 1"),
        (0.0, 0.0, 0.1, 0, None, "at 0; interval includes 0"),
        (0.3, 0.1, 0.5, 0, 0.24, "above 0; interval excludes 0; reaches 0.24"),
        (0.2, 0.1, 0.3, 0, 0.24, "above 0; interval excludes 0; does not reach 0.24"),
    ],
)
def test_a_conclusion_follows_its_rule(value, low, high, null, difference, verdict):
    estimate = Estimate(key="a", value=value, low=low, high=high)
    conclusion = Conclusion.from_interval(estimate, null, difference)
    assert conclusion.verdict == verdict
    assert conclusion.to_json() == {"rule": conclusion.rule, "verdict": verdict}
    assert ("at least" in conclusion.rule) == (difference is not None)


class Elements(HTMLParser):
    """Collects the elements, attribute names and text of a fragment."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(fragment)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


@given(st.text("<>&\"'/ scriptonx=;-!", min_size=1).filter(str.strip))
def test_text_of_any_shape_is_shown_as_text_not_as_markup(hostile):
    result = Result(
        text=hostile,
        cautions=(Caution("other", hostile),),
        table=pd.DataFrame({hostile: [hostile]}),
    )
    shown = Elements(result._repr_html_())
    harmless = ["div", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"]
    assert set(shown.tags) <= set(harmless)
    assert shown.attributes <= {"class", "border"}
    assert "".join(shown.text.split()) == "".join(hostile.split()) * 4


def test_the_display_carries_the_classes_and_shows_whole_labels_and_plain_counts():
    label = "a long label of a study that must not be cut off at fifty characters, not even here"
    table = pd.DataFrame({"study": [label], "n": [98195.0], "share": [0.123456], "none": [np.nan]})
    shown = Result(text="x", table=table, cautions=(Caution("rounding", "y"),))._repr_html_()
    for name in ("ev-result", "ev-text", "ev-cautions", "ev-caution-rounding", "ev-table"):
        assert name in shown
    cells = [text.split("</td>")[0] for text in shown.split("<td>")[1:]]
    assert cells == [label, "98,195", "0.123", ""]
    assert "style=" not in shown


def test_every_row_of_a_long_table_is_shown():
    shown = Result(text="x", table=pd.DataFrame({"n": range(500)}))._repr_html_()
    assert shown.count("<td>") == 500


def test_printed_the_words_come_first_and_the_doubts_after():
    result = Result(text="Up by 3.", cautions=(Caution("rounding", "rounded to 5"),))
    assert "<table" not in result._repr_html_()
    assert repr(result) == "Up by 3.\nCaution: rounded to 5"


def test_whole_numbers_are_shown_in_thousands_with_a_true_minus_and_years_as_they_are():
    table = pd.DataFrame(
        {"sum": [71770, -130], "year": [2017, 2018], "n": pd.array([1209, None], dtype="Int64")}
    )

    shown = Result(text="x", table=table)._repr_html_()

    cells = [cell.split("</td>")[0] for cell in shown.split("<td>")[1:]]
    assert cells == ["71,770", "2017", "1,209", "\N{MINUS SIGN}130", "2018", ""]


def test_the_fullest_text_is_taken_that_a_finding_can_hold():
    full, short = " ".join(["word"] * 41), " ".join(["word"] * 40)

    assert fitting(short, "less") == short
    assert fitting(full, short, "less") == short
    assert fitting(full, full + " more") == full + " more"
