"""What is given beside X: grouping columns, the name of y, labels in the place of weights."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sklearn.utils.metadata_routing import MetadataRequest

from skmixed._data.encoder import METADATA_NAME, Encoder
from skmixed._data.grouping_factor import Metadata
from skmixed._data.table import check_distinct, check_unmasked, foreign_column

Method = TypeVar("Method", bound=Callable[..., Any])

# What pandas calls arrays that hold no measured precisions.
_LABELS = ("integer", "boolean", "string", "bytes", "categorical", "mixed", "mixed-integer")


def own_name_of(y: Any) -> str | None:
    """Return the name that a response has itself, as a Series does, or None."""
    columns = getattr(y, "columns", None)
    name = getattr(y, "name", None) if columns is None else columns[0] if len(columns) else None
    return name if isinstance(name, str) and name else None


def open_metadata(groups: Any, n_rows: int, *, is_named: bool) -> Metadata:
    """Return the columns of `groups=` by name.

    `is_named`: whether the constructor names grouping columns, so that labels
    without a name could belong to none of them.
    """
    if groups is None:
        return Metadata({})
    if isinstance(groups, str):
        raise ValueError(
            f"groups={groups!r} is a name, where labels are due. Name grouping columns in the "
            f"constructor: MixedLinearRegressor(groups={groups!r})."
        )
    columns = _metadata_columns(groups)
    if is_named and not _is_frame(groups):
        raise ValueError(
            "The constructor names the grouping columns, so that labels given to `groups` have no "
            "place. Pass a DataFrame whose columns it names, or leave `groups` out."
        )
    for name, column in columns.items():
        if len(column) != n_rows:
            if name == METADATA_NAME and not _is_frame(groups):
                raise ValueError(
                    f"groups has {len(column)} labels, but X has {n_rows} rows. Give one for each "
                    "row; names of columns go into the constructor."
                )
            raise ValueError(f"groups column {name!r} has {len(column)} rows, but X has {n_rows}.")
    return Metadata(columns)


def _is_frame(groups: Any) -> bool:
    return hasattr(groups, "columns") or hasattr(groups, "column_names")


def _metadata_columns(groups: Any) -> dict[str, Any]:
    if isinstance(groups, pd.Index | pd.api.extensions.ExtensionArray):
        groups = pd.Series(
            groups, name=getattr(groups, "name", None)
        )  # categories keep their order
    if isinstance(groups, pd.DataFrame):
        check_distinct([str(name) for name in groups.columns], "groups")
        return {str(name): groups.iloc[:, j] for j, name in enumerate(groups.columns)}
    if _is_frame(groups):
        names = getattr(groups, "column_names", None) or groups.columns
        return {name: foreign_column(groups[name], name) for name in names}
    if isinstance(groups, pd.Series):
        return {METADATA_NAME if groups.name is None else str(groups.name): groups}
    if hasattr(groups, "null_count"):  # polars, whose unnamed columns are called ""
        name = getattr(groups, "name", "") or METADATA_NAME
        return {name: foreign_column(groups, name)}
    check_unmasked(groups, "groups")
    labels = _labels_array(groups)
    if labels.ndim != 1:
        raise ValueError(
            f"groups has shape {labels.shape}. Pass one label a row, or a DataFrame with a column "
            "for each grouping factor."
        )
    return {METADATA_NAME: labels}


def _labels_array(groups: Any) -> np.ndarray:
    """Keep a list of mixed labels mixed, where NumPy would turn all to text."""
    if isinstance(groups, list | tuple):
        out = np.empty(len(groups), dtype=object)
        out[:] = groups
        return out
    return np.asarray(groups)


def open_prediction_metadata(
    groups: Any, n_rows: int, encoder: Encoder, included: tuple[int, ...]
) -> Metadata:
    """Return the metadata columns that the included factors need."""
    needed = {s.name for k in included for s in encoder.factors[k].sources if s.position is None}
    if groups is None and needed:
        raise ValueError(
            f"The model was fitted with groups beside X ({', '.join(map(repr, sorted(needed)))}), "
            "and predicts with them: pass groups=, or include='fixed'. scikit-learn does not hand "
            "them on from cross_val_predict and named scorers; there, put the grouping columns "
            "into X and name them in the constructor."
        )
    # As it was in fit, whatever the parameters are by now.
    is_named = bool(encoder.factors) and not encoder.uses_metadata
    metadata = open_metadata(groups, n_rows, is_named=is_named)
    if metadata.columns and not encoder.uses_metadata:
        has = "takes its grouping columns from X" if is_named else "has no grouping factor"
        raise ValueError(
            f"groups= has {', '.join(map(repr, metadata.columns))}, but the model {has}. Leave "
            "`groups` out, or give it to `fit` too."
        )
    if len(needed) == 1 == len(metadata.columns) and METADATA_NAME in {*needed, *metadata.columns}:
        # Labels without a name, here or in fit, are those of the only factor.
        return Metadata(dict.fromkeys(needed, next(iter(metadata.columns.values()))))
    for name in sorted(needed - set(metadata.columns)):
        raise ValueError(
            f"Grouping column {name!r} is not a column of groups, which has "
            f"{', '.join(map(repr, metadata.columns))}."
        )
    return metadata


def leave_groups(requests: MetadataRequest) -> None:
    """Let each method leave `groups` where nobody has said whether it asks for them.

    So a splitter that asks for groups does not oblige an estimator to whose constructor
    names the grouping columns.
    """
    for request in vars(requests).values():
        is_open = hasattr(request, "requests") and request.requests.get("groups", False) is None
        if is_open:
            request.add_request(param="groups", alias=False)


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
