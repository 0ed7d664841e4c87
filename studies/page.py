"""The page of the documentation, from the results."""

import math
from itertools import groupby

from studies.study import TARGETS
from studies.texts import INTRODUCTION, TEXTS

CAPTIONS = {
    "bias": "Bias",
    "held": "Intervals at 95 % that contain the truth, in percent",
    "held at 80 %": "Intervals at 80 % that contain the truth, in percent",
    "held at 99 %": "Intervals at 99 % that contain the truth, in percent",
    "rejected": "True hypotheses that are rejected at 5 %, in percent",
    "slope": "Slope of the truth on the prediction, on the scale of the link",
    "width": "Mean width of an interval at 95 %, divided by that of the model",
}
NAMES = {
    "": "estimate",
    "satterthwaite": "Satterthwaite",
    "kenward-roger": "Kenward and Roger",
    "kenward-roger-linear": "Kenward and Roger, linear",
    "wald": "Wald",
}
SHARES = ("held", "held at 80 %", "held at 99 %", "rejected")
DIGITS = {"bias": 3, "slope": 3, "width": 2}  # of percents 1


def page(results, designs):
    """Return the page: the designs in their order, each with its tables."""
    found = results["designs"]
    n_numbers = sum(len(own["numbers"]) for own in found.values())
    parts = [INTRODUCTION.format(n_numbers=n_numbers, **results)]
    for section, own in groupby((d for d in designs if d.name in found), lambda d: d.section):
        parts.append(f"## {section}\n")
        parts += [of_design(design.name, found[design.name]) for design in own]
    return "\n".join(parts)


def of_design(name, result):
    drawn, reading = TEXTS[name]
    n = result["samples"] - sum(result["failed"].values())
    parts = [f"### {name}\n", f"{drawn} {counts(result)}\n"]
    parts += [table(own[0]["measure"], own, n) for own in alike(result["numbers"])]
    return "\n".join([*parts, f"{reading}\n"])


def alike(numbers):
    """Return the rows of one table after the other: one measure, by the same methods."""
    methods = {}
    for row in numbers:
        methods.setdefault((row["measure"], row["of"]), []).append(row["by"])
    tables = {}
    for row in numbers:
        key = row["measure"], tuple(methods[row["measure"], row["of"]])
        tables.setdefault(key, []).append(row)
    return [tables[key] for key in sorted(tables, key=lambda key: list(TARGETS).index(key[0]))]


def counts(result):
    """Return a sentence of the number of data sets, and of the fits that ended otherwise."""
    n_failed, n_singular = sum(result["failed"].values()), result["singular"]
    names, n_stopped = ", ".join(result["failed"]), result["not_converged"]
    parts = [
        f"{n_failed} failed ({names})" if n_failed else "no fit failed",
        f"{n_singular or 'none'} had a singular fit",
        *([f"{n_stopped} had one that did not converge"] if n_stopped else []),
    ]
    return f"{result['samples']:,} data sets: {', '.join(parts)}."


def table(measure, rows, n):
    """Return rows by what they are of, and columns by method."""
    methods = list(dict.fromkeys(row["by"] for row in rows))
    cells = {(row["of"], row["by"]): row for row in rows}
    has_truth = any(row["truth"] is not None for row in rows)
    head = [CAPTIONS[measure], *(["truth"] if has_truth else [])]
    lines = [[*head, *(NAMES.get(m, m) for m in methods)]]
    lines.append(["---", *["--:"] * (len(lines[0]) - 1)])
    for of in dict.fromkeys(row["of"] for row in rows):
        own = [cells[of, method] for method in methods]
        truth = [plain_number(own[0]["truth"])] if has_truth else []
        lines.append([plain(of), *truth, *(cell(row, n) for row in own)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def error_at(target, row):
    """Return the Monte Carlo error of a row if its mean is what it should be.

    Of a share of data sets that is the error of the share that it should be: 12 of 12 say less
    of 95 % than their own error, 0. Of other means it is their own.
    """
    own, mean, n = row["error"], row["mean"], row["n"]
    if row["measure"] not in SHARES:
        return own
    variance = mean * (100.0 - mean) / (n - 1)
    is_of_data_sets = math.isclose(own**2, variance, rel_tol=1e-6, abs_tol=1e-9)
    return math.sqrt(target * (100.0 - target) / n) if is_of_data_sets else own


def plain_number(truth):
    return "" if truth is None else f"{truth:.3g}".replace("-", "−")


def plain(of):
    return of.replace("((Intercept))", "(intercept)").replace("(Intercept)", "intercept")


def cell(row, n):
    """Return a mean with its Monte Carlo error, bold where it is not what it should be.

    `n` is the number of data sets, which is added where the mean is of fewer.
    """
    if row["mean"] is None or row["error"] is None:
        return "–"
    digits, target = DIGITS.get(row["measure"], 1), TARGETS[row["measure"]]
    text = f"{row['mean']:.{digits}f}".replace("-", "−")
    is_off = target is not None and abs(row["mean"] - target) > 3.0 * error_at(target, row)
    of = f"; {row['n']:,} data sets" if row["n"] < n else ""
    return f"{f'**{text}**' if is_off else text} ({row['error']:.{digits}f}{of})"
