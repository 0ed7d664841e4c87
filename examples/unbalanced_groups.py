"""
Unbalanced groups: how far a mean is to be believed
===================================================

Groups of one row, and a group of a hundred. The mean ȳ_j of a group's n_j rows has the variance
σ²/n_j about μ + b_j, and the model moves it towards μ the further, the larger this is beside the
variance σ_b² between groups. Here the weights are checked by hand; and then groups that do not
seem to differ at all.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.plotting import ShrinkageDisplay

rng = np.random.default_rng(0)
sizes = np.array([1, 1, 1, 2, 2, 3, 4, 6, 9, 14, 20, 30, 45, 70, 100])
labels = [f"{letter} (n = {n})" for letter, n in zip("ABCDEFGHIJKLMNO", sizes, strict=True)]
X = pd.DataFrame({"group": np.repeat(labels, sizes)})
y = 20 + np.repeat(rng.normal(0, 2, 15), sizes) + rng.normal(0, 4, sizes.sum())
model = MixedLinearRegressor("group").fit(X, y)
between, within = model.variance_components_["variance"]
print(f"σ_b² = {between:.2f}, σ² = {within:.2f}")

# %%
# The BLUP is λ_j(ȳ_j − μ̂) with the factor λ_j = n_jσ_b²/(n_jσ_b² + σ²). A group of one row keeps
# 15 % of its deviation, and one of a hundred rows 95 %. Small groups need not be left out.
means = pd.Series(y).groupby(X["group"]).mean()
factor = sizes * between / (sizes * between + within)
blups = model.random_effects_["group"]["(Intercept)"]
columns = {"mean": means, "factor": factor, "BLUP": blups}
table = pd.DataFrame(columns).assign(by_hand=factor * (means - model.intercept_))
print(table.iloc[[0, 3, 6, 9, 12, 14]].round(4))

_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), layout="constrained")
ShrinkageDisplay.from_estimator(model, ax=left)
left.set(xlabel="mean of the group", ylabel="")
n = np.geomspace(1, 100)
right.semilogx(n, n * between / (n * between + within), color="#8C8C8C")
right.plot(sizes, blups / (means - model.intercept_), "o", color="#0072B2")
right.set(xlabel="rows of the group, n", ylabel="BLUP / (mean of the group less μ̂)", ylim=(0, 1))
right.set_xticks([1, 3, 10, 30, 100], [1, 3, 10, 30, 100])
right.spines[["top", "right"]].set_visible(False)

# %%
# Which mean is μ̂? It is not the mean of all rows, in which three groups have 70 % of the weight.
# It is not the mean of the group means either, in which one row counts as much as a hundred. Its
# weights, the precisions 1/(σ_b² + σ²/n_j) of the group means, give the smallest error.
weights = {"rows": sizes, "groups": np.ones(15), "precision": 1 / (between + within / sizes)}
for name, weight in weights.items():
    share = weight / weight.sum()
    error = (share**2 @ (between + within / sizes)) ** 0.5
    print(f"{name:9}  mean {share @ means:.4f}  standard error {error:.3f}")
print(f"model      mean {model.intercept_:.4f}")

# %%
# Shuffled rows have no real groups. In most shuffles their means differ less than σ² alone implies,
# and the estimate of σ_b² is 0. This is a singular fit. It is the optimum and not a failure. All
# BLUPs are 0, and μ̂ is the mean of the rows.
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fits = [MixedLinearRegressor("group").fit(X, rng.permutation(y)) for _ in range(200)]
print(f"In {len(caught)} of 200 fits:\n{caught[0].message}")
fit = next(fit for fit in fits if fit.singular_)
print(f"largest BLUP {abs(fit.random_effects_['group']).max(axis=None)}", end=", ")
print(f"μ̂ {fit.intercept_:.4f}, mean of the rows {y.mean():.4f}")

_, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
deviations = [fit.variance_components_["sd"][0] for fit in fits]
ax.hist(deviations, np.arange(0, 1.5, 0.1), color="#0072B2", label="shuffled")
ax.axvline(between**0.5, color="#D55E00", label="as they are")
ax.set(xlabel="estimate of the standard deviation between groups", ylabel="fits of 200")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
