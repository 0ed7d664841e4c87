"""Words of sentences: numbers, lists, and marks of symbols and of code."""

import re
from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from skmixed.inference._tables.cells import cells_of
from skmixed.inference._tables.exports import in_markdown
from skmixed.inference._tables.number_formats import Precision
from skmixed.inference._tables.text_layout import filled

# A space at which no line is broken.
SPACE = "\N{NO-BREAK SPACE}"
# Around a symbol of mathematics, and around what stands in code; no name has them.
_SYMBOL, _CODE = ("\x02", "\x03"), ("\x0e", "\x0f")
_MARKS = str.maketrans("", "", "".join((*_SYMBOL, *_CODE)))
_PIECES = re.compile(r"(\x02[^\x03]*\x03|\x0e[^\x0f]*\x0f)")
_MINUS = re.compile(r"(?<![\w.)])-(?=[\d∞])")


def symbol(text: str) -> str:
    """Mark a symbol of mathematics, such as t."""
    return f"{_SYMBOL[0]}{text}{_SYMBOL[1]}"


def code(text: str) -> str:
    """Mark a formula."""
    return f"{_CODE[0]}{name_of(text)}{_CODE[1]}"


def name_of(text: object) -> str:
    """Return a name of the user's in one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def listed(words: Sequence[str]) -> str:
    """Put words into one list: a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def shown(frame: pd.DataFrame, precision: Precision) -> list[Mapping[str, str]]:
    """Return the numbers of each row as its table has them, by column."""
    columns = cells_of(frame, {}, precision, index=False).columns
    names = [column.name for column in columns]
    cells = zip(*(column.cells for column in columns), strict=True)
    return [dict(zip(names, row, strict=True)) for row in cells]


def equal(left: str, cell: str) -> str:
    """Say what a number is equal to, or less than, on one line."""
    sign, number = (cell[0], cell[1:]) if cell[:1] == "<" else ("=", cell)
    return f"{left}{SPACE}{sign}{SPACE}{number}"


def percent(level: float) -> str:
    return f"{100 * level:g}{SPACE}%"


def in_lines(text: str) -> str:
    """Put text on lines, broken where that is allowed."""
    return filled(text.split(" "), " ").replace(SPACE, " ")


def as_text(sentence: str) -> str:
    return sentence.translate(_MARKS)


def as_markdown(sentence: str) -> str:
    def written(piece: str) -> str:
        if piece.startswith(_SYMBOL[0]):
            return f"*{piece[1:-1]}*"
        if piece.startswith(_CODE[0]):
            ticks = "``" if "`" in piece else "`"
            return f"{ticks}{piece[1:-1]}{ticks}"
        return in_markdown(piece)

    return "".join(map(written, _PIECES.split(sentence)))


def as_html(sentence: str) -> str:
    def written(piece: str) -> str:
        if piece.startswith(_SYMBOL[0]):
            return f"<em>{escape(piece[1:-1])}</em>"
        if piece.startswith(_CODE[0]):
            return f"<code>{escape(piece[1:-1])}</code>"
        return escape(_MINUS.sub("\N{MINUS SIGN}", piece))

    return "".join(map(written, _PIECES.split(sentence)))
