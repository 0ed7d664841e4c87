"""Draw the pictures of the guide while the site is built, and that of the README by hand.

`python docs/_site/pictures.py` draws all of them, also the one that is kept for the README
(docs/_static/lines.png). The build draws those of the guide into docs/_pictures, where they are
missing or older than this file. Sizes are in inches of 100 pixels of the page; files have twice
the pixels.
"""

from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from PIL import Image

from skmixed import (
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    lmer,
)
from skmixed.datasets import (
    load_cake,
    load_dyestuff,
    load_dyestuff2,
    load_grouseticks,
    load_orthodont,
    load_pastes,
    load_penicillin,
    load_sleepstudy,
    load_toenail,
)
from skmixed.plotting import (
    EffectsDisplay,
    InfluenceDisplay,
    ProfileDisplay,
    ResidualsDisplay,
    ShrinkageDisplay,
)

DOCS = Path(__file__).parents[1]
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#777777"
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "font.size": 10.0,
    "legend.frameon": False,
    "savefig.dpi": 200,
}


def sleepstudy():
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    return X, y, MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)


def lines():
    """Each subject's own line, its line by the model, and the mean line."""
    X, y, model = sleepstudy()
    figure, axes = plt.subplots(3, 6, figsize=(7.2, 5.4), sharex=True, sharey=True)
    days = np.array([0.0, 9.0])
    subjects = y.groupby(X["Subject"]).mean().sort_values().index
    for ax, subject in zip(axes.flat, subjects, strict=True):
        rows = X["Subject"] == subject
        own = np.polynomial.Polynomial.fit(X["Days"][rows], y[rows], 1)(days)
        ends = pd.DataFrame({"Days": days, "Subject": subject})
        shrunken, mean = model.predict(ends), model.predict(ends, include="fixed")
        ax.plot(X["Days"][rows], y[rows], ".", color="#AAAAAA", ms=5)
        ax.fill_between(days, own, shrunken, color=ORANGE, alpha=0.35, lw=0)
        ax.plot(days, mean, ":", color="black", lw=1.3, label="mean line")
        ax.plot(days, shrunken, color=BLUE, lw=2.2, label="the model's line")
        ax.plot(days, own, "--", color=ORANGE, lw=1.6, label="the subject's own line")
        ax.set_title(f"{subject}", fontsize=10, pad=3)
        ax.set(xticks=[0, 3, 6, 9], ylim=(185, 475))
    figure.supxlabel("Days with little sleep", fontsize=10.5)
    figure.supylabel("Reaction time (ms)", fontsize=10.5)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=3, fontsize=10.5)
    return figure


def quickstart():
    """The lines and intervals of a known and of a new subject."""
    X, y, model = sleepstudy()
    days = np.linspace(0, 9, 50)
    figure, axes = plt.subplots(1, 2, figsize=(6.6, 3.2), sharey=True)
    for ax, subject, title in zip(
        axes, ["308", "new"], ["Subject 308", "A new subject"], strict=True
    ):
        rows = pd.DataFrame({"Days": days, "Subject": subject})
        lower, upper = model.predict_interval(rows).T
        ax.fill_between(days, lower, upper, color=BLUE, alpha=0.18, lw=0, label="95 % interval")
        ax.plot(days, model.predict(rows), color=BLUE, lw=2, label="prediction")
        ax.set(title=title, xlabel="Days", xticks=[0, 3, 6, 9])
    known = X["Subject"] == "308"
    axes[0].plot(X["Days"][known], y[known], "o", color="#444444", ms=4, label="observed")
    axes[0].set_ylabel("Reaction time (ms)")
    axes[0].legend(loc="lower right", fontsize=9)
    return figure


def three_models():
    """One line for all, lines of own heights, lines of own heights and slopes."""
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    settings = {
        "no groups": {"groups": None},
        'groups="Subject"': {"groups": "Subject"},
        'and random_slopes="Days"': {"groups": "Subject", "random_slopes": "Days"},
    }
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), sharey=True)
    for ax, (title, parameters) in zip(axes, settings.items(), strict=True):
        columns = ["Days"] if parameters["groups"] is None else list(X)
        model = MixedLinearRegressor(**parameters).fit(X[columns], y)
        ax.plot(X["Days"], y, ".", color="#BBBBBB", ms=4)
        for subject, rows in X.groupby("Subject" if "Subject" in columns else np.zeros(len(X))):
            ends = rows.iloc[[0, -1]]
            color = ORANGE if subject == "308" else BLUE
            width = 2.2 if subject == "308" else 0.9
            ax.plot(ends["Days"], model.predict(ends[columns]), color=color, lw=width)
        ax.set_title(title, fontsize=9.5)
        ax.set(xlabel="Days", xticks=[0, 3, 6, 9])
    axes[0].set_ylabel("Reaction time (ms)")
    return figure


def criterion(y, batch, sd_ratio, *, reml=True):
    """The deviance of a balanced one-way design as a function of σ_b/σ, by dense algebra."""
    groups = (batch.to_numpy()[:, None] == batch.to_numpy()).astype(float)
    n, ones = len(y), np.ones(len(y))
    values = []
    for ratio in sd_ratio:
        factor = np.linalg.cholesky(np.eye(n) + ratio**2 * groups)
        a, b = np.linalg.solve(factor, np.column_stack([ones, y])).T
        residual = b - a * (a @ b) / (a @ a)
        df = n - 1 if reml else n
        value = 2 * np.log(np.diag(factor)).sum() + df * np.log(residual @ residual)
        values.append(value + (np.log(a @ a) if reml else 0))
    return np.array(values) - min(values)


def zero_variance():
    """A criterion with its minimum inside, and one with its minimum at 0."""
    figure, axes = plt.subplots(1, 2, figsize=(6.6, 2.9))
    ratio = np.linspace(0, 2.5, 126)
    for ax, loader, title in zip(
        axes, [load_dyestuff, load_dyestuff2], ["dyestuff", "dyestuff2"], strict=True
    ):
        X, y = loader(return_X_y=True, as_frame=True)
        values = criterion(y.to_numpy(), X["Batch"], ratio)
        best = values.argmin()
        ax.plot(ratio, values, color=BLUE, lw=2)
        ax.plot(ratio[best], values[best], "o", color=ORANGE, ms=8, clip_on=False, zorder=3)
        where = "estimate 0" if best == 0 else f"estimate {ratio[best]:.2f}"
        ax.text(0.95, 0.4 if best == 0 else 3.4, where, ha="center")
        ax.set(title=title, xlabel="sd of batches / residual sd", ylim=(-0.25, 6), xlim=0)
    axes[0].set_ylabel("REML criterion\nabove its minimum")
    return figure


def crossed_nested():
    """Which levels of two factors meet."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9))
    X, _ = load_penicillin(return_X_y=True)
    plate, plates = pd.factorize(X["plate"])
    sample, samples = pd.factorize(X["sample"])
    axes[0].plot(plate, sample, "s", color=BLUE, ms=5)
    axes[0].set(title="Crossed: every plate meets every sample", xlabel="plate", ylabel="sample")
    axes[0].set_xticks(range(0, 24, 4), plates[::4])
    axes[0].set_yticks(range(6), samples)
    X, _ = load_pastes(return_X_y=True)
    batch, batches = pd.factorize(X["batch"])
    pair, _ = pd.factorize(X["batch"] + X["cask"])
    axes[1].plot(pair, batch, "s", color=ORANGE, ms=5)
    axes[1].set(title="Nested: a cask lies in one batch", xlabel="batch and cask", ylabel="batch")
    axes[1].set_yticks(range(10), batches)
    labels = X["batch"].astype(str) + X["cask"].astype(str)
    axes[1].set_xticks(range(0, 30, 3), labels.drop_duplicates()[::3])
    for ax in axes:
        ax.title.set_fontsize(10)
    return figure


def structures():
    """The correlations of four visits by four structures."""
    lag = np.abs(np.subtract.outer(range(4), range(4)))
    unstructured = np.array([[1, 0.8, 0.3, 0.1], [0, 1, 0.5, 0.2], [0, 0, 1, 0.7], [0, 0, 0, 1]])
    found = {
        "compound symmetry": np.where(lag == 0, 1, 0.5),
        "AR(1)": 0.6**lag,
        "Toeplitz": np.array([1, 0.6, 0.5, 0.1])[lag],
        "unstructured": np.triu(unstructured) + np.triu(unstructured, 1).T,
    }
    figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.3))
    visits = ["V1", "V2", "V3", "V4"]
    for ax, (title, matrix) in zip(axes, found.items(), strict=True):
        ax.imshow(matrix, cmap="Blues", vmin=0, vmax=1.4)
        for (i, j), value in np.ndenumerate(matrix):
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=9)
        ax.set_title(title, fontsize=10)
        ax.set_xticks(range(4), visits, fontsize=9)
        ax.set_yticks(range(4), visits, fontsize=9)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return figure


def three_probabilities():
    """Curves of known patients, of the median one, and their average."""
    X, y = load_toenail(return_X_y=True)
    X["month"] = X.pop("visit") - 1
    model = MixedLogisticClassifier("patient").fit(X, y)
    months = np.linspace(0, X["month"].max(), 60)
    figure, ax = plt.subplots(figsize=(6.2, 3.5))
    rows = pd.DataFrame({c: months if c == "month" else X[c].iloc[0] for c in X})
    rows["treated"] = 0
    effects = model.random_effects_["patient"]["(Intercept)"].sort_values()
    for patient in effects.index[:: len(effects) // 24]:
        known = model.predict_proba(rows.assign(patient=patient))[:, 1]
        ax.plot(months, known, color="#AAAAAA", lw=0.9, label="known patients")
    new = rows.assign(patient="new")
    ax.plot(months, model.predict_proba(new)[:, 1], color=BLUE, lw=2.6, label="a new patient")
    median = model.predict_proba(new, include="fixed")[:, 1]
    ax.plot(months, median, "--", color=ORANGE, lw=2.2, label='include="fixed": effect 0')
    ax.set(xlabel="month", ylabel="probability of a loose nail", ylim=(0, 1))
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles[-3:], labels[-3:], loc="outside upper center", ncols=3)
    return figure


def residuals_of_counts():
    ticks = load_grouseticks().frame
    ticks["y96"], ticks["y97"] = 1.0 * (ticks["YEAR"] == "96"), 1.0 * (ticks["YEAR"] == "97")
    number, fixed = ticks.pop("TICKS"), ["y96", "y97", "cHEIGHT"]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.3))
    regressors = {
        "Poisson": MixedPoissonRegressor,
        "negative binomial": MixedNegativeBinomialRegressor,
    }
    for (title, regressor), ax in zip(regressors.items(), axes, strict=True):
        model = regressor(["BROOD", "LOCATION"], fixed=fixed).fit(ticks, number)
        ResidualsDisplay.from_estimator(model, ticks, number, panels="qq", ax=ax)
        ax.set(title=title)
    return figure


def intervals():
    """Four intervals at day 5: what each counts."""
    _, _, model = sleepstudy()
    rows = pd.DataFrame({"Days": [5.0, 5.0], "Subject": ["308", "new"]})
    known, new = model.predict(rows)
    mean, observation = (model.predict_interval(rows, of=of) for of in ("mean", "observation"))
    population = model.predict_interval(rows[:1], of="mean", include="fixed")[0]
    bars = [
        ("mean of all subjects", new, population, GRAY),
        ("mean of subject 308", known, mean[0], BLUE),
        ("observation of subject 308", known, observation[0], BLUE),
        ("mean of a new subject", new, mean[1], ORANGE),
        ("observation of a new subject", new, observation[1], ORANGE),
    ]
    figure, ax = plt.subplots(figsize=(6.4, 2.6))
    for i, (_, value, (lower, upper), color) in enumerate(bars):
        ax.plot([lower, upper], [i, i], color=color, lw=4, solid_capstyle="butt", alpha=0.55)
        ax.plot(value, i, "o", color=color, ms=7)
    ax.set_yticks(range(len(bars)), [name for name, *_ in bars])
    ax.set(xlabel="Reaction time on day 5 (ms), 95 % intervals", ylim=(4.6, -0.6))
    return figure


def new_group():
    """The line of subject 372 after 0, 1, 3 and 6 of its days."""
    X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    is_new = X["Subject"] == "372"
    X_new, y_new = X[is_new], y[is_new]
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X[~is_new], y[~is_new])
    figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.8), sharey=True)
    seen = 0
    for ax, n in zip(axes, [0, 1, 3, 6], strict=True):
        if n > seen:
            model.update_groups(X_new[seen:n], y_new[seen:n])
        seen = n
        lower, upper = model.predict_interval(X_new, of="mean").T
        ax.fill_between(X_new["Days"], lower, upper, color=BLUE, alpha=0.18, lw=0)
        ax.plot(X_new["Days"], model.predict(X_new), color=BLUE, lw=2)
        ax.plot(X_new["Days"][n:], y_new[n:], "o", color="#444444", mfc="white", ms=4.5)
        ax.plot(X_new["Days"][:n], y_new[:n], "o", color="#444444", ms=4.5)
        ax.set_title(f"{n} day{'s' * (n != 1)} seen", fontsize=10)
        ax.set(xlabel="Days", xticks=[0, 3, 6, 9])
    axes[0].set_ylabel("Reaction time (ms)")
    return figure


def two_questions():
    """Predictions where days are left out, and where the subject is left out."""
    from sklearn.model_selection import LeaveOneGroupOut

    from skmixed.model_selection import cross_validate

    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days")
    known = cross_validate(model, X, y, question="known_groups", return_predictions=True)
    new = cross_validate(model, X, y, cv=LeaveOneGroupOut(), return_predictions=True)
    figure, axes = plt.subplots(1, 4, figsize=(7.2, 3.1), sharey=True)
    for ax, subject in zip(axes, ["309", "337", "352", "372"], strict=True):
        rows = X["Subject"] == subject
        days = X["Days"][rows]
        ax.plot(days, y[rows], "o", color="#555555", ms=4, label="observed")
        ax.plot(days, known["predictions"][rows], color=BLUE, lw=2, label="days left out")
        left_out = new["predictions"][rows]
        ax.plot(days, left_out, "--", color=ORANGE, lw=2, label="subject left out")
        ax.set(xlabel="Days", xticks=[0, 3, 6, 9])
        ax.set_title(f"subject {subject}", fontsize=10)
    axes[0].set_ylabel("Reaction time (ms)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def curve_and_shops():
    """A curve that a regressor finds, moved up or down by the effect of a shop."""
    from sklearn.ensemble import RandomForestRegressor

    from skmixed import MixedEffectsRegressor

    rng = np.random.default_rng(1)
    X = pd.DataFrame({"price": rng.uniform(0, 4, 900), "shop": np.repeat(range(60), 15)})
    y = 3 * np.sin(X["price"]) + rng.normal(size=60)[X["shop"]] + rng.normal(size=900)
    forest = RandomForestRegressor(min_samples_leaf=10, random_state=0)
    model = MixedEffectsRegressor(forest, "shop").fit(X, y)
    effects = model.random_effects_["shop"]["(Intercept)"]
    price = np.linspace(0, 4, 200)
    figure, ax = plt.subplots(figsize=(6.2, 3.4))
    for shop, color, name in (
        (effects.idxmax(), BLUE, "the shop with the largest effect"),
        (effects.idxmin(), ORANGE, "the shop with the least effect"),
    ):
        rows = X["shop"] == shop
        ax.plot(X["price"][rows], y[rows], "o", color=color, ms=4)
        known = pd.DataFrame({"price": price, "shop": shop})
        ax.plot(price, model.predict(known), color=color, lw=1.8, label=name)
    new = pd.DataFrame({"price": price, "shop": -1})
    ax.plot(price, model.predict(new), color="black", lw=1.8, label="a new shop: f alone")
    ax.set(xlabel="price", ylabel="y", ylim=(-8, 7))
    ax.legend(loc="lower left")
    return figure


def encodings():
    """Means of categories and their encodings, by the number of rows."""
    from skmixed import MixedEffectEncoder

    rng = np.random.default_rng(0)
    sizes = np.repeat([1, 2, 4, 8, 16, 32, 64], 8)
    X = pd.DataFrame({"shop": np.repeat(np.arange(len(sizes)), sizes)})
    y = 10 + rng.normal(size=len(sizes))[X["shop"]] + 2 * rng.normal(size=len(X))
    encoder = MixedEffectEncoder().fit(X, y)
    shops = pd.DataFrame({"shop": np.arange(len(sizes))})
    encoded = np.asarray(encoder.transform(shops)).ravel()
    place = sizes * 1.09 ** (np.arange(len(sizes)) % 8 - 3.5)
    means = pd.Series(y).groupby(X["shop"]).mean()
    figure, ax = plt.subplots(figsize=(6.2, 3.4))
    ax.plot([place, place], [means, encoded], color="#BBBBBB", lw=1)
    ax.plot(place, means, "o", color=ORANGE, mfc="white", ms=5, label="mean of the category")
    ax.plot(place, encoded, "o", color=BLUE, ms=5, label="encoding")
    ax.axhline(np.ravel(encoder.intercept_)[0], color="black", lw=0.8, ls=":")
    ax.set(xscale="log", xlabel="rows of the category", ylabel="response")
    ax.set_xticks([1, 2, 4, 8, 16, 32, 64], [1, 2, 4, 8, 16, 32, 64])
    ax.minorticks_off()
    ax.legend(loc="upper right")
    return figure


def effects():
    growth = load_orthodont().frame
    model = lmer("distance ~ age * Sex + (age | Subject)", growth)
    figure, ax = plt.subplots(figsize=(6.2, 3.6))
    EffectsDisplay.from_estimator(model, "age", by="Sex", X=growth, ax=ax)
    return figure


def cake_means():
    cake = load_cake().frame
    model = lmer("angle ~ recipe * temperature + (1 | recipe:replicate)", cake)
    figure, ax = plt.subplots(figsize=(6.2, 3.4))
    EffectsDisplay.from_estimator(model, "temperature", by="recipe", ax=ax)
    ax.set_ylim(21, 48)
    return figure


def shrinkage():
    _, _, model = sleepstudy()
    figure, ax = plt.subplots(figsize=(6.2, 4.2))
    ShrinkageDisplay.from_estimator(model, ax=ax)
    ax.set(xlabel="Reaction time on day 0 (ms)", ylabel="Slowing per day (ms)")
    return figure


def influence():
    X, y, model = sleepstudy()
    figure, ax = plt.subplots(figsize=(6.2, 3.2))
    InfluenceDisplay.from_groups(model, X, y, quantity="dfbetas_Days", n_labels=3, ax=ax)
    return figure


def profiles():
    _, _, model = sleepstudy()
    display = ProfileDisplay.from_estimator(model, components="sd")
    return display.figure_


def boxes(ax, entries, arrows):
    """Draw named boxes at (x, y) with a width, and arrows between them."""
    places = {}
    for name, (x, y, width, text, color) in entries.items():
        places[name] = (x, y, width)
        patch = FancyBboxPatch((x - width / 2, y - 0.34), width, 0.68, boxstyle="round,pad=0.04")
        patch.set(facecolor=color, edgecolor="#444444", linewidth=0.8)
        ax.add_patch(patch)
        ax.text(x, y, text, ha="center", va="center", fontsize=9.5)
    for start, end in arrows:
        (x0, y0, w0), (x1, y1, w1) = places[start], places[end]
        arrow = FancyArrowPatch((x0 + w0 / 2 + 0.06, y0), (x1 - w1 / 2 - 0.06, y1))
        arrow.set(arrowstyle="-|>", mutation_scale=11, color="#444444", linewidth=1)
        ax.add_patch(arrow)
    ax.set_axis_off()


def chunks():
    """Rows in parts become sums, and the sums a model."""
    figure, ax = plt.subplots(figsize=(7.2, 2.7))
    light, blue, orange = "#F2F2F2", "#D6E9F5", "#FBE3D3"
    entries = {f"rows{i}": (0.9, 2 - i, 1.7, f"rows, part {i + 1}", light) for i in range(3)}
    entries |= {f"sums{i}": (3.2, 2 - i, 1.7, "sums of products", blue) for i in range(3)}
    entries["total"] = (5.4, 1, 1.5, "their sum", blue)
    entries["model"] = (7.5, 1, 1.7, "search, estimates", orange)
    arrows = [(f"rows{i}", f"sums{i}") for i in range(3)] + [
        (f"sums{i}", "total") for i in range(3)
    ]
    boxes(ax, entries, [*arrows, ("total", "model")])
    ax.set(xlim=(-0.1, 8.5), ylim=(-0.6, 2.6))
    return figure


def pipeline():
    """The grouping column passes by the scaler and the encoder."""
    figure, ax = plt.subplots(figsize=(7.2, 2.7))
    light, blue, orange = "#F2F2F2", "#D6E9F5", "#FBE3D3"
    entries = {
        "numbers": (0.9, 2, 1.7, "numbers", light),
        "text": (0.9, 1, 1.7, "categories", light),
        "groups": (0.9, 0, 1.7, "grouping column", light),
        "scaler": (3.5, 2, 1.9, "StandardScaler", blue),
        "encoder": (3.5, 1, 1.9, "OneHotEncoder", blue),
        "pass": (3.5, 0, 1.9, '"passthrough"', blue),
        "model": (6.8, 1, 2.6, "MixedLinearRegressor", orange),
    }
    arrows = [("numbers", "scaler"), ("text", "encoder"), ("groups", "pass")]
    boxes(ax, entries, [*arrows, ("scaler", "model"), ("encoder", "model"), ("pass", "model")])
    ax.set(xlim=(-0.1, 8.3), ylim=(-0.6, 2.6))
    return figure


def saved():
    """The size of a saved model by rows and groups."""
    import pickle

    rng = np.random.default_rng(0)
    figure, ax = plt.subplots(figsize=(6.2, 3.2))
    rows = np.array([10_000, 20_000, 50_000, 100_000])
    for groups, color in (1000, BLUE), (5000, ORANGE):
        sizes = []
        for n in rows:
            X = pd.DataFrame({"x": rng.normal(size=n), "shop": np.arange(n) % groups})
            y = X["x"] + rng.normal(size=groups)[X["shop"]] + rng.normal(size=n)
            model = MixedLinearRegressor("shop").fit(X, y)
            sizes.append([len(pickle.dumps(m)) / 1e3 for m in (model, model.slim())])
        whole, slim = np.transpose(sizes)
        ax.plot(rows, whole, "o-", color=color, label=f"{groups:,} groups")
        ax.plot(rows, slim, "o--", color=color, mfc="white", label=f"{groups:,} groups, slim")
    ax.set(xlabel="rows of the fit", ylabel="file (kB)", ylim=0, xlim=0)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def factor():
    """The pattern of the system of nested and of crossed factors, and of their factors."""
    figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.3))
    pastes, _ = load_pastes(return_X_y=True)
    penicillin, _ = load_penicillin(return_X_y=True)
    nested = [pastes["batch"].astype(str) + pastes["cask"].astype(str), pastes["batch"]]
    crossed = [penicillin["plate"], penicillin["sample"]]
    for (left, right), groups, name in (axes[:2], nested, "nested"), (axes[2:], crossed, "crossed"):
        Z = np.column_stack([pd.get_dummies(g).to_numpy(dtype=float) for g in groups])
        M = Z.T @ Z + np.eye(Z.shape[1])
        L = np.linalg.cholesky(M)
        for ax, matrix, title in (left, M, f"{name}: Z'Z + I"), (right, L, "its factor L"):
            ax.spy(np.abs(matrix) > 1e-12, markersize=2.2, color=BLUE if ax is left else ORANGE)
            ax.set_title(title, fontsize=10)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(True)
            ax.spines[:].set_color("#AAAAAA")
    return figure


OF_THE_GUIDE = [
    quickstart, three_models, zero_variance, crossed_nested, structures, three_probabilities,
    residuals_of_counts, intervals, new_group, two_questions, curve_and_shops, encodings, effects,
    cake_means, shrinkage, influence, profiles, chunks, pipeline, saved, factor,
]  # fmt: skip


def draw(picture, folder: Path) -> None:
    """Draw a picture, unless there is one that is not older than this file."""
    file = folder / f"{picture.__name__}.png"
    if file.exists() and file.stat().st_mtime >= Path(__file__).stat().st_mtime:
        return
    folder.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        figure = picture()
        figure.savefig(drawn := BytesIO(), dpi=200)
    # A palette keeps the files small.
    Image.open(drawn).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(
        file, optimize=True
    )
    plt.close("all")


def draw_all(_app=None) -> None:
    for picture in OF_THE_GUIDE:
        draw(picture, DOCS / "_pictures")


def setup(app) -> dict[str, bool]:
    app.connect("builder-inited", draw_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    draw(lines, DOCS / "_static")
    draw_all()
