"""The first page: what was simulated, and the typical and the worst of the numbers."""

import re
import statistics

from studies.study import TARGETS
from studies.tables import NAMES, cell, in_table, mean_text, plain
from studies.texts import FAMILIES, INTRODUCTION, MADE, READING

# What the numbers of a measure are of, in the order of the rows, and how "of" begins or ends.
KINDS = {
    "held": {
        "coefficients": r"β\(|linear effect",
        "standard deviations, correlations and shapes": r"sd of|correlation|shape",
        "random effects": r"b\(",
        "means of known groups": r"mean, known",
        "means of new groups": r"mean, new",
        "observations of known groups": r"observation, known",
        "observations of new groups": r"observation, new",
    },
    "rejected": {
        "one coefficient": r"β\(",
        "several (F)": r".*\(F\)",
        "a variance": r"no variance",
    },
    "bias": {
        "coefficients": r"β\(|linear effect",
        "variances and covariances": r"variance|covariance",
        "standard deviations": r"sd of",
        "means of new groups": r"mean of new groups, averaged",
    },
}
HEAD = ["Family: of what", "method", "numbers", "typical", "worst", "the worst is of"]


def overview(results, families):
    """Return the first page. `families` maps a section to its results by the name of a design."""
    found = results["designs"]
    n_numbers = sum(len(own["numbers"]) for own in found.values())
    n_sets = sum(own["samples"] for own in found.values())
    parts = [INTRODUCTION.format(n_designs=len(found), n_sets=n_sets), sizes(families)]
    for measure, text in READING.items():
        if rows := rows_of(measure, families):
            parts += [text, in_table([HEAD, *rows], words=(0, 1, 5))]
    return "\n".join([*parts, MADE.format(n_numbers=n_numbers, **results)])


def sizes(families):
    lines = [["Family", "what is drawn", "models", "data sets of each", "failed fits"]]
    for section, own in families.items():
        samples = sorted(result["samples"] for result in own.values())
        several = f"{samples[0]:,} to {samples[-1]:,}"
        each = several if samples[0] < samples[-1] else f"{samples[0]:,}"
        n_failed = sum(sum(result["failed"].values()) for result in own.values())
        family = FAMILIES[section]
        link = f"[{section}]({family.page})"
        lines.append([link, family.drawn, str(len(own)), each, str(n_failed)])
    return in_table(lines, words=(0, 1))


def rows_of(measure, families):
    """Return the rows of a measure, by family, by what the numbers are of, and by method."""
    lines = []
    for section, own in families.items():
        family = FAMILIES[section]
        methods = ("", *(family.tests if measure == "rejected" else family.usual))
        for kind, pattern in KINDS[measure].items():
            for by, numbers in by_method(measure, pattern, own, methods).items():
                what = [f"{section}: {kind}", NAMES[by] if by in NAMES and by else by]
                lines.append([*what, *summary(measure, numbers, family.page)])
    return lines


def by_method(measure, pattern, own, methods):
    """Return pairs of a design and a number by the method that gave them."""
    found = {}
    for name, result in own.items():
        for row in result["numbers"]:
            is_shown = row["measure"] == measure and row["by"] in methods
            if is_shown and row["mean"] is not None and re.match(pattern, row["of"]):
                found.setdefault(row["by"], []).append((name, row))
    return found


def summary(measure, numbers, page):
    """Return how many numbers there are, their median, the one farthest off, and its place."""
    target = TARGETS[measure]
    typical = statistics.median(row["mean"] if target else abs(row["mean"]) for _, row in numbers)
    name, worst = max(numbers, key=lambda pair: abs(pair[1]["mean"] - target))
    is_one_of_many = len({row["of"] for _, row in numbers}) > 1
    place = f"{plain(worst['of'])}, " if is_one_of_many else ""
    place += f"[{name}]({page}#{anchor(name)})"
    return [str(len(numbers)), mean_text(measure, typical), cell(worst, 0), place]


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
