"""
REML against maximum likelihood with few schools
================================================

Maximum likelihood estimates variances as if the mean were known, and finds them too small; REML
counts the degree of freedom that the mean has used up. Both criteria are written out for twelve
students in three schools and minimized; a thousand data sets with five schools show the bias.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import minimize

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_schools

# %%
# The scores have the covariance matrix V = σ_b²ZZ' + σ²I, where Z has a column of indicators for
# each school. Twice the negative log-likelihood is log det 2πV and the sum of squares of the
# residuals, weighted by V⁻¹; REML adds log det X'V⁻¹X/2π, where X is here the column of ones.
X, y = load_schools(return_X_y=True)
Z, ones = pd.get_dummies(X["school"]).to_numpy(float), np.ones(12)


def criterion(variances, method):
    V = variances[0] * Z @ Z.T + variances[1] * np.eye(12)  # the library never forms it
    information = ones @ np.linalg.solve(V, ones)  # X'V⁻¹X; its inverse is the mean's variance
    residual = y - ones @ np.linalg.solve(V, y) / information
    value = np.linalg.slogdet(2 * np.pi * V)[1] + residual @ np.linalg.solve(V, residual)
    return value + (np.log(information / (2 * np.pi)) if method == "reml" else 0)


# %%
# lme4's numbers are ``as.data.frame(VarCorr(m))$vcov`` and ``-2 * logLik(m)`` of
# ``m <- lmer(score ~ 1 + (1 | school), schools, REML = TRUE)``, or ``FALSE``. Three ways to the
# same digits; the variance between schools is 103 by REML and 56 by maximum likelihood.
rows = {}
for method, lme4 in {"reml": [102.64, 144.39, 91.09], "ml": [56.39, 144.39, 96.55]}.items():
    found = minimize(criterion, [50, 50], args=method, method="Nelder-Mead")
    model = MixedLinearRegressor("school", method=method).fit(X, y)
    rows[method, "by hand"] = [*found.x, found.fun]
    rows[method, "skmixed"] = [*model.variance_components_["variance"], model.criterion_]
    rows[method, "lme4"] = lme4
print(pd.DataFrame(rows, index=["between schools", "within", "criterion"]).T.round(2))

# %%
# In J schools of n students the estimates are explicit: (MSB − MSW)/n by REML, or 0 if this is
# negative, and the same with (1 − 1/J)MSB by maximum likelihood. Since E MSB = nσ_b² + σ², the
# first is unbiased but for the zeros; the second falls short of σ_b² by (σ_b² + σ²/n)/J. With five
# schools a fifth is lost, and standard errors of the mean are a tenth too small. Maximum likelihood
# has the smaller mean squared error; REML is preferred for what rests on it, the standard errors.
rng = np.random.default_rng(0)
n, between, within = 25, 10.0**2, 15.0**2
J, estimates = np.array([3, 4, 5, 10, 20, 50]), []
for schools in J:
    scores = rng.normal(0, between**0.5, (1000, schools, 1))  # a thousand data sets
    scores = scores + rng.normal(0, within**0.5, (1000, schools, n))
    msb, msw = n * scores.mean(axis=2).var(axis=1, ddof=1), scores.var(axis=2, ddof=1).mean(axis=1)
    estimates.append([np.maximum(0, (a * msb - msw) / n) for a in (1, 1 - 1 / schools)])

plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
right.axhline(between, color="#404040", linewidth=1)
right.plot(J, between - (between + within / n) / J, color="#D55E00", label="ML, in theory")
for k, (name, color) in enumerate({"REML": "#0072B2", "ML": "#D55E00"}.items()):
    five, error = estimates[2][k], [2 * e[k].std() / 1000**0.5 for e in estimates]
    print(f"{name:4}  mean {five.mean():5.1f}  RMSE {np.mean((five - between) ** 2) ** 0.5:.1f}")
    left.hist(five, range(0, 401, 20), histtype="step", linewidth=1.8, color=color, label=name)
    right.errorbar(J, [e[k].mean() for e in estimates], error, fmt="o", color=color, label=name)
left.axvline(between, color="#404040", linewidth=1, label="truth")
left.set(xlabel=r"estimate of $\sigma_b^2$ (points²), five schools", ylabel="data sets of 1,000")
right.set(xlabel="schools, J", ylabel=r"mean estimate of $\sigma_b^2$ (points²)", xscale="log")
right.set_xticks(J, J)
right.minorticks_off()
for ax in (left, right):
    ax.legend(frameon=False)
