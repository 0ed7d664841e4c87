"""The scale that means are on, and the way back from that of the linear predictor."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from skmixed._model.binomial import Binomial
from skmixed._model.family import Family
from skmixed._typing import FloatArray

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
        if not isinstance(self.family, Binomial):
            return self.family.mean(eta)  # of the log link
        # μ' = (1 − μ) b' with b = −log(1 − μ)
        b, slope = self.family.link.logs(eta, np.zeros(len(eta)), 1)
        return np.asarray(np.exp(-b) * slope)

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
