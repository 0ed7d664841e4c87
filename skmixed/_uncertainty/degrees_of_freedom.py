"""Methods for the degrees of freedom of tests of fixed effects, by name.

A further method is an entry of `DDF`, for which the tests of this file then run too.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skmixed._typing import FloatArray
from skmixed._uncertainty.relative import Relative
from skmixed._uncertainty.small_sample import (
    SmallSample,
    kenward_roger,
    kenward_roger_f,
    satterthwaite,
    satterthwaite_f,
)


@dataclass(frozen=True)
class DegreesOfFreedom:
    """A method for the degrees of freedom of t and F.

    Attributes
    ----------
    name : str
        What users call it.
    sentence : str
        What the summary says of the tests.
    joint_sentence : str
        What is said of tests by F.
    sample : callable or None
        From the system at the optimum to what degrees of freedom are made of; None for
        a method that gives all contrasts the same, from the residual ones.
    joint : callable or None
        From that and LF, (q, p), to the degrees of freedom and the scale of F.
    of_residual : callable or None
        From the residual degrees of freedom to those of every contrast.
    needs_reml : bool
        Whether it holds for REML alone.
    has_predictions : bool
        Whether predictions have it too.
    of_subjects : bool
        Whether each coefficient has its own, by whether its column varies within
        subjects.
    """

    name: str
    sentence: str
    joint_sentence: str
    sample: Callable[[Relative], SmallSample] | None = None
    joint: Callable[[SmallSample, FloatArray], tuple[float, float]] | None = None
    of_residual: Callable[[float], float] | None = None
    needs_reml: bool = False
    has_predictions: bool = True
    of_subjects: bool = False


def infinite(residual_df: float) -> float:  # noqa: ARG001
    """Return the degrees of freedom of normal tests."""
    return np.inf


# What else methods are called, by users of R.
DDF_OF_R = {"kr": "kenward-roger", "asymptotic": "normal"}
DDF = {
    method.name: method
    for method in (
        DegreesOfFreedom(
            name="satterthwaite",
            sentence="t tests with Satterthwaite's degrees of freedom",
            joint_sentence="F tests with Satterthwaite's degrees of freedom",
            sample=satterthwaite,
            joint=satterthwaite_f,
        ),
        DegreesOfFreedom(
            name="kenward-roger",
            sentence="Kenward and Roger's standard errors and degrees of freedom",
            joint_sentence="F tests with Kenward and Roger's scale and degrees of freedom",
            sample=kenward_roger,
            joint=kenward_roger_f,
            needs_reml=True,
            has_predictions=False,
        ),
        # V is linear in the parameters of all models but those of a residual covariance.
        DegreesOfFreedom(
            name="kenward-roger-linear",
            sentence="Kenward and Roger's method as if V were linear in its parameters",
            joint_sentence=(
                "F tests by Kenward and Roger's method as if V were linear in its parameters"
            ),
            sample=kenward_roger,
            joint=kenward_roger_f,
            needs_reml=True,
            has_predictions=False,
        ),
        DegreesOfFreedom(
            name="residual",
            sentence="t tests with the residual degrees of freedom",
            joint_sentence="F tests with the residual degrees of freedom",
            of_residual=float,
        ),
        DegreesOfFreedom(
            name="between-within",
            sentence="t tests with between-within degrees of freedom",
            joint_sentence="F tests with between-within degrees of freedom",
            has_predictions=False,
            of_subjects=True,
        ),
        DegreesOfFreedom(
            name="normal",
            sentence="normal tests",
            joint_sentence="F tests with infinite degrees of freedom of the denominator",
            of_residual=infinite,
        ),
    )
}
