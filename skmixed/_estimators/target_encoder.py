"""MixedEffectEncoder: categorical columns as BLUPs of the target."""

from collections.abc import Iterator, Sequence
from inspect import get_annotations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from skmixed._data.categories import Categories, check_lists, given_categories, learn_categories
from skmixed._data.table import Table, open_checked
from skmixed._estimators.folds import checked_folds, splitter_of
from skmixed._estimators.one_way import OneWay, one_way
from skmixed._estimators.target import numeric_target
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import committed
from skmixed._saved.encoder import check_categories
from skmixed._saved.state import PlainState
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import warn


class MixedEffectEncoder(PlainState, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Encode categories by their BLUPs of the target, with cross-fitting.

    Each column is encoded on its own, by the model y = μ + bⱼ + ε with
    bⱼ ~ N(0, σ_b²) for category j and ε ~ N(0, σ²). A category becomes
    μ̂ + b̂ⱼ, its expected target: the mean over its nⱼ rows, shrunken towards
    μ̂ as if m = σ̂²/σ̂_b² further rows had the target μ̂,

        μ̂ + b̂ⱼ = (nⱼ ȳⱼ + m μ̂) / (nⱼ + m).

    This is target encoding [1]_ as in :class:`sklearn.preprocessing.TargetEncoder`,
    where m is the parameter `smooth`; here REML estimates it for each column
    from how much the categories differ.

    ``fit(X, y).transform(X)`` is not ``fit_transform(X, y)``: the latter encodes
    each row by fits on the other folds, so that no row's own target is in its
    features. Use `fit_transform` for the rows that the next step is trained on,
    as a Pipeline does.

    Parameters
    ----------
    categories : "auto" or list of array-like, default="auto"
        The categories of each column; "auto" takes those of the training data.
        Rows of a category not listed are unknown, in `fit` too.
    method : {"reml", "ml"}, default="reml"
        Whether to use restricted or ordinary maximum likelihood.
    cv : int, cross-validation splitter, iterable or None, default=5
        Folds of `fit_transform`; each row must be in one test fold. For an
        integer (None means 5) they are those of `KFold`, of `StratifiedKFold`
        where the target has two values, shuffled with a fixed seed so that the
        same input gives the same output; a splitter or an iterable of (train,
        test) brings folds of its own.

    Attributes
    ----------
    encodings_ : list of ndarray of shape (n_categories,)
        μ̂ + b̂ⱼ of each column's categories, from all rows, on the scale of y.
    categories_ : list of ndarray of shape (n_categories,)
        The categories of each column: in the order of the categories of a pandas
        column, else sorted, else by first appearance; the missing one, NaN or
        NaT, comes last.
    intercept_ : ndarray of shape (`n_features_in_`,)
        μ̂ of each column, to which unknown categories are encoded.
    smooth_ : ndarray of shape (`n_features_in_`,)
        m of each column; inf where its categories do not differ beyond the
        residual variance and where the model cannot be fitted, 0 where the
        target is constant within each category.
    target_mean_ : float
        Mean of the target over the rows.
    n_features_in_ : int
        The number of columns of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of X's columns, where all are strings.

    See Also
    --------
    MixedLinearRegressor : Groups as random effects, beside fixed ones.
    sklearn.preprocessing.TargetEncoder : Target encoding with `smooth` chosen.

    Notes
    -----
    None, NaN, NaT and pandas.NA are one category, treated as any other. A
    category that `fit` has no rows of gets μ̂, in which every category counts, and
    not the mean of the target, in which large ones prevail (TargetEncoder): as
    nⱼ goes to 0, so does the encoding of a known one. A column that the model
    cannot be fitted to, of a single category or with one row in each, is encoded
    to the mean of the target throughout; in `fit_transform`, to that over the
    training rows of the fold.

    A numeric target is taken as it is: two values and whole numbers too, so that
    the encoding of a target of 0 and 1 is a linear prediction of its
    probability. Two text labels count as 0 and 1 in sorted order.

    The encoding is equations 3 and 6 of [1]_ with the model's variances, and the
    best linear unbiased prediction [2]_. A fit reduces n rows to sums over q
    categories in O(n) operations; the search for m takes O(q) a step.
    `fit_transform` fits every column once for each fold and once for all rows.

    References
    ----------
    .. [1] Micci-Barreca, D. (2001). A preprocessing scheme for high-cardinality
       categorical attributes in classification and prediction problems. SIGKDD
       Explor. Newsl. 3(1), 27–32, doi:10.1145/507533.507538.
    .. [2] Robinson, G. K. (1991). That BLUP is a good thing: the estimation of
       random effects. Statist. Sci. 6(1), 15–32, doi:10.1214/ss/1177011926.

    Examples
    --------
    >>> from skmixed import MixedEffectEncoder
    >>> from skmixed.datasets import load_penicillin
    >>> X, y = load_penicillin(return_X_y=True)
    >>> encoder = MixedEffectEncoder()
    >>> X_encoded = encoder.fit_transform(X, y)
    >>> encoder.categories_[1], encoder.encodings_[1].round(2)
    (array(['A', 'B', 'C', 'D', 'E', 'F'], dtype=object),
     array([25.14, 21.97, 24.89, 22.88, 22.96, 19.99]))
    >>> encoder.smooth_.round(2)
    array([42.42,  0.28])
    """

    _parts = ("_categories",)

    # What fit sets.
    _categories: tuple[Categories, ...]
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    encodings_: list[FloatArray]
    categories_: list[Any]
    intercept_: FloatArray
    smooth_: FloatArray
    target_mean_: float

    def __init__(
        self,
        categories: str | Sequence[ArrayLike] = "auto",
        *,
        method: str = "reml",
        cv: Any = 5,
    ) -> None:
        self.categories = categories
        self.method = method
        self.cv = cv

    def fit(self, X: Any, y: ArrayLike) -> "MixedEffectEncoder":
        """Learn the encoding of each category from all rows.

        For rows that a further step is trained on use `fit_transform`: encoded
        by `transform`, they would carry their own target.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Categorical columns, of any kind of label.
        y : array-like of shape (n_samples,)
            The target of each sample.

        Returns
        -------
        MixedEffectEncoder
            The encoder itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input is not valid, or y has more than two text labels.

        Examples
        --------
        Six samples of penicillin differ, and keep their means; 24 plates differ
        less than the tests on one plate, so that their means are shrunken much:

        >>> from skmixed import MixedEffectEncoder
        >>> from skmixed.datasets import load_penicillin
        >>> X, y = load_penicillin(return_X_y=True)
        >>> encoder = MixedEffectEncoder().fit(X, y)
        >>> [round(float(codes.std()), 2) for codes in encoder.encodings_]
        [0.11, 1.75]
        >>> [round(float(y.groupby(X[name]).mean().std(ddof=0)), 2) for name in X]
        [0.86, 1.77]
        """
        return committed(self, lambda own: own._fit(X, y))

    def fit_transform(self, X: Any, y: ArrayLike, **params: Any) -> FloatArray:
        """Fit the encoder, and encode each row by fits on the other folds.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Categorical columns, of any kind of label.
        y : array-like of shape (n_samples,)
            The target of each sample.
        **params : dict
            Metadata for the splitter, such as `groups`; with metadata routing
            enabled only.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Encoded columns, on the scale of y; each row without the targets of
            its own fold.

        Raises
        ------
        ValueError
            If the input is not valid, or `cv` makes no folds of it.

        Examples
        --------
        A hundred categories of three rows each. Encoded from all rows, each row
        carries a third of its own target, and the feature looks better than it is:

        >>> import numpy as np
        >>> from skmixed import MixedEffectEncoder
        >>> from skmixed.datasets import make_mixed_regression
        >>> X, y = make_mixed_regression(300, 0, n_groups=100, random_state=0)
        >>> encoder = MixedEffectEncoder()
        >>> across_folds = encoder.fit_transform(X, y)[:, 0]
        >>> round(float(np.corrcoef(across_folds, y)[0, 1]), 2)
        0.55
        >>> from_all_rows = encoder.transform(X)[:, 0]
        >>> round(float(np.corrcoef(from_all_rows, y)[0, 1]), 2)
        0.84
        """
        encoded: list[FloatArray] = []
        committed(self, lambda own: encoded.append(own._fit_across_folds(X, y, params)))
        return encoded[0]

    def transform(self, X: Any) -> FloatArray:
        """Encode categories by what was learned from all rows of `fit`.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples with the columns that `fit` was given.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Encoded columns, on the scale of y.

        Raises
        ------
        ValueError
            If X does not match that of `fit`.

        Warns
        -----
        UnknownLevelsWarning
            If no label of a column is known and they are of another kind than
            in `fit`.

        Examples
        --------
        A category that was not in `fit` is encoded to `intercept_`:

        >>> import pandas as pd
        >>> from skmixed import MixedEffectEncoder
        >>> from skmixed.datasets import load_rail
        >>> X, y = load_rail(return_X_y=True)
        >>> encoder = MixedEffectEncoder().fit(X, y)
        >>> encoder.transform(pd.DataFrame({"Rail": ["1", "2", "new"]})).round(2)
        array([[54.11],
               [31.97],
               [66.5 ]])
        """
        check_is_fitted(self)
        table = open_checked(X, self, reset=False, accept_sparse=False)
        out = np.empty((table.n_rows, table.n_columns))
        for j, categories in enumerate(self._categories):
            codes = categories.codes(table.get(j), table.label(j))
            out[:, j] = _encoded(codes, self.encodings_[j], self.intercept_[j])
        return out

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata routing of this encoder.

        Returns
        -------
        MetadataRouter
            That of `fit_transform`, to the splitter.

        Examples
        --------
        >>> from sklearn.model_selection import GroupKFold
        >>> from skmixed import MixedEffectEncoder
        >>> routing = MixedEffectEncoder(cv=GroupKFold(3)).get_metadata_routing()
        >>> routing.consumes("fit_transform", {"groups"})
        {'groups'}
        """
        mapping = MethodMapping().add(caller="fit_transform", callee="split")
        return MetadataRouter(owner=self).add(splitter=self.cv, method_mapping=mapping)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        return tags

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        check_categories(parts["_categories"], state)

    def _fit_across_folds(self, X: Any, y: Any, params: dict[str, Any]) -> FloatArray:
        """Fit all rows; encode each by fits on the other folds, (n, n_features)."""
        split_params = self._routed(params)
        columns, target = self._fit(X, y)
        splitter, labels = splitter_of(self.cv, y, target)
        out = np.empty((len(target), len(columns)))
        for train, test in checked_folds(splitter.split(X, labels, **split_params), len(target)):
            results = self._estimate([codes[train] for codes in columns], target[train])
            for j, (codes, result) in enumerate(zip(columns, results, strict=True)):
                out[test, j] = _encoded(codes[test], result.levels, result.mean)
        return out

    def _routed(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return the metadata for the splitter."""
        if params and not get_config()["enable_metadata_routing"]:
            raise ValueError(
                f"fit_transform was given {', '.join(map(repr, sorted(params)))} for the splitter "
                "without metadata routing. Enable it by "
                "sklearn.set_config(enable_metadata_routing=True), or pass the folds themselves: "
                "cv=list(splitter.split(X, y, groups))."
            )
        return dict(process_routing(self, "fit_transform", **params)["splitter"]["split"])

    def _fit(self, X: Any, y: Any) -> tuple[list[IntArray], FloatArray]:
        """Fit all rows; return each column's codes, and the target as numbers."""
        validation.check_choice("method", self.method, validation.METHODS)
        table = open_checked(X, self, y, reset=True, accept_sparse=False)
        target = numeric_target(y, table.n_rows, self)
        found = list(self._categories_of(table))
        self._categories = tuple(categories for categories, _ in found)
        columns = [codes for _, codes in found]
        self.categories_ = [categories.labels for categories in self._categories]
        self.target_mean_ = float(np.mean(target))
        results = self._estimate(columns, target)
        self.encodings_ = [result.levels for result in results]
        self.intercept_ = np.array([result.mean for result in results])
        self.smooth_ = np.array([result.smooth for result in results])
        return columns, target

    def _categories_of(self, table: Table) -> Iterator[tuple[Categories, IntArray]]:
        if isinstance(self.categories, str):
            validation.check_choice("categories", self.categories, ("auto",))
            for j in range(table.n_columns):
                yield learn_categories(table.get(j), table.label(j))
            return
        check_lists(self.categories, table.n_columns)
        for j, labels in enumerate(self.categories):
            categories = given_categories(labels, table.label(j))
            yield categories, categories.codes(table.get(j), table.label(j))

    def _estimate(self, columns: list[IntArray], target: FloatArray) -> list[OneWay]:
        """Fit these rows, column by column."""
        mean, results = float(np.mean(target)), []
        for j, (codes, categories) in enumerate(zip(columns, self._categories, strict=True)):
            known, size = codes >= 0, len(categories)
            result = one_way(codes[known], size, target[known], reml=self.method == "reml")
            if result is not None and not result.has_converged:
                name = self.get_feature_names_out()[j]
                warn(
                    f"The search for the variances of column {name!r} did not converge; "
                    "its encoding is that of the last step.",
                    ConvergenceWarning,
                )
            results.append(result or OneWay(mean, np.full(size, mean), np.inf))
        return results


def _encoded(codes: IntArray, encodings: FloatArray, mean: float) -> FloatArray:
    """Look up the encodings; code −1 is unknown."""
    return np.append(encodings, mean)[codes]


MixedEffectEncoder.set_by_fit = frozenset(get_annotations(MixedEffectEncoder))
