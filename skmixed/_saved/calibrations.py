"""Whether the calibrations of a saved model are those of its encoder's model."""

from typing import Any

import numpy as np

from skmixed._data.encoder import Encoder
from skmixed._folds.calibration import Calibration
from skmixed._saved.estimates import LARGEST_ROOT
from skmixed._saved.requirements import check_array, check_kind, require

WHAT = "calibrations"


def check_calibration(encoder: Encoder, own: Any) -> None:
    """Refuse scores of rows, and predictions by fits without folds, that are none of the model."""
    check_kind(WHAT, own, Calibration)
    check_kind(WHAT, own.new, tuple)
    require(len(own.new) == len(encoder.factors), WHAT)
    require(all(type(is_new) is bool for is_new in own.new), WHAT)
    check_kind(WHAT, own.sigma, np.ndarray)
    check_kind(WHAT, own.scores, np.ndarray)
    n_folds, n = own.sigma.size, own.scores.size
    require(n_folds > 0 and n > 0, WHAT)
    check_array(WHAT, own.sigma, (n_folds,))
    check_array(WHAT, own.fixed, (n_folds, len(encoder.fixed)))
    check_array(WHAT, own.scores, (n,))
    check_array(WHAT, own.weights, (n,))
    check_array(WHAT, own.fold, (n,), "i")
    require((own.fold >= 0).all() and (own.fold < n_folds).all(), WHAT)
    arrays = [own.sigma, own.fixed, own.scores, own.weights, *_of_terms(encoder, own, n_folds)]
    require(all((np.abs(array) < LARGEST_ROOT).all() for array in arrays), WHAT)
    require((own.sigma >= 0).all() and own.scores[0] >= 0, WHAT)
    require((np.diff(own.scores) >= 0).all(), WHAT)
    require((own.weights > 0).all() and own.weights.sum() < 1, WHAT)


def _of_terms(encoder: Encoder, own: Calibration, n_folds: int) -> list[Any]:
    """Check the shapes of what there is of each term, and return all of it."""
    n_terms = len(encoder.terms)
    for arrays in (own.effects, own.roots):
        check_kind(WHAT, arrays, tuple)
        require(len(arrays) == n_terms, WHAT)
    for term, effects, roots in zip(encoder.terms, own.effects, own.roots, strict=True):
        s, is_new = len(term.columns), own.new[term.factor]
        q = 0 if is_new else encoder.factors[term.factor].n_levels
        check_array(WHAT, effects, (s, q, n_folds))
        check_array(WHAT, roots, (n_folds, s, s))
    return [*own.effects, *own.roots]
