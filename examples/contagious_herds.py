"""
Contagion in herds: proportions that vary more than chance allows
=================================================================

In fifteen herds of cattle the cases of a lung disease were counted in four periods (``cbpp`` of
lme4). The response is a proportion, a binomial one if animals fell ill one by one. They do not: the
disease is contagious. Do herds or periods vary, how accurate is Laplace's approximation, and what
can be expected in a new herd?
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedBinomialRegressor
from skmixed.datasets import load_cbpp
from skmixed.inference import likelihood_ratio_test

cbpp = load_cbpp().frame
ill, animals, period = cbpp["incidence"] / cbpp["size"], cbpp["size"], cbpp["period"].astype(int)
X = pd.get_dummies(period, prefix="period", drop_first=True, dtype=float)
periods = list(X.columns)
X = X.assign(herd=cbpp["herd"], outbreak=np.arange(len(cbpp)))


# %%
# The number of animals is the weight of a proportion. The first model gives each herd an effect: in
# a herd and a period animals then fall ill independently. The second also gives each row an effect:
# an outbreak that is worse or milder than the average of the herd.
def fitted(groups, quadrature=1):
    model = MixedBinomialRegressor(groups, fixed=periods, quadrature=quadrature)
    return model.fit(X, ill, sample_weight=animals)


models = {"herds": fitted("herd"), "herds and outbreaks": fitted(["herd", "outbreak"])}
for model in models.values():
    print(model.variance_components_[["group", "sd"]].round(2), "\n")
print(likelihood_ratio_test(*models.values()).loc["alternative"])

# %%
# The test takes into account that a variance of 0 is on the boundary. The variation is between
# outbreaks: with these in the model, herds hardly differ. A herd with many cases in one period does
# not have many in all periods.
#
# With one grouping factor the integral over its effects can be computed. ``quadrature="auto"`` adds
# nodes until the log-likelihood is stable to 1e-6. One node is Laplace's approximation. Its error
# is 0.04, which is small compared with the 4.7 between the models. With single yes-or-no answers
# and large variances the error would be several units.
for group in ("herd", "outbreak"):
    for quadrature in (1, 3, 5, 9, "auto"):
        model = fitted(group, quadrature)
        sd = model.variance_components_["sd"][0]
        print(f"{group:9s}{model.n_nodes_:3d} nodes {model.log_likelihood_:9.4f}  sd {sd:.4f}")

# %%
# For new groups ``predict`` averages over their effects. The prediction with effects of 0 is that
# of the median herd and outbreak. It is lower, because a few severe outbreaks raise the average.
# The share of all animals agrees with the average.
model, total = models["herds and outbreaks"], cbpp.groupby(period)[["incidence", "size"]].sum()
new = pd.DataFrame(np.eye(4)[:, 1:], columns=periods).assign(herd="new", outbreak=-1)
expected = pd.DataFrame({"observed": total["incidence"] / total["size"]})
expected["average of new herds"] = model.predict(new)
expected["effects of 0"] = model.predict(new, include="fixed")
print(expected.round(3))
# %%
# How many of 20 animals of a new herd fall ill in the first period? ``sample_y`` draws the herd,
# the outbreak and the animals. Both models expect four cases. With outbreaks, no case and ten or
# more are almost twice as likely. In the left panel each gray dot is an outbreak.
figure, (axis, beside) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axis.scatter(period, ill, s=3 * animals, c="0.8")
expected.plot(ax=axis, style=["ko", "C0s", "C1^"], xticks=range(1, 5), ylim=(-0.03, 0.85))
axis.set_ylabel("incidence")
for name, model in models.items():
    shares = model.sample_y(new.head(1), 5_000, effects="new", sample_weight=[20])
    frequency = np.bincount(np.rint(20 * shares[0]).astype(int), minlength=21) / 5_000
    beside.plot(frequency, "o-", label=name)
    print(f"{name:20s} none {frequency[0]:.3f}   ten or more {frequency[10:].sum():.3f}")
beside.set(xlabel="cases among 20 animals", ylabel="probability", xticks=range(0, 21, 5))
beside.legend()
