import pickle

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

from skmixed import MixedEffectsRegressor, MixedLinearRegressor, lmer
from skmixed.datasets import load_sleepstudy
from skmixed.exceptions import ExactFitWarning
from skmixed.inference import ModelReport, report

X, Y = load_sleepstudy(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def found():
    return report(lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame))


def test_text_is_two_paragraphs_in_80_columns(found):
    text = str(found)
    assert repr(found) == text
    assert max(map(len, text.splitlines())) <= 80
    methods, results = text.split("\n\n")
    assert " ".join(methods.split()) == " ".join(found.methods)
    assert " ".join(results.split()) == " ".join(found.results)
    assert "p < 0.001" in text.replace("\n", "|")
    assert text.isprintable() or set(text) - set(filter(str.isprintable, text)) == {"\n"}


def test_it_has_no_more_than_a_dozen_sentences(found):
    assert len(found.methods) + len(found.results) <= 12


def test_markdown(found, tmp_path):
    text = found.to_markdown()
    assert "`Reaction ~ Days + (Days | Subject)`" in text
    assert "*t*(17) = 6.77, *p* < 0.001" in text
    assert text.count("\n\n") == 1
    assert found.to_markdown(tmp_path / "report.md") is None
    assert (tmp_path / "report.md").read_text("utf-8") == f"{text}\n"


def test_html(found):
    html = found._repr_html_()
    assert html.count("<p>") == html.count("</p>") == 2
    assert "<code>Reaction ~ Days + (Days | Subject)</code>" in html
    assert "<em>t</em>(17)" in html
    assert "&lt;" in html


def test_a_report_is_a_value(found):
    assert pickle.loads(pickle.dumps(found)) == found
    assert isinstance(found, ModelReport)


def test_a_pipeline_is_its_last_step(found):
    model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, Y)
    piped = make_pipeline("passthrough", MixedLinearRegressor("Subject", random_slopes="Days"))
    assert report(piped.fit(X, Y)) == report(model)
    assert report(model).results == found.results


def test_a_model_that_reproduces_its_response():
    with pytest.warns(ExactFitWarning):
        model = MixedLinearRegressor(fixed=["Days"]).fit(X, 2.0 * X["Days"] + 1.0)
    assert report(model).results[-1] == "The model reproduces the response exactly."


def test_digits_are_decimals():
    model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    text = " ".join(report(model, digits=1).results)
    assert "Days was 10.5 (95 % CI 7.2 to 13.7), t(17) = 6.8, p < 0.001" in text
    assert "24.7 for intercepts and 5.9 for slopes of Days by Subject (correlation 0.1)" in text
    with pytest.raises(ValueError, match="digits=-1 is not from 0 to 15"):
        report(model, digits=-1)


def test_what_has_no_report():
    with pytest.raises(ValueError, match="level"):
        report(MixedLinearRegressor("Subject").fit(X, Y), level=2)
    with pytest.raises(TypeError, match="model is of type str"):
        report("model")
    from sklearn.linear_model import LinearRegression

    model = MixedEffectsRegressor(LinearRegression(), "Subject").fit(X, np.asarray(Y))
    with pytest.raises(TypeError, match="mixed_model_"):
        report(model)


def test_names_of_every_kind():
    evil = "<b>&`*_\n|"
    table = X.rename(columns={"Days": evil})
    found = report(MixedLinearRegressor("Subject").fit(table, Y))
    assert "<b>&`*_ |" in str(found).replace("\n", " ")
    assert "<b>" not in found._repr_html_()
    assert r"\<b>" in found.to_markdown()
