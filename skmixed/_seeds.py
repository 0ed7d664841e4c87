"""Seeds of random numbers, from what scikit-learn takes for `random_state`."""

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def check_seed(random_state: Any) -> None:
    """Refuse what scikit-learn takes for no `random_state`, without a draw."""
    _state_of(random_state)


def spawned(seeds: np.random.SeedSequence, n: int) -> Iterator[np.random.SeedSequence]:
    """Yield what ``seeds.spawn(n)`` returns, one by one."""
    for _ in range(n):
        yield seeds.spawn(1)[0]


def seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Turn what scikit-learn takes for `random_state`, or a Generator, to seeds."""
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(random_state.integers(2**32, size=4).tolist())
    state = _state_of(random_state)
    return np.random.SeedSequence(state.randint(2**32, size=4, dtype=np.uint32).tolist())


def _state_of(random_state: Any) -> np.random.RandomState:
    try:
        return check_random_state(random_state)
    except ValueError as error:
        kind = ValueError if isinstance(random_state, numbers.Integral) else TypeError
        raise kind(
            f"random_state={random_state!r} is no seed. Give an int from 0 to 2**32 - 1, a "
            "RandomState, a Generator or None."
        ) from error
