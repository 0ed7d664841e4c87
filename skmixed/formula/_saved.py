"""A formula as learned from data, in a saved model: text, numbers and arrays, and back.

The formula is saved as the text that it is, and read again: of what formulaic evaluates,
nothing comes from elsewhere. What was learned from data is checked to fit it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from skmixed._data.labels import ColumnLevels
from skmixed._estimators.regressor import MixedLinearRegressor
from skmixed._model.coding import Coding
from skmixed._saved.encoder import check_levels
from skmixed._saved.form import pack, unpack
from skmixed._saved.requirements import is_finite_matrix, require
from skmixed._saved.state import PlainState
from skmixed.formula._columns import FALSE_TRUE, ColumnKinds, NamedRows
from skmixed.formula._families import BINOMIAL, CLASS_LABELS, REGRESSORS
from skmixed.formula._functions.contrasts import CODINGS
from skmixed.formula._learned import Learned, LearnedFactor, LearnedTerm, Product
from skmixed.formula._model_frame import ModelFrame, Reading
from skmixed.formula._reference.saved import packed_observed, unpacked_observed
from skmixed.formula._source import Part, Quantity, Sum

FACTOR_KINDS = ("numerical", "categorical", "constant")
# Dicts and lists within each other that a transformation keeps at most.
DEEPEST = 20


class FormulaState(PlainState):
    """The state of a fitted `FormulaRegressor`."""

    _parts = ("_frame",)
    _publish: Callable[[], None]
    regressor_: Any

    def slim(self) -> Self:
        """Return a copy without the statistics of the fit, for serving.

        It predicts the same and shows the estimates, as in
        `skmixed.MixedLinearRegressor.slim`; inference raises a ValueError.

        Returns
        -------
        FormulaRegressor
            The copy.

        Examples
        --------
        >>> from skmixed import lmer
        >>> from skmixed.datasets import load_sleepstudy
        >>> data = load_sleepstudy().frame
        >>> model = lmer("Reaction ~ Days + (Days | Subject)", data)
        >>> bool((model.slim().predict(data) == model.predict(data)).all())
        True
        """
        check_is_fitted(self)
        copy = type(self).__new__(type(self))
        copy.__dict__.update(vars(self) | {"regressor_": self.regressor_.slim()})
        return copy

    def _pack_parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        frame = parts["_frame"]
        # Functions of the user's are saved as they are.
        return {"frame": packed_frame(frame), "context": dict(frame.source.context)}

    def _unpack_parts(self, fit: dict[str, Any]) -> dict[str, Any]:
        return {"_frame": unpacked_frame(fit["frame"], fit["context"])}

    def _check_parts(self, parts: dict[str, Any], state: dict[str, Any]) -> None:
        check_formula(parts["_frame"], state)

    def _after_loading(self) -> None:
        self._publish()  # in the form of this version


def packed_frame(frame: ModelFrame) -> dict[str, Any]:
    """Return a frame of nothing but arrays, lists, dicts, numbers and text.

    Raises
    ------
    TypeError
        If a transformation of the user's keeps something else.
    """
    parsed, weights = frame.source.parsed, frame.weights
    beside = frame.offsets[len(parsed.offsets) :]
    return {
        "formula": parsed.text,
        "columns": list(frame.given),
        "weights": None if weights is None else weights.text,
        "offset": beside[0].text if beside else None,
        "labels": list(frame.labels),
        "codings": frame.codings,
        "kinds": _packed_kinds(frame.kinds),
        "parts": [_packed_part(part) for part in frame.parts],
        "offsets": [_packed_quantity(own) for own in frame.offsets],
        "of_response": _packed_quantity(frame.response),
        "of_weights": _packed_quantity(weights),
        "of_failures": _packed_quantity(frame.failures),
        "classes": pack(frame.classes),
        "observed": packed_observed(frame.observed),
    }


def unpacked_frame(state: Any, context: Mapping[str, Any]) -> ModelFrame:
    """Return what was packed.

    Raises
    ------
    ValueError
        If the parts of the state do not fit each other. A state of another form may
        bring about other errors.
    """
    columns = _texts(state["columns"])
    require(len(set(columns)) == len(columns), "columns")
    for name in ("weights", "offset"):
        require(state[name] is None or isinstance(state[name], str), name)
    require(isinstance(state["formula"], str), "formula")
    rows = NamedRows.of(pd.DataFrame(0.0, index=[0], columns=list(columns)))
    labels = _texts(state.get("labels", []))
    named = state["weights"], state["offset"], labels, _codings(state.get("codings", {}))
    reading = Reading.of(state["formula"], rows, context, *named)
    kinds = _kinds(state["kinds"], reading.variables)
    parts = _each(_part, reading.sums, state["parts"])
    frame = reading.with_learned(
        kinds=kinds,
        parts=parts,
        offsets=_each(_quantity, reading.offsets, state["offsets"]),
        response=_quantity(reading.response, state["of_response"]),
        weights=_quantity(reading.weights, state["of_weights"]),
        failures=_quantity(reading.failures, state.get("of_failures")),
    )
    observed = unpacked_observed(state.get("observed"), kinds, frame.variables, len(frame.offsets))
    return replace(frame, classes=_classes(state.get("classes")), observed=observed)


def _codings(state: Any) -> dict[str, str]:
    """Return the codings of factors by column."""
    require(isinstance(state, dict), "codings")
    require(all(isinstance(k, str) and own in CODINGS for k, own in state.items()), "codings")
    return dict(state)


def _classes(state: Any) -> ColumnLevels | None:
    """Return the labels of a response of two classes."""
    if state is None:
        return None
    classes = unpack(state)
    check_levels(classes)
    require(len(classes) == CLASS_LABELS, "classes")
    return classes


def check_formula(frame: ModelFrame, state: Mapping[str, Any]) -> None:
    """Refuse a frame that is not that of the regressor beside it, or of no number of rows."""
    regressor = state["regressor_"]
    family = state.get("family")
    kind = MixedLinearRegressor if family is None else REGRESSORS[family]
    require(isinstance(regressor, kind), "regressor")
    require("_model" in vars(regressor), "regressor")
    is_alone = frame.classes is None and frame.failures is None
    require(is_alone or family == BINOMIAL, "response")
    require(list(regressor.feature_names_in_) == frame.made, "columns")
    require(type(state["n_dropped_"]) is int and state["n_dropped_"] >= 0, "number of rows")


def _each(read: Any, own: Any, states: Any) -> tuple[Any, ...]:
    """Read a list of states, one for each thing that the formula has."""
    require(isinstance(states, list) and len(states) == len(own), "terms")
    return tuple(read(one, state) for one, state in zip(own, states, strict=True))


def _texts(value: Any) -> tuple[str, ...]:
    require(isinstance(value, list) and all(type(item) is str for item in value), "names")
    return tuple(value)


def _packed_kinds(kinds: ColumnKinds) -> dict[str, Any]:
    factors = {n: own for n, own in kinds.levels.items() if n not in kinds.booleans}
    return {
        "factors": list(factors),
        "levels": [pack(own) for own in factors.values()],
        "booleans": sorted(kinds.booleans),
        "dates": sorted(kinds.dates),
    }


def _kinds(state: Any, variables: list[str]) -> ColumnKinds:
    """Return what the columns hold, each of which is one of the variables."""
    factors, booleans, dates = (_texts(state[name]) for name in ("factors", "booleans", "dates"))
    named = (*factors, *booleans, *dates)
    require(len(set(named)) == len(named) and set(named) <= set(variables), "columns")
    levels = [unpack(own) for own in state["levels"]]
    for own in levels:
        check_levels(own)
        require(len(own) > 0, "categories")
    known: dict[str, ColumnLevels] = dict(zip(factors, levels, strict=True))
    known |= dict.fromkeys(booleans, FALSE_TRUE)
    return ColumnKinds(known, frozenset(booleans), frozenset(dates))


def _packed_quantity(own: Quantity | None) -> dict[str, Any] | None:
    if own is None or own.part is None or own.kinds is None:
        return None
    return {"kinds": _packed_kinds(own.kinds), "part": _packed_part(own.part)}


def _quantity(own: Quantity | None, state: Any) -> Quantity | None:
    """Return a quantity as learned; of a column, and where y was given, nothing was."""
    if own is None or own.sum is None or state is None:
        require(state is None, "terms")
        return own
    kinds = _kinds(state["kinds"], own.columns)
    part = _part(own.sum, state["part"])
    require(len(part.names) == 1, "terms")
    return replace(own, kinds=kinds, part=part)


def _packed_part(part: Part) -> dict[str, Any]:
    learned = part.learned
    return {
        "terms": [
            {
                "columns": list(term.columns),
                "products": [
                    {
                        "factors": [code for code, _ in own.factors],
                        "reduced": [is_reduced for _, is_reduced in own.factors],
                        "scale": own.scale,
                    }
                    for own in term.products
                ],
            }
            for term in learned.terms
        ],
        "codes": list(learned.factors),
        "factors": [_packed_factor(own) for own in learned.factors.values()],
        "transforms": _packed_state(learned.transforms),
    }


def _part(own: Sum, state: Any) -> Part:
    """Return a sum of terms as learned."""
    terms = _each(_term, list(own.formula), state["terms"])
    columns = [name for term in terms for name in term.columns]
    require(len(set(columns)) == len(columns), "columns of terms")
    known = {factor.expr for term in own.formula for factor in term.factors}
    codes = _texts(state["codes"])
    require(len(set(codes)) == len(codes) and set(codes) <= known, "factors")
    factors = dict(zip(codes, map(_factor, state["factors"]), strict=True))
    used = {code for term in terms for product in term.products for code, _ in product.factors}
    require(used <= set(codes), "factors")
    transforms = _state(state["transforms"])
    require(isinstance(transforms, dict), "transformations")
    require(all(isinstance(learned, dict) for learned in transforms.values()), "transformations")
    return Part(own, Learned(terms, factors, transforms))


def _term(term: Any, state: Any) -> LearnedTerm:
    known = {factor.expr for factor in term.factors}
    products = []
    for own in state["products"]:
        codes, reduced, scale = _texts(own["factors"]), own["reduced"], own["scale"]
        require(set(codes) <= known and len(set(codes)) == len(codes), "factors")
        require(isinstance(reduced, list) and len(reduced) == len(codes), "factors")
        require(all(type(is_reduced) is bool for is_reduced in reduced), "factors")
        require(type(scale) is float and np.isfinite(scale), "factors")
        products.append(Product(tuple(zip(codes, reduced, strict=True)), scale))
    return LearnedTerm(tuple(products), _texts(state["columns"]))


def _packed_factor(own: LearnedFactor) -> dict[str, Any]:
    return {
        "kind": own.kind,
        "categories": pack(own.categories),
        "coding": None if own.coding is None else _packed_state(own.coding),
        "more": _packed_state(own.more),
    }


def _factor(state: Any) -> LearnedFactor:
    """Return what the coding of a factor has learned."""
    kind, categories = state["kind"], unpack(state["categories"])
    coding = None if state["coding"] is None else _state(state["coding"])
    more = _state(state["more"])
    require(isinstance(kind, str) and kind in FACTOR_KINDS, "factors")
    if categories is not None:
        check_levels(ColumnLevels(categories))
    if coding is not None:
        require(isinstance(coding, Coding) and categories is not None, "codings")
        require(coding.full.shape[0] == coding.reduced.shape[0] == len(categories), "codings")
    require(isinstance(more, dict), "factors")
    return LearnedFactor(kind, categories, coding, more)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _packed_state(value: Any) -> Any:
    """Pack a learned value; the keys of a dict may be numbers, as those of poly."""
    if isinstance(value, Mapping):
        values = [_packed_state(item) for item in value.values()]
        return {"is": "mapping", "keys": [pack(key) for key in value], "values": values}
    if isinstance(value, list):
        return [_packed_state(item) for item in value]
    if isinstance(value, Coding):
        return {"is": "coding", "full": pack(value.full), "reduced": pack(value.reduced)}
    return pack(value)


def _state(value: Any, depth: int = 0) -> Any:
    """Return what was packed."""
    require(depth < DEEPEST, "transformations")
    if isinstance(value, list):
        return [_state(item, depth + 1) for item in value]
    if isinstance(value, np.ndarray):
        require(value.dtype.kind in "biuf" and value.dtype.isnative, "transformations")
        return value
    if not isinstance(value, dict):
        require(value is None or _is_scalar(value), "transformations")
        return value
    if value["is"] == "coding":
        matrices = unpack(value["full"]), unpack(value["reduced"])
        require(all(map(is_finite_matrix, matrices)), "codings")
        return Coding(*matrices)
    require(value["is"] == "mapping", "transformations")
    keys, values = value["keys"], value["values"]
    require(isinstance(keys, list) and isinstance(values, list), "transformations")
    require(all(map(_is_scalar, keys)), "transformations")
    return {key: _state(item, depth + 1) for key, item in zip(keys, values, strict=True)}
