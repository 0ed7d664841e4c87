"""Parameters that are values with parameters of their own, and choices by name.

Parameters that are lists: taken once, in their order.
"""

import inspect
import numbers
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Self

from skmixed._data.table import shown
from skmixed._typing import ColumnName, GroupName

NONE: Mapping[str, Any] = MappingProxyType({})
# Letters of a word from which on it may be the beginning of a name.
FEWEST = 2


def chosen(
    name: str,
    value: Any,
    choices: Collection[Any],
    also: Mapping[str, Any] = NONE,
    hints: Mapping[str, str] = NONE,
) -> Any:
    """Return the choice that a user names, in any case and with any of its names.

    `also` has other words for choices, as of R, and `hints` what to do in the place of a word
    that is no choice. Another value is refused, with the choice that is probably meant.
    """
    if _is_one_of(value, choices):
        return next(choice for choice in choices if choice == value)
    words = _words(choices, also)
    word = _plain(value)
    if word in words:
        return words[word]
    check_choice(name, value, choices, also, hints)
    return value


def check_choice(
    name: str,
    value: Any,
    choices: Collection[Any],
    also: Mapping[str, Any] = NONE,
    hints: Mapping[str, str] = NONE,
) -> None:
    """Refuse what is no choice as it stands, as `chosen` does."""
    if _is_one_of(value, choices):
        return
    known = ", ".join(map(repr, choices))
    words, word = _words(choices, also), _plain(value)
    advice = {_plain(key): text for key, text in hints.items()}.get(word, "")
    near = [] if advice else _near(word, words)
    advice = f" {advice}" if advice else f" Do you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}={shown(value)} is not known. Choose one of {known}.{advice}")


def _is_one_of(value: Any, choices: Collection[Any]) -> bool:
    """Whether a value is a choice; True is no 1."""
    is_simple = value is None or isinstance(value, str | numbers.Real)
    return is_simple and not isinstance(value, bool) and value in choices


def _words(choices: Collection[Any], also: Mapping[str, Any]) -> dict[str, Any]:
    own = {_plain(choice): choice for choice in choices if choice is not None}
    return {_plain(word): choice for word, choice in also.items() if choice in choices} | own


def _plain(value: Any) -> str:
    """Return a word without its case, spaces and signs, which R's names and these differ in."""
    return re.sub(r"[-_. ]", "", str(value).lower()) if isinstance(value, str | int) else ""


def _near(word: str, words: Mapping[str, Any]) -> list[Any]:
    """Return the choice that a word is nearly, or one that begins with it; or none."""
    if word in words:
        return [words[word]]
    begun = [own for own in words if len(word) >= FEWEST and own.startswith(word)]
    near = begun or get_close_matches(word, words, n=1)
    return [words[near[0]]] if near else []


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
