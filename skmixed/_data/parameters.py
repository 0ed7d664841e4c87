"""Parameters that are values with parameters of their own.

Parameters that are lists: taken once, in their order.
"""

import inspect
import numbers
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from skmixed._typing import ColumnName, GroupName


class FrozenParameters:
    """A value that is never changed, with scikit-learn's names for its parts.

    An estimator that holds one replaces it where a search sets a part of it, such as
    ``groups__slopes``.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002
        """Return the parts by name.

        Parameters
        ----------
        deep : bool, default=True
            For scikit-learn; the parts have no parameters of their own.

        Returns
        -------
        dict
            The arguments of the constructor.

        Examples
        --------
        >>> from skmixed import RandomEffect
        >>> RandomEffect("school", slopes="x").get_params()
        {'groups': 'school', 'slopes': ('x',), 'intercept': True, 'covariance': None}
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Return one with some parts replaced; this one stays as it is.

        Parameters
        ----------
        **params : dict
            Arguments of the constructor.

        Returns
        -------
        object
            The new one.

        Raises
        ------
        ValueError
            If there is no such argument.

        Examples
        --------
        >>> from skmixed import RandomEffect
        >>> term = RandomEffect("school", slopes="x")
        >>> term.set_params(covariance="diag")
        RandomEffect('school', slopes=('x',), covariance='diag')
        >>> term
        RandomEffect('school', slopes=('x',))
        """
        own = self.get_params()
        for name in params:
            if name not in own:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}. It has "
                    f"{', '.join(map(repr, own))}."
                )
        return type(self)(**{**own, **params})

    def __sklearn_clone__(self) -> Self:
        return self


def is_estimator(value: object) -> bool:
    """Whether a parameter is an estimator, whose parts scikit-learn sets itself."""
    return hasattr(value, "set_params") and not isinstance(value, FrozenParameters)


class NestedParameters:
    """`set_params` of an estimator whose parameters may be frozen values."""

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator.

        Parameters
        ----------
        **params : dict
            Parameters by name. ``groups__slopes`` is the `slopes` of a `RandomEffect`
            that is the parameter `groups`, and so for its other parts: the estimator
            gets another `RandomEffect`.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        ValueError
            If there is no such parameter.

        Examples
        --------
        >>> from sklearn.model_selection import GridSearchCV
        >>> from skmixed import MixedLinearRegressor, RandomEffect
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y = load_sleepstudy(return_X_y=True)
        >>> model = MixedLinearRegressor(RandomEffect("Subject"))
        >>> model.set_params(groups__slopes="Days")
        MixedLinearRegressor(groups=RandomEffect('Subject', slopes=('Days',)))
        >>> search = GridSearchCV(model, {"groups__slopes": [(), "Days"]}).fit(X, y)
        >>> search.best_estimator_.groups
        RandomEffect('Subject')
        """
        own: dict[str, Any] = {}
        parts: dict[str, dict[str, Any]] = defaultdict(dict)
        for key, value in params.items():
            name, is_nested, part = key.partition("__")
            if is_nested and hasattr(self, name) and not is_estimator(getattr(self, name)):
                parts[name][part] = value
            else:
                own[key] = value
        for name, changes in parts.items():
            whole = own.get(name, getattr(self, name))
            if not isinstance(whole, FrozenParameters):
                raise ValueError(
                    f"{name}__{next(iter(changes))} sets a part of {name}={whole!r}, which has no "
                    f"parts. Give {name} a value with parts first, such as a RandomEffect or "
                    "a ResidualCovariance."
                )
            own[name] = whole.set_params(**changes)
        super().set_params(**own)  # type: ignore[misc]
        return self


def items_of(values: Any, parameter: str, *, is_kept: bool = False) -> tuple[Any, ...]:
    """Return the items of a list, an array or an index.

    Parameters
    ----------
    values : object
    parameter : str
        Its name, for messages.
    is_kept : bool, default=False
        Whether an estimator keeps it for further fits, for which an iterator that the
        first one has read would be empty.

    Raises
    ------
    TypeError
        If it cannot be iterated, has no order, or is used up by reading.
    """
    kind = type(values).__name__
    if isinstance(values, set | frozenset | Mapping):
        raise TypeError(
            f"{parameter}={values!r} is of type {kind}, which is no list in an order. Give a list."
        )
    if is_kept and isinstance(values, Iterator):
        raise TypeError(
            f"{parameter} is of type {kind}, which the first fit would use up. Give a list."
        )
    try:
        return tuple(values)
    except TypeError as error:
        raise TypeError(f"{parameter}={values!r} is of type {kind}. Give a list.") from error


def as_columns(columns: Any, parameter: str, *, is_kept: bool = False) -> tuple[ColumnName, ...]:
    """Coerce one column or several to a tuple of names and positions.

    `is_kept`: whether an estimator keeps them as they were given.
    """
    items = (columns,)
    if isinstance(columns, Iterable) and not isinstance(columns, str | bytes | bytearray):
        items = items_of(columns, parameter, is_kept=is_kept)
    try:
        out = tuple(_column(c, parameter) for c in items)
    except TypeError as error:
        raise TypeError(
            f"{parameter}={columns!r} must name columns of X, by name or position."
        ) from error
    for column in out:
        if out.count(column) > 1:
            raise ValueError(f"Column {column!r} is named twice in {parameter}={list(out)!r}.")
    return out


def group_name(groups: Any) -> GroupName:
    if isinstance(groups, tuple | list):
        if not groups:
            raise ValueError(f"groups={groups!r} names no column. Name one or several.")
        columns = as_columns(groups, "groups")
        return columns[0] if len(columns) == 1 else columns
    return _column(groups, "groups")


def is_column(value: object) -> bool:
    return isinstance(value, str | numbers.Integral) and not isinstance(value, bool)


def _column(value: Any, parameter: str) -> ColumnName:
    if not is_column(value):
        raise TypeError(
            f"{parameter} must name columns of X by name or position, got {value!r} of type "
            f"{type(value).__name__}."
        )
    return value if isinstance(value, str) else int(value)
