"""
Small areas: the mean income of a region with two households
============================================================

A survey asks 3,000 households in 300 regions of 12 states for their income. What is the mean of a
region of which two households answered? The mean of the two is unbiased and mostly noise. The mean
of the country ignores the region. The model weighs both, and the mean of the state. In survey
statistics this is the unit-level model of Battese, Harter and Fuller (1988), here without
covariates.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor

# %%
# Region 3 of one state is not region 3 of another: labels recur. The numbers of households have a
# heavy tail, and some regions have none. Incomes are in thousands of dollars a year.
rng = np.random.default_rng(0)
regions = pd.DataFrame({"state": np.repeat(range(12), 25), "region": np.tile(range(25), 12)})
truth = 60 + np.repeat(rng.normal(0, 5, 12), 25) + rng.normal(0, 4, 300)
share = rng.pareto(1.3, 300) + 0.1
row = rng.choice(300, 3000, p=share / share.sum())
households, income = regions.iloc[row], truth[row] + rng.normal(0, 15, 3000)

# %%
# The tuple makes the region a factor within states. With regions alone the variance between states
# is part of theirs, and each is shrunken towards the country instead of its state.
flat = MixedLinearRegressor([("state", "region")]).fit(households, income)
nested = MixedLinearRegressor(["state", ("state", "region")]).fit(households, income)
for model in (flat, nested):
    print(model.variance_components_[["group", "variance", "sd"]].round(1).to_string(index=False))

# %%
# The truth is known here, and so are the errors. Raw means are by far the worst if few households
# answered, and no better than the nested model if many did. For a region without households the
# nested model predicts the mean of its state. Its error is smaller than that of raw means of up to
# ten households.
n = np.bincount(row, minlength=300)
answered = pd.cut(n, [-1, 0, 3, 10, 30, 999], labels=["0", "1-3", "4-10", "11-30", "> 30"])
estimates = pd.DataFrame({"mean of the country": np.full(300, income.mean())})
estimates["raw mean"] = pd.Series(income).groupby(row).mean()  # NaN without households
estimates["regions"] = flat.predict(regions)
estimates["regions in states"] = nested.predict(regions)
errors = estimates.sub(truth, axis=0).pow(2).groupby(answered, observed=True).mean() ** 0.5
errors.insert(0, "count", answered.value_counts())
print(errors.round(2).to_string())

# %%
# One region of which two households answered, with the 95 % interval of its mean:
two = np.flatnonzero(n == 2)[[0]]
lower, upper = nested.predict_interval(regions.iloc[two], of="mean")[0]
print(estimates.iloc[two].round(1).to_string(index=False))
print(f"interval {lower:.1f} to {upper:.1f}, truth {truth[two][0]:.1f}")

# %%
# On the left are raw means around the mean of the country, with limits of two standard errors. The
# rich and the poor regions at the wide end of the funnel are due to chance, and the model does not
# follow them. On the right are the errors of the table.
plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
styles = {
    "raw mean": {"color": "#8C8C8C", "mfc": "none"},
    "regions in states": {"color": "#0072B2"},
}
for name, style in styles.items():
    left.semilogx(n[n > 0], estimates.loc[n > 0, name], "o", markersize=3.5, **style, label=name)
size = np.geomspace(1, n.max())
limit = 2 * nested.sigma_ / size**0.5
left.plot(size, np.c_[income.mean() - limit, income.mean() + limit], "--", color="#404040", lw=0.9)
left.set(xlabel="households in the survey", ylabel="mean income (thousand dollars a year)")
left.set_xticks([1, 3, 10, 30, 100], [1, 3, 10, 30, 100])
left.legend(frameon=False)
colors = ["#404040", "#8C8C8C", "#E69F00", "#0072B2"]
errors.drop(columns="count").plot(ax=right, marker="o", color=colors, ylim=0)
right.set(xlabel="households in the survey", ylabel="root mean squared error (thousand dollars)")
_ = right.legend(frameon=False)
