"""
Crossed factors: plates and samples, users and items
====================================================

Two factors are crossed if a level of one occurs with several levels of the other. Each has its own
variance, and every row is explained by the effects of both. First a small experiment in which all
plates meet all samples, then ratings, of which most combinations of a user and an item are missing.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.datasets import load_penicillin

# %%
# Six samples of penicillin were put on each of 24 plates, and the diameter of the zone without
# bacteria was measured (mm). Plates differ by more than the error of a measurement, so that
# samples should be compared on the same plates, as here.
X, y = load_penicillin(return_X_y=True)
model = MixedLinearRegressor(["plate", "sample"]).fit(X, y)
print(model.variance_components_[["group", "sd"]].round(3).to_string(index=False))

# %%
# Now 20,000 ratings of films, around 6 of 10 points. Some films have hundreds of ratings,
# more than a third five or fewer. Users differ in generosity and in their taste for
# action, which gives each a slope. The true standard deviations are 0.6, 0.7, 0.5 and 1.
rng = np.random.default_rng(0)
n_users, n_items = 2000, 1000
popularity = rng.lognormal(0, 1.5, n_items)
X = pd.DataFrame({"user": rng.integers(0, n_users, 25_000)})
X["item"] = rng.choice(n_items, len(X), p=popularity / popularity.sum())
X = X.drop_duplicates(ignore_index=True).head(20_000)  # a user rates a film once
action, quality = rng.uniform(-1, 1, n_items), rng.normal(6, 0.5, n_items)
generosity, taste = rng.normal(0, 0.6, n_users), rng.normal(0, 0.7, n_users)
X["action"] = action[X["item"]]
y = quality[X["item"]] + generosity[X["user"]] + taste[X["user"]] * X["action"]
y += rng.normal(size=len(X))

model = MixedLinearRegressor([RandomEffect("user", slopes="action"), "item"]).fit(X, y)
print(model.variance_components_[["group", "name", "sd"]].round(2).to_string(index=False))

# %%
# What rating would the average user give each film? Without a user (``None``) the prediction for a
# film is that for the population. Raw means depend on chance, and on which users gave ratings. The
# extreme means are those of films with few ratings. The BLUP of such a film stays close to the mean
# of all films, and its error is less than half as large.
films = X.drop_duplicates("item").set_index("item", drop=False)
films["n"], films["mean"] = X["item"].value_counts(), y.groupby(X["item"]).mean()
films["blup"] = model.predict(films[list(X)].assign(user=None))
error = films[["mean", "blup"]].sub(quality[films["item"]], axis=0)
labels = ["1–2", "3–5", "6–10", "11–20", "21–50", "> 50"]
bins = pd.cut(films["n"], [0, 2, 5, 10, 20, 50, 999], labels=labels)
rmse = error.pow(2).groupby(bins, observed=True).mean().pow(0.5)

plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
for estimate, label, color in ("mean", "mean rating", "#BBBBBB"), ("blup", "BLUP", "#0072B2"):
    left.scatter(films["n"], films[estimate], s=8, color=color, label=label)
    right.plot(rmse[estimate], "o-", color=color)
left.set(xscale="log", xlabel="ratings of the film", ylabel="estimate (points)")
right.set(xlabel="ratings of the film", ylabel="root mean squared error (points)", ylim=0)
left.xaxis.set_major_formatter("{x:.0f}")
_ = left.legend(frameon=False)

# %%
# A recommendation is a prediction for films that the user has not rated. It is possible for a new
# film too, since the taste of the user is known, and for a new user, since the film is known. The
# interval of the expected rating is wider for these.
fan = model.random_effects_["user"]["action"].idxmax()
unseen = films.loc[~films["item"].isin(X.loc[X["user"] == fan, "item"]), list(X)]
best = unseen.iloc[model.predict(unseen.assign(user=fan)).argmax()]
pairs = pd.DataFrame({"user": [fan, fan, -1, -1], "item": [best["item"], -1] * 2})
table = model.predict_interval(pairs.assign(action=best["action"]), of="mean", level=0.9)
table = pd.DataFrame(table, ["this film", "a new film", "a new user", "both"], ["lower", "upper"])
table.insert(0, "points", model.predict(pairs.assign(action=best["action"])))
print(table.round(1))
