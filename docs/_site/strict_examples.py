"""Make warnings errors while an example of the gallery runs, as in the tests: none is to warn."""

import warnings
from contextlib import ExitStack

_strict = ExitStack()


def reset(gallery_conf: dict, file: str | None, when: str) -> None:
    """Before an example every warning is an error; after it, and for folders, as it was."""
    del gallery_conf
    _strict.close()
    if file is not None and when == "before":
        _strict.enter_context(warnings.catch_warnings())
        warnings.simplefilter("error")
