"""Reaction times of eighteen subjects over ten days of too little sleep.

Fits a straight line per subject, as deviations from a common one, and predicts
for a known and for a new subject.
"""

from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score

from skmixed import MixedLinearRegressor
from skmixed.datasets import load_sleepstudy

X, y = load_sleepstudy(return_X_y=True)
model = MixedLinearRegressor(groups="Subject", random_slopes=["Days"], method="reml")
model.fit(X, y)
print(model.summary())

print("\nThe three subjects with the steepest slopes, as deviations (BLUPs):")
print(model.random_effects_["Subject"].nlargest(3, "Days").round(2))

day_9 = X[X["Days"] == 9].head(1)
new = day_9.assign(Subject="never seen")
print(f"\nDay 9, subject {day_9['Subject'].item()}: {model.predict(day_9)[0]:.1f} ms")
print(f"Day 9, a new subject:  {model.predict(new)[0]:.1f} ms (the fixed effects)")

known = cross_val_score(model, X, y, cv=KFold(10, shuffle=True, random_state=0))
unseen = cross_val_score(model, X, y, groups=X["Subject"], cv=GroupKFold(6))
print(f"\nR² on new days of known subjects: {known.mean():.2f}")
print(f"R² on subjects left out:          {unseen.mean():.2f}")

grid = {"method": ["reml", "ml"], "random_slopes": [None, ["Days"]]}
search = GridSearchCV(model, grid, cv=KFold(10, shuffle=True, random_state=0)).fit(X, y)
print(f"Best of REML/ML with and without random slopes: {search.best_params_}")
