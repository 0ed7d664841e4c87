import io

import numpy as np
import pytest

from skmixed.inference._tables.options import check_digits, check_text, written


@pytest.mark.parametrize("value", [0, 3, 15, np.int64(2)])
def test_digits(value):
    check_digits("digits", value, least=0)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (16, ValueError, "digits=16 is not from 1 to 15"),
        (0, ValueError, "digits=0 is not from 1 to 15"),
        ("2", TypeError, "digits='2' is of type str. Give an integer"),
        (False, TypeError, "digits=False is of type bool"),
    ],
)
def test_digits_that_are_none(value, error, message):
    with pytest.raises(error, match=message):
        check_digits("digits", value, least=1)


def test_text():
    check_text("label", None)
    check_text("label", "")
    with pytest.raises(TypeError, match=r"label=1 is of type int\. Give text, or None"):
        check_text("label", 1)


def test_text_is_returned_or_written(tmp_path):
    assert written("χ²", None) == "χ²"
    file = io.StringIO()
    assert written("χ²", file) is None
    assert file.getvalue() == "χ²"
    written("χ²\n", tmp_path / "table")
    assert (tmp_path / "table").read_bytes() == "χ²\n".encode()
    with pytest.raises(TypeError, match=r"buf=1 is of type int\. Give a path"):
        written("χ²", 1)
