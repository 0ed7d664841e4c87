import copy
import io
import pickle
import sys

import joblib
import numpy as np
import pandas as pd
import pytest

from skmixed.inference._tables.table import ResultTable

FRAME = pd.DataFrame(
    {
        "estimate": [251.405, 10.4673],
        "std_error": [6.8246, 1.5458],
        "df": [17.0, 17.0],
        "p_value": [1e-9, 0.0423],
    },
    index=["a", "b"],
)
REMARKS = ("One.", "Two.")
TABLE = ResultTable.of(FRAME, "Means", REMARKS, {"t": "label"})


def test_a_table_is_a_frame_with_a_title():
    assert isinstance(TABLE, pd.DataFrame)
    assert (TABLE.title, TABLE.remarks) == ("Means", REMARKS)
    assert TABLE.loc["a", "estimate"] == 251.405


def test_it_prints_with_its_title_and_remarks():
    shown = [
        "Means",
        "    estimate  std_error  df  p_value",
        " a    251.41       6.82  17   <0.001",
        " b     10.47       1.55  17    0.042",
        *REMARKS,
    ]
    assert repr(TABLE).splitlines() == shown
    assert str(TABLE) == repr(TABLE) == f"{TABLE}"


def test_a_frame_that_was_given_no_title():
    plain = ResultTable(FRAME)
    assert (plain.title, plain.remarks) == ("", ())
    assert repr(plain).splitlines()[0].split() == list(FRAME.columns)
    assert "<caption></caption>" in plain._repr_html_()


@pytest.mark.parametrize(
    "make",
    [
        lambda table: table.round(1),
        lambda table: table[["estimate"]],
        lambda table: table[table["p_value"] < 0.01],
        lambda table: table.loc[["a"]],
        lambda table: table.iloc[:1],
        lambda table: table.head(1),
        lambda table: table.T,
        # Of rows in order already, pandas 2 makes a copy.
        pytest.param(
            lambda table: table.sort_values("p_value"),
            marks=pytest.mark.skipif(pd.__version__ < "3", reason="a copy"),
        ),
        lambda table: table.sort_values("p_value", ascending=False),
        lambda table: table.assign(more=1.0),
        lambda table: table.rename(columns={"df": "d"}),
        lambda table: table.reset_index(),
        lambda table: table.drop(columns="df"),
        lambda table: table.dropna(),
        lambda table: table.nlargest(1, "estimate"),
        lambda table: pd.concat([table, table]),
        lambda table: table.merge(FRAME, on="df"),
        lambda table: table.describe(),
        lambda table: np.exp(-table),
        lambda table: table == FRAME,
    ],
)
def test_what_pandas_makes_of_it_is_a_plain_frame(make):
    made = make(TABLE)
    assert type(made) is pd.DataFrame
    pd.testing.assert_frame_equal(made, make(FRAME))


@pytest.mark.parametrize(
    "copied",
    [
        lambda table: table.copy(),
        copy.copy,
        copy.deepcopy,
        lambda table: pickle.loads(pickle.dumps(table)),
    ],
)
def test_a_copy_keeps_the_title(copied):
    again = copied(TABLE)
    assert type(again) is ResultTable
    assert (again.title, again.remarks) == ("Means", REMARKS)
    assert again.column_kinds == {"t": "label"}
    assert repr(again) == repr(TABLE)
    pd.testing.assert_frame_equal(again, TABLE)


def test_a_copy_is_of_its_own():
    again = TABLE.copy()
    again.loc["a", "estimate"] = 0.0
    assert TABLE.loc["a", "estimate"] == 251.405
    frame = FRAME.copy()
    table = ResultTable.of(frame.copy(), "Means")
    table["new"] = 1.0
    assert list(frame) == list(FRAME)


def test_a_subclass_keeps_what_it_has_more():
    class Own(ResultTable):
        _metadata = [*ResultTable._metadata, "more"]  # noqa: RUF012

    table = Own.of(FRAME, "Means")
    table.more = 3
    assert type(table.copy()) is Own
    assert table.copy().more == 3


def test_joblib_and_files_keep_it(tmp_path):
    joblib.dump(TABLE, tmp_path / "table")
    assert repr(joblib.load(tmp_path / "table")) == repr(TABLE)
    again = pd.read_csv(io.StringIO(TABLE.to_csv()), index_col=0)
    pd.testing.assert_frame_equal(again, FRAME, check_index_type=False, check_column_type=False)
    assert joblib.hash(TABLE) == joblib.hash(TABLE.copy())


def test_it_is_equal_to_its_frame():
    pd.testing.assert_frame_equal(TABLE, FRAME)
    assert TABLE.equals(FRAME)
    assert FRAME.equals(TABLE)
    assert (FRAME == TABLE).all(axis=None)


def test_pandas_options_say_how_many_rows_are_shown():
    table = ResultTable.of(pd.DataFrame({"p_value": np.zeros(100)}), "Many")
    assert "10 of 100 rows are shown." in repr(table)
    assert "10 of 100 rows are shown." in table._repr_html_()
    with pd.option_context("display.max_rows", None):
        assert len(repr(table).splitlines()) == 102
    with pd.option_context("display.max_rows", 20, "display.min_rows", None):
        assert "20 of 100 rows are shown." in repr(table)
    assert table.to_markdown().count("\n") == 2 + 1 + 100


def test_a_table_of_many_blocks_shows_fewer_rows():
    columns = [f"a_column_with_a_long_name_{k}" for k in range(20)]
    table = ResultTable.of(pd.DataFrame(np.ones((45, 20)), columns=columns), "Wide")
    assert "10 of 45 rows are shown." in repr(table)
    assert len(repr(table).splitlines()) <= 2 * 60 + 30
    assert "are shown" not in table._repr_html_()
    assert "are shown" not in repr(ResultTable.of(pd.DataFrame(table[columns[:4]]), "Narrow"))
    with pd.option_context("display.max_rows", None):
        assert "are shown" not in repr(table)


def test_digits_of_exports():
    table = TABLE.to_markdown(digits=1, p_digits=2)
    assert "|     | Estimate |  SE |  df |   *p* |" in table
    assert "| a   |    251.4 | 6.8 |  17 | <0.01 |" in table
    assert "| b   |     10.5 | 1.5 |  17 |  0.04 |" in table


def test_columns_and_labels_of_exports():
    lines = TABLE.to_markdown(columns=["p_value", "estimate"], index=False).splitlines()
    assert lines[2] == "|    *p* | Estimate |"
    assert lines[5] == "|  0.042 |    10.47 |"
    assert TABLE.to_markdown(columns="df") == TABLE.to_markdown(columns=["df"])
    assert TABLE.to_latex(columns=iter(["df"])) == TABLE.to_latex(columns=["df"])


def test_captions_of_exports():
    assert TABLE.to_markdown().startswith("**Means**\n\n|")
    assert TABLE.to_markdown().endswith("|\n\nOne.\n\nTwo.")
    assert TABLE.to_markdown(caption="Other").startswith("**Other**")
    assert TABLE.to_markdown(caption="", remarks=False).startswith("|")
    assert TABLE.to_markdown(remarks=False).endswith("|")
    assert r"\caption{Means}" in TABLE.to_latex()
    assert r"\label{tab:a}" in TABLE.to_latex(label="tab:a", position="ht")
    assert TABLE.to_latex(position="ht").startswith(r"\begin{table}[ht]")
    assert TABLE.to_latex(caption="", remarks=False).startswith(r"\begin{tabular}")


@pytest.mark.parametrize("export", ["to_markdown", "to_latex"])
def test_exports_are_written_where_it_is_said(export, tmp_path):
    text = getattr(TABLE, export)()
    path = tmp_path / "table.txt"
    for where in (path, str(path)):
        assert getattr(TABLE, export)(where) is None
        assert path.read_text("utf-8") == f"{text.rstrip()}\n"
    file = io.StringIO()
    getattr(TABLE, export)(file, digits=1)
    assert file.getvalue() == getattr(TABLE, export)(digits=1)
    with pytest.raises(TypeError, match=r"buf=3 is of type int\. Give a path, an open file"):
        getattr(TABLE, export)(3)


@pytest.mark.slow
def test_great_tables():
    pytest.importorskip("great_tables")
    html = TABLE.to_great_tables(digits=1, columns=["estimate"], remarks=False).as_raw_html()
    assert ">251.4</td>" in html
    assert "One." not in html


def test_nothing_further_is_needed(monkeypatch):
    for name in ("tabulate", "jinja2", "great_tables"):
        monkeypatch.setitem(sys.modules, name, None)
    assert TABLE.to_markdown()
    assert TABLE.to_latex()
    assert TABLE._repr_html_()
    with pytest.raises(ImportError, match="great_tables"):
        TABLE.to_great_tables()


@pytest.mark.parametrize("export", ["to_markdown", "to_latex", "to_html", "to_great_tables"])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"digits": 2.0}, TypeError, r"digits=2\.0 is of type float\. Give an integer\."),
        ({"digits": True}, TypeError, "digits=True is of type bool"),
        ({"digits": -1}, ValueError, "digits=-1 is not from 0 to 15"),
        ({"p_digits": 0}, ValueError, "p_digits=0 is not from 1 to 15"),
        ({"columns": ["other"]}, ValueError, "columns names 'other', which the table does not"),
        ({"index": "no"}, TypeError, "index='no' is of type str"),
        ({"caption": 3}, TypeError, r"caption=3 is of type int\. Give text"),
        ({"remarks": None}, TypeError, "remarks=None is of type NoneType"),
    ],
)
def test_options_that_are_none(export, options, error, message):
    with pytest.raises(error, match=message):
        getattr(TABLE, export)(**options)


def test_a_label_is_text():
    with pytest.raises(TypeError, match="label=True is of type bool"):
        TABLE.to_latex(label=True)


def test_pandas_own_form_of_text_is_there():
    assert TABLE.to_string() == FRAME.to_string()


def test_html_is_that_of_notebooks(tmp_path):
    assert TABLE.to_html() == TABLE._repr_html_()
    own = TABLE.to_html(columns=["p_value"], caption="", remarks=False)
    assert "&lt;0.001" in own
    assert "Estimate" not in own
    assert "One." not in own
    TABLE.to_html(tmp_path / "table.html")
    assert (tmp_path / "table.html").read_text(encoding="utf-8").startswith("<div")


@pytest.mark.parametrize(
    ("export", "argument"),
    [("to_html", "classes"), ("to_markdown", "tablefmt"), ("to_latex", "float_format")],
)
def test_arguments_of_pandas_are_refused_in_a_sentence(export, argument):
    message = (
        rf"^{export} has no argument '{argument}'\. It has buf, digits, .*remarks.*\. For the form "
        rf"of pandas, with its arguments, use pd\.DataFrame\(table\)\.{export}\(\.\.\.\)\.$"
    )
    with pytest.raises(TypeError, match=message):
        getattr(TABLE, export)(**{argument: "x"})


def test_columns_that_tell_rows_apart_are_kept():
    frame = pd.DataFrame(
        {
            "contrast": ["a - b", "a - b", "a - c", "a - c"],
            "age": ["8", "9", "8", "9"],
            "sex": "f",
            "estimate": [1.5, 2.5, 3.5, 4.5],
            "p_value": [0.1, 0.2, 0.3, 0.4],
        }
    )

    def headings(**options):
        found = ResultTable.of(frame, "").to_markdown(**options).splitlines()[0]
        return found.replace("|", " ").split()

    assert headings(columns=["contrast", "p_value"]) == ["Contrast", "age", "*p*"]
    assert headings(columns=["p_value", "estimate"]) == ["Contrast", "age", "*p*", "Estimate"]
    assert headings(columns=["age", "contrast", "p_value"]) == ["age", "Contrast", "*p*"]
    # The labels of the rows tell them apart.
    assert headings(columns=["p_value"], index=True) == ["*p*"]
