"""States of saved models that were damaged, or made to do damage."""

import contextlib
import copy

import numpy as np

ANYTHING = [
    *(None, 0, -1, 2**70, 1.5, float("nan"), True, "x", "", b"x", object, (1, 2)),
    *([], ["a"], [1, 2], {}, {"is": "x"}, {"is": []}),
    {"is": "mapping", "keys": [], "values": []},
    {"is": "labels", "items": [[]]},
    {"is": "text", "utf8": np.array([255], np.uint8), "lengths": np.array([5], np.uint8)},
    {
        "is": "matrix",
        "data": np.ones(1),
        "indices": np.array([5]),
        "indptr": np.array([0, 1]),
        "shape": [1, 1],
    },
    *({"is": "status", "name": "CONVERGED"}, {"is": "encoder"}, {"is": "coding", "full": 1}),
    *(np.array(3.0), np.array([]), np.array(["a"], dtype=object), np.array([np.nan])),
]


def others(value, rng):
    """Values in the place of one of a state: of other kinds, sizes and ranges."""
    if isinstance(value, np.ndarray) and value.ndim:
        more = [value[:-1], value.astype(object), np.concatenate([value, value]), value.T]
        more += [value.astype(value.dtype.newbyteorder()), value[::-1], value.ravel()]
        more += [-value - 1, value + 10**6, 0 * value] if value.dtype.kind in "if" else []
        return [*ANYTHING, *more, *with_one_changed(value, rng)]
    if isinstance(value, list):
        return [
            *ANYTHING,
            value[:-1],
            value + value,
            value[::-1],
            [*value, None],
            [value],
            value[1:],
        ]
    if isinstance(value, dict):
        without = [{k: v for k, v in value.items() if k != name} for name in value]
        return [*ANYTHING, *without, {**value, "extra": 1}, {**value, 3: 1}]
    if isinstance(value, bool):
        return [*ANYTHING, not value]
    if isinstance(value, int | float):
        return [*ANYTHING, value + 1, value - 1, -value, value * 10**9, 1e308, 1e-308]
    return [*ANYTHING, value + "x", value[::-1]] if isinstance(value, str) else ANYTHING


def with_one_changed(value, rng):
    """Yield numbers of which one is another, and all in another order or of another type."""
    if value.dtype.kind not in "iuf" or not value.size:
        return
    yield rng.permutation(value.ravel()).reshape(value.shape)
    yield value.astype("f4" if value.dtype.kind == "f" else "i2")
    yield value.astype(complex)
    extreme = [np.nan, np.inf, -1.0, 1e308, 1e-300] if value.dtype.kind == "f" else []
    for other in (0, 1, 100, *extreme):
        changed = value.copy()
        changed.flat[rng.integers(value.size)] = other
        yield changed


def places(value, path=()):
    """Yield the path and the value of each part of a state."""
    yield path, value
    items = dict(enumerate(value)) if isinstance(value, list) else value
    for key, item in items.items() if isinstance(items, dict) else ():
        yield from places(item, (*path, key))


def reloaded(model, path, change):
    """Load the state of a model, with what is at a path of its fit changed."""
    state, value = model.__getstate__(), model.__getstate__()["_fit"]
    for key in path:
        value = value[key]
    other = type(model).__new__(type(model))
    other.__setstate__(put(state, ("_fit", *path), change(value)))
    return other


def put(state, path, value):
    """Return the state with another value at a path."""
    if not path:
        return value
    out = copy.copy(state)
    out[path[0]] = put(out[path[0]], path[1:], value)
    return out


def hostile_states(state, share, seed=0):
    """Yield a share of all states that differ from one at a single place."""
    rng = np.random.default_rng(seed)
    for path, value in places(state):
        for other in others(value, rng):
            if rng.random() < share:
                yield put(state, path, other)


def check_hostile_states(model, use, share):
    """Load hostile states of a model: each is refused, or loads and is used, by a ValueError."""
    counts = {"refused": 0, "loaded": 0}
    for state in hostile_states(model.__getstate__(), share):
        other = type(model).__new__(type(model))
        try:
            other.__setstate__(state)
        except ValueError:
            counts["refused"] += 1
            continue
        counts["loaded"] += 1
        with contextlib.suppress(ValueError):
            use(other)
    # Most are refused; a number or a label may be another.
    assert counts["refused"] > counts["loaded"] > 0
