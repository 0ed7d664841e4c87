"""A bar that shows how far a long computation has come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(
    total: int, what: str, unit: str, *, verbose: bool
) -> Iterator[Callable[[int], object]]:
    """Yield what to call with the number of further units done; shown by tqdm if `verbose`.

    Raises
    ------
    ImportError
        If tqdm is needed and not installed.
    """
    if not verbose:
        yield lambda _: None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "verbose=True shows a progress bar by tqdm, which is not installed. Install it with "
            "`pip install tqdm`, or set verbose=False."
        ) from error
    with tqdm(total=total, desc=what, unit=unit) as bar:
        yield bar.update
