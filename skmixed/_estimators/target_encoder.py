"""MixedEffectEncoder: categorical columns as predicted random effects."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from inspect import get_annotations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping
from sklearn.utils.validation import check_is_fitted

from skmixed._data.categories import Categories, given_for_all, learn_all
from skmixed._data.table import Table, open_checked
from skmixed._estimators.folds import checked_folds, split_parameters, splitter_of
from skmixed._estimators.one_way import OneWay
from skmixed._estimators.target import TARGET_TYPES, EncoderTarget, estimates, read_target
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import committed_fit
from skmixed._saved.encoder import check_categories
from skmixed._saved.state import PlainState
from skmixed._typing import FloatArray, IntArray
from skmixed.typing import EncoderTargetType, EstimationMethod


class MixedEffectEncoder(PlainState, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Encode categories by their BLUPs or modes, with cross-fitting.

    Each column is encoded on its own, by the model y = μ + bⱼ + ε with
    bⱼ ~ N(0, σ_b²) for category j and ε ~ N(0, σ²). A category becomes
    μ̂ + b̂ⱼ, its expected target: the mean over its nⱼ rows, shrunken towards
    μ̂ as if m = σ̂²/σ̂_b² further rows had the target μ̂,

        μ̂ + b̂ⱼ = (nⱼ ȳⱼ + m μ̂) / (nⱼ + m).

    This is target encoding [1]_ as in :class:`sklearn.preprocessing.TargetEncoder`,
    whose parameter `smooth` is m; here REML estimates it for each column.

    Where the target has classes, the model is logistic, log odds = μ + bⱼ, and
    the encoding μ̂ + b̂ⱼ are log odds, with b̂ⱼ the mode of the effect given the
    data; of counts it is a Poisson model, and the encoding a logarithm.

    ``fit(X, y).transform(X)`` is not ``fit_transform(X, y)``: the latter encodes
    each row by fits on the other folds, so that no row's own target is in its
    features. Use `fit_transform` for the rows that the next step is trained on,
    as a Pipeline does.

    Parameters
    ----------
    categories : "auto" or list of array-like, default="auto"
        The categories of each column; "auto" takes those of the training data.
        Rows of a category not listed are unknown, in `fit` too.
    target_type : {"auto", "continuous", "binary", "multiclass", "count"}, default="auto"
        What the target is: numbers; two classes, encoded to the log odds of the
        second one; several, each encoded against the rest, to a column of its own;
        or counts. "auto" takes labels, booleans and two values for classes, and
        other numbers for numbers, whole ones too.
    method : {"reml", "ml"}, default="reml"
        Whether to use restricted or ordinary maximum likelihood, for numbers; for
        classes and counts it is the latter, by Laplace's approximation.
    cv : int, cross-validation splitter, iterable or None, default=5
        Folds of `fit_transform`; each row must be in one test fold. For an
        integer (None means 5) they are those of `KFold`, of `StratifiedKFold`
        where the target has two values, shuffled with a fixed seed so that the
        same input gives the same output; a splitter or an iterable of (train,
        test) brings folds of its own.

    Attributes
    ----------
    encodings_ : list of ndarray of shape (n_categories,)
        μ̂ + b̂ⱼ of each column's categories, from all rows, on the scale of y or of
        log odds or logarithms; of several classes those of each, column by column.
    categories_ : list of ndarray of shape (n_categories,)
        The categories of each column: in the order of the categories of a pandas
        column, else sorted, else by first appearance; the missing one, NaN or
        NaT, comes last.
    intercept_ : ndarray of shape (n_features_out,)
        μ̂ of each column, to which unknown categories are encoded.
    smooth_ : ndarray of shape (n_features_out,)
        m of each column: for classes and counts 1 / (σ̂_b² v), with v the variance of
        y at μ̂, the rows at μ̂ that tell as much as N(0, σ̂_b²) does; inf where its
        categories do not differ beyond chance and where the model cannot be
        fitted, 0 where numbers are constant within each category.
    target_mean_ : float or ndarray of shape (n_classes,)
        Mean of the target over the rows; the shares of classes.
    target_type_ : str
        What the target was taken for.
    classes_ : ndarray of shape (n_classes,) or None
        The classes in sorted order, where the target has some.
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
    to the mean of the target, or its log odds or logarithm, throughout; in
    `fit_transform`, to that over the training rows of the fold.

    With ``target_type="continuous"`` two labels count as 0 and 1 in sorted order.

    The encoding of numbers is equations 3 and 6 of [1]_ with the model's variances,
    and the best linear unbiased prediction [2]_. A fit reduces n rows to sums over q
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
    >>> encoder = MixedEffectEncoder().fit(X, y)
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
    target_mean_: float | FloatArray
    target_type_: str
    classes_: NDArray[Any] | None

    def __init__(
        self,
        categories: "str | Sequence[ArrayLike]" = "auto",
        *,
        target_type: EncoderTargetType = "auto",
        method: EstimationMethod = "reml",
        cv: Any = 5,
    ) -> None:
        self.categories = categories
        self.target_type = target_type
        self.method = method
        self.cv = cv

    def fit(self, X: Any, y: "ArrayLike") -> "MixedEffectEncoder":
        """Learn the encoding of each category from all rows.

        For rows that a further step is trained on use `fit_transform`.

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
            If the input is not valid, or y is not of the `target_type`.

        Examples
        --------
        Samples differ and keep their means; those of plates are shrunken much:

        >>> from skmixed import MixedEffectEncoder
        >>> from skmixed.datasets import load_penicillin
        >>> X, y = load_penicillin(return_X_y=True)
        >>> encoder = MixedEffectEncoder().fit(X, y)
        >>> [round(float(codes.std()), 2) for codes in encoder.encodings_]
        [0.11, 1.75]
        >>> [round(float(y.groupby(X[name]).mean().std(ddof=0)), 2) for name in X]
        [0.86, 1.77]
        """
        return committed_fit(self, lambda own: own._fit(X, y), X, y)

    def fit_transform(self, X: Any, y: "ArrayLike", **params: Any) -> FloatArray:
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
        ndarray of shape (n_samples, n_features_out)
            Encoded columns; each row without the targets of its own fold.

        Raises
        ------
        ValueError
            If the input is not valid, or `cv` makes no folds of it.

        Examples
        --------
        Encoded from all rows, each row carries its own target, and the feature looks
        better than it is:

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
        committed_fit(self, lambda own: encoded.append(own._fit_across_folds(X, y, params)), X, y)
        return encoded[0]

    def transform(self, X: Any) -> FloatArray:
        """Encode categories by what was learned from all rows of `fit`.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples with the columns that `fit` was given.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Encoded columns.

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
        n_responses = len(self.encodings_) // table.n_columns
        out = np.empty((table.n_rows, len(self.encodings_)))
        for j, categories in enumerate(self._categories):
            codes = categories.codes(table.get(j), table.label(j))
            for k in range(j * n_responses, (j + 1) * n_responses):
                out[:, k] = _encoded(codes, self.encodings_[k], self.intercept_[k])
        return out

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Get the names of the encoded columns.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns of X, where it had none in `fit`.

        Returns
        -------
        ndarray of str
            Names of the columns; of several classes, each with each class.

        Examples
        --------
        >>> from skmixed import MixedEffectEncoder
        >>> encoder = MixedEffectEncoder().fit([["a"], ["b"]] * 3, list("rsttrs"))
        >>> encoder.get_feature_names_out(["city"])
        array(['city_r', 'city_s', 'city_t'], dtype=object)
        """
        names = super().get_feature_names_out(input_features)
        if self.classes_ is None or self.target_type_ != "multiclass":
            return names
        return np.array([f"{name}_{own}" for name in names for own in self.classes_], dtype=object)

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
        # Models that were saved before had numbers alone
        state.setdefault("target_type_", "continuous")
        state.setdefault("classes_", None)
        check_categories(parts["_categories"], state)

    def _fit_across_folds(self, X: Any, y: Any, params: dict[str, Any]) -> FloatArray:
        """Fit all rows; encode each by fits on the other folds, (n, n_features_out)."""
        split_params = split_parameters(self, params)
        columns, target = self._fit(X, y)
        splitter, labels = splitter_of(self.cv, y, target.strata)
        n = target.responses.shape[1]
        out = np.empty((n, len(self.encodings_)))
        for train, test in checked_folds(splitter.split(X, labels, **split_params), n):
            part = replace(target, responses=target.responses[:, train])
            results = self._estimate([codes[train] for codes in columns], part)
            for k, result in enumerate(results):
                codes = columns[k // len(target.responses)]
                out[test, k] = _encoded(codes[test], result.levels, result.mean)
        return out

    def _fit(self, X: Any, y: Any) -> tuple[list[IntArray], EncoderTarget]:
        """Fit all rows; return each column's codes, and the target as numbers."""
        validation.check_choice("method", self.method, validation.METHODS)
        validation.check_choice("target_type", self.target_type, TARGET_TYPES)
        table = open_checked(X, self, y, reset=True, accept_sparse=False)
        target = read_target(y, table.n_rows, self, self.target_type)
        found = list(self._categories_of(table))
        self._categories = tuple(categories for categories, _ in found)
        columns = [codes for _, codes in found]
        self.categories_ = [categories.labels for categories in self._categories]
        self.target_type_, self.target_mean_ = target.kind, target.mean
        self.classes_, results = target.classes, self._estimate(columns, target)
        self.encodings_ = [result.levels for result in results]
        self.intercept_ = np.array([result.mean for result in results])
        self.smooth_ = np.array([result.smooth for result in results])
        return columns, target

    def _categories_of(self, table: Table) -> Iterator[tuple[Categories, IntArray]]:
        if isinstance(self.categories, str):
            validation.check_choice("categories", self.categories, ("auto",))
            return learn_all(table)
        return given_for_all(self.categories, table)

    def _estimate(self, columns: list[IntArray], target: EncoderTarget) -> list[OneWay]:
        """Fit these rows, column by column, and within one response by response."""
        names = OneToOneFeatureMixin.get_feature_names_out(self)
        sizes = [len(categories) for categories in self._categories]
        return list(estimates(columns, sizes, names, target, self.method))


def _encoded(codes: IntArray, encodings: FloatArray, mean: float) -> FloatArray:
    """Look up the encodings; code −1 is unknown."""
    return np.append(encodings, mean)[codes]


MixedEffectEncoder.set_by_fit = frozenset(get_annotations(MixedEffectEncoder))
