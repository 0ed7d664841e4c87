"""What formulaic makes of the parts of a formula: columns, and how to make them again."""

import builtins
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._formula_factors import (
    check_names,
    check_no_dates,
    has_labels,
    names_of,
    with_floats,
    written,
)
from skmixed._formula_syntax import ParsedFormula, error_at, parse_formula, place_of, plain_name
from skmixed._levels import ColumnLevels, learn_levels
from skmixed._table import FloatArray, Table, numeric_column, open_table
from skmixed._terms import RandomEffect

Levels = Mapping[str, ColumnLevels]
FUNCTIONS = (
    "Functions are formulaic's (poly, center, C, …), NumPy's as np.sqrt, and those that `context` "
    "names."
)


@dataclass(frozen=True)
class Part:
    """A sum of terms of the formula, and its columns but for the intercept.

    Attributes
    ----------
    spec : formulaic.ModelSpec
        With the state of its transformations.
    terms : dict of str to tuple of str
        Term → its columns, the intercept left out.
    has_intercept : bool
    """

    spec: Any
    terms: dict[str, tuple[str, ...]]
    has_intercept: bool

    @property
    def names(self) -> list[str]:
        return [name for columns in self.terms.values() for name in columns]

    def columns(self, frame: pd.DataFrame, source: "Source") -> dict[str, FloatArray]:
        """Evaluate the columns on a frame, by name."""
        matrix = source.matrix(self.spec, frame).iloc[:, int(self.has_intercept) :]
        return {name: np.asarray(matrix.iloc[:, k], float) for k, name in enumerate(self.names)}


@dataclass(frozen=True)
class Source:
    """The formula, and the names that it may use beside columns."""

    parsed: ParsedFormula
    context: Mapping[str, Any]

    def formula(self, text: str, available: Iterable[str] = ()) -> Any:
        """Have formulaic read a sum of terms."""
        from formulaic import Formula
        from formulaic.errors import FormulaicError

        known = {
            "__formulaic_variables_available__": list(available),
            "__formulaic_variables_used_lhs__": [],
        }
        try:
            formula = Formula(text, _context=known)
        except (FormulaicError, SyntaxError) as error:
            raise self._syntax_error(error) from None
        return formula

    def variables(self, formula: Any, table: Table) -> list[str]:
        """Return the columns that a formula uses, all of which are there."""
        from formulaic.transforms import TRANSFORMS

        used = names_of(formula)
        for name in used:
            if not (name in self.context or name in TRANSFORMS or hasattr(builtins, name)):
                self.check_column(name, table)
        columns = [name for name in used if name in (table.names or ())]
        for name in columns:
            check_no_dates(self.parsed.text, formula, name, column_of(table, name))
        return columns

    def check_column(self, name: str, table: Table) -> None:
        known = table.names or ()
        if name in known:
            return
        at = place_of(self.parsed.text, name)
        behind = self.parsed.text[at + len(name) :]
        dotted = next((k for k in known if k.startswith(f"{name}.") and k in name + behind), "")
        if dotted:
            message = f"Inside a function a name with a dot needs backticks: `{dotted}`."
        elif behind.startswith("("):
            message = f"{name!r} is no function here. {FUNCTIONS}"
        else:
            message = (
                f"{name!r} is not a column of the data. They are {', '.join(map(repr, known))}."
            )
        raise error_at(self.parsed.text, at, message)

    def matrix(self, spec: Any, frame: pd.DataFrame) -> Any:
        """Evaluate a formula, or again the one that a spec is of."""
        from formulaic import model_matrix
        from formulaic.errors import DataMismatchWarning, FormulaicError

        frame = with_floats(frame, getattr(spec, "formula", spec))
        try:
            # What comes out missing or infinite is reported with its column's name.
            with np.errstate(all="ignore"), warnings.catch_warnings():
                # Else C(…) takes categories that it does not know for the first one.
                warnings.simplefilter("error", DataMismatchWarning)
                return model_matrix(
                    spec, frame, context=self.context, na_action="ignore", output="pandas"
                )
        except DataMismatchWarning as error:
            found = re.search(r"\{(.*)\}", str(error))
            listed = re.sub(r"np\.\w+\((.*?)\)", r"\1", found[1] if found else "")
            raise ValueError(
                f"A C(…) of the formula has no coefficient for the categories {listed}: they were "
                "not there in fit, or its levels leave them out. Drop or recode those rows."
            ) from None
        except (FormulaicError, SyntaxError) as error:
            raise self._evaluation_error(error) from error

    def learn(self, formula: Any, frame: pd.DataFrame) -> Part:
        spec = self.matrix(formula, frame).model_spec
        terms = {
            str(term): tuple(spec.column_names[k] for k in columns)
            for term, columns in spec.term_indices.items()
        }
        has_intercept = terms.pop("1", None) is not None
        return Part(spec, terms, has_intercept)

    def _syntax_error(self, error: Exception) -> ValueError:
        """Say where, without the colors of a terminal."""
        if isinstance(error, SyntaxError):
            at = place_of(self.parsed.text, str(error.text or "").strip())
            return error_at(
                self.parsed.text, at, f"The formula has Python that is none: {error.msg}."
            )
        message, _, context = re.sub(r"\x1b\[[\d;]*m", "", str(error)).partition("\n\n")
        at = max(context.find("⧛"), 0)
        return error_at(self.parsed.text, at, f"The formula cannot be read: {message}")

    def _evaluation_error(self, error: Exception) -> ValueError:
        message = str(error)
        part = re.search(r"`(.*?)`", message)
        at = place_of(self.parsed.text, part[1]) if part else 0
        return error_at(
            self.parsed.text,
            at,
            f"The formula cannot be evaluated: {message} {FUNCTIONS}",
        )


@dataclass(frozen=True)
class ModelFrame:
    """A formula as learned from data.

    Attributes
    ----------
    source : Source
    levels : dict of str to ColumnLevels
        Categories of the columns that are not numeric.
    variables : tuple of str
        The columns that the right-hand side evaluates.
    grouping : tuple of str
        The grouping columns.
    fixed : Part
    slopes : tuple of Part
        Of each random-effects term.
    groups : tuple of tuple of str
        Columns of the grouping factor of each.
    """

    source: Source
    levels: Levels
    variables: tuple[str, ...]
    grouping: tuple[str, ...]
    fixed: Part
    slopes: tuple[Part, ...]
    groups: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> list[str]:
        """The numeric columns, those with a fixed effect first."""
        parts = (self.fixed, *self.slopes)
        return list(dict.fromkeys(name for part in parts for name in part.names))

    @property
    def random_effects(self) -> list[RandomEffect]:
        """The random-effects terms, by position in `columns`."""
        at = {name: k for k, name in enumerate(self.names)}
        beside = (name for name in self.grouping if name not in at)
        place = at | {name: k + len(at) for k, name in enumerate(beside)}
        return [
            RandomEffect(
                tuple(place[name] for name in groups),
                [at[name] for name in part.names],
                intercept=part.has_intercept,
            )
            for groups, part in zip(self.groups, self.slopes, strict=True)
        ]

    def columns(self, data: Any) -> pd.DataFrame:
        """Return the numeric columns and the grouping columns of rows."""
        table = _named_table(data)
        for name in (*self.variables, *self.grouping):
            self.source.check_column(name, table)
        frame = _frame(table, self.variables, self.levels)
        columns: dict[str, Any] = {}
        for part in (self.fixed, *self.slopes):
            if not columns.keys() >= set(part.names):
                columns |= part.columns(frame, self.source)
        # Of a numeric grouping column that is in the sum too, the labels serve as both.
        columns |= {name: column_of(table, name) for name in self.grouping}
        names = dict.fromkeys((*self.names, *self.grouping))
        frame = pd.DataFrame({name: columns[name] for name in names})
        return frame.set_axis(data.index) if isinstance(data, pd.DataFrame) else frame


def learn_frame(
    formula: str, data: Any, context: Mapping[str, Any] | None, beside: Iterable[str] = ()
) -> ModelFrame:
    """Learn a formula's categories and transformations from data.

    `beside`: columns that the dot does not stand for.
    """
    source = Source(parse_formula(formula), dict(context or {}))
    parsed, table = source.parsed, _named_table(data)
    groups = [(own, term) for term in parsed.random for own in term.groups]
    grouping = tuple(dict.fromkeys(name for own, _ in groups for name in own))
    for name in grouping:
        source.check_column(name, table)
    used = {*grouping, *_variables_of(source, parsed.response), *beside}
    fixed = source.formula(
        parsed.fixed,
        [n for n in table.names or () if n not in used],
    )
    if not (names_of(fixed) or groups):
        raise error_at(
            parsed.text,
            len(parsed.text),
            "The formula has neither a column nor a group on its right.",
        )
    random = [(own, f) for own, term in groups for f in _coefficients(source, term)]
    every = [fixed, *(f for _, f in random)]
    variables = tuple(sorted({n for f in every for n in source.variables(f, table)}))
    levels = {
        n: learn_levels(column_of(table, n), n)[0]
        for n in variables
        if has_labels(column_of(table, n))
    }
    frame = _frame(table, variables, levels)
    parts = [source.learn(f, frame) for f in every]
    check_names(parsed.text, [part.spec for part in parts], grouping)
    return ModelFrame(
        source=source,
        levels=levels,
        variables=variables,
        grouping=grouping,
        fixed=parts[0],
        slopes=tuple(parts[1:]),
        groups=tuple(own for own, _ in random),
    )


def evaluate(expression: str, data: Any, context: Mapping[str, Any] | None) -> Any:
    """Return the column that an expression names, or computes from columns."""
    source = Source(ParsedFormula(expression, "", "", ()), dict(context or {}))
    table, name = _named_table(data), plain_name(expression)
    if name is not None:
        source.check_column(name, table)
        return column_of(table, name)
    computed = source.formula(f"0 + {{{expression}}}")
    frame = _frame(table, source.variables(computed, table), {})
    matrix = source.matrix(computed, frame)
    if matrix.shape[1] != 1:
        raise ValueError(
            f"{expression!r} gives {matrix.shape[1]} columns. Write an expression of one numeric "
            "column."
        )
    return matrix.iloc[:, 0].to_numpy()


def _coefficients(source: Source, term: Any) -> list[Any]:
    """Return a formula for each independent part of a random-effects term.

    As lme4's double bar: each term of the sum is on its own, a factor with a coefficient
    for each of its categories, which correlate.
    """
    formula = source.formula(term.coefficients)
    if not len(formula):
        raise error_at(
            source.parsed.text,
            len(term.coefficients) - len(term.coefficients.lstrip()),
            "A random-effects term has no coefficient. Write (1 | g) or (x | g).",
        )
    if not term.is_split:
        return [formula]
    return [source.formula("1" if str(own) == "1" else f"0 + {written(own)}") for own in formula]


def _variables_of(source: Source, expression: str) -> list[str]:
    name = plain_name(expression)
    if name is not None or not expression:
        return [name] if name else []
    return names_of(source.formula(f"0 + {{{expression}}}"))


def _named_table(data: Any) -> Table:
    table = open_table(data)
    if table.names is None:
        raise TypeError(
            f"data is of type {type(data).__name__}, without names of columns. Give a frame whose "
            "columns the formula names."
        )
    return table


def column_of(table: Table, name: str) -> Any:
    names = table.names or ()
    if names.count(name) > 1:
        raise ValueError(f"{name!r} is the name of {names.count(name)} columns of the data.")
    column = table.get(names.index(name))
    return column.reset_index(drop=True) if isinstance(column, pd.Series) else column


def _frame(table: Table, variables: Iterable[str], levels: Levels) -> pd.DataFrame:
    """Return the columns to evaluate, none of them with missing values."""
    columns = {name: _evaluable(name, column_of(table, name), levels) for name in variables}
    return pd.DataFrame(columns, index=pd.RangeIndex(table.n_rows))


def _evaluable(name: str, column: Any, levels: Levels) -> Any:
    column = pd.Series(column)
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"Column {name!r} contains missing values ({int(missing.sum())}, first at row "
            f"{int(np.argmax(missing))}). Impute or drop those rows first."
        )
    if name not in levels:
        is_number = pd.api.types.is_numeric_dtype(column.dtype) or column.dtype.kind in "mM"
        return column if is_number else numeric_column(column, name)
    codes = levels[name].codes(column, name)
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise ValueError(
            f"Column {name!r} has the category {column.iloc[row]!r} (first at row {row}), which "
            "was not there in fit: its fixed effect is unknown. Drop or recode those rows."
        )
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(levels[name].labels)))
