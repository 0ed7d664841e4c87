"""Predictions of classes, and the classes of a target."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.special as special
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length

from skmixed._data.table import check_unmasked
from skmixed._fitted import checks as validation
from skmixed._generalized.quadrature import log_averages
from skmixed._generalized_estimators.predicting import LinearRows, linear_rows
from skmixed._generalized_estimators.reading import ResponseToModel
from skmixed._model.binomial import LINKS, BinaryLink
from skmixed._model.family import Family
from skmixed._typing import FloatArray, IntArray
from skmixed.typing import Effects, Include

# A probability of which so little is left has too few digits where it is a sum.
EDGE = 1e-3
# Kinds of arrays of numbers.
NUMERIC = "biuf"


def predict_proba(
    self: Any,
    X: Any,
    *,
    groups: Any = None,
    include: Include = "all",
    effects: Effects = "mode",
) -> FloatArray:
    """Predict the probabilities of the classes.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    include : "all", "fixed" or list of str, default="all"
        The grouping factors that count: those of known groups by their
        effects, unknown ones by the mean over the distribution of theirs.
        The effects of others are 0.
    effects : {"mode", "mean"}, default="mode"
        The probability at the mode of a known group's effects, as R's glmer
        predicts, or its mean over their distribution given the data.
        The distribution is exact for one grouping factor with at most three
        coefficients, by quadrature, to 1e-6; else it is normal by Laplace's
        approximation, whose mean can be farther from the exact one than the
        mode is where groups have few rows. "mean" needs the rows of the fit.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Probabilities in the order of `classes_`.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, or a group is unknown and
        ``handle_unknown="error"``.

    Notes
    -----
    Means over a normal distribution are taken to 1e-12: in closed form for the
    probit link, else by the trapezoidal rule, which converges geometrically.

    Examples
    --------
    >>> from skmixed import MixedLogisticClassifier
    >>> X = [[0.1, 1], [0.9, 1], [0.4, 1], [0.2, 2], [0.6, 2], [0.7, 2]]
    >>> model = MixedLogisticClassifier(fixed=[0]).fit(X, [0, 1, 0, 0, 1, 0])
    >>> model.predict_proba([[0.5, 1]]).round(2)
    array([[0.8, 0.2]])
    """
    found = linear_rows(self, X, groups, include, effects)
    mean = found.mean()
    odds = log_odds(found, mean)
    # 1 − μ by itself, of which rounding leaves nothing where μ is nearly 1
    return np.column_stack([np.where(odds > 0.0, special.expit(-odds), 1.0 - mean), mean])


def predict_log_proba(
    self: Any,
    X: Any,
    *,
    groups: Any = None,
    include: Include = "all",
    effects: Effects = "mode",
) -> FloatArray:
    """Predict the logarithms of the probabilities of the classes.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    include : "all", "fixed" or list of str, default="all"
        The grouping factors that count, as in `predict_proba`.
    effects : {"mode", "mean"}, default="mode"
        What stands for the effects of known groups, as in `predict_proba`.

    Returns
    -------
    ndarray of shape (n_samples, 2)
        Logarithms in the order of `classes_`, with all digits of probabilities near 0 and 1.

    Raises
    ------
    ValueError
        If X does not match that of `fit`, or a group is unknown and
        ``handle_unknown="error"``.

    Examples
    --------
    >>> from skmixed import MixedLogisticClassifier
    >>> X = [[0.1, 1], [0.9, 1], [0.4, 1], [0.2, 2], [0.6, 2], [0.7, 2]]
    >>> model = MixedLogisticClassifier(fixed=[0]).fit(X, [0, 1, 0, 0, 1, 0])
    >>> model.predict_log_proba([[0.5, 1]]).round(2)
    array([[-0.23, -1.6 ]])
    """
    # log p = −log(1 + exp(∓ log odds))
    odds = self.decision_function(X, groups=groups, include=include, effects=effects)
    return -np.logaddexp(0.0, np.column_stack([odds, -odds]))


def decision_function(
    self: Any,
    X: Any,
    *,
    groups: Any = None,
    include: Include = "all",
    effects: Effects = "mode",
) -> FloatArray:
    """Return the log odds of the second class.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    include : "all", "fixed" or list of str, default="all"
        The grouping factors that count, as in `predict_proba`.
    effects : {"mode", "mean"}, default="mode"
        What stands for the effects of known groups, as in `predict_proba`.

    Returns
    -------
    ndarray of shape (n_samples,)
        The logarithm of the odds that `predict_proba` gives; positive where
        `predict` gives the second class.

    Examples
    --------
    >>> from skmixed import MixedLogisticClassifier
    >>> X = [[0.1, 1], [0.9, 1], [0.4, 1], [0.2, 2], [0.6, 2], [0.7, 2]]
    >>> model = MixedLogisticClassifier(fixed=[0]).fit(X, [0, 1, 0, 0, 1, 0])
    >>> model.decision_function([[0.5, 1]]).round(2)
    array([-1.37])
    """
    found = linear_rows(self, X, groups, include, effects)
    return log_odds(found, found.mean())


def log_odds(found: LinearRows, mean: FloatArray) -> FloatArray:
    """Return the logarithm of the odds of the mean, (n,)."""
    link = LINKS[found.family.link_name]
    # log μ − log(1 − μ) keeps its digits where μ is 0 or 1 to rounding
    failure, success = log_probabilities(link, found.eta)
    out = success - failure
    is_averaged, is_edge = found.is_averaged, np.minimum(mean, 1.0 - mean) < EDGE
    out[is_averaged] = special.logit(mean[is_averaged])
    rows = np.flatnonzero(is_edge & (found.variance > 0.0))
    if len(rows):
        failure, success = log_averages(link, found.eta[rows], found.variance[rows])
        out[rows] = success - failure
    if found.known is not None:
        own = found.known.taken(is_edge[found.known.rows])
        failure, success = own.log_mean(lambda eta: log_probabilities(link, eta), found.eta)
        out[own.rows] = success - failure
    return out


def log_probabilities(link: BinaryLink, eta: FloatArray) -> FloatArray:
    """Return log(1 − μ) and log μ, (2, n)."""
    ends = np.zeros(len(eta)), np.ones(len(eta))
    return -np.stack([link.logs(eta, y, 0)[0] for y in ends])


def predict(
    self: Any,
    X: Any,
    *,
    groups: Any = None,
    include: Include = "all",
    effects: Effects = "mode",
) -> NDArray[Any]:
    """Predict the more probable class.

    Parameters
    ----------
    X : frame or array-like of shape (n_samples, n_features)
        Samples with the columns that `fit` was given.
    groups : array-like of shape (n_samples,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.
    include : "all", "fixed" or list of str, default="all"
        The grouping factors that count, as in `predict_proba`.
    effects : {"mode", "mean"}, default="mode"
        What stands for the effects of known groups, as in `predict_proba`.

    Returns
    -------
    ndarray of shape (n_samples,)
        Labels, of `classes_`.

    Examples
    --------
    >>> from skmixed import MixedLogisticClassifier
    >>> X = [[0.1, 1], [0.9, 1], [0.4, 1], [0.2, 2], [0.6, 2], [0.7, 2]]
    >>> y = ["no", "yes", "no", "no", "yes", "no"]
    >>> model = MixedLogisticClassifier(fixed=[0]).fit(X, y)
    >>> model.predict([[0.5, 1]])
    array(['no'], dtype='<U3')
    """
    scores = self.decision_function(X, groups=groups, include=include, effects=effects)
    return np.asarray(self.classes_[(scores > 0).astype(np.intp)])


class ClassReader:
    """Reads labels of two classes, which are learned on the way.

    Parameters
    ----------
    family : Family
    """

    def __init__(self, family: Family) -> None:
        self.family = family
        # By order of appearance
        self.classes: NDArray[Any] | None = None
        self.is_counted = np.zeros(2, dtype=bool)

    def read(
        self,
        y: Any,
        sample_weight: Any,
        exposure: Any,  # noqa: ARG002
        n_rows: int,
        *,
        part: str = "",
    ) -> ResponseToModel:
        """Check labels, and return the number of the class of each row."""
        weights = validation.check_weights(sample_weight, n_rows, may_be_zero=bool(part))
        check_unmasked(y, "y")
        labels = column_or_1d(y, warn=True)
        check_consistent_length(labels, np.empty(n_rows))
        check_no_missing(labels)
        codes = self._known_codes(labels)
        if codes is None:
            assert_all_finite(labels, input_name="y")
            check_classification_targets(labels)
            kind = type_of_target(labels, input_name="y", raise_unknown=True)
            if kind != "binary":
                raise ValueError(_not_binary(f"The type of the target is {kind}"))
            found, codes = np.unique(labels, return_inverse=True)
            codes = self._places(found)[codes]
        self.is_counted[codes if weights is None else codes[weights > 0]] = True
        return ResponseToModel(codes.astype(float), weights, np.zeros(n_rows))

    def finish(self, estimator: Any) -> bool:
        """Set the classes in their order; return whether they appeared in the other one."""
        assert self.classes is not None, "some rows were read"
        if not self.is_counted.all():
            label = self.classes[int(np.argmax(self.is_counted))]
            raise ValueError(
                f"y has one class, {str(label)!r}, in the rows that count. A classifier needs two."
            )
        order = np.argsort(self.classes)
        estimator.classes_ = self.classes[order]
        return bool(order[0])

    def _known_codes(self, labels: NDArray[Any]) -> IntArray | None:
        """Return the number of the class of each row; None unless both are known, and no others."""
        known = self.classes
        if known is None or len(known) < 2 or labels.dtype.kind != known.dtype.kind:
            return None
        is_second = labels == known[1]
        is_known = is_second | (labels == known[0])
        return is_second.astype(np.intp) if is_known.all() else None

    def _places(self, found: NDArray[Any]) -> IntArray:
        """Return the number of each class of a part among all."""
        known = self.classes
        if known is None:
            self.classes = found
            return np.arange(len(found))
        if (known.dtype.kind in NUMERIC) != (found.dtype.kind in NUMERIC):
            raise ValueError(
                f"y has labels such as {found.tolist()[0]!r}, but those before were such as "
                f"{known.tolist()[0]!r}. Give labels of one kind."
            )
        new = found[~np.isin(found, known)]
        self.classes = np.concatenate([known, new])
        if len(self.classes) > 2:
            labels = ", ".join(map(repr, self.classes.tolist()))
            raise ValueError(_not_binary(f"The labels so far are {labels}"))
        return np.array([int(np.argmax(self.classes == label)) for label in found])


def check_no_missing(labels: NDArray[Any]) -> None:
    """Refuse labels that are missing, of whatever kind."""
    missing = np.asarray(pd.isna(labels), dtype=bool)
    if missing.any():
        raise ValueError(
            f"Input y contains NaN or None ({int(missing.sum())} labels, first at row "
            f"{int(np.argmax(missing))}). Leave such rows out."
        )


def _not_binary(reason: str) -> str:
    return (
        f"Only binary classification is supported. {reason}. Fit a model for each class with "
        "sklearn.multiclass.OneVsRestClassifier."
    )


def codes_of(y: Any, n_rows: int, classes: NDArray[Any]) -> FloatArray:
    """Return the number of the class of each row, as a response."""
    check_unmasked(y, "y")
    labels = column_or_1d(y, warn=True)
    check_consistent_length(labels, np.empty(n_rows))
    is_known = np.isin(labels, classes)
    if not is_known.all():
        row = int(np.argmin(is_known))
        first = labels[row : row + 1].tolist()[0]
        raise ValueError(
            f"y has {first!r} at row {row}, which is no class of the fit. It has "
            f"{', '.join(repr(own) for own in classes.tolist())}."
        )
    return np.asarray(labels == classes[1], dtype=float)
