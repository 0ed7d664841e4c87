"""The names of a formula: which are columns, which functions, in code that cannot mix them up.

formulaic evaluates the code of a formula in one namespace of columns and functions, and
reads names in backticks as what they look like. So columns get identifiers of their own
before it sees them, by the use that is made of them, and their names again behind it.
"""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import isclass, ismodule
from typing import Any
from unicodedata import normalize

import numpy as np

from skmixed._typing import Use
from skmixed.formula._syntax import plain_name

# A letter for Python and formulaic, and the same in every normal form of Unicode, that
# names of columns hardly have.
MARK = "ꓘ"
# What a column is used as: a factor of the formula, a value in code, or labels in factor(…).
TERM, VALUE, LABEL = "t", "v", "l"
AS_TERM, AS_NUMBER, AS_FACTOR = f"{MARK}term", f"{MARK}number", f"as{MARK}factor"
AS_CODED, CONTRASTS, BOUNDARY = f"as{MARK}coded", f"as{MARK}contrasts", f"Boundary{MARK}knots"
CODINGS = ("C", "factor", AS_FACTOR)
RELEVEL = "relevel"
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
# These take booleans for what they are; other universal functions compute with numbers.
OF_BITS = (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert)

QUOTED = re.compile(
    r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|`(?P<name>[^`]+)`"
    r"|(?<![\w.`])(?:(?P<as>as\.factor)(?=\s*\()|(?P<ends>Boundary\.knots)(?=\s*=))"
)
# R's names that are none of Python, by identifiers of the same length.
OF_R = {AS_FACTOR: "as.factor", BOUNDARY: "Boundary.knots"}
ALIAS = re.compile(rf"(?!{AS_TERM}\b){MARK}[{TERM}{VALUE}{LABEL}]((?:[A-Za-z0-9]|_[0-9a-f]+_)*)")


def alias(name: str, use: str) -> str:
    """Return the identifier of a column in one use, from which its name can be read."""
    spelled = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
    identifier = MARK + use + "".join(spelled)
    # A column "erm" as a term would have the name of a function
    return identifier if identifier != AS_TERM else f"{MARK}{use}_{ord(name[0]):x}_{name[1:]}"


def named(identifier: str) -> str:
    """Return the name of a column from what follows its mark and use."""
    return re.sub(r"_([0-9a-f]+)_", lambda found: chr(int(found[1], 16)), identifier)


@dataclass(frozen=True)
class Quotes:
    """A formula with identifiers of the same length for names in backticks.

    Attributes
    ----------
    text : str
        With the identifiers, and all else in its place.
    names : dict of str to str
        Identifier → name.
    """

    text: str
    names: dict[str, str]

    @staticmethod
    def of(text: str) -> "Quotes":
        names: dict[str, str] = {}

        def replaced(found: re.Match[str]) -> str:
            if found["as"] or found["ends"]:
                return AS_FACTOR if found["as"] else BOUNDARY
            name = found["name"]
            if name is None:
                return found[0]
            known = {own: identifier for identifier, own in names.items()}
            identifier = known.get(
                name, (MARK + _in_base_36(len(names))).rjust(len(found[0]), MARK)
            )
            names[identifier] = name
            return identifier

        return Quotes(QUOTED.sub(replaced, text), names)

    def undone(self, text: str) -> str:
        """Write the names in backticks again."""
        for identifier, name in self.names.items():
            # No identifier begins another: what stands behind one is no part of a word.
            text = re.sub(rf"{identifier}(?!\w)", f"`{name}`".replace("\\", "\\\\"), text)
        for identifier, name in OF_R.items():
            text = text.replace(identifier, name)
        return text


def _in_base_36(number: int) -> str:
    digits = ""
    while not digits or number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits


@dataclass(frozen=True)
class Scope:
    """What names may mean.

    Attributes
    ----------
    columns : tuple of str
    known : mapping of str to object
        Functions and other values.
    refuse : callable
        Raises for a name that is no column, or if `called` no function.
    codings : mapping of str to str
        Column → the coding of factors that are made of it, where it is no other.
    """

    columns: tuple[str, ...]
    known: Mapping[str, Any]
    refuse: Callable[[str, bool], None]
    codings: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def normal(self) -> dict[str, str]:
        """Names as Python reads them (µ as μ) → columns."""
        forms = {normalize("NFKC", name): name for name in reversed(self.columns)}
        return forms | {name: name for name in self.columns}


@dataclass
class Resolver(ast.NodeTransformer):
    """Rewrites code so that its columns have identifiers of their own.

    A name that is called is a function, a name in backticks a column; any other is a
    column where there is one, but for the modules before a dot and for what C(…) and
    factor(…) take beside their column. Booleans count as 0 and 1 in arithmetic, where
    pandas would have logic of two of them.
    """

    scope: Scope
    quotes: Quotes
    bound: set[str] = field(default_factory=set)
    uses: dict[Use, None] = field(default_factory=dict)
    dots: dict[str, str] = field(default_factory=dict)
    coded: dict[str, str] = field(default_factory=dict)
    use: str = VALUE
    is_releveled: bool = False

    def rewritten(self, code: str) -> str:
        tree = ast.parse(code.strip(), mode="eval")
        nodes = list(ast.walk(tree))
        self.bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
        self.bound |= {
            n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        return ast.unparse(ast.fix_missing_locations(self.visit(tree)))

    def column(self, name: str, use: str) -> str:
        """Note a use of a column, and return its identifier."""
        if name not in self.scope.columns:
            self.scope.refuse(name, False)
        self.uses[name, use] = None
        return alias(name, use)

    def term(self, name: str) -> tuple[str, str | None]:
        """Return the code of a column that is a term's factor, and its name if it is coded."""
        name = self.dots.get(name, name)
        identifier = self.column(name, TERM)
        if name not in self.scope.codings:
            return identifier, None
        self.coded[name] = self.scope.codings[name]
        return f"{AS_CODED}({identifier}, {self.scope.codings[name]!r})", name

    def dotted(self, name: str) -> str:
        """Return what a dot holds of a column: as the formula writes it, which may take it off."""
        quoted = {own: identifier for identifier, own in self.quotes.names.items()}
        if name in quoted or plain_name(name) == name:
            return quoted.get(name, name)
        self.dots[alias(name, TERM)] = name
        return alias(name, TERM)

    def visit_Name(self, node: ast.Name) -> ast.Name:
        name = self.quotes.names.get(node.id)
        if name is None:
            if node.id in self.bound:
                return node
            is_known = node.id in self.scope.known
            if is_known and (self.use == LABEL or node.id not in self.scope.normal):
                return node
            name = self.scope.normal.get(node.id, node.id)
        use = VALUE if self.use == LABEL else self.use
        return ast.Name(self.column(name, use), ast.Load())

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return node if self._found(node) is not None else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "Q" and node.args and isinstance(node.args[0], ast.Constant):
            own = self.column(str(node.args[0].value), VALUE)
            return ast.Call(node.func, [ast.Constant(own)], [])
        if name and name not in self.scope.known and name not in self.bound:
            self.scope.refuse(self.quotes.undone(name), True)
        if not name:
            node.func = self.visit(node.func)
        if name in CODINGS and node.args:
            return self._coding(node, name)
        outside, self.is_releveled = self.is_releveled, self.is_releveled or name == RELEVEL
        node.args = [self.visit(own) for own in node.args]
        node.keywords = [self.visit(own) for own in node.keywords]
        self.is_releveled = outside
        function = self._found(node.func)
        if isinstance(function, np.ufunc) and function not in OF_BITS:
            node.args = [_as_number(own) for own in node.args]
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        name = "boundary_knots" if node.arg == BOUNDARY else node.arg
        return ast.keyword(name, self.visit(node.value))

    def visit_BinOp(self, node: ast.BinOp) -> ast.BinOp:
        node.left, node.right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ARITHMETIC):
            node.left, node.right = _as_number(node.left), _as_number(node.right)
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.UnaryOp:
        node.operand = self.visit(node.operand)
        if isinstance(node.op, ast.USub | ast.UAdd):
            node.operand = _as_number(node.operand)
        return node

    def _coding(self, node: ast.Call, function: str) -> ast.Call:
        """Rewrite C(column, contrasts, …): labels first, and then what is no column."""
        first, *rest = node.args
        column = None
        if isinstance(first, ast.Name) and first.id not in self.bound:
            known = self.quotes.names | self.scope.normal
            column = known.get(first.id, first.id)
            first = ast.Name(self.column(column, LABEL), ast.Load())
        else:
            first = self.visit(first)
        self.use = LABEL
        node.args = [first, *(self.visit(own) for own in rest)]
        node.keywords = [self.visit(own) for own in node.keywords]
        self.use = VALUE
        is_coded = any(own.arg == "contrasts" for own in node.keywords)
        is_coded |= function == "C" and bool(rest)
        coding = self.scope.codings.get(column or "")
        if column and coding and not (is_coded or self.is_releveled):
            self.coded[column] = coding
            node.keywords.append(_contrasts(coding))
        return node

    def _found(self, node: ast.AST) -> Any:
        """Return the function that code names, as np.log; None where a column is meant."""
        if isinstance(node, ast.Attribute):
            within = self._found(node.value)
            is_space = within is not None and (ismodule(within) or isclass(within))
            return getattr(within, node.attr, None) if is_space else None
        return self.scope.known.get(node.id) if isinstance(node, ast.Name) else None


def _contrasts(coding: str) -> ast.keyword:
    """Return the argument of C(…) for a coding."""
    call = ast.Call(ast.Name(CONTRASTS, ast.Load()), [ast.Constant(coding)], [])
    return ast.keyword("contrasts", call)


def _as_number(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Constant | ast.Starred):
        return node
    return ast.Call(ast.Name(AS_NUMBER, ast.Load()), [node], [])


def columns_in(code: str) -> list[str]:
    """Return the names of the columns in code."""
    return [named(identifier) for identifier in ALIAS.findall(code)]


def as_written(text: str, codes: Mapping[str, str]) -> str:
    """Give columns their names again, and code what stands in the formula.

    `codes`: code as evaluated → as written.
    """
    longest_first = sorted(map(re.escape, codes), key=len, reverse=True)
    known = re.compile("|".join([*longest_first, ALIAS.pattern, *OF_R]))

    def written(found: re.Match[str]) -> str:
        if found[0] in OF_R:
            return OF_R[found[0]]
        return codes[found[0]] if found[1] is None else named(found[1])

    return known.sub(written, text)


def as_number(value: Any) -> Any:
    """Take booleans for 0 and 1."""
    return value.astype(np.float64) if getattr(value, "dtype", None) == np.bool_ else value
