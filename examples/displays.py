"""
Plots of a fitted model
=======================

Eleven displays, in the manner of scikit-learn's: ``from_estimator`` computes and draws, and the
object that it returns keeps the numbers. They are drawn here for the reaction times of eighteen
subjects, on ten days with little sleep.
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
# What the model says of each subject: its line beside that of the population.
_ = FittedLinesDisplay.from_estimator(model, X, y)

# %%
# What it says of the population: marginal means with 95 % intervals, over all measurements. These
# are means over the grid of a formula's variables, which the same model by a formula has.
data = load_sleepstudy().frame
by_formula = lmer("Reaction ~ Days + (Days | Subject)", data)
_ = EffectsDisplay.from_estimator(by_formula, "Days", X=data)

# %%
# The random effects with 95 % intervals, sorted. Where an interval does not hold 0, the subject
# differs from the mean one by more than its ten days leave open.
_ = RandomEffectsDisplay.from_estimator(model)

# %%
# How far the model moves each subject's own least-squares line towards the common one.
_ = ShrinkageDisplay.from_estimator(model)

# %%
# How much of the variance is of the fixed effects, between subjects, and left over.
_ = VarianceDecompositionDisplay.from_estimator(model)

# %%
# Is the model right? All checks in one figure, with a sentence on how the fit ended.
_ = check_model(model, X, y)

# %%
# The single ones, larger. Residuals should scatter evenly about 0 at all fitted values, follow the
# diagonal in the middle, and look alike in all groups. Two subjects have large ones here.
_ = ResidualsDisplay.from_estimator(model, X, y)

# %%
# The random effects are taken for normal as well: standardized, they should follow the diagonal.
_ = RandomEffectsQQDisplay.from_estimator(model)

# %%
# In pairs, with the distribution from which the model takes them to be drawn.
_ = RandomEffectsPairsDisplay.from_estimator(model)

# %%
# Which rows move the estimates most: two of subject 332 and one of subject 308 stand out.
_ = InfluenceDisplay.from_estimator(model, X, y)

# %%
# How well a parameter is determined. A straight line means that estimate ± standard errors will
# do; the curves of the standard deviations bend, and their intervals are not symmetric.
_ = ProfileDisplay.from_estimator(model)
