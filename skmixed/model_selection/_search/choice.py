"""The choice of one of several candidates, by their scores and their numbers of parameters."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from skmixed._saved.requirements import require
from skmixed._typing import FloatArray, IntArray
from skmixed.inference._tables.table import ResultTable
from skmixed.model_selection._fits import Fit
from skmixed.model_selection._validation import Validation, of_grid, ranks, shown

# Scores of searches that end at one optimum agree to about as many digits.
TIE = 1e-8


@dataclass(frozen=True)
class Choice:
    """What is known of candidates when one of them is chosen.

    Attributes
    ----------
    params : list of dict
    n_parameters : (C,) array of int
        Of the fits to all rows; 0 where there is none.
    score : (C,) array
        The greater the better; NaN where a candidate could not be fitted.
    splits : (C, K) array
        Of K splits; none where a criterion of all rows decides.
    fit_time, score_time : (C, K) arrays
    question, how : str
    by : str
        By what the candidates are judged, in words.
    """

    params: list[dict[str, Any]]
    n_parameters: IntArray
    score: FloatArray
    splits: FloatArray
    fit_time: FloatArray
    score_time: FloatArray
    question: str
    how: str
    by: str = ""

    @staticmethod
    def of_score(params: list[dict[str, Any]], score: FloatArray, how: str) -> "Choice":
        """Return what a criterion of all rows says, without splits."""
        none, no_counts = np.empty((len(params), 0)), np.zeros(len(params), dtype=int)
        return Choice(params, no_counts, score, none, none, none, "", how, by=how)

    @staticmethod
    def of_splits(
        params: list[dict[str, Any]],
        table: tuple[dict[str, FloatArray], FloatArray, FloatArray],
        question: str,
        how: str,
        by: str,
    ) -> "Choice":
        """Return what scores of splits say, with the times of fits and of scores."""
        scores, seconds, scored = table
        (splits,) = scores.values()
        counts, score = np.zeros(len(params), dtype=int), splits.mean(axis=1)
        return Choice(params, counts, score, splits, seconds, scored, question, how, by)

    def among(self, fits: Sequence[Fit]) -> "Choice":
        """Return the choice among candidates with fits to all rows, whose parameters count."""
        counts = [0 if f.error else f.estimator._model.solution.n_parameters for f in fits]
        is_fitted = np.array([f.error is None for f in fits])
        score = np.where(is_fitted, self.score, np.nan)
        return replace(self, n_parameters=np.array(counts), score=score)

    @staticmethod
    def read(state: dict[str, Any], index: Any) -> "Choice":
        """Take what is saved of a choice, if it is some."""
        choice = Choice(**state)
        n = len(choice.params)
        require(type(choice.params) is list and all(type(p) is dict for p in choice.params), "grid")
        for own in fields(choice)[1:6]:
            value = getattr(choice, own.name)
            require(isinstance(value, np.ndarray) and len(value) == n, own.name)
        require(all(type(own) is str for own in (choice.question, choice.how, choice.by)), "how")
        require(type(index) is int and 0 <= index < n, "best_index_")
        return choice

    @property
    def _top(self) -> int:
        """The number of the candidate with the highest score."""
        if np.isnan(self.score).all():
            raise ValueError(
                f"No candidate has a score by {self.by}: each of the {len(self.score)} fails in "
                "some split, or has no number there. Give `cv` fewer folds, name simpler "
                "candidates, or take another score."
            )
        return int(np.nanargmax(self.score))

    @property
    def standard_error(self) -> FloatArray:
        """Standard error of each mean's difference to the highest, over the splits, (C,)."""
        n = self.splits.shape[1]
        if n < 2:
            return np.full(len(self.params), np.nan)
        with np.errstate(invalid="ignore"):  # of scores that are infinite
            differences = self.splits - self.splits[self._top]
            return np.asarray(differences.std(axis=1, ddof=1) / np.sqrt(n))

    def best(self, *, one_standard_error: bool) -> int:
        """Return the number of the best candidate; of equal ones the simplest, then the first."""
        top = self.score[self._top]
        slack = TIE * abs(top) if np.isfinite(top) else 0.0
        room = np.nan_to_num(self.standard_error) if one_standard_error else 0.0
        is_near = self.score >= top - np.maximum(room, slack)
        is_near &= self.n_parameters == self.n_parameters[is_near].min()
        highest = self.score[is_near].max()
        return int(np.flatnonzero(is_near & (self.score >= highest - slack))[0])

    @property
    def difference(self) -> FloatArray:
        """Of each score to the highest, (C,)."""
        top = self.score[self._top]
        is_top = self.score == top  # also where they are infinite
        return np.subtract(self.score, top, out=np.zeros(len(self.score)), where=~is_top)

    def table(self) -> ResultTable:
        """Return one row a candidate."""
        columns = {
            "n_parameters": self.n_parameters,
            "score": self.score,
            "difference": self.difference,
            "standard_error": self.standard_error,
            "rank": ranks(self.score).astype(int),
        }
        index = pd.Index([shown(own) for own in self.params], name="candidate")
        remarks = [f"Judged by {self.by}."] if self.by else []
        return ResultTable.of(pd.DataFrame(columns, index=index), "Candidates", remarks)

    def validation(self) -> Validation:
        """Return the scores of all splits."""
        scores = {"score": self.splits}
        found = of_grid(self.params, scores, self.fit_time, self.score_time)
        return Validation(found, self.question, self.how)
