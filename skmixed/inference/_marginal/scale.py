"""The scale that means are on, and the way back from that of the linear predictor."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._fitted.fitted_model import FittedModel
from skmixed._model.binomial import Binomial
from skmixed._model.family import Family
from skmixed._typing import FloatArray
from skmixed.inference._marginal.grid import FormulaColumns

LINK, RESPONSE, POPULATION = "link", "response", "population"
SCALES = (LINK, RESPONSE, POPULATION)
# What emmeans calls them
SCALES_OF_R = {"lp": LINK, "linear.predictor": LINK, "linear": LINK, "mu": RESPONSE}


class BackTransformation(Protocol):
    """A monotone function from the scale of the linear predictor to that of the response.

    Attributes
    ----------
    name : str
        Of the function whose inverse it is, such as "log" or "logit".
    ratio_name : str
        What differences become by it: "ratio" of logarithms, "odds_ratio" of logits; "" where
        they have no meaning on the scale of the response.
    """

    @property
    def name(self) -> str: ...

    @property
    def ratio_name(self) -> str: ...

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Return the response."""

    def slope(self, eta: FloatArray) -> FloatArray:
        """Return the derivative of `inverse`."""

    def bend(self, eta: FloatArray) -> FloatArray:
        """Return the second derivative of `inverse`."""

    def ratio(self, difference: FloatArray) -> FloatArray:
        """Return the ratios that differences of η are, where `ratio_name` names one."""


@dataclass(frozen=True)
class InverseLink:
    """The mean of a generalized model's response at its linear predictor."""

    family: Family

    @property
    def name(self) -> str:
        return self.family.link_name

    @property
    def ratio_name(self) -> str:
        return {"log": "ratio", "logit": "odds_ratio"}.get(self.name, "")

    def inverse(self, eta: FloatArray) -> FloatArray:
        return self.family.mean(eta)

    def slope(self, eta: FloatArray) -> FloatArray:
        return self.derivatives(eta)[0]

    def bend(self, eta: FloatArray) -> FloatArray:
        return self.derivatives(eta)[1]

    def derivatives(self, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the first two derivatives of the mean."""
        if not isinstance(self.family, Binomial):
            mean = self.family.mean(eta)  # of the log link
            return mean, mean
        # μ' = (1 − μ) b' and μ'' = (1 − μ)(b'' − b'²) with b = −log(1 − μ)
        b, slope, bend = self.family.link.logs(eta, np.zeros(len(eta)), 2)
        rest = np.exp(-b)
        return np.asarray(rest * slope), np.asarray(rest * (bend - slope**2))

    def ratio(self, difference: FloatArray) -> FloatArray:
        return np.asarray(np.exp(difference))


@dataclass(frozen=True)
class Scale:
    """The scale that a table of means is on.

    Attributes
    ----------
    name : {"link", "response", "population"}
        On "link" the means are the linear estimates; on "response" they are transformed back
        from these; on "population" the means over the random effects are the estimates.
    back : BackTransformation or None
        On "response" the way back; None on the other scales, and where there is none to go.
    """

    name: str = LINK
    back: BackTransformation | None = None


def scale_of(view: FittedModel, formula: FormulaColumns, name: str) -> Scale:
    """Return the scale with its way back.

    Raises
    ------
    ValueError
        If there is none, or the mean over random effects is asked of a linear model.
    """
    if name == POPULATION and not view.is_generalized:
        raise ValueError(
            "scale='population' is for generalized models. Of a linear one the means are those of "
            "the population already: leave scale out; for what np.log(y) or another function of "
            "the response says of the response itself use scale='response'."
        )
    if name != RESPONSE:
        return Scale(name)
    if view.is_generalized:
        return Scale(name, InverseLink(view.family))
    return Scale(name, formula.response_inverse())
