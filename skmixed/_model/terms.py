"""The specification of a model: its fixed columns and its random terms."""

from dataclasses import dataclass

from skmixed._model.covariance import Covariance


@dataclass(frozen=True)
class Term:
    """One random-effects term (1 + slopes | factor).

    Attributes
    ----------
    factor : int
        Position among the factors.
    columns : tuple of int
        Columns with a coefficient per level, numbered as in `Design`; 0 is the
        intercept.
    structure : Covariance
        Form of the covariance of one level's coefficients.
    """

    factor: int
    columns: tuple[int, ...]
    structure: Covariance

    @property
    def has_intercept(self) -> bool:
        return 0 in self.columns

    @property
    def is_centered(self) -> bool:
        """Whether centering its slopes leaves the model as it is."""
        return self.structure.is_shift_invariant and self.has_intercept


@dataclass(frozen=True)
class Model:
    """Which columns are fixed effects, which terms are random, ML or REML."""

    fixed: tuple[int, ...]
    terms: tuple[Term, ...]
    reml: bool

    @property
    def has_intercept(self) -> bool:
        return 0 in self.fixed
