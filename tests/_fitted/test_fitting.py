"""Warnings of many fits are said once for each kind."""

import warnings

import pytest

from skmixed._fitted.fitting import CountedMessages, kind_of


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("Odd at row 3 of '308'", "Odd at row 17 of '31'", True),
        ("Columns 'a', 'b' and 'c' are odd", "Columns 'd' and 'e' are odd", True),
        ("It's 'a' that is the fit's", "It's 'b' that is the fit's", True),
        ("In 'O'Brien' the sd is 1.5e-3", "In 'x' the sd is -1,200.5", True),
        ("The fit's 'a' is odd", "The group's 'a' is odd", False),
        ("Column x1 is odd", "Column x2 is odd", False),
        ("Odd at row 3", "Even at row 3", False),
    ],
)
def test_texts_of_one_kind_differ_in_names_and_numbers(one, other, are_alike):
    assert (kind_of(one) == kind_of(other)) == are_alike


def test_each_kind_is_counted_by_fits():
    said = CountedMessages()
    said.take([("Odd at row 3", UserWarning), ("Odd at row 4", UserWarning)], "a")
    said.take([("Odd at row 5", UserWarning), ("Even", UserWarning)], "b")
    said.take([("Even", UserWarning), ("Even", RuntimeWarning)], "c")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said.tell(lambda count: f"In {count} of 3", lambda fit: f"{fit!r}")
    assert [(str(own.message), own.category) for own in caught] == [
        ("In 2 of 3, such as 'a': Odd at row 3", UserWarning),
        ("In 2 of 3: Even", UserWarning),
        ("In 1 of 3: Even", RuntimeWarning),
    ]
