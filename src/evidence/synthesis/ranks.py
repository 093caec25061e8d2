"""How likely is each treatment of a network to be first, second, third: ranks with their doubt."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evidence.errors import require_choice, require_random
from evidence.synthesis.network import Weighted


def rank_probabilities(
    fitted: Weighted, direction_better: str, *, draws: int = 10_000, seed: int = 1
) -> pd.DataFrame:
    """Return the per cent of draws in which each treatment has each rank, and SUCRA.

    Effects are drawn from the normal distribution of the network's estimates (Salanti, Ades and
    Ioannidis 2011, Journal of Clinical Epidemiology 64:163-171). SUCRA, the surface under the
    cumulative ranking curve, is 1 for a treatment that is always best and 0 for one that is always
    worst; P-scores (`network.p_scores`) are what it tends to with more draws (Rücker and Schwarzer
    2015, BMC Medical Research Methodology 15:58).

    Parameters
    ----------
    fitted
        A network at its between-study variance, ``network.at(tau2)``.
    direction_better
        ``higher`` or ``lower``: which effects are good.
    draws, seed
        How many draws and from which seed.

    Returns
    -------
    pandas.DataFrame
        One row per treatment: treatment, ``rank_1`` to ``rank_t`` (per cent), sucra (0 to 1).

    Raises
    ------
    DataError
        If the direction is unknown or there is no draw.
    """
    require_choice(direction_better, ("higher", "lower"), "direction_better")
    require_random(seed, draws)
    names = fitted.network.treatments
    effects = np.random.default_rng(seed).multivariate_normal(fitted.b, fitted.vcov, draws)
    against_first = np.column_stack([np.zeros(draws), effects])
    sign = -1.0 if direction_better == "higher" else 1.0
    places = np.argsort(np.argsort(sign * against_first, axis=1), axis=1)
    shares = np.array([np.bincount(column, minlength=len(names)) for column in places.T]) / draws
    below = len(names) - 1 - np.arange(len(names))
    table = pd.DataFrame(100 * shares, columns=[f"rank_{at + 1}" for at in range(len(names))])
    table.insert(0, "treatment", names)
    return table.assign(sucra=shares @ below / max(len(names) - 1, 1))
