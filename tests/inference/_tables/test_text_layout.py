import numpy as np
import pandas as pd
import pytest

from skmixed.inference._tables.text_layout import aligned, lines


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([251.4051, 10.4673], ["251.41", "10.47"]),
        ([251.4051, 0.0104673], ["251.405", "0.010"]),
        ([1000000251.4, 10.4673], ["1.0000e+09", "1.0467e+01"]),
        ([-3692046.97, 4.3e-7], ["-3.6920e+06", "4.3000e-07"]),
        ([612.09, 0.0], ["612.09", "0.00"]),
        ([612.09, -0.0], ["612.09", "0.00"]),
        ([-0.0, np.nan], ["0", ""]),
        ([612.09, -0.0000123], ["6.1209e+02", "-1.2300e-05"]),
        ([612.09, -0.01, 0.4], ["612.090", "-0.010", "0.400"]),
    ],
)
def test_decimals_of_a_column(values, expected):
    assert aligned(pd.Series(values)) == expected


def test_rows_of_names_without_room():
    rows = [["Group", "Name", "SD"], ["g", f"{'a' * 90}1{'b' * 90}", "1.0"]]
    assert "…" in lines(rows, names=2)
    rows.append(["", f"{'a' * 90}2{'b' * 90}", "2.0"])
    found = lines(rows, names=2)
    assert "…" not in found
    assert f"g{'a' * 90}1{'b' * 90}1.0{'a' * 90}2{'b' * 90}2.0" in "".join(found.split())
    assert max(map(len, found.splitlines())) <= 80
