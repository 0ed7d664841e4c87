"""
Growth: variances that differ between groups
============================================

Children are measured at four ages. Boys vary more around their lines than girls. A model with one
residual variance trusts the girls' measurements too little and the boys' too much; one with a
variance for each sex weighs them as they deserve. The data are simulated in the manner of Potthoff
and Roy's.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor, ResidualCovariance
from skmixed.inference import coefficient_table, compare

rng = np.random.default_rng(11)
child = np.repeat(np.arange(40), 4)
growth = pd.DataFrame({"age": np.tile([-3.0, -1.0, 1.0, 3.0], 40), "boy": (child < 20) * 1.0})
growth["child"] = child
line = rng.normal(0, [[1.8], [0.4]], size=(2, 40))[:, child]
size = 23 + 0.6 * growth["age"] + 1.5 * growth["boy"] + line[0] + line[1] * growth["age"]
size += rng.normal(size=len(size)) * np.where(growth["boy"] == 1, 1.6, 0.7)

# %%
# Both models have a line for each child. ``by`` gives each sex a residual variance of its own, as
# ``varIdent(form = ~ 1 | boy)`` of nlme does.
one = MixedLinearRegressor("child", random_slopes="age").fit(growth, size)
unequal = ResidualCovariance("independent", by="boy")
two = MixedLinearRegressor("child", random_slopes="age", residual=unequal).fit(growth, size)
print(two.variance_components_.round(2).to_string(index=False))
print(compare({"one variance": one, "one for each sex": two})[["n_parameters", "aic"]].round(1))

# %%
# The standard error of the slope is smaller, since the growth of the girls says more than the first
# model assumes.
tables = {"one variance": coefficient_table(one), "one for each sex": coefficient_table(two)}
print(pd.concat(tables).xs("age", level=1)[["estimate", "std_error", "df"]].round(3))

# %%
# Measurements around the line of each child.
left = size - two.predict(growth, include=["child"])
figure, axes = plt.subplots(1, 2, figsize=(7, 3), sharey=True, layout="constrained")
for ax, (sex, name) in zip(axes, ((0.0, "girls"), (1.0, "boys")), strict=True):
    own = growth["boy"] == sex
    ax.plot(growth["age"][own] + 11, left[own], "o", alpha=0.6)
    ax.axhline(0, color="0.5", linewidth=1)
    ax.set(title=name, xlabel="age", ylabel="residual (mm)" if sex == 0.0 else "")
