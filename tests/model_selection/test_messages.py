"""What is said of many fits: each kind of error with one example, and what is left out."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning

from skmixed.model_selection._fits import Fit
from skmixed.model_selection._messages import FitNames, tell
from skmixed.model_selection._outcomes import Outcome

NAMES = FitNames([{}], 8, lambda split: f"split {split}")


def outcome(errors, n=8):
    own = Outcome.of_sums(n, [])
    for split, error in errors.items():
        own.take(split, Fit(error=error))
    return own


def said(*outcomes, names=NAMES):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tell(outcomes, names)
    return [(str(own.message), own.category) for own in caught]


def test_each_kind_of_error_has_an_example():
    errors = [ValueError(f"Odd at row {k}") for k in range(3)]
    errors += [ValueError("Even"), TypeError("Even"), KeyError("x"), ZeroDivisionError("by 0")]
    assert said(outcome(dict(enumerate(errors)))) == [
        (
            "7 of 8 fits failed, and their scores are NaN. The first, without split 0: Odd at "
            "row 0. 1 failed otherwise, the first, without split 3: Even. 1 failed otherwise, the "
            "first, without split 4: TypeError: Even. 2 other kinds of errors are left out.",
            FitFailedWarning,
        )
    ]
    assert said(outcome({})) == []


def test_what_all_fits_have_raised():
    error = TypeError("no model")
    with pytest.raises(TypeError, match=r"^no model$"):
        tell([outcome(dict.fromkeys(range(8), error))], NAMES)
    both = FitNames([{"a": 1}, {"a": 2}], 8, NAMES.split)
    failed = outcome(dict.fromkeys(range(8), error))
    message = (
        r"^All 16 fits failed\. The first, of candidate 0 \(a=1\) without split 0: TypeError: no"
    )
    with pytest.raises(ValueError, match=message):
        tell([failed, failed], both)
    ((text, _),) = said(outcome({}), failed, names=both)
    assert text.startswith("8 of 16 fits failed")
    assert "The first, of candidate 1 (a=2) without split 0" in text


def test_warnings_are_counted_over_candidates_and_splits():
    one, other = outcome({}), outcome({})
    for split in range(3):
        one.take(split, Fit(messages=[(f"Odd at row {split}", UserWarning)]))
        # What a fit says twice is counted once
        other.take(split, Fit(messages=[("Odd at row 9", UserWarning)] * 2))
    other.ask(1, Fit(messages=[("Odd at row 8", UserWarning)]))
    both = FitNames([{"a": np.float64(1.0)}, {"a": 2}], 8, NAMES.split)
    ((text, category),) = said(one, other, names=both)
    assert category is UserWarning
    assert text.startswith("In 6 of 16 fits, such as that of candidate 0 (a=")
    assert text.endswith("without split 0: Odd at row 0")
