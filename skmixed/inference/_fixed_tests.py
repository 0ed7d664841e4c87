"""The estimates of the fixed effects, and the distribution their tests refer to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as distributions

from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel, fitted
from skmixed._repeated.small_sample import RobustSample
from skmixed._statistics.estimability import Dependence
from skmixed._typing import FloatArray
from skmixed._uncertainty.degrees_of_freedom import DDF, DDF_OF_R, DegreesOfFreedom
from skmixed._uncertainty.small_sample import SmallSample
from skmixed.exceptions import NormalIntervalsWarning, NotEstimableWarning, warn

ROBUST = ("CR0", "CR2", "CR3")
# A singular value of L below this share of the largest is none.
INDEPENDENT = 1e-10


@dataclass(frozen=True)
class FixedTests:
    """Estimates, and the distribution their tests refer to.

    Attributes
    ----------
    names : tuple of str
        All fixed effects, in the user's order.
    kept : tuple of int
        Positions of those not dropped.
    estimate : (p,) array
        Estimates of the kept ones.
    basis : (p, p) array
        F, from effects γ of about the same error to those of the kept columns.
    of_basis : (p, p) array
        The covariance matrix of γ.
    method : DegreesOfFreedom
    residual_df : float
    sample : SmallSample, RobustSample or None
        What the degrees of freedom of γ are made of, in a method that has it.
    has_intercept : bool
    dependence : Dependence or None
        How the dropped ones depend on the kept ones.
    coefficient_df : (p,) array or None
        Degrees of freedom of each kept one, where the method gives it some of its own.
    is_generalized : bool
        Whether they are those of a generalized model, of which all tests are Wald's.
    robust : str or None
        The kind of a sandwich estimate of the covariance.
    rank : float
        How many effects that tells apart.
    sigma_squared : float or None
        The residual variance of a row of weight 1, where all rows have that one.
    link : str
        The link of a generalized model.
    """

    names: tuple[str, ...]
    kept: tuple[int, ...]
    estimate: FloatArray
    basis: FloatArray
    of_basis: FloatArray
    method: DegreesOfFreedom
    residual_df: float
    sample: SmallSample | RobustSample | None
    has_intercept: bool
    dependence: Dependence | None = None
    coefficient_df: FloatArray | None = None
    is_generalized: bool = False
    robust: str | None = None
    rank: float = np.inf
    sigma_squared: float | None = None
    link: str = ""

    @property
    def sentence(self) -> str:
        """What is said of the tests."""
        if self.robust is None:
            return self.method.sentence
        return f"{self.robust} standard errors by subjects, Bell and McCaffrey's degrees of freedom"

    def words(self, *, is_joint: bool) -> str:
        """Return what is said of tests of one effect, or of several at once."""
        if self.is_generalized:
            return f"Wald {'χ²' if is_joint else 'z'} tests"
        if not is_joint:
            return self.sentence
        if self.robust is not None:
            return f"F tests with the {self.robust} covariance by subjects"
        return self.method.joint_sentence

    def remark(self, level: float | None = None, *, is_joint: bool = False) -> str:
        """Return what a table says of its tests, and of intervals of a level."""
        said = self.words(is_joint=is_joint)
        said = said.replace("normal", "Normal") if said.startswith("normal") else said
        scale = f" on the scale of the link ({self.link})" if self.link else ""
        intervals = "" if level is None else f"; {100 * level:g} % confidence intervals"
        return f"{said}{scale}{intervals}."

    def undetermined(self, rows: FloatArray) -> NDArray[np.bool_]:
        """For each row of L which dropped effects it takes otherwise than X does, (k, d)."""
        if self.dependence is None:
            return np.zeros((len(rows), 0), dtype=bool)
        return self.dependence.deviates(rows)

    def estimable_weights(self, rows: FloatArray) -> FloatArray:
        """Return W so that W L spans what the data determine of rows of L, (m, k)."""
        if self.dependence is None:
            return np.eye(len(rows))
        return self.dependence.estimable_weights(rows)

    def standard(self, rows: FloatArray) -> FloatArray:
        """Return rows S with SS' the covariance of Lβ̂, (k, p)."""
        sizes, vectors = np.linalg.eigh(self.of_basis)
        root = vectors * np.sqrt(np.maximum(sizes, 0.0))
        return np.asarray(rows[:, list(self.kept)] @ self.basis @ root)

    def with_offset(self, rows: FloatArray, offset: FloatArray) -> tuple["FixedTests", FloatArray]:
        """Return tests of Lβ + o by one further effect, 1 without an error, and its rows.

        For joint tests, which do not ask what the data determine.
        """
        end, p = np.array([1.0]), len(self.names)
        own_df = self.coefficient_df
        tests = replace(
            self,
            names=(*self.names, "offset"),
            kept=(*self.kept, p),
            estimate=np.concatenate([self.estimate, end]),
            basis=np.concatenate([self.basis, np.zeros((1, self.basis.shape[1]))]),
            dependence=None,
            coefficient_df=None if own_df is None else np.concatenate([own_df, np.inf * end]),
        )
        return tests, np.column_stack([rows, offset])

    @property
    def covariance(self) -> FloatArray:
        """Covariance matrix of the estimates, (p, p)."""
        return self.basis @ self.of_basis @ self.basis.T

    def df(self, rows: FloatArray) -> FloatArray:
        """Degrees of freedom of the t test of each row over the kept effects, (k, p) to (k,)."""
        if self.sample is not None:
            return kernel.df(self.sample, rows @ self.basis)
        if self.coefficient_df is not None:
            # Of a combination the least of those in it
            return np.where(rows != 0, self.coefficient_df, np.inf).min(axis=1)
        assert self.method.of_residual is not None
        return np.full(len(rows), self.method.of_residual(self.residual_df))

    def moments(self, rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return Lβ̂, its standard errors and degrees of freedom, of L over all fixed effects."""
        kept = rows[:, list(self.kept)]
        own = kept @ self.basis
        error = np.sqrt(np.einsum("kp,pq,kq->k", own, self.of_basis, own))
        with np.errstate(divide="ignore", invalid="ignore"):
            return kept @ self.estimate, error, self.df(kept)

    def t_tests(self, rows: FloatArray, level: float, offset: Any = 0.0) -> pd.DataFrame:
        """Return Lβ̂ + o with errors, tests against 0 and intervals, a frame with k rows."""
        estimate, error, df = self.moments(rows)
        estimate = estimate + offset
        with np.errstate(divide="ignore", invalid="ignore"):
            t = estimate / error
            half = distributions.t.ppf(0.5 + level / 2.0, df) * error
        columns = {"estimate": estimate, "std_error": error, "df": df, "t": t}
        columns["p_value"] = 2.0 * distributions.t.sf(np.abs(t), df)
        return pd.DataFrame({**columns, "lower": estimate - half, "upper": estimate + half})

    def t_table(self, rows: FloatArray, index: list[Any] | range, level: float) -> pd.DataFrame:
        """Test each row of a matrix over all fixed effects."""
        table = self.t_tests(rows, level).set_axis(pd.Index(index), axis=0)
        if self.is_generalized:
            table = table.drop(columns="df").rename(columns={"t": "z"})
        is_there = rows[:, list(self.kept)].any(axis=1)
        return table.where(pd.Series(is_there, index=index), axis=0)

    def f_table(
        self, terms: Mapping[Any, FloatArray], *, has_squares: bool = False
    ) -> pd.DataFrame:
        """Test each matrix over all fixed effects, by F or in a generalized model by χ².

        With `has_squares`, sums and mean squares stand before F where there is one σ²: σ² times
        the Wald statistic, and that by row (as in lmerTest).
        """
        out = [self._f(rows[:, list(self.kept)]) for rows in terms.values()]
        columns = ["wald", "df_num", "df_den", "F", "p_value"]
        table = pd.DataFrame(out, index=list(terms), columns=columns)
        wald = table.pop("wald")
        if self.is_generalized:
            names = {"chi2": wald, "df": table["df_num"], "p_value": table["p_value"]}
            return pd.DataFrame(names)
        if has_squares and self.sigma_squared is not None:
            table.insert(0, "sum_sq", self.sigma_squared * wald)
            table.insert(1, "mean_sq", table["sum_sq"] / table["df_num"])
        return table

    def _f(self, rows: FloatArray) -> tuple[float, int, float, float, float]:
        """Return Wald's statistic, the degrees of freedom, F and the p value."""
        rows = _independent(rows, self.basis, self.of_basis)
        q, own = len(rows), rows @ self.basis
        if not q or not self._has_rank(q):
            return np.nan, q, np.nan, np.nan, np.nan
        if self.sample is None or self.method.joint is None:
            df, scale = float(self.df(rows).min()), 1.0
        else:
            df, scale = kernel.joint_df(self.method.joint, self.sample, own)
        value = rows @ self.estimate
        wald = float(value @ np.linalg.solve(own @ self.of_basis @ own.T, value))
        f = scale * wald / q
        tail = distributions.f.sf(f, q, df) if np.isfinite(df) else distributions.chi2.sf(q * f, q)
        return wald, q, df, f, float(tail)

    def _has_rank(self, q: int) -> bool:
        """Whether the covariance tells q effects apart."""
        if q <= self.rank:
            return True
        warn(
            f"robust={self.robust!r} tells at most {self.rank:.0f} effects apart, one less than "
            f"there are subjects, and {q} are tested at once: that test is NaN. Test fewer at "
            "once, or leave robust out.",
            NotEstimableWarning,
        )
        return False


def _independent(rows: FloatArray, basis: FloatArray, of_basis: FloatArray) -> FloatArray:
    """Return the rows themselves if they are independent, else principal components of them.

    The rank is judged in standard errors, in which neither the units of the columns
    nor the lengths of the rows count.
    """
    if len(rows) <= 1:
        return rows
    scaled = rows * np.sqrt(np.einsum("kp,pq,kq->k", basis, of_basis, basis))
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    sizes = np.linalg.svd(scaled / np.where(lengths > 0, lengths, 1.0), compute_uv=False)
    rank = int((sizes > INDEPENDENT * sizes[0]).sum())
    if rank == len(rows):
        return rows
    own = rows @ basis
    _, vectors = np.linalg.eigh(own @ of_basis @ own.T)
    return np.asarray(vectors[:, len(rows) - rank :].T @ rows)


def method_of(
    model: FittedModel, ddf: str | None, choices: Collection[str] = DDF
) -> DegreesOfFreedom:
    """Return the method of the name `ddf`, or for None the usual one of a fit.

    The usual one is Satterthwaite's; without groups it is exact, from the residual
    degrees of freedom; after a fit by the iterative engine it would take a dense
    factorization, and tests and intervals are normal, with a warning.
    """
    if ddf is not None:
        ddf = validation.chosen("ddf", ddf, choices, DDF_OF_R)
    if model.is_generalized:
        if ddf not in (None, "normal"):
            raise ValueError(
                f"ddf={ddf!r} is for linear models: the tests of a generalized model are normal, "
                "without degrees of freedom. Leave ddf out."
            )
        return DDF["normal"]
    if ddf is not None:
        return DDF[ddf]
    if not model.encoder.factors and not model.is_repeated:
        return DDF["residual"]
    if not model.at_fit.is_iterative:
        return DDF["satterthwaite"]
    warn(
        "The iterative solver fitted the model, without the factorization that Satterthwaite's "
        "degrees of freedom need: tests and intervals are normal. ddf='normal' says that this is "
        "meant; ddf='satterthwaite' factorizes, which may take minutes.",
        NormalIntervalsWarning,
    )
    return DDF["normal"]


def open_tests(model: Any, ddf: str | None, robust: str | None = None) -> FixedTests:
    """Open a fitted estimator for tests with degrees of freedom `ddf`, or None for the usual.

    `robust`: the kind of a sandwich estimate of the covariance, or None for the model's.
    """
    view = fitted(model, has_family=True)
    if view.is_generalized and robust is not None:
        raise ValueError(
            f"robust={robust!r} is for linear models with a residual covariance. Leave it out."
        )
    # Those of a sandwich estimate are Satterthwaite's
    usual = "satterthwaite" if ddf is None and robust is not None else ddf
    method, solution = method_of(view, usual), view.solution
    if method.needs_reml and not solution.reml:
        raise ValueError(
            "Kenward and Roger's method needs a REML fit, and this model was fitted by maximum "
            "likelihood. Fit it with method='reml', or use ddf='satterthwaite'."
        )
    p = len(solution.kept)
    sample: SmallSample | RobustSample | None = None
    of_basis = np.eye(p)
    if robust is not None:
        sample = _robust(view, method, robust)
        of_basis = sample.adjusted
    elif method.sample is not None and view.is_repeated:
        sample = kernel.repeated_sample(method.name, view.repeated)
        of_basis = sample.adjusted
    elif method.sample is not None:
        system = view.factorization.system
        sample = kernel.small_sample(method.sample, view.relative, system, view.model)
        of_basis = view.sigma_squared * sample.adjusted
    return replace(
        by_information(view, method),
        basis=solution.fixed_root if sample is None else sample.basis,
        of_basis=of_basis,
        sample=sample,
        coefficient_df=_of_subjects(view) if method.of_subjects else None,
        robust=robust,
        # Scores of m subjects add up to 0
        rank=np.inf if robust is None else view.repeated.layout.system.n_blocks - 1,
    )


def by_information(view: FittedModel, method: DegreesOfFreedom) -> FixedTests:
    """Return tests by the covariance that the fit has found, which need no statistics."""
    solution = view.solution
    p = len(solution.kept)
    return FixedTests(
        names=view.encoder.fixed_names,
        kept=solution.kept,
        estimate=solution.fixed[list(solution.kept)],
        basis=solution.fixed_root,
        of_basis=np.eye(p),
        method=method,
        residual_df=float(view.n_rows - p),
        sample=None,
        has_intercept=view.model.has_intercept,
        dependence=solution.dependence,
        is_generalized=view.is_generalized,
        sigma_squared=None if view.is_repeated or view.is_generalized else solution.sigma**2,
        link=view.family.link_name if view.is_generalized else "",
    )


def _robust(view: FittedModel, method: DegreesOfFreedom, kind: str) -> RobustSample:
    """Return a sandwich estimate, and the degrees of freedom of its t tests."""
    kind = validation.chosen("robust", kind, ROBUST)
    if method.name != "satterthwaite":
        raise ValueError(
            f"ddf={method.name!r} is no method for robust={kind!r}, whose degrees of freedom are "
            "Satterthwaite's by Bell and McCaffrey. Leave ddf out."
        )
    if view.encoder.subjects is None:
        raise ValueError(
            f"robust={kind!r} needs the rows of subjects, which this model has not kept. Fit it "
            "with residual=ResidualCovariance('independent', subject=...), the same model with "
            "its rows."
        )
    if view.repeated.layout.system.n_outer:
        raise ValueError(
            f"robust={kind!r} needs subjects that are independent of each other, but random "
            "effects are shared by several. Leave these out of `groups`."
        )
    if view.repeated.layout.system.n_blocks < 2:
        raise ValueError(
            f"robust={kind!r} is by how independent subjects differ, and all rows are of one. "
            "Leave robust out: the standard errors are then those of the residual covariance."
        )
    return kernel.robust_sample(view.repeated, kind)


def _of_subjects(view: FittedModel) -> FloatArray:
    subjects, rows = view.encoder.subjects, view.rows
    if subjects is None or subjects.subject is None or rows is None:
        raise ValueError(
            "ddf='between-within' needs subjects, which a residual covariance names. Fit with "
            "residual=ResidualCovariance(..., subject=...)."
        )
    fixed = [view.encoder.fixed[k] for k in view.solution.kept]
    df = rows.between_within(fixed)
    if (df <= 0).any():
        names = ", ".join(repr(view.encoder.column_name(fixed[k])) for k in np.flatnonzero(df <= 0))
        warn(
            f"ddf='between-within' leaves {names} no degrees of freedom: there are as many such "
            "effects as subjects, or as rows within these. Their tests and intervals are NaN. Use "
            "ddf='satterthwaite'.",
            NotEstimableWarning,
        )
    return df
