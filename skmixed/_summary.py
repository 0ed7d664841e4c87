"""The text and the table of `summary()`."""

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from skmixed._encode import Encoder
from skmixed._solution import Solution


@dataclass(frozen=True)
class Summary:
    """A fitted model in a form to read; `str` and notebooks show it.

    Attributes
    ----------
    title : str
    facts : dict of str to str
        Criterion, log-likelihood, AIC, BIC.
    random : DataFrame
        The variance components.
    fixed : DataFrame
        Estimate, standard error and t value of each fixed effect.
    counts : str
        Number of samples and of levels of each factor.
    notes : tuple of str
    """

    title: str
    facts: dict[str, str]
    random: pd.DataFrame
    fixed: pd.DataFrame
    counts: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        parts = [self.title, "   ".join(f"{k}: {v}" for k, v in self.facts.items())]
        parts += ["", "Random effects:", _lines(self._random_rows())]
        parts += [self.counts, "", "Fixed effects:", _lines(self._fixed_rows())]
        if self.notes:
            parts += ["", *self.notes]
        return "\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "   ".join(f"{k}: {v}" for k, v in self.facts.items())
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return (
            f"<p><strong>{escape(self.title)}</strong><br>{escape(facts)}</p>"
            f"<p>Random effects</p>{_table(self._random_rows())}<p>{escape(self.counts)}</p>"
            f"<p>Fixed effects</p>{_table(self._fixed_rows())}{notes}"
        )

    def _random_rows(self) -> list[list[str]]:
        corr = [c for c in self.random.columns if c.startswith("corr")]
        rows = [["Group", "Name", "Variance", "Std.Dev.", *(["Corr"] if corr else [])]]
        before = None
        for record in self.random.to_dict("records"):
            group = "" if record["group"] == before else str(record["group"])
            before = record["group"]
            shares = [_number(record[c], "{:.3f}") for c in corr]
            row = [group, str(record["name"]), _number(record["variance"]), _number(record["sd"])]
            rows.append([*row, " ".join(shares).rstrip()][: len(rows[0])])
        return rows

    def _fixed_rows(self) -> list[list[str]]:
        rows = [["", *self.fixed.columns]]
        for name, values in zip(self.fixed.index, self.fixed.to_numpy(), strict=True):
            rows.append([str(name), *(_number(v) for v in values)])
        return rows


def _number(value: float, form: str = "{:.5g}") -> str:
    return "" if np.isnan(value) else form.format(value)


def _lines(rows: list[list[str]]) -> str:
    """Align: names to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    names = [all(not _is_number(row[k]) for row in rows[1:]) for k in range(len(widths))]
    return "\n".join(
        " "
        + "  ".join(
            cell.ljust(width) if is_name else cell.rjust(width)
            for cell, width, is_name in zip(row, widths, names, strict=True)
        ).rstrip()
        for row in rows
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def summarize(model: Any) -> Summary:
    """Collect what `summary()` shows of a fitted estimator."""
    encoder, solution = model._encoder, model._estimate.solution
    method = "REML" if model.method == "reml" else "maximum likelihood"
    if encoder.factors:
        title = f"Linear mixed model fitted by {method}"
    else:
        title = f"Ordinary least squares (groups=None: no random effects), {method}"
    name = "REML criterion" if model.method == "reml" else "deviance (-2 log-likelihood)"
    return Summary(
        title=title,
        facts={
            name: f"{model.criterion_:.4f}",
            "logLik": f"{model.log_likelihood_:.4f}",
            "AIC": f"{model.aic_:.3f}",
            "BIC": f"{model.bic_:.3f}",
        },
        random=model.variance_components_,
        fixed=_fixed_table(encoder.fixed_names, solution),
        counts=_counts(model._stats.n_rows, encoder),
        notes=_notes(model, encoder, solution),
    )


def _fixed_table(names: tuple[str, ...], solution: Solution) -> pd.DataFrame:
    errors = np.full(len(names), np.nan)
    errors[list(solution.kept)] = np.sqrt(np.diagonal(solution.fixed_covariance))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = solution.fixed / errors
    columns = {"Estimate": solution.fixed, "Std. Error": errors, "t value": t}
    return pd.DataFrame(columns, index=list(names))


def _counts(n_rows: int, encoder: Encoder) -> str:
    levels = [f"{factor.name} {factor.n_levels}" for factor in encoder.factors]
    groups = f"   Levels: {', '.join(levels)}" if levels else ""
    return f"Samples: {n_rows}{groups}"


def _notes(model: Any, encoder: Encoder, solution: Solution) -> tuple[str, ...]:
    notes = []
    dropped = [n for k, n in enumerate(encoder.fixed_names) if k not in solution.kept]
    if dropped:
        notes.append(f"Dropped as linearly dependent: {', '.join(dropped)}.")
    if model.singular_:
        notes.append("Singular fit: an estimated covariance matrix has a variance of 0.")
    if encoder.factors:
        notes.append(model.status_)
    return tuple(notes)
