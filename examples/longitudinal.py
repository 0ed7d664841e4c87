"""
Repeated measurements: reaction times without sleep
===================================================

Eighteen subjects slept three hours a night and were tested on ten days. Their ten reaction times
are not ten independent observations: some subjects are slow throughout, and some tire faster than
others. A line for each subject, drawn from a population of lines, describes both.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.inference import coefficient_table, likelihood_ratio_test
from skmixed.plotting import FittedLinesDisplay, ResidualCorrelationDisplay, ShrinkageDisplay

X, y = load_sleepstudy(return_X_y=True)
intercepts = MixedLinearRegressor("Subject").fit(X, y)
slopes = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
print(slopes.variance_components_.round(2).to_string(index=False))

# %%
# The dashed line is that of the population, and the solid line that of the subject, with its own
# intercept and slope. Subject 308 slows down by 20 ms a day, subject 335 not at all.
lines = FittedLinesDisplay.from_estimator(slopes, X, y.rename("reaction time (ms)"))

# %%
# Is the slope needed? Under the hypothesis of parallel lines its variance is 0, on the boundary of
# its range. The likelihood-ratio statistic then follows a mixture of two χ² distributions.
test = likelihood_ratio_test(intercepts, slopes).loc["alternative"]
print(f"statistic {test['statistic']:.2f}, {test['reference']}, p = {test['p_value']:.1g}")

# %%
# The slopes matter not only for predictions. With parallel lines the differences in slope are part
# of the residual. The test then has 161 degrees of freedom, as if all observations were
# independent. With a slope for each subject there are 18 slopes, 17 degrees of freedom, and twice
# the standard error.
tables = {"parallel": coefficient_table(intercepts), "own slopes": coefficient_table(slopes)}
print(pd.concat(tables).xs("Days", level=1)[["estimate", "std_error", "df", "t"]].round(3))

# %%
# Are the residuals independent? With only an intercept for each subject, residuals of one day are
# correlated with those of the next day, and negatively with those of distant days, because the
# slope is missing. With slopes little correlation is left at any distance. BLUPs make all
# correlations a little smaller.
_, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), sharey=True, layout="constrained")
for ax, fit, name in zip(axes, (intercepts, slopes), ("parallel", "own slopes"), strict=True):
    ResidualCorrelationDisplay.from_estimator(fit, X, y, subject="Subject", time="Days", ax=ax)
    ax.set_title(name, y=0.9)  # below the legend and the numbers of pairs

# %%
# The least-squares line of each subject is noisy, and the model moves it towards the line of the
# population. The arrows are slanted: a line that is too steep by chance also starts too low.
shrinkage = ShrinkageDisplay.from_estimator(slopes)
_ = shrinkage.ax_.set(xlabel="intercept (ms)", ylabel="slope (ms per day)")

# %%
# What will a new subject do? Subject 337 is left out of the fit. At first the interval (95 %, of a
# single observation) must include the differences between subjects. ``update_groups`` learns from
# the first days without a new fit: after three the line has moved up, after seven it is steep, and
# the interval is mostly noise of single observations.
new = X["Subject"] == "337"
model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[~new], y[~new])
days, reaction = X["Days"][new], y[new]
_, axes = plt.subplots(1, 3, figsize=(9.5, 3.5), sharey=True, layout="constrained")
axes[0].set(ylabel="reaction time (ms)")
for ax, before, known in zip(axes, (0, 0, 3), (0, 3, 7), strict=True):
    fresh, ahead = new & X["Days"].between(before, known - 1), new & (X["Days"] >= known)
    if fresh.any():
        model.update_groups(X[fresh], y[fresh])  # each row once: calls add up
    lower, upper = model.predict_interval(X[ahead]).T
    ax.fill_between(X["Days"][ahead], lower, upper, color="#0072B2", alpha=0.2, linewidth=0)
    ax.plot(X["Days"][ahead], model.predict(X[ahead]), color="#0072B2")
    fill = np.where(days < known, "#404040", "white")
    ax.scatter(days, reaction, facecolors=fill, edgecolors="#404040", zorder=2)
    ax.set(xlabel="days", xticks=range(10), title=f"{known} days known")
    ax.spines[["top", "right"]].set_visible(False)
