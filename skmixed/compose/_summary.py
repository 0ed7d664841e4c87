"""What MixedEffectsRegressor has found, as text."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed.inference._tables.text_layout import (
    aligned,
    filled,
    lines,
    paragraph,
    shortened,
    shortened_apart,
)


@dataclass(frozen=True)
class HybridSummary:
    """A fitted `MixedEffectsRegressor` in a table.

    Attributes
    ----------
    regressor : str
        The regressor, as it prints.
    facts : dict of str to str
        Samples, levels, fits of the regressor, and R² out of fold.
    random : DataFrame
        As `variance_components_`.
    linear : DataFrame or None
        The table of the linear effects; None without them.
    notes : tuple of str
        What else there is to say.
    """

    regressor: str
    facts: dict[str, str]
    random: pd.DataFrame
    linear: pd.DataFrame | None
    notes: tuple[str, ...]

    def __str__(self) -> str:
        parts = [
            filled(["Mixed-effects model around", *self.regressor.split()], " "),
            paragraph([[f"{name}: {value}"] for name, value in self.facts.items()]),
            "",
            "Random effects:",
            lines(self._random_rows(), names=2),
        ]
        if self.linear is not None:
            parts += ["", "Linear effects:", lines(_rows_of(self.linear), names=1)]
        notes = [filled(note.split(), " ") for note in self.notes]
        return "\n".join([*parts, *(["", *notes] if notes else [])])

    __repr__ = __str__

    def _random_rows(self) -> list[list[str]]:
        columns = [c for c in self.random if self.random[c].notna().any()]
        sizes = {c: aligned(self.random[c]) for c in columns if c not in ("group", "name")}
        rows = [["Group", "Name", *(HEADS.get(str(c), "Corr") for c in sizes)]]
        for k, record in enumerate(self.random.to_dict("records")):
            numbers = [own[k] for own in sizes.values()]
            rows.append([str(record["group"]), str(record["name"]), *numbers])
        return rows


HEADS = {"variance": "Variance", "sd": "Std.Dev."}


def _rows_of(table: pd.DataFrame) -> list[list[str]]:
    columns = [aligned(table[name]) for name in table.columns]
    names = map(str, table.index)
    return [
        ["", *map(str, table.columns)],
        *([n, *row] for n, *row in zip(names, *columns, strict=True)),
    ]


def summary(self: Any) -> HybridSummary:
    """Summarize the fit: variances, linear effects, R² out of fold.

    Returns
    -------
    HybridSummary
        With a text form, shown by ``print``. Its parts are attributes.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> from skmixed import MixedEffectsRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedEffectsRegressor(LinearRegression(), "Subject").fit(X, y)
    >>> list(model.summary().facts)
    ['Samples', 'Levels', 'Regressor fits', 'R² out of fold']
    """
    check_is_fitted(self)
    mixed = self.mixed_model_
    fit = mixed._model.at_fit
    names = shortened_apart((factor.name for factor in fit.encoder.factors), 40)
    levels = [f"{n} {f.n_levels:,}" for n, f in zip(names, fit.encoder.factors, strict=True)]
    facts = {
        "Samples": f"{fit.n_rows:,}",
        **({"Levels": ", ".join(levels)} if levels else {}),
        "Regressor fits": str(self.n_regressor_fits_),
        "R² out of fold": f"{self.out_of_fold_r2_:.3f}",
    }
    linear = self.linear_effects_ if "linear_models_" in vars(self) else None
    notes = [
        "The residual variance has the error of the regressor in it, which is that of a new row."
    ]
    if not self.converged_:
        notes.append("The turns did not settle: raise max_iter, or tol.")
    if mixed.singular_:
        notes.append("The fit is singular: a variance is estimated as 0.")
    return HybridSummary(
        shortened(repr(self.regressor), 300), facts, mixed.variance_components_, linear, (*notes,)
    )
