"""The summary of a generalized model."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.summary import Summary, facts_of, notes_of
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.messages import speaking
from skmixed._generalized_estimators.reading import generalized_words
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.inference._fixed_tests import by_information

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
