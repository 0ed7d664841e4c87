"""What a printed number says of the value that it stands for."""

import math
import re
from decimal import Decimal, localcontext

from skmixed.inference._tables.cells import cells_of
from skmixed.inference._tables.number_formats import Precision


def assert_says(cell, value):
    """The number in a cell is the value, rounded at its last digit: in exact arithmetic."""
    assert not re.fullmatch(r"-[0.]+(e.*)?", cell), "zero has no sign"
    if not math.isfinite(value):
        assert cell == ("–" if math.isnan(value) else "∞" if value > 0 else "-∞")
        return
    found = Decimal(cell.strip())
    last_digit = Decimal(1).scaleb(found.as_tuple().exponent)
    with localcontext(prec=1100):  # all digits of any double
        assert abs(found - Decimal(value)) <= last_digit / 2


def assert_cells_say_the_values(table):
    """Each number that a table of results prints is its value."""
    shown = cells_of(table, table.column_kinds, Precision())
    columns = shown.columns[len(shown.columns) - table.shape[1] :]
    for k, column in enumerate(columns):
        for cell, value in zip(column.cells, table.iloc[:, k], strict=True):
            if cell.startswith("<"):
                assert 0 <= value < float(cell[1:])
            elif not column.is_text:
                assert_says(cell, float(value))
