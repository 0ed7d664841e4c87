"""
Counts with an exposure: events per person-year
===============================================

Hospitals report how many patients fell, over very different numbers of days of care. The expected
count is proportional to the days, which are the *exposure*. Small hospitals have rates of 0 and of
twice the mean by chance alone. The model shrinks a rate more if it comes from fewer days.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedPoissonRegressor

rng = np.random.default_rng(5)
hospitals, years = 60, 3
hospital = np.repeat(np.arange(hospitals), years)
days = np.repeat(np.exp(rng.uniform(np.log(0.3), np.log(40), hospitals)), years)
frame = pd.DataFrame(
    {
        "hospital": hospital,
        "year": np.tile(np.arange(years, dtype=float), hospitals),
        "beds_low": np.repeat(rng.integers(0, 2, hospitals), years).astype(float),
        "days": days * rng.uniform(0.8, 1.2, len(hospital)),  # in thousands
    }
)
log_rate = 1.0 - 0.1 * frame["year"] - 0.3 * frame["beds_low"]
log_rate += 0.4 * rng.normal(size=hospitals)[hospital]
falls = rng.poisson(frame["days"] * np.exp(log_rate))

# %%
# The exposure is a separate argument of ``fit``. Coefficients are logarithms of ratios of rates.
X = frame[["hospital", "year", "beds_low"]]
model = MixedPoissonRegressor("hospital").fit(X, falls, exposure=frame["days"])
print(np.exp(model.fixed_effects_).round(2))
print(model.variance_components_[["group", "name", "sd"]].round(2))

# %%
# Without ``exposure=`` predictions are rates, here per thousand days in year 2. A new hospital gets
# the average over hospitals, exp(η + v/2). It is higher than the rate of a hospital with effect 0,
# because rates are skewed.
new = pd.DataFrame({"hospital": [-1], "year": [2.0], "beds_low": [0.0]})
print(f"average of hospitals {model.predict(new)[0]:.3f}")
print(f"hospital of effect 0 {model.predict(new, include='fixed')[0]:.3f}")

# %%
# Observed and estimated rates. A rate from few days is moved far towards the mean.
total = pd.DataFrame({"falls": falls, "days": frame["days"]}).groupby(hospital).sum()
observed = total["falls"] / total["days"]
estimated = model.predict(X) * frame["days"]
estimated = estimated.groupby(hospital).sum() / total["days"]
figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.vlines(total["days"], observed, estimated, color="0.8")
axis.plot(total["days"], observed, "o", color="0.6", label="observed")
axis.plot(total["days"], estimated, "o", color="C0", label="estimated")
axis.set(xscale="log", xlabel="days of care (thousands)", ylabel="falls per thousand days")
axis.legend()
