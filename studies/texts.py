"""What the page says beside the numbers: what is drawn, and how to read what came of it."""

from dataclasses import dataclass

INTRODUCTION = """\
# Simulations

Data are drawn from a model with known parameters, the model is fitted, and its results are compared
with the truth. This was done for {n_designs} models, with {n_sets:,} data sets in all.

- The *bias* is the mean of the estimates minus the truth. It should be 0.
- Intervals at 95 % should contain the truth in 95 of 100 data sets.
- Tests at 5 % should reject a true hypothesis in 5 of 100 data sets.

Most numbers are near what they should be. Those that are far from it mostly have one of four
causes: too few groups, intervals of random effects that ignore the errors of other estimates,
Laplace's approximation with two rows in each group, and data that are drawn from another model than
the one that is fitted. The page of each family shows all numbers, and says what they mean.
"""
# By the measure: what stands above a table of the overview.
READING = {
    "held": """\
## How often intervals contain the truth

In percent of the intervals at 95 %, by the method that is used where none is asked for. *Typical*
is the median of as many numbers as the column *numbers* says, and *worst* is the number farthest
from 95. Its Monte Carlo error is in brackets. It is **bold** if it differs from 95 by more than
three of the errors that a share of 95 would have. Intervals of counts contain more than 95 of 100,
because their ends are whole numbers.
""",
    "rejected": """\
## How often tests reject a true hypothesis

In percent of the tests at 5 %. Other methods are on the pages of the families.
""",
    "bias": """\
## How far off estimates are on average

*Typical* is the median of the absolute values. Coefficients are between −1 and 1, and residual
variances are 1.
""",
}
MADE = """\
## How to read the tables of each family

Monte Carlo errors are in brackets. A number is **bold** if it differs from what it should be by
more than three Monte Carlo errors. For a share of data sets, that is the error that the share would
have if it were what it should be. It is not the error in brackets. The pages have {n_numbers:,}
numbers, so that a few are bold by chance.

- Treatments are those of whole groups or subjects. They have no effect, and neither has the column
  z. The column x has one.
- The columns of a table are the methods. For fixed effects and predictions these are the
  [degrees of freedom](inference.md). For generalized models they are the approximation of the
  likelihood.
- The mean is the expected response of a row in its group. An observation is a new response.
- Slopes of the truth on the prediction should be 1.
- A fit is singular if a variance is estimated as 0 or a correlation as ±1. Its data set counts like
  any other.
- Some methods give no interval for some data sets, for example Wald's for a standard deviation
  of 0. The number of data sets with an interval is then in the brackets.

## How the pages are made

`python -m studies` draws and fits the data and writes these pages, with
`random_state={random_state}`. On the same kind of machine and with the same versions, all numbers
are the same to the last bit. Here these are skmixed {versions[skmixed]}, Python {versions[python]},
NumPy {versions[numpy]}, SciPy {versions[scipy]}, pandas {versions[pandas]} and scikit-learn
{versions[scikit-learn]} on {versions[machine]}.
"""


@dataclass(frozen=True)
class Family:
    """The page of a section, what is drawn, and the methods that the overview shows."""

    page: str
    drawn: str
    usual: tuple[str, ...]  # of estimates and intervals, where none is asked for
    tests: tuple[str, ...] = ()

    @property
    def introduction(self):
        return (
            f"{self.drawn}. [The overview](simulations.md) has the typical and the worst of these "
            "numbers, and says "
            "[how to read the tables](simulations.md#how-to-read-the-tables-of-each-family)."
        )


# By the section of a design.
FAMILIES = {
    "Linear models": Family(
        "simulations_linear.md",
        "Random intercepts and slopes, 6 to 100 groups, crossed factors",
        ("satterthwaite", "wald", "given β and variances"),
        ("satterthwaite", "kenward-roger", "½χ²(0) + ½χ²(1)"),
    ),
    "Repeated measures": Family(
        "simulations_repeated.md",
        "Trials of 20 and 60 subjects with four visits, some of whom drop out",
        ("satterthwaite", "wald"),
        ("satterthwaite", "kenward-roger-linear", "kenward-roger"),
    ),
    "Generalized models": Family(
        "simulations_generalized.md",
        "Two classes and counts, in 12 to 100 groups of 2 to 20 rows",
        ("Laplace",),
        ("Laplace", "quadrature"),
    ),
    "Any regressor beside random effects": Family(
        "simulations_any_regressor.md",
        "A linear model, a forest and boosted trees, each with 60 groups of 15 rows",
        ("model",),
    ),
    "Intervals for any distribution": Family(
        "simulations_conformal.md",
        "Heavy tails and unequal variances, 150 groups of 3 or 15 rows",
        ("model", "conformal"),
    ),
}
# By the name of a design: what is drawn, and what came of it.
TEXTS = {
    "Random intercept, 6 groups": (
        "Six groups of five rows with a random intercept. Every second group is treated.",
        "REML estimates of variances have no bias. Six groups leave four degrees of freedom "
        "for the treatment, so that normal intervals are too short; Satterthwaite's and "
        "Kenward and Roger's are right. A profile is that of the likelihood, which "
        "underestimates the variance between six groups, as it does not count their two "
        "estimated means: its intervals contain the truth in 82 of 100 data sets, and theory "
        "gives 83. Intervals of random "
        "effects ignore the errors of β and of the variances, and are much too short here. "
        "Intervals of means count the errors of β.",
    ),
    "Random intercept, 20 groups": (
        "The same with 20 groups.",
        "With 20 groups Satterthwaite's and Kenward and Roger's intervals of coefficients have "
        "their level. Normal ones of the treatment and of the mean of a new group are a little "
        "short, and intervals of random effects are too short.",
    ),
    "Random intercept, 100 groups": (
        "The same with 100 groups.",
        "With 100 groups the methods agree. Intervals of random effects are still a little short.",
    ),
    "Random intercept and slope, 6 groups": (
        "Six groups of five rows with a random intercept and a random slope of x.",
        "Six groups are few for three parameters of a covariance, and two fits in five are "
        "singular. Satterthwaite's method takes these variances as known to be 0. Its "
        "intervals of the treatment are then too short, and its tests reject too often. "
        "Kenward and Roger's method keeps its level. Variances cannot be negative, and so "
        "the residual variance is a little too small.",
    ),
    "Random intercept and slope, 20 groups": (
        "The same with 20 groups.",
        "With 20 groups few fits are singular, and Satterthwaite's and Kenward and Roger's "
        "tests have their level within the Monte Carlo error. Intervals for the mean of a "
        "known group are a little short.",
    ),
    "Random intercept and slope, 100 groups": (
        "The same with 100 groups.",
        "The results are those of a random intercept alone.",
    ),
    "Six unequal groups, sd 0.5": (
        "Six groups of 2, 3, 4, 6, 9 and 12 rows. Every second group is treated. The "
        "standard deviation between groups is half that of the residuals.",
        "In a quarter of the fits the variance between groups is 0. Satterthwaite's method "
        "drops it there, and still keeps its level over all fits. Kenward and Roger's "
        "method keeps the uncertainty of this variance, with few degrees of freedom, and is "
        "very conservative.",
    ),
    "Six unequal groups, sd 1": (
        "The same with equal standard deviations.",
        "Satterthwaite's tests and intervals of the treatment have their level, and Kenward "
        "and Roger's are conservative. With n − rank X or infinitely many degrees of "
        "freedom, tests reject twice as often as they should.",
    ),
    "Six unequal groups, sd 2": (
        "The same with a standard deviation between groups that is twice that of the residuals.",
        "With larger variances between groups, Satterthwaite's and Kenward and Roger's "
        "methods agree.",
    ),
    "24 unequal groups": (
        "24 groups of 2 to 12 rows in four sites, six in each. Sites do not differ.",
        "Satterthwaite's and Kenward and Roger's methods agree, also for the F test of the "
        "sites. The profile of the standard deviation is too short, because the likelihood "
        "does not count the estimated means of the sites.",
    ),
    "Crossed factors": (
        "15 subjects answer to 10 items. Every second subject is treated.",
        "Estimates of both variances have no bias. The treatment has the degrees of freedom "
        "of subjects. Intervals of random effects are too short with few levels.",
    ),
    "No variance between groups": (
        "20 groups of five rows that do not differ.",
        "The test of the variance uses a mixture of χ² distributions, because 0 is the "
        "boundary of its range. Without the mixture, as in lmerTest, it rejects less than "
        "half as often. The estimate of the variance is never negative, so that its mean is "
        "above 0 and that of the residual variance below 1.",
    ),
    "Covariance unstructured, 20 subjects": (
        "20 subjects in two arms come to at most four visits. The arms do not differ. "
        "Subjects drop out more often after a low value. The residuals have an unstructured "
        "covariance.",
        "The covariance has ten parameters, which are many for 20 subjects. Normal, "
        "residual and Satterthwaite's tests reject too often, above all the F test of the "
        'arm at all visits. The method `"kenward-roger"` is that of R\'s mmrm, with second '
        "derivatives in mmrm's own parameters. It rejects too often as well. Without these "
        "derivatives, as in SAS, it is near its level. Wald intervals of correlations are a "
        "little short.",
    ),
    "Covariance unstructured, 60 subjects": (
        "The same with 60 subjects.",
        "With 60 subjects all methods are right within the Monte Carlo error.",
    ),
    "Covariance ar1, 20 subjects": (
        "The same trial with 20 subjects. The residuals have one variance, and correlation "
        "0.6 from one visit to the next.",
        "20 subjects are enough for two parameters, and all methods are near their level.",
    ),
    "Covariance toeplitz, 20 subjects": (
        "The same with correlations 0.6, 0.5 and 0.3 between visits that are one, two and "
        "three steps apart.",
        "With four parameters Satterthwaite's and Kenward and Roger's tests have their "
        "level within the Monte Carlo error.",
    ),
    "Two classes, 12 groups of 10": (
        "12 groups of 10 rows of two classes. Every second group is treated.",
        "Tests and intervals of generalized models are normal, as those of lme4 and glmmTMB "
        "are. With 12 groups they are too optimistic for a treatment of whole groups. The "
        "standard deviation between groups is estimated by maximum likelihood, which is too "
        "small with few groups by either method, and intervals for new groups are too "
        "short. Effects that vary within groups are right.",
    ),
    "Two classes, 100 groups of 2": (
        "100 groups of two rows.",
        "With two rows of two classes in a group, Laplace's standard deviation is a fifth "
        "too small, and with quadrature it is right. Predictions for new groups at an "
        "effect of 0 are far too extreme; the mean over groups is nearly right.",
    ),
    "Two classes, 100 groups of 5": (
        "100 groups of five rows.",
        "With five rows Laplace's approximation is good, and quadrature is a little better.",
    ),
    "Two classes, 100 groups of 20": (
        "100 groups of 20 rows.",
        "Both methods agree. Intervals of random effects ignore the errors of the fixed effects.",
    ),
    "Poisson counts, 12 groups of 10": (
        "12 groups of 10 rows of counts.",
        "The results for 12 groups are like those of two classes. Intervals of counts "
        "contain more than 95 of 100, because their ends are whole numbers. The mean of new "
        "groups at an effect of 0 is too low.",
    ),
    "Poisson counts, 100 groups of 5": (
        "100 groups of five rows of counts.",
        "Both methods agree, and the intervals of means have nearly their level.",
    ),
    "Negative binomial counts, 12 groups of 10": (
        "12 groups of 10 rows of counts with a larger variance than Poisson's.",
        "The results are like those of Poisson counts. The estimate of the shape may be "
        "infinite, and so the table has the bias of its inverse.",
    ),
    "Negative binomial counts, 100 groups of 5": (
        "The same with 100 groups of five rows.",
        "The shape and the variance between groups are told apart. The standard deviation "
        "between groups is estimated a little too small, and intervals of the means of new "
        "groups are a little short.",
    ),
    "Two classes, profiles": (
        "30 groups of eight rows of two classes, with 15 nodes of quadrature.",
        "Profiles and Wald intervals agree within the Monte Carlo error. A profile takes "
        "many fits, and so there are few data sets.",
    ),
    "Two classes, no variance between groups": (
        "40 groups of five rows of two classes that do not differ.",
        "The test of the variance has its level within the Monte Carlo error, and estimates "
        "of β have no bias.",
    ),
    "Around a linear model": (
        "60 groups of 15 rows. The fixed part is linear, and the regressor is LinearRegression.",
        "The variance between groups has no bias, and the intervals of new rows have their "
        "level. The mean square error of f holds 1/60 for the mean of 60 group effects, which "
        "is no part of the residual variance.",
    ),
    "Around a forest": (
        "60 groups of 15 rows. The fixed part has curves of three columns, and the "
        "regressor is a forest of 50 trees.",
        "The residual variance is that of the rows plus the mean square error of the "
        "forest. The intervals of new rows have their level within 1 in 100.",
    ),
    "Around boosted trees": (
        "The same with 50 boosted trees.",
        "The results are like those of a forest.",
    ),
    "A linear effect beside boosted trees": (
        "The column of a dose is the parameter `linear`. The curves of the other columns "
        "explain half of it.",
        "If the trees leave much of the curves, a part of these goes into the linear "
        "effect, and its intervals contain the truth less often than 95 times in 100 "
        "([more](any_regressor.md#a-linear-effect-with-an-interval)). A better regressor "
        "mends this.",
    ),
    "Normal effects and residuals": (
        "150 groups of 3 or 15 rows, with a random intercept and a random slope. "
        "`fit_conformalize` fits and calibrates.",
        "Both kinds of intervals have their level. Conformal ones are 3 % wider.",
    ),
    "Heavy tails": (
        "Effects and residuals have t distributions with 3 degrees of freedom.",
        "The intervals of the model are right at 95 %, too wide at 80 % and too short at 99 "
        "%. Conformal intervals have each level.",
    ),
    "Residuals that vary with x": (
        "The residual standard deviation is exp(0.8 x).",
        "Conformal intervals have their level over all rows, but not at each x.",
    ),
    "Residuals that vary between groups": (
        "The logarithm of the residual standard deviation is normal over groups, with "
        "standard deviation 0.8.",
        "The results are like those of heavy tails.",
    ),
    "Residuals that vary with the size of a group": (
        "The residual standard deviation is 3 in groups of 3 rows, and 1 in groups of 15.",
        "The residual variance of the model is an average over rows, so that the large "
        "groups dominate it. Its intervals for new groups are too short. Conformal "
        "intervals are averages over groups, and have their level.",
    ),
}
