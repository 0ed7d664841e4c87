import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from reference_fits import read_frame
from sklearn.exceptions import ConvergenceWarning

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted.messages import fit_warnings
from skmixed.exceptions import (
    ExactFitWarning,
    FitStatus,
    IdentifiabilityWarning,
    RankDeficiencyWarning,
    SingularFitWarning,
    UnknownLevelsWarning,
)

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]
N = len(X)
CODES = X["Subject"].astype(int).to_numpy()
RNG = np.random.default_rng(0)


def fit(X=X, y=Y, weights=None, groups="Subject", **parameters):
    return MixedLinearRegressor(groups, **parameters).fit(X, y, weights)


def assert_warns_once(category, message, call, *arguments, **keywords):
    """Call; return what it gives, of one warning with these words."""
    with pytest.warns(category, match=re.escape(message)) as record:
        result = call(*arguments, **keywords)
    assert [r.category for r in record] == [category]
    # It points at the user's line, here the one above.
    assert record[0].filename == __file__
    return result


def assert_finite(model):
    parts = [
        model.coef_,
        [model.intercept_, model.sigma_, model.criterion_, model.aic_, model.bic_],
        model.theta_,
        model.predict(X),
        *(frame.to_numpy().ravel() for frame in model.random_effects_.values()),
        *(frame.to_numpy().ravel() for frame in model.covariances_.values()),
    ]
    assert np.isfinite(np.concatenate(parts)).all()


def test_a_clean_fit_says_nothing():
    fit(random_slopes="Days")  # warnings are errors here


def test_variance_of_zero():
    frame = read_frame("dyestuff2")
    model = assert_warns_once(
        SingularFitWarning,
        "The estimated variance of '(Intercept)' within 'Batch' is 0. The groups do not differ",
        fit,
        frame[["Batch"]],
        frame["Yield"],
        groups="Batch",
    )
    assert model.singular_
    assert model.converged_
    assert model.covariances_["Batch"].iloc[0, 0] == 0.0


def test_slope_variance_of_zero():
    model = assert_warns_once(
        SingularFitWarning,
        "The estimated variance of 'z' within 'Subject' is 0. The model may be richer than the "
        "data supports; consider leaving the slope out.",
        fit,
        X.assign(z=np.tile([1.0, -1.0, -1.0, 1.0, 0.0], N // 5)),
        groups="Subject",
        random_slopes=["z"],
        covariance="diag",
    )
    assert list(model.variance_components_["sd"] > 0) == [True, False, True]


def test_correlation_of_one():
    slope = np.linspace(-1, 1, 18)
    y = (1 + X["Days"]) * np.repeat(slope, 10) + 0.1 * RNG.normal(size=N)
    model = assert_warns_once(
        SingularFitWarning,
        "The estimated covariance of '(Intercept)', 'Days' within 'Subject' is singular: a "
        "combination of them has variance 0 (for two, a correlation of -1 or 1).",
        fit,
        X,
        y,
        random_slopes="Days",
    )
    # The correlation of a matrix of rank one, to rounding.
    assert model.variance_components_["corr"][1] == pytest.approx(1.0, abs=1e-12)


def test_dependent_columns_are_named():
    table = X.assign(twice=2 * X["Days"], one=1.0, z=RNG.normal(size=N))
    model = assert_warns_once(
        RankDeficiencyWarning,
        "Fixed-effects columns 'twice', 'one' depend linearly on the intercept and the columns "
        "before them; their coefficients are set to 0. Leave them out of `fixed`.",
        fit,
        table,
    )
    assert list(model.fixed_effects_[model.fixed_effects_ == 0].index) == ["twice", "one"]
    without = fit(table.drop(columns=["twice", "one"]))
    # The same model: the same numbers to the rounding of 180 rows.
    assert_allclose(
        model.predict(table), without.predict(table[["Days", "Subject", "z"]]), rtol=1e-10
    )
    assert model.aic_ == pytest.approx(without.aic_, rel=1e-12)


@pytest.mark.parametrize(
    ("order", "dropped"), [(["Days", "twice"], "twice"), (["twice", "Days"], "Days")]
)
def test_the_first_of_dependent_columns_stays(order, dropped):
    table = X.assign(twice=2 * X["Days"])[[*order, "Subject"]]
    message = f"Fixed-effects column {dropped!r} depends linearly on the intercept and the columns "
    model = assert_warns_once(RankDeficiencyWarning, message, fit, table)
    assert model.fixed_effects_[dropped] == 0.0
    assert model.intercept_ != 0.0


EXACT = {
    "constant": np.full(N, 3.0),
    "zero": np.zeros(N),
    "large": np.full(N, 1e8),
    "linear": 1 + 3.0 * X["Days"],
    "nearly constant": 1e6 + 1e-3 * X["Days"],
    "by group": CODES.astype(float),
    "by group and linear": CODES + 2.0 * X["Days"],
    "a slope by group": CODES * (1.0 + X["Days"]),
}


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("what", "slopes"),
    [
        *((what, None) for what in EXACT if what != "a slope by group"),
        *((what, "Days") for what in EXACT),
    ],
)
def test_exact_fits(what, slopes, method):
    y = EXACT[what]
    model = assert_warns_once(
        ExactFitWarning,
        "The model reproduces y: the residual variance is 0 to rounding, and criterion and "
        "variance components are those where the search stopped. Check that no column of X "
        "determines y.",
        fit,
        X,
        y,
        random_slopes=slopes,
        method=method,
    )
    assert_finite(model)
    # Residuals of the size where the fit counts as exact: the root of 1e-13 of
    # the squares of y, with room for the shrinkage of the groups' means.
    assert_allclose(model.predict(X), y, atol=1e-5 * np.std(y) + 1e-9 * np.abs(y).max())
    assert "reproduces y" in model.status_


def test_more_columns_than_rows_without_groups():
    table = RNG.normal(size=(5, 8))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model = fit(table, np.arange(5.0), groups=None)
    assert [r.category for r in record] == [RankDeficiencyWarning, ExactFitWarning]
    # The interpolating solution that uses the first columns.
    assert_allclose(model.predict(table), np.arange(5.0), atol=1e-12)
    assert_allclose(model.coef_[4:], 0.0)


def test_max_iter():
    frame = read_frame("sleepstudy_unbalanced")
    model = assert_warns_once(
        ConvergenceWarning,
        "The search for the variance components did not converge in 1 steps. Raise max_iter, or",
        fit,
        frame[["Days", "Subject"]],
        frame["Reaction"],
        random_slopes="Days",
        max_iter=1,
    )
    assert not model.converged_
    assert model.n_iter_ == 1
    assert "max_iter" in model.status_


def test_an_early_end_is_no_matter_of_max_iter():
    model = fit(random_slopes="Days")
    ended = replace(model._model.estimate, status=FitStatus.MAX_ITER, n_iter=19)
    ((message, category),) = fit_warnings(ended, model._model.encoder, model._model.stats, 200)
    assert category is ConvergenceWarning
    assert "ended after 19 of 200 steps without convergence" in message
    assert "max_iter" not in message


def test_labels_that_are_no_whole_numbers():
    table = X.assign(Subject=CODES / 4)  # 308 / 4 is whole, 309 / 4 is not
    assert_warns_once(
        UserWarning,
        "The labels of grouping column 'Subject' are not whole numbers (such as 77.25). If a "
        "scaler has transformed it, pass it through instead; if it is a measurement, it is no ",
        fit,
        table,
    )


@pytest.mark.parametrize(
    "scaled",
    [
        (CODES - CODES.mean()) / CODES.std(),
        (CODES - CODES.min()) / np.ptp(CODES),
        np.minimum(np.unique(CODES, return_inverse=True)[1], 10) / 10,
    ],
)
def test_scaled_labels(scaled):
    with pytest.warns(UserWarning, match="are not whole numbers"):
        fit(X.assign(Subject=scaled))


def test_labels_with_a_decimal_that_no_scaler_has_made():
    for labels in (CODES + 0.1, CODES / 10):
        assert fit(X.assign(Subject=labels)).random_effects_["Subject"].shape == (18, 1)


@pytest.mark.parametrize("labels", [CODES.astype(float), CODES * 1e15, CODES.astype(str)])
def test_whole_numbers_of_any_size_are_labels(labels):
    assert fit(X.assign(Subject=labels)).random_effects_["Subject"].shape == (18, 1)


def test_what_the_search_has_no_part_in_is_said_before_it(capsys):
    table = X.assign(Subject=np.arange(N) // 2)
    model = MixedLinearRegressor("Subject", random_slopes="Days", covariance="diag", verbose=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", IdentifiabilityWarning)
        with pytest.raises(IdentifiabilityWarning, match="probably not identifiable"):
            model.fit(table, Y)
    assert "step" not in capsys.readouterr().out


def test_as_many_coefficients_as_rows():
    table = X.assign(Subject=np.arange(N) // 2)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit(table, random_slopes="Days", covariance="diag")
    messages = [str(r.message) for r in record if r.category is IdentifiabilityWarning]
    assert len(messages) == 1
    assert (
        "Grouping factor 'Subject' has 2 coefficients for each of 90 levels, but there are 180 "
        "samples: the variances are probably not identifiable."
    ) in messages[0]


def test_as_many_levels_as_rows_of_unequal_weight():
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit(X.assign(Subject=np.arange(N)), weights=np.arange(1, N + 1))
    assert IdentifiabilityWarning in {r.category for r in record}


def test_fewer_coefficients_than_rows():
    fit(X.assign(Subject=np.arange(N) // 3), random_slopes="Days", covariance="diag")


UNDETERMINED = (
    "The variances within 'Subject' are not determined by the data, since 'z' takes one value "
    "within every group: other values fit as well. Leave that slope out."
)


@pytest.mark.parametrize("values", [(0, 1), (-1, 1), (5, 7)])
def test_slope_constant_in_groups_with_two_values(values):
    table = X.assign(z=np.array(values)[CODES % 2])
    assert_warns_once(IdentifiabilityWarning, UNDETERMINED, fit, table, random_slopes="z")


def test_slope_constant_in_groups_with_three_values():
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit(X.assign(z=CODES % 3), random_slopes="z")
    assert IdentifiabilityWarning not in {r.category for r in record}


def test_slope_constant_in_groups_under_diag():
    # Var(b₀ + z b₁) is τ₀² or τ₀² + τ₁² for z = 0, 1, which tells them apart, and
    # τ₀² + τ₁² for z = ±1, which does not.
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        fit(X.assign(z=CODES % 2), random_slopes="z", covariance="diag")
    assert IdentifiabilityWarning not in {r.category for r in record}
    table = X.assign(z=2 * (CODES % 2) - 1)
    options = {"random_slopes": "z", "covariance": "diag"}
    assert_warns_once(IdentifiabilityWarning, UNDETERMINED, fit, table, **options)


def test_column_constant_in_groups_among_the_fixed_effects():
    fit(X.assign(z=CODES % 2))


def test_two_levels_are_allowed():
    model = fit(X.assign(Subject=np.where(CODES < 335, "a", "b")))
    assert model.random_effects_["Subject"].shape == (2, 1)


def test_labels_that_changed_their_kind():
    model = fit()
    found = assert_warns_once(
        UnknownLevelsWarning,
        "No label of grouping column 'Subject' is known: they are numbers (such as 308), but in "
        "fit they were text (such as 308). Convert the column to what it was.",
        model.predict,
        X.assign(Subject=CODES),
    )
    np.testing.assert_array_equal(found, model.predict(X, include="fixed"))


def test_coefficients_that_no_group_has_both_of():
    # Variances of three kinds of groups: determined, as without correlations.
    rng = np.random.default_rng(0)
    codes, kinds = rng.integers(40, size=400), rng.integers(3, size=40)
    table = pd.DataFrame({c: 1.0 * (kinds[codes] == k) for k, c in enumerate("abc")})
    table["g"] = codes
    response = rng.normal(size=40)[codes] * (1 + kinds[codes]) + rng.normal(size=400)
    fits = {
        covariance: MixedLinearRegressor(
            RandomEffect("g", slopes=list("abc"), intercept=False, covariance=covariance), fixed=[]
        )
        for covariance in ("diag", "full")
    }
    fits["diag"].fit(table, response)
    assert_warns_once(
        IdentifiabilityWarning,
        "The data do not determine correlations within 'g', since no group has both 'a' and 'b', "
        "nor both 'a' and 'c', nor both 'b' and 'c': other values fit as well. Make the "
        "coefficients independent, covariance='diag'.",
        fits["full"].fit,
        table,
        response,
    )
    # Equal optima of two searches: to the square root of that of the sd, where it is flat.
    np.testing.assert_allclose(fits["full"].criterion_, fits["diag"].criterion_, rtol=1e-9)
    sd = {k: model.variance_components_["sd"].to_numpy()[:3] for k, model in fits.items()}
    np.testing.assert_allclose(sd["full"], sd["diag"], rtol=1e-4)
