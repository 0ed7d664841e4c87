"""What the estimators of generalized models share, their summary among it."""

from collections.abc import Callable, Sequence
from inspect import get_annotations
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skmixed._data.metadata import leave_groups, own_name_of
from skmixed._data.parameters import NestedParameters
from skmixed._data.random_effect import AllExcept
from skmixed._data.table import Table, open_checked
from skmixed._estimators.regressor import Groups
from skmixed._estimators.summary import Summary, facts_of, notes_of
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.messages import speaking
from skmixed._fitted.results import SharedAttributes, results
from skmixed._generalized_estimators.incremental import fit_chunks, update_groups
from skmixed._generalized_estimators.predicting import sample_y
from skmixed._generalized_estimators.reading import check_parameters, generalized_words
from skmixed._typing import ColumnName, FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.inference._fixed_tests import by_information

PUBLISHED = (
    "coef_",
    "intercept_",
    "theta_",
    "criterion_",
    "converged_",
    "singular_",
    "status_",
    "n_iter_",
)
COLUMNS = {"estimate": "Estimate", "std_error": "Std. Error", "z": "z value", "p_value": "Pr(>|z|)"}


def summary(self: Any) -> Summary:
    """Summarize the fit in a table that an lme4 user recognizes.

    Returns
    -------
    Summary
        With a text form, shown by ``print``, and one for notebooks. Its frames
        ``fixed`` and ``random``, on the scale of the link, and its other parts are
        attributes.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skmixed import MixedPoissonRegressor
    >>> rng = np.random.default_rng(0)
    >>> clinic = np.repeat(np.arange(25), 12)
    >>> x = rng.normal(size=300)
    >>> y = rng.poisson(np.exp(1 + 0.3 * x + rng.normal(0, 0.5, 25)[clinic]))
    >>> X = pd.DataFrame({"x": x, "clinic": clinic})
    >>> print(MixedPoissonRegressor("clinic").fit(X, y).summary())
    Generalized linear mixed model fitted by maximum likelihood (Laplace)
    Samples: 300   Levels: clinic 25
    Family: poisson (log)   deviance: 1153.6114   logLik: -576.8057   AIC: 1159.611
    BIC: 1170.723
    <BLANKLINE>
    Random effects:
     Group   Name         Variance  Std.Dev.
     clinic  (Intercept)   0.18156   0.42610
    <BLANKLINE>
    Fixed effects (Wald z tests):
                  Estimate  Std. Error  z value  Pr(>|z|)
     (Intercept)   0.98593    0.093142   10.585    <2e-16
     x             0.26921    0.035538    7.575   3.6e-14
    <BLANKLINE>
    The search for the variance components converged.
    """
    check_is_fitted(self)
    with speaking(generalized_words()):
        return _summarized(self)


def _summarized(model: Any) -> Summary:
    fit: FittedModel = model._model.at_fit
    encoder, own = fit.encoder, fit.family
    kind = "Generalized linear mixed model" if encoder.factors else "Generalized linear model"
    assert fit.solution.family is not None
    n = fit.solution.family.n_nodes
    method = " (Laplace)" if n == 1 else " (quadrature)"
    method = method if encoder.factors else ""
    facts = {"Family": f"{own.name.replace('_', ' ')} ({own.link_name})"}
    if n > 1:
        facts["Nodes"] = f"{n}"
    if own.has_dispersion:
        facts["Shape"] = f"{np.exp(fit.solution.family.phi):.4g}"
    empty = pd.Series(dtype=float)
    return Summary(
        title=f"{kind} fitted by maximum likelihood{method}",
        n_samples=fit.n_rows,
        levels={factor.name: factor.n_levels for factor in encoder.factors},
        facts=facts | facts_of(model, "deviance"),
        random=model.variance_components_,
        fixed=_fixed_table(fit),
        tests="Wald z tests",
        icc=empty,
        r2=empty,
        notes=tuple(notes_of(model, fit)),
        n_residual=0,
    )


def _fixed_table(fit: FittedModel) -> pd.DataFrame:
    tests = by_information(fit, DDF["normal"])
    table = tests.t_table(np.eye(len(tests.names)), list(tests.names), 0.95)
    out = table[list(COLUMNS)].set_axis(list(COLUMNS.values()), axis=1)
    out["Estimate"] = fit.solution.fixed  # 0 where a column was dropped
    return out


class GeneralizedAttributes(SharedAttributes):
    """The attributes of a fitted generalized model."""

    # What fit sets. Other names, such as a subclass sets before, are left alone.
    _model: FittedModel
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _response_name: str | None
    coef_: FloatArray
    intercept_: Any
    theta_: FloatArray
    criterion_: float
    converged_: bool
    singular_: bool
    status_: str
    n_iter_: int
    n_nodes_: int
    n_passes_: int
    shape_: float

    def _publish(self) -> None:
        """Set the attributes that show the model."""
        found = results(self._model, self.n_features_in_)
        self.__dict__.update((name, found[name]) for name in PUBLISHED)
        family = self._model.solution.family
        assert family is not None
        self.n_nodes_, self.n_passes_ = family.n_nodes, family.n_passes
        if family.has_shape:
            self.shape_ = float(np.exp(family.phi))


GeneralizedAttributes.set_by_fit = frozenset(get_annotations(GeneralizedAttributes))


class GeneralizedEstimator(NestedParameters, GeneralizedAttributes, BaseEstimator):
    """A base: parameters, and the way from rows to a fitted model.

    A subclass has `_reader`, and `_response`, from y to what the likelihood takes; where that
    are classes, `_labels` leads back.
    """

    # Whether a weight is a number of trials of which the response is the mean.
    _has_trials: ClassVar[bool] = False
    _has_exposure: ClassVar[bool] = False

    groups: Groups | None
    random_slopes: ColumnName | Sequence[ColumnName] | None
    fixed: ColumnName | Sequence[ColumnName] | AllExcept | Callable[[Any], Any] | None
    covariance: str
    fit_intercept: bool
    handle_unknown: str
    quadrature: int | str
    tol: float
    max_iter: int
    verbose: int

    # Methods that stand in modules of their own.
    summary = summary
    fit_chunks = fit_chunks
    update_groups = update_groups
    sample_y = sample_y

    def get_metadata_routing(self) -> Any:
        """Get the metadata routing of this estimator.

        Where the constructor names the grouping columns, an unset request for
        `groups` counts as False, so that a splitter that asks for groups does
        not oblige the estimator to.

        Returns
        -------
        MetadataRequest
            The requests of the methods.

        Examples
        --------
        >>> from skmixed import MixedPoissonRegressor
        >>> routing = MixedPoissonRegressor("region").get_metadata_routing()
        >>> routing.fit.requests["groups"]
        False
        """
        routing = super().get_metadata_routing()
        if self.groups is not None:
            leave_groups(routing)
        return routing

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = self.groups is not None
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in vars(self)

    def _response(self, y: Any, n_rows: int) -> FloatArray:
        raise NotImplementedError

    def _labels(self, response: FloatArray) -> Any:
        return response

    def _open(self, X: Any, y: Any) -> Table:
        """Check the parameters and open X, for a fit."""
        check_parameters(self)
        self._response_name = own_name_of(y)
        return open_checked(X, self, y, reset=True)
