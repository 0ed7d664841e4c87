"""statsmodels, GPBoost and MERF."""

import logging
from importlib import import_module

import numpy as np

from benchmarks.estimates import Estimates
from benchmarks.model import RESPONSE, design, effects
from benchmarks.programs.program import InPython


class OfOneFactor(InPython):
    """A program that takes one grouping factor with correlated effects."""

    def takes(self, model):
        return model.is_plain and len(model.terms) == 1 and not model.terms[0].independent

    def prepare(self, model, data):
        term = model.terms[0]
        groups = data[term.factor].to_numpy()
        return data[RESPONSE].to_numpy(), design(model, data), groups, effects(term, data)


class WithMixedLM(OfOneFactor):
    """A program with the class `MixedLM` of statsmodels, which `module` has."""

    module: str

    def fit(self, model, rows):
        y, X, groups, own = rows
        kind = import_module(self.module).MixedLM
        return kind(y, X, groups=groups, exog_re=own).fit(reml=model.reml)

    def estimates(self, model, result):
        del model
        fixed, covariance = np.asarray(result.fe_params), np.asarray(result.cov_re)
        return Estimates(
            fixed.tolist(), [covariance.tolist()], float(result.scale), float(result.llf)
        )


class Statsmodels(WithMixedLM):
    name = package = "statsmodels"
    module = "statsmodels.api"


class Merf(OfOneFactor):
    """With a linear regression for the fixed part, and its default of 20 iterations."""

    name, package = "MERF", "merf"

    def prepare(self, model, data):
        logging.disable(logging.CRITICAL)
        term = model.terms[0]
        X = data[list(model.fixed)]
        return X, effects(term, data), data[term.factor], data[RESPONSE].to_numpy()

    def fit(self, model, rows):
        from merf import MERF
        from sklearn.linear_model import LinearRegression

        del model
        return MERF(LinearRegression()).fit(*rows)

    def estimates(self, model, result):
        del model
        regressor = result.trained_fe_model
        fixed = [float(regressor.intercept_), *regressor.coef_.tolist()]
        covariance = np.asarray(result.D_hat_history[-1]).tolist()
        return Estimates(fixed, [covariance], float(result.sigma2_hat_history[-1]))


class GPBoost(InPython):
    """Its intercepts and slopes are independent."""

    name, package = "GPBoost", "gpboost"

    def takes(self, model):
        with_slopes = [t for t in model.terms if t.slopes]
        is_allowed = with_slopes in ([], list(model.terms[:1]))
        return (
            bool(model.terms)
            and not (model.reml or model.residual)
            and is_allowed
            and all(t.independent for t in with_slopes)
        )

    def prepare(self, model, data):
        named = {"group_data": data[list(model.factors)].to_numpy()}
        slopes = model.terms[0].slopes
        if slopes:
            named["group_rand_coef_data"] = data[list(slopes)].to_numpy()
            named["ind_effect_group_rand_coef"] = [1] * len(slopes)
        likelihoods = {"binomial": "bernoulli_logit"}
        named["likelihood"] = likelihoods.get(model.family, model.family)
        # Beyond what a Cholesky factor can do, as its documentation advises.
        if len(model.terms) == 2 and min(data[f].nunique() for f in model.factors) > 10_000:
            named["matrix_inversion_method"] = "iterative"
        return named, design(model, data), data[RESPONSE].to_numpy()

    def fit(self, model, rows):
        import gpboost

        del model
        named, X, y = rows
        return gpboost.GPModel(num_parallel_threads=1, **named).fit(y=y, X=X)

    def estimates(self, model, result):
        found = np.asarray(result.get_cov_pars()).ravel().tolist()
        variance = found.pop(0) if model.is_linear else None
        # Variances of all intercepts, then those of the slopes.
        intercepts, slopes = found[: len(model.terms)], found[len(model.terms) :]
        matrices = [[[v]] for v in intercepts]
        matrices[0] = np.diag([intercepts[0], *slopes]).tolist()
        fixed = np.asarray(result.get_coef()).ravel().tolist()
        value = -float(result.get_current_neg_log_likelihood())
        return Estimates(fixed, matrices, variance, value)
