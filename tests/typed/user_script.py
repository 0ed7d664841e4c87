"""A user's script, for type checkers: mypy --strict and pyright find nothing wrong in it.

It is checked, never run. Lines with `type: ignore` must be errors: each is a mistake that
a checker is to find, and one that it does not find is an unused comment, which is an error.
"""

from collections.abc import Mapping
from typing import Any, assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed import (
    MixedBinomialRegressor,
    MixedEffectEncoder,
    MixedEffectsRegressor,
    MixedGammaRegressor,
    MixedLinearRegressor,
    MixedLogisticClassifier,
    MixedNegativeBinomialRegressor,
    MixedPoissonRegressor,
    RandomEffect,
    ResidualCovariance,
    SufficientStatistics,
    glmer,
    lmer,
    mmrm,
)
from skmixed.datasets import load_cbpp, load_grouseticks, load_sleepstudy, make_mixed_regression
from skmixed.diagnostics import (
    cooks_distance,
    group_influence,
    influence,
    leverage,
    residual_correlation,
    residuals,
    subject_influence,
    variance_inflation,
)
from skmixed.formula import FormulaRegressor
from skmixed.inference import (
    ModelReport,
    ResultSeries,
    ResultTable,
    anova,
    coefficient_table,
    coefficients_by_group,
    compare,
    comparisons,
    conditional_aic,
    confidence_intervals,
    contrast,
    drop1,
    effect_sizes,
    icc,
    joint_tests,
    likelihood_ratio_test,
    marginal_means,
    marginal_slopes,
    profile,
    r2,
    random_effects_table,
    random_effects_tests,
    report,
    singularity,
    variance_decomposition,
    vcov,
)
from skmixed.model_selection import (
    MixedLinearRegressorCV,
    both_questions,
    cross_validate,
    fit_conformalize,
)
from skmixed.plotting import (
    EffectsDisplay,
    InfluenceDisplay,
    RandomEffectsDisplay,
    ResidualCorrelationDisplay,
    ResidualsDisplay,
    VarianceDecompositionDisplay,
)
from skmixed.typing import Ddf, EstimationMethod

Floats = NDArray[np.float64]

# Data sets: frames, arrays, or both with what is known of them.
X, y = load_sleepstudy(return_X_y=True)
assert_type(X, pd.DataFrame)
assert_type(y, "pd.Series[Any]")
arrays = load_sleepstudy(return_X_y=True, as_frame=False)
assert_type(arrays, tuple[NDArray[Any], NDArray[Any]])
data = load_sleepstudy().frame
assert_type(data, pd.DataFrame)
assert_type(load_cbpp().feature_names, list[str])
assert_type(load_grouseticks(as_frame=False).data, NDArray[Any])
simulated, response = make_mixed_regression(n_groups=[6, 4], random_state=0)

# Linear models.
term = RandomEffect("Subject", slopes="Days", covariance="diag")
model = MixedLinearRegressor(term, method="ml", handle_unknown="error", solver="exact").fit(X, y)
assert_type(model, MixedLinearRegressor)
assert_type(model.predict(X), Floats)
assert_type(model.predict(X, include="fixed", return_std=True), tuple[Floats, Floats])
mean, sd = model.predict(X, return_std=True)
assert_type(sd, Floats)
assert_type(model.predict_interval(X, level=0.9, of="mean", ddf="satterthwaite"), Floats)
assert_type(model.sample_y(X, 3, effects="new"), Floats)
assert_type(model.score(X, y), float)
assert_type(model.slim(), MixedLinearRegressor)
assert_type(model.update_groups(X, y), MixedLinearRegressor)
assert_type(model.partial_fit(X, y), MixedLinearRegressor)
assert_type(model.fit_chunks([(X, y)]), MixedLinearRegressor)
assert_type(model.statistics(X, y), SufficientStatistics)
assert_type(model.fixed_effects_, "pd.Series[Any]")
assert_type(model.random_effects_, Mapping[str, pd.DataFrame])
assert_type(model.covariances_, dict[str, pd.DataFrame])
assert_type(model.variance_components_, pd.DataFrame)
assert_type(model.log_likelihood_, float)
assert_type(model.converged_, bool)
assert_type(model.coef_, Floats)
assert_type(model.sigma_, float)
assert_type(model.n_iter_, int)
model.summary("kenward-roger", robust="CR2")
for method in MixedLinearRegressor(), MixedLinearRegressor("Subject", covariance="ar1"):
    method.fit(X, y)
repeated = ResidualCovariance("unstructured", subject="Subject", time="Days")
MixedLinearRegressor(residual=repeated, random_state=0).fit(X, y)

# Classes, counts and other responses.
classifier = MixedLogisticClassifier("herd", link="probit", quadrature="auto").fit(X, y)
assert_type(classifier, MixedLogisticClassifier)
assert_type(classifier.predict_proba(X, effects="mean"), Floats)
assert_type(classifier.predict(X), NDArray[Any])
proportions = MixedBinomialRegressor("herd", link="cloglog", quadrature=7).fit(X, y)
assert_type(proportions, MixedBinomialRegressor)
assert_type(proportions.predict(X), Floats)
counts = MixedPoissonRegressor("herd").fit(X, y, exposure=y)
assert_type(counts, MixedPoissonRegressor)
assert_type(counts.predict(X, exposure=y, return_std=True), tuple[Floats, Floats])
assert_type(counts.predict_interval(X, of="observation"), Floats)
assert_type(MixedNegativeBinomialRegressor("herd").fit(X, y).aic_, float)
assert_type(MixedGammaRegressor("herd").fit(X, y), MixedGammaRegressor)

# Any regressor, and categories as features.
hybrid = MixedEffectsRegressor(MixedLinearRegressor(), "Subject", method="ml").fit(X, y)
assert_type(hybrid, MixedEffectsRegressor)
assert_type(hybrid.predict(X, return_std=True), tuple[Floats, Floats])
assert_type(hybrid.update_groups(X, y), MixedEffectsRegressor)
assert_type(hybrid.random_effects_, Mapping[str, pd.DataFrame])
encoder = MixedEffectEncoder(target_type="binary").fit(X, y)
assert_type(encoder, MixedEffectEncoder)
assert_type(encoder.transform(X), Floats)

# Formulas.
by_formula = lmer("Reaction ~ Days + (Days | Subject)", data, na_action="drop")
assert_type(by_formula, FormulaRegressor)
assert_type(by_formula.predict(data), Floats)
assert_type(by_formula.predict(data, return_std=True), tuple[Floats, Floats])
assert_type(by_formula.model_matrix(data), pd.DataFrame)
assert_type(by_formula.slim(), FormulaRegressor)
glmer("y ~ x + (1 | g)", data, "Gamma", link="log", quadrature="auto")
mmrm("y ~ arm + us(visit | id)", data)
FormulaRegressor("y ~ x + (1 | g)", family="poisson", contrasts="R", weights="w")

# Inference.
ddf: Ddf = "kenward-roger"
table = coefficient_table(by_formula, ddf, robust="CR2")
assert_type(table, ResultTable)
text: str = table.to_markdown() + table.to_latex(label="tab:fit")
table.to_markdown("table.md")
assert_type(confidence_intervals(model, "profile", components=["sd", "corr"]), ResultTable)
assert_type(anova(by_formula, type=2), ResultTable)
assert_type(contrast(model, {"Days": 1.0}), ResultTable)
assert_type(coefficients_by_group(model), dict[str, ResultTable])
assert_type(report(model), ModelReport)
assert_type(report(model).to_markdown(), str)
assert_type(r2(model), ResultSeries)
assert_type(conditional_aic(model, convention="cAIC4"), ResultSeries)
means = marginal_means(by_formula, "Days", weights="proportional", scale="response")
pairs = comparisons(means, "trt.vs.ctrl", adjust="dunnettx")
assert_type(effect_sizes(pairs, sigma="total"), ResultTable)
marginal_slopes(by_formula, "Days", robust="CR0")
joint_tests(by_formula, hypothesis="equal")
drop1(by_formula, ddf="satterthwaite")
compare(model, by_formula)
likelihood_ratio_test(model, by_formula)
profile(model, components="sigma")
for tested in (random_effects_table(model), random_effects_tests(model), singularity(model)):
    assert_type(tested, ResultTable)
assert_type(vcov(model), ResultTable)
assert_type(variance_decomposition(model), ResultTable)
assert_type(icc(model), ResultSeries)
shares: "pd.Series[Any]" = icc(model)

# Diagnostics, validation and displays.
assert_type(residuals(model, X, y, "standardized"), Floats)
assert_type(residuals(counts, X, y, kind="quantile"), Floats)
assert_type(cooks_distance(model, X, y), Floats)
assert_type(leverage(model, X, y), Floats)
assert_type(influence(model, X, y), pd.DataFrame)
assert_type(group_influence(model, X, y, theta="one_step", sigma="fixed"), ResultTable)
assert_type(residual_correlation(model, X, y, kind="normalized"), ResultTable)
assert_type(subject_influence(model), ResultTable)
assert_type(variance_inflation(model), pd.DataFrame)
found = cross_validate(model, X, y, question="new_groups", theta="fixed")
assert_type(found.summary(), ResultTable)
assert_type(both_questions(model, X, y), ResultTable)
assert_type(fit_conformalize(model, X, y, question="known_groups"), MixedLinearRegressor)
chosen = MixedLinearRegressorCV("Subject", candidates={"method": ["ml"]}, criterion="bic")
assert_type(chosen.fit(X, y).best_estimator_, MixedLinearRegressor)
assert_type(EffectsDisplay.from_estimator(by_formula, "Days", scale="link"), EffectsDisplay)
InfluenceDisplay.from_groups(model, X, y, theta="fixed")
RandomEffectsDisplay.from_estimator(model).plot()
ResidualCorrelationDisplay.from_estimator(model, X, y, quantity="semivariogram")
ResidualsDisplay.from_estimator(model, X, y, kind="pearson", panels=["fitted", "qq"])
VarianceDecompositionDisplay.from_estimator(model, kind="stacked")

# Mistakes that a checker finds.
wrong: EstimationMethod = "REML"  # type: ignore[assignment]
MixedLinearRegressor("Subject", method="REML")  # type: ignore[arg-type]
MixedLinearRegressor("Subject", covariance="diagonal")  # type: ignore[arg-type]
MixedLinearRegressor("Subject", random_slope="Days")  # type: ignore[call-arg]
RandomEffect("Subject", covariance="ar(1)")  # type: ignore[arg-type]
ResidualCovariance("AR1", subject="id")  # type: ignore[arg-type]
MixedLogisticClassifier("herd", link="log")  # type: ignore[arg-type]
glmer("y ~ x + (1 | g)", data, family="quasipoisson")  # type: ignore[arg-type]
coefficient_table(model, "satterthwait")  # type: ignore[arg-type]
coefficient_table(model, robust="CR1")  # type: ignore[arg-type]
model.predict_interval(X, ddf="kenward-roger")  # type: ignore[arg-type]
confidence_intervals(model, "boot")  # type: ignore[arg-type]
comparisons(means, adjust="fdr")  # type: ignore[arg-type]
anova(model, type=4)  # type: ignore[arg-type]
residuals(model, X, y, kind="response_")  # type: ignore[arg-type]
cross_validate(model, X, y, question="new_group")  # type: ignore[arg-type]
load_sleepstudy(True)  # type: ignore[call-overload]
predicted: Floats = model.predict(X, return_std=True)  # type: ignore[assignment]
