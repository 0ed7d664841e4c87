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
        has_corr = bool(self.random[corr].notna().any(axis=None)) if corr else False
        variances, sds = _aligned(self.random["variance"]), _aligned(self.random["sd"])
        rows = [["Group", "Name", "Variance", "Std.Dev.", *(["Corr"] if has_corr else [])]]
        before = None
        for k, record in enumerate(self.random.to_dict("records")):
            group = "" if record["group"] == before else str(record["group"])
            before = record["group"]
            row = [group, str(record["name"]), variances[k], sds[k]]
            shares = [f"{record[c]:6.3f}" for c in corr if np.isfinite(record[c])]
            triangle = " ".join(shares).ljust(7 * len(corr) - 1)
            rows.append([*row, *([triangle] if has_corr else [])])
        return rows

    def _fixed_rows(self) -> list[list[str]]:
        columns = [_aligned(self.fixed[name]) for name in self.fixed.columns]
        rows = [["", *self.fixed.columns]]
        for k, name in enumerate(self.fixed.index):
            rows.append([str(name), *(column[k] for column in columns)])
        return rows


def _aligned(values: pd.Series) -> list[str]:
    """Format a column with common decimals: five digits of the largest, two of the least."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes):
        return ["" if np.isnan(v) else f"{v:g}" for v in values]
    digits = np.floor(np.log10([sizes.max(), sizes.min()]))
    decimals = int(max(4 - digits[0], 1 - digits[1], 0))
    form = f".{decimals}f" if decimals <= 8 and digits[0] < 12 else ".4e"
    return ["" if np.isnan(v) else format(v, form) for v in values]


def _lines(rows: list[list[str]]) -> str:
    """Align: names to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    names = [not any(_is_number(row[k]) for row in rows[1:]) for k in range(len(widths))]
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
        [float(part) for part in cell.split()]
    except ValueError:
        return False
    return bool(cell)


def _table(rows: list[list[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def summarize(model: Any) -> Summary:
    """Collect what `summary()` shows of a fitted estimator."""
    encoder, solution = model._encoder, model._estimate.solution
    method = "REML" if solution.reml else "maximum likelihood"
    if encoder.factors:
        title = f"Linear mixed model fitted by {method}"
    else:
        title = f"Ordinary least squares (groups=None: no random effects), {method}"
    name = "REML criterion" if solution.reml else "deviance (-2 log-likelihood)"
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
        notes.append(
            "Singular fit: an estimated covariance matrix lacks rank "
            "(a variance of 0, or a correlation of -1 or 1)."
        )
    if encoder.factors:
        notes.append(model.status_)
    return tuple(notes)
