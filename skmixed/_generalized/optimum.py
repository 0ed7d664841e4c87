"""A fitted generalized model: its rows, laid out, and the derivatives at the optimum."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._estimation.fit import examined
from skmixed._estimation.solution import Solution
from skmixed._generalized.derivatives import LaplaceDerivatives
from skmixed._generalized.objective import LaplaceObjective
from skmixed._generalized.rows import GeneralizedDesign, GeneralizedLayout, lay_out_generalized
from skmixed._model.terms import Model
from skmixed._statistics.cross_products import CrossProducts
from skmixed._typing import Lam


@dataclass(frozen=True)
class GeneralizedModel:
    """A fitted generalized model.

    Attributes
    ----------
    model : Model
    layout : GeneralizedLayout
    lam : tuple of arrays
        Λ of each term, and (γ, φ).
    """

    model: Model
    layout: GeneralizedLayout
    lam: Lam

    @staticmethod
    def of(
        stats: CrossProducts, model: Model, design: GeneralizedDesign, solution: Solution
    ) -> "GeneralizedModel":
        at_zero = examined(stats, model).at_zero
        layout = lay_out_generalized(at_zero, model, stats.center, design)
        assert solution.family is not None
        own = solution.fixed[list(layout.kept)]
        gamma = np.linalg.solve(layout.basis, own[:, None])[:, 0] if len(own) else own
        rest = np.append(gamma, [solution.family.phi] * layout.system.n_shape)
        lam = tuple(term.search_lam for term in solution.terms)
        return GeneralizedModel(model, layout, (*lam, rest))

    @cached_property
    def found(self) -> LaplaceDerivatives:
        """The mode of the effects and the derivatives there."""
        objective = LaplaceObjective(self.layout.system)
        objective.evaluate(self.lam)
        return LaplaceDerivatives.of(objective.mode)
