"""Joint tests: of the terms of a model over its reference grid, and of all rows of a table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from skmixed._data.table import shown
from skmixed._fitted.checks import check_choice
from skmixed._typing import FloatArray
from skmixed.inference._contrasts.comparisons import Comparisons
from skmixed.inference._contrasts.families import CellFamily, check_by, families
from skmixed.inference._contrasts.request import marginal_table
from skmixed.inference._fixed_tests import FixedTests
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import check_columns
from skmixed.inference._tables.table import ResultTable
from skmixed.inference._terms.crossed import CrossedCells
from skmixed.inference._terms.term_grid import grid_of_terms
from skmixed.typing import Ddf, Hypothesis, Robust

EQUAL, ZERO = "equal", "zero"
HYPOTHESES = (EQUAL, ZERO)
CONFOUNDED = "(confounded)"
COLUMNS = ("term", "F", "chi2", "df_num", "df_den", "df", "p_value")
# Share of a hypothesis in standard errors up to which others contain it.
CONTAINED = 1e-8


def joint_tests(
    model: Any,
    by: str | Sequence[str] | None = None,
    *,
    at: Mapping[str, Any] | None = None,
    ddf: Ddf | None = None,
    robust: Robust | None = None,
    hypothesis: Hypothesis | None = None,
) -> ResultTable:
    """Test the terms of a model over its grid, or all rows of a table at once.

    That all differences of marginal means which make up a main effect or an interaction are
    0, with equal weights of all cells. R's emmeans has the same as ``joint_tests``, and as
    ``test(joint = TRUE)`` of a table.

    Parameters
    ----------
    model : FormulaRegressor, Pipeline or table
        A fitted model by a formula; or what `marginal_means`, `marginal_slopes` or
        `comparisons` has returned.
    by : str or list of str, default=None
        Variables for each of whose values the other ones are tested. None: those of a table.
    at : mapping of str to value or list, default=None
        Values of columns in place of the grid's, for a model.
    ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
        The method for the degrees of freedom, as in `coefficient_table`, for a model; of
        models with a residual covariance also "kenward-roger-linear" and "between-within".
    robust : {"CR0", "CR2", "CR3"}, default=None
        The kind of robust covariance, as in `coefficient_table`, for a model.
    hypothesis : {"equal", "zero"}, default=None
        "equal": that means or slopes do not differ, term by term. "zero": that all rows of a
        table are 0. None: "zero" of comparisons, else "equal".

    Returns
    -------
    ResultTable
        A row for each term, of those that are in the model, in each value of `by`: ``term``,
        the variables of `by`, ``df_num``, ``df_den``, ``F``, ``p_value``; of a generalized
        model ``chi2``, ``df``, ``p_value``. Without ``term`` for "zero". Where the data
        do not determine all differences of a term, those are tested that they do, with a
        remark; "(confounded)" are differences between cells that are in no term then. A factor
        that is nested in another is tested within its levels, as "school:class"; so is a
        variable that the formula has within others alone, as ``f`` in ``x + f:x``.

    Raises
    ------
    TypeError
        If the model is by no formula, or a table is a plain DataFrame.
    ValueError
        If a variable or a value is not known, or cells of a table are not all combinations.

    See Also
    --------
    anova : Tests of terms by types I, II and III.
    comparisons : The differences one by one.

    Notes
    -----
    Without empty cells these are the hypotheses of type III (`anova`) of models of factors;
    with numeric columns a factor is tested at their means, where type III is at 0. Numbers
    are one below and one above their mean, so that a numeric column is tested as a factor
    of two levels. F is that of `contrast`. The degrees of freedom of its denominator
    are those of orthonormal combinations of the means: they depend on the hypothesis alone, so that
    a table and its comparisons have the same, where those of `contrast` depend a little on how
    its rows are chosen. emmeans has the same F for Satterthwaite's method, without the scale of
    Kenward and Roger's, and takes for the denominator the least degrees of freedom of
    orthogonal differences.

    Examples
    --------
    >>> from skmixed import lmer
    >>> from skmixed.datasets import load_cake
    >>> from skmixed.inference import joint_tests
    >>> model = lmer("angle ~ recipe * temp + (1 | recipe:replicate)", load_cake().frame)
    >>> joint_tests(model)
    Joint tests of terms
     term         df_num  df_den      F  p_value
     recipe            2      42   0.25    0.781
     temp              1     222  94.16   <0.001
     recipe:temp       2     222   0.04    0.959
    At the mean ± 1: temp.
    F tests with Satterthwaite's degrees of freedom.
    >>> joint_tests(model, "recipe")
    Joint tests of terms, by recipe
     term  recipe  df_num  df_den      F  p_value
     temp  A            1     222  29.70   <0.001
     temp  B            1     222  34.04   <0.001
     temp  C            1     222  30.51   <0.001
    At the mean ± 1: temp.
    F tests with Satterthwaite's degrees of freedom.
    """
    if hypothesis is not None:
        check_choice("hypothesis", hypothesis, HYPOTHESES)
    usual = ZERO if isinstance(model, Comparisons) else EQUAL
    if isinstance(model, pd.DataFrame):
        _check_without(at=at, ddf=ddf, robust=robust)
        own, nesting = marginal_table(model).estimates, None
    else:
        own, nesting = grid_of_terms(model, by, at, ddf, robust)
        own = replace(own, offset=np.zeros_like(own.offset))  # its terms are tested without it
    is_zero = (hypothesis or usual) == ZERO
    within = own.by if by is None else check_by(by, own.names)
    check_columns(within, COLUMNS)
    cells = None
    if not is_zero:  # what is added to Lβ is a further column of L
        rows = np.column_stack([own.rows, own.offset])
        cells = CrossedCells.of(replace(own, rows=rows), nesting)
    parts, said = [], []
    for group in families(own.cells, within):
        found, missing = (
            _that_all_are_zero(own, group) if cells is None else _of_terms(own, group, cells)
        )
        labels = group.within.iloc[np.zeros(len(found), dtype=int)].reset_index(drop=True)
        parts.append(pd.concat([labels, found], axis=1))
        said += missing
    frame = pd.concat(parts, ignore_index=True)
    if not is_zero:
        frame.insert(0, "term", frame.pop("term"))
    title = "Joint tests that all are 0" if is_zero else "Joint tests of terms"
    title = f"{title}, by {' and '.join(within)}" if within else title
    remarks = [*own.said, *dict.fromkeys(said), own.tests.remark(is_joint=True)]
    return ResultTable.of(frame, title, remarks, dict.fromkeys(["term", *within], "label"))


def _check_without(**given: Any) -> None:
    """Refuse what a table was made by already."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}={shown(value)} is for a model: a table has it from marginal_means or "
                "marginal_slopes. Give it there."
            )


def _that_all_are_zero(own: LinearEstimates, group: CellFamily) -> tuple[pd.DataFrame, list[str]]:
    """Test that all cells of a family are 0, as far as the data determine them."""
    rows, offset = own.rows[group.places], own.offset[group.places]
    is_there = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
    weights = own.tests.estimable_weights(rows[is_there])
    said = []
    if len(weights) < len(rows):
        said = [f"Of {len(rows)} the data determine {len(weights)} combinations, which are tested."]
    weights = _as_they_count(own, weights @ rows[is_there]) @ weights
    tests, tested = own.tests.with_offset(weights @ rows[is_there], weights @ offset[is_there])
    return tests.f_table({0: tested}), said


def _of_terms(
    own: LinearEstimates, group: CellFamily, cells: CrossedCells
) -> tuple[pd.DataFrame, list[str]]:
    """Test what the data determine of each term, and what they tell beside the terms."""
    tests, first = own.tests, group.places[0]
    held = {name: int(pd.factorize(own.cells[name])[0][first]) for name in group.within.columns}
    effects = {term: _of_fixed(rows) for term, rows in cells.effects(held).items()}
    effects = {term: rows for term, rows in effects.items() if len(rows)}
    found = {term: _determined(tests, rows) for term, rows in effects.items()}
    said = [
        f"Of {len(effects[term])} differences of {term} the data determine "
        f"{f'{len(rows)}, which are tested' if len(rows) else 'none'}."
        for term, rows in found.items()
        if len(rows) < np.linalg.matrix_rank(effects[term][:, :-1])
    ]
    if said:
        rows = cells.differences(held)
        known = np.concatenate(list(found.values()))
        left = _beside(tests, _determined(tests, rows), known)
        found |= {CONFOUNDED: left} if len(left) else {}
    counted = {k: _as_they_count(own, rows[:, :-1]) @ rows for k, rows in found.items()}
    tests, _ = tests.with_offset(own.rows, own.offset)
    return tests.f_table(counted).rename_axis("term").reset_index(), said


def _of_fixed(rows: FloatArray) -> FloatArray:
    """Return rows of L and o that are of fixed effects, or of no rows of the data."""
    return rows[rows[:, :-1].any(axis=1)]


def _as_they_count(own: LinearEstimates, rows: FloatArray) -> FloatArray:
    """Return weights that leave degrees of freedom to the space of the rows alone.

    Those of several rows are of the principal components of their estimates, which are other
    ones for other rows of the same space.
    """
    if len(rows) <= 1 or own.tests.sample is None:
        return np.eye(len(rows))
    return own.orthonormal(rows)


def _determined(tests: FixedTests, rows: FloatArray) -> FloatArray:
    """Return combinations of rows of L and o that the data determine."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    return np.asarray(tests.estimable_weights(rows[:, :-1]) @ rows)


def _beside(tests: FixedTests, rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return what rows test beside others: combinations whose estimates are independent of theirs.

    In standard errors independent estimates are orthogonal.
    """
    own, lengths = _unit(tests.standard(rows))
    known, scales = _unit(tests.standard(others))
    shares = own @ np.linalg.pinv(known, rcond=CONTAINED)
    left, sizes, _ = np.linalg.svd(own - shares @ known)
    weights = left[:, : int((sizes > CONTAINED).sum())].T
    return np.asarray(weights @ (rows / lengths - shares @ (others / scales)))


def _unit(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return rows of length 1, or 0, and their lengths."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths = np.where(lengths > 0, lengths, 1.0)
    return rows / lengths, lengths
