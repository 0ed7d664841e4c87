"""What messages call things: the columns of X, or the terms of a formula.

The kernel's checks are the same for both; what a user can do about them is said in the
words of what was called.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """Words for one way of giving a model."""

    response: str = "y"
    response_name: str = "y"
    weights: str = "sample_weight"
    rows: str = "X"
    from_fixed: str = "out of `fixed`"
    fewer_fixed: str = "Name fewer columns in `fixed`."
    from_groups: str = "out of `groups`"
    from_random: str = "out of `groups`"
    twice: str = (
        "Name it in one RandomEffect; for the others use intercept=False or leave the slope out."
    )
    determines: str = "no column of X determines y"
    iterative: str = "Use solver='iterative' for the fit, coarser factors or fewer random slopes."
    smaller_covariance: str = "Use covariance='diag' or 'spherical', or fewer random slopes."
    exact: str = "Raise max_iter, or use solver='exact'."
    least_squares: str = "groups=None: no random effects"


COLUMNS = Words()
FORMULA = Words(
    response="the response",
    response_name="the response",
    weights="weights",
    rows="The data",
    from_fixed="out of the formula",
    fewer_fixed="Use fewer terms in the formula.",
    from_groups="out of the formula",
    from_random="out of the random effects",
    twice="Name it in one term; for the others write (0 + … | g), or leave it out.",
    determines="no term of the formula determines the response",
    iterative="Use coarser factors or fewer random slopes.",
    smaller_covariance=(
        "Use fewer coefficients; for the categories f of a group g, (1 | g) + (1 | g:f) has two "
        "variances."
    ),
    exact="Raise max_iter.",
    least_squares="no random-effects term",
)

_WORDS: ContextVar[Words] = ContextVar("skmixed_words", default=COLUMNS)


def words() -> Words:
    """Return the words of what was called."""
    return _WORDS.get()


@contextmanager
def speaking(own: Words) -> Iterator[None]:
    """Use other words inside."""
    token = _WORDS.set(own)
    try:
        yield
    finally:
        _WORDS.reset(token)
