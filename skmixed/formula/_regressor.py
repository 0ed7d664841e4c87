"""The estimator by a formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from skmixed._data.random_effect import ResidualCovariance
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._estimators.summary import Summary, summarize
from skmixed._fitted.checks import check_choice, check_covariance, check_residual
from skmixed._fitted.fitting import committed_fit
from skmixed._fitted.messages import FORMULA, speaking
from skmixed._generalized_estimators.regressors import fit_with_offset
from skmixed._model.structures import STRUCTURES
from skmixed.formula._columns import NamedRows, labels_of, residual_by_position
from skmixed.formula._families import (
    BINOMIAL,
    check_counted,
    check_generalized,
    estimator_of,
    success_of,
)
from skmixed.formula._functions.contrasts import check_used, codings_of
from skmixed.formula._functions.evaluation import check_formulaic
from skmixed.formula._functions.table import check_context
from skmixed.formula._model_frame import ModelFrame, Reading
from skmixed.formula._prediction import FormulaPrediction
from skmixed.formula._rows import (
    FrameRows,
    check_given_response,
    check_offsets,
    complete_rows,
    in_words_of,
)
from skmixed.formula._saved import FormulaState
from skmixed.typing import (
    Ddf,
    EstimationMethod,
    Family,
    HandleUnknown,
    LinkOfFamily,
    NaAction,
    Quadrature,
    Robust,
)

NA_ACTIONS = ("error", "drop")


class FormulaRegressor(FormulaState, FormulaPrediction, RegressorMixin, BaseEstimator):
    """Linear or generalized mixed-effects regression given by lme4's formula.

    A `skmixed.MixedLinearRegressor`, or with `family` one of the estimators of
    generalized models, on the columns that the formula makes of a frame. The attributes of
    that regressor are this one's too, and what takes a fitted regressor, in
    `skmixed.inference`, `skmixed.diagnostics` and `skmixed.plotting`, takes this one.

    Parameters
    ----------
    formula : str
        ``response ~ fixed + (coefficients | groups) + …``.
    weights : str, default=None
        Precision weights: a column, or an expression of columns. A column of exactly
        this name is meant first. Of a generalized model the numbers of trials, or how
        often each row counts.
    offset : str, default=None
        A column, or an expression of columns, that is added to the predictions with a
        coefficient of 1, beside the formula's ``offset(…)``; of a generalized model to
        the linear predictor.
    na_action : {"error", "drop"}, default="error"
        What `fit` does with rows that have a missing value in a column that the model
        names: refuse them, or leave them out.
    method : {"reml", "ml"}, default="reml"
        Whether to use restricted or ordinary maximum likelihood, for linear models.
    handle_unknown : {"population", "error"}, default="population"
        What `predict` does with a group that is unknown or missing.
    context : mapping of str to object, default=None
        Functions and values that the formula may use by name.
    contrasts : "R" or mapping of str to str, default=None
        The coding of factors that have none in the formula. "R": as in R, where ordered
        pandas categories are polynomials. A mapping is from columns to "treatment",
        "sum", "helmert", "poly", "SAS" or "diff". None: indicators for all.
    residual : ResidualCovariance, default=None
        The covariance of the residuals of one subject, by names of columns.
    family : str, default=None
        The distribution of the response of a generalized model: "binomial", "poisson",
        "negative_binomial" or "gamma"; its response is as in `skmixed.glmer`. None: the
        normal one.
    link : str, default=None
        The link of a generalized model; None: "logit" for the binomial family, else
        "log".
    quadrature : int or "auto", default=1
        Nodes of the quadrature of a generalized model; 1 is Laplace's approximation.
    tol : float, default=1e-12
        The search stops when it expects the criterion to fall by no more.
    max_iter : int, default=200
        Steps of the search at most.
    verbose : int, default=0
        1 prints a line per step of the search.

    Attributes
    ----------
    regressor_ : MixedLinearRegressor or estimator of a generalized model
        Fitted to the columns. Its attributes are this estimator's too, but for
        `feature_names_in_` and `n_features_in_`.
    terms_ : dict of str to list of str
        Term of the fixed part → its columns, without the intercept.
    classes_ : ndarray of shape (2,)
        Of a binomial response of two labels, of booleans, or of 0 and 1: the classes,
        whose second is the success. Otherwise it is not there.
    n_dropped_ : int
        Rows that ``na_action="drop"`` has left out.
    feature_names_in_ : ndarray of str
        The columns of the data that `predict` needs.
    n_features_in_ : int
        The number of these columns.

    See Also
    --------
    skmixed.lmer, skmixed.glmer : Fit in one call.
    skmixed.MixedLinearRegressor : The estimator behind, with all further attributes.

    Notes
    -----
    Random-effects terms are lme4's: ``(1 | g)``, ``(x | g)``, ``(0 + x | g)``,
    ``(x || g)``, ``(1 | a:b)``, ``(1 | a/b)`` for ``(1 | a) + (1 | a:b)``. A double
    bar makes the terms before it independent; the coefficients of one factor stay
    correlated, as in lme4. The rest is formulaic's: ``a * b``, ``a:b``, ``C(a,
    contr.sum)``, ``np.log(x)``, ``center(x)``, ``I(x ** 2)``; backticks quote names of
    every kind. A name that is called is a function, any other a column. A dot stands for
    all columns but the response, the weights, the offsets and the grouping columns. What
    ``offset(z)`` holds is taken off the response and added to predictions; in a
    generalized model it is added to the linear predictor.

    ``ns(x, df=3)``, ``bs(x, df=4)``, ``poly(x, 2)``, ``scale(x)``, ``factor(k)`` and
    ``relevel(f, ref="b")`` are R's, with its arguments and columns. They and all
    transformations keep what they learned in `fit`, such as knots. Beyond its boundary
    knots ``ns`` is straight, and ``bs`` a polynomial, with an
    `skmixed.exceptions.ExtrapolationWarning`.

    Text and pandas categories are factors, with a column for each category in the data
    but the first: ``f[T.b]`` is R's ``fb``. The order is that of the categories, else that
    of R in English: "a", "A", "b", where Python has "A", "a", "b". Numbers are factors
    as ``factor(k)`` or ``C(k)``. Ordered factors are coded alike; ``contrasts="R"``
    makes polynomials of them, as R does. Booleans are factors of False and True, and 0
    and 1 in arithmetic. A factor of one level is an error.

    Making the columns costs a pass over the rows; they are kept in memory during
    the fit. `predict` refuses missing values and new categories of fixed effects; new
    groups are as `handle_unknown` says. With ``np.log(y) ~ …`` predictions are of
    np.log(y). The functions of `skmixed.diagnostics` and the displays read response
    and weights from the frame.

    The formula's functions are Python: evaluate only formulas that you trust.

    Examples
    --------
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.formula import FormulaRegressor
    >>> data = load_sleepstudy(as_frame=True).frame
    >>> model = FormulaRegressor("Reaction ~ poly(Days, 2) + (Days | Subject)")
    >>> folds = GroupKFold(3).split(data, groups=data["Subject"])
    >>> cross_val_score(model, data, data["Reaction"], cv=folds).round(2)
    array([0.1 , 0.17, 0.08])
    """

    def __init__(
        self,
        formula: str,
        *,
        weights: str | None = None,
        offset: str | None = None,
        na_action: NaAction = "error",
        method: EstimationMethod = "reml",
        handle_unknown: HandleUnknown = "population",
        context: Mapping[str, Any] | None = None,
        contrasts: Literal["R"] | Mapping[str, str] | None = None,
        residual: ResidualCovariance | None = None,
        family: Family | None = None,
        link: LinkOfFamily | None = None,
        quadrature: Quadrature = 1,
        tol: float = 1e-12,
        max_iter: int = 200,
        verbose: int = 0,
    ) -> None:
        self.formula = formula
        self.weights = weights
        self.offset = offset
        self.na_action = na_action
        self.method = method
        self.handle_unknown = handle_unknown
        self.context = context
        self.contrasts = contrasts
        self.residual = residual
        self.family = family
        self.link = link
        self.quadrature = quadrature
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> FormulaRegressor:
        """Learn the columns of the formula, and fit the model to them.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Rows with the columns that the formula names.
        y : array-like of shape (n_samples,), default=None
            Response in place of the formula's, for scikit-learn's tools; the formula
            then names a column as its response, or none.
        sample_weight : array-like of shape (n_samples,), default=None
            Precision weights, where `weights` names none.

        Returns
        -------
        FormulaRegressor
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ImportError
            If formulaic is not installed.
        ValueError
            If the formula or the data make no model; in the formula with the place.

        Examples
        --------
        >>> from skmixed.datasets import load_cake
        >>> from skmixed.formula import FormulaRegressor
        >>> data = load_cake().frame
        >>> model = FormulaRegressor("angle ~ recipe + temp + (1 | recipe:replicate)")
        >>> model.fit(data).fixed_effects_.round(3)
        (Intercept)    1.516
        recipe[T.B]   -1.478
        recipe[T.C]   -1.522
        temp           0.158
        dtype: float64
        >>> model.terms_
        {'recipe': ['recipe[T.B]', 'recipe[T.C]'], 'temp': ['temp']}
        """
        given = {"sample_weight": sample_weight}
        return committed_fit(self, lambda own: own._fit(X, y, sample_weight), X, y, **given)

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> FormulaRegressor:
        """Fit, called from a method or function that the user calls."""
        check_formulaic()
        check_choice("na_action", self.na_action, NA_ACTIONS)
        check_context(self.context)
        self._check_named(sample_weight)
        rows = NamedRows.of(X)
        check_residual(self.residual)
        check_generalized(self)
        codings = codings_of(self.contrasts, rows)
        named = self.weights, self.offset, labels_of(self.residual), codings
        reading = Reading.of(self.formula, rows, self.context, *named)
        check_used(self.contrasts, reading.codings)
        check_offsets(reading, self.residual)
        check_given_response(reading, y)
        check_counted(self, reading.source.parsed)
        keep = complete_rows(reading, y, sample_weight, may_drop=self.na_action == "drop")
        rows = rows if keep is None else rows.kept(keep)
        frame = reading.learn(rows, with_response=y is None)
        given = FrameRows(frame, rows, keep)
        given = given.with_classes(y) if self.family == BINOMIAL else given
        with speaking(FORMULA):
            for name, size, covariance in frame.sizes:
                check_covariance(name, size, STRUCTURES[covariance], rows.n_rows)
        regressor, columns = self._estimator(frame), given.columns("all")
        response, offset, weights = given.response(y), given.offset(), given.weights(sample_weight)
        with speaking(in_words_of(frame)):
            if self.family is not None:
                fit_with_offset(regressor, columns, response, weights, offset)
            else:
                response = response if offset is None else response - offset
                regressor.fit(columns, response, sample_weight=weights)
        self.regressor_, self._frame = regressor, given.learned(weights)
        self.n_dropped_ = 0 if given.keep is None else int(np.sum(~given.keep))
        self._publish()
        return self

    def _estimator(self, frame: ModelFrame) -> Any:
        """Return the estimator by columns that the formula's is made of, not fitted."""
        shared: dict[str, Any] = {
            "groups": frame.random_effects or None,
            "fixed": list(range(len(frame.fixed.names))),
            "fit_intercept": frame.fixed.has_intercept,
            "handle_unknown": self.handle_unknown,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "verbose": self.verbose,
        }
        if self.family is None:
            residual = residual_by_position(self.residual, frame.made)
            return MixedLinearRegressor(method=self.method, residual=residual, **shared)
        return estimator_of(self.family, self.link, quadrature=self.quadrature, **shared)

    def _publish(self) -> None:
        frame = self._frame
        self.terms_ = {term: list(columns) for term, columns in frame.fixed.terms.items()}
        names = dict.fromkeys((*frame.variables, *frame.grouping.values(), *frame.labels))
        self.feature_names_in_ = np.array(list(names), dtype=object)
        self.n_features_in_ = len(names)
        self.__dict__.pop("classes_", None)
        if frame.classes is not None:
            self.classes_ = np.array(frame.classes.labels.tolist())

    def summary(self, ddf: Ddf | None = None, *, robust: Robust | None = None) -> Summary:
        """Summarize the fit in a table that an lme4 user recognizes.

        Parameters
        ----------
        ddf : {"satterthwaite", "kenward-roger", "residual", "normal"}, default=None
            Degrees of freedom of the t tests; None: the usual ones, as in
            `skmixed.MixedLinearRegressor.summary`.
        robust : {"CR0", "CR2", "CR3"}, default=None
            Standard errors by the residuals of whole subjects, of models with a residual
            covariance.

        Returns
        -------
        Summary
            With a text form, shown by ``print``, and one for notebooks.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_machines
        >>> model = lmer("score ~ Machine + (1 | Worker)", load_machines().frame)
        >>> summary = model.summary("kenward-roger")
        >>> summary.formula
        'score ~ Machine + (1 | Worker)'
        >>> summary.fixed[["Estimate", "Std. Error", "df"]].round(2)
                      Estimate  Std. Error     df
        (Intercept)      52.36        2.23   5.83
        Machine[T.B]      7.97        1.05  46.00
        Machine[T.C]     13.92        1.05  46.00
        """
        check_is_fitted(self)
        dropped, text = self.n_dropped_, self._frame.source.parsed.text
        remarks = []
        if dropped:
            rows = (
                "row with a missing value was" if dropped == 1 else "rows with missing values were"
            )
            remarks = [f"{dropped:,} {rows} left out (na_action='drop')."]
        with speaking(in_words_of(self._frame)):
            if self.family is None:
                return summarize(self.regressor_, ddf, robust, text, remarks)
            if ddf is not None:
                raise ValueError(f"ddf={ddf!r}: tests of generalized models are normal.")
            if robust is not None:
                raise ValueError(f"robust={robust!r} is for linear models. Leave it out.")
            found = self.regressor_.summary()
        facts = found.facts | success_of(self._frame.classes)
        return replace(found, formula=text, facts=facts, notes=(*remarks, *found.notes))

    def __sklearn_is_fitted__(self) -> bool:
        return "regressor_" in vars(self)

    def __getattr__(self, name: str) -> Any:
        """Show what the regressor has found as this estimator's own."""
        is_estimate = name.endswith("_") and not name.startswith("_")
        if is_estimate and "regressor_" in vars(self):
            return getattr(self.regressor_, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        found = dir(self.regressor_) if "regressor_" in vars(self) else []
        own = [name for name in found if name.endswith("_") and not name.startswith("_")]
        return sorted({*super().__dir__(), *own})

    def _check_named(self, sample_weight: Any) -> None:
        advice = {
            "weights": "numbers go into fit(sample_weight=)",
            "offset": "predictions need it too",
        }
        for name, why in advice.items():
            value = getattr(self, name)
            if not (value is None or isinstance(value, str)):
                raise TypeError(
                    f"{name} is of type {type(value).__name__}. Name a column of the data, or an "
                    f"expression of columns; {why}."
                )
        if self.weights is not None and sample_weight is not None:
            raise ValueError(
                f"weights={self.weights!r} and sample_weight are both given. Leave one out."
            )
