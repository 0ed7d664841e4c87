"""
Quickstart: reaction times after too little sleep
=================================================

Eighteen subjects were deprived of sleep, and their mean reaction time was measured on each of ten
days. Each subject has its own level and slope, which a mixed model describes as deviations from a
common line. This example fits the model, predicts for a known and for a new subject, and uses the
tools of scikit-learn.
"""

from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy

# %%
# The column that names the groups is a column of X. The summary is to be read from
# the middle: the standard deviations say how much subjects differ, 25 ms at the start
# and 6 ms per day in their slopes, and the fixed effects describe the mean subject.
X, y = load_sleepstudy(return_X_y=True)
model = MixedLinearRegressor(groups="Subject", random_slopes=["Days"], method="reml")
model.fit(X, y)
print(model.summary())

# %%
# A subject's deviation is estimated by its BLUP (best linear unbiased prediction). It is
# that of the subject's own least-squares line, shrunken towards the common line, since
# ten measurements with an error of 26 ms do not determine a line well.
print("\nThe three subjects with the steepest slopes, as deviations (BLUPs):")
print(model.random_effects_["Subject"].nlargest(3, "Days").round(2))

# %%
# The prediction for a known subject uses the line of this subject. For a new subject only the
# population is known, so that the prediction uses the fixed effects alone.
day_9 = X[X["Days"] == 9].head(1)
new = day_9.assign(Subject="never seen")
print(f"\nDay 9, subject {day_9['Subject'].item()}: {model.predict(day_9)[0]:.1f} ms")
print(f"Day 9, a new subject:  {model.predict(new)[0]:.1f} ms (the fixed effects)")

# %%
# How well the model predicts depends on the question. Folds of rows ask about further days of known
# subjects. Folds of whole subjects ask about new people, which is much harder: subjects differ by
# more than the number of days explains.
known = cross_val_score(model, X, y, cv=KFold(10, shuffle=True, random_state=0))
unseen = cross_val_score(model, X, y, groups=X["Subject"], cv=GroupKFold(6))
print(f"\nR² on new days of known subjects: {known.mean():.2f}")
print(f"R² on subjects left out:          {unseen.mean():.2f}")

# %%
# Every parameter of the model can be searched like any other.
grid = {"method": ["reml", "ml"], "random_slopes": [None, ["Days"]]}
search = GridSearchCV(model, grid, cv=KFold(10, shuffle=True, random_state=0)).fit(X, y)
print(f"Best of REML/ML with and without random slopes: {search.best_params_}")
