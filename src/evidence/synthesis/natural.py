"""Effects in units that a reader can picture, each by a stated conversion."""

from __future__ import annotations

from dataclasses import replace

from scipy.stats import norm

from evidence.errors import DataError
from evidence.results import Estimate


def share_above_control_mean(effect: Estimate) -> Estimate:
    """Return how many of 100 treated people do better than the average person in control.

    Cohen's U3 = 100 Phi(d), for normally distributed scores of equal spread in both groups; an
    effect for which lower is better is turned round first.

    Parameters
    ----------
    effect
        A standardised mean difference (measure ``SMD``), with or without interval.

    Returns
    -------
    Estimate
        Key ``u3``, unit ``of 100 people``; 50 means no effect.

    Raises
    ------
    DataError
        If the effect is not a standardised mean difference or its direction is not stated.

    References
    ----------
    Cohen J. Statistical power analysis for the behavioral sciences, 2nd ed., 1988, section 2.2.
    """
    if effect.measure != "SMD" or effect.value is None:
        raise DataError(
            f"Cohen's U3 needs a standardised mean difference; {effect.key!r} is "
            f"{effect.measure or 'of no stated measure'}. Convert by another rule."
        )
    if effect.direction_better not in ("higher", "lower"):
        raise DataError(
            f"Cohen's U3 needs to know which direction is better; {effect.key!r} does not say. "
            "State direction_better."
        )
    sign = 1.0 if effect.direction_better == "higher" else -1.0
    shares = [
        None if limit is None else float(100 * norm.cdf(sign * limit))
        for limit in (effect.value, effect.low, effect.high)
    ]
    low, high = (shares[1], shares[2]) if sign > 0 else (shares[2], shares[1])
    return replace(
        effect,
        key="u3",
        value=shares[0],
        low=low,
        high=high,
        se=None,
        measure="U3",
        scale="natural",
        unit="of 100 people",
        direction_better="higher",
    )
