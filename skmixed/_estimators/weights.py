"""Labels given by position where weights are due."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import pandas as pd

Method = TypeVar("Method", bound=Callable[..., Any])

# What pandas calls arrays that hold no measured precisions.
_LABELS = ("integer", "boolean", "string", "bytes", "categorical", "mixed", "mixed-integer")


def weights_not_labels(method: Method) -> Method:
    """Refuse labels as the third argument by position of a method (X, y, sample_weight).

    Other packages have the groups there. By its name, ``sample_weight=``, and where the
    constructor names the grouping columns, any number will do.
    """

    @wraps(method)
    def checked(self: Any, *args: Any, **named: Any) -> Any:
        if len(args) > 2 and self.groups is None and _look_like_labels(args[2]):
            raise TypeError(
                f"The third argument of {method.__name__} by position is sample_weight, and what "
                "is given looks like labels of groups. Name it: sample_weight=..., or groups=... "
                "for labels; grouping columns of X are named in the constructor."
            )
        return method(self, *args, **named)

    return checked  # type: ignore[return-value]


def _look_like_labels(values: Any) -> bool:
    """Whether values are no numbers, or whole ones of more kinds than to keep or drop a row."""
    array = np.asarray(values)
    if array.ndim != 1:
        return hasattr(values, "columns")
    if array.dtype.kind in "fc":
        return bool((array == np.round(array)).all() and len(np.unique(array)) > 2)
    return pd.api.types.infer_dtype(array, skipna=True) in _LABELS
