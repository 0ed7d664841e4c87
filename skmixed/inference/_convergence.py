"""Whether a fit is at an optimum, how well it is determined there, and where it is singular."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed._model.covariance import gradient_matrix
from skmixed._statistics.coordinates import TermCoordinates, column_lengths
from skmixed._typing import FloatArray, Lam
from skmixed.inference._tables.table import ResultTable

# The expected gain of a further step below which a point is an optimum: an
# estimate is then off by at most the root of it, in standard errors.
NEGLIGIBLE = 1e-6
# Of the searches from other starts.
TOLERANCE, MAX_ITER = 1e-10, 200
# Difference of the criterion for which another end is a better one.
LOWER = 1e-5
COMPONENTS = ("group", "term", "component", "sd", "share", "cumulative", "is_zero")
# Eigenvalues of the information in standard units below which a combination of
# parameters is practically undetermined.
FLAT = 1e-6


@dataclass(frozen=True)
class Convergence:
    """The conditions of an optimum, checked anew.

    Attributes
    ----------
    status : str
        The way in which the search ended.
    n_iter, n_factorizations : int
        The number of steps and of factorizations of the search.
    gradient_norm : float
        Length of the gradient of the criterion in the entries of the terms'
        relative factors Λ, in standard units of the parameters. Of generalized models
        also in the fixed effects and the shape.
    expected_gain : float
        By how much one more Newton step would lower the criterion.
    boundary : DataFrame
        A row for each term: ``group``, ``coefficients``, ``rank`` of its
        covariance of ``size``, and ``slope``, the least slope of the criterion
        into the directions in which the covariance is 0 (NaN: full rank). At an
        optimum no slope is negative.
    elsewhere : float
        How much lower the best end of searches from other starts is; NaN after an
        iterative fit, and where there is nothing to search for.
    eigenvalues : ndarray
        Of the observed information on the variance parameters, scaled to a unit
        diagonal, ascending: near 0 where a combination of them is hardly
        determined. Of generalized models on all parameters.
    """

    status: str
    n_iter: int
    n_factorizations: int
    gradient_norm: float
    expected_gain: float
    boundary: pd.DataFrame
    elsewhere: float
    eigenvalues: FloatArray

    @property
    def is_optimum(self) -> bool:
        """Whether no step promises a gain, and no other start ends lower."""
        return self.is_stationary and not self.has_lower_end

    @property
    def is_stationary(self) -> bool:
        """Whether no step promises a gain, inside or off the boundary."""
        slopes = self.boundary["slope"].dropna()
        return bool(self.expected_gain < NEGLIGIBLE and (slopes > -NEGLIGIBLE).all())

    @property
    def has_lower_end(self) -> bool:
        """Whether a search from another start ends lower."""
        return bool(self.elsewhere > LOWER)

    @property
    def is_determined(self) -> bool:
        """Whether the information has no eigenvalue near 0."""
        return bool((self.eigenvalues > FLAT).all())

    def __str__(self) -> str:
        lines = [
            f"{self.status} ({self.n_iter} step{'' if self.n_iter == 1 else 's'}, "
            f"{self.n_factorizations} factorizations)",
            f"Gradient, in standard units: {self.gradient_norm:.1e}; a further step would gain "
            f"{self.expected_gain:.1e}.",
        ]
        lines += [
            f"On the boundary: the covariance within {row['group']!r} has rank {row['rank']} of "
            f"{row['size']}; the criterion's least slope off it is {row['slope']:.3g}."
            for row in self.boundary.to_dict("records")
            if row["rank"] < row["size"]
        ]
        if len(self.eigenvalues):
            low, high = self.eigenvalues[[0, -1]]
            lines.append(f"Information, eigenvalues: {low:.2g} to {high:.2g}.")
        lines.append(self._verdict())
        if not self.is_determined:
            lines.append("Some combination of the variance parameters is hardly determined.")
        return "\n".join(lines)

    __repr__ = __str__

    def _verdict(self) -> str:
        if not self.is_stationary:
            return "This is not an optimum: fit again with a larger max_iter or a smaller tol."
        if self.has_lower_end:
            return (
                "This is an optimum, but not the best one: from another start the criterion "
                f"ends lower by {self.elsewhere:.3g}."
            )
        return "This is an optimum."


def convergence(model: Any) -> Convergence:
    """Check whether a fit is at an optimum, and how well determined.

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        The fitted model.

    Returns
    -------
    Convergence
        Gradient, expected gain, conditions on the boundary, and eigenvalues of
        the information; `str` puts it in words.

    See Also
    --------
    singularity : Which combinations of effects have no variance.
    profile : How the likelihood falls as one parameter moves.

    Notes
    -----
    On the boundary, where a covariance Σ lacks rank, an optimum has a gradient G
    in Σ with GΣ = 0 and G positive semidefinite on the null space of Σ (for
    independent coefficients: no negative entry; for equal variances: no negative
    trace). Costs one gradient, one observed information and some four searches from
    other starts, all anew from the cross-products. With a residual covariance the search
    is repeated from all of its starts, and the gradient and information are in the
    coordinates of both covariances.

    Of generalized models the criterion is −2 log L by the approximation that the fit has
    used, and the gradient and information are exact, in the variances, the fixed effects and
    the shape together. Two searches start from moments of the data.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import convergence
    >>> X, y = load_sleepstudy(return_X_y=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> convergence(model).is_optimum
    True
    """
    found = _Conditions.of(fitted(model, has_family=True))
    hessian, estimate = found.hessian, found.view.estimate
    scale = np.sqrt(np.maximum(np.abs(np.diagonal(hessian)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    standard = vectors.T @ (found.gradient / scale)
    keep = values > FLAT * values[-1]
    return Convergence(
        status=estimate.status.value,
        n_iter=estimate.n_iter,
        n_factorizations=estimate.n_factorizations,
        gradient_norm=float(np.linalg.norm(standard)),
        expected_gain=float(0.5 * (standard[keep] ** 2 / values[keep]).sum()),
        boundary=_boundary(found),
        elsewhere=found.elsewhere,
        eigenvalues=values if found.is_searched else np.empty(0),
    )


@dataclass(frozen=True)
class _Conditions:
    """What holds at the end of a search: derivatives in its coordinates, and other ends.

    `lams` and `slopes` are Λ of each term and the gradient in its Σ, (s, s) each.
    """

    view: FittedModel
    gradient: FloatArray
    hessian: FloatArray
    lams: Lam
    slopes: Sequence[FloatArray]
    elsewhere: float

    @staticmethod
    def of(view: FittedModel) -> "_Conditions":
        if view.is_generalized:
            end = kernel.search_end(view.generalized)
            return _Conditions(view, end.gradient, end.hessian, end.lam, end.slopes, end.elsewhere)
        if view.is_repeated:
            found = kernel.repeated_information(view.repeated.factor)
            lams, slopes = found.chart.terms.lam, _in_sigma(view, found.of_terms)
            return _Conditions(view, *found.free, lams, slopes, _elsewhere(view))
        info = view.information
        slopes = _in_sigma(view, [info.gradient[place] for place in info.parameters.places])
        gradient = info.jacobian @ info.gradient
        return _Conditions(view, gradient, info.hessian, info.chart.lam, slopes, _elsewhere(view))

    @property
    def is_searched(self) -> bool:
        """Whether there was something to search for."""
        view = self.view
        return bool(view.encoder.terms) or view.is_repeated or view.is_generalized


def _in_sigma(view: FittedModel, gradients: Sequence[FloatArray]) -> list[FloatArray]:
    """Return the gradient in the Σ of each term from that in its coordinates τ."""
    pairs = zip(view.encoder.terms, gradients, strict=True)
    return [gradient_matrix(t.structure, own, len(t.columns)) for t, own in pairs]


def _elsewhere(view: FittedModel) -> float:
    """Return by how much a search from another start ends lower, of a linear model."""
    if view.is_repeated:
        own, design = view.solution.criterion, view.repeated.design
        again = kernel.refit_repeated(
            view.stats, view.model, design, tol=TOLERANCE, max_iter=MAX_ITER
        )
        return max(own - again.solution.criterion, 0.0)
    system, likelihood = view.factorization.system, view.likelihood
    is_exact_fit = likelihood.is_exact_fit(view.factorization)
    if not system.factors or is_exact_fit or view.estimate.solver != "exact":
        return np.nan
    found = kernel.lowest(system, likelihood, tol=TOLERANCE, max_iter=MAX_ITER)
    return max(likelihood.value(view.factorization) - found, 0.0)


def _boundary(end: _Conditions) -> pd.DataFrame:
    rows, encoder = [], end.view.encoder
    for term, lam, slope in zip(encoder.terms, end.lams, end.slopes, strict=True):
        rank = int(lam.any(axis=0).sum())
        least = np.nan if rank == len(lam) else term.structure.boundary_slope(lam, slope)
        names = ", ".join(encoder.coefficient_names(term))
        rows.append([encoder.factors[term.factor].name, names, len(lam), rank, least])
    return pd.DataFrame(rows, columns=["group", "coefficients", "size", "rank", "slope"])


def singularity(model: Any) -> ResultTable:
    """Principal components of each term's covariance: which of them are zero.

    Parameters
    ----------
    model : MixedLinearRegressor, generalized model or Pipeline
        Fitted; a Pipeline ends in the estimator.

    Returns
    -------
    ResultTable
        Term by term, the largest component first, columns

        - ``group``: the grouping factor;
        - ``term``: the names of the term's coefficients;
        - ``component``: from 1;
        - ``sd``: its standard deviation, in units of σ, or of generalized models on the
          scale of the link;
        - ``share``, ``cumulative``: of the term's total variance, NaN if that is 0;
        - ``is_zero``: whether its variance is estimated as exactly 0. A fit is
          singular, ``singular_``, where any is.

    Raises
    ------
    TypeError
        If `model` is no regressor of this package.

    See Also
    --------
    convergence : Whether a singular fit is an optimum.
    skmixed.exceptions.SingularFitWarning : What `fit` says of it.

    Notes
    -----
    Singular values of Λₖ, as lme4's ``rePCA``, but of the coefficients of scaled
    columns: each slope is per standard deviation of its column, and the intercept
    is at the columns' means where the covariance is full. In the columns' own units
    the smallest component of a slope over dates in seconds would be tiny beside the
    intercept's and not be zero. With covariance "diag" slopes are per root mean
    square, and with "spherical" all columns share one scale, since there centering
    or scaling would change the model. Terms are taken one by one, while ``rePCA``
    puts those on one factor together.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> from skmixed.inference import singularity
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> singularity(model).round(3)
         group               term  component     sd  share  cumulative  is_zero
    0  Subject  (Intercept), Days          1  1.557  0.935       0.935    False
    1  Subject  (Intercept), Days          2  0.412  0.065       1.000    False
    """
    opened = fitted(model, has_family=True)
    rows: list[list[Any]] = []
    for index, term in enumerate(opened.encoder.terms):
        group = opened.encoder.factors[term.factor].name
        names = ", ".join(opened.encoder.coefficient_names(term))
        sd, n_positive = _components(opened, index)
        total = float(np.square(sd).sum())
        share = np.square(sd) / (total if total > 0.0 else np.nan)
        rows += [
            [group, names, k + 1, sd[k], share[k], share[: k + 1].sum(), k >= n_positive]
            for k in range(len(sd))
        ]
    unit = "On the scale of the link." if opened.is_generalized else "sd is in units of σ."
    table = pd.DataFrame(rows, columns=list(COMPONENTS))
    return ResultTable.of(table, "Principal components of the random effects", [unit])


def _components(opened: FittedModel, index: int) -> tuple[FloatArray, int]:
    """Return the singular values of Λ on scaled columns, and how many are not 0."""
    solution, (place, root_unit) = opened.solution.terms[index], _coordinates(opened, index)
    lengths = column_lengths(opened.stats, place.term)
    centered = place.to_centered(opened.stats.center) @ solution.search_lam
    lam = np.where(lengths > 0.0, lengths, 1.0)[:, None] * centered / root_unit
    # Where Λ lacks rank, columns of it are exactly zero.
    n_positive = int(np.count_nonzero(np.abs(solution.search_lam).max(axis=0)))
    sd = np.asarray(np.linalg.svd(lam, compute_uv=False), dtype=np.float64)
    sd[n_positive:] = 0.0
    return sd, n_positive


def _coordinates(opened: FittedModel, index: int) -> tuple[TermCoordinates, float]:
    """Return the search's coordinates of a term, and the unit of its Λ."""
    if opened.is_generalized:
        return opened.generalized.layout.terms[index], 1.0
    root_unit = float(np.sqrt(opened.system.weight_unit))
    if opened.is_repeated:
        root_unit *= opened.solution.sigma / opened.repeated.layout.residual_scale
    return opened.system.terms[index][1], root_unit
