"""The evaluation of local changes at the figures of one reference file of its three features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evidence.evaluation.checks import Question
from evidence.evaluation.clusters import fit_clustered
from evidence.evaluation.models import Fit, fit_counts, fit_linear
from evidence.evaluation.series import interrupted_series
from evidence.evaluation.synthetic import simplex_weights

TERMS = ("time", "level", "trend_after", "s1", "c1")


def its_segmented(case: dict[str, Any]) -> dict[str, Any]:
    table = pd.DataFrame(case["input"])
    terms = [name for name in TERMS if name in table]
    names = ["(Intercept)", *terms]
    design = np.column_stack([np.ones(len(table)), table[terms]])
    y, at = table["y"].to_numpy(dtype=float), table["time"].to_numpy()
    lags = case["params"]["lag"]

    def fitted(**choices: Any) -> Fit:
        return fit_linear(y, design, names, at, **choices)

    plain, gls = fitted(errors="ols"), fitted(errors="ml")
    question = Question(event=str(at[table["level"] > 0][0]), direction_better="none")
    waves = int("s1" in terms)
    whole = interrupted_series(
        table, question, period="time", value="y", errors="ols", harmonics=waves
    )
    output = {
        "coef": dict(zip(names, plain.coef, strict=True)),
        "se_ols": errors(plain),
        "se_nw": errors(fitted(errors="hac", lags=lags, small_sample=False)),
        "se_nw_adj": errors(fitted(errors="hac", lags=lags, small_sample=True)),
        "se_hc3": errors(fitted(errors="hc3")),
        "sigma": float(np.sqrt(plain.dispersion)),
        "r2": whole["r2"].value,
        "dw": whole["durbin_watson"].value,
        "fitted": whole.table["fitted"],
        "counterfactual": whole.table["counterfactual"],
        "gls_coef": dict(zip(names, gls.coef, strict=True)),
        "gls_se": errors(gls),
        "gls_phi": gls.correlation,
        "gls_loglik": gls.loglik,
    }
    return output if "count" not in table else output | counts(table, design, names, lags)


def counts(table: pd.DataFrame, design: np.ndarray, names: list[str], lags: int) -> dict[str, Any]:
    y, people = table["count"].to_numpy(dtype=float), table["offset_n"].to_numpy(dtype=float)
    scaled = fit_counts(y, design, names, people)
    robust = fit_counts(y, design, names, people, errors="hac", lags=lags, small_sample=False)
    return {
        "qp_coef": dict(zip(names, scaled.coef, strict=True)),
        "qp_se": errors(scaled),
        "qp_dispersion": scaled.dispersion,
        "qp_nw": errors(robust),
    }


def errors(fit: Fit) -> dict[str, float]:
    return dict(zip(fit.names, np.sqrt(np.diag(fit.vcov)), strict=True))


def did(case: dict[str, Any]) -> dict[str, Any]:
    table = pd.DataFrame(case["input"])
    effect = case["params"].get("effect", "did")
    if "tf" in table:
        fixed = pd.get_dummies(table[["area", "tf"]].astype(str), drop_first=True, dtype=float)
        columns = [table[effect], *(fixed[name] for name in fixed)]
    else:
        columns = [table[effect], table["treated"], table["after"]]
    design = np.column_stack([np.ones(len(table)), *columns]).astype(float)
    y, clusters = table["y"].to_numpy(dtype=float), table["cluster"].to_numpy()
    weights = np.eye(design.shape[1])[1]
    found = {
        kind: fit_clustered(y, design, clusters, kind).contrast(weights)
        for kind in ("CR0", "CR1", "CR2")
    }
    left = y - design @ fit_clustered(y, design, clusters, "CR0").coef
    variance = left @ left / (len(y) - design.shape[1]) * np.linalg.inv(design.T @ design)
    return {
        "effect": found["CR2"]["value"],
        "se_ols": float(np.sqrt(variance[1, 1])),
        "se_cl_hc0": found["CR0"]["se"],
        "se_cl_hc1": found["CR1"]["se"],
        "se_cr2": found["CR2"]["se"],
        "df_satt": found["CR2"]["df"],
        "p_satt": found["CR2"]["p"],
        "n_clusters": len(np.unique(clusters)),
    }


def synthetic_control(case: dict[str, Any]) -> dict[str, Any]:
    given = {name: np.array(case["input"][name], dtype=float) for name in ("X1", "X0", "Y1", "Y0")}
    spread = np.column_stack([given["X1"], given["X0"]]).std(axis=1, ddof=1)
    target, donors = given["X1"] / spread, given["X0"] / spread[:, None]
    weights = simplex_weights(target, donors)
    return {
        "exact_qp": {
            "w": weights,
            "loss_w": float(np.mean((target - donors @ weights) ** 2)),
            "gap": given["Y1"] - given["Y0"] @ weights,
        }
    }
