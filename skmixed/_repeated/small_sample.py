"""Errors of the parameters, and small-sample inference on the fixed effects.

Of models with a covariance of the residuals. Satterthwaite's and Kenward and Roger's
methods are those of R's mmrm and SAS's PROC MIXED, both with the covariance of the estimates
of (τ, φ) from the observed information. Sandwich estimates are right whatever the covariance
of subjects is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skmixed._model.residual import shown_parameters
from skmixed._repeated.coordinates import RepeatedLayout, inverse_times
from skmixed._repeated.derivatives import JointChart, RepeatedDerivatives, RepeatedInformation
from skmixed._repeated.fit import RepeatedModel
from skmixed._repeated.likelihood import RepeatedFactor
from skmixed._repeated.rows import InnerRows
from skmixed._typing import FloatArray, IntArray
from skmixed._uncertainty.components import TermErrors, term_errors
from skmixed._uncertainty.small_sample import SmallSample


def parameter_errors(found: RepeatedDerivatives) -> FloatArray:
    """Return the covariance of the estimates of (τ, φ); (d, d).

    In the coordinates of Λ: at the boundary the parameter drops out.
    """
    info = RepeatedInformation(JointChart.of(found.factor.system, found.factor.lam), found)
    jacobian = info.chart.jacobian
    return np.asarray(jacobian.T @ info.errors @ jacobian)


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
    info, layout, terms = RepeatedInformation.of(model.factor), model.layout, []
    chart, errors = info.chart, info.errors
    pairs = zip(layout.terms, chart.terms.lam, chart.terms.basis, chart.terms.places, strict=True)
    for t, lam, basis, place in pairs:
        # The covariance of a term's δ; Σ has no factor σ² of its own here
        joint = np.zeros((place.stop - place.start + 1,) * 2)
        joint[:-1, :-1] = errors[place, place]
        terms.append(term_errors(t.to_user @ lam, t.to_user @ basis, joint, layout.scale))
    return RepeatedComponents(tuple(terms), _residual_errors(model, chart, errors))


def _residual_errors(model: RepeatedModel, chart: JointChart, errors: FloatArray) -> FloatArray:
    """Return the errors of what is shown of the residuals' covariance, by the delta method."""
    residual, n = model.layout.system.residual, chart.residual.size
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
    own, corrected, score, _ = _clusters(model, POWERS[kind])
    phi, layout = model.factor.fixed_covariance, model.layout
    # B'B and X'B of B = (I − H)^q XΦ
    weights = corrected @ phi
    sums = own @ weights
    squares = weights.transpose(0, 2, 1) @ sums
    sandwich = phi @ (score.T @ score) @ phi
    return RobustSample(layout.scale * layout.basis, phi, sandwich, squares, sums)


def _clusters(
    model: RepeatedModel, power: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return X'AX of each block, F Q(1 − λ)^q Q'F⁻¹, its score and tr H; q is the power."""
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
    powers = np.where(kept, np.where(kept, left, 1.0) ** power, 0.0)
    middle = (vectors * powers[:, None, :]) @ vectors.transpose(0, 2, 1)
    corrected = root @ middle @ np.linalg.inv(root)
    score = np.einsum("mpq,mp->mq", corrected, products[:, :-1, -1])
    return own, corrected, score, values.sum(axis=1)


@dataclass(frozen=True)
class ClusterInfluence:
    """What leaving out each block changes.

    Attributes
    ----------
    subject, n_rows : (m,) arrays of int
    leverage, distance : (m,) arrays
        tr H, and Cook's distance.
    changes : (m, p) array
        Of the kept columns' effects.
    """

    subject: IntArray
    n_rows: IntArray
    leverage: FloatArray
    distance: FloatArray
    changes: FloatArray


def cluster_influence(model: RepeatedModel) -> ClusterInfluence:
    """Return what leaving out each block changes, of a model without outer effects."""
    _, _, score, leverage = _clusters(model, POWERS["CR3"])
    phi, layout = model.factor.fixed_covariance, model.layout
    subjects, counts = [], []
    for group in layout.system.groups:
        block = group.block_of_row
        counts.append(np.bincount(block))
        subjects.append(np.empty(len(counts[-1]), dtype=np.intp))
        subjects[-1][block] = layout.laid.subject[group.rows]
    # γ̂ without the block less γ̂ is −ΦX'L(I − H)⁻¹L'e
    return ClusterInfluence(
        subject=np.concatenate(subjects),
        n_rows=np.concatenate(counts),
        leverage=leverage,
        distance=np.einsum("mp,pq,mq->m", score, phi, score) / max(len(phi), 1),
        changes=-score @ phi @ (layout.scale * layout.basis).T,
    )


def inner_products(
    layout: RepeatedLayout, factor: RepeatedFactor, columns: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return CB for columns B, (n, k), and the diagonals of CA and CAC − C, (n,).

    C = ZΣZ' of the terms inside of blocks.
    """
    seen, (once, twice) = np.zeros_like(columns), np.zeros((2, len(columns)))
    terms = list(_inner_terms(layout, factor))
    # Columns of Z whose levels have one number, so that A of a block meets one of its levels
    solved = [_solved_columns(layout, factor, term) for term in terms]
    for term, own in zip(terms, solved, strict=True):
        half = term.columns @ term.covariance
        seen += term.times(columns)
        met = own[np.arange(len(columns)), term.number]
        once += (half * met).sum(axis=1)
        twice -= (half * term.columns).sum(axis=1)
        # Z_t'AZ_u of the levels of each row in two terms
        for other, its in zip(terms, solved, strict=True):
            for number in range(its.shape[1]):
                at = np.flatnonzero(other.number == number)
                sums = np.asarray(term.design.T @ its[:, number])
                pairs = sums.reshape(-1, half.shape[1], its.shape[2])[term.levels[at]]
                right = other.columns[at] @ other.covariance
                twice[at] += np.einsum("ns,nst,nt->n", half[at], pairs, right)
    return seen, once, twice


def _solved_columns(layout: RepeatedLayout, factor: RepeatedFactor, term: InnerRows) -> FloatArray:
    """Return A times the columns of Z of each number, (n, l, s)."""
    of_number = term.number[:, None] == np.arange(int(term.number.max()) + 1)
    columns = of_number[:, :, None] * term.columns[:, None, :]
    flat = columns.reshape(len(columns), -1)
    return inverse_times(layout, factor, flat).reshape(columns.shape)


def _inner_terms(layout: RepeatedLayout, factor: RepeatedFactor) -> Iterator[InnerRows]:
    laid, block, start = layout.laid, np.empty(len(layout.laid.subject), dtype=np.intp), 0
    for group in layout.system.groups:
        own = group.block_of_row
        block[group.rows] = start + own
        start += int(own.max()) + 1
    outer = {term.index for term in layout.system.outer}
    for t, (columns, levels), lam in zip(layout.terms, laid.terms, factor.lam[:-1], strict=True):
        if t.index not in outer:
            # Pairs of block and level in order: a level's number is its place in the block
            pair = block * (int(levels.max()) + 1) + levels
            known, place = np.unique(pair, return_inverse=True)
            of_block = known // (int(levels.max()) + 1)
            number = np.arange(len(known)) - np.searchsorted(of_block, of_block)
            yield InnerRows(t.index, columns, levels, number[place], lam @ lam.T)


def effect_covariances(model: RepeatedModel) -> tuple[FloatArray, ...]:
    """Return the covariance of each level's effects given y and β, in units of y; (q, s, s).

    Σ − ΣZ'V⁻¹ZΣ of inner terms, V⁻¹ = A − AUNU'A, and the diagonal blocks of N of outer ones.
    """
    layout, factor, outer = model.layout, model.factor, {}
    n = layout.system.n_outer
    # Diagonal blocks of N
    inner = factor.of_outer[:n, :n]
    for own in layout.system.outer:
        blocks = inner[own.columns, own.columns].reshape(own.n_levels, own.size, -1, own.size)
        every = np.arange(own.n_levels)
        outer[own.index] = blocks[every, :, every]
    solved, terms = inverse_times(layout, factor, layout.laid.wide[:, :n]), {}
    for term in _inner_terms(layout, factor):
        met = _solved_columns(layout, factor, term)[np.arange(len(solved)), term.number]
        # Z'AZ − Z'AUNU'AZ of each level
        s, sigma = term.columns.shape[1], term.covariance
        seen = np.asarray(term.design.T @ met).reshape(-1, s, s)
        left = np.asarray(term.design.T @ solved).reshape(len(seen), s, n)
        seen = seen - left @ inner @ left.transpose(0, 2, 1)
        terms[term.index] = sigma - sigma @ seen @ sigma
    found = outer | terms
    scaled = [layout.scale * t.to_user for t in layout.terms]
    return tuple(own @ found[t.index] @ own.T for own, t in zip(scaled, layout.terms, strict=True))
