import numpy as np
import pandas as pd
import pytest

from skmixed.inference._tables.cells import cells_of
from skmixed.inference._tables.exports import Caption
from skmixed.inference._tables.latex_form import in_latex, latex_of
from skmixed.inference._tables.number_formats import Precision

FRAME = pd.DataFrame(
    {"estimate": [251.405, -0.10467], "std_error": [6.8246, 0.01546], "p_value": [1e-9, np.nan]},
    index=["(Intercept)", "x_1"],
)
BARE = Caption("", ())


def latex(frame, caption=BARE):
    return latex_of(cells_of(frame, {}, Precision()), caption).splitlines()


def test_without_words_around_it_is_a_tabular():
    assert latex(FRAME) == [
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r" & Estimate & SE & $p$ \\",
        r"\midrule",
        r"(Intercept) & 251.41\phantom{00} & 6.82\phantom{00} & $<$0.001 \\",
        r"x\_1 & $-0.1047$ & 0.0155 & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_table_has_a_caption_a_label_and_remarks():
    found = latex(FRAME, Caption("A & B", ("One.", "50 %."), "tab:a", "ht"))
    assert found[:5] == [
        r"\begin{table}[ht]",
        r"\centering",
        r"\caption{A \& B}",
        r"\label{tab:a}",
        r"\begin{tabular}{lrrr}",
    ]
    assert found[-4:] == [r"\par\smallskip", r"{\footnotesize One.", r"50 \%.\par}", r"\end{table}"]


@pytest.mark.parametrize(
    "caption", [Caption("A", ()), Caption("", ("One.",)), Caption("", (), "tab:a")]
)
def test_each_word_around_it_makes_a_table(caption):
    found = "\n".join(latex(FRAME, caption))
    assert found.startswith("\\begin{table}\n\\centering\n")
    assert (r"\caption" in found) == bool(caption.title)
    assert (r"\footnotesize" in found) == bool(caption.remarks)
    assert (r"\label" in found) == bool(caption.label)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b & 50 % #1 {x}", r"a\_b \& 50 \% \#1 \{x\}"),
        ("\\", r"\textbackslash{}"),
        ("½χ²(1) + ½χ²(2)", r"$\frac{1}{2}\chi^2$(1) + $\frac{1}{2}\chi^2$(2)"),
        ("$<", r"\$$<$"),
        ("σ², β", r"$\sigma^2$, $\beta$"),
        ("a~b^c|d", r"a\textasciitilde{}b\textasciicircum{}c\textbar{}d"),
        ("αΩλεφ", r"$\alpha\Omega\lambda\varepsilon\varphi$"),
        ("Über", "Über"),
    ],
)
def test_text_is_shown_as_it_is(text, shown):
    assert in_latex(text) == shown


def test_a_row_is_no_argument_of_the_row_before():
    found = latex(FRAME.set_axis(["[T.B]", "*"]))
    assert found[4].startswith("{}[T.B] &")
    assert found[5].startswith("{}* &")


def test_powers_of_ten_and_infinity():
    frame = pd.DataFrame({"estimate": [2.2e-8, np.inf], "std_error": [1.5e-9, np.inf]})
    found = latex(frame)
    assert found[4] == r"0 & $2.200\times 10^{-8}$ & $1.50\times 10^{-9}$ \\"
    assert found[5] == r"1 & $\infty$ & $\infty$ \\"
    assert r"$-\infty$" in latex(-frame)[5]


def test_a_number_without_a_point_is_as_wide_as_the_others():
    frame = pd.DataFrame({"estimate": [1234.0, 1.5], "std_error": [2000.0, 0.25]})
    assert r"1234\phantom{.000}" in latex(frame)[4]


def test_symbols_of_headings():
    assert r" & $\chi^2$ & $F$ \\" in latex(pd.DataFrame({"chi2": [1.0], "F": [2.0]}, index=["a"]))
