"""New responses drawn from a fitted model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from skmixed._data.grouping_factor import GroupingFactor, combine
from skmixed._data.labels import learn_levels
from skmixed._fitted import checks as validation
from skmixed._fitted import kernel
from skmixed._fitted.fitted_model import FittedModel
from skmixed._fitted.prediction_rows import GivenRows, open_rows
from skmixed._fitted.runtime import seed_sequence, spawned
from skmixed._repeated.prediction import NewRows
from skmixed._typing import Draw, FloatArray, IntArray
from skmixed._uncertainty.draws import ResidualSampler
from skmixed.typing import SampledEffects

EFFECTS = ("conditional", "new")
# Numbers of the residuals of samples that are drawn at a time.
BATCH = 2**21


def sample_y(
    self: Any,
    X: Any,
    n_samples: int = 1,
    random_state: Any = 0,
    *,
    effects: SampledEffects = "conditional",
    sample_weight: ArrayLike | None = None,
    groups: Any = None,
) -> FloatArray:
    """Draw new responses for the rows of X.

    Parameters
    ----------
    X : frame or array-like of shape (n_rows, n_features)
        Samples with the columns that `fit` was given.
    n_samples : int, default=1
        The number of responses that are drawn for each row.
    random_state : int, RandomState, Generator or None, default=0
        An int gives the same samples at each call.
    effects : {"conditional", "new"}, default="conditional"
        "conditional" draws the effects of known groups, and the fixed
        effects, given the data; those of unknown groups from N(0, Σ).
        "new" draws all groups from N(0, Σ), as if none were known, around
        the estimated fixed effects.
    sample_weight : array-like of shape (n_rows,), default=None
        Precision weights of the new responses, positive; None: all 1.
    groups : array-like of shape (n_rows,) or frame, default=None
        Grouping columns, where `fit` was given them beside X.

    Returns
    -------
    ndarray of shape (n_rows, n_samples)
        Responses, on the scale of y. Within a sample, rows of one group
        share its effect, of an unknown group too; rows whose group is
        missing have one each.

    Raises
    ------
    ValueError
        If a parameter or X is not as above, or a group is unknown and
        ``handle_unknown="error"``, with "conditional"; or if a residual covariance does not
        extend to the times in X.
    TypeError
        If a parameter is of the wrong kind.

    See Also
    --------
    predict_interval : Intervals, one row at a time.
    skmixed.inference.confidence_intervals : Parametric bootstrap intervals.

    Notes
    -----
    "conditional" is the posterior predictive distribution with a flat prior
    of β: (b, β) from N((b̂, β̂), σ²TC⁻¹T'), the joint covariance of the
    mixed-model equations [1]_, and ε from N(0, σ²/w). Its spread is that of a
    prediction interval for an observation.
    "new" is the parametric bootstrap, lme4's ``simulate(use.u = FALSE)``.
    In both, the variances are taken as estimated.

    With a residual covariance the residuals of one subject's rows are drawn jointly.
    With "conditional" those of a known subject at times that are not of the fit are drawn
    given its residuals in the fit, as `predict_interval` has them; rows of the fit are
    measured again: given the effects, but with new residuals. Rows at one subject and time
    have one residual.

    Sample j depends on `random_state` and j alone, and without a residual covariance the
    responses of some first rows do not depend on the rows behind them. A sample costs a
    pass over the groups and one over the rows; beside the result, memory
    for a few columns.

    References
    ----------
    .. [1] Henderson, C. R. (1975). Best linear unbiased estimation and prediction
       under a selection model. Biometrics 31, 423–447, doi:10.2307/2529430.

    Examples
    --------
    >>> from skmixed import MixedLinearRegressor
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y = load_sleepstudy(return_X_y=True, as_frame=True)
    >>> model = MixedLinearRegressor("Subject", random_slopes="Days").fit(X, y)
    >>> known = model.sample_y(X.tail(1), 1000)
    >>> new = model.sample_y(X.tail(1), 1000, effects="new")
    >>> round(float(known.std())), round(float(new.std()))
    (30, 66)
    """
    check_is_fitted(self)
    validation.check_choice("effects", effects, EFFECTS)
    validation.check_number("n_samples", n_samples, integral=True)
    seeds = spawned(seed_sequence(random_state), n_samples)
    rows = open_rows(self, X, groups)
    validation.check_draws(n_samples, rows.n_rows)
    sampler = _Sampler.of(rows, sample_weight, is_conditional=effects == "conditional")
    out = np.empty((n_samples, rows.n_rows))
    for start in range(0, n_samples, sampler.batch):
        batch = out[start : start + sampler.batch]
        sampler.draw(batch, list(islice(seeds, len(batch))))
    return out.T


@dataclass(frozen=True)
class _Places:
    """Rows of one factor: the level of each, `n_new` of them behind the known ones."""

    codes: IntArray
    n_new: int


@dataclass(frozen=True)
class MeanSampler:
    """Rows, ready for draws of Xβ + Zb.

    Attributes
    ----------
    opened : FittedModel
    columns : tuple of (n,) arrays
        The numeric columns of X.
    places : tuple of _Places
        Of each factor.
    is_conditional : bool
    """

    opened: FittedModel
    columns: tuple[FloatArray, ...]
    places: tuple[_Places, ...]
    is_conditional: bool

    @staticmethod
    def of(rows: GivenRows, *, is_conditional: bool) -> MeanSampler:
        encoder = rows.fitted.encoder
        return MeanSampler(
            opened=rows.fitted,
            columns=encoder.numeric_columns(rows.table),
            places=tuple(
                _places(rows, k, is_conditional=is_conditional) for k in range(len(encoder.factors))
            ),
            is_conditional=is_conditional,
        )

    def streams(self, seed: np.random.SeedSequence) -> list[np.random.Generator]:
        """Return what draws the known effects, the responses, and the new effects of factors.

        Each kind of number has a stream of its own, so that the first rows are
        the same whatever follows them.
        """
        return list(map(np.random.default_rng, seed.spawn(2 + len(self.places))))

    def known(self, rng: np.random.Generator) -> Draw:
        """Draw the fixed effects and those of known groups, none unless conditional."""
        opened, solution = self.opened, self.opened.solution
        if not self.is_conditional:
            return solution.fixed, [np.empty((len(t.lam), 0)) for t in solution.terms]
        if opened.is_generalized:
            deviation = kernel.generalized_deviation(opened.generalized, rng)
        elif opened.is_repeated:
            deviation = kernel.repeated_deviation(opened.repeated, rng)
        else:
            sigma, at = float(np.sqrt(opened.sigma_squared)), opened.factorization
            deviation = kernel.draw_deviation(at, opened.model, sigma, rng)
        fixed = solution.fixed.copy()
        fixed[list(solution.kept)] += deviation.fixed
        pairs = zip(solution.terms, deviation.effects, strict=True)
        return fixed, [term.effects + own for term, own in pairs]

    def add_means(self, out: FloatArray, draw: Draw, new: Sequence[np.random.Generator]) -> None:
        """Add Xβ + Zb to a sample, with the effects of new levels drawn."""
        encoder, (fixed, effects) = self.opened.encoder, draw
        self._add(out, encoder.fixed, fixed)
        for k, (places, rng) in enumerate(zip(self.places, new, strict=True)):
            for index, fresh in self._new(k, places.n_new, rng):
                both = np.concatenate([effects[index], fresh], axis=1)
                self._add(out, encoder.terms[index].columns, both[:, places.codes])

    def _new(
        self, k: int, n_new: int, rng: np.random.Generator
    ) -> Iterator[tuple[int, FloatArray]]:
        """Draw the effects of new levels of factor k: each of its terms, and (s, n_new)."""
        solution = self.opened.solution
        own = [i for i, term in enumerate(self.opened.encoder.terms) if term.factor == k]
        ends = np.cumsum([len(solution.terms[i].lam) for i in own])
        spherical = rng.standard_normal((n_new, ends[-1]))  # level by level
        for index, part in zip(own, np.split(spherical, ends[:-1], axis=1), strict=True):
            yield index, kernel.times_lam(solution.sigma * solution.terms[index].lam, part)

    def _add(self, out: FloatArray, used: tuple[int, ...], coefficients: Any) -> None:
        """Add coefficients, of all rows or of each, times the columns `used`."""
        # One by one, and not by a matrix product: a row is the same among others.
        for column, own in zip(used, coefficients, strict=True):
            out += own * self.columns[column - 1] if column else own


@dataclass(frozen=True)
class _Sampler:
    """Rows, ready for draws of their responses.

    Attributes
    ----------
    means : MeanSampler
    sd : (n,) array
        Standard deviations of ε, or with a residual covariance what its numbers for a row
        of weight 1 are multiplied by.
    residuals : ResidualSampler or None
        What draws ε of a model with a residual covariance.
    powers : (n,) array or None
        The power of abs(Xβ + Zb) that ε is multiplied by, where variances are by fitted values.
    """

    means: MeanSampler
    sd: FloatArray
    residuals: ResidualSampler | None
    powers: FloatArray | None

    @staticmethod
    def of(rows: GivenRows, sample_weight: Any, *, is_conditional: bool) -> _Sampler:
        opened = rows.fitted
        weights = _positive_weights(sample_weight, rows.n_rows)
        sigma, residuals, powers = opened.solution.sigma, None, None
        if opened.is_repeated:
            new = rows.new_rows()
            if opened.has_fitted_power:
                # Fitted values of 1 here: each draw has the power of its own mean
                new = new.with_sizes(np.ones(rows.n_rows))
                powers = opened.repeated_predictor.powers(new)
            sigma, residuals = 1.0, _residual_sampler(rows, new, is_conditional=is_conditional)
        means = MeanSampler.of(rows, is_conditional=is_conditional)
        return _Sampler(means, sigma / np.sqrt(weights), residuals, powers)

    @property
    def batch(self) -> int:
        """Samples that are drawn at a time: residuals of subjects are more columns of numbers."""
        if self.residuals is None:
            return 1
        return max(BATCH // max(len(self.residuals.inverse), 1), 1)

    def draw(self, out: FloatArray, seeds: Sequence[np.random.SeedSequence]) -> None:
        """Fill `out`, (s, n), with draws."""
        draws, streams = [], []
        for sample, seed in zip(out, seeds, strict=True):
            known, noise, *new = self.means.streams(seed)
            sample[:] = noise.standard_normal(len(sample))
            draws.append(self.means.known(known))
            streams.append(new)
        if self.residuals is not None:
            errors = np.array([self._errors(draw, self.residuals.seen) for draw in draws])
            out[:] = self.residuals.drawn(errors, out)
        out *= self.sd
        for sample, draw, new in zip(out, draws, streams, strict=True):
            if self.powers is None:
                self.means.add_means(sample, draw, new)
                continue
            error = sample.copy()
            sample[:] = 0.0
            self.means.add_means(sample, draw, new)
            sample += np.abs(sample) ** self.powers * error

    def _errors(self, draw: Draw, rows: IntArray) -> FloatArray:
        """Return √w(y − Xβ − Zb) of rows of the fit, (k,)."""
        encoder, given = self.means.opened.encoder, self.means.opened.rows
        assert given is not None
        own, (fixed, effects) = given.taken(rows), draw
        out = own.response.copy()
        columns = [np.ones(len(out)), *own.columns.T]
        for column, value in zip(encoder.fixed, fixed, strict=True):
            out -= value * columns[column]
        for term, values in zip(encoder.terms, effects, strict=True):
            for column, value in zip(term.columns, values, strict=True):
                out -= value[own.levels[:, term.factor]] * columns[column]
        return np.asarray(out * np.sqrt(own.weights))


def _residual_sampler(rows: GivenRows, new: NewRows, *, is_conditional: bool) -> ResidualSampler:
    """Return what draws residuals; labels of subjects that are unknown, or new, have numbers."""
    predictor, columns = rows.fitted.repeated_predictor, rows.fitted.encoder.subjects
    assert columns is not None
    known = int(predictor.model.design.rows.subject.max()) + 1
    number = np.arange(rows.n_rows)
    is_new = (new.subject < 0) | (not is_conditional)
    if columns.subject is not None:
        number[is_new] = _by_appearance(columns.subject, rows, is_new)
    new = replace(new, subject=np.where(is_new, known + number, new.subject))
    try:
        return kernel.residual_sampler(predictor, new, is_conditional=is_conditional)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"{columns.structure!r} has no covariance for the times of some subject in X: the "
            "correlations that were estimated do not go together at times that no subject of fit "
            "has, or for more rows than those have. Draw fewer rows of a subject."
        ) from error


def _positive_weights(sample_weight: Any, n_rows: int) -> FloatArray:
    weights = validation.check_weights(sample_weight, n_rows)
    if weights is None:
        return np.ones(n_rows)
    if not weights.all():
        row = int(np.argmin(weights))
        raise ValueError(
            f"sample_weight is 0 at row {row}, where a response would have no finite variance. "
            "Leave the row out."
        )
    return weights


def _places(rows: GivenRows, k: int, *, is_conditional: bool) -> _Places:
    """Find the rows' levels of factor k; number those to be drawn behind the known ones."""
    factor = rows.fitted.encoder.factors[k]
    codes, n_known = np.full(rows.n_rows, -1), 0
    if is_conditional:
        codes, n_known = rows.codes(k).copy(), factor.n_levels
    is_new = codes < 0
    numbers = _by_appearance(factor, rows, is_new)
    codes[is_new] = n_known + numbers
    return _Places(codes, int(numbers.max(initial=-1)) + 1)


def _by_appearance(factor: GroupingFactor, rows: GivenRows, which: NDArray[np.bool_]) -> IntArray:
    """Give some rows' labels numbers, in order; a missing one is different from all."""
    if not which.any():
        return np.empty(0, dtype=np.intp)
    table, metadata = rows.table.rows(which), rows.metadata.rows(which)
    learned = [learn_levels(s.column(table, metadata), s.name) for s in factor.sources]
    codes = combine([own for _, own in learned], [levels for levels, _ in learned])
    missing = codes < 0
    codes[missing] = -1 - np.arange(np.count_nonzero(missing))
    return pd.factorize(codes)[0]
