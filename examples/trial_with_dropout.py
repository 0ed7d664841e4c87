"""
A trial with drop-out: repeated measures
========================================

Patients of two arms are measured at four visits. Later visits vary more, neighboring ones are more
alike, and some patients drop out, more often if they were worse at the visit before. The usual
model for trials has a mean for each arm at each visit, and any covariance of the visits.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import mmrm
from skmixed.inference import anova, compare, contrast

rng = np.random.default_rng(7)
patients, visits = 160, 4
sd = np.array([6.0, 5.0, 6.5, 9.0])
correlation = 0.75 ** np.abs(np.subtract.outer(np.arange(visits), np.arange(visits)))
noise = rng.multivariate_normal(np.zeros(visits), np.outer(sd, sd) * correlation, size=patients)
patient, visit = np.repeat(np.arange(patients), visits), np.tile(np.arange(visits), patients)
arm = np.where(patient % 2, "treated", "control")
response = 40 + 3 * visit + 1.5 * (patient % 2) * visit + noise.ravel()
complete = pd.DataFrame({"patient": patient, "arm": arm, "response": response})
complete["visit"] = pd.Categorical.from_codes(visit, ["V1", "V2", "V3", "V4"], ordered=True)

# %%
# Patients who did badly at a visit are less likely to come to the next visit, and then miss all
# later ones.
stays = np.ones((patients, visits), dtype=bool)
for k in range(1, visits):
    bad = response.reshape(patients, visits)[:, k - 1] < 36 + 3 * k
    stays[:, k] = stays[:, k - 1] & (rng.random(patients) > np.where(bad, 0.35, 0.05))
trial = complete[stays.ravel()]
print(trial.groupby(["arm", "visit"], observed=True)["response"].agg(["size", "mean"]).round(1))

# %%
# The means of the remaining patients are too high. The model uses what the earlier visits say about
# those who dropped out. Its estimates are right if dropping out depends on nothing else.
model = mmrm("response ~ arm * visit + us(visit | patient)", trial)
print(model.summary("kenward-roger"))

# %%
# The effect at the last visit, with Kenward and Roger's standard error, beside the estimate of the
# same model with all data, and beside the difference of those who came.
effect = {"arm[T.treated]": 1, "arm[T.treated]:visit[T.V4]": 1}
full = mmrm("response ~ arm * visit + us(visit | patient)", complete)
tests = {
    "repeated measures": contrast(model, effect, "kenward-roger"),
    "with all data": contrast(full, effect, "kenward-roger"),
}
print(pd.concat(tests).round(2)[["estimate", "std_error", "df"]])
last = trial[trial["visit"] == "V4"].groupby("arm")["response"].mean()
print(f"of those who came: {last['treated'] - last['control']:.2f}")
print(anova(model, ddf="kenward-roger"))

# %%
# A structure with fewer parameters is as good if it is right. The truth here is an autoregression
# with a variance for each visit.
words = {"unstructured": "us", "Toeplitz": "toeph", "AR(1)": "ar1h", "compound symmetry": "cs"}
formula = "response ~ arm * visit + {}(visit | patient)"
models = {name: mmrm(formula.format(word), trial) for name, word in words.items()}
print(compare(models)[["n_parameters", "aic", "weight"]].round(2))

# %%
# Estimated standard deviations and correlations of the visits, and the true ones.
estimated = model.residual_covariance_
sizes = np.sqrt(np.diag(estimated))
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
axes[0].plot(estimated.index, sizes, "o-", label="estimated")
axes[0].plot(estimated.index, sd, "k--", label="true")
axes[0].set(xlabel="visit", ylabel="standard deviation", ylim=(0, None))
axes[0].legend()
for lag in range(1, visits):
    of_lag = np.diag(estimated / np.outer(sizes, sizes), lag)
    axes[1].plot(np.full(len(of_lag), lag), of_lag, "o", color="C0")
axes[1].plot(np.arange(1, visits), 0.75 ** np.arange(1, visits), "k--")
axes[1].set(xlabel="visits apart", ylabel="correlation", xticks=range(1, visits), ylim=(0, 1))
