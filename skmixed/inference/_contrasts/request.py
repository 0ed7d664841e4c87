"""What is compared, and how, as a user asks for it: from cells to weights of comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from skmixed._data.table import shown
from skmixed._fitted.checks import check_flag, chosen
from skmixed.inference._contrasts.custom import custom_weights
from skmixed.inference._contrasts.families import CellFamily, check_by, families
from skmixed.inference._contrasts.methods import (
    METHOD_HINTS,
    METHODS,
    METHODS_OF_R,
    ContrastMethod,
    LabeledCells,
    Weights,
)
from skmixed.inference._marginal.linear_estimates import LinearEstimates
from skmixed.inference._marginal.marginal_table import MarginalTable, check_columns
from skmixed.inference._marginal.scale import LINK, POPULATION, Scale

# Comparisons that a remark names.
MOST = 5
COLUMNS = (
    *("estimate", "ratio", "odds_ratio", "effect_size", "std_error", "df", "t", "z"),
    *("p_value", "lower", "upper"),
)


@dataclass(frozen=True)
class Compared:
    """Comparisons without their tests.

    Attributes
    ----------
    estimates : LinearEstimates
        A family after the other.
    sizes, n_cells : tuple of int
        The number of comparisons, and of cells, in each family.
    scale : Scale
    title : str
    noun : str
        What is compared.
    """

    estimates: LinearEstimates
    sizes: tuple[int, ...]
    n_cells: tuple[int, ...]
    scale: Scale
    title: str
    noun: str


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes
    ----------
    method : ContrastMethod or None
        None where the user gives the weights.
    weights : Any
        These weights, unread.
    reference : Any
        The control, or None for the first cell.
    reverse : bool
    """

    method: ContrastMethod | None
    weights: Any
    reference: Any
    reverse: bool

    @staticmethod
    def of(method: Any, reference: Any, *, reverse: bool) -> "Request":
        """Read what a user asks for; refuse what no method has."""
        check_flag("reverse", reverse)
        named = None
        if isinstance(method, str):
            named = METHODS[chosen("method", method, METHODS, METHODS_OF_R, METHOD_HINTS)]
        name = shown(method) if named is None else repr(named.name)
        if reference is not None and (named is None or not named.has_reference):
            raise ValueError(
                f"reference={shown(reference)} is the control of method='trt.vs.ctrl', and "
                f"method={name} has none. Leave it out."
            )
        if reverse and (named is None or not named.has_reverse):
            raise ValueError(
                f"reverse=True turns differences of two cells round, and method={name} has "
                "others. Leave it out."
            )
        return Request(named, method, reference, reverse)

    def compared(
        self, table: MarginalTable, by: Any, level: float, *, has_ratios: bool = True
    ) -> Compared:
        """Compare the cells of a table within the values of `by`, or of its own.

        `has_ratios`: whether differences of logarithms become ratios, on the response's scale.
        """
        own = table.estimates
        within = check_by(own.by if by is None else by, own.names)
        check_columns(within, COLUMNS)
        groups = families(own.cells, within)
        back = table.scale.back
        plain = own.cells if own.of_differences is None else own.of_differences
        of_differences = _labeled(self, groups, families(plain, within), "-")
        is_ratio = has_ratios and back is not None and bool(back.ratio_name)
        is_ratio = is_ratio and all(part.are_contrasts for part in of_differences)
        weights = _labeled(self, groups, groups, "/") if is_ratio else of_differences
        cells = _cells(groups, weights, within)
        matrix = block_diag(*(part.rows for part in weights))
        # Families in turn
        matrix = matrix[:, np.argsort(np.concatenate([group.places for group in groups]))]
        return Compared(
            estimates=own.combined(
                matrix,
                cells,
                within,
                level,
                _cells(groups, of_differences, within) if is_ratio else None,
            ),
            sizes=tuple(len(part.labels) for part in weights),
            n_cells=tuple(len(group.cells) for group in groups),
            scale=table.scale if is_ratio or back is None else Scale(LINK),
            title=self._title(own.names, within),
            noun=table.noun,
        )

    def _title(self, names: Sequence[str], within: Sequence[str]) -> str:
        what = "Comparisons of {}" if self.method is None else self.method.description
        title = what.format(" and ".join(name for name in names if name not in within))
        return f"{title}, by {' and '.join(within)}" if within else title

    def weights_of(self, group: CellFamily, labels: Sequence[str], sign: str) -> Weights:
        """Return the comparisons of one family, with the cells called by `labels`."""
        if self.method is None:
            return custom_weights(self.weights, group)
        if len(group.cells) < 2:
            raise ValueError(
                f"There is one cell{_named(group)}, where several are compared. Ask for means over "
                "a variable with several values, and leave it out of `by`."
            )
        at = 0 if self.reference is None else group.place(self.reference, "reference")
        return self.method.of(LabeledCells(labels, sign, at), self.reverse)


def marginal_table(means: Any) -> MarginalTable:
    """Return a table of means, slopes or comparisons; refuse other frames."""
    if isinstance(means, MarginalTable) and hasattr(means, "estimates"):
        if means.is_as_made:
            return means
        raise ValueError(
            "means is a table that was changed in place after it was made: its rows are no longer "
            "those of its estimates. Make it again, ask for fewer cells by `at`, and change a "
            "copy, pandas.DataFrame(means)."
        )
    if isinstance(means, pd.DataFrame):
        raise TypeError(
            "means is a plain DataFrame, as it is after rounding or selecting: what it was "
            "computed from is lost. Give the table that marginal_means, marginal_slopes or "
            "comparisons has returned, and round the result."
        )
    raise TypeError(
        f"means={shown(means)} is of type {type(means).__name__}. Give the table that "
        "marginal_means, marginal_slopes or comparisons has returned."
    )


def remarks_of(found: Compared, level: float) -> list[str]:
    """Say what comparisons are on, what was averaged over and held, and by which tests."""
    own, back = found.estimates, found.scale.back
    said = remarks_on(own)
    if back is not None:
        on = f"the link ({back.name})" if own.tests.is_generalized else back.name
        said = [f"Transformed back from differences on the scale of {on}.", *said[bool(own.on) :]]
    if found.scale.name == POPULATION:
        return [*said, f"Normal tests; {100 * level:g} % confidence intervals."]
    return [*said, own.tests.remark(level)]


def remarks_on(own: LinearEstimates) -> list[str]:
    """Say what differences are on, what was averaged over and held, and what is not determined."""
    said, missing = [*own.said], own.cells.loc[~own.is_estimable]
    if len(missing):
        names = [", ".join(map(str, row)) for row in missing.head(MOST).itertuples(index=False)]
        more = f"; and {len(missing) - MOST} more" if len(missing) > MOST else ""
        said.append(f"The data do not determine {'; '.join(names)}{more}.")
    return said


def _labeled(
    request: Request, groups: Sequence[CellFamily], called: Sequence[CellFamily], sign: str
) -> list[Weights]:
    """Return the comparisons of each family, with its cells called as in another."""
    return [
        request.weights_of(group, name.labels, sign)
        for group, name in zip(groups, called, strict=True)
    ]


def _cells(
    groups: Sequence[CellFamily], weights: Sequence[Weights], within: tuple[str, ...]
) -> pd.DataFrame:
    """Return a row for each comparison: its label, and the values that it is within."""
    labels = [label for part in weights for label in part.labels]
    sizes = [len(part.labels) for part in weights]
    values = pd.concat([group.within for group in groups])
    values = values.loc[values.index.repeat(sizes)].reset_index(drop=True)
    # As emmeans does: contrast, contrast1, ...
    names = ("contrast" + str(k or "") for k in count())
    values.insert(0, next(name for name in names if name not in within), labels)
    return values


def _named(group: CellFamily) -> str:
    return "".join(f", {label!r}" for label in group.plain_labels)
