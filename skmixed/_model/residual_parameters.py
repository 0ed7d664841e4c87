"""The parameters of a covariance of residuals as users read them, with their derivatives."""

from dataclasses import dataclass

import numpy as np

from skmixed._model.residual import Residual
from skmixed._typing import FloatArray


@dataclass(frozen=True)
class ShownParameter:
    """A standard deviation, a correlation, or what else a stratum's covariance has.

    Attributes
    ----------
    component : str
        "sigma", "corr", "range", or the name of the model of the standard deviations.
    key : tuple of int
        The numbers, from 1, of the visits that it is of, or of a lag; empty for all.
    value : float
    slope : (d,) array
        Its derivatives by the stratum's parameters.
    """

    component: str
    key: tuple[int, ...]
    value: float
    slope: FloatArray


def shown_parameters(residual: Residual, own: FloatArray) -> list[ShownParameter]:
    """Return what is shown of one stratum's parameters, (d,)."""
    of_corr = residual.split(own)[1]
    values = residual.correlation.shown(of_corr, residual.m)
    slopes = np.zeros((len(values), residual.n_own))
    slopes[:, residual.n_variances :] = residual.correlation.shown_slopes(of_corr, residual.m)
    out = _of_variances(residual, own)
    for (name, value), slope in zip(values.items(), slopes, strict=True):
        component, _, numbers = name.rstrip(")").partition("(")
        key = tuple(int(number) for number in numbers.split(",") if number)
        out.append(ShownParameter(component, key, value, slope))
    return out


def _of_variances(residual: Residual, own: FloatArray) -> list[ShownParameter]:
    """Return the standard deviations, and other parameters of theirs."""
    if residual.variance.is_of_visits:
        at = residual.evaluate(own, residual.all_visits)
        # ∂√R_aa = ∂R_aa/(2√R_aa)
        sd = np.sqrt(np.diagonal(at.value[0]))
        slopes = np.diagonal(at.first[:, 0], axis1=1, axis2=2) / (2.0 * sd)
        pairs = enumerate(zip(sd, slopes.T, strict=True), start=1)
        return [ShownParameter("sigma", (k,), float(s), slope) for k, (s, slope) in pairs]
    unit, size = np.eye(residual.n_own), float(np.exp(own[0]))
    others = range(1, residual.n_variances)
    name = residual.variance.name
    first = ShownParameter("sigma", (), size, size * unit[0])
    return [first, *(ShownParameter(name, (), float(own[k]), unit[k]) for k in others)]
