"""Sources of chunks: how they are read, what a chunk holds, and where an error occurred."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from typing import Any

from skmixed._typing import Progress

# Rows of a batch of a Parquet data set: large enough that what a batch costs is little.
BATCH_ROWS = 131_072
SOURCES = (
    "Give the path of a Parquet file or folder, a Dask dataframe, a list of chunks, or a function "
    "without arguments that returns a new iterator of chunks each time"
)


@dataclass(frozen=True)
class ChunkColumns:
    """The names of the columns of chunks that are no columns of X.

    Attributes
    ----------
    target : str or None
        None where chunks are (X, y) or (X, y, sample_weight).
    sample_weight, exposure : str or None
    """

    target: str | None
    sample_weight: str | None = None
    exposure: str | None = None

    def check(self) -> None:
        """Refuse what is no name."""
        for parameter, name in vars(self).items():
            if name is not None and not isinstance(name, str):
                raise TypeError(
                    f"{parameter}={name!r} is of type {type(name).__name__}. Give the name of a "
                    "column of the chunks."
                )

    def split(self, chunk: Any) -> tuple[Any, Any, Any, Any]:
        """Return X, y, sample_weight and exposure of a chunk; None for what is not there."""
        if self.target is None:
            X, y, weights = opened(chunk)
            own = {"sample_weight": self.sample_weight, "exposure": self.exposure}
        else:
            X, y, weights, own = chunk, None, None, vars(self)
        named = {parameter: name for parameter, name in own.items() if name is not None}
        if not named:
            return X, y, weights, None
        if weights is not None and self.sample_weight is not None:
            raise ValueError(
                f"sample_weight={self.sample_weight!r} names a column, but the chunk has weights "
                "as its third part too. Leave one of them out."
            )
        names = _names(X, named)
        rest = [name for name in names if name not in named.values()]
        found = {parameter: X[name] for parameter, name in named.items()}
        X = X.select(rest) if hasattr(X, "select") else X[rest]
        return X, found.get("target", y), found.get("sample_weight", weights), found.get("exposure")


def _names(X: Any, named: dict[str, str]) -> list[Any]:
    """Return the names of a frame's columns, among which those that are named must be."""
    names = getattr(X, "column_names", None)
    names = getattr(X, "columns", None) if names is None else names
    if names is None:
        parameter, name = next(iter(named.items()))
        raise TypeError(
            f"the chunk is of type {type(X).__name__}, without names of columns, but "
            f"{parameter}={name!r} names one. Give frames."
        )
    for parameter, name in named.items():
        if name not in list(names):
            raise ValueError(
                f"{parameter}={name!r} is not a column of the chunk, which has columns "
                f"{', '.join(map(repr, names))}."
            )
    return list(names)


def open_source(source: Any, target: str | None) -> Callable[[], Iterable[Any]]:
    """Return what gives the chunks of a source from its start, each time it is called.

    Raises
    ------
    TypeError
        If the source can be read once only, or is no source.
    ValueError
        If it is of frames, and no target is named.
    """
    frames = _frames(source)
    if frames is not None:
        if target is None:
            raise ValueError(
                f"source is of type {type(source).__name__}, whose chunks are frames. Name the "
                "column of the response: target=..."
            )
        return frames
    if callable(source):
        return source
    if hasattr(source, "columns") or not hasattr(source, "__iter__"):
        raise TypeError(
            f"source is of type {type(source).__name__}. {SOURCES}; to rows in memory, use fit."
        )
    if iter(source) is source:
        raise TypeError(
            f"source is of type {type(source).__name__}, which can be read once, but the search "
            f"may read the rows again and again. {SOURCES}."
        )
    return lambda: source


def _frames(source: Any) -> Callable[[], Iterable[Any]] | None:
    """Return what reads a source of frames: Parquet files, pyarrow's data sets, or Dask's."""
    if isinstance(source, str | PathLike):
        source = _parquet(source)
    if hasattr(source, "get_fragments"):
        return lambda: _batches(source)
    if hasattr(source, "to_delayed") and hasattr(source, "columns"):
        return lambda: (part.compute() for part in source.to_delayed())
    return None


def _parquet(path: Any) -> Any:
    try:
        from pyarrow.dataset import dataset
    except ImportError as error:
        raise ImportError(
            f"source={str(path)!r} is read by pyarrow, which is not installed. Install it by "
            "`pip install pyarrow`."
        ) from error
    return dataset(path, format="parquet")


def _batches(source: Any) -> Iterable[Any]:
    """Return batches of a data set; by default pyarrow holds whole files, and reads far ahead."""
    from pyarrow.dataset import ParquetFragmentScanOptions

    frugal: dict[str, Any] = {"batch_readahead": 1, "fragment_readahead": 1, "use_threads": False}
    if getattr(getattr(source, "format", None), "default_extname", None) == "parquet":
        frugal["fragment_scan_options"] = ParquetFragmentScanOptions(pre_buffer=False)
    return source.to_batches(batch_size=BATCH_ROWS, **frugal)


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
