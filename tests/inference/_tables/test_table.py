import pickle

import pandas as pd

from skmixed.inference._tables.table import ResultTable

FRAME = pd.DataFrame({"estimate": [1.0, 2.0]}, index=["a", "b"])
TABLE = ResultTable.of(FRAME, "Means", ("One.",))


def test_a_table_is_a_frame_with_a_title():
    assert isinstance(TABLE, pd.DataFrame)
    assert (TABLE.title, TABLE.remarks) == ("Means", ("One.",))


def test_what_pandas_makes_of_it_is_a_plain_frame():
    for made in (TABLE.round(1), TABLE[["estimate"]], TABLE.loc[["a"]], TABLE.T):
        assert type(made) is pd.DataFrame


def test_a_pickle_keeps_the_title():
    again = pickle.loads(pickle.dumps(TABLE))
    assert type(again) is ResultTable
    assert (again.title, again.remarks) == ("Means", ("One.",))
    pd.testing.assert_frame_equal(again, TABLE)
