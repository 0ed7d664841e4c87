"""Rows of X given to a fitted model: opened as in predict, and laid out for the kernel.

Predictions: fixed effects and BLUPs, the same to the bit for a row in any company.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import Metadata
from skmixed._data.metadata import open_prediction_metadata
from skmixed._data.row_sums import dense_slabs, raw_column, weighted_sum
from skmixed._data.table import Table, open_checked, open_table
from skmixed._equations.layout import DesignRows, factor_rows
from skmixed._equations.system import System
from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_include, check_response, check_squares, check_weights
from skmixed._fitted.fitted_model import FittedModel, before_model, regressor_of, served
from skmixed._fitted.messages import words
from skmixed._fitted.subject_checks import check_beside
from skmixed._repeated.prediction import NewRows
from skmixed._repeated.rows import RepeatedRows
from skmixed._statistics.estimability import Dependence
from skmixed._typing import FloatArray, IntArray
from skmixed._uncertainty.prediction_variance import NewLevels, PredictedRows
from skmixed.exceptions import NotEstimableWarning, warn

SLAB_ROWS = 2**14
# Names of columns that a warning lists.
MOST_NAMES = 5


def linear_predictor(
    encoder: Encoder,
    solution: Solution,
    table: Table,
    metadata: Metadata,
    included: tuple[int, ...],
    *,
    raise_unknown: bool,
) -> FloatArray:
    """Return Xβ̂ + Σ Z_k b̂_k over the included factors, (n,)."""
    out = _fixed_part(encoder, solution.fixed, table)
    for k in included:
        codes = encoder.factors[k].codes(table, metadata)
        if raise_unknown:
            check_known(encoder, k, codes)
        parts = [
            (effects, _values(encoder, table, column))
            for term, estimate in zip(encoder.terms, solution.terms, strict=True)
            if term.factor == k
            for effects, column in zip(estimate.effects, term.columns, strict=True)
        ]
        _add_effects(out, parts, codes)
    return out


def _values(encoder: Encoder, table: Table, column: int) -> Any:
    """Values of a column, which the fixed part has found clean; None for the ones."""
    if column == 0:
        return None
    return raw_column(table, encoder.numeric[column - 1], encoder.names[column - 1])


def _add_effects(
    out: FloatArray, parts: list[tuple[FloatArray, Any]], codes: NDArray[np.intp]
) -> None:
    """Add each row's own effects, times the column if there is one; code −1 has none."""
    has_unknown = len(codes) > 0 and codes.min() < 0
    step = min(SLAB_ROWS, len(out))  # temporaries that stay in the cache
    products = np.empty(step)
    for start in range(0, len(out), max(step, 1)):
        rows = slice(start, start + step)
        own_codes, sums = codes[rows], out[rows]
        own = products[: len(sums)]
        for effects, column in parts:
            np.take(effects, own_codes, out=own, mode="clip")  # the mode without a check
            if has_unknown:
                own[own_codes < 0] = 0.0
            if column is not None:
                own *= column[rows]
            sums += own


def _fixed_part(encoder: Encoder, fixed: FloatArray, table: Table) -> FloatArray:
    """Return Xβ̂, after a check of every numeric column that the model uses."""
    weights = np.zeros(1 + len(encoder.numeric))
    weights[list(encoder.fixed)] = fixed
    # A value that is missing or infinite makes its row's sum so, also if times 0.
    with np.errstate(invalid="ignore", over="ignore"):
        out = weighted_sum(table, encoder.numeric, encoder.names, weights[1:]) + weights[0]
        is_clean = np.isfinite(out.sum())
    if not is_clean:
        encoder.numeric_columns(table)  # for the message; a mere overflow passes
    return out


def check_known(encoder: Encoder, k: int, codes: NDArray[np.intp]) -> None:
    unknown = codes < 0
    if unknown.any():
        raise ValueError(
            f"{int(unknown.sum())} rows have a level of grouping factor "
            f"{encoder.factors[k].name!r} that is missing or was not seen in fit (first at row "
            f"{int(np.argmax(unknown))}). Use handle_unknown='population' to predict them "
            f"{words().unknown}."
        )


def estimable_rows(encoder: Encoder, solution: Solution, table: Table) -> NDArray[np.bool_]:
    """Return for which rows the data of the fit determine Xβ, (n,), and warn of others.

    Costs nothing unless columns were dropped, then O(kept · dropped columns) a row.
    """
    out = np.ones(table.n_rows, dtype=bool)
    dependence = solution.dependence
    if dependence is None:
        return out
    used = [column for column in encoder.fixed if column]
    positions = [encoder.numeric[column - 1] for column in used]
    names = [encoder.names[column - 1] for column in used]
    deviating = np.zeros(len(dependence.dropped), dtype=bool)
    for rows, values in dense_slabs(table, positions, names):
        suspects, deviates = kernel.deviating(dependence, values)
        out[rows.start + suspects] = ~deviates.any(axis=1)
        deviating |= deviates.any(axis=0)
    if not out.all():
        n_rows = int((~out).sum())
        which = "row" if n_rows == 1 else f"{n_rows} rows, the first being row"
        warn_not_estimable(f"{which} {int(np.argmin(out))}", encoder, dependence, deviating)
    return out


def warn_not_estimable(
    which: str, encoder: Encoder, dependence: Dependence, deviating: NDArray[np.bool_]
) -> None:
    """Say of which rows the mean is not determined, and by which dropped columns."""
    names = [encoder.fixed_names[k] for k in np.array(dependence.dropped)[deviating]]
    listed = ", ".join(map(repr, names[:MOST_NAMES]))
    if len(names) > MOST_NAMES:
        listed += f" and {len(names) - MOST_NAMES} others"
    warn(
        f"The data of fit do not determine the mean of {which}, such as that of a combination of "
        "categories that was not observed. Its prediction depends on how columns are coded, and it "
        "has no interval. Fit without the columns that were dropped but do not depend on the "
        f"others there: {listed}.",
        NotEstimableWarning,
    )


@dataclass(frozen=True)
class GivenRows:
    """Rows given to a fitted model.

    Attributes
    ----------
    fitted : FittedModel
    table : Table
        X behind the steps of a Pipeline.
    metadata : Metadata
    included : tuple of int
        Positions of the factors whose effects count.
    index : pandas.Index
        That of X, or the numbers of its rows.
    raise_unknown : bool
        Whether an unknown level is an error, as in predict.
    is_estimable : (n,) array of bool
        Whether the data of the fit determine Xβ; of other rows there was a warning.
    frame : FrameRows or None
        Rows of a frame that a formula has made those of X.
    is_all : bool
        Whether everything counts: correlations of residuals too.
    """

    fitted: FittedModel
    table: Table
    metadata: Metadata
    included: tuple[int, ...]
    index: pd.Index
    raise_unknown: bool
    is_estimable: NDArray[np.bool_]
    frame: Any = None
    is_all: bool = True

    @property
    def n_rows(self) -> int:
        return self.table.n_rows

    def expected(self) -> FloatArray:
        """Return what predict does, (n,)."""
        found = self._linear_predictor()
        offset = None if self.frame is None else self.frame.offset()
        found = found if offset is None else found + offset
        return self._by_correlation(found, offset) if self.is_conditional else found

    def _linear_predictor(self) -> FloatArray:
        """Return Xβ̂ + Zb̂ of the effects that count, (n,)."""
        return linear_predictor(
            self.fitted.encoder,
            self.fitted.solution,
            self.table,
            self.metadata,
            self.included,
            raise_unknown=self.raise_unknown,
        )

    def _by_correlation(self, found: FloatArray, offset: FloatArray | None) -> FloatArray:
        """Add what the residuals of rows of the same subjects say of those here.

        A row at a subject and time of the fit is predicted from all other rows.
        """
        new, predictor = self.new_rows(), self.fitted.repeated_predictor
        check_beside(self.fitted, new)
        out, same = found + kernel.correction(predictor, new), predictor.same(new)
        at = np.flatnonzero(same >= 0)
        if len(at):
            out[at] = kernel.left_out(predictor, same[at])
            out[at] += 0.0 if offset is None else offset[at]
        return out

    @property
    def is_conditional(self) -> bool:
        """Whether residuals of the fit's rows count."""
        return self.is_all and self.fitted.has_correlated_rows

    def new_rows(self, *, has_columns: bool = False, has_labels: bool = True) -> NewRows:
        """Return the rows as a model with a residual covariance predicts them.

        `has_labels`: whether subjects, times and strata count.
        """
        encoder = self.fitted.encoder
        assert encoder.subjects is not None
        codes = [self.codes(k) for k in range(len(encoder.factors))]
        levels = np.stack(codes, axis=1) if codes else np.empty((self.n_rows, 0), dtype=np.intp)
        out = encoder.subjects.new_rows(self.table, self.metadata, levels, has_labels=has_labels)
        if not self.is_all:
            out = replace(out, subject=np.full(self.n_rows, -1))
        if self.fitted.has_fitted_power:
            out = out.with_sizes(self._linear_predictor())
        if not has_columns:
            return out
        n, zeros = self.n_rows, np.zeros(self.n_rows, dtype=np.intp)
        columns = np.stack([np.ones(n), *encoder.numeric_columns(self.table)], axis=1)[:, 1:]
        own = RepeatedRows(columns, np.zeros(n), np.ones(n), levels, *[zeros] * 4)
        at_zero, center = self.fitted.repeated.at_zero, self.fitted.stats.center
        frame = kernel.rows_in_frame(at_zero, self.fitted.model, center, own)
        return replace(out, frame=frame)

    def response(self, y: Any) -> FloatArray:
        """Return y, or the response that the model's formula names, (n,)."""
        if self.frame is not None:
            return self.frame.response(y)
        if y is None:
            raise ValueError("y=None, but only the formula of a model names a response. Give it.")
        return check_response(y, self.n_rows, None)

    @property
    def response_name(self) -> str | None:
        """What a formula calls the response; None without one."""
        return None if self.frame is None else self.frame.response_name

    def weights(self, sample_weight: Any) -> FloatArray:
        """Return the rows' weights, (n,).

        Raises
        ------
        ValueError
            If there are none, but the model was fitted with weights.
        """
        if self.frame is not None:
            sample_weight = self.frame.weights(sample_weight)
        weights = check_weights(sample_weight, self.n_rows)
        if weights is not None:
            return weights
        if self.fitted.stats.unweighted is not None:
            raise ValueError(
                "sample_weight=None, but the model was fitted with weights, on which the result "
                "depends. Pass the weights of the rows of X."
            )
        return np.ones(self.n_rows)

    def design(self) -> DesignRows:
        """Return the rows of [Z X] in the coordinates of the system.

        Rows have no entries of a factor whose level is unknown or that is not included.
        """
        return self.predicted().design

    def predicted(
        self, system: System | None = None, *, others_are_new: bool = True
    ) -> PredictedRows:
        """Return the rows of `design`, and apart those with an unknown level.

        In the layout of `system`, of the exact factorization by default.
        `others_are_new`: whether rows are at new levels of the factors that are not
        included, or have no effects of theirs at all.
        """
        encoder, model = self.fitted.encoder, self.fitted.model
        system = self.fitted.factorization.system if system is None else system
        center = self.fitted.stats.center
        numeric = encoder.numeric_columns(self.table)
        for column, name in zip(numeric, encoder.names, strict=True):
            check_squares(np.asarray(column), name)
        columns = (np.ones(self.n_rows), *numeric)
        factors, new = [], []
        for factor in system.factors:
            k = factor.terms[0].term.factor
            codes = self.codes(k)
            own = [columns[c] - center[c] for c in encoder.factor_columns(k)]
            values = np.stack(own, axis=1)
            if factor.regression is not None:
                values = kernel.residuals(values, factor.regression)
            is_drawn = k in self.included or others_are_new
            unknown = np.flatnonzero((codes < 0) & is_drawn)
            factors.append(factor_rows(codes, values, factor.n_levels))
            new.append(NewLevels(unknown, values[unknown]))
        fixed = np.empty((self.n_rows, system.n_fixed))
        for j, kept in enumerate(system.kept):
            np.subtract(columns[model.fixed[kept]], system.center[j], out=fixed[:, j])
        if system.regression is not None:
            fixed = kernel.residuals(fixed, system.regression[:-1, :-1])
        return PredictedRows(DesignRows(tuple(factors), fixed), tuple(new))

    def codes(self, k: int) -> IntArray:
        """Return the level of factor k of each row, −1 where it does not count."""
        if k not in self.included:
            return np.full(self.n_rows, -1)
        codes = self.fitted.encoder.factors[k].codes(self.table, self.metadata)
        if self.raise_unknown:
            check_known(self.fitted.encoder, k, codes)
        return codes


def working_fit(opened: FittedModel) -> FittedModel:
    """Return the linear model that Newton's method solves at the mode of a generalized one."""
    opened.check_has_statistics()
    products, lams = kernel.working_model(opened.generalized)
    pairs = zip(opened.solution.terms, lams, strict=True)
    terms = tuple(replace(term, search_lam=lam) for term, lam in pairs)
    solution = replace(opened.solution, terms=terms, family=None)
    estimate = replace(opened.estimate, solution=solution)
    return FittedModel(opened.encoder, opened.n_rows, estimate, products)


def open_rows(
    model: Any, X: Any, groups: Any = None, *, include: Any = "all", has_family: bool = False
) -> GivenRows:
    """Open X for a fitted estimator, or for a Pipeline that ends in one.

    With what the estimator predicts with: effects of rows given to `update_groups` too.
    `include`: whose random effects count, as in predict. `has_family`: whether the caller
    knows what to do with a generalized model.
    """
    regressor, opened = regressor_of(model), served(model, has_family=has_family)
    included = check_include(include, opened.encoder)
    index = X.index if isinstance(X, pd.DataFrame) else None
    X, by_formula = before_model(model, X)
    frame = None
    if by_formula is not None:
        frame = by_formula._complete(X)
        X = frame.columns(include)
        index = X.index if frame.keep is not None else index
    is_all = isinstance(include, str) and include == "all"
    table = open_features(regressor, X, opened.encoder, included, is_all=is_all)
    metadata = open_prediction_metadata(groups, table.n_rows, opened.encoder, included)
    if index is None or len(index) != table.n_rows:
        index = pd.RangeIndex(table.n_rows)
    raise_unknown = regressor.handle_unknown == "error"
    is_estimable = estimable_rows(opened.encoder, opened.solution, table)
    return GivenRows(
        opened, table, metadata, included, index, raise_unknown, is_estimable, frame, is_all
    )


def open_features(
    estimator: Any, X: Any, encoder: Encoder, included: tuple[int, ...], *, is_all: bool = True
) -> Table:
    """Open X as a fitted estimator knows it; grouping columns without effect may be missing."""
    table = open_table(X, estimator)
    known = getattr(estimator, "feature_names_in_", None)
    if table.names is not None and known is not None:
        idle = encoder.idle_positions(included, has_subjects=is_all)
        missing = [j for j, name in enumerate(known) if name not in table.names]
        present = [name for j, name in enumerate(known) if j not in missing]
        if missing and idle.issuperset(missing) and list(table.names) == present:
            return _widened(table, known, present)
    return open_checked(X, estimator, reset=False)


def _widened(table: Table, known: Any, present: list[str]) -> Table:
    """Give columns the places that they had in fit."""
    at = {j: present.index(name) for j, name in enumerate(known) if name in present}
    return replace(
        table, get=lambda j: table.get(at[j]), names=tuple(known), n_columns=len(known), matrix=None
    )
