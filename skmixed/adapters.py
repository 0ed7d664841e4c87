"""Fitted models as other packages take them; each needs that package."""

from functools import cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from skmixed._fitted.checks import check_choice
from skmixed._fitted.fitted_model import FittedModel, fitted, formula_of
from skmixed._typing import FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.inference import vcov
from skmixed.inference._fixed_tests import by_information
from skmixed.inference._marginal.grid import FormulaColumns, reference_of
from skmixed.inference._marginal.population import variance_of_rows
from skmixed.inference._marginal.scale import LINK, POPULATION, RESPONSE, SCALES
from skmixed.typing import Robust, ScaleName

__all__ = ["to_marginaleffects"]


def to_marginaleffects(model: Any, data: Any, *, scale: ScaleName = "response") -> Any:
    """Return a fitted model by a formula as the package marginaleffects takes it.

    Its ``predictions``, ``comparisons``, ``slopes``, ``hypotheses`` and their averages then
    take the model, for the population of all groups: without the effect of any group.

    Parameters
    ----------
    model : FormulaRegressor or Pipeline
        A fitted model by a formula, as of `skmixed.lmer`, `skmixed.glmer` or `skmixed.mmrm`.
    data : pandas DataFrame
        The rows over which marginaleffects averages, those of the fit as a rule. It needs all
        columns that the formula names.
    scale : {"response", "link", "population"}, default="response"
        Of a generalized model: the mean of the response for a group whose effects are 0; its
        link; or the mean over the distribution of the random effects, with the estimated
        variances. Of linear models they are the same.

    Returns
    -------
    marginaleffects.classes.ModelAbstract
        For the first argument of marginaleffects' functions. Their ``vcov`` may be True, False,
        "kenward-roger" (REML fits), or "CR0", "CR2" or "CR3" (models with a residual
        covariance).

    Raises
    ------
    ImportError
        If marginaleffects is not installed.
    TypeError
        If the model is by no formula.
    ValueError
        If `scale` is not among its choices, or `data` lacks columns or holds missing values.

    See Also
    --------
    skmixed.inference.marginal_means : Means over a grid, with small-sample degrees of freedom.

    Notes
    -----
    marginaleffects chooses its way by the name of the package that a model is of, and takes
    others as a `ModelAbstract`: that is what is returned. Its tests are normal, without degrees
    of freedom; small samples are better served by `marginal_means`, `comparisons` and
    `marginal_slopes`. marginaleffects 0.6 needs polars below 2. It takes derivatives by steps of
    1e-8 of a coefficient, which rounding hides where one is small: the standard errors of
    ``slopes`` and ``comparisons`` may then be off by half. Give these functions
    ``eps_vcov=1e-3``: of a linear model every step is exact.

    Examples
    --------
    >>> import marginaleffects  # doctest: +SKIP
    >>> from skmixed import lmer
    >>> from skmixed.adapters import to_marginaleffects
    >>> from skmixed.datasets import load_machines
    >>> data = load_machines().frame
    >>> model = lmer("score ~ Machine + (1 | Worker)", data)
    >>> adapted = to_marginaleffects(model, data)  # doctest: +SKIP
    >>> marginaleffects.avg_comparisons(adapted)  # doctest: +SKIP
    """
    adapter = _marginaleffects_class()
    check_choice("scale", scale, SCALES)
    return adapter(model, data, scale)


class _AtRows:
    """A model at rows: what its predictions are made of, as one array a row.

    The array has the row of X, the offset and the variance of the effects of a new group.
    """

    def __init__(self, model: Any, data: Any, scale: str) -> None:
        self.formula: FormulaColumns = reference_of(model)
        self.view: FittedModel = fitted(model, has_family=True)
        self.scale = scale if self.view.is_generalized else LINK
        self.tests = by_information(self.view, DDF["normal"])
        self.given = formula_of(model)._complete(data)
        names = [*self.formula.fixed, *(n for own in self.formula.offsets for n in own)]
        names += self.formula.random if self.scale == POPULATION else []
        self.names = list(dict.fromkeys(names))
        self.levels = {
            name: self.formula.observed.levels[name]
            for name in self.names
            if self.formula.is_factor(name)
        }
        for name in [*self.names, *self.formula.grouping]:
            formula_of(model)._frame.source.check_column(name, self.given.rows)

    @property
    def response_name(self) -> str:
        return str(self.given.response_name or "y")

    def texts(self, name: str) -> list[str]:
        """Return the levels of a factor as text: whole numbers without a point."""
        labels = self.levels[name].labels.tolist()
        is_whole = (isinstance(label, float) and label.is_integer() for label in labels)
        return [
            str(int(label) if whole else label)
            for label, whole in zip(labels, is_whole, strict=True)
        ]

    def columns(self) -> dict[str, pd.Series]:
        """Return the columns of the data: numbers, and factors by the texts of their levels."""
        rows = self.given.rows
        out = {name: rows.column(name) for name in self.names}
        for name, levels in self.levels.items():
            codes = levels.codes(out[name], name)
            out[name] = pd.Series(np.array([*self.texts(name), None], dtype=object)[codes])
        beside = [name for name in self.formula.grouping if name not in out]
        return out | {name: rows.column(name).astype(str) for name in beside}

    def exog(self, frame: pd.DataFrame) -> FloatArray:
        """Return the array of rows of a frame, (n, p + 2); NaN what the data do not determine."""
        cells = pd.DataFrame({name: self._column(frame, name) for name in self.names})
        rows = self.formula.rows(cells)
        offset = np.zeros(len(cells))
        for k in range(len(self.formula.offsets)):
            offset += self.formula.offset(k, cells)
        offset[self.tests.undetermined(rows).any(axis=1)] = np.nan
        variance = np.zeros(len(cells))
        if self.scale == POPULATION:
            random = self.formula.random_rows(cells)
            variance = variance_of_rows(self.view.solution, random, len(cells))
        return np.column_stack([rows, offset, variance])

    def _column(self, frame: pd.DataFrame, name: str) -> pd.Series:
        """Return a column, of a factor its levels by their texts."""
        if name not in self.levels:
            return frame[name]
        known = dict(zip(self.texts(name), self.levels[name].labels, strict=True))
        return frame[name].astype(str).map(known)

    def predict(self, params: FloatArray, exog: FloatArray) -> FloatArray:
        """Return the predictions of rows by other estimates of the fixed effects, (n,)."""
        eta = exog[:, :-2] @ params + exog[:, -2]
        if self.scale == LINK:
            return eta
        if self.scale == RESPONSE:
            return self.view.family.mean(eta)
        return self.view.family.averaged(eta, exog[:, -1])


class _Methods:
    """What marginaleffects asks of a model, in its words."""

    rows: _AtRows
    model: Any

    def model_matrices(self, newdata: Any) -> tuple[None, FloatArray]:
        """Return nothing of the response, and the arrays of rows."""
        return None, self.get_exog(newdata)

    def get_exog(self, newdata: Any) -> FloatArray:
        return self.rows.exog(newdata.to_pandas())

    def get_predict(self, params: Any, newdata: Any) -> Any:
        import polars as pl

        found = self.rows.predict(np.asarray(params), np.asarray(newdata))
        rowid = pl.Series(range(len(found)), dtype=pl.Int32)
        return pl.DataFrame({"rowid": rowid, "estimate": found})

    def get_vcov(self, vcov: Any = True) -> FloatArray | None:
        return None if vcov is False or vcov is None else covariance_by(self.model, vcov)


@cache
def _marginaleffects_class() -> type:
    """Return the adapter, a subclass of marginaleffects' own."""
    try:
        from marginaleffects.classes import ModelAbstract, ModelVault
    except ImportError as error:
        raise ImportError(
            "to_marginaleffects needs marginaleffects, which is not installed. Install it with "
            "`pip install 'skmixed[ecosystem]'`."
        ) from error

    class MarginaleffectsModel(_Methods, ModelAbstract):
        """A fitted model of skmixed by a formula."""

        def __init__(self, model: Any, data: Any, scale: str) -> None:
            self.rows = _AtRows(model, data, scale)
            vault = ModelVault(
                coef=self.rows.view.solution.fixed.copy(),
                coefnames=np.array(self.rows.view.encoder.fixed_names),
                formula=self.model_matrices,  # a function: text would be read by marginaleffects
                modeldata=_polars_frame(self.rows),
                package="skmixed",
                variable_names=[self.rows.response_name, *self.rows.names],
            )
            super().__init__(model, vault)

    return MarginaleffectsModel


def _polars_frame(rows: _AtRows) -> Any:
    """Return the response and the columns of the data, factors with their levels in order."""
    import polars as pl

    columns = {rows.response_name: pl.Series(rows.given.response(None))}
    for name, own in rows.columns().items():
        is_factor = name in rows.levels
        dtype = pl.Enum(rows.texts(name)) if is_factor else None
        columns[name] = pl.Series(name, own.to_list() if is_factor else own.to_numpy(), dtype=dtype)
    return pl.DataFrame(columns)


def covariance_by(model: Any, kind: bool | Robust | Literal["kenward-roger"]) -> FloatArray:
    """Return a covariance matrix of the fixed effects, 0 of dropped ones."""
    if kind == "kenward-roger":
        found = vcov(model, adjusted=True)
    else:
        found = vcov(model, robust=None if isinstance(kind, bool) else kind)
    return np.nan_to_num(found.to_numpy())
