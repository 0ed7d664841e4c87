"""
Clicks by user and item: a classifier for crossed groups
========================================================

Who clicks depends on the user, on the item, and on what is shown. Users and items are crossed: each
user sees some items, each item is shown to some users. Most users are seen a few times, so that a
column of indicators for each would fit noise. A mixed model treats the effects of users and items
as draws from normal distributions, and can also predict for a new user.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.calibration import CalibrationDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from skmixed import MixedLogisticClassifier

rng = np.random.default_rng(3)
users, items, n = 4000, 60, 40_000
frame = pd.DataFrame(
    {
        "user": rng.integers(0, users, n),
        "item": rng.integers(0, items, n),
        "position": rng.integers(1, 11, n).astype(float),
        "hour": rng.uniform(0, 24, n).round(1),
    }
)
frame["evening"] = (frame["hour"] > 18).astype(float)
eta = -1.0 - 0.15 * frame["position"] + 0.4 * frame["evening"]
eta += 1.5 * rng.normal(size=users)[frame["user"]] + 0.7 * rng.normal(size=items)[frame["item"]]
clicked = (rng.random(n) < expit(eta)).to_numpy()

# %%
# A fifth of the users is held back, and a fifth of the rows of the others.
is_new = frame["user"] >= 0.8 * users
is_later = ~is_new & (rng.random(n) < 0.2)
known = ~(is_new | is_later)
fixed = ["position", "evening"]
model = MixedLogisticClassifier(["user", "item"], fixed=fixed).fit(frame[known], clicked[known])
print(model.fixed_effects_.round(3))
print(model.variance_components_[["group", "sd"]].round(2))

# %%
# For rows of known users, earlier clicks of the user and on the item say much. For rows of new
# users, only those on the item do. The score is the mean log loss, which is best if probabilities
# are right.
plain = LogisticRegression(C=1e8).fit(frame.loc[known, fixed], clicked[known])
scores = {}
for name, rows in {"known users": is_later, "new users": is_new}.items():
    of_models = {
        "mixed model": model.predict_proba(frame[rows])[:, 1],
        "logistic regression": plain.predict_proba(frame.loc[rows, fixed])[:, 1],
    }
    for label, found in of_models.items():
        truth = clicked[rows]
        scores[name, label] = {
            "log loss": log_loss(truth, found),
            "AUC": roc_auc_score(truth, found),
        }
print(pd.DataFrame(scores).T.round(3))

# %%
# About a new user there are two questions. ``predict_proba`` averages over the estimated
# distribution of users: the probability that *a* new user clicks. The probability for a user with
# effect 0, the middle of all users, is another number. Averages are nearer to one half, and only
# they are calibrated: of rows with a probability of 10 %, 10 % are clicks.
average = model.predict_proba(frame[is_new])[:, 1]
middle = model.predict_proba(frame[is_new], include=["item"])[:, 1]
figure, axis = plt.subplots(figsize=(4.5, 4.2), layout="constrained")
for label, found in {"average over users": average, "user of effect 0": middle}.items():
    CalibrationDisplay.from_predictions(
        clicked[is_new], found, n_bins=8, strategy="quantile", name=label, ax=axis
    )
axis.set(title="New users", xlim=(0, 0.6), ylim=(0, 0.6))
for name, found in {"clicks": clicked[is_new], "average": average, "effect 0": middle}.items():
    print(f"{name:8s} {found.mean():.3f}")
