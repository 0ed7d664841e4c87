"""A fitted model among others, and fits of smaller ones to what it has kept."""

from dataclasses import dataclass, replace

from skmixed._data.encoder import Encoder
from skmixed._estimation.fit import Estimate
from skmixed._estimation.solution import Solution
from skmixed._fitted import kernel
from skmixed._fitted.checks import check_memory
from skmixed._fitted.fitted_model import FittedModel
from skmixed._model.terms import Model


@dataclass(frozen=True)
class Contender:
    """One of the models compared.

    Attributes
    ----------
    name : str
    fitted : FittedModel
    tol, max_iter : float and int
        The estimator's, for fits of other models.
    """

    name: str
    fitted: FittedModel
    tol: float
    max_iter: int

    @property
    def solution(self) -> Solution:
        return self.fitted.solution

    @property
    def method(self) -> str:
        return "reml" if self.solution.reml else "ml"

    @property
    def remark(self) -> str:
        """The likelihood that is compared, and of how many rows."""
        which = "restricted maximum likelihood" if self.solution.reml else "maximum likelihood"
        return f"By {which}; {self.fitted.n_rows:,} samples."

    @property
    def kept_names(self) -> set[str]:
        """Names of the independent fixed-effects columns."""
        names = self.fitted.encoder.fixed_names
        return {names[k] for k in self.solution.kept}

    def refitted(
        self, encoder: Encoder | None = None, *, reml: bool, name: str | None = None
    ) -> "Contender":
        """Fit the model again by REML or ML, or a smaller one that an encoder describes.

        To the statistics, or the rows, that the fit has kept. What was found of these needs no
        check again: they determine a model with fewer columns, or terms, too.

        Raises
        ------
        MemoryError
            If the equations of crossed factors have no room.
        """
        own = self.fitted.encoder if encoder is None else encoder
        estimate = self._estimate(own, own.model(reml=reml))
        found = replace(self.fitted, encoder=own, estimate=estimate)
        return replace(self, fitted=found, name=self.name if name is None else name)

    def _estimate(self, encoder: Encoder, model: Model) -> Estimate:
        parts, tol, max_iter = self.fitted, self.tol, self.max_iter
        if parts.is_generalized:
            own = parts.generalized
            return kernel.refit_generalized(own, model, tol=tol, max_iter=max_iter)
        if parts.is_repeated:
            design = parts.repeated.design
            return kernel.refit_repeated(parts.stats, model, design, tol=tol, max_iter=max_iter)
        check_memory(encoder, parts.stats, model)
        return kernel.fit_products(parts.stats, model, tol=tol, max_iter=max_iter)
