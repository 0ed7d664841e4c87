"""MixedLogisticClassifier: two classes, with random effects of groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score

from skmixed._data.metadata import weights_not_labels
from skmixed._data.random_effect import AllExcept
from skmixed._estimators.regressor import Groups
from skmixed._fitted import checks as validation
from skmixed._fitted.fitting import committed_fit
from skmixed._generalized_estimators import classifying
from skmixed._generalized_estimators.base import GeneralizedEstimator
from skmixed._generalized_estimators.intervals import predict_interval_of_probabilities
from skmixed._generalized_estimators.reading import fit_model
from skmixed._model.binomial import LINKS
from skmixed._model.family import FAMILIES
from skmixed._saved.encoder import check_classes
from skmixed._typing import ColumnName, FloatArray
from skmixed.typing import CovarianceName, HandleUnknown, Link, Quadrature


class MixedLogisticClassifier(ClassifierMixin, GeneralizedEstimator):
    """Logistic regression with random effects, for two classes.

    The probability of the second class is μ with g(μ) = Xβ + Zb and bⱼ ~ N(0, Σₖ) for
    level j of grouping factor k. The parameters maximize the likelihood, the integral
    over b taken by Laplace's approximation or by quadrature; derivatives are exact.

    Parameters
    ----------
    groups : str, int, RandomEffect or list of these, default=None
        Grouping column of X, by name or by position, as in `MixedLinearRegressor`.
        None: the factors are those given to ``fit(groups=)``, and without them
        the model is ordinary logistic regression without a penalty.
    random_slopes : str, int or list of these, default=None
        Columns whose effect varies between groups; shorthand for
        ``RandomEffect(groups, slopes=...)``.
    fixed : list of str or int, AllExcept or callable, default=None
        Columns with a fixed effect. None: all that are not grouping columns.
    covariance : str, default="full"
        Covariance of one group's coefficients, as in `RandomEffect`.
    link : {"logit", "probit", "cloglog"}, default="logit"
        The link g: log(μ/(1 − μ)), Φ⁻¹(μ) or log(−log(1 − μ)).
    fit_intercept : bool, default=True
        Whether the fixed effects have an intercept.
    handle_unknown : {"population", "error"}, default="population"
        What predictions do with a group that is unknown or missing: average over
        the distribution of its effect, or raise.
    quadrature : int or "auto", default=1
        Nodes of adaptive Gauss–Hermite quadrature for each random coefficient, for one
        grouping factor of at most three; 1 is Laplace's approximation. "auto" takes
        more and more until the log-likelihood is stable to 1e-6.
    tol : float, default=1e-10
        The search stops when it expects −2 log-likelihood to fall by no more.
    max_iter : int, default=200
        Steps of the search at most.
    verbose : int, default=0
        1 prints a line per step of the search.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels of the classes, sorted.
    coef_ : ndarray of shape (1, `n_features_in_`)
        Fixed slopes on the link's scale; 0 for a column without a fixed effect.
    intercept_ : ndarray of shape (1,)
        The fixed intercept; 0 in a model without one.
    fixed_effects_ : Series
        Fixed effects by name, the intercept first; 0 for dropped columns.
    random_effects_ : mapping of str to DataFrame
        Modes of the random effects given the data: grouping factor → frame of
        levels × coefficients, on the link's scale.
    variance_components_ : DataFrame
        Columns ``group``, ``name``, ``variance``, ``sd``, ``corr``: a row for each
        random coefficient, on the link's scale.
    covariances_ : dict of str to DataFrame
        Grouping factor → covariance of one level's effects.
    theta_ : ndarray of shape (n_theta,)
        Entries of the factors Λₖ of Σₖ = ΛₖΛₖ', in lme4's order.
    criterion_ : float
        −2 log-likelihood, with all constants.
    log_likelihood_ : float
        The maximized log-likelihood.
    aic_ : float
        Akaike's criterion; counts the rank of X and all of θ.
    bic_ : float
        Schwarz's criterion, with the number of rows, whatever their weights, as R's glmer.
    converged_ : bool
        Whether the search converged; a singular fit has.
    singular_ : bool
        Whether an estimated covariance matrix is singular.
    status_ : str
        How the search ended, in a sentence of `skmixed.exceptions.FitStatus`.
    n_iter_ : int
        Steps of the search.
    n_nodes_ : int
        Nodes of the quadrature for each random coefficient.
    n_passes_ : int
        How often the rows were read: 1, unless `fit_chunks` could not hold them.
    n_features_in_ : int
        Columns of X, grouping columns included.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of X's columns, where all are strings.

    See Also
    --------
    MixedPoissonRegressor : Counts.
    MixedLinearRegressor : Normal responses.

    Notes
    -----
    The likelihood is that of R's glmer and glmmTMB [1]_ (nAGQ = 1), with the observed
    information in its determinant, also for links that are not canonical. Laplace's
    approximation errs where groups have few samples and large effects; the estimated
    variance is then too small or too large, as that of those programs is. For one
    grouping factor ``quadrature="auto"`` takes the integral itself.

    The mean over groups is not the mean of a typical group: for a group not seen in
    `fit` the probability is averaged over N(0, Σ), which lies nearer to ½ than that
    at b = 0.

    A sample weight w counts the row w times. Weights that are numbers of trials, with y
    a proportion, are for binomial regression.

    References
    ----------
    .. [1] Bates, D., Mächler, M., Bolker, B. and Walker, S. (2015). Fitting linear
       mixed-effects models using lme4. J. Stat. Softw. 67(1), 1–48,
       doi:10.18637/jss.v067.i01.

    Examples
    --------
    Wards of a hospital, some of which see more infections:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmixed import MixedLogisticClassifier
    >>> rng = np.random.default_rng(0)
    >>> ward = np.repeat(np.arange(30), 20)
    >>> age = rng.normal(60, 10, 600)
    >>> eta = -1 + 0.05 * (age - 60) + rng.normal(0, 1, 30)[ward]
    >>> y = np.where(rng.random(600) < 1 / (1 + np.exp(-eta)), "infected", "healthy")
    >>> X = pd.DataFrame({"age": age, "ward": ward})
    >>> model = MixedLogisticClassifier("ward").fit(X, y)
    >>> model.classes_
    array(['healthy', 'infected'], dtype='<U8')
    >>> model.fixed_effects_.round(3)
    (Intercept)   -3.590
    age            0.041
    dtype: float64
    >>> model.variance_components_[["group", "name", "sd"]].round(3)
      group         name     sd
    0  ward  (Intercept)  1.08

    In ward 3 and in one that is new; and both as wards of which the effect is 0:

    >>> rows = pd.DataFrame({"age": [60, 60], "ward": [3, 99]})
    >>> model.predict_proba(rows)[:, 1].round(3)
    array([0.615, 0.289])
    >>> model.predict_proba(rows, include="fixed")[:, 1].round(3)
    array([0.249, 0.249])
    """

    classes_: NDArray[Any]
    set_by_fit = GeneralizedEstimator.set_by_fit | {"classes_"}

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        super()._check_parts(parts, state)
        check_classes(state.get("classes_"))

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        random_slopes: ColumnName | Sequence[ColumnName] | None = None,
        fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None = None,
        covariance: CovarianceName = "full",
        link: Link = "logit",
        fit_intercept: bool = True,
        handle_unknown: HandleUnknown = "population",
        quadrature: Quadrature = 1,
        tol: float = 1e-10,
        max_iter: int = 200,
        verbose: int = 0,
    ) -> None:
        self.groups = groups
        self.random_slopes = random_slopes
        self.fixed = fixed
        self.covariance = covariance
        self.link = link
        self.fit_intercept = fit_intercept
        self.handle_unknown = handle_unknown
        self.quadrature = quadrature
        self.tol = tol
        self.max_iter = max_iter
        self.verbose = verbose

    @weights_not_labels
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
    ) -> MixedLogisticClassifier:
        """Estimate the fixed effects, the variances, and the modes of the effects.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Numeric columns, and grouping columns of any kind of label.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each sample counts.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns beside X; predictions then need them too.

        Returns
        -------
        MixedLogisticClassifier
            The estimator itself. A failure leaves it as it was.

        Raises
        ------
        ValueError
            If the input, or what the parameters ask of it, makes no model.
        TypeError
            If a parameter is of the wrong kind.

        Examples
        --------
        >>> from skmixed import MixedLogisticClassifier
        >>> X = [[0.1, 1], [0.9, 1], [0.4, 1], [0.2, 2], [0.6, 2], [0.7, 2]]
        >>> model = MixedLogisticClassifier(fixed=[0]).fit(X, [0, 1, 0, 0, 1, 0])
        >>> model.predict([[0.0, 1], [1.0, 1]])
        array([0, 1])
        """
        given = {"sample_weight": sample_weight, "groups": groups}
        return committed_fit(
            self, lambda own: fit_model(own, X, y, sample_weight, groups, None), X, y, **given
        )

    # Methods that stand in a module of their own.
    predict_proba = classifying.predict_proba
    predict_log_proba = classifying.predict_log_proba
    decision_function = classifying.decision_function
    predict = classifying.predict
    predict_interval = predict_interval_of_probabilities

    @weights_not_labels
    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: Any = None,
    ) -> float:
        """Return the accuracy of the predictions, as every classifier.

        Parameters
        ----------
        X : frame or array-like of shape (n_samples, n_features)
            Samples to predict.
        y : array-like of shape (n_samples,)
            The observed labels.
        sample_weight : array-like of shape (n_samples,), default=None
            The weight of each sample in the score.
        groups : array-like of shape (n_samples,) or frame, default=None
            Grouping columns, where `fit` was given them beside X.

        Returns
        -------
        float
            The share of labels that are predicted.

        Examples
        --------
        >>> from skmixed import MixedLogisticClassifier
        >>> X = [[0.1, 1], [0.9, 1], [0.4, 1], [0.2, 2], [0.6, 2], [0.7, 2]]
        >>> model = MixedLogisticClassifier(fixed=[0]).fit(X, [0, 1, 0, 0, 1, 0])
        >>> round(model.score(X, [0, 1, 0, 0, 1, 0]), 2)
        0.67
        """
        predicted = self.predict(X, groups=groups)
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def _reader(self) -> classifying.ClassReader:
        validation.check_choice("link", self.link, LINKS)
        return classifying.ClassReader(FAMILIES["binomial", self.link])

    def _response(self, y: Any, n_rows: int) -> FloatArray:
        return classifying.codes_of(y, n_rows, self.classes_)

    def _labels(self, response: FloatArray) -> NDArray[Any]:
        return np.asarray(self.classes_[response.astype(np.intp)])

    def _publish(self) -> None:
        """Set the attributes, with coefficients in scikit-learn's shape for classifiers."""
        super()._publish()
        self.coef_ = self.coef_[None]
        self.intercept_ = np.array([self.intercept_])
