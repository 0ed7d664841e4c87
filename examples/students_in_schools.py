"""
Students in schools: where the variances come from
==================================================

Students of one school have something in common: its teachers, its neighborhood. Let the score of
student i in school j be y_ij = μ + b_j + ε_ij, with variance σ_b² of the b_j between schools and
σ² of the ε_ij within them. A simulation shows what this means; then both variances are estimated
from twelve students, by hand and by the library.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_schools
from skmixed.inference import icc

rng = np.random.default_rng(0)
sd_between, sd_within = 10.0, 15.0
means = rng.normal(50, sd_between, size=5000)  # μ + b_j
scores = means[:, None] + rng.normal(0, sd_within, size=(5000, 64))  # a row for each school

# %%
# The mean of n students of a school has the variance σ_b² + σ²/n. More students of the same school
# cannot bring it below σ_b²: to know μ one needs more schools. Without the b_j it would be (σ_b² +
# σ²)/n, and 64 students of a school would seem to give 20 times as much information as they do.
n = 2 ** np.arange(7)
simulated = np.array([scores[:, :size].mean(axis=1).var(ddof=1) for size in n])
theory = sd_between**2 + sd_within**2 / n
independent = (sd_between**2 + sd_within**2) / n
print(pd.DataFrame({"n": n, "simulated": simulated, "theory": theory}).round(1).to_string())

plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
order = np.argsort(means[:12])
left.plot(scores[:12, :20][order], ".", color="#8C8C8C", markersize=4)
left.plot(means[:12][order], "_", color="#0072B2", markersize=16, markeredgewidth=2.5)
left.set(xlabel="school, sorted", ylabel="score (points)", xticks=[])
left.set_title("Twenty students and the true mean of each school", fontsize="medium")
right.loglog(n, theory, color="#0072B2", label=r"$\sigma_b^2 + \sigma^2/n$")
right.loglog(n, independent, "--", color="#8C8C8C", label=r"$(\sigma_b^2 + \sigma^2)/n$")
right.loglog(n, simulated, "o", color="#D55E00", label="5,000 simulated schools")
right.set(xlabel="students per school, n", ylabel="variance (points²)", xticks=n, xticklabels=n)
right.set_yticks([10, 30, 100, 300], [10, 30, 100, 300])
right.set_title("Variance of a school's mean", fontsize="medium")
right.legend(frameon=False)
right.minorticks_off()

# %%
# Two students of one school have the covariance σ_b², hence the correlation σ_b²/(σ_b² + σ²),
# the intraclass correlation (ICC).
correlation = np.corrcoef(scores[:, 0], scores[:, 1])[0, 1]
print(f"ICC {sd_between**2 / (sd_between**2 + sd_within**2):.3f}, simulated {correlation:.3f}")

# %%
# Now twelve students, four in each of three schools, and the analysis of variance by hand. The
# mean square between schools, MSB, is n times the variance of the school means and has the
# expectation nσ_b² + σ²; the mean square within schools, MSW, has the expectation σ². Solving for
# the two variances gives the ANOVA estimates.
X, y = load_schools(return_X_y=True)
schools = y.groupby(X["school"])
ms_between, ms_within = 4 * schools.mean().var(), schools.var().mean()
print(f"MSB {ms_between:.4f}, MSW {ms_within:.4f}")
print(f"between schools: (MSB - MSW)/4 = {(ms_between - ms_within) / 4:.4f}")

# %%
# With schools of one size and MSB > MSW these are the estimates by REML. lme4 prints the same:
# ``as.data.frame(VarCorr(lmer(score ~ 1 + (1 | school), schools)))$vcov`` is 102.6356, 144.3946,
# and ``fixef`` is 54.4573.
model = MixedLinearRegressor("school").fit(X, y)
print(model.variance_components_[["group", "variance", "sd"]].round(4).to_string(index=False))
print(f"mean {model.intercept_:.4f}, ICC {icc(model)['school']:.3f}")

# %%
# The true values for these data are 100, 225 and 50: three schools say little about the variance
# between schools. How little, and what maximum likelihood estimates, is the subject of
# :ref:`another example <sphx_glr_gallery_reml_against_ml.py>`.
