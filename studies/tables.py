"""Tables of numbers: a mean with its error, bold where it is not what it should be."""

import math

from studies.study import TARGETS

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


def table(measure, rows, n):
    """Return rows by what they are of, and columns by method."""
    methods = list(dict.fromkeys(row["by"] for row in rows))
    cells = {(row["of"], row["by"]): row for row in rows}
    has_truth = any(row["truth"] is not None for row in rows)
    head = [CAPTIONS[measure], *(["truth"] if has_truth else [])]
    lines = [[*head, *(NAMES.get(m, m) for m in methods)]]
    for of in dict.fromkeys(row["of"] for row in rows):
        own = [cells[of, method] for method in methods]
        truth = [plain_number(own[0]["truth"])] if has_truth else []
        lines.append([plain(of), *truth, *(cell(row, n) for row in own)])
    return in_table(lines)


def in_table(lines, words=(0,)):
    """Return lines, of which the first is the head, as a table; `words` are columns of words."""
    rule = ["---" if i in words else "--:" for i in range(len(lines[0]))]
    return "".join(f"| {' | '.join(line)} |\n" for line in [lines[0], rule, *lines[1:]])


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
    text = mean_text(row["measure"], row["mean"])
    is_off = target is not None and abs(row["mean"] - target) > 3.0 * error_at(target, row)
    of = f"; {row['n']:,} data sets" if row["n"] < n else ""
    return f"{f'**{text}**' if is_off else text} ({row['error']:.{digits}f}{of})"


def mean_text(measure, mean):
    return f"{mean:.{DIGITS.get(measure, 1)}f}".replace("-", "−")
