import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from skmixed.inference import ResultSeries

NUMBERS = pd.Series({"log_likelihood": -824.5123, "df": 31.249, "caic": 1711.52}, name="a")


def test_numbers_are_those_of_the_series_and_print_as_a_row():
    found = ResultSeries.of(NUMBERS, "Conditional AIC", ["A remark."])
    pd.testing.assert_series_equal(found, NUMBERS, check_series_type=False)
    assert repr(found).splitlines() == [
        "Conditional AIC",
        " log_likelihood    df     caic",
        "        -824.51  31.2  1711.52",
        "A remark.",
    ]
    assert "-824.51" in found._repr_html_().replace("−", "-")
    assert found.table.to_markdown(caption="", remarks=False).count("\n") == 2


def test_what_pandas_makes_of_it_is_a_plain_series():
    found = ResultSeries.of(NUMBERS, "Title")
    for other in (found.round(1), found[["df"]], found * 2.0, found.copy(), copy.copy(found)):
        assert type(other) is pd.Series
    assert type(found.to_frame()) is pd.DataFrame
    assert found.sum() == NUMBERS.sum()


def test_pickles_keep_the_title():
    found = pickle.loads(pickle.dumps(ResultSeries.of(NUMBERS, "Title", ["Said."], "share")))
    assert (type(found), found.title, found.remarks) == (ResultSeries, "Title", ("Said.",))
    assert repr(found) == repr(ResultSeries.of(NUMBERS, "Title", ["Said."], "share"))


@pytest.mark.parametrize("name", ["title", "table", "remarks", "df", "p_value"])
def test_names_are_no_attributes_and_a_kind_is_of_all(name):
    found = ResultSeries.of(pd.Series({name: 0.25, "other": np.nan}), "Shares", kind="share")
    assert found[name] == 0.25
    assert found.title == "Shares"
    assert repr(found).splitlines()[-1].split() == ["0.250", "–"]
