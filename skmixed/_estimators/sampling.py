"""New responses drawn from a fitted model."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from skmixed._typing import Draw, FloatArray, IntArray

EFFECTS = ("conditional", "new")


def sample_y(
    self: Any,
    X: Any,
    n_samples: int = 1,
    random_state: Any = 0,
    *,
    effects: str = "conditional",
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
        ``handle_unknown="error"``, with "conditional".
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

    Sample j depends on `random_state` and j alone, and the responses of
    some first rows do not depend on the rows behind them. A sample costs a
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
    for sample, seed in zip(out, seeds, strict=True):
        sampler.draw(sample, seed)
    return out.T


@dataclass(frozen=True)
class _Places:
    """Rows of one factor: the level of each, `n_new` of them behind the known ones."""

    codes: IntArray
    n_new: int


@dataclass(frozen=True)
class _Sampler:
    """Rows, ready for draws of their responses.

    Attributes
    ----------
    opened : FittedModel
    columns : tuple of (n,) arrays
        The numeric columns of X.
    places : tuple of _Places
        Of each factor.
    sd : (n,) array
        Standard deviations of ε.
    is_conditional : bool
    """

    opened: FittedModel
    columns: tuple[FloatArray, ...]
    places: tuple[_Places, ...]
    sd: FloatArray
    is_conditional: bool

    @staticmethod
    def of(rows: GivenRows, sample_weight: Any, *, is_conditional: bool) -> "_Sampler":
        opened = rows.fitted
        weights = _positive_weights(sample_weight, rows.n_rows)
        return _Sampler(
            opened=opened,
            columns=opened.encoder.numeric_columns(rows.table),
            places=tuple(
                _places(rows, k, is_conditional=is_conditional)
                for k in range(len(opened.encoder.factors))
            ),
            sd=opened.solution.sigma / np.sqrt(weights),
            is_conditional=is_conditional,
        )

    def draw(self, out: FloatArray, seed: np.random.SeedSequence) -> None:
        """Fill `out`, (n,), with a draw.

        Each kind of number has a stream of its own, so that the first rows are
        the same whatever follows them.
        """
        encoder, n_factors = self.opened.encoder, len(self.places)
        known, noise, *new = map(np.random.default_rng, seed.spawn(2 + n_factors))
        fixed, effects = self._known(known)
        out[:] = self.sd * noise.standard_normal(len(out))
        self._add(out, encoder.fixed, fixed)
        for k, (places, rng) in enumerate(zip(self.places, new, strict=True)):
            for index, fresh in self._new(k, places.n_new, rng):
                both = np.concatenate([effects[index], fresh], axis=1)
                self._add(out, encoder.terms[index].columns, both[:, places.codes])

    def _known(self, rng: np.random.Generator) -> Draw:
        """Draw the fixed effects and those of known groups, none unless conditional."""
        solution = self.opened.solution
        if not self.is_conditional:
            return solution.fixed, [np.empty((len(t.lam), 0)) for t in solution.terms]
        sigma = float(np.sqrt(self.opened.sigma_squared))
        deviation = kernel.draw_deviation(self.opened.factorization, self.opened.model, sigma, rng)
        fixed = solution.fixed.copy()
        fixed[list(solution.kept)] += deviation.fixed
        pairs = zip(solution.terms, deviation.effects, strict=True)
        return fixed, [term.effects + own for term, own in pairs]

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
