"""Whether the columns and labels of a saved model are some."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from skmixed._data.categories import Categories
from skmixed._data.encoder import Encoder
from skmixed._data.grouping_factor import GroupingFactor
from skmixed._data.labels import ColumnLevels
from skmixed._data.subjects import SubjectColumns
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.structures import STRUCTURES
from skmixed._saved.requirements import (
    check_array,
    check_counts,
    check_kind,
    check_names,
    check_positions,
    require,
)


def check_columns(state: Mapping[str, Any]) -> None:
    """Refuse numbers and names of columns that are none, or that nothing was fitted to."""
    n_features, names = state.get("n_features_in_"), state.get("feature_names_in_")
    check_counts("numbers of columns", 1 if n_features is None else n_features)
    if names is not None:
        check_array("names of columns", names, (n_features or -1,), "O")
        check_names(tuple(names.tolist()))


def check_labels(labels: Any) -> None:
    """Refuse what are no labels of levels."""
    check_array("labels", labels, (len(labels),), "biufMmO")
    if labels.dtype == object:
        deque(map(hash, labels.tolist()), maxlen=0)  # raises where one cannot be hashed


def check_levels(levels: Any) -> None:
    """Refuse what are no levels, each of another label."""
    check_kind("labels", levels, ColumnLevels)
    check_labels(levels.labels)
    require(levels.index.is_unique and not levels.index.hasnans, "labels")


def check_categories(categories: Any, state: Mapping[str, Any]) -> None:
    """Refuse what are no categories of each column, or no encodings of them in the state."""
    n_features = state["n_features_in_"]
    require(isinstance(categories, tuple) and len(categories) == n_features, "categories")
    for own in categories:
        check_kind("categories", own, Categories)
        check_levels(own.levels)
        require(isinstance(own.has_missing, bool), "categories")
    encodings, kind, classes = state["encodings_"], state["target_type_"], state["classes_"]
    require(kind in ("continuous", "count", "binary", "multiclass"), "types of targets")
    require((classes is None) == (kind in ("continuous", "count")), "classes")
    n_responses = len(classes) if kind == "multiclass" else 1
    if classes is not None:
        check_array("classes", classes, (len(classes),), "biufmMOSU")
    n_out = n_features * n_responses
    require(isinstance(encodings, list) and len(encodings) == n_out and n_out > 0, "encodings")
    for k, codes in enumerate(encodings):
        check_array("encodings", codes, (len(categories[k // n_responses]),))
    for name in ("intercept_", "smooth_"):
        check_array(name, state[name], (n_out,))


def check_classes(classes: Any) -> None:
    """Refuse what are no two labels of classes."""
    check_array("classes", classes, (2,), "biufmMOSU")


def check_encoder(encoder: Any, n_features: Any) -> None:
    check_kind("encoder", encoder, Encoder)
    check_counts("numbers of columns", n_features)
    check_positions("numeric columns", encoder.numeric, n_features)
    check_names(encoder.names)
    require(len(encoder.names) == len(encoder.numeric), "names of columns")
    n_columns = 1 + len(encoder.numeric)
    check_positions("fixed columns", encoder.fixed, n_columns)
    check_kind("grouping factors", encoder.factors, tuple)
    check_kind("random-effects terms", encoder.terms, tuple)
    for factor in encoder.factors:
        _check_factor(factor, n_features)
    for term in encoder.terms:
        check_positions("random-effects terms", (term.factor,), len(encoder.factors))
        check_positions("columns of random effects", term.columns, n_columns)
        require(term.structure in STRUCTURES.values(), "covariance structures")
    used = {term.factor for term in encoder.terms}
    require(used == set(range(len(encoder.factors))), "random-effects terms")
    if encoder.subjects is not None:
        _check_subjects(encoder.subjects, n_features)


def _check_factor(factor: GroupingFactor, n_features: int) -> None:
    check_kind("grouping factors", factor, GroupingFactor)
    require(factor.sources and len(factor.sources) == len(factor.levels), "grouping columns")
    check_names(tuple(s.name for s in factor.sources))
    columns = tuple(s.position for s in factor.sources if s.position is not None)
    check_positions("grouping columns", columns, n_features)
    for levels in factor.levels:
        check_levels(levels)
    if factor.cells is None:
        require(len(factor.sources) == 1, "labels")
        return
    check_array("cells of an interaction", factor.cells, (len(factor.cells),), "i")
    end = np.prod([float(len(levels)) for levels in factor.levels])
    require(end < 2.0**62, "cells of an interaction")
    require(((factor.cells >= 0) & (factor.cells < end)).all(), "cells of an interaction")


def _check_subjects(subjects: Any, n_features: int) -> None:
    """Check the columns of a residual covariance."""
    check_kind("subjects", subjects, SubjectColumns)
    require(subjects.structure in CORRELATIONS, "residual covariance")
    flags = ("heterogeneous", "shared_correlation", "has_fitted_power")
    require(all(type(getattr(subjects, own)) is bool for own in flags), "residual covariance")
    labels = () if subjects.fitted_time is None else (subjects.fitted_time,)
    for factor in (*subjects.factors, *labels):
        _check_factor(factor, n_features)
        require(all(source.position is not None for source in factor.sources), "subjects")
    deque(map(check_levels, subjects.orders), maxlen=0)
    require(subjects.subject is not None or not subjects.is_correlated, "subjects")
    timed = subjects.correlation.time != "none"
    require(subjects.time is not None or not (timed or subjects.heterogeneous), "times")
    if subjects.is_plane:
        is_of_distance = subjects.correlation.time == "distance" and not subjects.heterogeneous
        require(is_of_distance and len(subjects.time.sources) == 2, "times")
