"""Codings read off formulaic: the columns of a model, and its indicators, from each other."""

import re

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from numpy.testing import assert_allclose
from scipy.linalg import block_diag

from skmixed._model.coding import Axis, ModelTerm, terms_of_spec
from skmixed._uncertainty.hypotheses import indicators_by_columns

RNG = np.random.default_rng(0)
N = 80
LEVELS = {"a": list("pqr"), "b": list("uvwt"), "c": list("kl")}
FRAME = pd.DataFrame({name: pd.Categorical(RNG.choice(v, N), v) for name, v in LEVELS.items()})
FRAME = FRAME.assign(x=RNG.normal(size=N), z=RNG.normal(size=N))
OWN = np.array([[1.0, 0.3], [-2.0, 1.0], [0.5, 4.0]])


def indicators(terms, columns):
    """D, from the categories and the numbers themselves."""
    out = []
    for term in terms:
        own = np.ones((N, 1))
        for axis in term.axes:
            if axis.has_categories:
                name = re.sub(r"C\((\w+).*", r"\1", axis.name)
                values = (np.asarray(FRAME[name])[:, None] == LEVELS[name]) * 1.0
            else:
                values = columns(axis.name)
            own = (values[:, :, None] * own[:, None]).reshape(N, -1)
        out.append(own[:, : term.n_indicators])
    return np.concatenate(out, axis=1)


@pytest.mark.parametrize(
    "formula",
    [
        "a * b",
        "0 + a * b",
        "a:b",
        "0 + a:b:x",
        "a + a:b",
        "b:a + a:x + x",
        "C(a, own) * C(b, contr.helmert) * x",
        "C(a, contr.sum):x:z + c * x",
        "poly(x, 3):c + poly(x, 3) + a:poly(z, 2)",
        "poly(x, 2):b:poly(z, 3)",
        "C(a, contr.treatment('q')) * c + I(x ** 2):C(b, contr.poly)",
        "C(a, [[-1], [0], [1]]) * b + x",
        "a + b:c + a:b:c",
        "1",
    ],
)
def test_columns_and_indicators_make_each_other(formula):
    matrix = model_matrix(formula, FRAME, context={"own": OWN})
    terms, spec = terms_of_spec(matrix.model_spec), matrix.model_spec

    def columns(expression):
        # A coding of fewer columns than categories counts as numbers.
        return np.asarray(model_matrix(f"1 + {expression}", FRAME), dtype=float)[:, 1:]

    assert [term.name for term in terms] == [str(term) for term in spec.terms]
    X, D = np.asarray(matrix, dtype=float), indicators(terms, columns)
    coding = block_diag(*(term.coding for term in terms))
    assert coding.shape == (D.shape[1], X.shape[1])
    assert_allclose(D @ coding, X, atol=1e-12)
    assert_allclose(X @ indicators_by_columns(terms), D, atol=1e-10)


def test_what_contains_a_term():
    """SAS: all its factors, further categorical ones, the same numeric ones."""
    spec = model_matrix("a * b * x + c:x", FRAME).model_spec
    terms = {term.name: term for term in terms_of_spec(spec)}
    found = {name: {k for k, t in terms.items() if t.contains(own)} for name, own in terms.items()}
    assert found["a"] == {"a:b"}
    assert found["x"] == {"a:x", "b:x", "c:x", "a:b:x"}
    assert found["a:x"] == {"a:b:x"}
    assert found["1"] == {"a", "b", "a:b"}
    assert found["a:b:x"] == set()


def test_places_along_axes():
    axes = (Axis("a", 2, True), Axis("x", 3, False), Axis("b", 2, True))
    term = ModelTerm("a:x:b", axes, np.eye(12))
    assert term.places("a").tolist() == [0, 1] * 6
    assert term.places("x").tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert term.numeric_places() == [(k,) for k in term.places("x")]
