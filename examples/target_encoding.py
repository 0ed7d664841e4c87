"""Postcodes as features: target encoding whose shrinkage is estimated.

Many categories, half of them with a single row, and responses that differ
between them by little or by much. MixedEffectEncoder estimates by REML how far
to shrink; TargetEncoder takes a rule ("auto") or a number that somebody chose.
The table shows R² of 5-fold cross-validation, mean over data sets.
"""

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits

from skmixed import MixedEffectEncoder

SEEDS = range(3)
SETTINGS = {"small (σ_b = 0.3)": 0.3, "equal (σ_b = 1)": 1.0, "large (σ_b = 3)": 3.0}
ENCODERS = {
    "mixed": MixedEffectEncoder(),
    "auto": TargetEncoder(target_type="continuous"),
    "smooth=1": TargetEncoder(target_type="continuous", smooth=1.0),
    "smooth=20": TargetEncoder(target_type="continuous", smooth=20.0),
}
REGRESSORS = {
    "Ridge": Ridge(),
    "boosting": HistGradientBoostingRegressor(max_iter=25, max_leaf_nodes=8),
}


def simulate(seed, sd_between):
    """y = x + b_j + ε with Var(ε) = 1; sizes of the categories with a heavy tail."""
    rng = np.random.default_rng(seed)
    size = rng.pareto(1.2, 1500) + 0.3
    category = rng.choice(1500, 3000, p=size / size.sum())
    x = rng.normal(size=3000)
    y = x + sd_between * rng.normal(size=1500)[category] + rng.normal(size=3000)
    return pd.DataFrame({"x": x, "postcode": [f"P{c:04d}" for c in category]}), y


def score(encoder, regressor, X, y, seed):
    encode = make_column_transformer((encoder, ["postcode"]), remainder="passthrough")
    folds = KFold(5, shuffle=True, random_state=seed)
    with threadpool_limits(1):  # small fits, which threads would slow down
        return cross_val_score(make_pipeline(encode, regressor), X, y, cv=folds).mean()


if __name__ == "__main__":
    np.random.seed(0)  # noqa: NPY002 - TargetEncoder draws its folds from the global generator
    rows = []
    for setting, sd_between in SETTINGS.items():
        data = [(*simulate(seed, sd_between), seed) for seed in SEEDS]
        m = [MixedEffectEncoder().fit(X[["postcode"]], y).smooth_[0] for X, y, _ in data]
        for name, regressor in REGRESSORS.items():
            scores = np.array([[score(e, regressor, *d) for d in data] for e in ENCODERS.values()])
            row = {"between": setting, "estimated": f"{np.mean(m):.1f}", "model": name}
            row |= {label: f"{r2:.3f}" for label, r2 in zip(ENCODERS, scores.mean(1), strict=True)}
            rows.append(row | {"mixed is best": f"{(scores.argmax(0) == 0).sum()} of {len(SEEDS)}"})
    counts = data[0][0]["postcode"].value_counts()
    print(
        f"{len(counts)} categories in {counts.sum()} rows, {(counts == 1).mean():.0%} of one row\n"
    )
    print(pd.DataFrame(rows).to_string(index=False))
    print("\nestimated: the smoothing that REML finds, from all rows")
