"""
Pipelines and searches: known and new clinics
=============================================

Preprocessing, cross-validation and a grid search are scikit-learn's own. The grouping column stays
in X and passes through the preprocessing unchanged. One-hot encoding would make many features of
it.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmixed import MixedLinearRegressor

rng = np.random.default_rng(0)
clinic = np.repeat(np.arange(40), 15)
X = pd.DataFrame({"age": rng.normal(60, 12, 600), "dose": rng.uniform(10, 50, 600)})
X["drug"], X["clinic"] = rng.choice(["A", "B", "C"], 600), [f"clinic {c:02d}" for c in clinic]
slope = 0.3 + 0.12 * rng.normal(size=40)  # mmHg per mg, different in each clinic
y = 0.1 * X["age"] + slope[clinic] * X["dose"] + X["drug"].map({"A": 0, "B": 2, "C": 4})
y += 3 * rng.normal(size=40)[clinic] + 4 * rng.normal(size=600)
X.loc[rng.random(600) < 0.1, "age"] = np.nan

# %%
# Fall in blood pressure of 600 patients in 40 clinics. Imputed and scaled numbers, an encoded
# category, and the clinic; ``set_output`` keeps the names for ``random_slopes`` and the results.
columns = make_column_transformer(
    (make_pipeline(SimpleImputer(), StandardScaler()), ["age", "dose"]),
    (OneHotEncoder(drop="first", sparse_output=False), ["drug"]),
    ("passthrough", ["clinic"]),
    verbose_feature_names_out=False,
).set_output(transform="pandas")
mixed = MixedLinearRegressor("clinic", random_slopes=["dose"])
model = Pipeline([("columns", columns), ("mixed", mixed)])
print(model.fit(X, y)["mixed"].summary())

# %%
# Every parameter can be searched. Random slopes improve the score, and so does their correlation
# with the intercepts ("full"). REML and ML predict equally well: their variances differ little.
method, slopes = {"mixed__method": ["reml", "ml"]}, "mixed__random_slopes"
grid = [
    method | {slopes: [None]},
    method | {slopes: ["dose"], "mixed__covariance": ["full", "diag"]},
]
patients = KFold(4, shuffle=True, random_state=0)
search = GridSearchCV(model, grid, cv=patients).fit(X, y)
results = search.cv_results_
for params, r2 in zip(results["params"], results["mean_test_score"], strict=True):
    print(f"R² {r2:.3f}", {name.removeprefix("mixed__"): value for name, value in params.items()})

# %%
# Two kinds of folds answer two questions. ``KFold`` leaves out patients of known clinics, whose
# effects help. ``GroupKFold`` leaves out whole clinics: their effects remain in the residuals.
linear = clone(model).set_params(mixed=LinearRegression(), columns__passthrough="drop")
one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
models = {"without clinics": linear, "one-hot clinics": clone(linear)}
models["one-hot clinics"].set_params(columns__passthrough=one_hot)
models["random intercepts"] = clone(model).set_params(mixed__random_slopes=None)
models["random slopes"] = model
plt.rc("axes.spines", top=False, right=False)
_, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
clinics = list(GroupKFold(4).split(X, y, X["clinic"]))
for cv, label, color in (patients, "known", "#0072B2"), (clinics, "new", "#D55E00"):
    errors = pd.DataFrame({k: y - cross_val_predict(m, X, y, cv=cv) for k, m in models.items()})
    rmse = errors.pow(2).mean().pow(0.5)
    print(f"{label} clinics:", rmse.round(2).to_dict())
    left.plot(rmse, rmse.index, "o", color=color, label=f"{label} clinics")
    right.plot(np.sort(errors["random slopes"].groupby(X["clinic"]).mean()), ".", color=color)
left.set(xlabel="error of patients left out (mmHg, RMS)")
right.set(xlabel="clinic, sorted", ylabel="mean residual, random slopes (mmHg)", xticks=[])
_ = left.legend(frameon=False)
