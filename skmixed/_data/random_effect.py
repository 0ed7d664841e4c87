"""RandomEffect and ResidualCovariance, and the meaning of the parameter `groups`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from skmixed._data.parameters import (
    FrozenParameters,
    as_columns,
    check_choice,
    group_name,
    is_column,
)
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.structures import STRUCTURES
from skmixed._typing import ColumnName, GroupName
from skmixed.typing import CovarianceName, ResidualStructure

# What `power` names where it is no column: nlme's word for the fitted value.
FITTED = "fitted(.)"


@dataclass(frozen=True, init=False)
class RandomEffect(FrozenParameters):
    """One random-effects term: lme4's ``(1 + slopes | groups)``.

    Parameters
    ----------
    groups : str, int or tuple of these
        Grouping column of X by name or position; a tuple is the interaction of
        its columns.
    slopes : str, int or sequence of these, default=()
        Columns of X whose effect varies between groups.
    intercept : bool, default=True
        Whether the intercept varies between groups.
    covariance : str, default=None
        Covariance of one group's coefficients: "full", "diag" (independent), "spherical"
        (independent with one variance), "compound_symmetry" (one variance and one
        correlation), "ar1" (a correlation that falls with the distance between the
        coefficients, such as those of times) or "toeplitz" (one for each distance). In
        "heterogeneous_compound_symmetry" and "heterogeneous_ar1" each coefficient has a
        variance of its own. None takes the estimator's.

    Raises
    ------
    TypeError
        If a column is neither a name nor a position.
    ValueError
        If the term has no coefficient, a column twice, or an unknown covariance.

    See Also
    --------
    MixedLinearRegressor : Takes terms in its parameter `groups`.

    Notes
    -----
    Two terms on one factor are independent of each other: lme4's ``(1 | g) +
    (0 + x | g)`` is ``[RandomEffect("g"), RandomEffect("g", "x", intercept=False)]``,
    the same model as one term with covariance "diag".

    It never changes; where it is the parameter `groups` of an estimator, `set_params`
    and searches replace it: ``groups__slopes``, ``groups__covariance``.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor, RandomEffect
    >>> from skmixed.datasets import load_sleepstudy
    >>> term = RandomEffect("Subject", slopes="Days", covariance="diag")
    >>> term
    RandomEffect('Subject', slopes=('Days',), covariance='diag')
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> MixedLinearRegressor(term).fit(X, y).variance_components_.round(2)
          group         name  variance     sd  corr
    0   Subject  (Intercept)    627.57  25.05   NaN
    1   Subject         Days     35.86   5.99   NaN
    2  residual                 653.58  25.57   NaN
    """

    groups: GroupName
    slopes: tuple[ColumnName, ...]
    intercept: bool
    covariance: CovarianceName | None

    def __init__(
        self,
        groups: GroupName | Sequence[ColumnName],
        slopes: ColumnName | Iterable[ColumnName] = (),
        *,
        intercept: bool = True,
        covariance: CovarianceName | None = None,
    ) -> None:
        object.__setattr__(self, "groups", group_name(groups))
        object.__setattr__(self, "slopes", as_columns(slopes, "slopes"))
        object.__setattr__(self, "intercept", bool(intercept))
        object.__setattr__(self, "covariance", covariance)
        if not (self.intercept or self.slopes):
            raise ValueError(
                f"RandomEffect({self.groups!r}) has no coefficient: intercept=False and no "
                "slopes. Name slopes or keep the intercept."
            )
        if covariance is not None:
            check_covariance(covariance)

    def __repr__(self) -> str:
        parts = [repr(self.groups)]
        if self.slopes:
            parts.append(f"slopes={self.slopes!r}")
        if not self.intercept:
            parts.append("intercept=False")
        if self.covariance is not None:
            parts.append(f"covariance={self.covariance!r}")
        return f"RandomEffect({', '.join(parts)})"


@dataclass(frozen=True, init=False)
class ResidualCovariance(FrozenParameters):
    """The covariance of the residuals of one subject.

    Parameters
    ----------
    structure : str
        "independent", "compound_symmetry", "ar1", "exponential" (continuous time, nlme's
        ``corCAR1``), "gaussian", "toeplitz", "ante_dependence" or "unstructured".
    subject : str, int or tuple of these, default=None
        Column of X whose rows with one label have correlated residuals; a tuple is the
        interaction of its columns. "independent" needs none.
    time : str, int or tuple of two of these, default=None
        Column of X with the time of each row: numbers, dates, durations or an ordered
        categorical. The unit of dates and durations is the day. Needed but for
        "independent" and "compound_symmetry". Two columns are the coordinates
        of places, whose Euclidean distances "exponential" and "gaussian" are of.
    by : str, int or tuple of these, default=None
        Column of X whose labels have parameters of their own.
    shared_correlation : bool, default=False
        Whether the labels of `by` differ by their variances alone, and have one
        correlation: nlme's ``varIdent(form = ~ 1 | by)`` beside a correlation.
    heterogeneous : bool, default=False
        Whether each time has a variance of its own; "unstructured" has in any case.
    power : str or int, default=None
        Column of X of numbers v, none of which is 0, in place of `heterogeneous`: the
        standard deviation of a row is σ times the power δ of abs(v), nlme's ``varPower``.
        ``"fitted(.)"`` is no column, but the fitted value of the row.

    Raises
    ------
    ValueError
        If the structure is not known, or lacks a column that it needs.
    TypeError
        If a column is neither a name nor a position.

    See Also
    --------
    MixedLinearRegressor : Takes it as its parameter `residual`.
    mmrm : The same models in the words of R's mmrm.

    Notes
    -----
    Steps of "ar1" and "toeplitz" are those of the times where these are numbers: of days
    0, 7, 21 the second and third are two steps apart. Of other labels they are the places
    in their order. Rows may come in any order.

    Correlations of "compound_symmetry" lie between −1/(m − 1) and 1 for m times, those of
    "exponential" and "gaussian" between 0 and 1.

    With ``power="fitted(.)"`` the fit is that of a likelihood given the fitted values, random
    effects included, and is repeated until these are its own, as nlme does. Standard errors,
    degrees of freedom and the bootstrap are given the fitted values too. A row to predict has
    the power of its own Xβ̂ + Zb̂, and one that `sample_y` draws that of its mean as drawn.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor, ResidualCovariance
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> ar1 = ResidualCovariance("ar1", subject="Subject", time="Days")
    >>> model = MixedLinearRegressor(residual=ar1).fit(X, y)
    >>> model.variance_components_.round(2)
          group name  variance     sd  corr
    0  residual        2451.73  49.51   0.8
    >>> model.residual_covariance_.iloc[:3, :3].round(0)
    Days       0       1       2
    Days
    0     2452.0  1961.0  1569.0
    1     1961.0  2452.0  1961.0
    2     1569.0  1961.0  2452.0
    """

    structure: ResidualStructure
    subject: GroupName | None
    time: GroupName | None
    by: GroupName | None
    shared_correlation: bool
    heterogeneous: bool
    power: ColumnName | None

    def __init__(
        self,
        structure: ResidualStructure,
        *,
        subject: GroupName | Sequence[ColumnName] | None = None,
        time: GroupName | Sequence[ColumnName] | None = None,
        by: GroupName | Sequence[ColumnName] | None = None,
        shared_correlation: bool = False,
        heterogeneous: bool = False,
        power: ColumnName | None = None,
    ) -> None:
        object.__setattr__(self, "structure", structure)
        object.__setattr__(self, "subject", None if subject is None else group_name(subject))
        object.__setattr__(self, "time", None if time is None else group_name(time))
        object.__setattr__(self, "by", None if by is None else group_name(by))
        object.__setattr__(self, "shared_correlation", bool(shared_correlation))
        object.__setattr__(self, "heterogeneous", bool(heterogeneous))
        object.__setattr__(self, "power", None if power is None else as_columns(power, "power")[0])
        _check_structure(structure)
        self._check_columns()

    def __repr__(self) -> str:
        named = ("subject", "time", "by", "power")
        given = {name: getattr(self, name) for name in named}
        parts = [repr(self.structure)]
        parts += [f"{name}={own!r}" for name, own in given.items() if own is not None]
        flags = ("shared_correlation", "heterogeneous")
        parts += [f"{name}=True" for name in flags if getattr(self, name)]
        return f"ResidualCovariance({', '.join(parts)})"

    @property
    def columns(self) -> dict[str, GroupName]:
        """The columns that are named, by parameter."""
        named = {name: getattr(self, name) for name in ("subject", "time", "by", "power")}
        return {name: own for name, own in named.items() if own not in (None, FITTED)}

    @property
    def has_fitted_power(self) -> bool:
        """Whether standard deviations are a power of the fitted values."""
        return self.power == FITTED

    @property
    def is_correlated(self) -> bool:
        """Whether rows of one subject are correlated."""
        return CORRELATIONS[self.structure].is_correlated

    def _check_columns(self) -> None:
        own = f"ResidualCovariance({self.structure!r})"
        if self.is_correlated and self.subject is None:
            raise ValueError(
                f"{own} has no subject, within which residuals are correlated. Name its column: "
                "subject='patient'."
            )
        has_times = CORRELATIONS[self.structure].time != "none"
        if self.time is None and (has_times or self.heterogeneous):
            what = "variance per time" if self.heterogeneous else "structure in time"
            raise ValueError(f"{own} is a {what}, but time=None. Name its column: time='visit'.")
        if isinstance(self.time, tuple):
            self._check_places(own, self.time)
        if self.shared_correlation and (self.by is None or not self.is_correlated):
            why = "no strata: by=None" if self.by is None else "no correlation to share"
            raise ValueError(f"{own} has {why}. Leave shared_correlation=True out.")
        if self.power is not None and self.heterogeneous:
            raise ValueError(
                f"power={self.power!r} and heterogeneous=True are two models of the variances. "
                "Leave one out."
            )
        if self.power is not None and CORRELATIONS[self.structure].is_heterogeneous:
            raise ValueError(
                f"{own} has a variance for each time, and power={self.power!r} is another model "
                "of them. Leave `power` out, or use 'toeplitz'."
            )

    def _check_places(self, own: str, time: tuple[ColumnName, ...]) -> None:
        """Check a time in several columns."""
        is_of_distance = CORRELATIONS[self.structure].time == "distance"
        if not is_of_distance or self.heterogeneous or len(time) > 2:
            raise ValueError(
                f"time={time!r} are coordinates of places, of which {own} is no function. Two "
                "columns are for 'exponential' and 'gaussian' with one variance."
            )


def _check_structure(structure: object) -> None:
    check_choice("structure", structure, CORRELATIONS)


@dataclass(frozen=True, init=False)
class AllExcept:
    """All columns but some: a value of the parameter `fixed`.

    Parameters
    ----------
    columns : str, int or list of these
        Columns of X that have no fixed effect, by name or position. Grouping columns
        need not be among them: they have none either.

    Raises
    ------
    TypeError
        If a column is neither a name nor a position.
    ValueError
        If a column is named twice.

    See Also
    --------
    MixedLinearRegressor : Its parameter `fixed`.

    Examples
    --------
    In a search over grouping factors, an identifier that a candidate does not group by
    is no number of it:

    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmixed import AllExcept, MixedLinearRegressor
    >>> from skmixed.datasets import load_pastes
    >>> X, y = load_pastes(return_X_y=True)
    >>> model = MixedLinearRegressor(fixed=AllExcept(["batch", "cask", "sample"]))
    >>> search = GridSearchCV(model, {"groups": ["batch", "sample"]}).fit(X, y)
    >>> round(float(search.best_score_), 3)
    -0.284
    """

    columns: tuple[ColumnName, ...]

    def __init__(self, columns: ColumnName | Iterable[ColumnName]) -> None:
        object.__setattr__(self, "columns", as_columns(columns, "columns"))

    def __repr__(self) -> str:
        return f"AllExcept({list(self.columns)!r})"


def check_covariance(covariance: object) -> None:
    check_choice("covariance", covariance, STRUCTURES)


def parse_groups(
    groups: Any, random_slopes: Any, covariance: CovarianceName, metadata: Sequence[str] = ()
) -> tuple[RandomEffect, ...]:
    """Turn the estimator's parameters into terms with a covariance each.

    `metadata` names the columns given to `fit(groups=)`, each of which is a
    factor where the constructor names none.
    """
    check_covariance(covariance)
    if groups is None:
        terms = [RandomEffect(name) for name in metadata]
    else:
        terms = [_as_term(group) for group in _as_list(groups)]
    if random_slopes is not None:
        terms = [_with_slopes(terms, groups, random_slopes)]
    return tuple(replace_covariance(term, covariance) for term in terms)


def replace_covariance(term: RandomEffect, covariance: CovarianceName) -> RandomEffect:
    if term.covariance is not None:
        return term
    return RandomEffect(term.groups, term.slopes, intercept=term.intercept, covariance=covariance)


def _with_slopes(terms: list[RandomEffect], groups: Any, random_slopes: Any) -> RandomEffect:
    slopes = as_columns(random_slopes, "random_slopes", is_kept=True)
    if not terms:
        raise ValueError(
            f"random_slopes={list(slopes)!r} needs a grouping factor. Name it in `groups`."
        )
    if len(terms) > 1:
        raise ValueError(
            f"random_slopes={list(slopes)!r} is shorthand for one grouping factor, but there are "
            f"{len(terms)}. Write RandomEffect(groups, slopes=...) for each."
        )
    if isinstance(groups, RandomEffect) or (
        isinstance(groups, list) and isinstance(groups[0], RandomEffect)
    ):
        raise ValueError(
            f"random_slopes={list(slopes)!r} and a RandomEffect exclude each other. Put the "
            "slopes into the RandomEffect."
        )
    return RandomEffect(terms[0].groups, slopes)


def _as_list(groups: Any) -> list[Any]:
    if isinstance(groups, RandomEffect) or is_column(groups):
        return [groups]
    if isinstance(groups, tuple):
        names = list(groups)
        raise ValueError(
            f"groups={groups!r} is ambiguous. Write {names!r} for crossed or nested factors, or "
            f"[{groups!r}] for the interaction of the columns."
        )
    if not isinstance(groups, list):
        raise TypeError(
            f"groups must name columns of X, got {type(groups).__name__}. Give labels to "
            "fit(X, y, groups=labels), or name their column in the constructor."
        )
    if not groups:
        raise ValueError("groups=[] names no grouping factor. Use groups=None for none.")
    return groups


def _as_term(group: Any) -> RandomEffect:
    return group if isinstance(group, RandomEffect) else RandomEffect(group)
