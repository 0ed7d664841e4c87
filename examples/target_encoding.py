"""
Target encoding with estimated shrinkage
========================================

A column with hundreds of categories, such as postcodes, is often replaced by the mean response of
each category, shrunken towards the overall mean since most categories have few rows. How far to
shrink depends on how much categories differ. ``MixedEffectEncoder`` estimates this by REML.
scikit-learn's ``TargetEncoder`` uses a rule ("auto") or a given number.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import TargetEncoder
from threadpoolctl import threadpool_limits

from skmixed import MixedEffectEncoder


def simulate(rng, sd_between):
    """y = x + b_j + ε with Var(ε) = 1; sizes of the categories with a heavy tail."""
    size = rng.pareto(1.2, 1500) + 0.3
    category = rng.choice(1500, 6000, p=size / size.sum())
    X = pd.DataFrame({"x": rng.normal(size=6000), "postcode": [f"P{c:04d}" for c in category]})
    return X, X["x"] + sd_between * rng.normal(size=1500)[category] + rng.normal(size=6000)


# %%
# The first 3,000 rows are for training; more than half of the categories have one row there.
# REML estimates the smoothing m, the number of rows that the overall mean is worth. It is the
# variance within categories, here 2 with that of x, over the variance between them.
rng = np.random.default_rng(0)
np.random.seed(0)  # noqa: NPY002 - TargetEncoder draws its folds from the global generator
for sd_between in (0.3, 1.0, 3.0):
    X, y = simulate(rng, sd_between)
    smooth = MixedEffectEncoder().fit(X.loc[:2999, ["postcode"]], y[:3000]).smooth_[0]
    print(f"σ_b = {sd_between}: m = {smooth:4.1f}, true value {2 / sd_between**2:4.1f}")
sizes = X.loc[:2999, "postcode"].value_counts()
print(f"{len(sizes)} categories, {(sizes == 1).mean():.0%} of one row")

# %%
# R² on the other 3,000 rows, for categories that differ by little or by much. ``fit_transform``
# encodes each row of the training data by the other folds, so that its own response is not in
# its feature; a Pipeline calls the two methods in the same way.
smooths = ["auto", 1, 20]
encoders = {"MixedEffectEncoder": MixedEffectEncoder()}
encoders |= {f"smooth={m}": TargetEncoder(target_type="continuous", smooth=m) for m in smooths}
boosting, rows = HistGradientBoostingRegressor(max_iter=25, max_leaf_nodes=8), []
with threadpool_limits(1):  # small fits, which threads would slow down
    for draw, sd_between in enumerate([0.2, 0.4, 0.8, 1.6, 3.2] * 2):
        X, y = simulate(rng, sd_between)
        for encoder, transformer in encoders.items():
            columns = make_column_transformer((transformer, ["postcode"]), ("passthrough", ["x"]))
            train, test = columns.fit_transform(X[:3000], y[:3000]), columns.transform(X[3000:])
            for name, regressor in ("ridge regression", Ridge()), ("boosting", boosting):
                r2 = regressor.fit(train, y[:3000]).score(test, y[3000:])
                rows.append([name, draw, sd_between, encoder, r2])
scores = pd.DataFrame(rows, columns=["regressor", "draw", "σ_b", "encoder", "R²"])
scores["lost"] = scores.groupby(["regressor", "draw"])["R²"].transform("max") - scores["R²"]
print(scores.pivot_table("R²", ["regressor", "σ_b"], "encoder", sort=False).round(2).to_string())

# %%
# The loss of each compared with the best of the four on the same data. A fixed number is good for
# one kind of categories and bad for another: 20 is too large if they differ much, and 1 loses a
# little on both sides. Boosting can transform a feature, and loses less.
lost = scores.pivot_table("lost", "σ_b", ["regressor", "encoder"], sort=False)
plt.rc("axes.spines", top=False, right=False)
_, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), sharey=True, layout="constrained")
for ax, name in zip(axes, ["ridge regression", "boosting"], strict=True):
    for encoder, color in zip(encoders, ["#0072B2", "#D55E00", "#009E73", "#8C8C8C"], strict=True):
        ax.plot(lost[name, encoder], "o-", color=color, label=encoder)
    ax.set(xscale="log", title=name, xlabel="standard deviation between categories")
    ax.set_xticks(lost.index, lost.index)
    ax.minorticks_off()
axes[0].set_ylabel("R² below the best of four")
_ = axes[0].legend(frameon=False)
