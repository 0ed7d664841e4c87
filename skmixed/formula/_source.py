"""Sums of terms of a formula, read and evaluated by formulaic."""

import builtins
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skmixed._typing import FloatArray, Use
from skmixed.formula._code import (
    AS_CODED,
    AS_NUMBER,
    AS_TERM,
    TERM,
    Quotes,
    Resolver,
    Scope,
    as_written,
    columns_in,
)
from skmixed.formula._columns import DATE_ADVICE, ColumnKinds, NamedRows
from skmixed.formula._functions.evaluation import OFFERED, evaluate
from skmixed.formula._functions.table import own_functions
from skmixed.formula._learned import Learned
from skmixed.formula._syntax import ParsedFormula, error_at, place_of, plain_name

INTERCEPT = "1"


@dataclass(frozen=True)
class Sum:
    """A sum of terms, with identifiers for its columns.

    Attributes
    ----------
    formula : formulaic.Formula
    uses : tuple of (name, use)
        Its columns, and what each is used as.
    codes : dict of str to str
        Code as it is evaluated → as it is written.
    codings : dict of str to str
        Column → the coding of its factors, where it is given beside the formula.
    """

    formula: Any
    uses: tuple[Use, ...]
    codes: dict[str, str]
    codings: dict[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.uses))

    def one_by_one(self) -> list["Sum"]:
        """Return its terms, each a sum without an intercept but for what it says."""
        return [replace(self, formula=type(self.formula)([term])) for term in self.formula]

    def written(self, term: Any) -> str:
        return ":".join(self.written_factor(own) for own in term.factors)

    def written_factor(self, factor: Any) -> str:
        name = as_written(factor.expr, self.codes)
        is_name = factor.eval_method.value == "lookup" or factor.expr.startswith(AS_CODED)
        return f"`{name}`" if ":" in name and is_name else name


@dataclass(frozen=True)
class Part:
    """A sum of terms as learned from data, and its columns but for the intercept.

    Attributes
    ----------
    sum : Sum
    learned : Learned
    """

    sum: Sum
    learned: Learned

    @cached_property
    def _found(self) -> list[tuple[Any, tuple[str, ...]]]:
        """Terms with their columns, the intercept left out."""
        parts = zip(self.sum.formula, self.learned.terms, strict=True)
        return [
            (term, tuple(as_written(name, self.sum.codes) for name in own.columns))
            for term, own in parts
            if str(term) != INTERCEPT
        ]

    @cached_property
    def terms(self) -> dict[str, tuple[str, ...]]:
        """Term → its columns, the intercept left out."""
        return {self.sum.written(term): columns for term, columns in self._found}

    @property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """Column → the columns of the data that its term uses."""
        return {
            name: own_columns(term, self.sum) for term, columns in self._found for name in columns
        }

    @property
    def owned(self) -> list[tuple[frozenset[str], tuple[str, ...]]]:
        """The factors of each term, with its columns."""
        return [
            (frozenset(f"`{self.sum.written_factor(f)}`" for f in term.factors), columns)
            for term, columns in self._found
        ]

    @property
    def has_intercept(self) -> bool:
        return len(self._found) < len(self.learned.terms)

    @property
    def spec(self) -> Any:
        """A `formulaic.ModelSpec` of its own for each use."""
        return self.learned.spec(self.sum.formula)

    @property
    def names(self) -> list[str]:
        return [name for columns in self.terms.values() for name in columns]

    def columns(self, frame: pd.DataFrame, source: "Source") -> dict[str, FloatArray]:
        """Evaluate the columns on a frame, by name."""
        matrix = source.matrix(self.spec, frame, self.sum).iloc[:, int(self.has_intercept) :]
        return {name: np.asarray(matrix.iloc[:, k], float) for k, name in enumerate(self.names)}


@dataclass(frozen=True)
class Source:
    """The formula, the names that it may use beside columns, and codings by column."""

    parsed: ParsedFormula
    context: Mapping[str, Any]
    codings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def functions(self) -> dict[str, Any]:
        from formulaic.transforms import TRANSFORMS

        return {**vars(builtins), **TRANSFORMS, **own_functions(), **self.context}

    def sum(
        self, text: str, rows: NamedRows, others: Iterable[str] = (), wrapper: str = AS_TERM
    ) -> Sum:
        """Read a sum of terms, all columns of which are there.

        `others`: the columns that a dot stands for.
        """
        from formulaic import Formula
        from formulaic.errors import FormulaicError

        quotes = Quotes.of(text)
        resolver = Resolver(self._scope(rows), quotes)
        known = {
            "__formulaic_variables_available__": [resolver.dotted(name) for name in others],
            "__formulaic_variables_used_lhs__": [],
        }
        try:
            formula = Formula(quotes.text, _context=known)
        except (FormulaicError, SyntaxError) as error:
            raise self._syntax_error(error, quotes) from None
        codes: dict[str, str] = {}
        terms = [self._resolved(term, resolver, codes, wrapper) for term in formula]
        return Sum(type(formula)(terms), tuple(resolver.uses), codes, resolver.coded)

    def check_column(self, name: str, rows: NamedRows, *, is_called: bool = False) -> None:
        if name in rows.names and not is_called:
            return
        at = place_of(self.parsed.text, name)
        behind = self.parsed.text[at + len(name) :]
        dotted = next(
            (k for k in rows.names if k.startswith(f"{name}.") and k in name + behind), ""
        )
        if dotted:
            message = f"Inside a function a name with a dot needs backticks: `{dotted}`."
        elif is_called or behind.startswith("("):
            message = f"{name!r} is no function here. {OFFERED}"
        else:
            listed = ", ".join(map(repr, rows.names[:MOST_NAMES]))
            more = f" and {len(rows.names) - MOST_NAMES} more" * (len(rows.names) > MOST_NAMES)
            message = f"{name!r} is not a column of the data. They are {listed}{more}."
            call = self.parsed.text[:at].rpartition("offset(")
            if call[1] and call[2].count("(") >= call[2].count(")"):
                message += " The offset needs it, in predictions too."
        raise error_at(self.parsed.text, at, message)

    def check_kinds(self, own: Sum, kinds: ColumnKinds) -> None:
        """Refuse what makes no term: dates, and factors of a single level."""
        for name, use in own.uses:
            if use == TERM and name in kinds.dates:
                self.refuse(name, f"Column {name!r} holds dates or times. {DATE_ADVICE}")
            if use == TERM and len(kinds.levels.get(name, (0, 1))) == 1:
                self.refuse(name, one_level(f"Factor {name!r}", kinds.levels[name].labels[0]))
            if use == TERM and name in own.codings and name not in kinds.levels:
                message = f"contrasts names {name!r}, a column of numbers. Write factor({name}), or"
                self.refuse(name, f"{message} leave it out of contrasts.")

    def refuse(self, part: str, message: str) -> None:
        raise error_at(self.parsed.text, place_of(self.parsed.text, part), message)

    def matrix(self, spec: Any, frame: pd.DataFrame, own: Sum) -> Any:
        """Evaluate a formula, or again the one that a spec is of."""
        return evaluate(spec, frame, self.context, self.parsed.text, own.codes)

    def learn(self, own: Sum, kinds: ColumnKinds, frame: pd.DataFrame) -> Part:
        self.check_kinds(own, kinds)
        spec = self.matrix(own.formula, frame, own).model_spec
        self._check_levels(spec, own)
        return Part(own, Learned.of(spec))

    def _scope(self, rows: NamedRows) -> Scope:
        def refuse(name: str, is_called: bool) -> None:
            self.check_column(name, rows, is_called=is_called)

        return Scope(rows.names, self.functions, refuse, self.codings)

    def _resolved(self, term: Any, resolver: Resolver, codes: dict[str, str], wrapper: str) -> Any:
        """Return a term with identifiers for columns."""
        from formulaic.parser.types import Factor, Term

        factors = []
        for factor in term.factors:
            method = factor.eval_method.value
            expr = factor.expr
            if method == "lookup":
                expr, shown = resolver.term(resolver.quotes.names.get(expr, expr))
                if shown is not None:
                    method, codes[expr] = "python", shown
            elif method == "python":
                expr = f"{wrapper}({resolver.rewritten(expr)})"
                codes[expr] = resolver.quotes.undone(factor.expr)
            factors.append(Factor(expr, eval_method=method, token=factor.token))
        return Term(factors)

    def _check_levels(self, spec: Any, own: Sum) -> None:
        """Refuse factor(…) of a single level, which has no contrasts."""
        for expr, (kind, state) in spec.encoder_state.items():
            levels = (state or {}).get("categories")
            if kind.value == "categorical" and levels is not None and len(levels) == 1:
                written = as_written(expr, own.codes)
                self.refuse(written, one_level(f"Factor {written!r}", levels[0]))

    def _syntax_error(self, error: Exception, quotes: Quotes) -> ValueError:
        """Say where, without the colors of a terminal."""
        if isinstance(error, SyntaxError):
            at = place_of(self.parsed.text, quotes.undone(str(error.text or "")).strip())
            return error_at(
                self.parsed.text, at, f"The formula has Python that is none: {error.msg}."
            )
        message, _, context = re.sub(r"\x1b\[[\d;]*m", "", str(error)).partition("\n\n")
        at = max(context.find("⧛"), 0)
        message = quotes.undone(message)
        return error_at(self.parsed.text, at, f"The formula cannot be read: {message}")


@dataclass(frozen=True)
class Quantity:
    """A column of numbers that is named or computed: the response, weights, an offset.

    Attributes
    ----------
    text : str
    source : Source
    sum : Sum or None
        None of a column as it is.
    column : str
        That column.
    kinds : ColumnKinds or None
    part : Part or None
        Of a sum, as learned from data.
    """

    text: str
    source: Source
    sum: Sum | None = None
    column: str = ""
    kinds: ColumnKinds | None = None
    part: Part | None = None

    @staticmethod
    def beside(text: str, rows: NamedRows, context: Mapping[str, Any] | None) -> "Quantity":
        """Read a column or an expression of columns that is given beside a formula.

        A column of exactly this name is meant first.
        """
        source = Source(ParsedFormula(text, "", "", ()), dict(context or {}))
        if text in rows.names:
            return Quantity(text, source, column=text)
        return Quantity.within(text, rows, source)

    @staticmethod
    def within(text: str, rows: NamedRows, source: Source) -> "Quantity":
        """Read a column or an expression of columns of a formula."""
        name = plain_name(text)
        if name is not None:
            return Quantity(text, source, column=name)
        return Quantity(text, source, source.sum(f"0 + {{{text}}}", rows, wrapper=AS_NUMBER))

    @property
    def columns(self) -> list[str]:
        """The columns of the data that it needs."""
        return [self.column] if self.sum is None else self.sum.columns

    def learned(self, rows: NamedRows) -> "Quantity":
        if self.sum is None:
            return self
        kinds = ColumnKinds.learn(rows, self.columns)
        part = self.source.learn(self.sum, kinds, kinds.frame(rows, self.sum.uses))
        if len(part.names) != 1:
            raise ValueError(
                f"{self.text!r} gives {len(part.names)} columns. Write an expression of one "
                "numeric column."
            )
        return replace(self, kinds=kinds, part=part)

    def check(self, rows: NamedRows) -> None:
        for name in self.columns:
            self.source.check_column(name, rows)

    def values(self, rows: NamedRows) -> Any:
        """Evaluate it on rows, (n,)."""
        self.check(rows)
        if self.part is None or self.kinds is None:
            return rows.column(self.column)
        frame = self.kinds.frame(rows, self.part.sum.uses)
        return self.part.columns(frame, self.source)[self.part.names[0]]


# Names that a message lists.
MOST_NAMES = 30


def one_level(what: str, level: object) -> str:
    return (
        f"{what} has one level in the data, {level!r}: a factor needs two or more for a contrast. "
        "Leave it out of the formula."
    )


def own_columns(term: Any, own: Sum) -> tuple[str, ...]:
    """Return the columns of the data that a term uses."""
    known = own.columns
    return tuple(n for f in term.factors for n in columns_in(f.expr) if n in known)


def check_names(text: str, parts: Iterable[Any], grouping: Iterable[str]) -> None:
    """Refuse a formula that makes two columns of one name.

    `parts` are those of the formula, with the columns of each term.
    """
    owners: dict[str, frozenset[str]] = {name: frozenset({f"`{name}`"}) for name in grouping}
    for part in parts:
        for owner, names in part.owned:
            for name in names:
                if owners.setdefault(name, owner) != owner:
                    raise error_at(
                        text,
                        place_of(text, name),
                        f"The formula makes two columns of the name {name!r}. Rename the column "
                        "of the data.",
                    )
