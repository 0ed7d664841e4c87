"""What a printed number says of the value that it stands for."""

import math
import re
from decimal import Decimal, localcontext


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
