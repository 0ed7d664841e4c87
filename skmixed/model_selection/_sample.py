"""The rows of a cross-validation, and those that each split predicts."""

import numbers
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter, signature
from typing import Any

import numpy as np
import sklearn
from sklearn.utils import _safe_indexing, column_or_1d, indexable
from sklearn.utils.validation import _num_samples

from skmixed._data.table import open_table
from skmixed._fitted.fitted_model import last_step
from skmixed.model_selection._splits.splits import Splits

ROUTING = "sklearn.set_config(enable_metadata_routing=True)"


@dataclass(frozen=True)
class Sample:
    """The rows of a cross-validation.

    Attributes
    ----------
    X, y : as given
    weights : as given, or None
    groups : as given, or None
        Grouping columns beside X for `fit` and `predict`, where the model names none.
    """

    X: Any
    y: Any
    weights: Any
    groups: Any

    @staticmethod
    def given(X: Any, y: Any, weights: Any, groups: Any) -> "Sample":
        """Take rows as users give them, in containers that can be indexed.

        A single weight is that of each row, and one column of responses is a response.
        """
        n_rows = open_table(X).n_rows
        if isinstance(weights, numbers.Real):
            weights = np.full(n_rows, float(weights))
        if y is None:
            raise ValueError("y is None, but scores need responses. Give that of each sample.")
        shape = getattr(y, "shape", ())
        if len(shape) > 1:
            if shape[1:] != (1,):
                raise ValueError(
                    f"y is of shape {tuple(shape)}. Give one response, of shape (n_samples,)."
                )
            y = column_or_1d(y, warn=True)
        for name, own in (("y", y), ("sample_weight", weights)):
            if own is not None and (n := _num_samples(own)) != n_rows:
                raise ValueError(
                    f"{name} has {n} values, but X has {n_rows} rows. Give one for each row."
                )
        return Sample(*indexable(X, y, weights, groups))

    def of(self, rows: Any) -> "Sample":
        """Return some of them."""
        X, y, weights, groups = (
            None if own is None else _safe_indexing(own, rows)
            for own in (self.X, self.y, self.weights, self.groups)
        )
        return Sample(X, y, weights, groups)

    @property
    def beside(self) -> dict[str, Any]:
        """Arguments of `predict` beside X."""
        return {} if self.groups is None else {"groups": self.groups}

    @property
    def beside_y(self) -> dict[str, Any]:
        """Arguments of `fit` beside X and y."""
        weights = {} if self.weights is None else {"sample_weight": self.weights}
        return self.beside | weights

    def check_taken_by(self, model: Any) -> None:
        """Refuse weights and groups that the fit of a model does not take.

        Raises
        ------
        ValueError
            If it is a Pipeline, which hands nothing on without metadata routing, or another
            estimator without such arguments.
        """
        last = last_step(model)
        if last is not model:
            if not sklearn.get_config()["enable_metadata_routing"]:
                self._check_no_pipeline(type(last).__name__)
            return
        taken = signature(model.fit).parameters.values()
        names = {own.name for own in taken}
        takes_all = any(own.kind is Parameter.VAR_KEYWORD for own in taken)
        for name in self.beside_y:
            if not (takes_all or name in names):
                raise ValueError(
                    f"{name} is given, but the method fit of {type(model).__name__} does not take "
                    "it. Leave it out, or take an estimator that does."
                )

    def _check_no_pipeline(self, last: str) -> None:
        what = "model is a Pipeline, which hands {} on to no step without metadata routing."
        if self.groups is not None:
            raise ValueError(
                f"{what.format('groups')} Name the grouping column in the constructor of {last}, "
                f"and leave it in X; or call {ROUTING}, and in the Pipeline {last}()"
                ".set_fit_request(groups=True).set_predict_request(groups=True)."
            )
        if self.weights is not None:
            raise ValueError(
                f"{what.format('sample_weight')} Call {ROUTING}, and in the Pipeline {last}()"
                ".set_fit_request(sample_weight=True)."
            )


@dataclass(frozen=True)
class HeldOut:
    """The rows that each split predicts.

    Attributes
    ----------
    sample : Sample
        All rows.
    splits : Splits
    """

    sample: Sample
    splits: Splits

    @cached_property
    def _ordered(self) -> Sample:
        """The rows in the order of their folds, of which each is a part of them."""
        return self.sample.of(self.splits.by_fold[0])

    def __getitem__(self, number: int) -> Sample:
        if self.splits.fold is None:
            return self.sample.of(self.splits.test(number))
        return self._ordered.of(self.splits.place(number))


def check_model(model: Any) -> None:
    """Refuse what is no estimator."""
    if isinstance(model, type):
        raise TypeError(
            f"model is the class {model.__name__}. Give an instance of it, such as "
            f"{model.__name__}()."
        )
    lacks = [name for name in ("fit", "predict", "get_params") if not hasattr(model, name)]
    if lacks:
        raise TypeError(
            f"model is of type {type(model).__name__}, which has no method {lacks[0]}. Give an "
            "estimator of scikit-learn's kind, or a Pipeline."
        )
