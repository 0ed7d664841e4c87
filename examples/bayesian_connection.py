"""
The BLUP as a posterior mean
============================

The distribution of a random effect, b_j ~ N(0, Σ), acts as a prior: the BLUP is the mean of the
posterior distribution of b_j in a normal model. But Σ is not chosen. It is estimated from all
groups together (empirical Bayes), and the variances are then treated as known.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import norm

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.inference import random_effects_table

X, y = load_sleepstudy(return_X_y=True)
model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
prior = model.covariances_["Subject"].to_numpy()

# %%
# Let β have a flat prior. In a normal model precisions add up: W'W/σ² of the data, with W = [X Z],
# and Σ⁻¹ of the prior for each subject. The posterior mean of (β, b) solves
# (W'W/σ² + prior precision) mean = W'y/σ², and the solution is (β̂, b̂): estimates and BLUPs.
subject = pd.get_dummies(X["Subject"]).to_numpy(float)
fixed = np.column_stack([np.ones(len(X)), X["Days"]])
W = np.hstack([fixed, subject, subject * fixed[:, 1:]])
precision = W.T @ W / model.sigma_**2
precision[2:, 2:] += np.kron(np.linalg.inv(prior), np.eye(18))
mean = np.linalg.solve(precision, W.T @ y / model.sigma_**2)
beta, blups = model.fixed_effects_, model.random_effects_["Subject"]
slopes = pd.DataFrame({"BLUP": blups["Days"], "posterior mean": mean[20:]})

# %%
# There are two kinds of posterior standard deviations. Given β, the covariance of b is the inverse
# of its part of the precision: these are the standard errors in ``random_effects_table``. With β
# uncertain the whole matrix is inverted, and b is less certain. From the joint covariance of β and
# b come the standard errors of predicted means, and so their (normal) intervals.
joint = np.linalg.inv(precision)
slopes["std_error"] = random_effects_table(model)["std_error"].to_numpy()[1::2]
slopes["sd given β"] = np.sqrt(np.diag(np.linalg.inv(precision[2:, 2:]))[18:])
slopes["sd"] = np.sqrt(np.diag(joint)[20:])
print(slopes.head(3).round(6).to_string())
interval = model.predict_interval(X, of="mean", ddf="normal")
upper = W @ mean + norm.ppf(0.975) * np.sqrt(np.sum(W @ joint * W, axis=1))
print(f"Intervals of means, largest difference: {np.abs(interval[:, 1] - upper).max():.0e} ms")

# %%
# On the left is subject 335, with ellipses that contain 95 %. Its data (the likelihood) say that it
# becomes faster. The prior says that hardly any subject does. The posterior (given β) is a
# compromise. On the right are draws of its reaction on day 9 by ``sample_y``, from the posterior of
# β and b and the residual, with the density that ``predict(return_std=True)`` describes.
rows = (X["Subject"] == "335").to_numpy()
data = np.linalg.inv(fixed[rows].T @ fixed[rows]) * model.sigma_**2
own = np.linalg.lstsq(fixed[rows], y[rows], rcond=None)[0]
posterior = np.linalg.inv(np.linalg.inv(data) + np.linalg.inv(prior))
centers = {"prior": beta, "likelihood": own, "posterior": beta + blups.loc["335"]}
angle = np.linspace(0, 2 * np.pi, 200)
circle = np.sqrt(-2 * np.log(0.05)) * np.array([np.cos(angle), np.sin(angle)])
colors = ["#8C8C8C", "#D55E00", "#0072B2"]

plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
for name, cov, c in zip(centers, [prior, data, posterior], colors, strict=True):
    x, slope = np.array(centers[name])[:, None] + np.linalg.cholesky(cov) @ circle
    left.plot(x, slope, color=c, label=name)
    left.plot(*centers[name], "o", color=c)
left.set(xlabel="intercept (ms)", ylabel="slope (ms per day)")
left.legend(frameon=False)
day_9 = X[rows].tail(1)
right.hist(model.sample_y(day_9, 2000)[0], 30, density=True, color="#0072B2", alpha=0.3)
mu, sd = model.predict(day_9, return_std=True)
at = np.linspace(mu - 4 * sd, mu + 4 * sd, 200)
right.plot(at, norm.pdf(at, mu, sd), color="#0072B2")
_ = right.set(xlabel="reaction time on day 9 (ms)", ylabel="density")
