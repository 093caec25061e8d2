"""Several outcomes pooled together: the multivariate model, its profile intervals, its words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import block_diag

from evidence.errors import DataError
from evidence.results import Result
from evidence.synthesis import multivariate
from evidence.synthesis.dependent import Levels
from evidence.synthesis.fit import fit
from evidence.synthesis.multivariate import (
    STRUCTURES,
    Structure,
    _Cost,
    _descend,
    correlation_interval,
    fit_outcomes,
    outcomes,
    variance_interval,
)
from evidence.synthesis.several_outcomes import pool_outcomes

# Berkey et al. 1998, Statistics in Medicine 17:2537-2550: attachment level, probing depth
EFFECTS = np.array([[-0.32, 0.47], [-0.60, 0.20], [-0.12, 0.40], [-0.31, 0.26], [-0.39, 0.56]])
SAMPLING = np.array(
    [
        [[0.0077, 0.0030], [0.0030, 0.0075]],
        [[0.0008, 0.0009], [0.0009, 0.0057]],
        [[0.0014, 0.0007], [0.0007, 0.0021]],
        [[0.0015, 0.0009], [0.0009, 0.0029]],
        [[0.0304, 0.0072], [0.0072, 0.0148]],
    ]
)
TRIALS = ["Pihlstrom", "Lindhe", "Knowles", "Ramfjord", "Becker"]
BERKEY = pd.DataFrame(
    {
        "study": np.repeat(TRIALS, 2),
        "outcome": ["AL", "PD"] * 5,
        "yi": EFFECTS.ravel(),
        "vi": np.diagonal(SAMPLING, axis1=1, axis2=2).ravel(),
    }
)
COVARIANCE = block_diag(*SAMPLING)
CHOICES = {"direction_better": "higher", "measure": "MD"}


def made_up(n=14, m=3, seed=5):
    """Return effects (n, m), some missing, and sampling covariances (n, m, m)."""
    draw = np.random.default_rng(seed)
    root = np.linalg.cholesky(0.04 * (0.4 * np.eye(m) + 0.6))
    sd = draw.uniform(0.1, 0.3, (n, m))
    v = np.einsum("ia,ib->iab", sd, sd) * (0.5 * np.eye(m) + 0.5)
    errors = np.array([np.linalg.cholesky(block) @ draw.normal(size=m) for block in v])
    y = 0.3 * np.arange(m) + draw.normal(size=(n, m)) @ root.T + errors
    y[1, 0] = y[4, m - 1] = np.nan
    return y, v


def kinds(result):
    return [caution.kind for caution in result.cautions]


def test_berkey_1998_by_reml_as_metafor_documents_it():
    # metafor: rma.mv(yi, V, mods = ~ 0 + outcome, random = ~ outcome | trial, struct = "UN"),
    # the example of dat.berkey1998 in metadat: coefficients, se, tau2, rho
    result = pool_outcomes(BERKEY, covariance=COVARIANCE, test="z", **CHOICES)

    assert result["pooled.AL"].value == pytest.approx(-0.3392, abs=5e-5)
    assert result["pooled.PD"].value == pytest.approx(0.3534, abs=5e-5)
    assert result["pooled.AL"].se == pytest.approx(0.08791, abs=5e-6)
    assert result["pooled.PD"].se == pytest.approx(0.05885, abs=5e-6)
    assert result["tau2.AL"].value == pytest.approx(0.03265, abs=5e-6)
    assert result["tau2.PD"].value == pytest.approx(0.01173, abs=5e-6)
    assert result["rho.AL.PD"].value == pytest.approx(0.6088, abs=5e-5)


def test_berkey_1998_by_ml_as_metafor_tests_it():
    # metafor, tests/testthat/test_analysis_example_berkey1998.r
    result = pool_outcomes(BERKEY, covariance=COVARIANCE, method="ML", test="z", **CHOICES)
    means = [result["pooled.AL"], result["pooled.PD"]]

    assert [item.value for item in means] == pytest.approx([-0.3379, 0.3448], abs=5e-5)
    assert [item.se for item in means] == pytest.approx([0.0798, 0.0495], abs=5e-5)
    found = [result["tau2.AL"].value, result["tau2.PD"].value, result["rho.AL.PD"].value]
    assert found == pytest.approx([0.0261, 0.0070, 0.6992], abs=5e-5)


@pytest.mark.parametrize(("simpler", "p"), [("CS", 0.2597), ("DIAG", 0.2452)])
def test_likelihood_ratios_of_structures_are_those_that_metafor_tests(simpler, p):
    # metafor, tests/testthat/test_analysis_example_berkey1998.r: UN against CS, UN against rho = 0
    data = outcomes(EFFECTS, SAMPLING)
    full, less = (fit_outcomes(data, kind, restricted=False) for kind in ("UN", simpler))

    ratio = 2 * (full.log_likelihood - less.log_likelihood)

    assert stats.chi2.sf(ratio, 1) == pytest.approx(p, abs=5e-5)


@pytest.mark.parametrize("restricted", [True, False])
def test_the_likelihood_is_that_of_the_dense_model_with_missing_outcomes(restricted):
    y, v = made_up()
    seen = np.isfinite(y).ravel()
    which = np.tile(np.eye(3), (len(y), 1))[seen]
    same = np.kron(np.eye(len(y)), np.ones((3, 3)))[np.ix_(seen, seen)]
    between = np.array([[0.05, 0.02, 0.01], [0.02, 0.04, -0.01], [0.01, -0.01, 0.03]])
    dense = Levels(
        y.ravel()[seen],
        block_diag(*v)[np.ix_(seen, seen)] + same * (which @ between @ which.T),
        which,
        (),
    ).at(())

    joint = outcomes(y, v).at(between)

    assert joint.log_likelihood(restricted) == pytest.approx(dense.log_likelihood(restricted))
    assert joint.b == pytest.approx(dense.b, rel=1e-10)
    assert joint.vcov == pytest.approx(dense.vcov, rel=1e-10)
    assert joint.rss == pytest.approx(dense.rss, rel=1e-10)


@pytest.mark.parametrize("restricted", [True, False])
@pytest.mark.parametrize("kind", STRUCTURES)
def test_the_gradient_is_the_slope_of_the_likelihood(kind, restricted):
    data = outcomes(*made_up())
    cost = _Cost(data, Structure(kind, data.scale, (1, 2, 0)), restricted)
    at = np.linspace(0.4, 0.9, len(cost.free))
    step = 1e-6 * np.eye(len(at))

    slopes = [(cost(at + one)[0] - cost(at - one)[0]) / 2e-6 for one in step]

    assert cost(at)[1] == pytest.approx(slopes, rel=1e-5, abs=1e-6)


def test_no_other_covariance_has_a_higher_likelihood():
    data = outcomes(EFFECTS, SAMPLING)
    best = fit_outcomes(data).log_likelihood

    for one in np.linspace(0, 0.1, 9):
        for other in np.linspace(0, 0.05, 9):
            for rho in np.linspace(-1, 1, 9):
                shared = rho * np.sqrt(one * other)
                found = data.at([[one, shared], [shared, other]]).log_likelihood(True)
                assert found <= best + 1e-9


@pytest.mark.parametrize("restricted", [True, False])
def test_equal_sampling_errors_have_a_closed_form(restricted):
    y = np.random.default_rng(3).multivariate_normal([1, 2], [[1, 0.5], [0.5, 2]], 30)
    known = np.array([[0.1, 0.04], [0.04, 0.2]])
    total = np.cov(y.T, ddof=1 if restricted else 0)

    fitted = fit_outcomes(outcomes(y, np.tile(known, (30, 1, 1))), restricted=restricted)

    assert fitted.joint.b == pytest.approx(y.mean(axis=0), rel=1e-10)
    assert fitted.joint.between == pytest.approx(total - known, rel=1e-7)
    assert fitted.joint.vcov == pytest.approx(total / 30, rel=1e-7)


def test_unconnected_outcomes_are_pooled_as_each_alone():
    y, v = made_up()
    apart = v * np.eye(3)

    joint = fit_outcomes(outcomes(y, apart), "DIAG")
    for at in range(3):
        seen = np.isfinite(y[:, at])
        alone = fit(y[seen, at], v[seen, at, at], test="t")
        assert joint.joint.b[at] == pytest.approx(alone.b[0], rel=1e-7)
        assert joint.tau2[at] == pytest.approx(alone.tau2, rel=1e-6)
        assert joint.joint.vcov[at, at] == pytest.approx(alone.se[0] ** 2, rel=1e-7)


def test_two_outcomes_have_one_correlation_whatever_its_name():
    data = outcomes(EFFECTS, SAMPLING)

    one, other = fit_outcomes(data, "UN"), fit_outcomes(data, "HCS")

    assert one.joint.between == pytest.approx(other.joint.between, rel=1e-7)


def test_compound_symmetry_has_one_variance_and_one_correlation():
    between = fit_outcomes(outcomes(*made_up()), "CS").joint.between

    assert np.diag(between) == pytest.approx([between[0, 0]] * 3, rel=1e-12)
    assert between[0, 1:] == pytest.approx([between[1, 2]] * 2, rel=1e-12)


def test_a_poorer_structure_has_no_higher_likelihood():
    data = outcomes(*made_up())
    heights = {kind: fit_outcomes(data, kind).log_likelihood for kind in STRUCTURES}

    assert heights["UN"] >= heights["HCS"] >= max(heights["CS"], heights["DIAG"])


def profile(data, fixed):
    """Return the highest likelihood on a fine grid where `fixed` (place, value) holds."""
    grids = [np.linspace(1e-9, 0.09, 60), np.linspace(1e-9, 0.05, 60), np.linspace(-1, 1, 61)]
    grids[fixed[0]] = [fixed[1]]
    return max(
        data.at([[one, rho * np.sqrt(one * two)], [rho * np.sqrt(one * two), two]]).log_likelihood(
            True
        )
        for one in grids[0]
        for two in grids[1]
        for rho in grids[2]
    )


def test_intervals_end_where_the_profile_has_fallen_by_half_the_quantile():
    data = outcomes(EFFECTS, SAMPLING)
    fitted = fit_outcomes(data)
    floor = fitted.log_likelihood - stats.chi2.ppf(0.95, 1) / 2
    rho = correlation_interval(fitted, 0, 1)
    ends = [(0, end) for end in variance_interval(fitted, 0)]
    ends += [(1, end) for end in variance_interval(fitted, 1)]

    for place, end in [*ends, (2, rho[0])]:
        assert profile(data, (place, end)) == pytest.approx(floor, abs=0.03)
    assert rho[1] == 1.0
    assert profile(data, (2, 1.0)) > floor


def test_the_interval_of_a_correlation_is_the_same_in_any_order_of_outcomes():
    y, v = made_up(20)
    turn = [2, 0, 1]
    one = fit_outcomes(outcomes(y, v))
    other = fit_outcomes(outcomes(y[:, turn], v[:, turn][:, :, turn]))

    for a, b in [(0, 1), (0, 2), (1, 2)]:
        turned = correlation_interval(other, turn.index(a), turn.index(b))
        assert correlation_interval(one, a, b) == pytest.approx(turned, rel=1e-4, abs=1e-4)
        assert correlation_interval(one, b, a) == pytest.approx(turned, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", ["HCS", "CS"])
def test_the_interval_of_one_correlation_holds_it_and_is_the_same_for_every_pair(kind):
    fitted = fit_outcomes(outcomes(*made_up(30)), kind)

    low, high = correlation_interval(fitted, 0, 1)

    assert -0.5 <= low < fitted.rho[0, 1] < high <= 1
    assert correlation_interval(fitted, 1, 2) == pytest.approx((low, high), abs=1e-6)


def test_intervals_of_two_outcomes_do_not_depend_on_the_name_of_the_structure():
    data = outcomes(EFFECTS, SAMPLING)
    one, other = fit_outcomes(data, "UN"), fit_outcomes(data, "HCS")

    assert correlation_interval(one, 0, 1) == pytest.approx(correlation_interval(other, 0, 1))
    assert variance_interval(one, 1) == pytest.approx(variance_interval(other, 1), rel=1e-4)


@pytest.mark.parametrize("seed", [10, 52, 112])
def test_random_starts_find_no_higher_likelihood(seed):
    draw = np.random.default_rng(seed)
    n, m = draw.integers(3, 9), draw.integers(2, 4)
    sd = draw.uniform(0.1, 1, (n, m))
    v = np.einsum("ia,ib->iab", sd, sd) * (0.5 * np.eye(m) + 0.5)
    fitted = fit_outcomes(outcomes(draw.normal(size=(n, m)) * draw.choice([0.05, 0.3, 1]), v))
    cost = _Cost(fitted.joint.data, fitted.structure, True)

    for _ in range(8):
        angles = draw.uniform(0, np.pi, fitted.structure.angles)
        found = _descend(cost, np.array([*draw.uniform(0.05, 1.5, m), *angles]))
        assert -cost(found)[0] <= fitted.log_likelihood + 1e-6


@settings(max_examples=8, deadline=None)
@given(
    st.permutations(range(10)),
    st.sampled_from([1e-6, 1e-3, 1.0, 1e6]),
    st.sampled_from([-1e3, -1.0, 1e3]),
)
def test_order_scale_and_sign_do_not_matter(order, one, other):
    factor = np.tile([one, other], 5)
    changed = BERKEY.assign(yi=factor * BERKEY["yi"], vi=factor**2 * BERKEY["vi"])
    covariance = COVARIANCE * np.outer(factor, factor)
    order = list(order)
    plain = fit_outcomes(outcomes(EFFECTS, SAMPLING))

    shuffled = pool_outcomes(
        changed.iloc[order], covariance=covariance[np.ix_(order, order)], **CHOICES
    )

    assert shuffled["pooled.AL"].value == pytest.approx(one * plain.joint.b[0], rel=1e-6)
    assert shuffled["pooled.PD"].value == pytest.approx(other * plain.joint.b[1], rel=1e-6)
    assert shuffled["tau2.PD"].value == pytest.approx(other**2 * plain.tau2[1], rel=1e-5)
    first, second = dict.fromkeys(changed.iloc[order]["outcome"])
    rho = shuffled[f"rho.{first}.{second}"].value
    assert rho == pytest.approx(np.sign(other) * plain.rho[0, 1], rel=1e-5)


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 8), st.integers(2, 3), st.integers(0, 10**6))
def test_well_posed_data_give_finite_numbers(n, m, seed):
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "study": np.repeat([f"S{at}" for at in range(n)], m),
            "outcome": [f"O{at}" for at in range(m)] * n,
            "yi": draw.normal(size=n * m),
            "vi": draw.uniform(0.01, 2, n * m),
        }
    )
    result = pool_outcomes(table, rho=0.5, structure="CS", **CHOICES)

    assert all(np.isfinite(result[f"pooled.O{at}"].se) for at in range(m))
    assert all(result[f"tau2.O{at}"].value >= 0 for at in range(m))
    assert "not_converged" not in kinds(result)


def test_degrees_of_freedom_follow_the_test():
    by_z, by_t, residual = (
        pool_outcomes(BERKEY, covariance=COVARIANCE, test=test, **CHOICES)
        for test in ("z", "t", "t_residual")
    )
    ratio = by_z["pooled.AL"].value / by_z["pooled.AL"].se

    assert by_z["p.AL"].value == pytest.approx(2 * stats.norm.sf(abs(ratio)))
    assert by_t["p.AL"].value == pytest.approx(2 * stats.t.sf(abs(ratio), 4))
    assert residual["p.AL"].value == pytest.approx(2 * stats.t.sf(abs(ratio), 8))
    half = by_t["pooled.AL"].high - by_t["pooled.AL"].value
    assert half == pytest.approx(stats.t.ppf(0.975, 4) * by_t["pooled.AL"].se)


def test_all_means_together_and_the_spread_are_tested():
    result = pool_outcomes(BERKEY, covariance=COVARIANCE, test="z", **CHOICES)
    b = np.array([result["pooled.AL"].value, result["pooled.PD"].value])
    vcov = fit_outcomes(outcomes(EFFECTS, SAMPLING)).joint.vcov

    assert result["QM"].value == pytest.approx(b @ np.linalg.inv(vcov) @ b)
    assert result["QM_p"].value == pytest.approx(stats.chi2.sf(result["QM"].value, 2))
    common = outcomes(EFFECTS, SAMPLING).at(np.zeros((2, 2)))
    residual = (EFFECTS - common.b).ravel()
    by_hand = residual @ np.linalg.inv(COVARIANCE) @ residual
    assert result["Q"].value == pytest.approx(by_hand)
    assert result["Q_df"].value == 8


def test_the_result_is_said_in_words_and_survives_json():
    result = pool_outcomes(
        BERKEY, covariance=COVARIANCE, measure="MD", direction_better={"AL": "lower", "PD": "none"}
    )

    assert result.text == (
        "2 outcomes of 5 studies, pooled together: AL −0.34 (95 % interval −0.58 to −0.10); PD "
        "0.35 (95 % interval 0.19 to 0.52); correlation between studies 0.61."
    )
    assert result["pooled.AL"].direction_better == "lower"
    assert result.table["outcome"].tolist() == ["AL", "PD"]
    assert kinds(result) == ["few_studies"]
    assert Result.loads(result.dumps()) == result


def test_a_study_that_lacks_an_outcome_still_counts():
    result = pool_outcomes(
        BERKEY.iloc[[0, 3, *range(4, 10)]],
        covariance=COVARIANCE[np.ix_([0, 3, *range(4, 10)], [0, 3, *range(4, 10)])],
        **CHOICES,
    )

    assert result["pooled.AL"].k == 4
    assert result["pooled.PD"].k == 4


def test_an_empty_effect_is_left_out_and_said():
    holed = BERKEY.assign(yi=BERKEY["yi"].where(BERKEY.index != 9))

    result = pool_outcomes(holed, covariance=COVARIANCE, **CHOICES)

    assert result["pooled.PD"].k == 4
    assert "1 row without effect or variance left out." in [item.text for item in result.cautions]


def test_a_correlation_at_the_end_of_its_range_is_said():
    shared = np.repeat([-0.9, -0.3, 0.1, 0.4, 1.0], 2)
    table = BERKEY.assign(yi=shared * np.tile([1, -2], 5), vi=0.01)

    result = pool_outcomes(table, rho=0.0, **CHOICES)

    assert result["rho.AL.PD"].value == pytest.approx(-1, abs=1e-6)
    assert "boundary" in kinds(result)
    assert "between studies is estimated as −1, the end of its range" in repr(result)


def test_a_variance_of_zero_is_said_and_has_no_correlation():
    table = BERKEY.assign(yi=np.ravel([[0.3, y] for y in (-1, 0.2, 0.5, 1.1, 2)]), vi=0.05)

    result = pool_outcomes(table, rho=0.0, structure="UN", **CHOICES)

    assert result["tau2.AL"].value == 0
    assert result["tau2.AL"].low == 0
    assert result["rho.AL.PD"].value is None
    assert "The variance of AL between studies is estimated as 0" in repr(result)


@pytest.mark.parametrize("seed", [8, 23])
def test_a_variance_that_is_nearly_zero_by_rounding_is_zero(seed):
    y = 0.2 * np.random.default_rng(seed).normal(size=(6, 2))
    v = np.tile([[0.09, 0.045], [0.045, 0.09]], (6, 1, 1))

    fitted = fit_outcomes(outcomes(y, v))

    assert fitted.tau2.tolist() == [0.0, 0.0]
    assert np.isnan(fitted.rho).all()


def test_a_search_that_ends_early_is_said(monkeypatch):
    monkeypatch.setattr(multivariate, "STEEP", 0.0)

    result = pool_outcomes(BERKEY, covariance=COVARIANCE, **CHOICES)

    assert "not_converged" in kinds(result)


def test_an_outcome_of_one_study_is_not_pooled():
    kept = [0, 1, 2, 4, 6, 8]

    result = pool_outcomes(BERKEY.iloc[kept], covariance=COVARIANCE[np.ix_(kept, kept)], **CHOICES)

    assert not result.known
    assert result.reason == (
        "only one study reports PD; its spread between studies cannot be estimated"
    )


def test_outcomes_never_reported_together_have_no_correlation_but_can_be_pooled_without():
    kept = [0, 2, 5, 7, 9]
    choices = {**CHOICES, "covariance": COVARIANCE[np.ix_(kept, kept)]}

    refused = pool_outcomes(BERKEY.iloc[kept], **choices)
    shared = pool_outcomes(BERKEY.iloc[kept], structure="CS", **choices)
    pooled = pool_outcomes(BERKEY.iloc[kept], structure="DIAG", **choices)

    assert "fewer than two studies report both AL and PD" in refused.reason
    assert "fewer than two studies report outcomes together" in shared.reason
    assert pooled.known


def test_mixed_designs_and_measures_are_not_pooled():
    designs = BERKEY.assign(design=["rct"] * 8 + ["before_after"] * 2)
    measures = BERKEY.assign(measure=["MD", "MD"] * 4 + ["MD", "SMD"])

    by_design = pool_outcomes(designs, covariance=COVARIANCE, **CHOICES)
    by_measure = pool_outcomes(measures, covariance=COVARIANCE, **CHOICES)

    assert by_design.reason.startswith("designs differ: randomised trials, before and after")
    assert by_measure.reason.startswith("measures of PD differ: ")


def not_definite():
    broken = COVARIANCE.copy()
    broken[0, 1] = broken[1, 0] = 0.0077
    return broken


def with_entry(row, column, value):
    broken = COVARIANCE.copy()
    broken[row, column] = value
    return broken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"covariance": not_definite()}, "positive definite; it is not for Pihlstrom"),
        ({"covariance": with_entry(2, 3, 0.0)}, "both sides of its diagonal; .* for Lindhe"),
        ({"covariance": with_entry(9, 9, 0.1)}, "have vi on its diagonal; .* for Becker"),
        ({"covariance": COVARIANCE + 1e-5}, "have vi on its diagonal|0 between studies"),
        ({"covariance": COVARIANCE[:4, :4]}, r"per row of the table \(10\); got 4 x 4"),
        ({"covariance": None}, "give either their covariance or rho; got neither"),
        ({"rho": 0.5}, "give either their covariance or rho; got both"),
        ({"covariance": None, "rho": 1.0}, "rho must lie between 0 and below 1"),
        ({"structure": "AR"}, "structure must be one of UN, HCS, CS, DIAG; got 'AR'"),
        ({"method": "DL"}, "method must be one of REML, ML; got 'DL'"),
        ({"test": "knha"}, "test must be one of t, z, t_residual; got 'knha'"),
        ({"level": 95}, "level must lie between 0 and 1; got 95"),
        ({"outcome": "endpoint"}, "the table has no endpoint"),
        ({"direction_better": {"AL": "higher"}}, "got '' for PD"),
        ({"effects": BERKEY.assign(outcome="AL")}, "at least two of them; got 1"),
        ({"effects": BERKEY.assign(study="One")}, "0 between studies|One has AL more than once"),
        (
            {"effects": BERKEY.assign(vi=-1.0), "covariance": None, "rho": 0.5},
            "variances above 0; not so for Pihlstrom, Lindhe",
        ),
    ],
)
def test_wrong_input_is_refused_with_its_place(change, message):
    given_now = {"effects": BERKEY, "covariance": COVARIANCE, **CHOICES, **change}

    with pytest.raises(DataError, match=message):
        pool_outcomes(given_now.pop("effects"), **given_now)


def test_one_outcome_has_no_multivariate_model():
    with pytest.raises(DataError, match="needs at least two outcomes; got 1"):
        fit_outcomes(outcomes(EFFECTS[:, :1], SAMPLING[:, :1, :1]))
    with pytest.raises(DataError, match="structure must be one of"):
        fit_outcomes(outcomes(EFFECTS, SAMPLING), "AR")
