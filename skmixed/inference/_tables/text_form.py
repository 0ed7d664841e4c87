"""A table of results as text: a title, columns on lines of one width, remarks."""

from collections.abc import Iterator, Sequence

from skmixed.inference._tables.cells import ShownColumn, ShownTable
from skmixed.inference._tables.text_layout import filled, line_width, lines, shortened

# Names of rows have this many letters on a line before columns go below each other, and then.
LEAST_NAME, LEAST_NAME_BELOW = 14, 26
# Other words, and headings, are cut to this.
LONGEST = 40
# Columns that stay beside the one before.
TOGETHER = ("upper", "df_den")


def text_of(cells: ShownTable, title: str, remarks: Sequence[str]) -> str:
    """Return the table on lines of `line_width`; columns without room are below the others."""
    parts = [filled(title.split(), " ")] if title else []
    parts += [lines(rows, n_names) for rows, n_names in _blocks(cells)]
    below = [cells.cut] if cells.cut else []
    return "\n".join([*parts, *(filled(text.split(), " ") for text in (*below, *remarks))])


def n_blocks(cells: ShownTable) -> int:
    """Return how many times the rows are written, for all columns to have room."""
    return sum(1 for _ in _blocks(cells))


def _blocks(cells: ShownTable) -> Iterator[tuple[list[list[str]], int]]:
    """Yield the columns that fit beside the names of the rows, and the number of these."""
    n = cells.n_names
    heads = unique([column.name for column in cells.columns])
    names = [_rows_of(column, head) for column, head in zip(cells.columns, heads, strict=True)][:n]
    others = [
        _aligned(column, head) for column, head in zip(cells.columns[n:], heads[n:], strict=True)
    ]
    blocks = _grouped(names, others, LEAST_NAME)
    if len(blocks) > 1:
        blocks = _grouped(names, others, LEAST_NAME_BELOW)
    for block in blocks:
        yield [list(row) for row in zip(*names, *block, strict=True)], n


def _grouped(
    names: list[list[str]], columns: list[list[str]], least_name: int
) -> list[list[list[str]]]:
    """Put columns into groups that have room beside the names."""
    room = line_width() - 1 - sum(min(_width(name), least_name) + 2 for name in names)
    groups: list[list[list[str]]] = [[]]
    for unit in _units(columns):
        width = sum(_width(column) + 2 for column in (*groups[-1], *unit)) - 2
        if groups[-1] and width > room:
            groups.append([])
        groups[-1] += unit
    return groups


def _units(columns: list[list[str]]) -> Iterator[list[list[str]]]:
    """Yield columns, with those that belong to them."""
    unit: list[list[str]] = []
    for column in columns:
        if unit and column[0].strip() not in TOGETHER:
            yield unit
            unit = []
        unit.append(column)
    yield unit


def _width(column: Sequence[str]) -> int:
    return max(map(len, column))


def _rows_of(column: ShownColumn, head: str) -> list[str]:
    return [head, *column.cells]


def _aligned(column: ShownColumn, head: str) -> list[str]:
    """Return a column of numbers with their points below each other, or of words to the left."""
    if not column.is_text:
        return [head, *column.lined_up]
    words = [head, *(shortened(cell, LONGEST) for cell in column.cells)]
    width = _width(words)
    return [word.ljust(width) for word in words]


def unique(names: Sequence[str]) -> list[str]:
    """Cut headings out in their middles; those that would be alike get their numbers."""
    cut = [shortened(name, LONGEST) for name in names]
    return [
        f"{shortened(name, LONGEST - 3)}…{k}" if len(name) > LONGEST and cut.count(own) > 1 else own
        for k, (name, own) in enumerate(zip(names, cut, strict=True))
    ]
