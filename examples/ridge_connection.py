"""
The BLUPs as ridge regression
=============================

Random intercepts are the coefficients of indicator columns of the groups, with the penalty
α = σ²/σ_b² on their squares and none on the fixed effects. A mixed model is thus a ridge regression
whose penalty is estimated by REML instead of cross-validation. Here the two are compared.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV

from skmixed import MixedLinearRegressor

rng = np.random.default_rng(0)
group = np.sort(rng.choice(40, 300, p=rng.dirichlet(np.full(40, 2.0))))  # of unequal sizes
indicators = pd.get_dummies(group).to_numpy(float)
X = pd.DataFrame({"x": rng.normal(size=300), "group": group})
# 50 data sets with σ_b = 1 and σ = 2, for which the best penalty is α = 4.
samples = 10 + rng.normal(size=(50, 40))[:, group] + 2 * rng.normal(size=(50, 300))


def penalty(model):
    return model.sigma_**2 / model.covariances_["group"].iloc[0, 0]


def difference(model, ridge):
    return np.abs(model.random_effects_["group"]["(Intercept)"] - ridge.coef_).max()


# %%
# Without x first. ``Ridge`` does not penalize its intercept, as the mixed model does not. With α
# from the fit its coefficients are the BLUPs, up to rounding.
y = samples[0]
model = MixedLinearRegressor("group", fixed=[]).fit(X, y)
ridge = Ridge(alpha=penalty(model)).fit(indicators, y)
print(f"α = {penalty(model):.2f}, largest difference {difference(model, ridge):.0e}")

# %%
# ``Ridge`` penalizes all columns, but the slope of x must not be penalized. So the fixed columns
# are projected out: for any b, the best β leaves the residual M(y − Zb), with M = I − XX⁺.
y = samples[0] + 3 * X["x"]
model = MixedLinearRegressor("group").fit(X, y)
fixed = np.column_stack([np.ones(300), X["x"]])
M = np.eye(300) - fixed @ np.linalg.pinv(fixed)
ridge = Ridge(alpha=penalty(model), fit_intercept=False).fit(M @ indicators, M @ y)
print(f"α = {penalty(model):.2f}, largest difference {difference(model, ridge):.0e}")
slope = LinearRegression().fit(X[["x"]], y - indicators @ ridge.coef_).coef_
print(f"slope of x: {slope[0]:.6f} and {model.fixed_effects_['x']:.6f}")

# %%
# Cross-validation chooses α by the error of rows that are left out. On the left is its curve for
# one data set, flat around the minimum. On the right are the choices in all 50. Both are around 4,
# and those of REML vary less: the data determine likely variances better than the position of a
# flat minimum. But REML relies on the model, and the curve does not.
alphas, choices = np.geomspace(0.3, 100, 30), []
for y in samples:
    search = RidgeCV(alphas, store_cv_results=True).fit(indicators, y)
    reml = penalty(MixedLinearRegressor("group", fixed=[]).fit(X, y))
    choices.append([reml, search.alpha_])
choices = pd.DataFrame(choices, columns=["REML", "cross-validation"])
print(choices.quantile([0.1, 0.5, 0.9]).round(1))

plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
left.semilogx(alphas, np.sqrt(search.cv_results_.mean(axis=0)), color="#D55E00")
left.axvline(reml, color="#0072B2", label="REML")
left.axvline(search.alpha_, color="#D55E00", linestyle="--", label="minimum")
left.set(xlabel="α", ylabel="leave-one-out error (RMS)")
left.legend(frameon=False)
right.loglog(choices["REML"], choices["cross-validation"], ".", color="#0072B2")
right.axline((4, 4), (40, 40), color="#8C8C8C", linewidth=1)
right.set(xlabel="α by REML", ylabel="α by cross-validation", xlim=(0.7, 30), ylim=(0.7, 30))
left.set_xticks([1, 10, 100], [1, 10, 100])
for axis in (right.xaxis, right.yaxis):
    axis.set_ticks([1, 2, 4, 8, 16], [1, 2, 4, 8, 16])
right.minorticks_off()
