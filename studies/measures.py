"""What is asked of a fitted model whose truth is known: estimates, intervals, tests."""

import numpy as np

from skmixed.inference import coefficient_table, confidence_intervals, random_effects_table

T = ("normal", "satterthwaite", "kenward-roger")


def fixed_effects(shown, model, truth, ddf=T, by=None):
    """Note estimates and intervals of the fixed effects, and tests of those that are 0.

    `truth` maps names to values. `by` names the one method of a model that has no `ddf`.
    """
    for method in ddf:
        label = method if by is None else by
        table = coefficient_table(model, method)
        for name, value in truth.items():
            row = table.loc[name]
            if method == ddf[0]:
                shown.estimate(f"β({name})", row["estimate"], value, by or "")
            shown.interval(f"β({name})", row["lower"], row["upper"], value, label)
            if value == 0.0:
                shown.test(f"β({name}) = 0", row["p_value"], label)


def deviations(shown, model, truth, methods=("wald", "profile"), by=None):
    """Note variances, and intervals of standard deviations, by (group, name).

    The residual standard deviation has the group and name "Residual" and "". Variances have
    no bias by REML in balanced data; their roots have.
    """
    components = variances(model)
    for key, sd in truth.items():
        shown.estimate(f"variance {label_of(key)}", components[key], sd**2, by or "")
    for method in methods:
        kinds = ["sd", "sigma"] if ("Residual", "") in truth else ["sd"]
        table = confidence_intervals(model, method, components=kinds)
        for row in table.itertuples():
            key = (row.group, row.name) if row.component == "sd" else ("Residual", "")
            if key in truth:
                label = method if by is None else f"{by}, {method}"
                shown.interval(f"sd {label_of(key)}", row.lower, row.upper, truth[key], label)


def variances(model):
    """Return variances by (group, name)."""
    frame = model.variance_components_
    residual = {("Residual", ""): model.sigma_**2} if hasattr(model, "sigma_") else {}
    own = zip(frame["group"], frame["name"], frame["variance"], strict=True)
    return {(g, n): v for g, n, v in own if g != "Residual"} | residual


def label_of(key):
    group, name = key
    return "of residuals" if group == "Residual" else f"of {name} in {group}"


def effects(shown, model, truth, by=""):
    """Note the share of intervals of random effects that hold, by the name of the coefficient.

    `truth` maps (group, name) to the effects of the levels 0, 1, ….
    """
    table = random_effects_table(model)
    for (group, name), values in truth.items():
        own = table[(table["group"] == group) & (table["name"] == name)]
        held = values[own["level"].to_numpy(dtype=int)]
        shown.interval(f"b({name}) in {group}", own["lower"], own["upper"], held, by)


def predictions(shown, model, rows, truths, by=None):
    """Note the share of intervals that hold the truth, of known groups and of new ones.

    `rows` are as many of known groups as of new ones, and `truths` what the intervals of means
    or observations should hold.
    """
    for of, truth in truths.items():
        for ddf in ("normal", "satterthwaite") if by is None else (None,):
            asked = {"of": of, "ddf": ddf}
            asked = {k: v for k, v in asked.items() if v not in (None, "observation")}
            ends = np.asarray(model.predict_interval(rows, **asked))
            n = len(ends) // 2
            for kind, own in (("known", slice(n)), ("new", slice(n, None))):
                lower, upper = ends[own].T
                shown.interval(f"{of}, {kind} group", lower, upper, truth[own], by or ddf)
