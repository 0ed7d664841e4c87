"""What a figure of effects shows: its variables, the values of these, and its names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted.fitted_model import FittedModel, served
from skmixed._fitted.prediction_rows import open_rows
from skmixed._typing import FloatArray
from skmixed.inference._marginal.grid import reference_of
from skmixed.inference._marginal.grid_request import GridRequest
from skmixed.inference._marginal.scale import LINK, RESPONSE
from skmixed.plotting._axes.names import mean_name

# Values of a numeric variable at which a line is found.
N_VALUES = 50
# Of the horizontal axis, of colors and of panels.
MOST_VARIABLES = 3


@dataclass(frozen=True)
class EffectsRequest:
    """The variables of a figure of effects, and their values.

    Attributes
    ----------
    model : FormulaRegressor or Pipeline
    view : FittedModel
    formula : FormulaColumns
        What the formula tells of its columns.
    variables : tuple of str
        Of the horizontal axis, of the colors and of the panels.
    grid_values : dict of str to list
        The values given, and those of a numeric variable of the horizontal axis.
    is_line : bool
        Whether the horizontal axis is numeric.
    """

    model: Any
    view: FittedModel
    formula: Any
    variables: tuple[str, ...]
    grid_values: dict[str, list[Any]]
    is_line: bool

    @staticmethod
    def of(
        model: Any, variables: Any, by: Any, at: Mapping[str, Any] | None, *, least: int = 1
    ) -> "EffectsRequest":
        """Read the arguments; what they name is checked where the effects are found.

        Raises
        ------
        TypeError
            If the model is by no formula, or an argument names nothing.
        ValueError
            If there are fewer variables than `least`, or more than three.
        """
        formula, own = reference_of(model), GridRequest.of(variables, by, at)
        names, values = own.targets, dict(own.at)
        if len(names) < least:
            raise ValueError(
                f"variables={variables!r} names no variable. Give the one of the horizontal axis."
            )
        if len(names) > MOST_VARIABLES:
            raise ValueError(
                f"`variables` and `by` name {len(names)} variables, and a figure has three at "
                "most: those of the horizontal axis, of the colors and of the panels. Leave "
                "out some, and give each of these a value by `at`."
            )
        is_line = bool(names) and _is_numeric(formula, names[0], values)
        if is_line and names[0] not in values and not formula.is_date(names[0]):
            _, low, high = formula.observed.range_of(names[0])
            if np.isfinite([low, high]).all():
                values[names[0]] = np.linspace(low, high, N_VALUES if low < high else 1).tolist()
        view = served(model, has_family=True)
        return EffectsRequest(model, view, formula, names, values, is_line)

    @property
    def response(self) -> str:
        """What the formula has before its ~."""
        return self.formula.frame.response_name or "response"

    def mean_name(self, scale: str) -> str:
        """Name the mean of the response on a scale."""
        frame, name = self.formula.frame, self.response
        if not self.view.is_generalized:
            is_back = scale == RESPONSE and self.formula.response_inverse() is not None
            return str(frame.response.columns[0]) if is_back else name
        if scale == LINK:
            return f"{self.view.family.link_name} of {name}"
        return mean_name(self.model, name)

    def label(self, scale: str, *, has_dots: bool) -> str:
        """Name the vertical axis: the mean of the response, and where its offset is."""
        name = self.mean_name(scale)
        if not self._held_offsets:
            return name
        if has_dots and not self._moves_with_offset:
            return f"{name} (means at the mean offset, dots at their own)"
        return f"{name} (at the mean offset)"

    @property
    def _held_offsets(self) -> list[int]:
        """The offsets that are at their means: those of which no variable is given."""
        given = {*self.variables, *self.grid_values}
        return [k for k, names in enumerate(self.formula.offsets) if not given & {*names}]

    @property
    def _moves_with_offset(self) -> bool:
        """Whether an offset adds to single responses, or multiplies them."""
        return not self.view.is_generalized or self.view.family.link_name == "log"

    def _to_mean_offset(self, rows: Any) -> FloatArray:
        """Return how far the offsets of rows lie below their means over the fit, (n,)."""
        out = np.zeros(rows.n_rows)
        for k in self._held_offsets:
            own = self.formula.frame.offsets[k].values(rows)
            out += self.formula.observed.offsets[k] - np.asarray(own, dtype=float)
        return out

    def slope_name(self, column: str) -> str:
        return f"change of {self.mean_name(LINK)} per unit of {column}"

    def data(self, X: Any, y: Any, scale: str, table: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of X at the places of a figure, with their responses.

        A numeric variable of colors or of panels is at the nearest of the values shown. The
        responses of an identity or a log link are moved to the mean offset, where the means are.

        Raises
        ------
        ValueError
            If responses have no place on the scale of a link.
        """
        if self.view.is_generalized and scale == LINK:
            raise ValueError(
                f"scale='link' is that of the {self.view.family.link_name}, on which single "
                "responses have no place. Leave X out, or use scale='response'."
            )
        given = open_rows(self.model, X, include="fixed", has_family=True)
        response, rows = given.response(y), given.frame.rows
        if self._moves_with_offset:
            moved = self._to_mean_offset(rows)
            response = response * np.exp(moved) if self.view.is_generalized else response + moved
        if not self.view.is_generalized and scale == RESPONSE:
            back = self.formula.response_inverse()
            response = response if back is None else back.inverse(response)
        out = pd.DataFrame(index=given.index)
        for k, name in enumerate(self.variables):
            column = rows.column(name)
            if k > 0 or not self.is_line:
                column = self._nearest(name, column, pd.Series(table[name].unique()))
            out[name] = column.array
        return out.assign(response=response)

    def _nearest(self, name: str, column: pd.Series, shown: pd.Series) -> pd.Series:
        """Return of each row the value shown that it counts for, missing if there is none."""
        if not self.formula.is_factor(name):
            distance = np.abs(column.to_numpy()[:, None] - shown.to_numpy())
            return shown.iloc[distance.argmin(axis=1)]
        levels = self.formula.observed.levels[name]
        place = pd.Series(np.arange(len(shown)), index=levels.codes(shown, name))
        at = place.reindex(levels.codes(column, name))
        return at.map(shown)


def _is_numeric(formula: Any, name: Any, at: Any) -> bool:
    """Whether a variable has a place on a line: no factor, nor a number of but two values."""
    known = {*formula.fixed, *(own for names in formula.offsets for own in names)}
    if name not in known or formula.is_factor(name):
        return False
    return name not in formula.observed.levels or name in at
