"""
A trial with drop-out: repeated measures
========================================

Patients of two arms are measured at four visits. Later visits vary more, neighboring ones are more
alike, and some patients stay away, the more so the worse they were at the visit before. The mean of
each arm at each visit, with any covariance of the visits, is the model that trials plan with.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor, ResidualCovariance, mmrm
from skmixed.inference import anova, coefficient_table, compare, contrast

rng = np.random.default_rng(7)
patients, visits = 160, 4
sd = np.array([6.0, 5.0, 6.5, 9.0])
correlation = 0.75 ** np.abs(np.subtract.outer(np.arange(visits), np.arange(visits)))
noise = rng.multivariate_normal(np.zeros(visits), np.outer(sd, sd) * correlation, size=patients)
arm = np.repeat(np.arange(patients) % 2, visits)
visit = np.tile(np.arange(visits), patients)
response = 40 + 3 * visit + 1.5 * arm * visit + noise.ravel()
trial = pd.DataFrame(
    {
        "patient": np.repeat(np.arange(patients), visits),
        "visit": pd.Categorical.from_codes(visit, ["V1", "V2", "V3", "V4"], ordered=True),
        "arm": np.where(arm == 1, "treated", "control"),
        "response": response,
    }
)

# %%
# Who did badly at a visit is less likely to come to the next one, nor to any later.
stays = np.ones((patients, visits), dtype=bool)
for k in range(1, visits):
    bad = response.reshape(patients, visits)[:, k - 1] < 36 + 3 * k
    stays[:, k] = stays[:, k - 1] & (rng.random(patients) > np.where(bad, 0.35, 0.05))
complete, trial = trial, trial[stays.ravel()]
print(trial.groupby(["arm", "visit"], observed=True)["response"].agg(["size", "mean"]).round(1))

# %%
# The means of those who are left are too high. The model fills in what the earlier visits say of
# those who are not: its estimates are right as long as staying away depends on nothing else.
model = mmrm("response ~ arm * visit + us(visit | patient)", trial)
print(model.summary("kenward-roger"))

# %%
# The effect at the last visit, with Kenward and Roger's standard error, beside what the same model
# says with all data, and beside a t test of those who came.
effect = {"arm[T.treated]": 1, "arm[T.treated]:visit[T.V4]": 1}
full = mmrm("response ~ arm * visit + us(visit | patient)", complete)
last = trial[trial["visit"] == "V4"]
means = last.groupby("arm")["response"].agg(["mean", "var", "size"])
rows = {
    "repeated measures": contrast(model, effect, "kenward-roger").iloc[0],
    "with all data": contrast(full, effect, "kenward-roger").iloc[0],
    "those who came": {
        "estimate": means.loc["treated", "mean"] - means.loc["control", "mean"],
        "std_error": np.sqrt((means["var"] / means["size"]).sum()),
    },
}
print(pd.DataFrame(rows).T[["estimate", "std_error", "df"]].astype(float).round(2))
print(anova(model, ddf="kenward-roger").round(4))

# %%
# Fewer parameters do as well where they are right. The truth here is an autoregression with a
# variance for each visit.
words = {"unstructured": "us", "Toeplitz, heterogeneous": "toeph", "AR(1), heterogeneous": "ar1h"}
words |= {"compound symmetry": "cs"}
models = {
    name: mmrm(f"response ~ arm * visit + {word}(visit | patient)", trial)
    for name, word in words.items()
}
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

# %%
# Growth: the boys of the Potthoff and Roy data vary more around their lines than the girls. Here
# a simulation alike; the same line of code is nlme's ``varIdent``.
children = np.repeat(np.arange(27), 4)
boy = (children < 16).astype(float)
age = np.tile([8.0, 10.0, 12.0, 14.0], 27)
line = rng.normal(0, [[1.8], [0.12]], size=(2, 27))
growth = pd.DataFrame({"age": age - 11, "boy": boy, "child": children})
size = 23 + 0.6 * growth["age"] + 1.5 * boy + line[0][children] + line[1][children] * growth["age"]
size += rng.normal(size=len(size)) * np.where(boy == 1, 1.6, 0.7)
unequal = ResidualCovariance("independent", by="boy")
by_sex = MixedLinearRegressor("child", random_slopes="age", residual=unequal).fit(growth, size)
print(by_sex.variance_components_.round(2).to_string(index=False))
print(coefficient_table(by_sex).round(3)[["estimate", "std_error", "df"]])
