"""Formulas in lme4's notation: the random-effects terms split off, the rest left whole.

Only parentheses, quotes, bars and what names a grouping factor are read here; formulaic
reads the rest. Every part keeps its place in the formula, for messages.
"""

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from skmixed.typing import CovarianceName

NAME = re.compile(r"\s*(?:`([^`]+)`|([^\W\d][\w.]*))\s*")
GROUPING = re.compile(rf"\s*(?:(factor|as\.factor|C)\s*\({NAME.pattern}\)|{NAME.pattern})\s*")
BLANK = re.compile(r"(`[^`]*`|'[^']*'|\"[^\"]*\")|\s")
CBIND = re.compile(r"\s*cbind\s*\(")
OFFSET = re.compile(r"(?<![\w.])offset\s*\(")
STRUCTURE = re.compile(
    r"(?<![\w.])(hom|het)?(cs|us|diag|ar1|toep|ou|exp|gau|mat|rr|propto|equalto)\s*\("
)
# lme4's words, and the covariance of one level's effects without and with ``hom=TRUE``.
COVARIANCES: dict[str, tuple[CovarianceName | None, CovarianceName | None]] = {
    "us": ("full", None),
    "diag": ("diag", "spherical"),
    "cs": ("heterogeneous_compound_symmetry", "compound_symmetry"),
    "ar1": ("heterogeneous_ar1", "ar1"),
    "toep": (None, "toeplitz"),
}
HOMOGENEOUS = {"ar1", "toep"}  # those that are unless they say otherwise
HOM = re.compile(r",\s*hom\s*=\s*(TRUE|T|True|FALSE|F|False)\s*$")
CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class GroupingColumn:
    """A grouping column, as its formula writes it: ``k`` or ``factor(k)``."""

    name: str
    column: str


@dataclass(frozen=True)
class RandomTerm:
    """One term ``(coefficients | groups)``.

    Attributes
    ----------
    coefficients : str
        What stands before the bar, at its place in the formula.
    groups : tuple of tuple of GroupingColumn
        The columns of each grouping factor: several for ``a/b``.
    is_split : bool
        Whether the bar is double.
    covariance : str
        Of one level's effects.
    """

    coefficients: str
    groups: tuple[tuple[GroupingColumn, ...], ...]
    is_split: bool
    covariance: CovarianceName = "full"


@dataclass(frozen=True)
class ParsedFormula:
    """A formula in parts, each padded to its place in the whole.

    Attributes
    ----------
    text : str
    response : str
        Empty where there is none.
    fixed : str
        The right-hand side without its random-effects terms and offsets.
    random : tuple of RandomTerm
    offsets : tuple of str
        What stands in each ``offset(…)``.
    counts : tuple of str
        Successes and failures of a response ``cbind(successes, failures)``.
    """

    text: str
    response: str
    fixed: str
    random: tuple[RandomTerm, ...]
    offsets: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()


def error_at(text: str, at: int, message: str) -> ValueError:
    """Return an error that shows the place in the formula."""
    shown = re.sub(r"\s", " ", text)
    return ValueError(f"{message}\n\n    {shown}\n    {' ' * at}^")


def plain_name(expression: str) -> str | None:
    """Return the column that an expression names, or None if it is more than a name."""
    found = NAME.fullmatch(expression)
    return (found[1] or found[2]) if found else None


def place_of(text: str, part: str) -> int:
    """Find a part of the formula, whatever its blanks; the start where there is none."""
    kept = [k for k, c in enumerate(text) if not c.isspace()]
    whole, wanted = "".join(text[k] for k in kept), "".join(part.split())
    start = r"(?<![\w.])" if wanted[:1].isalnum() else ""
    end = r"(?!\w)" if wanted[-1:].isalnum() else ""
    found = re.search(start + re.escape(wanted) + end, whole)
    return kept[found.start()] if found and wanted else 0


def parse_formula(formula: object) -> ParsedFormula:
    """Split a formula into response, fixed part and random-effects terms.

    Raises
    ------
    TypeError
        If it is no string.
    ValueError
        If it is no formula, with the place.
    """
    if not isinstance(formula, str):
        raise TypeError(
            f"formula is of type {type(formula).__name__}. Give a string, such as "
            "'y ~ x + (x | group)'."
        )
    text = BLANK.sub(lambda found: found[1] or " ", formula)
    tilde = _tilde(text, _Scan(text))
    _refuse_foreign_notation(text, _Scan(text))
    written = text
    text, covariances = _without_covariances(text, _Scan(text))
    text = _opened(text, tilde)
    scan = _Scan(text)
    if not text[tilde + 1 :].strip():
        raise error_at(
            text, len(text), "The formula has nothing behind its ~. Write y ~ x + (x | g)."
        )
    fixed = list(" " * (tilde + 1) + text[tilde + 1 :])
    bars, offsets = _bars(text, scan, tilde), _offsets(text, scan, tilde)
    random = tuple(
        replace(_random_term(text, start, bar, end), covariance=covariances.get(start, "full"))
        for start, bar, end in bars
    )
    taken = [(start, end, "A random-effects term") for start, _, end in bars]
    taken += [(start, end, "An offset") for start, _, end in offsets]
    for start, end, what in taken:
        plus = _joined_by_plus(text, tilde, start, end, what)
        fixed[plus : end + 1] = " " * (end + 1 - plus)
    return ParsedFormula(
        written,
        text[:tilde].strip(),
        "".join(fixed) if "".join(fixed).strip() else "1",
        random,
        tuple(text[inside:end].strip() for _, inside, end in offsets),
        _counts(text, scan, tilde),
    )


class _Scan:
    """Which characters of a formula are quoted, which Python, and how deep they are."""

    def __init__(self, text: str) -> None:
        self.depth, self.is_code, self.is_quoted = [], [], []
        self.closed_at: dict[int, int] = {}
        self._open: list[tuple[int, bool]] = []
        quote = ""
        for at, char in enumerate(text):
            quoted = bool(quote)
            if quote:
                quote = "" if char == quote else quote
            elif char in "`'\"":
                quote, quoted = char, True
            elif char in CLOSING:
                self._enter(text, at)
            elif char in CLOSING.values():
                self._leave(text, at)
            self.depth.append(len(self._open))
            self.is_code.append(bool(self._open) and self._open[-1][1])
            self.is_quoted.append(quoted)
        if quote:
            raise error_at(text, text.rindex(quote), f"The formula has an unclosed {quote}.")
        if self._open:
            raise error_at(text, self._open[-1][0], "The formula has an unclosed parenthesis.")

    def _enter(self, text: str, at: int) -> None:
        """Take a parenthesis right behind a name for a call, and Python as far as it goes."""
        inside = bool(self._open) and self._open[-1][1]
        calls = at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_.`")
        self._open.append((at, inside or text[at] != "(" or calls))

    def _leave(self, text: str, at: int) -> None:
        if not self._open or CLOSING[text[self._open[-1][0]]] != text[at]:
            raise error_at(text, at, f"The formula has a {text[at]} that nothing opens.")
        start, _ = self._open.pop()
        self.closed_at[start] = at

    def find(self, text: str, char: str) -> list[int]:
        """Places of a character as an operator of the formula."""
        return [
            k
            for k, c in enumerate(text)
            if c == char and not self.is_quoted[k] and not self.is_code[k]
        ]


def _counts(text: str, scan: _Scan, tilde: int) -> tuple[str, ...]:
    """Return what stands in a response ``cbind(successes, failures)``."""
    found = CBIND.match(text, 0, tilde)
    if not found or text[scan.closed_at[found.end() - 1] + 1 : tilde].strip():
        return ()
    start, end = found.end(), scan.closed_at[found.end() - 1]
    commas = [k for k in range(start, end) if text[k] == "," and scan.depth[k] == 1]
    places = [start - 1, *(k for k in commas if not scan.is_quoted[k]), end]
    parts = tuple(text[a + 1 : b].strip() for a, b in pairwise(places))
    if len(parts) != 2 or not all(parts):
        raise error_at(text, start, "cbind has two parts: cbind(successes, failures) ~ …")
    return parts


def _tilde(text: str, scan: _Scan) -> int:
    tildes = scan.find(text, "~")
    if not tildes:
        raise error_at(
            text, len(text), "The formula has no ~. Write the response before it: y ~ x + (x | g)."
        )
    if len(tildes) > 1:
        raise error_at(text, tildes[1], "The formula has a second ~. Leave one.")
    if scan.depth[tildes[0]]:
        raise error_at(text, tildes[0], "The formula has its ~ inside parentheses. Take it out.")
    return tildes[0]


def _refuse_foreign_notation(text: str, scan: _Scan) -> None:
    """Refuse what R reads otherwise than Python, or what has no meaning here."""
    for at, char in enumerate(text):
        if char == "^" and scan.is_code[at] and not scan.is_quoted[at]:
            raise error_at(
                text, at, "Inside a function ^ is Python's exclusive or. Write ** for a power."
            )
    nested = text.find("%in%")
    if nested >= 0 and not scan.is_quoted[nested]:
        raise error_at(text, nested, "The formula has R's %in%. Write : for it.")


def _without_covariances(text: str, scan: _Scan) -> tuple[str, dict[int, CovarianceName]]:
    """Blank lme4's words before random-effects terms; return what they are, by place."""
    out, found = list(text), {}
    for word in STRUCTURE.finditer(text):
        start = word.end() - 1
        end = scan.closed_at[start]
        inside = text[start + 1 : end]
        if "|" not in inside or scan.is_quoted[start]:
            continue
        argument = HOM.search(inside)
        is_homogeneous = word[1] == "hom" if word[1] else word[2] in HOMOGENEOUS
        if argument:
            is_homogeneous = argument[1].startswith("T")
        covariance = COVARIANCES.get(word[2], (None, None))[is_homogeneous]
        if covariance is None:
            own = f"{word[1] or ''}{word[2]}(… | g{argument[0] if argument else ''})"
            raise error_at(
                text,
                word.start(),
                f"{own} is a covariance that is not here. Write us(x | g), diag(x | g), cs(0 + f "
                "| g), ar1(0 + f | g), toep(0 + f | g), with hom=TRUE for one variance or "
                "hom=FALSE for one each where there are both, or (x | g) and (x || g).",
            )
        found[start] = covariance
        out[word.start() : start] = " " * (start - word.start())
        if argument:
            out[start + 1 + argument.start() : end] = " " * (len(inside) - argument.start())
    return "".join(out), found


def _offsets(text: str, scan: "_Scan", tilde: int) -> list[tuple[int, int, int]]:
    """Find the offsets: their start, what is inside, and their end."""
    out = []
    for found in OFFSET.finditer(text):
        at, start = found.start(), found.end() - 1
        if scan.is_quoted[at] or scan.is_quoted[start]:
            continue
        if at < tilde or scan.depth[at]:
            raise error_at(
                text, at, "An offset is a summand of the right-hand side, outside parentheses."
            )
        if not text[start + 1 : scan.closed_at[start]].strip():
            raise error_at(text, at, "The offset is empty. Write offset(z).")
        out.append((at, start + 1, scan.closed_at[start]))
    return out


def _opened(text: str, tilde: int) -> str:
    """Blank parentheses around summands of which some are random-effects terms.

    As lme4 writes a double bar: ((1 | g) + (0 + x | g)).
    """
    scan = _Scan(text)
    for bar in scan.find(text, "|"):
        if bar < tilde or scan.depth[bar] < 2:
            continue
        start, end = min((s, e) for s, e in scan.closed_at.items() if s < bar < e)
        before, after = text[tilde + 1 : start].rstrip(), text[end + 1 :].lstrip()
        if before[-1:] in ("", "+") and after[:1] in ("", "+", "-"):
            inside = f"{text[:start]} {text[start + 1 : end]} {text[end + 1 :]}"
            return _opened(inside, tilde)
    return text


def _bars(text: str, scan: _Scan, tilde: int) -> list[tuple[int, int, int]]:
    """Find the parentheses with a bar: their start, the bar, and their end."""
    out: list[tuple[int, int, int]] = []
    for bar in scan.find(text, "|"):
        if bar < tilde or scan.depth[bar] == 0:
            raise error_at(
                text, bar, "A bar belongs into a random-effects term: (x | g), in parentheses."
            )
        start, end = next((s, e) for s, e in scan.closed_at.items() if s < bar < e)
        if scan.depth[bar] > 1:
            raise error_at(
                text, bar, "A random-effects term is inside parentheses. Write the sum out."
            )
        if out and out[-1][0] == start:
            if bar != out[-1][1] + 1 or text[out[-1][1] - 1] == "|":
                raise error_at(text, bar, "A random-effects term has one bar: | or ||.")
            continue
        out.append((start, bar, end))
    return out


def _random_term(text: str, start: int, bar: int, end: int) -> RandomTerm:
    is_split = text[bar + 1] == "|"
    if not text[start + 1 : bar].strip():
        raise error_at(
            text, bar, "A random-effects term has no coefficient. Write (1 | g) or (x | g)."
        )
    coefficients = " " * (start + 1) + text[start + 1 : bar]
    return RandomTerm(coefficients, _groups(text, bar + 1 + is_split, end), is_split)


def _groups(text: str, at: int, end: int) -> tuple[tuple[GroupingColumn, ...], ...]:
    """Read ``a``, ``a:b``, ``a/b`` (a and a:b) and so on."""
    nested: list[tuple[GroupingColumn, ...]] = []
    own: tuple[GroupingColumn, ...] = ()
    while True:
        found = GROUPING.match(text, at, end)
        if not found:
            raise error_at(
                text,
                at + len(text[at:end]) - len(text[at:end].lstrip()),
                "A grouping factor is a column: a name, factor(name), or these joined by : or /. "
                "Compute other groups as a column of the data.",
            )
        own, at = (*own, _grouping_column(text, found, own)), found.end()
        if at == end:
            return (*nested, own)
        if text[at] == "/":
            nested.append(own)
        elif text[at] != ":":
            raise error_at(text, at, "Grouping factors are joined by : or /.")
        at += 1


def _grouping_column(
    text: str, found: re.Match[str], before: tuple[GroupingColumn, ...]
) -> GroupingColumn:
    column = next(name for name in found.groups()[1:] if name)
    if column in (other.column for other in before):
        at = found.start() + len(found[0]) - len(found[0].lstrip())
        raise error_at(text, at, f"The grouping factor has {column!r} twice. Leave one out.")
    return GroupingColumn(f"{found[1]}({column})" if found[1] else column, column)


def _joined_by_plus(text: str, tilde: int, start: int, end: int, what: str) -> int:
    """Return where the term begins with its plus; any other operator is an error."""
    before, after = text[tilde + 1 : start].rstrip(), text[end + 1 :].lstrip()
    if before and before[-1] != "+":
        raise error_at(text, tilde + len(before), f"{what} is joined by +, and by nothing else.")
    if after and after[0] not in "+-":
        at = len(text) - len(after)
        raise error_at(text, at, f"{what} is joined by +, and by nothing else.")
    return tilde + len(before) if before else start
