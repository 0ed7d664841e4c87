"""Draw the picture of the README: `python docs/_site/pictures.py`."""

from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.plotting import ShrinkageDisplay

X, y = load_sleepstudy(return_X_y=True)
model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
ShrinkageDisplay.from_estimator(model, ax=ax)
ax.set(xlabel="Reaction time on day 0 (ms)", ylabel="Slowing per day (ms)")
figure.savefig(Path(__file__).parents[1] / "_static" / "shrinkage.png", dpi=150)
