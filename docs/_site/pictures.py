"""Draw the pictures of the README and of the guide: `python docs/_site/pictures.py`."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

from skmixed import (
    MixedLinearRegressor,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    lmer,
)
from skmixed.datasets import load_grouseticks, load_orthodont, load_sleepstudy
from skmixed.plotting import EffectsDisplay, ResidualsDisplay, ShrinkageDisplay

PICTURES = Path(__file__).parents[1] / "_static"

X, y = load_sleepstudy(return_X_y=True)
model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
ShrinkageDisplay.from_estimator(model, ax=ax)
ax.set(xlabel="Reaction time on day 0 (ms)", ylabel="Slowing per day (ms)")
figure.savefig(PICTURES / "shrinkage.png", dpi=150)

ticks = load_grouseticks().frame
ticks["y96"], ticks["y97"] = 1.0 * (ticks["YEAR"] == "96"), 1.0 * (ticks["YEAR"] == "97")
number, fixed = ticks.pop("TICKS"), ["y96", "y97", "cHEIGHT"]
figure, axes = plt.subplots(1, 2, figsize=(8.4, 3.8), layout="constrained")
regressors = {
    "Poisson": MixedPoissonRegressor,
    "negative binomial": MixedNegativeBinomialRegressor,
}
for (title, regressor), ax in zip(regressors.items(), axes, strict=True):
    model = regressor(["BROOD", "LOCATION"], fixed=fixed).fit(ticks, number)
    ResidualsDisplay.from_estimator(model, ticks, number, panels="qq", ax=ax)
    ax.set(title=title)
figure.savefig(PICTURES / "residuals_of_counts.png", dpi=150)

growth = load_orthodont().frame
growth_model = lmer("distance ~ age * Sex + (age | Subject)", growth)
display = EffectsDisplay.from_estimator(growth_model, "age", by="Sex", X=growth)
display.figure_.savefig(PICTURES / "effects.png", dpi=150)
