"""Markdown of the measurements: what the documentation shows of benchmarks/results.json.

`rendered(results, key)` gives the text of a key: "table:NAME", "ratio:JOB:PROGRAM" or
"seconds:JOB".
"""

import re

from benchmarks.jobs import JOBS
from benchmarks.programs import BASE, OWN, PROGRAMS
from benchmarks.scaling import SERIES

SHORT = ("sleepstudy", "slopes-10000", "slopes-100000", "insteval", "million", "classes")
OF_STATSMODELS = ("sleepstudy", "slopes-10000", "slopes-100000")
# MixedModels.jl's own figures, not measured here: seconds of its fastest configuration, and rows.
PUBLISHED = {"sleepstudy": (0.015, 180), "insteval": (1.23, 73_421), "movies": (36.0, 1_000_209)}


def digits(value):
    """Two significant digits."""
    if value >= 99.5:
        return f"{round(value, -len(str(int(value))) + 2):,.0f}"
    return f"{value:.0f}" if value >= 9.95 else f"{value:#.2g}"


def spread(values, unit=""):
    """Least to greatest."""
    low, high = digits(min(values)), digits(max(values))
    return (low if low == high else f"{low}–{high}") + unit


def ratios(found, name, base=OWN):
    """Times of a program as multiples of another's, round by round."""
    programs = found["programs"]
    pairs = zip(programs[name]["seconds"], programs[base]["seconds"], strict=False)
    return [a / b for a, b in pairs]


def cell(found, name):
    """What a table of times says of one program at one job."""
    own = found["programs"].get(name)
    if own is None:
        return "–"
    if not own["seconds"]:
        if own["note"].startswith("failed"):
            return "error"
        return "left out" if " at " in own["note"] else f"> {digits(least_ratio(found, name))}"
    text = spread(ratios(found, name))
    return text if own.get("agrees", True) else f"{text} ≠"


def least_ratio(found, name):
    """How many times skmixed's longest time a fit had taken when it was ended."""
    limit = float(re.fullmatch(r"more than ([\d.]+) s", found["programs"][name]["note"])[1])
    return limit / max(found["programs"][OWN]["seconds"])


def seconds(found, name=OWN):
    """The range of times, in milliseconds where they are short."""
    own = found["programs"][name]["seconds"]
    if max(own) < 0.5:
        return spread([1e3 * s for s in own], " ms")
    return spread(own, " s")


def in_words(found, name):
    """The ratios for a sentence; at least how many, where a fit was ended at the limit."""
    own = ratios(found, name)
    return spread(own) if own else f"more than {digits(least_ratio(found, name))}"


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def times(results, jobs, programs=None, *, with_base=False):
    """Rows are programs, columns jobs; the first row has the seconds of skmixed."""
    found = {job: results["jobs"][job] for job in jobs if job in results["jobs"]}
    names = [n for n in programs or PROGRAMS if n != OWN and (with_base or n != BASE)]
    shown = [n for n in names if any(n in own["programs"] for own in found.values())]
    rows = [[OWN, *(f"**{seconds(own)}**" for own in found.values())]]
    rows += [[name, *(cell(own, name) for own in found.values())] for name in shown]
    return table(["", *(own["title"] for own in found.values())], rows)


def of_kind(results, kind):
    return [n for n, job in JOBS.items() if job.kind == kind and n in results["jobs"]]


def in_order(results):
    return [results["jobs"][name] for name in JOBS if name in results["jobs"]]


def agreement(results):
    """The largest differences of each program from the reference, over the jobs where it agrees."""
    rows = []
    for name in PROGRAMS:
        all_of_it = [
            own
            for found in results["jobs"].values()
            if "agrees" in (own := found["programs"].get(name, {}))
        ]
        agreeing = [own for own in all_of_it if own["agrees"]]
        if not all_of_it:
            continue
        worst = [
            max((abs(own[what]) for own in agreeing if own[what] is not None), default=None)
            for what in ("criterion", "fixed", "deviations")
        ]
        shown = ["–" if w is None else f"{w:.0e}" for w in worst]
        rows.append([name, f"{len(agreeing)} of {len(all_of_it)}", *shown])
    return table(
        [
            "",
            "models with the same estimates",
            "criterion",
            "fixed effects, in standard errors",
            "standard deviations, relative",
        ],
        rows,
    )


def remarks(results):
    """Why a time is missing, or does not count."""
    lines = []
    for found in in_order(results):
        for name in PROGRAMS:
            own, said = found["programs"].get(name, {"note": None}), None
            if own["note"] and own["note"].startswith("failed"):
                said = f"`{own['note'].removeprefix('failed: ')[:160]}`"
            elif own["note"] and " at " in own["note"]:
                said = f"left out, {own['note']}"
            elif not own.get("agrees", True):
                criterion = own["criterion"]
                above = "" if criterion is None else f" its criterion lies {criterion:+.2g} off,"
                said = (
                    f"other estimates:{above} fixed effects {own['fixed']:.1g} standard errors, "
                    f"standard deviations {100 * own['deviations']:.2g} %"
                )
            if said:
                lines.append(f"- {name}, {found['title']}: {said}.")
    return "\n".join(lines) or "- None."


def megabytes(value):
    return "–" if value is None else f"{value / 2**20:,.0f}"


def memory(results):
    """Peak memory of a fit in MB, beside the rows that it is given."""
    found = [own for own in in_order(results) if own["rows"] >= 70_000]
    names = [n for n in PROGRAMS if any(own["programs"].get(n, {}).get("memory") for own in found)]
    rows = [
        [own["title"], *(megabytes(own["programs"].get(n, {}).get("memory")) for n in names)]
        for own in found
    ]
    return table(["", *names], rows)


def exponents(results):
    rows = []
    for own in (results["scaling"][series.name] for series in SERIES):
        line = [f"{own['unit']} {own['sizes'][0]:,} to {own['sizes'][-1]:,} ({own['fixed']})"]
        for what in ("seconds", "memory"):
            for name in (OWN, BASE):
                value = own["programs"][name]["exponents"][what]
                line.append("–" if value is None else f"{value:.2f}")
        rows.append(line)
    header = ["", "time", "time of LinearRegression", "memory", "memory of LinearRegression"]
    return table(header, rows)


def bounds(results):
    """How much of the time of a fit one pass at the rates of the machine takes."""
    rows = []
    for name in of_kind(results, "linear"):
        found = results["jobs"][name]
        if found["rows"] < 70_000:
            continue
        shares = []
        for program in (OWN, BASE):
            own = found["programs"].get(program, {}).get("seconds")
            shares.append(f"{100 * found['bound'] / min(own):.2g} %" if own else "–")
        rows.append([found["title"], f"{1e3 * found['bound']:.2g} ms", *shares])
    return table(["", "one pass", "share of skmixed's time", "of LinearRegression's"], rows)


def published(results):
    rows = []
    for name, (value, count) in PUBLISHED.items():
        if name in results["jobs"]:
            found = results["jobs"][name]
            rows.append([found["title"], f"{value:g} s ({count:,} rows)", seconds(found)])
    return table(["", "MixedModels.jl, as published", "skmixed, measured here"], rows)


def versions(results):
    machine = results["machine"]
    rows = [[name, machine["programs"][name] or "not installed"] for name in PROGRAMS]
    rows.append(["NumPy", f"{machine['numpy']}, {machine['blas_of_numpy']}"])
    rows.append(["R, for lme4 and the others", machine["r"] or "not installed"])
    rows.append(["R, for “lme4, OpenBLAS”", machine["r_with_openblas"] or "not installed"])
    return table(["program", "version"], rows)


def where(results):
    machine, rates = results["machine"], results["machine"]["rates"]
    return (
        f"Measured on {machine['date']}, {results['rounds']} rounds, Python {machine['python']}, "
        f"{machine['processor']}, {machine['cores']} cores that others used, too. One core reads "
        f"{rates['bytes_per_second'] / 1e9:.0f} GB and multiplies matrices at "
        f"{rates['flops_per_second'] / 1e9:.0f} GFLOP in a second."
    )


TABLES = {
    "short": lambda r: times(r, SHORT),
    "statsmodels": lambda r: times(r, OF_STATSMODELS, ["statsmodels"]),
    "linear": lambda r: times(r, of_kind(r, "linear"), with_base=True),
    "generalized": lambda r: times(r, of_kind(r, "generalized"), with_base=True),
    "repeated": lambda r: times(r, of_kind(r, "repeated"), with_base=True),
    "agreement": agreement,
    "remarks": remarks,
    "memory": memory,
    "exponents": exponents,
    "bounds": bounds,
    "published": published,
    "versions": versions,
    "where": where,
}


def rendered(results, key):
    """The text of a key: see the top."""
    kind, _, rest = key.partition(":")
    if kind == "table":
        return TABLES[rest](results)
    job, _, program = rest.partition(":")
    found = results["jobs"][job]
    return seconds(found) if kind == "seconds" else in_words(found, program)
