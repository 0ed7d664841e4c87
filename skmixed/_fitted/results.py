"""Estimates with their names: the frames that a fitted estimator shows.

What fit sets is declared in `FittedAttributes`. The other attributes are properties:
computed at each look, so that nothing stale is kept or pickled, and raising only
AttributeError, since notebooks read them all.
"""

from collections.abc import Callable, Iterator, Mapping
from inspect import get_annotations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.encoder import Encoder
from skmixed._estimation.fit import Estimate
from skmixed._estimation.solution import ResidualSolution, Solution
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.saved_model import CLASSES, check_model, slim
from skmixed._model.covariance import has_covariances
from skmixed._model.time_points import TimePoints
from skmixed._saved.state import PlainState
from skmixed._typing import FloatArray
from skmixed.exceptions import FitStatus

RESIDUAL = "residual"
UNCONVERGED = FitStatus.MAX_ITER, FitStatus.UNDETERMINED, FitStatus.SEPARATED
# Times up to which all correlations are shown, lags and strata shown, and times with a matrix.
MOST_TIMES, MOST_LAGS, MOST_STRATA, MOST_ENTRIES = 10, 8, 6, 1000


class RandomEffects(Mapping[str, pd.DataFrame]):
    """BLUPs by grouping factor, each frame built when it is looked up."""

    def __init__(self, encoder: Encoder, solution: Solution) -> None:
        self._encoder = encoder
        self._solution = solution

    def __getitem__(self, group: str) -> pd.DataFrame:
        position = factor_names(self._encoder).index(group) if group in self else -1
        if position < 0:
            raise KeyError(group)
        parts = [
            (self._encoder.coefficient_names(term), solution.effects)
            for term, solution in zip(self._encoder.terms, self._solution.terms, strict=True)
            if term.factor == position
        ]
        return pd.DataFrame(
            np.concatenate([effects for _, effects in parts]).T,
            index=self._encoder.factors[position].index,
            columns=[name for names, _ in parts for name in names],
        )

    def __iter__(self) -> Iterator[str]:
        return iter(factor_names(self._encoder))

    def __len__(self) -> int:
        return len(self._encoder.factors)

    def __contains__(self, group: object) -> bool:
        return group in factor_names(self._encoder)

    def __repr__(self) -> str:
        sizes = [f"{f.name!r}: {f.n_levels} levels" for f in self._encoder.factors]
        return f"RandomEffects({', '.join(sizes)})"


def factor_names(encoder: Encoder) -> list[str]:
    return [factor.name for factor in encoder.factors]


def covariances(encoder: Encoder, solution: Solution) -> dict[str, pd.DataFrame]:
    """Covariance of one level's effects, by grouping factor."""
    out = {}
    for position, factor in enumerate(encoder.factors):
        names, size = [], sum(len(t.columns) for t in encoder.terms if t.factor == position)
        matrix, start = np.zeros((size, size)), 0
        for term, estimate in zip(encoder.terms, solution.terms, strict=True):
            if term.factor == position:
                own = slice(start, start + len(term.columns))
                matrix[own, own] = covariance_of(estimate.lam, solution.sigma)
                names += encoder.coefficient_names(term)
                start = own.stop
        out[factor.name] = pd.DataFrame(matrix, index=names, columns=names)
    return out


def variance_components(encoder: Encoder, solution: Solution) -> pd.DataFrame:
    """One row a random coefficient and one for the residual."""
    rows, widest = [], 0
    for term, estimate in zip(encoder.terms, solution.terms, strict=True):
        covariance = covariance_of(estimate.lam, solution.sigma)
        correlations = _correlations(covariance, is_known=has_covariances(term.structure))
        widest = max(widest, len(correlations) - 1)
        group = encoder.factors[term.factor].name
        for k, name in enumerate(encoder.coefficient_names(term)):
            variance = float(covariance[k, k])
            rows.append([group, name, variance, np.sqrt(variance), *correlations[k, :k]])
    residual = residual_components(encoder, solution)
    widest = max(widest, max((len(row) for row in residual), default=0) - 4)
    rows += residual
    corr = ["corr", *(f"corr{k}" for k in range(2, widest + 1))]
    padded = [row + [np.nan] * (4 + len(corr) - len(row)) for row in rows]
    frame = pd.DataFrame(padded, columns=["group", "name", "variance", "sd", *corr])
    others = {} if solution.residual is None else solution.residual.of_sizes
    for name, values in others.items():
        frame[name] = np.append(np.full(len(frame) - len(values), np.nan), values)
    return frame


def residual_components(encoder: Encoder, solution: Solution) -> list[list[Any]]:
    """One row for each variance of the residuals: group, name, variance, sd, correlations.

    With a variance for each time, the correlations are those with the times before; else
    they are the parameters, of which a structure may have one for each number of steps.
    None for a generalized model.
    """
    if solution.family is not None:
        return []
    if solution.residual is None:
        return [[RESIDUAL, "", solution.sigma**2, solution.sigma]]
    out: list[list[Any]] = []
    own = solution.residual
    if own.model.variance.is_of_visits:
        for stratum, matrix in residual_covariances(encoder, solution).items():
            values = matrix.to_numpy()
            sd = np.sqrt(np.diagonal(values))
            corr = values / np.outer(sd, sd)
            for k, visit in enumerate(matrix.index.astype(str)):
                name = f"{visit}" if stratum is None else f"{stratum}:{visit}"
                out.append([RESIDUAL, name, sd[k] ** 2, sd[k], *corr[k, :k]])
        return out
    for stratum, phi in zip(residual_strata(encoder), own.phi, strict=True):
        of_sd, of_corr = own.model.split(phi)
        size = float(np.exp(of_sd[0]))
        shown = own.model.correlation.shown(of_corr, own.model.m)
        rho = [value for name, value in shown.items() if name.startswith("corr")]
        out.append([RESIDUAL, "" if stratum is None else f"{stratum}", size**2, size, *rho])
    return out


def residual_strata(encoder: Encoder) -> list[Any]:
    """Return the labels of the strata; None where there is one."""
    by = None if encoder.subjects is None else encoder.subjects.by
    return [None] if by is None else list(by.index)


def residual_times(encoder: Encoder, own: ResidualSolution) -> pd.Index:
    """Return the labels of times in their order; numbers from 1 without times."""
    subjects = encoder.subjects
    assert subjects is not None
    if subjects.time is None:
        return pd.RangeIndex(1, own.model.m + 1)
    timeline = subjects.timeline()
    return subjects.time.index[np.lexsort((timeline.position, timeline.rank))]


def residual_covariances(encoder: Encoder, solution: Solution) -> dict[Any, pd.DataFrame]:
    """Covariance of the residuals at all times by stratum; in one place without times."""
    own, subjects = solution.residual, encoder.subjects
    assert own is not None
    assert subjects is not None
    timeline, index = subjects.timeline(), residual_times(encoder, own)
    if len(index) > MOST_ENTRIES:
        raise AttributeError(
            f"Residuals at {len(index):,} times have no matrix that is shown. See "
            "variance_components_, and skmixed.diagnostics.residual_correlation."
        )
    places = own.model.all_visits
    if subjects.time is not None:
        places = timeline.places(np.lexsort((timeline.position, timeline.rank))[None])
    frames = (own.matrix(k, places)[0] for k in range(len(own.phi)))
    matrices = (pd.DataFrame(frame, index=index, columns=index) for frame in frames)
    return dict(zip(residual_strata(encoder), matrices, strict=True))


def residual_correlations(encoder: Encoder, solution: Solution) -> dict[str, pd.DataFrame]:
    """Correlations of the residuals to read, by title: over few times in full, else by lag.

    Empty where they are 0 or one number, and of many times whose correlations are not
    those of lags.
    """
    own, subjects = solution.residual, encoder.subjects
    if own is None or subjects is None or subjects.time is None:
        return {}
    kind = own.model.correlation.time
    if kind == "none":
        return {}
    title, strata = "Residual correlation", residual_strata(encoder)[:MOST_STRATA]
    if own.model.m > MOST_TIMES or subjects.time.n_levels > MOST_TIMES or own.is_plane:
        if kind not in ("steps", "distance"):
            return {}
        by_lag = pd.DataFrame([_by_lag(encoder, own, k) for k in range(len(strata))])
        by_lag.index = pd.Index(["" if label is None else f"{label}" for label in strata])
        return {f"{title} by lag in {subjects.time.name}": by_lag}
    found = residual_covariances(encoder, solution)
    titles = [title if label is None else f"{title}, {label}" for label in strata]
    times = residual_times(encoder, own).astype(str)  # of dates without hours
    matrices = [found[label].set_axis(times).set_axis(times, axis=1) for label in strata]
    sds = [np.sqrt(np.diagonal(own)) for own in matrices]
    pairs = zip(titles, matrices, sds, strict=True)
    return {name: own.div(sd, axis=0).div(sd, axis=1) for name, own, sd in pairs}


def _by_lag(encoder: Encoder, own: ResidualSolution, stratum: int) -> pd.Series:
    """Return the correlations at some lags: the first steps, or parts of the whole time."""
    assert encoder.subjects is not None
    timeline = encoder.subjects.timeline()
    lags = np.arange(1.0, MOST_LAGS + 1)
    if own.model.correlation.time == "distance":
        # Of places too, whose coordinates are the parts of complex numbers
        widths = np.ptp(timeline.position.real), np.ptp(timeline.position.imag)
        lags *= np.hypot(*widths) / MOST_LAGS
    position = np.append(0.0, lags)[None]
    places = TimePoints(np.zeros(position.shape, dtype=np.intp), position, np.zeros(position.shape))
    first = own.matrix(stratum, places)[0, 0]
    return pd.Series(first[1:] / first[0], index=[f"{lag * timeline.unit:.3g}" for lag in lags])


def monte_carlo_errors(encoder: Encoder, estimate: Estimate) -> pd.DataFrame:
    """One row a random coefficient: the Monte Carlo error of its sd."""
    rows, found = [], estimate.monte_carlo
    for k, (term, own) in enumerate(zip(encoder.terms, estimate.solution.terms, strict=True)):
        sd = np.sqrt(np.diagonal(covariance_of(own.lam, estimate.solution.sigma)))
        error = np.zeros_like(sd) if found is None else sd * found.sd_errors[k]
        group = encoder.factors[term.factor].name
        rows += [[group, *row] for row in zip(encoder.coefficient_names(term), error, strict=True)]
    return pd.DataFrame(rows, columns=["group", "name", "sd_error"])


def covariance_of(lam: FloatArray, sigma: float) -> FloatArray:
    """Return σ²λλ', on the scale of the data."""
    scaled = sigma * lam
    return np.asarray(scaled @ scaled.T)


def _correlations(covariance: FloatArray, *, is_known: bool) -> FloatArray:
    if not is_known:
        return np.full_like(covariance, np.nan)
    sd = np.sqrt(np.diagonal(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.clip(covariance / np.outer(sd, sd), -1.0, 1.0))


def results(model: FittedModel, n_features: int) -> dict[str, Any]:
    """Return the attributes that a fit sets beside its columns' names and number."""
    encoder, estimate = model.encoder, model.at_fit.estimate
    solution = estimate.solution
    first = int(encoder.fixed[:1] == (0,))
    coef = np.zeros(n_features)
    coef[[encoder.numeric[c - 1] for c in encoder.fixed[first:]]] = solution.fixed[first:]
    return {
        "coef_": coef,
        "intercept_": float(solution.fixed[0]) if first else 0.0,
        "sigma_": solution.sigma,
        "theta_": solution.theta,
        "criterion_": solution.criterion,
        "converged_": estimate.status not in UNCONVERGED,
        "singular_": solution.is_singular,
        "status_": estimate.status.value,
        "n_iter_": estimate.n_iter,
        "n_factorizations_": estimate.n_factorizations,
    }


class SharedAttributes(PlainState):
    """The properties of every fitted model, and how it is saved."""

    _parts = ("_model",)
    _classes = CLASSES
    _model: FittedModel
    _publish: Callable[[], None]
    n_features_in_: int

    # Stands in a module of its own.
    slim = slim

    @property
    def fixed_effects_(self) -> pd.Series:
        """Fixed effects by name, the intercept first; 0 for dropped columns."""
        model = self._need("fixed_effects_")
        return pd.Series(model.solution.fixed.copy(), index=list(model.encoder.fixed_names))

    @property
    def random_effects_(self) -> Mapping[str, pd.DataFrame]:
        """BLUPs: grouping factor → frame of levels × coefficients.

        With those that `update_groups` has learned.
        """
        self._need("random_effects_")
        return RandomEffects(self._model.encoder, self._model.solution)

    @property
    def covariances_(self) -> dict[str, pd.DataFrame]:
        """Covariance of one group's effects by factor, on the scale of the data."""
        model = self._need("covariances_")
        return covariances(model.encoder, model.solution)

    @property
    def variance_components_(self) -> pd.DataFrame:
        """Variances: columns group, name, variance, sd, corr.

        ``corr`` is the correlation with the term's first coefficient; terms of
        three and more have those with the second in ``corr2``, and so on.
        """
        model = self._need("variance_components_")
        return variance_components(model.encoder, model.solution)

    @property
    def log_likelihood_(self) -> float:
        """Log-likelihood (ML) or restricted log-likelihood (REML)."""
        return -0.5 * self._need("log_likelihood_").solution.criterion

    @property
    def aic_(self) -> float:
        """Akaike's criterion; counts the rank of X, all of θ, and σ."""
        solution = self._need("aic_").solution
        return solution.criterion + 2.0 * solution.n_parameters

    @property
    def bic_(self) -> float:
        """Schwarz's criterion, with the number of samples under REML too."""
        fit = self._need("bic_")
        return float(fit.solution.criterion + np.log(fit.n_rows) * fit.solution.n_parameters)

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        check_model(parts["_model"], state.get("n_features_in_"))

    def _after_loading(self) -> None:
        self._publish()  # in the form of this version

    def _need(self, attribute: str) -> FittedModel:
        """Return the fit, or say as an attribute error that there is none."""
        if "_model" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {attribute!r} before fit."
            )
        return self._model.at_fit


class FittedAttributes(SharedAttributes):
    """The properties of a fitted `MixedLinearRegressor`."""

    # What fit sets. Other names, such as a subclass sets before, are left alone.
    _model: FittedModel
    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    _response_name: str | None
    coef_: FloatArray
    intercept_: float
    sigma_: float
    theta_: FloatArray
    criterion_: float
    converged_: bool
    singular_: bool
    status_: str
    n_iter_: int
    n_factorizations_: int

    @property
    def residual_covariance_(self) -> pd.DataFrame:
        """Covariance of one subject's residuals, times × times, stratum by stratum.

        Only of models with a residual covariance, of up to a thousand times.
        """
        model = self._need("residual_covariance_")
        if not model.is_repeated:
            why = "the rows do not determine it yet" if model.encoder.subjects else "residual=None"
            raise AttributeError(f"This {type(self).__name__} has no residual covariance: {why}.")
        found = residual_covariances(model.encoder, model.solution)
        return found[None] if None in found else pd.concat(found)

    @property
    def solver_(self) -> str:
        """The solver used: "exact" or "iterative"."""
        return self._need("solver_").estimate.solver

    @property
    def monte_carlo_errors_(self) -> pd.DataFrame:
        """Monte Carlo errors of the iterative solver; 0 of the exact one.

        Columns group, name, sd_error: standard errors of the random effects' sd's,
        on their scale. They come on top of the sampling errors.
        """
        model = self._need("monte_carlo_errors_")
        return monte_carlo_errors(model.encoder, model.estimate)

    @property
    def criterion_error_(self) -> float:
        """Monte Carlo standard error of the criterion; 0 of the exact solver."""
        found = self._need("criterion_error_").estimate.monte_carlo
        return 0.0 if found is None else found.criterion_error

    def _publish(self) -> None:
        """Set the attributes that show the model."""
        self.__dict__.update(results(self._model, self.n_features_in_))


FittedAttributes.set_by_fit = frozenset(get_annotations(FittedAttributes))
