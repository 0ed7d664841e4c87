"""skmixed, and scikit-learn's regression on the same columns without groups."""

import numpy as np

from benchmarks.estimates import Estimates
from benchmarks.model import RESPONSE
from benchmarks.programs.program import InPython


class Skmixed(InPython):
    name = package = "skmixed"

    def version(self):
        import skmixed

        return skmixed.__version__

    def takes(self, model):
        del model
        return True

    def prepare(self, model, data):
        import skmixed

        terms = [
            skmixed.RandomEffect(
                t.factor, slopes=t.slopes, covariance="diag" if t.independent else "full"
            )
            for t in model.terms
        ]
        named = {"groups": terms or None, "fixed": list(model.fixed)}
        if not model.is_linear:
            kinds = {
                "binomial": skmixed.MixedLogisticClassifier,
                "poisson": skmixed.MixedPoissonRegressor,
            }
            estimator = kinds[model.family](**named)
        else:
            if model.residual:
                named["residual"] = skmixed.ResidualCovariance(
                    model.residual, subject=model.subject, time=model.time
                )
            method = "reml" if model.reml else "ml"
            estimator = skmixed.MixedLinearRegressor(**named, method=method)
        return estimator, data.drop(columns=RESPONSE), data[RESPONSE]

    def fit(self, model, rows):
        del model
        estimator, X, y = rows
        return estimator.fit(X, y)

    def estimates(self, model, result):
        from skmixed.inference import vcov

        covariances = result.covariances_
        return Estimates(
            list(result.fixed_effects_),
            [covariances[t.factor].to_numpy().tolist() for t in model.terms],
            float(result.sigma_**2) if model.is_plain else None,
            # No value where an iterative solver was asked for none.
            float(result.log_likelihood_),
            np.sqrt(np.diag(vcov(result))).tolist(),
        )


class WithoutGroups(InPython):
    """What the same columns take without random effects: no rival, but a measure."""

    name = "without groups"
    package = "scikit-learn"

    def takes(self, model):
        return bool(model.fixed)

    def prepare(self, model, data):
        from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

        kinds = {
            "gaussian": LinearRegression(),
            "binomial": LogisticRegression(C=np.inf),
            "poisson": PoissonRegressor(alpha=0.0),
        }
        return kinds[model.family], data[list(model.fixed)], data[RESPONSE]

    def fit(self, model, rows):
        del model
        regressor, X, y = rows
        return regressor.fit(X, y)

    def estimates(self, model, result):
        del model
        return Estimates([*np.ravel(result.intercept_).tolist(), *np.ravel(result.coef_).tolist()])
