"""Effects in units that a reader can picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.errors import DataError
from evidence.results import Estimate
from evidence.synthesis.natural import share_above_control_mean


def smd(value, low=None, high=None, better="higher"):
    return Estimate(
        key="pooled", value=value, low=low, high=high, measure="SMD", direction_better=better
    )


def test_no_effect_leaves_half_above_the_control_mean():
    assert share_above_control_mean(smd(0.0)).value == 50.0


def test_the_shares_are_those_of_cohens_table():
    """Cohen 1988, table 2.2.1: U3 is 57.9, 69.1 and 78.8 % at d = 0.2, 0.5 and 0.8."""
    shares = [share_above_control_mean(smd(d)).value for d in (0.2, 0.5, 0.8)]

    assert [round(share, 1) for share in shares] == [57.9, 69.1, 78.8]


@given(st.floats(-3, 3), st.floats(0, 2))
def test_an_effect_turned_round_with_its_direction_gives_the_same_share(value, half):
    one = share_above_control_mean(smd(value, value - half, value + half))
    other = share_above_control_mean(smd(-value, -value - half, -value + half, better="lower"))

    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert one.low <= one.value <= one.high


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        (Estimate(key="x", value=1.2, measure="RR", direction_better="lower"), "'x' is RR"),
        (Estimate(key="x", measure="SMD", direction_better="lower"), "standardised mean"),
        (smd(0.4, better="none"), "which direction is better"),
    ],
)
def test_what_cannot_be_converted_is_refused(effect, message):
    with pytest.raises(DataError, match=message):
        share_above_control_mean(effect)
