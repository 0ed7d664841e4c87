"""The target of an encoder: numbers, or two classes."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmixed._data.table import check_unmasked
from skmixed._fitted import checks as validation
from skmixed._typing import FloatArray, IntArray


def numeric_target(y: Any, n_rows: int, estimator: object) -> FloatArray:
    """Return y as numbers; two text labels as 0 and 1."""
    check_unmasked(y, "y")
    labels = np.asarray(y)
    if labels.ndim == 1 and pd.api.types.infer_dtype(labels, skipna=True) == "string":
        y = _two_classes(labels)
    target = validation.check_response(y, n_rows, estimator)
    with np.errstate(over="ignore"):
        if not np.isfinite(target.sum()):
            raise ValueError(
                "The values of 'y' are so large that their sum overflows (the largest is "
                f"{np.abs(target).max():.1e}). Rescale the target."
            )
    return target


def _two_classes(labels: NDArray[Any]) -> IntArray:
    missing = pd.isna(labels)
    if missing.any():
        raise ValueError(
            f"The target y has {int(missing.sum())} missing labels (first at row "
            f"{int(np.argmax(missing))}). Drop those rows first."
        )
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) > 2:
        raise ValueError(
            f"The target y has {len(classes)} classes (such as {str(classes[0])!r}), where numbers "
            "or two classes are due. Encode for one class after the other, with y == label, or "
            "use TargetEncoder."
        )
    return codes
