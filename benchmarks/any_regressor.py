"""Any regressor beside random effects: skmixed, MERF and GPBoost on the same data, in one run.

y = f(X) + b + ε, f of five columns and not linear, 60 groups of 15 rows to train on and of 15
more to predict, Var(b) = Var(ε) = 1. Of each program the residual variance (beside what a
prediction faces, 1 + MSE(f)), that between groups, root mean square errors of f and of the
expected responses of known groups, and the coverage of nominal 95 % intervals of new rows of known
groups and of new groups, with the seconds a fit takes. MERF has no intervals: those here are
from its variances. Boosting has rate 0.1, depth 5 and leaves of ten rows at least in both
programs that boost, and its number of trees is chosen by five-fold cross-validation, as
GPBoost's documentation advises; GPBoost's intervals are those that it predicts.

`--large` instead times 100,000 rows in 5,000 groups: the share of the time that is not spent
in `fit` and `predict` of the regressor.

`--linear` instead gives the estimates and the coverage of 95 % intervals of a linear effect of 0.7
beside f, where two curves explain half of its column, and these or others the response, and of
a linear mixed model.

    pip install merf gpboost
    python benchmarks/any_regressor.py [--seeds 10] [--large] [--linear]
"""

import argparse
import os
import time
import warnings

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import GridSearchCV, KFold

from skmixed import MixedEffectsRegressor, MixedLinearRegressor
from skmixed.inference import coefficient_table

N_GROUPS, N_ROWS = 60, 15
COLUMNS = [f"x{j}" for j in range(5)]
TREES = (25, 50, 100, 200, 300)


def simulated(seed):
    """Return rows to train on, rows of the same groups, and rows of new groups."""
    rng = np.random.default_rng(seed)

    def rows(effects, first):
        group = np.repeat(np.arange(len(effects)), N_ROWS)
        X = pd.DataFrame(rng.normal(size=(len(group), 5)), columns=COLUMNS)
        f = 2 * np.sin(X["x0"]) + X["x1"] ** 2 + X["x2"].abs() + X["x3"] * X["x4"] / 2
        X["group"] = group + first
        mean = (f + effects[group]).to_numpy()
        return X, f.to_numpy(), mean, mean + rng.normal(size=len(group))

    effects = rng.normal(size=N_GROUPS)
    new = rows(rng.normal(size=N_GROUPS), N_GROUPS)
    return rows(effects, 0), rows(effects, 0), new


def by_skmixed(regressor, grid=None):
    def fit(X, y, known, new, seed):
        model = MixedEffectsRegressor(regressor(seed), "group")
        if grid is None:
            model.fit(X, y)
        else:
            folds = KFold(5, shuffle=True, random_state=seed)
            search = GridSearchCV(model, grid, cv=folds, scoring="neg_mean_squared_error")
            model = search.fit(X, y).best_estimator_
        variances = model.variance_components_["variance"].to_numpy()
        known_fit = model.predict(known), model.predict_interval(known)
        fits[model.n_regressor_fits_] = fits.get(model.n_regressor_fits_, 0) + 1
        return (
            variances,
            model.predict(known, include="fixed"),
            known_fit,
            model.predict_interval(new),
        )

    return fit


def by_merf(X, y, known, new, seed):
    import logging

    from merf import MERF

    logging.disable(logging.INFO)

    model = MERF(forest(seed), gll_early_stop_threshold=None, max_iterations=20)
    model.fit(X[COLUMNS], np.ones((len(X), 1)), X["group"], y.to_numpy())
    tau, sigma = (
        float(model.D_hat_history[-1][0, 0]),
        float(model.sigma2_hat_history[-1]),
    )
    f = [model.trained_fe_model.predict(rows[COLUMNS]) for rows in (known, new)]
    center = model.predict(known[COLUMNS], np.ones((len(known), 1)), known["group"])
    counts = X["group"].value_counts().loc[known["group"]].to_numpy()
    half = 1.96 * np.sqrt(sigma + 1 / (1 / tau + counts / sigma))
    far = 1.96 * np.sqrt(sigma + tau)
    known_fit = center, np.stack([center - half, center + half], axis=1)
    return np.array([tau, sigma]), f[0], known_fit, np.stack([f[1] - far, f[1] + far], axis=1)


def by_gpboost(X, y, known, new, seed):
    import gpboost

    parameters = {"learning_rate": 0.1, "max_depth": 5, "min_data_in_leaf": 10, "verbose": 0}
    parameters |= {"num_threads": 1}

    def model():
        return gpboost.GPModel(group_data=X["group"], likelihood="gaussian", num_parallel_threads=1)

    data = gpboost.Dataset(X[COLUMNS], y.to_numpy(), free_raw_data=False)
    found = gpboost.cv(
        params=parameters, train_set=data, gp_model=model(), num_boost_round=TREES[-1],
        early_stopping_rounds=10, nfold=5, seed=seed, metric="l2", verbose_eval=False,
    )  # fmt: skip
    n_trees = int(np.argmin(next(iter(found.values())))) + 1
    effects = model()
    data = gpboost.Dataset(X[COLUMNS], y.to_numpy(), free_raw_data=False)
    booster = gpboost.train(
        params=parameters, train_set=data, gp_model=effects, num_boost_round=n_trees
    )
    sigma, tau = np.asarray(effects.get_cov_pars()).ravel()[:2]
    predictions = [
        booster.predict(
            data=rows[COLUMNS], group_data_pred=rows["group"], predict_var=True, pred_latent=False
        )
        for rows in (known, new)
    ]
    f = booster.predict(data=known[COLUMNS], group_data_pred=known["group"], pred_latent=True)
    ends = [
        np.stack([p["response_mean"] + z * np.sqrt(p["response_var"]) for z in (-1.96, 1.96)], 1)
        for p in predictions
    ]
    return (
        np.array([tau, sigma]),
        f["fixed_effect"],
        (predictions[0]["response_mean"], ends[0]),
        ends[1],
    )


def forest(seed):
    return RandomForestRegressor(100, random_state=seed)


def boosting(seed):
    return HistGradientBoostingRegressor(max_depth=5, min_samples_leaf=10, random_state=seed)


fits = {}
PROGRAMS = {
    "skmixed, trees by CV": by_skmixed(boosting, {"regressor__max_iter": TREES}),
    "skmixed, 100 trees": by_skmixed(boosting),
    "skmixed, forest": by_skmixed(forest),
    "MERF, forest": by_merf,
    "GPBoost, trees by CV": by_gpboost,
}
SHOWN = ("σ̂²", "1 + MSE", "τ̂²", "RMSE f", "RMSE known", "known", "new", "seconds")


def measured(fit, seed):
    (X, _, _, y), (known, f, mean, own), (new, _, _, far) = simulated(seed)
    start = time.process_time()
    variances, f_hat, (center, ends), far_ends = fit(X, pd.Series(y), known, new, seed)
    seconds = time.process_time() - start
    mse = np.mean((f_hat - f) ** 2)
    inside = [np.mean((e[:, 0] < v) & (v < e[:, 1])) for e, v in ((ends, own), (far_ends, far))]
    error = np.sqrt(np.mean((center - mean) ** 2))
    return [variances[-1], 1 + mse, variances[0], np.sqrt(mse), error, *inside, seconds]


def compare(n_seeds):
    print(f"{'':22}" + "".join(f"{name:>11}" for name in SHOWN))
    for name, fit in PROGRAMS.items():
        try:
            rows = np.array([measured(fit, seed) for seed in range(n_seeds)])
        except ImportError as error:
            print(f"{name:22}  {error}")
            continue
        print(f"{name:22}" + "".join(f"{v:11.3f}" for v in rows.mean(axis=0)), flush=True)
        print(
            f"{'  standard error':22}"
            + "".join(f"{v:11.3f}" for v in rows.std(0) / len(rows) ** 0.5)
        )
    print("fits of the regressor:", fits)


class Timed(HistGradientBoostingRegressor):
    """Counts the seconds in fit and predict."""

    seconds = 0.0

    def fit(self, *args, **named):
        start = time.process_time()
        super().fit(*args, **named)
        Timed.seconds += time.process_time() - start
        return self

    def predict(self, X):
        start = time.process_time()
        out = super().predict(X)
        Timed.seconds += time.process_time() - start
        return out


def large():
    rng = np.random.default_rng(0)
    n, q = 100_000, 5_000
    X = pd.DataFrame(rng.normal(size=(n, 5)), columns=COLUMNS)
    X["group"] = rng.integers(0, q, n)
    f = 2 * np.sin(X["x0"]) + X["x1"] ** 2 + X["x3"] * X["x4"] / 2
    y = f + rng.normal(size=q)[X["group"]] + rng.normal(size=n)
    for name, y_, slopes in (("intercepts", y, None), ("intercepts and slopes", y, "x0")):
        Timed.seconds, start = 0.0, time.process_time()
        model = MixedEffectsRegressor(Timed(), "group", random_slopes=slopes).fit(X, y_)
        total = time.process_time() - start
        share = 1 - Timed.seconds / total
        print(
            f"{name}: {total:.2f} s, of which {100 * share:.1f} % not in the regressor's fit and "
            f"predict ({model.n_regressor_fits_} fits, {model.n_iter_} turns)"
        )


def linear(n_seeds):
    for n_groups, is_shared in ((60, True), (200, True), (60, False), (200, False)):
        found = []
        for seed in range(n_seeds):
            rng = np.random.default_rng(seed)
            group = np.repeat(np.arange(n_groups), N_ROWS)
            X = pd.DataFrame(rng.normal(size=(len(group), 3)), columns=COLUMNS[:3])
            curves = np.sin(X["x0"]) + X["x1"] ** 2 / 2
            X["dose"] = curves + rng.normal(size=len(X)) + 0.5 * rng.normal(size=n_groups)[group]
            others = 2 * curves if is_shared else 2 * np.cos(X["x0"]) + X["x1"]
            y = 0.7 * X["dose"] + others + X["x2"].abs() + rng.normal(size=n_groups)[group]
            y += rng.normal(size=len(X))
            X["group"] = group
            regressor = HistGradientBoostingRegressor(
                max_iter=150, max_leaf_nodes=8, min_samples_leaf=10
            )
            model = MixedEffectsRegressor(regressor, "group", linear="dose", max_iter=1)
            by_line = coefficient_table(MixedLinearRegressor("group").fit(X, y))
            tables = [t.loc["dose"] for t in (model.fit(X, y).linear_effects_, by_line)]
            found.append([
                value
                for t in tables
                for value in (t["estimate"], t["std_error"], t["lower"] < 0.7 < t["upper"])
            ])  # fmt: skip
        mean, sd = np.mean(found, axis=0), np.std(found, axis=0)
        for k, name in ((0, "beside boosting"), (3, "linear")):
            print(
                f"{len(X):6} rows, shared {is_shared:1}, {name:16} mean {mean[k]:.3f}  "
                f"sd {sd[k]:.3f}  standard error {mean[k + 1]:.3f}  coverage {mean[k + 2]:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--linear", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.large:
        large()
    elif asked.linear:
        linear(asked.seeds)
    else:
        compare(asked.seeds)
