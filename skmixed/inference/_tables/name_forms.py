"""Names in tables, written so that no two of them look alike."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

# Spaces at an end, and those after another one.
UNSEEN_SPACE = re.compile(r"(?<= ) |^ | $")


def told_apart(names: Iterable[str]) -> dict[str, str]:
    """Return how names are shown: name → what stands for it.

    Line breaks and other characters without a shape stand by their codes. Of names that
    then differ in nothing but spaces, invisible characters or forms of the same letters,
    all of these stand by their codes.
    """
    shown = {name: "".join(map(_visible, name)) for name in names}
    shown |= {name: _spelled(name) for name in _alike(shown)}
    # A name may be what stands for another one. With all codes none is.
    return {name: _spelled(name) for name in shown} if _alike(shown) else shown


def _alike(shown: Mapping[str, str]) -> list[str]:
    """Return the names of which others look the same."""
    known: dict[str, list[str]] = {}
    for name, own in shown.items():
        known.setdefault(_outline(own), []).append(name)
    return [name for own in known.values() if len(own) > 1 for name in own]


def with_names_apart(rows: Iterable[Sequence[str]], names: int) -> list[list[str]]:
    """Return rows whose first columns are names, which no longer look alike in a column."""
    listed = [list(row) for row in rows]
    for k in range(names):
        own = told_apart(row[k] for row in listed)
        for row in listed:
            row[k] = own[row[k]]
    return listed


def _visible(char: str) -> str:
    is_shapeless = (char.isspace() and char != " ") or unicodedata.category(char) in ("Cc", "Cs")
    return _code(char) if is_shapeless else char


def _outline(name: str) -> str:
    """Return what is seen of a name."""
    folded = unicodedata.normalize("NFKC", name)
    seen = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return " ".join(seen.split())


def _spelled(name: str) -> str:
    codes = "".join(_code(c) if not c.isascii() or c == "\\" else _visible(c) for c in name)
    return UNSEEN_SPACE.sub(r"\\x20", codes)


def _code(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
