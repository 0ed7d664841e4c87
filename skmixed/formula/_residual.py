"""The residual covariance beside a formula: its columns, and R mmrm's words for it."""

import re
from collections.abc import Mapping
from typing import Any

from skmixed._data.subjects import ResidualCovariance
from skmixed.formula._syntax import error_at

# R mmrm's words: the structure, and whether each visit has a variance of its own.
STRUCTURES_OF_MMRM = {
    "us": ("unstructured", False),
    "cs": ("compound_symmetry", False),
    "csh": ("compound_symmetry", True),
    "ar1": ("ar1", False),
    "ar1h": ("ar1", True),
    "toep": ("toeplitz", False),
    "toeph": ("toeplitz", True),
    "ad": ("ante_dependence", False),
    "adh": ("ante_dependence", True),
    "sp_exp": ("exponential", False),
    "sp_gau": ("gaussian", False),
}
NAME_OR_QUOTED = r"(?:`[^`]+`|[^\W\d][\w.]*)"
COVARIANCE = re.compile(
    rf"(?<![\w.])({'|'.join(STRUCTURES_OF_MMRM)})\s*\(\s*([^|()]*?)\s*\|\s*"
    rf"(?:({NAME_OR_QUOTED})\s*/\s*)?({NAME_OR_QUOTED})\s*\)"
)


def place_of_names(at: Mapping[str, int], names: Any) -> Any:
    """Return the position of a column, or those of several."""
    return tuple(at[name] for name in names) if isinstance(names, tuple) else at[names]


def labels_of(residual: ResidualCovariance | None) -> tuple[str, ...]:
    """Return the columns that a residual covariance names, by name.

    Raises
    ------
    TypeError
        If it names one by position.
    """
    if residual is None:
        return ()
    own = [getattr(residual, role) for role in ("subject", "time", "by")]
    names = [name for one in own for name in (one if isinstance(one, tuple) else (one,))]
    names = [name for name in names if name is not None]
    for name in names:
        if not isinstance(name, str):
            raise TypeError(
                f"{residual!r} names a column by position. Beside a formula name it by its name."
            )
    return tuple(dict.fromkeys(names))


def split_covariance(formula: str) -> tuple[str, ResidualCovariance]:
    """Split the term of the residuals' covariance off a formula in R mmrm's words.

    Raises
    ------
    TypeError
        If the formula is no string.
    ValueError
        If there is not one such term, with the place.
    """
    if not isinstance(formula, str):
        raise TypeError(
            f"formula is of type {type(formula).__name__}. Give a string, such as "
            "'y ~ arm * visit + us(visit | patient)'."
        )
    found = list(COVARIANCE.finditer(formula))
    if len(found) != 1:
        known = ", ".join(f"{word}(…)" for word in STRUCTURES_OF_MMRM)
        what = "no term" if not found else "more than one term"
        at = found[1].start() if found else len(formula)
        raise error_at(
            formula,
            at,
            f"The formula has {what} of the residuals' covariance. Write one, such as "
            f"us(visit | patient) or us(visit | arm / patient), of {known}.",
        )
    word, visit, by, subject = found[0].groups()
    if not re.fullmatch(NAME_OR_QUOTED, visit):
        raise error_at(
            formula,
            found[0].start(2),
            f"{word}(…) is of one column of visits or times. Name it: {word}(visit | {subject}).",
        )
    structure, heterogeneous = STRUCTURES_OF_MMRM[word]
    residual = ResidualCovariance(
        structure,
        subject=subject.strip("`"),
        time=visit.strip("`"),
        by=None if by is None else by.strip("`"),
        heterogeneous=heterogeneous,
    )
    before, after = formula[: found[0].start()].rstrip(), formula[found[0].end() :].lstrip()
    if not before.endswith(("+", "~")) or (after and not after.startswith("+")):
        raise error_at(
            formula, found[0].start(), "The covariance is joined by +, and by nothing else."
        )
    rest = before.removesuffix("+") + " " + after.removeprefix("+" if before.endswith("~") else "")
    return (rest + "1" if rest.rstrip().endswith("~") else rest), residual
