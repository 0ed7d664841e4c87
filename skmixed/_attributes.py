"""What a fitted estimator shows on demand: estimates with their names.

Plain properties: computed at each look, so that nothing stale is kept or pickled,
and raising only AttributeError, since notebooks read them all.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from skmixed._crossprod import CrossProducts
from skmixed._encode import Encoder
from skmixed._estimate import Estimate
from skmixed._persistence import Persistence
from skmixed._results import (
    RandomEffects,
    covariances,
    monte_carlo_errors,
    variance_components,
)
from skmixed._serving import Serving, serving_of
from skmixed._slim import Dropped


class FittedAttributes(Persistence):
    """The properties of a fitted `MixedLinearRegressor`."""

    _encoder: Encoder
    _stats: CrossProducts | Dropped
    _estimate: Estimate
    _updated: Serving | None

    @property
    def fixed_effects_(self) -> pd.Series:
        """Fixed effects by name, the intercept first; 0 for dropped columns."""
        estimate = self._need("fixed_effects_")
        return pd.Series(estimate.solution.fixed.copy(), index=list(self._encoder.fixed_names))

    @property
    def random_effects_(self) -> Mapping[str, pd.DataFrame]:
        """BLUPs: grouping factor → frame of levels × coefficients.

        With those that `update_groups` has learned.
        """
        self._need("random_effects_")
        serving = serving_of(self)
        return RandomEffects(serving.encoder, serving.solution)

    @property
    def covariances_(self) -> dict[str, pd.DataFrame]:
        """Covariance of one group's effects by factor, on the scale of the data."""
        solution = self._need("covariances_").solution
        return covariances(self._encoder, solution)

    @property
    def variance_components_(self) -> pd.DataFrame:
        """Variances: columns group, name, variance, sd, corr.

        ``corr`` is the correlation with the term's first coefficient; terms of
        three and more have those with the second in ``corr2``, and so on.
        """
        solution = self._need("variance_components_").solution
        return variance_components(self._encoder, solution)

    @property
    def solver_(self) -> str:
        """The solver used: "exact" or "iterative"."""
        return self._need("solver_").solver

    @property
    def monte_carlo_errors_(self) -> pd.DataFrame:
        """Monte Carlo errors of the iterative solver; 0 of the exact one.

        Columns group, name, sd_error: standard errors of the random effects' sd's,
        on their scale. They come on top of the sampling errors.
        """
        estimate = self._need("monte_carlo_errors_")
        return monte_carlo_errors(self._encoder, estimate)

    @property
    def criterion_error_(self) -> float:
        """Monte Carlo standard error of the criterion; 0 of the exact solver."""
        found = self._need("criterion_error_").monte_carlo
        return 0.0 if found is None else found.criterion_error

    @property
    def log_likelihood_(self) -> float:
        """Log-likelihood (ML) or restricted log-likelihood (REML)."""
        return -0.5 * self._need("log_likelihood_").solution.criterion

    @property
    def aic_(self) -> float:
        """Akaike's criterion; counts the rank of X, all of θ, and σ."""
        solution = self._need("aic_").solution
        return solution.criterion + 2.0 * solution.n_parameters

    @property
    def bic_(self) -> float:
        """Schwarz's criterion, with the number of samples under REML too."""
        solution = self._need("bic_").solution
        return float(solution.criterion + np.log(self._stats.n_rows) * solution.n_parameters)

    def _need(self, attribute: str) -> Estimate:
        """Return the estimate, or say as an attribute error that there is none."""
        if "_estimate" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {attribute!r} before fit."
            )
        return self._estimate
