"""Bad input to the estimator: each message once, and nothing changed by it."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from reference_fits import read_frame
from sklearn.exceptions import DataConversionWarning, NotFittedError

from skmixed import MixedLinearRegressor, RandomEffect
from skmixed._fitted.checks import check_covariance
from skmixed._model.structures import STRUCTURES
from skmixed.exceptions import UndeterminedError
from skmixed.inference import confidence_intervals

FRAME = read_frame("sleepstudy")
X, Y = FRAME[["Days", "Subject"]], FRAME["Reaction"]
DAYS, SUBJECT = X[["Days"]], X["Subject"]
N = len(X)
ONES = np.ones(N)


def changed(column, rows, value):
    out = column.to_numpy(dtype=object, copy=True)
    out[rows] = value
    return out


def with_days(rows, value):
    return X.assign(Days=changed(X["Days"], rows, value).astype(float))


def with_labels(labels):
    return X.assign(Subject=labels)


def unhashable(row):
    out = SUBJECT.to_numpy(dtype=object, copy=True)
    out[row] = ["308"]
    return out


def spanned():
    dummies = pd.get_dummies(SUBJECT, prefix="is", dtype=float)
    return pd.concat([X, dummies], axis=1)


# what: arguments of fit, parameters of the estimator, error, message
BAD_PARAMETERS = {
    "method": ({"method": "mle"}, ValueError, "method='mle' is not known. Choose one of 'reml'"),
    "handle_unknown": ({"handle_unknown": "raise"}, ValueError, "handle_unknown='raise' is not kn"),
    "covariance": ({"covariance": "un"}, ValueError, "covariance='un' is not known. Choose one of"),
    "tol of a wrong kind": ({"tol": "tight"}, TypeError, "tol='tight' is of type str. Give a num"),
    "tol": ({"tol": 0.0}, ValueError, "tol=0.0 is not positive"),
    "tol NaN": ({"tol": np.nan}, ValueError, "tol=nan is not positive"),
    "max_iter of a wrong kind": ({"max_iter": 1.5}, TypeError, "max_iter=1.5 is of type float. G"),
    "max_iter bool": ({"max_iter": True}, TypeError, "max_iter=True is of type bool"),
    "max_iter": ({"max_iter": 0}, ValueError, "max_iter=0 is not positive"),
    "groups, a typo": (
        {"groups": "subjct"},
        ValueError,
        "Grouping column 'subjct' is not a column of X. X has columns 'Days', 'Subject'.",
    ),
    "groups, a position": ({"groups": 2}, ValueError, "column 2 is not a position in X, which has"),
    "groups, a tuple": ({"groups": ("a", "b")}, ValueError, "groups=('a', 'b') is ambiguous"),
    "groups, empty": ({"groups": []}, ValueError, "groups=[] names no grouping factor"),
    "groups, labels": ({"groups": SUBJECT}, TypeError, "groups must name columns of X, got Series"),
    "random_slopes": ({"random_slopes": "Day"}, ValueError, "Slope column 'Day' is not a column"),
    "random_slopes with an effect": (
        {"groups": RandomEffect("Subject"), "random_slopes": "Days"},
        ValueError,
        "random_slopes=['Days'] and a RandomEffect exclude each other",
    ),
    "random_slopes without groups": (
        {"groups": None, "fixed": "Days", "random_slopes": "Days"},
        ValueError,
        "random_slopes=['Days'] needs a grouping factor",
    ),
    "random slope of text": (
        {"random_slopes": "Subject"},
        ValueError,
        "Column 'Subject' (dtype ",
    ),
    "a coefficient in two terms": (
        {"groups": [RandomEffect("Subject", "Days"), RandomEffect("Subject")]},
        ValueError,
        "'(Intercept)' varies within 'Subject' in more than one term, whose variances cannot be "
        "told apart. Name it in one RandomEffect; for the others use intercept=False",
    ),
    "a factor twice": (
        {"groups": ["Subject", 1]},
        ValueError,
        "'(Intercept)' varies within 'Subject' in more than one term",
    ),
    "fixed": ({"fixed": ["Age"]}, ValueError, "Fixed-effects column 'Age' is not a column of X"),
    "fixed of a wrong kind": ({"fixed": 1.5}, TypeError, "fixed=1.5 must name columns of X"),
}
BAD_DATA = {
    "text in X": (
        {"X": X.assign(sex=pd.Categorical(["m", "f"] * (N // 2)))},
        ValueError,
        "Column 'sex' (dtype category) is not numeric. Encode it first, for example with "
        "OneHotEncoder in a ColumnTransformer, or name it in `groups`.",
    ),
    "NaN in X": (
        {"X": with_days([17, 30], np.nan)},
        ValueError,
        "Column 'Days' contains NaN (2 such values, first at row 17). Impute or drop those rows",
    ),
    "infinity in X": ({"X": with_days([3], np.inf)}, ValueError, "'Days' contains infinity (1 suc"),
    "X, 1-D": ({"X": np.arange(N)}, ValueError, "Reshape your data"),
    "X, sparse": ({"X": sp.csr_array(np.eye(N))}, ValueError, "'Subject' is named, but X has no"),
    "no rows": ({"X": X[:0], "y": Y[:0]}, ValueError, "Found array with 0 sample(s)"),
    "no y": ({"y": None}, ValueError, "requires y to be passed, but the target y is None"),
    "y too short": (
        {"y": Y[:5]},
        ValueError,
        "X and y have inconsistent numbers of samples: 180 a",
    ),
    "NaN in y": (
        {"y": changed(Y, [2, 9], np.nan).astype(float)},
        ValueError,
        "The response 'y' contains NaN (2 such values, first at row 2)",
    ),
    "infinity in y": (
        {"y": changed(Y, [4], -np.inf).astype(float)},
        ValueError,
        "The response 'y' contains infinity (1 such values, first at row 4)",
    ),
    "text in y": ({"y": ["a"] * N}, ValueError, "The response 'y' (dtype <U1) is not numeric"),
    "y, 2-D": ({"y": np.ones((N, 2))}, ValueError, "y should be a 1d array, got an array of shape"),
    "negative weights": (
        {"sample_weight": np.where(np.arange(N) == 7, -0.5, 1.0)},
        ValueError,
        "sample_weight is negative at row 7 (-0.5). Weights are precisions, Var(ε_i) = σ²/w_i; use",
    ),
    "NaN weights": (
        {"sample_weight": np.where(np.arange(N) == 7, np.nan, 1.0)},
        ValueError,
        "The argument 'sample_weight' contains NaN (1 such values, first at row 7)",
    ),
    "infinite weights": (
        {"sample_weight": np.inf * ONES},
        ValueError,
        "'sample_weight' contains i",
    ),
    "weights all 0": (
        {"sample_weight": 0 * ONES},
        ValueError,
        "Sample weights must contain at least one non-zero number: all are 0",
    ),
    "few weights": ({"sample_weight": ONES[:3]}, ValueError, "has 3 entries, expected 180"),
    "weights, 2-D": (
        {"sample_weight": ONES[:, None]},
        ValueError,
        "Sample weights must be 1D array or scalar, got shape (180, 1)",
    ),
    "weights of text": ({"sample_weight": ["a"] * N}, ValueError, "'sample_weight' (dtype <U1) is"),
    "missing labels": (
        {"X": with_labels(changed(SUBJECT, [17, 20, 21], None))},
        ValueError,
        "Grouping factor 'Subject' has 3 missing values (first at row 17). Drop those rows or name "
        "the missing level before fitting.",
    ),
    "a missing label": (
        {"X": with_labels(changed(SUBJECT, [17], None))},
        ValueError,
        "Grouping factor 'Subject' has 1 missing value (first at row 17).",
    ),
    "unhashable labels": (
        {"X": with_labels(unhashable(4))},
        TypeError,
        "A group label cannot be hashed (unhashable type: 'list'): each argument must be a string",
    ),
    "as many levels as rows": (
        {"X": with_labels(np.arange(N))},
        ValueError,
        "Grouping factor 'Subject' has 180 levels for 180 samples; its random intercept cannot be "
        "told apart from the residual. Group by a coarser factor.",
    ),
    "as many levels as rows of one weight": (
        {"X": with_labels(np.arange(N)), "sample_weight": 2 * ONES},
        ValueError,
        "has 180 levels for 180 samples",
    ),
    "as many levels as rows of a positive weight": (
        {"X": with_labels(np.arange(N)), "sample_weight": np.arange(N) % 2},
        ValueError,
        "has 90 levels for 90 samples",
    ),
    "one level": (
        {"X": X[:10], "y": Y[:10]},
        ValueError,
        "Grouping factor 'Subject' has a single level in 10 samples: its variance cannot be estima",
    ),
    "one level of a positive weight": (
        {"sample_weight": np.where(SUBJECT == "308", 1.0, 0.0)},
        ValueError,
        "has a single level in 10 samples",
    ),
    "one row": ({"X": X[:1], "y": Y[:1]}, ValueError, "has a single level in 1 sample: its"),
    "groups among the fixed effects": (
        {"X": spanned()},
        ValueError,
        "The columns of '(Intercept)' within 'Subject' lie in the span of the fixed effects: REML "
        "is flat in their variance. Take the group out of the fixed effects or out of `groups`.",
    ),
    "more columns than rows": (
        {"X": X.iloc[[0, 1, 10]].assign(a=[1, 0, 0]), "y": Y[:3]},
        ValueError,
        "3 samples do not suffice for 3 linearly independent fixed effects and variance components",
    ),
    "labels where the constructor names them": (
        {"groups": SUBJECT},
        ValueError,
        "The constructor names the grouping columns, so that labels given to `groups` have no ",
    ),
    "a grouping column in X and beside it": (
        {"groups": FRAME[["Subject"]]},
        ValueError,
        "Grouping column 'Subject' is both in X and in `groups`. Rename one of them.",
    ),
}
BAD_METADATA = {
    "few labels": (SUBJECT[:4], "groups column 'Subject' has 4 rows, but X has 180"),
    "labels, 2-D": (SUBJECT.to_numpy()[:, None], "groups has shape (180, 1). Pass one label a row"),
    "missing labels": (SUBJECT.mask(X["Days"] > 8), "'Subject' has 18 missing values (first at ro"),
    "a name in X": (SUBJECT.rename("Days"), "Grouping column 'Days' is both in X and in `groups`"),
}
BAD_FITS = {
    **{what: ({}, *case) for what, case in BAD_PARAMETERS.items()},
    **{what: (case[0], {}, *case[1:]) for what, case in BAD_DATA.items()},
    **{
        f"beside X, {what}": ({"X": DAYS, "groups": groups}, {"groups": None}, ValueError, message)
        for what, (groups, message) in BAD_METADATA.items()
    },
}


@pytest.mark.parametrize("what", BAD_FITS)
def test_bad_fit(what):
    arguments, parameters, error, message = BAD_FITS[what]
    model = MixedLinearRegressor(**{"groups": "Subject", **parameters})
    before = dict(vars(model))
    with pytest.raises(error, match=re.escape(message)):
        model.fit(**{"X": X, "y": Y, **arguments})
    assert vars(model) == before


@pytest.mark.parametrize("what", BAD_FITS)
def test_a_failed_fit_leaves_the_former_one(what):
    arguments, parameters, error, _ = BAD_FITS[what]
    model = MixedLinearRegressor(groups="Subject").fit(X, Y)
    predictions = model.predict(X)
    model.set_params(**parameters)
    before, content = dict(vars(model)), pickle.dumps(vars(model))
    with pytest.raises(error):
        model.fit(**{"X": X, "y": Y, **arguments})
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert pickle.dumps(vars(model)) == content
    assert model.n_features_in_ == 2
    model.set_params(groups="Subject", handle_unknown="population")
    assert_array_equal(model.predict(X), predictions)


def test_a_factor_by_other_labels():
    message = (
        "Grouping factors 'Subject' and 'again' group the samples in the same way, by other "
        "labels: their variances cannot be told apart. Leave one out."
    )
    table = X.assign(again=-SUBJECT.astype(int))
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressor(["Subject", "again"]).fit(table, Y)


def test_a_core_that_does_not_fit_into_memory():
    n = 600_000  # two factors of half as many levels: some 4,000 GiB are needed
    table = np.column_stack([np.arange(n) // 2, np.arange(n) % (n // 2)])
    message = (
        r"The random effects \('x0' 300000, 'x1' 300000 coefficients\) leave a dense matrix of "
        r"order 300001 after the largest chain of nested factors is eliminated, which takes \d+ GiB"
    )
    with pytest.raises(MemoryError, match=message):
        MixedLinearRegressor([0, 1], solver="exact").fit(table, np.zeros(n))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_every_kind_of_missing_label(missing):
    labels = changed(SUBJECT, [17, 20, 21], missing)
    with pytest.raises(ValueError, match=r"has 3 missing values \(first at row 17\)"):
        MixedLinearRegressor("Subject").fit(with_labels(labels), Y)


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        (SUBJECT.to_numpy(), TypeError, "got ndarray. Give labels to fit(X, y, groups=labels)"),
        (SUBJECT, TypeError, "got Series. Give labels to fit(X, y, groups=labels)"),
        (SUBJECT.tolist(), ValueError, "give labels to fit(X, y, groups=labels)"),
        # A shorter list of text could be names: they are not found.
        (["308", "309"], ValueError, "Grouping column '308' is not a column of X"),
    ],
)
def test_labels_to_the_constructor(groups, error, message):
    with pytest.raises(error, match=re.escape(message)):
        MixedLinearRegressor(groups).fit(X, Y)


def test_a_column_of_responses_is_taken_with_a_warning():
    with pytest.warns(DataConversionWarning, match="column-vector y was passed") as record:
        model = MixedLinearRegressor("Subject").fit(X, Y.to_frame())
    assert len(record) == 1
    assert_array_equal(model.coef_, MixedLinearRegressor("Subject").fit(X, Y).coef_)


def test_a_scalar_weight_is_one_weight_for_all():
    model = MixedLinearRegressor("Subject")
    scalar = model.fit(X, Y, 2.0).sigma_
    assert scalar == model.fit(X, Y, 2.0 * ONES).sigma_


def test_names_in_the_constructor_without_names_in_the_table():
    message = r"Grouping column 'Subject' is named, but X has no column names\. Pass a DataFrame"
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressor("Subject").fit(X.to_numpy(dtype=object), Y)


@pytest.mark.parametrize("method", ["predict", "summary", "score"])
def test_not_fitted(method):
    arguments = {"predict": (X,), "summary": (), "score": (X, Y)}[method]
    with pytest.raises(NotFittedError, match="This MixedLinearRegressor instance is not fitted"):
        getattr(MixedLinearRegressor("Subject"), method)(*arguments)


@pytest.fixture(scope="module")
def model():
    return MixedLinearRegressor("Subject", handle_unknown="error").fit(X, Y)


@pytest.mark.parametrize(
    ("new", "error", "message"),
    [
        (with_days([1, 5], np.nan), ValueError, "'Days' contains NaN (2 such values, first at row"),
        (X.assign(Days="a"), ValueError, "is not numeric"),
        (DAYS, ValueError, "Feature names seen at fit time, yet now missing:\n- Subject"),
        (X[["Subject", "Days"]], ValueError, "Feature names must be in the same order"),
        (X[:0], ValueError, "Found array with 0 sample(s)"),
        (with_labels(unhashable(0)), TypeError, "A group label cannot be hashed"),
        (
            with_labels(changed(SUBJECT, [3, 9], ["new", None])),
            ValueError,
            "2 rows have a level of grouping factor 'Subject' that is missing or was not seen in "
            "fit (first at row 3). Use handle_unknown='population' to predict them without its",
        ),
    ],
)
def test_bad_predict(model, new, error, message):
    with pytest.raises(error, match=re.escape(message)):
        model.predict(new)


def test_width_of_an_array(model):
    nameless = MixedLinearRegressor(1).fit(X.to_numpy(dtype=object), Y)
    with pytest.raises(
        ValueError, match="X has 3 features, but MixedLinearRegressor is expecting 2"
    ):
        nameless.predict(np.ones((2, 3)))


@pytest.mark.parametrize("labels", [changed(SUBJECT, slice(None), "new"), SUBJECT.mask(X.Days > 0)])
def test_unknown_groups_do_not_matter_to_the_fixed_effects(model, labels):
    found = model.predict(with_labels(labels), include="fixed")
    assert_array_equal(found, model.predict(X, include="fixed"))


@pytest.mark.parametrize(
    ("include", "error", "message"),
    [
        ("random", ValueError, "include='random' is not known. Choose one of 'all', 'fixed'"),
        (["subject"], ValueError, "include=['subject'] names 'subject', which is not a grouping "),
        (["Subject", "Days"], ValueError, "names 'Days', which is not a grouping factor of the mo"),
        (None, TypeError, "include=None is of type NoneType. Give 'all', 'fixed' or a list of"),
        (True, TypeError, "include=True is of type bool"),
    ],
)
def test_bad_include(model, include, error, message):
    with pytest.raises(error, match=re.escape(message)):
        model.predict(X, include=include)


def test_include_names_what_there_is(model):
    with pytest.raises(ValueError, match=r"of the model\. It has 'Subject'\."):
        model.predict(X, include=["g"])
    least_squares = MixedLinearRegressor().fit(DAYS, Y)
    with pytest.raises(ValueError, match=r"of the model\. It has none\."):
        least_squares.predict(DAYS, include=["g"])


@pytest.fixture(scope="module")
def beside():
    return MixedLinearRegressor().fit(DAYS, Y, groups=SUBJECT)


@pytest.mark.parametrize("method", ["predict", "score"])
def test_metadata_that_is_not_passed_on(beside, method):
    message = (
        r"fitted with groups beside X \('Subject'\), and predicts with them: pass groups=, or "
        r"include='fixed'\. scikit-learn does not hand them on .* put the grouping columns into X"
    )
    arguments = {"predict": (DAYS,), "score": (DAYS, Y)}[method]
    with pytest.raises(ValueError, match=message):
        getattr(beside, method)(*arguments)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (SUBJECT[:4], "groups column 'Subject' has 4 rows, but X has 180"),
        (FRAME[["Days", "Reaction"]], "'Subject' is not a column of groups, which has 'Days', 'Re"),
        (SUBJECT.to_numpy()[:, None], "groups has shape (180, 1)"),
    ],
)
def test_bad_metadata_in_predict(beside, groups, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        beside.predict(DAYS, groups=groups)


def test_labels_in_predict_where_the_constructor_names_them(model):
    with pytest.raises(ValueError, match="The constructor names the grouping columns"):
        model.predict(X, groups=SUBJECT)


@pytest.mark.parametrize("column", ["Days", "y"])
def test_values_whose_squares_overflow(column):
    large, y = X.assign(Days=X["Days"] * 1e200) if column == "Days" else X, Y
    y = Y * 1e200 if column == "y" else y
    with pytest.raises(ValueError, match=f"values of '{column}' are so large .* Rescale"):
        MixedLinearRegressor("Subject").fit(large, y)


def test_row_numbers_count_rows_of_weight_zero():
    weights = np.r_[0.0, 0.0, np.ones(len(Y) - 2)]
    with pytest.raises(ValueError, match="first at row 5"):
        MixedLinearRegressor("Subject").fit(
            X.assign(Days=np.where(np.arange(len(Y)) == 5, np.nan, X["Days"])), Y, weights
        )
    labels = X["Subject"].astype(object).where(np.arange(len(Y)) != 6)
    with pytest.raises(ValueError, match="first at row 6"):
        MixedLinearRegressor("Subject").fit(X.assign(Subject=labels), Y, weights)


# ---- names that could be taken for others ----------------------------------


def test_two_factors_of_one_name():
    table = X.assign(**{"a:b": X["Subject"], "a": 1, "b": 2})
    model = MixedLinearRegressor([("a", "b"), "a:b"])
    with pytest.raises(ValueError, match=r"Two grouping factors are called 'a:b', one of them an"):
        model.fit(table, Y)


def test_two_columns_beside_x_of_one_name():
    groups = pd.concat([X[["Subject"]], X[["Subject"]]], axis=1)
    with pytest.raises(ValueError, match=r"'Subject' is the name of 2 columns of groups\. Rename"):
        MixedLinearRegressor().fit(X[["Days"]], Y, groups=groups)


@pytest.mark.parametrize("kind", [str, int])
def test_a_list_of_labels_to_the_constructor(kind):
    labels = [kind(label) for label in X["Subject"].astype(str)]
    message = r"a list as long as X, of 180\. .* give labels to fit\(X, y, groups=labels\)"
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressor(labels).fit(X[["Days"]], Y)


@pytest.mark.parametrize("scale", [1e-80, 1e-165, 1e-300, 5e-324])
@pytest.mark.parametrize("name", ["Days", "y"])
def test_values_whose_squares_vanish(scale, name):
    table = X.assign(Days=(X["Days"] + 1) * (scale if name == "Days" else 1.0))
    y = Y * (scale if name == "y" else 1.0)
    for slopes in (None, "Days"):
        with pytest.raises(ValueError, match=f"The values of '{name}' are so small that products"):
            MixedLinearRegressor("Subject", random_slopes=slopes).fit(table, y)


def test_values_of_0_are_no_small_ones():
    model = MixedLinearRegressor("Subject", fixed="Days").fit(X.assign(zero=0.0, five=5.0), Y)
    assert model.criterion_ == MixedLinearRegressor("Subject").fit(X, Y).criterion_


@pytest.mark.parametrize("weight", [1e152, 1e-160, 2.0**-1060, 5e-324])
def test_weights_beyond_the_range(weight):
    with pytest.raises(ValueError, match="sample weights are beyond the range"):
        MixedLinearRegressor("Subject").fit(X, Y, sample_weight=weight * ONES)


def test_weights_and_values_that_are_large_together():
    message = "The values of 'Days' and the sample weights are so large that products of them"
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressor("Subject").fit(
            X.assign(Days=1e30 * X["Days"]), Y, sample_weight=1e100 * ONES
        )


def test_values_that_are_large_without_their_weights():
    large = X.assign(Days=1e80 * X["Days"])
    with pytest.raises(
        ValueError, match="The values of 'Days' and the sample weights are so large"
    ):
        MixedLinearRegressor("Subject").fit(large, Y, sample_weight=1e-100 * ONES)


def test_constant_that_is_large():
    message = r"The values of 'Days' are so large that .* squares is 1.8e\+202\)"
    with pytest.raises(ValueError, match=message):
        MixedLinearRegressor("Subject").fit(X.assign(Days=1e100), Y)


def test_rows_to_predict_beyond_the_range():
    model = MixedLinearRegressor("Subject").fit(X, Y)
    for weight in (1e-310, 1e200):
        with pytest.raises(ValueError, match="beyond the range in which variances can be divided"):
            model.predict_interval(X[:1], sample_weight=[weight])
    far = X[:1].assign(Days=1e160)
    for call in (model.predict_interval, lambda rows: model.predict(rows, return_std=True)):
        with pytest.raises(ValueError, match="The values of 'Days' are so large that products of"):
            call(far)
    assert np.isfinite(model.predict(far)).all()


AMBIGUOUS = [np.array(["ml", "reml"]), pd.NA, pd.Series(["mean"]), pd.Index(["normal"]), None, 1]


@pytest.mark.parametrize("value", AMBIGUOUS, ids=repr)
def test_choices_are_text(value):
    for name in ("method", "solver", "handle_unknown"):
        with pytest.raises(ValueError, match=f"{name}=.* is not known"):
            MixedLinearRegressor("Subject", **{name: value}).fit(X, Y)
    model = MixedLinearRegressor("Subject").fit(X, Y)
    with pytest.raises(ValueError, match=r"of=.* is not known"):
        model.predict_interval(X, of=value)
    if value is not None:
        with pytest.raises(ValueError, match=r"ddf=.* is not known"):
            model.predict_interval(X, ddf=value)
        with pytest.raises(ValueError, match=r"ddf=.* is not known"):
            model.summary(ddf=value)
    with pytest.raises(ValueError, match="which is not a grouping factor of the model"):
        model.predict(X, include=[value])
    with pytest.raises(ValueError, match="which is not a grouping factor of the model"):
        model.predict(X, include=[value], return_std=True)
    with pytest.raises(ValueError, match="which is not a grouping factor of the model"):
        model.predict_interval(X, include=[value])


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"tol": np.inf}, ValueError, "tol=inf is not finite"),
        ({"verbose": ""}, TypeError, "verbose='' is of type str"),
        ({"random_state": "abc"}, TypeError, "random_state='abc' is no seed"),
        ({"max_iter": np.timedelta64(3, "D")}, TypeError, "max_iter=.* is of type timedelta64"),
        ({"random_slopes": b"\0"}, TypeError, "random_slopes=.* must name columns of X"),
        ({"groups": [("Subject", 1)]}, ValueError, "has the column 'Subject' more than once"),
    ],
)
def test_parameters_of_a_wrong_kind(parameters, kind, message):
    with pytest.raises(kind, match=message):
        MixedLinearRegressor(**{"groups": "Subject", **parameters}).fit(X, Y)


def test_levels_of_confidence_of_any_type_of_number():
    model = MixedLinearRegressor("Subject").fit(X, Y)
    expected = model.predict_interval(X, level=0.5)
    assert_array_equal(model.predict_interval(X, level=np.longdouble(0.5)), expected)


@pytest.mark.parametrize("n_samples", [10**12, 2**70])
def test_more_draws_than_the_memory_holds(n_samples):
    model = MixedLinearRegressor("Subject").fit(X, Y)
    message = f"n_samples={n_samples} draws of .* numbers each take"
    with pytest.raises(MemoryError, match=message):
        model.sample_y(X, n_samples)
    with pytest.raises(MemoryError, match=message):
        confidence_intervals(model, "bootstrap", n_samples=n_samples)


@pytest.mark.parametrize(
    ("n_jobs", "kind"), [("ml", TypeError), (True, TypeError), (0, ValueError)]
)
def test_numbers_of_jobs(n_jobs, kind):
    model = MixedLinearRegressor("Subject").fit(X, Y)
    with pytest.raises(kind, match=f"n_jobs={n_jobs!r}"):
        confidence_intervals(model, "bootstrap", n_samples=4, n_jobs=n_jobs)


def test_a_chunk_without_dimensions():
    with pytest.raises(ValueError, match=r"In chunk 0 .* Expected 2D array, got scalar array"):
        MixedLinearRegressor("Subject").fit_chunks([(np.array(1.0), Y)])


def test_covariances_beyond_the_rows_or_the_memory():
    full, diag = STRUCTURES["full"], STRUCTURES["diag"]
    check_covariance("g", 1, full, 1)
    check_covariance("g", 3, full, 7)
    with pytest.raises(UndeterminedError, match="of 3 coefficients within 'g' has 6 parameters, "):
        check_covariance("g", 3, full, 6)
    check_covariance("g", 3, diag, 6)
    with pytest.raises(MemoryError, match=r"2,001,000 parameters, whose search takes 59,634 GiB"):
        check_covariance("g", 2000, full, 10**9)
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.normal(size=(30, 8)), np.arange(30) % 5])
    with pytest.raises(
        UndeterminedError, match=r"has 45 parameters, but there are 30 samples\. Use"
    ):
        MixedLinearRegressor(-1, random_slopes=list(range(8))).fit(table, rng.normal(size=30))


def test_names_where_labels_are_due():
    with pytest.raises(ValueError, match=r"groups has 1 labels, but X has 180 rows\. Give"):
        MixedLinearRegressor().fit(X[["Days"]], Y, groups=["Subject"])
