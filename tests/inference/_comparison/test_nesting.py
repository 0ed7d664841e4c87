"""Nested random parts, against the matrices that they allow."""

import warnings
from itertools import combinations

import numpy as np
import pandas as pd

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed.exceptions import SingularFitWarning
from skmixed.inference._comparison.nesting import blocks, n_boundary, not_contained

COLUMNS = ["(Intercept)", "x", "z"]
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 2)), columns=["x", "z"])
FRAME["g"] = np.arange(90) % 9
Y = np.random.default_rng(1).normal(size=90)


def random_part(seed):
    """Some columns, parted into terms without common ones: (columns, covariance)."""
    rng = np.random.default_rng(seed)
    place = rng.integers(-1, 3, 3)
    parts = [[c for c, k in zip(COLUMNS, place, strict=True) if k == own] for own in range(3)]
    return [(p, str(rng.choice(["full", "diag", "spherical"]))) for p in parts if p]


def encoder_of(terms):
    effects = [
        RandomEffect(
            "g", [c for c in columns if c != "(Intercept)"],
            intercept="(Intercept)" in columns, covariance=covariance,
        )
        for columns, covariance in terms
    ]  # fmt: skip
    model = MixedLinearRegressor(effects or None, fixed=["x", "z"])
    table = FRAME if effects else FRAME.drop(columns="g")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return model.fit(table, Y)._model.encoder


ENCODERS = {seed: encoder_of(random_part(seed)) for seed in range(40)}


def generic(terms):
    """A covariance matrix of the three columns as generic as the terms allow."""
    rng, out = np.random.default_rng(7), np.zeros((3, 3))
    for columns, covariance in terms:
        own = [COLUMNS.index(c) for c in columns]
        root = rng.normal(size=(len(own), len(own)))
        matrix = {
            "full": root @ root.T,
            "diag": np.diag(np.diagonal(root) ** 2),
            "spherical": np.eye(len(own)) * root[0, 0] ** 2,
        }
        out[np.ix_(own, own)] = matrix[covariance]
    return out


def allows(terms, matrix):
    """Whether a choice of the terms' parameters gives the matrix."""
    rest = matrix.copy()
    for columns, covariance in terms:
        own = np.ix_(*[[COLUMNS.index(c) for c in columns]] * 2)
        part = matrix[own]
        fits = {
            "full": part,
            "diag": np.diag(np.diagonal(part)),
            "spherical": np.eye(len(part)) * part[0, 0],
        }
        rest[own] -= fits[covariance]
    return not rest.any()


def zero_variances(terms, matrix):
    """Variances, in the terms' own form, that are 0 in the matrix."""
    count = 0
    for columns, covariance in terms:
        own = [COLUMNS.index(c) for c in columns]
        part = matrix[np.ix_(own, own)]
        if covariance == "spherical":
            count += not part.any()
        else:
            count += len(own) - np.linalg.matrix_rank(part)
    return count


def test_against_generic_matrices():
    n_nested = 0
    for a, b in combinations(ENCODERS, 2):
        for null, alternative in ((a, b), (b, a)):
            matrix, terms = generic(random_part(null)), random_part(alternative)
            lists = blocks(ENCODERS[null]), blocks(ENCODERS[alternative])
            is_nested = allows(terms, matrix)
            assert (not not_contained(*lists)) == is_nested, (random_part(null), terms)
            if is_nested:
                n_nested += 1
                assert n_boundary(*lists) == zero_variances(terms, matrix)
    assert n_nested > 300


def test_blocks_in_words():
    words = [str(b) for b in blocks(encoder_of([(COLUMNS, "spherical")]))]
    assert words == ["'(Intercept)', 'x', 'z' within 'g' (spherical)"]
    words = [str(b) for b in blocks(encoder_of([(["x", "z"], "diag")]))]
    assert words == ["'x' within 'g'", "'z' within 'g'"]


def test_structures_of_correlations_are_nested_where_they_are():
    """By name: those that each contains, of three columns with one term."""
    linear = {
        "spherical": {"full", "diag", "compound_symmetry"},
        "diag": {"full"},
        "compound_symmetry": {"full"},
        "full": set(),
    }
    correlated = {
        "spherical": {"ar1", "toeplitz", "heterogeneous_ar1", "heterogeneous_compound_symmetry"},
        "diag": {"heterogeneous_ar1", "heterogeneous_compound_symmetry"},
        "compound_symmetry": {"toeplitz", "heterogeneous_compound_symmetry"},
        "full": set(),
        "ar1": {"full", "toeplitz", "heterogeneous_ar1"},
        "toeplitz": {"full"},
        "heterogeneous_ar1": {"full"},
        "heterogeneous_compound_symmetry": {"full"},
    }
    names = list(correlated)
    encoders = {name: encoder_of([(COLUMNS, name)]) for name in names}
    for null in names:
        wanted = {null} | linear.get(null, set()) | correlated[null]
        found = {o for o in names if not not_contained(blocks(encoders[null]), blocks(encoders[o]))}
        assert found == wanted, null


def test_blocks_within_one_of_correlations_are_tried_together():
    alternative = blocks(encoder_of([(COLUMNS, "heterogeneous_compound_symmetry")]))
    alone = blocks(encoder_of([(["(Intercept)", "z"], "full")]))
    assert not not_contained(alone, alternative)
    # x and z are correlated with each other, and neither with the intercept
    apart = blocks(encoder_of([(["(Intercept)"], "full"), (["x", "z"], "full")]))
    assert not_contained(apart, alternative) == apart
