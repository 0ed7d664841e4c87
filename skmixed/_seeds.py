"""Seeds of random numbers, from what scikit-learn takes for `random_state`."""

import numbers
from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def seed_sequence(random_state: Any) -> np.random.SeedSequence:
    """Turn what scikit-learn takes for `random_state`, or a Generator, to seeds."""
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(random_state.integers(2**32, size=4).tolist())
    try:
        state = check_random_state(random_state)
    except ValueError as error:
        kind = ValueError if isinstance(random_state, numbers.Integral) else TypeError
        raise kind(
            f"random_state={random_state!r} is no seed. Give an int from 0 to 2**32 - 1, a "
            "RandomState, a Generator or None."
        ) from error
    return np.random.SeedSequence(state.randint(2**32, size=4, dtype=np.uint32).tolist())
