"""
Any regressor beside random effects
===================================

Shops differ, and sales depend on price and weather by curves. ``MixedEffectsRegressor`` puts a
regressor of scikit-learn in the place of the linear fixed part. Its residuals are out of fold, so
that intervals of new rows have their level. MERF takes variances from rows that the regressor has
seen, and its intervals are too narrow.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from skmixed import MixedEffectsRegressor, MixedLinearRegressor


def f(X):
    return 2 * np.sin(2 * X["price"]) + X["weather"] ** 2 + X["price"] * X["day"]


def simulate(rng, shops, sales):
    """Fifteen weeks of each shop; weeks and shops vary by 1."""
    X = rng.uniform(-1.5, 1.5, (15 * len(shops), 3))
    X = pd.DataFrame(X, columns=["price", "weather", "day"]).assign(shop=np.repeat(shops, 15))
    return X, f(X) + sales.loc[X["shop"]].to_numpy() + rng.normal(size=len(X))


rng = np.random.default_rng(0)
sales = pd.Series(rng.normal(size=120))
(X, y), (known, y_known) = (simulate(rng, range(60), sales) for _ in range(2))
new, y_new = simulate(rng, range(60, 120), sales)

# %%
# With ``cv="in_sample"`` the effects and variances are fitted to residuals of rows that the forest
# has seen. By default each row is predicted by the trees whose sample lacks it.
forest = RandomForestRegressor(random_state=0)
models = {
    "out of fold": MixedEffectsRegressor(forest, "shop"),
    "in sample": MixedEffectsRegressor(forest, "shop", cv="in_sample"),
    "linear": MixedLinearRegressor("shop"),
}
columns = {}
for name, model in models.items():
    model.fit(X, y)
    column = columns[name] = {"residual variance": model.sigma_**2}
    for shops, rows, response in (("known", known, y_known), ("new", new, y_new)):
        error = model.predict(rows) - response
        lower, upper = model.predict_interval(rows).T
        column[f"error, {shops} shops"] = np.sqrt(np.mean(error**2))
        column[f"coverage, {shops} shops"] = np.mean((lower < response) & (response < upper))
print(pd.DataFrame(columns).round(2).to_string())

# %%
# The two forests predict equally well. In sample the forest has made its residuals small, and the
# errors of a new week are larger. The intervals of the linear model have their level, too. They are
# wider, because it explains less.
#
# ``include="fixed"`` predicts f alone, for example for partial dependence. Effects are shrunken.
model = models["out of fold"]
price = np.linspace(-1.4, 1.4, 60)
curve = [model.predict(X.assign(price=p), include="fixed").mean() for p in price]
effects = model.random_effects_["shop"]["(Intercept)"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(price, [f(X.assign(price=p)).mean() for p in price], color="0.6", label="truth")
axes[0].plot(price, curve, label="predicted")
axes[0].set(xlabel="price", ylabel="mean sales")
axes[0].legend()
axes[1].axline((0, 0), slope=1, color="0.6")
axes[1].plot(sales.loc[effects.index], effects, "o", markersize=4)
axes[1].set(xlabel="effect of a shop", ylabel="predicted")
