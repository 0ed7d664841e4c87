"""
Plots of a fitted model
=======================

Eleven displays like those of scikit-learn: ``from_estimator`` computes and draws, and returns an
object that keeps the numbers. They are drawn here for the reaction times of eighteen subjects, on
ten days with little sleep.
"""

from skmixed import MixedLinearRegressor, lmer
from skmixed.datasets import load_sleepstudy
from skmixed.plotting import (
    EffectsDisplay,
    FittedLinesDisplay,
    InfluenceDisplay,
    ProfileDisplay,
    RandomEffectsDisplay,
    RandomEffectsPairsDisplay,
    RandomEffectsQQDisplay,
    ResidualsDisplay,
    ShrinkageDisplay,
    VarianceDecompositionDisplay,
    check_model,
)

X, y = load_sleepstudy(return_X_y=True)
y = y.rename("reaction time (ms)")
model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)

# %%
# The line of each subject, beside that of the population.
_ = FittedLinesDisplay.from_estimator(model, X, y)

# %%
# Marginal means with 95 % intervals, over all measurements. They need a model by a formula.
data = load_sleepstudy().frame
by_formula = lmer("Reaction ~ Days + (Days | Subject)", data)
_ = EffectsDisplay.from_estimator(by_formula, "Days", X=data)

# %%
# The random effects with 95 % intervals, sorted.
_ = RandomEffectsDisplay.from_estimator(model)

# %%
# How far the model moves each subject's own least-squares line towards the common one.
_ = ShrinkageDisplay.from_estimator(model)

# %%
# The shares of the variance: fixed effects, differences between subjects, and residuals.
_ = VarianceDecompositionDisplay.from_estimator(model)

# %%
# Is the model right? All checks in one figure, with a sentence on how the fit ended.
_ = check_model(model, X, y)

# %%
# The single checks, larger. Residuals should scatter evenly about 0 at all fitted values, follow
# the diagonal in the middle panel, and look similar in all groups. Two subjects have large
# residuals here.
_ = ResidualsDisplay.from_estimator(model, X, y)

# %%
# Random effects are assumed to be normal, too. Standardized, they should follow the diagonal.
_ = RandomEffectsQQDisplay.from_estimator(model)

# %%
# Pairs of random effects, with the normal distribution that the model estimates for them.
_ = RandomEffectsPairsDisplay.from_estimator(model)

# %%
# Which rows move the estimates most: two of subject 332 and one of subject 308 stand out.
_ = InfluenceDisplay.from_estimator(model, X, y)

# %%
# How well the data determine each parameter. Where a line is straight, estimate ± standard errors
# is right. The curves of the standard deviations bend: their intervals are not symmetric.
_ = ProfileDisplay.from_estimator(model)
