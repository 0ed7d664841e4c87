"""
New groups: from the population to the group itself
===================================================

A group that was not in the fit has an effect, but the model does not know it. Its prediction is
that of the population, with an interval that includes the differences between groups. Each response
of the group then narrows the interval and moves the prediction towards the group's own data, by
``update_groups`` and without a new fit.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy

# %%
# Weekly sales of 60 shops over 12 weeks. Shops differ with a standard deviation of 8, the weeks
# of one shop with 6. Shop 60 opens afterwards, in a bad place: its true mean is 35.
rng = np.random.default_rng(0)
X = pd.DataFrame({"shop": np.repeat(np.arange(60), 12)})
y = 50 + 8 * rng.normal(size=60)[X["shop"]] + 6 * rng.normal(size=len(X))
X_new, y_new = pd.DataFrame({"shop": [60] * 20}), 35 + 6 * rng.normal(size=20)

model = MixedLinearRegressor("shop").fit(X, y)
print(model.variance_components_[["group", "sd"]].round(2).to_string(index=False))

# %%
# Before its first week the shop is predicted by the mean of all shops. With n weeks the prediction
# is the mean of that and of the shop's own mean, with weights m = σ²/σ_b² and n, as "by hand". The
# interval of the shop's mean (dark) becomes narrower. That of a week (light) always includes σ.
m = model.sigma_**2 / model.covariances_["shop"].iloc[0, 0]
shop, rows = X_new.head(1), []
for n in range(21):
    if n > 0:
        model.update_groups(X_new[n - 1 : n], y_new[n - 1 : n])
    by_hand = (m * model.intercept_ + y_new[:n].sum()) / (m + n)
    intervals = [model.predict_interval(shop, of=of)[0] for of in ("mean", "observation")]
    rows.append([model.predict(shop)[0], by_hand, *np.concatenate(intervals)])
names = ["predicted", "by hand", "mean from", "mean to", "week from", "week to"]
table = pd.DataFrame(rows, columns=names)
print(table.loc[[0, 1, 2, 5, 10, 20]].round(1).to_string())

plt.rc("axes.spines", top=False, right=False)
_, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
band = {"color": "#0072B2", "alpha": 0.2, "linewidth": 0}
for kind in ("week", "mean"):
    ax.fill_between(table.index, table[f"{kind} from"], table[f"{kind} to"], **band)
ax.plot(table["predicted"], color="#0072B2", label="prediction, with 95 % intervals")
weeks = np.arange(1, 21)
ax.plot(weeks, y_new, ".", color="#D55E00", label="weeks of the new shop")
ax.plot(weeks, y_new.cumsum() / weeks, "--", color="#D55E00", label="their mean so far")
ax.axhline(model.intercept_, color="#8C8C8C", lw=1, label="mean of all shops")
ax.set(xlabel="weeks known", ylabel="weekly sales (1,000 €)", xlim=(0, 20), ylim=(10, 80))
ax.set_xticks(range(0, 21, 5))
_ = ax.legend(frameon=False, ncols=2)

# %%
# With a random slope a new group has a line of its own. Subject 308 of the sleep study slows down
# twice as fast as the mean subject (gray). One to three days (filled) tell its level, but the line
# is still close to that of the population; after six it is the subject's own.
X, y = load_sleepstudy(return_X_y=True)
is_new = X["Subject"] == "308"
days, reaction = X[is_new], y[is_new]
model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[~is_new], y[~is_new])
_, axes = plt.subplots(1, 4, figsize=(9.5, 3), sharex=True, sharey=True, layout="constrained")
known = 0
for n, ax in zip([0, 1, 3, 6], axes, strict=True):
    if n > known:
        model.update_groups(days[known:n], reaction[known:n])
    known = n
    ax.plot(days["Days"], reaction, "o", mfc="none", color="#D55E00", ms=4)
    ax.plot(days["Days"][:n], reaction[:n], "o", color="#D55E00", ms=4)
    ax.plot(days["Days"], model.predict(days, include="fixed"), color="#8C8C8C", lw=1)
    ax.plot(days["Days"], model.predict(days), color="#0072B2")
    ax.fill_between(days["Days"], *model.predict_interval(days, of="mean").T, **band)
    ax.set(title=f"days known: {n}", xlabel="days", xticks=[0, 3, 6, 9])
_ = axes[0].set_ylabel("reaction time (ms)")
