import pandas as pd
import pytest

from skmixed.inference._tables.column_kinds import COLUMN_KINDS, LABEL, heading_of, kind_of
from skmixed.inference._tables.number_formats import FORMATS

NUMBERS, WORDS = pd.Series([1.5, 2.5]), pd.Series(["a", "b"])


@pytest.mark.parametrize("name", COLUMN_KINDS)
def test_each_kind_has_a_form(name):
    assert COLUMN_KINDS[name].kind in (LABEL, *FORMATS)
    assert COLUMN_KINDS[name].heading


def test_every_column_of_results_has_a_kind():
    """The names that all tables share."""
    names = (
        "mean slope estimate ratio odds_ratio std_error df t z p_value lower upper sum_sq mean_sq "
        "df_num df_den F chi2 npar aic bic log_likelihood"
    )
    assert set(names.split()) <= set(COLUMN_KINDS)


def test_the_kind_is_by_name_but_for_words():
    assert kind_of("t", NUMBERS, {}).kind == "statistic"
    assert kind_of("t", WORDS, {}).kind == LABEL
    assert kind_of("t", NUMBERS > 2, {}).kind == LABEL
    assert kind_of("other", NUMBERS, {}).kind == "number"


def test_a_table_says_what_a_column_of_the_users_is():
    own = kind_of("t", NUMBERS, {"t": LABEL})
    assert (own.kind, own.heading, own.is_symbol) == (LABEL, "t", False)
    assert kind_of("t", WORDS, {"t": "number"}).kind == LABEL


def test_headings_of_several_levels():
    assert heading_of(("r2", "mean")) == "r2 mean"
    assert heading_of(("rank", "")) == "rank"
    assert heading_of(3) == "3"
