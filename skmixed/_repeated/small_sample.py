"""Errors of the parameters, and small-sample inference on the fixed effects.

Of models with a covariance of the residuals. Satterthwaite's and Kenward and Roger's
methods are those of R's mmrm and SAS's PROC MIXED, both with the covariance of the estimates
of (τ, φ) from the observed information. Sandwich estimates are right whatever the covariance
of subjects is.
"""

from dataclasses import dataclass

import numpy as np

from skmixed._derivatives.information import pseudo_inverse
from skmixed._model.residual_parameters import shown_parameters
from skmixed._repeated.derivatives import JointChart, RepeatedDerivatives
from skmixed._repeated.fit import RepeatedModel
from skmixed._typing import FloatArray
from skmixed._uncertainty.components import TermErrors, term_errors
from skmixed._uncertainty.small_sample import SmallSample


def parameter_errors(found: RepeatedDerivatives) -> FloatArray:
    """Return the covariance of the estimates of (τ, φ); (d, d).

    In the coordinates of Λ: at the boundary the parameter drops out.
    """
    chart = JointChart.of(found.factor.system, found.factor.lam)
    jacobian = chart.jacobian
    return np.asarray(jacobian.T @ _chart_errors(found, chart) @ jacobian)


def _chart_errors(found: RepeatedDerivatives, chart: JointChart) -> FloatArray:
    """Return the covariance of the estimates of the coordinates; 0 of those at a boundary."""
    jacobian, free = chart.jacobian, np.flatnonzero(chart.is_free)
    hessian = jacobian @ found.observed @ jacobian.T + chart.curvature(found.gradient)
    out = np.zeros_like(hessian)
    out[np.ix_(free, free)] = 2.0 * pseudo_inverse(hessian[np.ix_(free, free)])
    return out


@dataclass(frozen=True)
class RepeatedComponents:
    """Errors of the parameters of the covariances, in the units of the user.

    Attributes
    ----------
    terms : tuple of TermErrors
        In the model's order.
    residual : (h, k) array
        Standard errors of what is shown of each stratum's parameters.
    """

    terms: tuple[TermErrors, ...]
    residual: FloatArray


def repeated_components(model: RepeatedModel) -> RepeatedComponents:
    """Return the errors of standard deviations, correlations and what else there is."""
    found, layout = RepeatedDerivatives.of(model.factor), model.layout
    chart = JointChart.of(layout.system, model.factor.lam)
    errors = _chart_errors(found, chart)
    terms = []
    pairs = zip(layout.terms, chart.terms.lam, chart.terms.basis, chart.terms.places, strict=True)
    for t, lam, basis, place in pairs:
        # The covariance of a term's δ; Σ has no factor σ² of its own here
        joint = np.zeros((place.stop - place.start + 1,) * 2)
        joint[:-1, :-1] = errors[place, place]
        terms.append(term_errors(t.to_user @ lam, t.to_user @ basis, joint, layout.scale))
    return RepeatedComponents(tuple(terms), _residual_errors(model, chart, errors))


def _residual_errors(model: RepeatedModel, chart: JointChart, errors: FloatArray) -> FloatArray:
    """Return the errors of what is shown of the residuals' covariance, by the delta method."""
    residual, n = model.layout.system.residual, model.layout.system.residual.n_phi
    jacobian = chart.residual.jacobian
    of_phi = jacobian.T @ errors[-n:, -n:] @ jacobian
    # Logarithms of standard deviations have the same errors in all units
    phi = residual.scaled(model.factor.phi, model.layout.residual_scale)
    out = []
    for stratum in range(residual.n_strata):
        own = residual.of_stratum(stratum)
        slopes = np.array([shown.slope for shown in shown_parameters(residual, phi[own])])
        out.append(np.sqrt(np.einsum("ki,ij,kj->k", slopes, of_phi[own, own], slopes)))
    return np.array(out)


def repeated_satterthwaite(model: RepeatedModel) -> SmallSample:
    """Satterthwaite's approximation."""
    return _sample(model, RepeatedDerivatives.of(model.factor))[0]


def repeated_kenward_roger(model: RepeatedModel) -> SmallSample:
    """Kenward and Roger's approximation, with the second derivatives of V."""
    return _kenward_roger(model, has_curvature=True)


def repeated_kenward_roger_linear(model: RepeatedModel) -> SmallSample:
    """Kenward and Roger's approximation, as if V were linear in its parameters."""
    return _kenward_roger(model, has_curvature=False)


# By the names of the methods for degrees of freedom.
REPEATED_SAMPLES = {
    "satterthwaite": repeated_satterthwaite,
    "kenward-roger": repeated_kenward_roger,
    "kenward-roger-linear": repeated_kenward_roger_linear,
}


def _kenward_roger(model: RepeatedModel, *, has_curvature: bool) -> SmallSample:
    found = RepeatedDerivatives.of(model.factor)
    sample, of_fixed = _sample(model, found)
    errors, covariance = sample.of_parameters, sample.covariance
    # Φ + 2Φ[Σ_ij A_ij (Q_ij − P_iΦP_j − R_ij/4)]Φ (Kenward and Roger, 1997, equation 5)
    inner = _products_of_pairs(found, errors)
    inner -= np.einsum("ij,ipq,qr,jrs->ps", errors, of_fixed, covariance, of_fixed, optimize=True)
    if has_curvature:
        inner -= _second_order(found, errors) / 4.0
    adjusted = covariance + 2.0 * covariance @ inner @ covariance
    return SmallSample(
        sample.basis,
        covariance,
        (adjusted + adjusted.T) / 2.0,
        sample.slopes,
        errors,
    )


def _sample(model: RepeatedModel, found: RepeatedDerivatives) -> tuple[SmallSample, FloatArray]:
    """Return Satterthwaite's, in units of y, and X'V⁻¹V_iV⁻¹X, (d, p, p)."""
    factor = model.factor
    basis, covariance = model.layout.scale * model.layout.basis, factor.fixed_covariance
    to_fixed, errors = factor.to_fixed, parameter_errors(found)
    of_fixed = to_fixed.T @ found.products[:, :-1, :-1] @ to_fixed
    slopes = covariance @ of_fixed @ covariance
    return SmallSample(basis, covariance, covariance, slopes, errors), of_fixed


def _products_of_pairs(found: RepeatedDerivatives, weights: FloatArray) -> FloatArray:
    """Return Σ_ij w_ij X'V⁻¹V_iV⁻¹V_jV⁻¹X, (p, p)."""
    factor, system = found.factor, found.factor.system
    u = system.n_outer + system.n_fixed
    of_effects, to_fixed = found.products[:, :u, :u], factor.to_fixed
    # D'(Σ w_ij U'AV_iAV_jAU)D, of blocks and of outer terms
    total = np.zeros((u, u))
    for own in found.blocks:
        total += own.pair_products(weights)[:u, :u]
    n_inner = [k for own in found.blocks for k in own.places]
    inner = np.unique(np.array(n_inner, dtype=int))
    for term in system.outer:
        for k, matrix in enumerate(term.directions):
            at = term.place.start + k
            left = factor.products[:u, term.columns]
            mixed = np.tensordot(weights[at], of_effects, 1)[term.columns]
            whole = left @ term.times(matrix, mixed)
            # Pairs with a direction of blocks occur in either order
            of_blocks = np.tensordot(weights[at, inner], of_effects[inner], 1)[term.columns]
            total += whole + (left @ term.times(matrix, of_blocks)).T
    out = to_fixed.T @ total @ to_fixed
    # less D'T_i N T_jD
    rows = np.tensordot(weights, of_effects @ to_fixed, 1)
    left = (of_effects @ to_fixed).transpose(0, 2, 1) @ factor.of_outer
    out -= np.einsum("ipu,iuq->pq", left, rows)
    return np.asarray((out + out.T) / 2.0)


def _second_order(found: RepeatedDerivatives, weights: FloatArray) -> FloatArray:
    """Return Σ_ij w_ij X'V⁻¹V_ijV⁻¹X, (p, p)."""
    factor = found.factor
    u = factor.system.n_outer + factor.system.n_fixed
    total = np.zeros((u, u))
    for own in found.blocks:
        total += own.second_products(weights)[:u, :u]
    return factor.to_fixed.T @ total @ factor.to_fixed


# The power of I − H by which residuals of a block are corrected.
POWERS = {"CR0": 0.0, "CR2": -0.5, "CR3": -1.0}
# Eigenvalues of I − H below this are 0: the block determines a direction of its own.
DETERMINED = 1e-10


@dataclass(frozen=True)
class RobustSample:
    """A sandwich estimate of the covariance of effects γ, and what its t tests refer to.

    Attributes
    ----------
    basis : (p, p) array
        F, from γ to the effects of the columns of X.
    model_covariance : (p, p) array
        Φ of γ by the model.
    adjusted : (p, p) array
        The sandwich.
    squares : (m, p, p) array
        B'B of each block for B = (I − H)^q X Φ in units of its covariance: the weights of
        its residuals in γ̂.
    sums : (m, p, p) array
        X'B of each block in these units.
    """

    basis: FloatArray
    model_covariance: FloatArray
    adjusted: FloatArray
    squares: FloatArray
    sums: FloatArray

    @property
    def covariance(self) -> FloatArray:
        return self.adjusted

    def df(self, rows: FloatArray) -> FloatArray:
        """Return Bell and McCaffrey's degrees of freedom of rows of LF, (k, p) to (k,).

        tr(G)²/tr(G²) with G_ij = a_i'(I − H)_ij a_j of the blocks' weights a under the
        model (Pustejovsky and Tipton, 2018, J. Bus. Econ. Stat. 36, equation 11).
        """
        return np.array([self._df(row) for row in rows])

    def _df(self, row: FloatArray) -> float:
        # a_i'a_i and X_i'a_i of all blocks
        square, at = self.squares @ row @ row, self.sums @ row
        inner = at @ self.model_covariance
        leverage = (inner * at).sum(axis=1)
        products = at.T @ inner
        trace = float((square - leverage).sum())
        of_squares = float((square**2).sum() - 2.0 * square @ leverage)
        return trace**2 / (of_squares + float(np.sum(products * products.T)))


def robust_sample(model: RepeatedModel, kind: str) -> RobustSample:
    """Return a sandwich estimate with the blocks of a model as clusters; `kind` of `POWERS`.

    Bell and McCaffrey (2002), Survey Methodology 28: CR0 takes residuals as they are, CR2
    is unbiased where the model is right, CR3 is near the jackknife.
    """
    layout, factor = model.layout, model.factor
    phi, c = factor.fixed_covariance, factor.residual_weights
    # D'D and D'e for D, e = X and residuals in units of the covariance of each block
    columns = np.column_stack([layout.laid.wide[:, :-1], layout.laid.wide @ c])
    parts = [
        at.cluster_products(columns[group.rows])
        for group, at in zip(layout.system.groups, factor.blocks, strict=True)
    ]
    products = np.concatenate(parts)
    own = products[:, :-1, :-1]
    # (I − DΦD')^q D = DF Q(1 − λ)^q Q'F⁻¹ with Φ = FF' and F'D'DF = QλQ'
    root = np.linalg.cholesky(phi)
    values, vectors = np.linalg.eigh(root.T @ own @ root)
    left = 1.0 - values
    kept = left > DETERMINED
    powers = np.where(kept, np.where(kept, left, 1.0) ** POWERS[kind], 0.0)
    middle = (vectors * powers[:, None, :]) @ vectors.transpose(0, 2, 1)
    corrected = root @ middle @ np.linalg.inv(root)
    score = np.einsum("mpq,mp->mq", corrected, products[:, :-1, -1])
    weights = corrected @ phi
    sums = own @ weights
    squares = weights.transpose(0, 2, 1) @ sums
    sandwich = phi @ (score.T @ score) @ phi
    return RobustSample(layout.scale * layout.basis, phi, sandwich, squares, sums)
