"""The pages of the documentation, from the results: an overview, and a page of each family."""

from studies.overview import overview
from studies.study import TARGETS
from studies.tables import table
from studies.texts import FAMILIES, TEXTS


def pages(results, designs):
    """Return the text of each page by the name of its file."""
    families = {}
    for design in designs:
        if design.name in results["designs"]:
            own = families.setdefault(design.section, {})
            own[design.name] = results["designs"][design.name]
    return {"simulations.md": overview(results, families)} | {
        FAMILIES[section].page: of_family(section, own) for section, own in families.items()
    }


def of_family(section, own):
    """Return the page of a family: its designs in their order, each with its tables."""
    head = [f"# Simulations: {lowered(section)}\n", f"{FAMILIES[section].introduction}\n"]
    return "\n".join([*head, *(of_design(name, result) for name, result in own.items())])


def lowered(section):
    return section[0].lower() + section[1:]


def of_design(name, result):
    drawn, reading = TEXTS[name]
    n = result["samples"] - sum(result["failed"].values())
    parts = [f"## {name}\n", f"{drawn} {counts(result)}\n"]
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
