"""Packages for Python that are written in Rust: mixedlm, mixedlm-rs, lme-python and glmm."""

import numpy as np

from benchmarks.estimates import Estimates
from benchmarks.programs.in_python import WithMixedLM
from benchmarks.programs.program import InPython


class ByFormula(InPython):
    """A program that takes lme4's formulas and a frame, whose labels are text."""

    def takes(self, model):
        return bool(model.terms) and not model.residual

    def prepare(self, model, data):
        return data.assign(**{f: "g" + data[f].astype(str) for f in model.factors})


class MixedlmRust(ByFormula):
    name = package = "mixedlm"

    def fit(self, model, rows):
        import mixedlm
        from mixedlm import families

        if model.is_linear:
            return mixedlm.lmer(model.formula, rows, REML=model.reml)
        family = {"binomial": families.Binomial, "poisson": families.Poisson}[model.family]()
        return mixedlm.glmer(model.formula, rows, family=family)

    def estimates(self, model, result):
        parts = result.VarCorr()
        covariances = [np.asarray(parts.get_cov(f)).tolist() for f in model.factors]
        variance = float(result.sigma) ** 2 if model.is_linear else None
        value = float(result.logLik())
        return Estimates(np.asarray(result.beta).tolist(), covariances, variance, value)


class MixedlmRs(WithMixedLM):
    name = package = "mixedlm-rs"
    module = "mixedlm_rs"


class OfCorrelated(ByFormula):
    """A program whose effects of one term are always correlated."""

    def takes(self, model):
        return super().takes(model) and not any(t.independent for t in model.terms)


def matrix_of(theta, size, variance):
    """The covariance matrix of lme4's θ, column by column of the lower triangle."""
    root = np.zeros((size, size))
    root.T[np.triu_indices(size)] = theta
    return (variance * root @ root.T).tolist()


class LmePython(OfCorrelated):
    name, package = "lme-python", "lme-python"

    def prepare(self, model, data):
        import polars as pl

        return pl.from_pandas(super().prepare(model, data))

    def fit(self, model, rows):
        import lme_python

        if model.is_linear:
            return lme_python.lmer(model.formula, rows, reml=model.reml)
        return lme_python.glmer(model.formula, rows, model.family)

    def estimates(self, model, result):
        variance = float(result.sigma2) if model.is_linear else None
        theta, covariances = list(result.theta), []
        for term in model.terms:
            count = term.size * (term.size + 1) // 2
            own, theta = theta[:count], theta[count:]
            covariances.append(matrix_of(own, term.size, variance or 1.0))
        value = None if result.log_likelihood is None else float(result.log_likelihood)
        return Estimates(list(result.coefficients), covariances, variance, value)


class Glmm(OfCorrelated):
    name = package = "glmm"

    def prepare(self, model, data):
        return {name: column.to_numpy() for name, column in super().prepare(model, data).items()}

    def fit(self, model, rows):
        import glmm

        family = "gaussian" if model.is_linear else model.family
        named = {"reml": model.reml, "satterthwaite": False} if model.is_linear else {}
        return glmm.fit(rows, model.formula, family, **named)

    def estimates(self, model, result):
        packed = dict(zip((name for name, _ in result.re_groups), result.varcorr, strict=True))
        covariances = []
        for term in model.terms:
            matrix = np.zeros((term.size, term.size))
            matrix.T[np.triu_indices(term.size)] = packed[term.factor]
            covariances.append((matrix + np.tril(matrix, -1).T).tolist())
        variance = float(result.dispersion) if model.is_linear else None
        return Estimates(list(result.beta), covariances, variance, float(result.loglik))
