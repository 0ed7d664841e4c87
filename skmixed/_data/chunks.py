"""A source of chunks: where in it an error occurred, and how far it has come."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from skmixed._typing import Progress


def numbered(chunks: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Yield chunks with their numbers; note at an error of the source where it was.

    Raises
    ------
    TypeError
        If `chunks` cannot be iterated.
    """
    if not hasattr(chunks, "__iter__") or hasattr(chunks, "columns"):
        raise TypeError(
            f"chunks is of type {type(chunks).__name__}. Give an iterable of (X, y) or "
            "(X, y, sample_weight)."
        )
    source, number = iter(chunks), 0
    while True:
        try:
            chunk = next(source)
        except StopIteration:
            return
        except BaseException as error:
            error.add_note(f"This happened while chunk {number} was read, counted from 0.")
            raise
        yield number, chunk
        number += 1


@contextmanager
def named(part: str) -> Iterator[None]:
    """Say in an error's message in which part of the rows it occurred."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if type(error) not in (ValueError, TypeError):
            error.add_note(f"This happened in {part}.")
            raise
        raise type(error)(f"In {part}: {error}") from error
    except BaseException as error:
        error.add_note(f"This happened in {part}.")
        raise


def opened(chunk: Any) -> tuple[Any, Any, Any]:
    """Return X, y and sample_weight of a chunk."""
    if not isinstance(chunk, tuple | list):
        raise TypeError(
            f"the chunk is of type {type(chunk).__name__}. Give (X, y) or (X, y, sample_weight)."
        )
    if len(chunk) not in (2, 3):
        raise ValueError(f"the chunk has {len(chunk)} parts. Give (X, y) or (X, y, sample_weight).")
    X, y, *rest = chunk
    return X, y, rest[0] if rest else None


def has_rows(X: Any) -> bool:
    """Whether a table or array has a row; other things are judged when opened."""
    shape = getattr(X, "shape", None)
    if shape is not None:
        return len(shape) == 0 or bool(shape[0])
    return not hasattr(X, "__len__") or len(X) > 0


@contextmanager
def progress_bar(verbose: int) -> Iterator[Progress]:
    """Show the rows and groups seen, by tqdm, if `verbose`."""
    if not verbose:
        yield lambda *_: None
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            f"verbose={verbose} shows the progress by tqdm, which is not installed. Install it by "
            "`pip install tqdm`, or use verbose=0."
        ) from error
    with tqdm(unit=" rows", unit_scale=True) as bar:

        def show(n_rows: int, n_levels: list[int]) -> None:
            bar.set_postfix(groups=" × ".join(map(str, n_levels)), refresh=False)
            bar.update(n_rows)

        yield show
