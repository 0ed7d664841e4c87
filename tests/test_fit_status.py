import pickle

import pytest

from skmixed.exceptions import FitStatus


def test_fits_saved_by_the_public_name_are_read():
    assert pickle.loads(b"cskmixed.exceptions\nFitStatus\n.") is FitStatus
    assert b"skmixed.exceptions" in pickle.dumps(FitStatus.CONVERGED)


@pytest.mark.parametrize("status", FitStatus)
def test_a_status_is_its_sentence(status):
    assert FitStatus(status.value) is status
    assert status.value.endswith(".")
