"""What a model by a formula does with frames after its fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.intervals import level_of
from skmixed._fitted.checks import check_choice, check_include
from skmixed._fitted.messages import FORMULA, speaking
from skmixed._generalized_estimators.intervals import (
    OBSERVATION,
    IntervalSettings,
    check_no_class,
    interval,
)
from skmixed._generalized_estimators.predicting import EFFECTS, DrawSettings, sampled
from skmixed._typing import FloatArray
from skmixed.formula._columns import NamedRows
from skmixed.formula._families import BINOMIAL, FormulaClasses
from skmixed.formula._model_frame import ModelFrame
from skmixed.formula._reference.cells import FormulaCells
from skmixed.formula._rows import FrameRows
from skmixed.typing import DdfOfPredictions, Effects, Include, IntervalOf, SampledEffects


class FormulaPrediction(FormulaClasses):
    """The methods of `FormulaRegressor` that take frames of further rows."""

    na_action: str
    family: str | None
    regressor_: Any
    _frame: ModelFrame

    @overload
    def predict(
        self,
        X: Any,
        *,
        include: Include = ...,
        return_std: Literal[False] = ...,
        effects: Effects = ...,
    ) -> FloatArray: ...
    @overload
    def predict(
        self, X: Any, *, include: Include = ..., return_std: Literal[True], effects: Effects = ...
    ) -> tuple[FloatArray, FloatArray]: ...
    @overload
    def predict(
        self, X: Any, *, include: Include = ..., return_std: bool, effects: Effects = ...
    ) -> Any: ...
    def predict(
        self,
        X: Any,
        *,
        include: Include = "all",
        return_std: bool = False,
        effects: Effects = "mode",
    ) -> Any:
        """Predict the response of rows of a frame.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Samples with the columns named in `feature_names_in_`.
        include : "all", "fixed" or list of str, default="all"
            Whose effects to add: those of all grouping factors, of none, or of
            those named, by the keys of ``random_effects_``.
        return_std : bool, default=False
            Whether to return the standard deviation of a new observation too, whose
            groups are new ones of factors that are not included.
        effects : {"mode", "mean"}, default="mode"
            Of a generalized model, the mean response at the mode of a known group's
            effects, or its mean over their distribution given the data, as in
            `skmixed.MixedBinomialRegressor.predict`. Of a linear one they are the same.

        Returns
        -------
        ndarray of shape (n_samples,)
            Expected values of the left-hand side of the formula. Those of a generalized
            model are means of the response, of classes the probability of the second,
            and of groups that are unknown they are means over their effects.
        ndarray of shape (n_samples,)
            With `return_std`, standard deviations of the left-hand side less its
            prediction.

        Raises
        ------
        ValueError
            If a column is missing, or holds a category that was not in `fit`.

        Examples
        --------
        Predictions are of what stands left of ``~``, here of logarithms:

        >>> import pandas as pd
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> data = load_sleepstudy().frame
        >>> model = lmer("np.log(Reaction) ~ Days + (Days | Subject)", data)
        >>> rows = pd.DataFrame({"Days": [9, 9], "Subject": ["308", "new"]})
        >>> model.predict(rows).round(3)
        array([6.073, 5.833])
        """
        given = self._given(X)
        check_choice("effects", effects, EFFECTS)
        with speaking(FORMULA):
            names = self._factors(include)
            columns, offset = given.columns(names), given.offset()
            if self.family is not None:
                return self.regressor_._mean(
                    columns, None, names, effects, _constant(offset), return_std
                )
            found = self.regressor_.predict(columns, include=names, return_std=return_std)
        if offset is None:
            return found
        return (found[0] + offset, found[1]) if return_std else found + offset

    def predict_interval(
        self,
        X: Any,
        *,
        level: float = 0.95,
        of: IntervalOf = "observation",
        include: Include = "all",
        ddf: DdfOfPredictions | None = None,
        sample_weight: ArrayLike | None = None,
        confidence_level: float | None = None,
    ) -> FloatArray:
        """Predict intervals, of new observations or of their means.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Samples with the columns named in `feature_names_in_`.
        level : float, default=0.95
            The confidence level of the intervals.
        of : {"observation", "mean"}, default="observation"
            Whether the interval is to hold a new response, or its expectation in
            the row's groups, those of the included factors.
        include : "all", "fixed" or list of str, default="all"
            Around which prediction, as in `predict`. An observation has the effects
            of a new group of the others; their columns need not be in X.
        ddf : {"satterthwaite", "residual", "normal"}, default=None
            The method for the degrees of freedom of t; None: the usual one, as in
            `skmixed.MixedLinearRegressor.predict_interval`. For linear models.
        sample_weight : array-like of shape (n_samples,), default=None
            Precision weights of the observations, 1 if None; of a binomial model
            numbers of trials, if None those that the formula or ``weights=`` names.
        confidence_level : float, default=None
            Another name of `level`, that of the package MAPIE.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper ends, on the scale of the formula's left-hand side.

        Raises
        ------
        ValueError
            If a column is missing, or holds a category that was not in `fit`, or a
            parameter is not among its choices.

        See Also
        --------
        skmixed.MixedLinearRegressor.predict_interval : How they are computed.
        skmixed.MixedGammaRegressor.predict_interval : And those of a generalized model.

        Examples
        --------
        Intervals keep their level where the ends are transformed back:

        >>> import numpy as np
        >>> import pandas as pd
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> data = load_sleepstudy().frame
        >>> model = lmer("np.log(Reaction) ~ Days + (Days | Subject)", data)
        >>> rows = pd.DataFrame({"Days": [9, 9], "Subject": ["308", "new"]})
        >>> np.exp(model.predict_interval(rows)).round(1)
        array([[361.7, 521.1],
               [220.1, 529.5]])
        """
        given, level = self._given(X), level_of(level, confidence_level)
        with speaking(FORMULA):
            names = self._factors(include)
            columns, offset = given.columns(names), given.offset()
            if self.family is not None:
                if ddf is not None:
                    raise ValueError(f"ddf={ddf!r}: intervals of generalized models are normal.")
                settings = IntervalSettings(level, of, names)
                trials = self._trials(given, sample_weight) if of == OBSERVATION else None
                added = _constant(offset)
                return interval(self.regressor_, columns, settings, offset=added, trials=trials)
            found = self.regressor_.predict_interval(
                columns, level=level, of=of, include=names, ddf=ddf, sample_weight=sample_weight
            )
        return found if offset is None else found + offset[:, None]

    def sample_y(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: Any = 0,
        *,
        effects: SampledEffects = "conditional",
        sample_weight: ArrayLike | None = None,
    ) -> FloatArray:
        """Draw new responses for the rows of a frame.

        Parameters
        ----------
        X : frame of shape (n_rows, n_columns)
            Samples with the columns named in `feature_names_in_`.
        n_samples : int, default=1
            The number of responses that are drawn for each row.
        random_state : int, RandomState, Generator or None, default=0
            An int gives the same samples at each call.
        effects : {"conditional", "new"}, default="conditional"
            Whether effects are drawn given the data, or those of new groups, as in
            `skmixed.MixedLinearRegressor.sample_y`.
        sample_weight : array-like of shape (n_rows,), default=None
            Precision weights of the new responses, positive, or of a binomial model
            their numbers of trials; None: all 1, of a binomial model the trials
            that the formula or ``weights=`` names, columns of X.

        Returns
        -------
        ndarray of shape (n_rows, n_samples)
            Values of the left-hand side of the formula; of a binomial model proportions,
            of classes their labels.

        Raises
        ------
        ValueError
            If a column is missing, or holds a category that was not in `fit`, or a
            parameter is not among its choices.

        See Also
        --------
        skmixed.MixedLinearRegressor.sample_y : How they are drawn.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> data = load_sleepstudy().frame
        >>> model = lmer("np.log(Reaction) ~ Days + (Days | Subject)", data)
        >>> model.sample_y(data, 100).shape
        (180, 100)
        """
        given = self._given(X)
        with speaking(FORMULA):
            columns, offset = given.columns("all"), given.offset()
            if self.family is not None:
                settings, trials = DrawSettings(n_samples, random_state, effects), sample_weight
                if self._frame.classes is None:
                    trials = self._trials(given, sample_weight)
                return self._drawn(columns, settings, offset, trials)
            found = self.regressor_.sample_y(
                columns, n_samples, random_state, effects=effects, sample_weight=sample_weight
            )
        return found if offset is None else found + offset[:, None]

    def _trials(self, given: FrameRows, sample_weight: Any) -> Any:
        """Return the numbers of trials of a binomial model, if not given those of the formula."""
        if self._frame.classes is not None:
            check_no_class(OBSERVATION)
        is_named = sample_weight is None and self.family == BINOMIAL
        return given.weights(None) if is_named else sample_weight

    def _drawn(
        self, columns: Any, settings: DrawSettings, offset: FloatArray | None, trials: Any
    ) -> Any:
        """Draw responses of a generalized model; of classes their labels."""
        classes = self._frame.classes
        if classes is not None and trials is not None:
            raise ValueError(
                "sample_weight is for numbers of trials, and the response is of two classes. Leave "
                "it out."
            )
        added = _constant(offset)
        found = sampled(self.regressor_, columns, settings, offset=added, trials=trials)
        return found if classes is None else np.array(classes.labels.tolist())[found.astype(int)]

    def score(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return R² of the predictions.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Test samples, with the response unless `y` is given.
        y : array-like of shape (n_samples,), default=None
            The observed responses, as in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            The weight of each sample in the score; None: 1, or the trials of a binomial
            model.

        Returns
        -------
        float
            Coefficient of determination, at most 1.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> data = load_sleepstudy().frame
        >>> model = lmer("np.log(Reaction) ~ Days + (Days | Subject)", data)
        >>> round(model.score(data), 3)
        0.84
        """
        given = self._complete(X)
        prediction, response = self.predict(given.rows), given.response(y)
        weights = given.kept(sample_weight)
        if weights is None and self.family == BINOMIAL:
            weights = given.weights(None)
        return float(r2_score(response, prediction, sample_weight=weights))

    def model_matrix(self, X: Any) -> pd.DataFrame:
        """Return the columns that the formula makes of a frame.

        Parameters
        ----------
        X : frame of shape (n_samples, n_columns)
            Samples with the columns named in `feature_names_in_`.

        Returns
        -------
        DataFrame of shape (n_samples, n_model_columns)
            Columns with a fixed effect, further ones with random slopes, and
            grouping columns; an intercept has none.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> data = load_sleepstudy().frame
        >>> model = lmer("Reaction ~ poly(Days, 2) + (Days | Subject)", data)
        >>> model.model_matrix(data.head(2)).round(3)
           poly(Days, 2)[1]  poly(Days, 2)[2]  Days Subject
        0            -0.117             0.123   0.0     308
        1            -0.091             0.041   1.0     308
        """
        return self._given(X).columns("all")

    @property
    def _reference(self) -> FormulaCells:
        """The formula at the cells of a grid of values that were seen in fit."""
        check_is_fitted(self)
        observed = self._frame.observed
        if observed is None:
            raise ValueError(
                "The model was saved by a version that kept neither the levels nor the means of "
                "the columns, which a reference grid is made of. Fit it again."
            )
        return FormulaCells(self._frame, observed)

    def _factors(self, include: Any) -> str | list[str]:
        """Return the grouping factors whose effects count, by name, or "all"."""
        encoder = self.regressor_._model.encoder
        if isinstance(include, str) and include == "all":
            return include
        return [encoder.factors[k].name for k in check_include(include, encoder)]

    def _given(self, X: Any) -> FrameRows:
        check_is_fitted(self)
        return FrameRows(self._frame, NamedRows.of(X), None)

    def _complete(self, X: Any) -> FrameRows:
        """Open rows like those of the fit, without those that it would have left out."""
        given = self._given(X)
        if self.na_action != "drop":
            return given
        known = [name for name in self._frame.named if name in given.rows.names]
        missing = given.rows.missing(known)
        if not missing:
            return given
        keep = ~np.any(list(missing.values()), axis=0)
        return FrameRows(self._frame, given.rows.kept(keep), keep)


def _constant(offset: FloatArray | None) -> Callable[[int], FloatArray] | None:
    """Return what makes of the number of rows what is added to η."""
    return None if offset is None else lambda _: offset
