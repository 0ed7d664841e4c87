"""Inputs as they come: a clean data set, changed in ways that must not matter, or must be refused.

Each change is a function of a case and a random generator. Those of `HARMLESS` tell the fit
nothing else than the clean data do. Those of `REFUSED` make the input wrong, and return what
the message must speak of.
"""

import datetime
import decimal
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass
class Case:
    """A data set with its model, and what the changes did to the scale of the results."""

    X: pd.DataFrame
    y: object
    weights: object
    parameters: dict
    rows: np.ndarray  # where the rows of the clean data are
    y_scale: float = 1.0
    applied: list = field(default_factory=list)


def clean_case(rng):
    """3 to 9 groups of 1 to 7 rows, of which most have more than one; columns x and z."""
    q = int(rng.integers(3, 10))
    sizes = np.concatenate([[3, 4], rng.integers(1, 8, q - 2)])
    codes = np.repeat(np.arange(q), sizes)
    n = len(codes)
    # Multiples of 1/16, which narrow types hold exactly.
    x, z = np.round(rng.normal(1, 2, n) * 16) / 16, np.round(rng.uniform(0, 4, n) * 16) / 16
    sd = rng.choice([0.0, 0.5, 2.0], 2)
    b = rng.normal(size=(2, q)) * sd[:, None]
    y = 3 + x - z + b[0, codes] + b[1, codes] * x + rng.normal(size=n)
    slopes = [None, "x", ["x", "z"]][rng.integers(3)] if q > 4 else None
    return Case(
        X=pd.DataFrame({"x": x, "z": z, "g": codes}),
        y=np.round(y * 64) / 64,
        weights=rng.integers(1, 5, n) / 2 if rng.integers(2) else None,
        parameters={
            "groups": "g",
            "random_slopes": slopes,
            "covariance": str(rng.choice(["full", "diag", "spherical"])),
            "method": str(rng.choice(["reml", "ml"])),
        },
        rows=np.arange(n),
    )


# ------------------------------------------------------------------ harmless


def shuffled_rows(case, rng):
    order = rng.permutation(len(case.rows))
    case.X, case.y, case.rows = case.X.iloc[order], np.asarray(case.y)[order], case.rows[order]
    if case.weights is not None:
        case.weights = np.asarray(case.weights)[order]


def odd_index(case, rng):
    n = len(case.X)
    indices = [np.zeros(n, int), [f"row {i}" for i in range(n)], np.arange(n)[::-1], [None] * n]
    case.X.index = pd.Index(indices[rng.integers(4)])


def odd_labels(case, rng):
    codes = case.X["g"].to_numpy()
    day = datetime.date(2024, 2, 28)
    kinds = [
        lambda k: f"group {k}",
        lambda k: 2**53 + int(k),
        lambda k: -1.5 * int(k),
        lambda k: day + datetime.timedelta(days=int(k)),
        lambda k: ("", " ", "nan", "None", "0", "0.0", "é", "É", "é ")[k],
        lambda k: (int(k), "a"),
        lambda k: f"{k}" if k else 0,
    ]
    of = kinds[rng.integers(len(kinds))]
    labels = np.empty(codes.max() + 1, object)
    labels[:] = [of(k) for k in range(len(labels))]
    case.X["g"] = pd.Series(labels[codes], index=case.X.index)


def categorical_groups(case, rng):
    column = case.X["g"].astype("category")
    case.X["g"] = column.cat.add_categories(["of no row"] if rng.integers(2) else [10**6])


def narrow_numbers(case, rng):
    types = ["float32", "float16", "Float64", "float64[pyarrow]", object]
    case.X["x"] = case.X["x"].astype(types[rng.integers(len(types))])


def decimals(case, _):
    case.X["z"] = [decimal.Decimal(v) for v in case.X["z"].astype(float)]


def foreign_column(case, rng):
    case.X["free text"] = [f"text {i}" for i in range(len(case.X))]
    case.X["gaps"] = np.nan
    case.X = case.X[list(rng.permutation(case.X.columns))]
    case.parameters["fixed"] = ["x", "z"]


def array_like_response(case, rng):
    y = np.asarray(case.y)
    kinds = [list(y), tuple(y), pd.Series(y, index=rng.permutation(len(y))), y[::1].copy(order="F")]
    case.y = kinds[rng.integers(4)]


def unit_of_weights(case, rng):
    if case.weights is not None:
        case.weights = np.asarray(case.weights) * 2.0 ** rng.integers(-20, 20)
        case.applied.append("weights have another unit")


def unit_of_response(case, rng):
    scale = 2.0 ** rng.integers(-40, 40)
    case.y, case.y_scale = np.asarray(case.y, float) * scale, case.y_scale * scale


def rows_of_weight_zero(case, rng):
    m = int(rng.integers(1, 4))
    more = case.X.iloc[rng.integers(0, len(case.X), m)]
    weights = np.ones(len(case.X)) if case.weights is None else np.asarray(case.weights)
    case.X = pd.concat([case.X, more])
    case.y = np.concatenate([np.asarray(case.y, float), rng.normal(size=m) * 1e6])
    case.weights = np.concatenate([weights, np.zeros(m)])
    case.rows = np.concatenate([case.rows, np.full(m, -1)])


HARMLESS = [
    *(shuffled_rows, rows_of_weight_zero, odd_labels, categorical_groups, narrow_numbers),
    *(decimals, foreign_column, unit_of_weights, unit_of_response, odd_index),
    array_like_response,
]

# ------------------------------------------------------------------- refused


def _one(values, rng, bad):
    values = np.array(values, dtype=object)
    values[rng.integers(len(values))] = bad
    return values


def missing_number(case, rng):
    bad = [np.nan, None, pd.NA, np.inf, -np.inf][rng.integers(5)]
    column = _one(case.X["x"], rng, bad)
    with_missing = column if bad is None or bad is pd.NA else column.astype(float)
    case.X["x"] = pd.Series(with_missing, index=case.X.index)
    return r"x|NaN|infinity|missing"


def missing_response(case, rng):
    case.y = _one(case.y, rng, [np.nan, np.inf][rng.integers(2)]).astype(float)
    return r"y.*(NaN|infinity)"


def words_in_numbers(case, rng):
    case.X["z"] = pd.Series(_one(case.X["z"], rng, "many"), index=case.X.index)
    return r"z.*|many"


def dates_in_numbers(case, _):
    case.X["z"] = pd.Timestamp("2024-02-29")
    return r"z"


def complex_response(case, _):
    case.y = np.asarray(case.y) + 1j
    return r"[Cc]omplex"


def words_as_response(case, _):
    case.y = [f"{v}?" for v in np.asarray(case.y)]
    return r"y|response|\?"


def short_response(case, _):
    case.y = np.asarray(case.y)[:-1]
    return r"samples|length|rows"


def two_responses(case, _):
    case.y = np.column_stack([case.y, case.y])
    return r"1d|y.*(shape|column|dimension)|column"


def no_rows(case, _):
    case.X, case.y, case.weights = case.X.iloc[:0], [], None
    return r"0 sample|no row|empty"


def bad_weights(case, rng):
    bad = [np.nan, -1.0, np.inf][rng.integers(3)]
    case.weights = _one(np.ones(len(case.X)), rng, bad).astype(float)
    return r"weight"


def no_weight(case, _):
    case.weights = np.zeros(len(case.X))
    return r"weight"


def short_weights(case, _):
    case.weights = np.ones(len(case.X) - 1)
    return r"weight"


def unknown_group(case, rng):
    case.parameters["groups"] = ["school", 17, ["g", "h"], ["g", "g"], [("g", "k")]][
        rng.integers(5)
    ]
    return r"school|17|h|g|k"


def unknown_slope(case, rng):
    case.parameters["random_slopes"] = ["w", 12, ["x", "x"]][rng.integers(3)]
    return r"w|12|x"


def unknown_word(case, rng):
    name = ["method", "covariance", "handle_unknown", "solver"][rng.integers(4)]
    case.parameters[name] = ["remle", "", None, 3, ["reml"]][rng.integers(5)]
    return name


def no_number(case, rng):
    name = ["tol", "max_iter"][rng.integers(2)]
    case.parameters[name] = ["1", -1, np.nan, []][rng.integers(4)]
    return name


def groups_of_one_row(case, _):
    case.X["g"], case.weights = np.arange(len(case.X)), None
    case.parameters["random_slopes"] = None
    return r"'g'.*levels"


def twice_the_same_name(case, _):
    case.X = pd.concat([case.X, case.X[["x"]]], axis=1)
    return r"x"


def missing_groups(case, _):
    case.X["g"] = [None] * len(case.X)
    return r"g"


REFUSED = [
    *(missing_number, missing_response, words_in_numbers, dates_in_numbers, complex_response),
    *(words_as_response, short_response, two_responses, no_rows, bad_weights, no_weight),
    *(short_weights, unknown_group, unknown_slope, unknown_word, no_number, groups_of_one_row),
    *(twice_the_same_name, missing_groups),
]


def changed(case, rng, wrong=None):
    """The case after one to four harmless changes and `wrong`, and the words of its refusal."""
    chosen = sorted(rng.choice(len(HARMLESS), rng.integers(1, 5), replace=False))
    for k in chosen:
        HARMLESS[k](case, rng)
        case.applied.append(HARMLESS[k].__name__)
    if wrong is None:
        return case, None
    case.applied.append(wrong.__name__)
    return case, wrong(case, rng)
