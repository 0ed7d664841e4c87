"""
Two questions of validation: known groups and new ones
======================================================

A model of groups may make two kinds of predictions: for further rows of known groups, and for new
groups. They are not equally difficult, and a score that mixes them answers neither question. This
example shows both for the sleep study: reaction times of 18 subjects over ten days.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import LeaveOneGroupOut

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy
from skmixed.model_selection import both_questions, cross_validate

X, y = load_sleepstudy(return_X_y=True)
model = MixedLinearRegressor("Subject", random_slopes="Days")
scores = both_questions(model, X, y, scoring=["r2", "neg_root_mean_squared_error"])
print(scores.round(2).to_string())

# %%
# The typical error for a new subject is almost twice that for a known one. The picture shows why.
# If some days of a subject are left out, the line of the subject is known from the other days. If
# the subject is left out, the prediction is the mean line.
known = cross_validate(model, X, y, question="known_groups", return_predictions=True)
new = cross_validate(model, X, y, cv=LeaveOneGroupOut(), return_predictions=True)
print(known.question, "|", new.question)

plt.rc("axes.spines", top=False, right=False)
shown = ["309", "337", "352", "372"]
_, axes = plt.subplots(1, 4, figsize=(9, 3), sharey=True, layout="constrained")
for ax, subject in zip(axes, shown, strict=True):
    rows = X["Subject"] == subject
    days = X["Days"][rows]
    ax.plot(days, y[rows], "o", color="#555555", ms=4, label="observed")
    ax.plot(days, known["predictions"][rows], color="#0072B2", label="days left out")
    ax.plot(days, new["predictions"][rows], "--", color="#D55E00", label="subject left out")
    ax.set(title=f"subject {subject}", xlabel="days", xticks=[0, 3, 6, 9])
axes[0].set_ylabel("reaction time (ms)")
_ = axes[0].legend(frameon=False, loc="upper left")

# %%
# All 18 models without a subject were fitted from sums over the rows of each, and are exactly the
# models that a loop of fits would give:
left_out = X["Subject"] == "337"
refitted = model.fit(X[~left_out], y[~left_out]).predict(X[left_out])
difference = float(np.abs(refitted - new["predictions"][left_out]).max())
print(f"largest difference from a fit without subject 337: {difference:.0e} ms")
assert difference < 1e-6

# %%
# Which structure is better depends on the question, too. For new subjects the slopes of known
# subjects do not change the prediction, but they say how far the line of a new subject may differ
# from it. The density also scores the standard deviations of predictions, and distinguishes the
# models where squared errors do not.
grid = {"random_slopes": [None, "Days"]}
for question in ("known_groups", "new_groups"):
    found = cross_validate(
        MixedLinearRegressor("Subject", fixed=["Days"]), X, y, question=question, param_grid=grid
    )
    print(found.question)
    table = found.summary().xs("mean", axis=1, level=1)
    print(table[["r2", "neg_log_predictive_density"]].round(3).to_string(), "\n")
