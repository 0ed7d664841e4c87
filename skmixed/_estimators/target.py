"""The target of an encoder: numbers, counts, or classes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import column_or_1d

from skmixed._data.table import check_unmasked
from skmixed._estimators.one_way import LOGISTIC, POISSON, LinearOneWay, OneWay, OneWayModel
from skmixed._fitted import checks as validation
from skmixed._typing import FloatArray, IntArray
from skmixed.exceptions import warn

TARGET_TYPES = ("auto", "continuous", "binary", "multiclass", "count")


@dataclass(frozen=True)
class EncoderTarget:
    """The target of some rows, as one response or as one for each of several classes.

    Attributes
    ----------
    kind : str
        One of `TARGET_TYPES`, and not "auto".
    responses : (k, n) array
    strata : (n,) array of int or None
        What the rows of each fold have in equal shares.
    classes : array of the labels of classes, or None
    """

    kind: str
    responses: FloatArray
    strata: IntArray | None
    classes: NDArray[Any] | None = None

    @property
    def mean(self) -> Any:
        """The mean response: a number, or one for each of several classes."""
        means = self.responses.mean(axis=1)
        return means if self.kind == "multiclass" else float(means[0])

    def model(self, method: str) -> OneWayModel:
        """Return the model of each response."""
        if self.kind == "continuous":
            return LinearOneWay(reml=method == "reml")
        return POISSON if self.kind == "count" else LOGISTIC


def read_target(y: Any, n_rows: int, estimator: object, target_type: str) -> EncoderTarget:
    """Check y and return it as responses, by the type given or by its values."""
    check_unmasked(y, "y")
    labels = np.asarray(y)
    inferred = pd.api.types.infer_dtype(labels.ravel(), skipna=True)
    has_labels = inferred in ("string", "boolean")
    if has_labels:
        labels = column_or_1d(labels, warn=True)
        _check_labels(labels, n_rows)
    else:
        numbers = validation.check_response(y, n_rows, estimator)
        labels = labels.ravel() if labels.dtype != object else numbers
        if target_type not in ("binary", "multiclass"):
            return _of_numbers(numbers, labels, target_type)
    classes, codes = np.unique(labels, return_inverse=True)
    if target_type in ("continuous", "count"):
        _check_two(classes, f"target_type={target_type!r} takes numbers or two classes")
        return _of_numbers(codes.astype(float), codes, target_type)
    return _of_classes(classes, codes, target_type)


def _of_classes(classes: NDArray[Any], codes: IntArray, target_type: str) -> EncoderTarget:
    """Return the second of two classes against the first, or each of several against the rest."""
    if len(classes) < 2:
        raise ValueError(
            f"The target y has the class {str(classes[0])!r} alone. Classes are encoded to log "
            "odds, which need two. Give rows of another class too."
        )
    if target_type == "multiclass" or (target_type == "auto" and len(classes) > 2):
        each = np.arange(len(classes))[:, None]
        return EncoderTarget("multiclass", (codes == each).astype(float), codes, classes)
    _check_two(classes, "target_type='binary' takes two")
    return EncoderTarget("binary", codes[None].astype(float), codes, classes)


def _of_numbers(numbers: FloatArray, labels: NDArray[Any], target_type: str) -> EncoderTarget:
    """Return numbers as they are; two values are classes where the type is not given."""
    with np.errstate(over="ignore"):
        if not np.isfinite(numbers.sum()):
            raise ValueError(
                "The values of 'y' are so large that their sum overflows (the largest is "
                f"{np.abs(numbers).max():.1e}). Rescale the target."
            )
    is_upper = numbers > numbers.min()
    has_two = bool(is_upper.any()) and np.ptp(numbers[is_upper]) == 0
    codes = is_upper.astype(np.intp)
    if has_two and target_type == "auto":
        return _of_classes(np.unique(labels), codes, "binary")
    kind = "continuous" if target_type == "auto" else target_type
    if kind == "count":
        _check_counts(numbers)
    return EncoderTarget(kind, numbers[None], codes if has_two else None)


def _check_counts(numbers: FloatArray) -> None:
    if numbers.min() < 0:
        row = int(np.argmax(numbers < 0))
        raise ValueError(
            f"The target y has {int((numbers < 0).sum())} negative values (first at row {row}: "
            f"{numbers[row]:g}), which are no counts. Give counts, or target_type='continuous'."
        )
    if not numbers.any():
        raise ValueError(
            "All counts of the target y are 0, and the logarithm of their mean is not finite. "
            "Give rows with counts, or target_type='continuous'."
        )


def _check_labels(labels: NDArray[Any], n_rows: int) -> None:
    missing = pd.isna(labels)
    if missing.any():
        raise ValueError(
            f"The target y has {int(missing.sum())} missing labels (first at row "
            f"{int(np.argmax(missing))}). Drop those rows first."
        )
    if len(labels) != n_rows:
        raise ValueError(
            f"X and y have inconsistent numbers of samples: {n_rows} and {len(labels)}."
        )


def _check_two(classes: NDArray[Any], rule: str) -> None:
    if len(classes) > 2:
        raise ValueError(
            f"The target y has {len(classes)} classes (such as {str(classes[0])!r}), where {rule}. "
            "Give target_type='multiclass' to encode for each class against the rest."
        )


def estimates(
    columns: Sequence[IntArray],
    sizes: Sequence[int],
    names: Iterable[str],
    target: EncoderTarget,
    method: str,
) -> Iterator[OneWay]:
    """Fit each column's codes, −1 where unknown, to each response of the target."""
    model = target.model(method)
    for codes, size, name in zip(columns, sizes, names, strict=True):
        known = codes >= 0
        for response in target.responses:
            mean = model.overall(response)
            _require_finite(target, mean)
            result = model.fit(codes[known], size, response[known])
            result = result or OneWay(mean, np.full(size, mean), np.inf)
            _warn_of(name, result)
            yield result


def _require_finite(target: EncoderTarget, mean: float) -> None:
    """Refuse rows whose mean is at the end of the link's scale."""
    if np.isfinite(mean):
        return
    what = "counts of 0" if target.kind == "count" else "a class without the others"
    raise ValueError(
        f"A fold of cv has training rows with {what} alone, whose encoding is not finite. Leave "
        "out classes with fewer rows than there are folds, or pass folds as `cv`."
    )


def _warn_of(name: str, result: OneWay) -> None:
    if result.is_separated:
        warn(
            f"Every category of column {name!r} has rows of one class alone: the likelihood grows "
            "with the variance of the effects, and the size of its encoding is not determined. "
            "Merge categories.",
            ConvergenceWarning,
        )
    elif not result.has_converged:
        warn(
            f"The search for the variances of column {name!r} did not converge; "
            "its encoding is that of the last step.",
            ConvergenceWarning,
        )
