"""The columns of X that a residual covariance names, and times as structures see them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skmixed._data.grouping_factor import GroupingFactor, Metadata
from skmixed._data.labels import ColumnLevels, categories_of, shown_label
from skmixed._data.table import Table, numeric_column
from skmixed._data.times import (
    NUMERIC,
    check_gaps,
    check_spacing,
    in_text_order,
    numbers_at,
    numbers_of,
    order_of,
    places_of,
    require_numbers,
    require_order,
    steps_of,
    whole_steps,
)
from skmixed._estimation.solution import ResidualSolution
from skmixed._model.correlation import CORRELATIONS, CorrelationModel
from skmixed._model.residual import VARIANCES, Residual, Variance
from skmixed._model.time_points import TimePoints
from skmixed._repeated.prediction import NewRows
from skmixed._repeated.rows import RepeatedDesign, RepeatedRows, Timeline
from skmixed._statistics.design import SubjectDesign
from skmixed._typing import FloatArray, IntArray

# What messages call the subject, the time, the stratum and what a power is of.
ROLES = ("Subject column", "Time column", "Stratum column", "Column of power=")
# Where each of them is in the codes of rows.
CODES = {"subject": "subject", "time": "visit", "by": "stratum", "power": "size"}


# Correlations at the end of what is allowed that are below this are 0.
NO_CORRELATION = 0.5


@dataclass(frozen=True)
class SubjectColumns:
    """The columns that a residual covariance names, with their labels.

    Attributes
    ----------
    structure : str
    heterogeneous : bool
    subject, time, by, power : GroupingFactor or None
    orders : tuple of ColumnLevels
        The lists of categories that the times have in the parts of the rows, each once.
    shared_correlation : bool
        Whether strata have variances of their own alone.
    has_fitted_power : bool
        Whether standard deviations are a power of the fitted values.
    fitted_time : GroupingFactor or None
        The time with the labels of the fit alone, where rows came after it: visits, steps
        and the first date stay those of the fit.
    """

    structure: str
    heterogeneous: bool
    subject: GroupingFactor | None
    time: GroupingFactor | None
    by: GroupingFactor | None
    power: GroupingFactor | None = None
    orders: tuple[ColumnLevels, ...] = ()
    shared_correlation: bool = False
    has_fitted_power: bool = False
    fitted_time: GroupingFactor | None = None

    @property
    def roles(self) -> tuple[GroupingFactor | None, ...]:
        """The factors in the order of `ROLES`."""
        return self.subject, self.time, self.by, self.power

    @property
    def factors(self) -> tuple[GroupingFactor, ...]:
        """Those that there are: subject, time, by and power."""
        return tuple(own for own in self.roles if own is not None)

    def with_factors(self, factors: Sequence[GroupingFactor]) -> "SubjectColumns":
        """Return the same with other labels."""
        left = iter(factors)
        subject, time, by, power = (own and next(left) for own in self.roles)
        return replace(self, subject=subject, time=time, by=by, power=power)

    def after(self, fitted: "SubjectColumns") -> "SubjectColumns":
        """Return the columns with further labels, of a fit that has seen fewer.

        Raises
        ------
        ValueError
            If there is a stratum whose residual covariance the fit has not estimated.
        """
        if self.by is not None and fitted.by is not None and self.n_strata > fitted.n_strata:
            new = self.by.index[~self.by.index.isin(fitted.by.index)][0]
            raise ValueError(
                f"Stratum {shown_label(new)} of {self.by.name!r} was not seen in fit, so that its "
                "residual covariance is not known. Fit to all rows."
            )
        return replace(self, fitted_time=fitted.time, orders=fitted.orders)

    def with_orders_of(self, part: "SubjectColumns") -> "SubjectColumns":
        """Return the same with the order of times of further rows."""
        known = [own.labels.tolist() for own in self.orders]
        new = [own for own in part.orders if own.labels.tolist() not in known]
        return replace(self, orders=(*self.orders, *new)) if new else self

    def learn(
        self, table: Table, metadata: Metadata, rows: IntArray | None, n_rows: int
    ) -> tuple["SubjectColumns", SubjectDesign]:
        """Learn the labels; return the columns with them, and each row's codes."""
        roles = zip(self.roles, ROLES, strict=True)
        learned = [own.learn(table, metadata, rows, role) for own, role in roles if own is not None]
        columns = self.with_factors([factor for factor, _ in learned])
        if self.time is not None:
            orders = categories_of(self.time.sources[0].column(table, metadata))
            columns = replace(columns, orders=orders)
        return columns, columns.codes([codes for _, codes in learned], n_rows)

    def codes(self, codes: Sequence[IntArray], n_rows: int) -> SubjectDesign:
        """Return the codes of `factors` by what they are."""
        left = iter(codes)
        zeros = np.zeros(n_rows, dtype=np.intp)
        pairs = zip(CODES.values(), self.roles, strict=True)
        own = {code: zeros if role is None else next(left) for code, role in pairs}
        if self.subject is None:
            own["subject"] = np.arange(n_rows)
        return SubjectDesign(**own)

    def renumbered(self, own: SubjectDesign, places: Sequence[IntArray]) -> SubjectDesign:
        """Return codes by the numbers that the labels have among those of all parts."""
        left = iter(places)
        out = {}
        for role, code in zip(self.roles, CODES.values(), strict=True):
            codes = getattr(own, code)
            out[code] = codes if role is None else next(left)[codes]
        return SubjectDesign(**out)

    @property
    def is_correlated(self) -> bool:
        """Whether rows of one subject are correlated."""
        return self.correlation.is_correlated

    @property
    def variance(self) -> Variance:
        """The model of the standard deviations."""
        if self.heterogeneous or self.correlation.is_heterogeneous:
            return VARIANCES["visits"]
        return VARIANCES["power" if self.power or self.has_fitted_power else "constant"]

    @property
    def correlation(self) -> CorrelationModel:
        return CORRELATIONS[self.structure]

    @property
    def n_strata(self) -> int:
        return 1 if self.by is None else self.by.n_levels

    def in_stratum(self, stratum: int) -> str:
        """Return a stratum in the words of messages; nothing where there is one."""
        if self.by is None:
            return ""
        return f" in stratum {shown_label(self.by.index[stratum])} of {self.by.name!r}"

    def said_of_ends(self, residual: ResidualSolution) -> Iterator[str]:
        """Say which strata have a covariance at an end of what its structure allows."""
        for stratum in residual.at_end:
            where, own = self.in_stratum(stratum), residual.model
            shown = own.correlation.shown(own.split(residual.phi[stratum])[1], own.m)
            largest = max((abs(v) for k, v in shown.items() if k.startswith("corr")), default=0.0)
            if own.correlation.is_positive and largest < NO_CORRELATION:
                others = "" if self.is_plane else "'ar1', whose correlation may be negative, or "
                yield (
                    f"The estimated correlation of the residuals{where} is 0, the least that "
                    f"{self.structure!r} allows. Use {others}'independent'."
                )
            else:
                yield (
                    f"The estimated covariance {self.structure!r} of the residuals{where} is "
                    "singular: a combination of a subject's residuals has variance 0, and what it "
                    "determines has no error. Use a structure with fewer parameters, or fewer "
                    "random effects."
                )

    @property
    def is_plane(self) -> bool:
        """Whether times are places in the plane, of two columns."""
        return self.time is not None and len(self.time.sources) > 1

    def timeline(self) -> "Timeline":
        """Return what the labels of times are in the structure.

        Raises
        ------
        ValueError
            If it needs an order, steps or numbers that they do not have, or says nothing of
            a time that came after the fit.
        """
        if self.time is None:
            return Timeline.without_times()
        if self.is_plane:
            places = places_of(self.time)
            check_spacing(self.time.name, places)
            return Timeline.of_numbers(places)
        if self.fitted_time is None:
            return self._timeline_of(self.time)
        timeline, index = self._timeline_of(self.fitted_time), self.time.index
        label = self.fitted_time.index.get_indexer(index)
        own, beyond = np.maximum(label, 0), np.flatnonzero(label < 0)
        position = timeline.position[own]
        if len(beyond):
            name, new = self.time.name, index[beyond]

            def shown(k: int) -> str:
                return f"{shown_label(new[k])} of {name!r}"

            self._check_placeable(shown(0), "Fit to all rows")
            labels = np.asarray(self.fitted_time.index)
            values = numbers_at(index, beyond, labels, self.time.name)
            position[beyond] = self._positions(values, timeline, shown)
        return replace(timeline, rank=timeline.rank[own], position=position)

    def _timeline_of(self, time: GroupingFactor) -> "Timeline":
        """Return what the labels of times of a fit are."""
        name, labels = time.name, np.asarray(time.index)
        kind = self.correlation.time
        if kind == "distance":
            require_numbers(name, labels, repr(self.structure))
        if self._has_places(labels):
            order = self._order_of(name, labels)
            return Timeline.of_visits(order, np.arange(len(order)))
        values = numbers_of(labels)
        if kind == "distance":
            check_gaps(name, values)
            if not self.heterogeneous:
                return Timeline.of_numbers(values)
        order = np.argsort(values, kind="stable")
        if kind == "steps" and len(order) > 1:
            steps = steps_of(name, values[order], self.structure)
            unit = float(np.ptp(values)) / int(steps[-1])
            return replace(Timeline.of_visits(order, steps), origin=float(values.min()), unit=unit)
        return replace(Timeline.of_visits(order, np.arange(len(order))), position=values)

    def _has_places(self, labels: Any) -> bool:
        """Whether times are places in an order, and no numbers."""
        by_order = self.correlation.time in ("order", "steps")
        return labels.dtype.kind not in NUMERIC or (by_order and bool(self.orders))

    def check_order(self, what: str) -> None:
        """Refuse times whose order is not known, on which something depends.

        Raises
        ------
        ValueError
            If they are text in no order, or the categories of several lists.
        """
        time = self.fitted_time or self.time
        assert time is not None
        labels = np.asarray(time.index)
        if not self.is_plane and self._has_places(labels):
            require_order(time.name, labels, self.orders, what)

    def _order_of(self, name: str, labels: Any) -> IntArray:
        """Return the order of labels that are no numbers, or are categories."""
        if self.correlation.time != "none" and not self.correlation.is_any:
            return require_order(name, labels, self.orders, repr(self.structure))
        order = order_of(labels, self.orders)
        return in_text_order(labels) if order is None else order

    def new_rows(
        self, table: Table, metadata: Metadata, levels: IntArray, *, has_labels: bool
    ) -> NewRows:
        """Return rows to predict, whose labels may be unknown; without them as of no subject.

        Raises
        ------
        ValueError
            If a time is missing, or the structure says nothing of one that fit never saw.
        """
        n, nothing = table.n_rows, np.zeros(table.n_rows, dtype=np.intp)
        if not has_labels:
            alone = self.timeline().places(nothing[:, None])
            return NewRows(nothing - 1, nothing, alone, nothing - 1, levels)
        defaults = zip(self.roles, (nothing - 1, nothing, nothing), strict=False)
        subject, visit, stratum = (
            nowhere if own is None else own.codes(table, metadata) for own, nowhere in defaults
        )
        if self.by is not None and (stratum < 0).any():
            row = int(np.argmax(stratum < 0))
            raise ValueError(
                f"Row {row} has a stratum of {self.by.name!r} that is missing or was not seen in "
                "fit, so that its residual covariance is not known. Predict it with "
                "include='fixed' and of='mean'."
            )
        timeline = self.timeline()
        places = timeline.places(np.maximum(visit, 0)[:, None])
        unknown = np.flatnonzero(visit < 0)
        if len(unknown):
            places = self._placed_anew(table, metadata, places, unknown)
        if self.power is not None:
            column = self.power.sources[0].column(table, metadata)
            sizes = self._log_sizes(numeric_column(column, self.power.name))
            places = replace(places, covariate=sizes[:, None])
        if self.time is None:
            # Without times a further row is one more of its subject.
            visit = np.full(n, -1)
        return NewRows(subject, stratum, places, visit, levels)

    def _placed_anew(
        self, table: Table, metadata: Metadata, places: TimePoints, rows: IntArray
    ) -> TimePoints:
        """Place times that fit never saw, of structures in which any number has a place."""
        assert self.time is not None
        source, fitted = self.time.sources[0], self.fitted_time or self.time
        position = places.position.copy()
        if self.is_plane:
            both = ((own.column(table, metadata), own.name) for own in self.time.sources)
            x, y = (numeric_column(column, name)[rows] for column, name in both)
            position[rows, 0] = x + 1j * y
            return replace(places, position=position)
        column = source.column(table, metadata)
        labels = np.asarray(column, dtype=object)

        def shown(k: int) -> str:
            return f"{shown_label(labels[rows[k]])} of {source.name!r} (row {rows[k]})"

        self._check_placeable(shown(0), "Predict it with include='fixed'")
        values = numbers_at(column, rows, np.asarray(fitted.index), source.name)
        position[rows, 0] = self._positions(values, self._timeline_of(fitted), shown)
        return replace(places, position=position)

    def _check_placeable(self, shown: str, cure: str) -> None:
        """Refuse a time that the fit never saw where the structure says nothing of it."""
        assert self.time is not None
        labels = np.asarray((self.fitted_time or self.time).index)
        has_any = self.correlation.has_any_time and not self.variance.is_of_visits
        if not has_any or labels.dtype.kind not in NUMERIC:
            what = "heterogeneous " * self.heterogeneous + self.structure
            raise ValueError(
                f"Time {shown} was not seen in fit, and {what!r} says nothing of it. {cure}, or "
                "use 'ar1' or 'exponential' with one variance and times that are numbers or dates."
            )

    def _positions(
        self, values: FloatArray, timeline: Timeline, shown: Callable[[int], str]
    ) -> FloatArray:
        """Return the positions of times that are numbers, in the steps of the fit.

        `shown` names the k-th in messages.
        """
        position = (values - timeline.origin) / timeline.unit
        if self.correlation.time != "steps":
            return np.asarray(position)
        return whole_steps(position, timeline.unit, self.structure, shown)

    def _log_sizes(self, values: FloatArray) -> FloatArray:
        """Return the logarithms of what standard deviations are a power of."""
        if not (np.abs(values) > 0).all():
            assert self.power is not None
            raise ValueError(
                f"Column {self.power.name!r} has a 0, of which no power is a variance. Shift the "
                "column, or leave power= out and use by=."
            )
        return np.asarray(np.log(np.abs(values)))

    def _sizes_of(self, rows: RepeatedRows) -> FloatArray:
        """Return these of rows with codes; 0 without `power`."""
        if self.power is None:
            return np.zeros(rows.n_rows)
        labels = np.asarray(self.power.index)
        if labels.dtype.kind not in "iuf":
            raise ValueError(
                f"Column {self.power.name!r} has labels such as {labels[0]!r}, and standard "
                "deviations are a power of numbers. Name a column of numbers in power=."
            )
        return self._log_sizes(labels.astype(float))[rows.size]

    def design(self, rows: RepeatedRows, like: Residual | None = None) -> RepeatedDesign:
        """Return rows with their places in time, and the model of R, or that of a fit."""
        if self.subject is None:
            rows = replace(rows, subject=np.arange(rows.n_rows))
        timeline, sizes = self.timeline(), self._sizes_of(rows)
        steps = timeline.steps
        if self.time is None and self.is_correlated:
            steps = np.arange(int(np.bincount(rows.subject).max()))
        names = self.correlation, self.variance
        how = self.shared_correlation, self.is_plane
        own = like or Residual(*names, steps, self.n_strata, *how)
        return RepeatedDesign(rows, timeline, own, sizes, self.has_fitted_power)
