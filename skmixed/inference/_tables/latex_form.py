"""A table of results in LaTeX, with the rules of its package booktabs."""

import re
import unicodedata

from skmixed.inference._tables.cells import ShownColumn, ShownTable
from skmixed.inference._tables.exports import Caption


def _greek(letter: str) -> str:
    """Return LaTeX's name of a Greek letter."""
    name = unicodedata.name(letter).split()[-1].lower().replace("lamda", "lambda")
    return name.capitalize() if letter.isupper() else name


_LETTERS = {letter: _greek(letter) for letter in "αβγδζηθικλμνξπρστυχψωΓΔΘΛΞΠΣΦΨΩ"}
_LETTERS |= {"ε": "varepsilon", "φ": "varphi"}
# Marks of LaTeX, and letters that its usual fonts do not have.
_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": "$<$",
    ">": "$>$",
    "–": "--",
    "…": r"\dots{}",
    "−": "$-$",
    "∞": r"$\infty$",
    "²": "$^2$",
    "½": r"$\frac{1}{2}$",
    "×": r"$\times$",
    "±": r"$\pm$",
    **{letter: f"$\\{name}$" for letter, name in _LETTERS.items()},
}
_TABLE = str.maketrans(_LATEX)
# Symbols of headings, in mathematics.
_SYMBOLS = {"χ²": r"\chi^2", "ζ": r"\zeta"}
_TWO_FORMULAS = re.compile(r"(?<!\\)\$\$")
_POWER = re.compile(r"e([+-])0*(\d+)$")


def latex_of(cells: ShownTable, caption: Caption) -> str:
    """Return a tabular; with a title, remarks or a label inside of a table."""
    table = "\n".join(_tabular(cells))
    if not (caption.title or caption.remarks or caption.label):
        return f"{table}\n"
    where = f"[{caption.position}]" if caption.position else ""
    above = [f"\\begin{{table}}{where}", r"\centering"]
    above += [f"\\caption{{{in_latex(caption.title)}}}"] if caption.title else []
    above += [f"\\label{{{caption.label}}}"] if caption.label else []
    remarks = [in_latex(remark) for remark in caption.remarks]
    below = [r"\par\smallskip", r"{\footnotesize " + "\n".join(remarks) + r"\par}"]
    return "\n".join([*above, table, *(below if remarks else []), r"\end{table}"]) + "\n"


def _tabular(cells: ShownTable) -> list[str]:
    form = "".join("l" if column.is_text else "r" for column in cells.columns)
    columns = [[_heading(column), *_column(column)] for column in cells.columns]
    head, *rows = [_row(" & ".join(cells)) for cells in zip(*columns, strict=True)]
    rules = r"\toprule", r"\midrule", r"\bottomrule"
    begin = f"\\begin{{tabular}}{{{form}}}"
    return [begin, rules[0], head, rules[1], *rows, rules[2], r"\end{tabular}"]


def _row(text: str) -> str:
    """End a row; what it begins with is no argument of the end of the row before."""
    return f"{'{}' if text[:1] in ('[', '*') else ''}{text.rstrip()} \\\\"


def _heading(column: ShownColumn) -> str:
    heading = column.kind.heading
    if column.kind.is_symbol:
        return f"${_SYMBOLS.get(heading, heading)}$"
    return in_latex(heading)


def _column(column: ShownColumn) -> list[str]:
    if column.is_text:
        return [in_latex(cell) for cell in column.cells]
    return [_number(cell) for cell in column.lined_up]


def _number(cell: str) -> str:
    """Write a number: its sign a minus, what is missing behind the point as wide as digits."""
    own = cell.rstrip()
    behind = len(cell) - len(own)
    filling = ("0" * behind if "." in own else f".{'0' * (behind - 1)}") if behind else ""
    phantom = f"\\phantom{{{filling}}}" if filling else ""
    if found := _POWER.search(own):
        sign, power = found.groups()
        return f"${own[: found.start()]}\\times 10^{{{'-' * (sign == '-')}{power}}}$"
    if own.startswith("-"):
        return f"$-{in_latex(own[1:]).replace('$', '')}${phantom}"
    return f"{in_latex(own)}{phantom}"


def in_latex(text: str) -> str:
    """Write text so that LaTeX shows it as it is."""
    # One formula beside the other is one.
    return _TWO_FORMULAS.sub("", text.translate(_TABLE))
