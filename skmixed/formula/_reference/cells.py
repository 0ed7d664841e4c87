"""The columns of a formula at the cells of a grid, and their derivatives by a numeric column."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray
from skmixed.formula._code import TERM, alias, columns_in
from skmixed.formula._columns import NamedRows
from skmixed.formula._model_frame import ModelFrame
from skmixed.formula._reference.observed import ObservedValues
from skmixed.formula._reference.response import ResponseInverse
from skmixed.formula._source import Part, Quantity, own_columns

# Step of a difference quotient, as a share of the scale of the column: the cube root of the
# rounding of doubles, at which the error of the difference and that of rounding are alike.
STEP = float(np.finfo(float).eps ** (1 / 3))


@dataclass(frozen=True)
class FormulaCells:
    """A fitted formula at the cells of a grid.

    A frame of cells has a column for each variable that is asked for, of labels, booleans
    or numbers.

    Attributes
    ----------
    frame : ModelFrame
    observed : ObservedValues
    """

    frame: ModelFrame
    observed: ObservedValues

    @property
    def fixed(self) -> list[str]:
        """The columns of the data in the fixed part, in the order of the formula."""
        return self.frame.fixed.sum.columns

    @property
    def random(self) -> list[str]:
        """Those of the coefficients of the random-effects terms."""
        return list(dict.fromkeys(n for part in self.frame.slopes for n in part.sum.columns))

    @property
    def offsets(self) -> list[list[str]]:
        """Those of each offset."""
        return [own.columns for own in self.frame.offsets]

    @property
    def grouping(self) -> list[str]:
        """Those of the grouping factors."""
        return list(self.frame.grouping.values())

    @property
    def interactions(self) -> list[frozenset[str]]:
        """The columns of each term of the fixed part."""
        own = self.frame.fixed.sum
        return [frozenset(own_columns(term, own)) for term in own.formula]

    def is_factor(self, name: str) -> bool:
        """Whether a column is at its levels alone: a factor, a boolean, numbers coded as one."""
        return name in self.frame.kinds.levels or name in self.frame.coded_numbers

    def is_date(self, name: str) -> bool:
        return name in self.frame.kinds.dates

    def rows(self, cells: pd.DataFrame) -> FloatArray:
        """Return the rows of X at cells, with the intercept, (k, p)."""
        part = self.frame.fixed
        return _with_intercept(part, self._columns(part, cells))

    def random_rows(self, cells: pd.DataFrame) -> list[FloatArray]:
        """Return the rows z of each random-effects term at cells, each (k, s)."""
        parts = self.frame.slopes
        return [_with_intercept(part, self._columns(part, cells)) for part in parts]

    def offset(self, which: int, cells: pd.DataFrame) -> FloatArray:
        """Return one offset at cells, (k,)."""
        values = self.frame.offsets[which].values(NamedRows.of(cells))
        return np.asarray(values, dtype=np.float64)

    def slopes(self, name: str, cells: pd.DataFrame) -> FloatArray:
        """Return the derivative of the rows of X by a numeric column at cells, (k, p).

        Of a term that has the column itself as one factor it is the product of the others.
        Of a function of the column it is a difference quotient, see `_nodes`.
        """
        part, one = self.frame.fixed, cells.assign(**{name: 1.0})
        uses = _uses_of(part, name)
        out = np.zeros((len(cells), len(part.names)))
        itself, of_function = (_terms(part, [own == kind for own in uses]) for kind in (1, 2))
        places = {own: k for k, own in enumerate(part.names)}
        at = [places[own] for own in itself.names]
        out[:, at] = self._columns(itself, one)
        at = [places[own] for own in of_function.names]
        out[:, at] = self._difference(name, cells, lambda own: self._columns(of_function, own))
        return np.column_stack([np.zeros((len(out), int(part.has_intercept))), out])

    def offset_slopes(self, name: str, cells: pd.DataFrame) -> FloatArray:
        """Return the derivative of the sum of the offsets by a numeric column at cells, (k,)."""
        out = np.zeros(len(cells))
        for k, own in enumerate(self.frame.offsets):
            if name in own.columns:
                out += self._offset_slope(k, own, name, cells)
        return out

    def _offset_slope(self, k: int, own: Quantity, name: str, cells: pd.DataFrame) -> FloatArray:
        if own.sum is None:
            return np.ones(len(cells))
        found = self._difference(name, cells, lambda at: self.offset(k, at)[:, None])
        return found[:, 0]

    def _difference(self, name: str, cells: pd.DataFrame, columns: Any) -> FloatArray:
        """Return the difference quotient of columns by one of the data, (k, c)."""
        nodes, weights = self._nodes(name, cells[name].to_numpy(dtype=float))
        stacked = pd.concat([cells.assign(**{name: node}) for node in nodes], ignore_index=True)
        values = columns(stacked).reshape(3, len(cells), -1)
        return np.asarray(np.einsum("jk,jkc->kc", weights, values))

    def _nodes(self, name: str, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return three nodes for each x, and the weights of a derivative at it, each (3, k).

        The nodes c − h, c, c + h lie around x, and of an x between the least and the largest
        value of the fit between these, beyond which splines are not defined. The derivative
        at x = c + th of the parabola through them errs by h²|f'''|(3t² − 1)/6 at most, and by
        the rounding of f over h. h is a share of the range of the column, or of x where all
        values have the sign of x, as those of a logarithm have.
        """
        _, low, high = self.observed.range_of(name)
        width = high - low
        scale = np.full(len(x), width if 0.0 < width < np.inf else 1.0)
        if low * high >= 0.0:
            of_sign = (np.sign(x) == np.sign(low + high)) & (x != 0.0)
            scale = np.where(of_sign, np.minimum(np.abs(x), scale), scale)
        h = STEP * scale
        is_inside = (low <= x) & (x <= high) & (high - low > 2.0 * h)
        center = np.where(is_inside, np.clip(x, low + h, high - h), x)
        nodes = np.stack([center - h, center, center + h])
        h = (nodes[2] - nodes[0]) / 2.0  # as rounded
        t = (x - center) / h
        return nodes, np.stack([t - 0.5, -2.0 * t, t + 0.5]) / h

    def _columns(self, part: Part, cells: pd.DataFrame) -> FloatArray:
        """Evaluate the columns of a sum of terms at cells, but for the intercept, (k, c)."""
        if not part.names:
            return np.zeros((len(cells), 0))
        rows = self.frame.kinds.frame(NamedRows.of(cells), part.sum.uses)
        return np.stack(list(part.columns(rows, self.frame.source).values()), axis=1)

    @property
    def response(self) -> str:
        """What the formula computes of its response; "" of a column as it is."""
        own = self.frame.response
        return own.text if own is not None and own.sum is not None else ""

    def response_inverse(self) -> ResponseInverse | None:
        """Return the inverse of what the formula makes of its response; None of the response."""
        return ResponseInverse.of(self.frame.response)


def _with_intercept(part: Part, columns: FloatArray) -> FloatArray:
    return np.column_stack([np.ones((len(columns), int(part.has_intercept))), columns])


def _uses_of(part: Part, name: str) -> list[int]:
    """Say of each term whether it has a column not, as one of its factors, or in a function."""
    out = []
    for term in part.sum.formula:
        own = [f.expr for f in term.factors if name in columns_in(f.expr)]
        out.append(0 if not own else 1 if own == [alias(name, TERM)] else 2)
    return out


def _terms(part: Part, chosen: list[bool]) -> Part:
    """Return some of the terms of a sum, as learned."""
    own, learned = part.sum, part.learned
    terms = [term for term, is_in in zip(own.formula, chosen, strict=True) if is_in]
    found = [one for one, is_in in zip(learned.terms, chosen, strict=True) if is_in]
    chosen_sum = replace(own, formula=type(own.formula)(terms))
    return Part(chosen_sum, replace(learned, terms=tuple(found)))
