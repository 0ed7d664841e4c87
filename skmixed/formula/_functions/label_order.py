"""The order of labels that are text: as R sorts them in English, whatever the machine's locale.

R sorts text by the collation of its locale, which in nearly all of them is that of the
Unicode Consortium's root: letters before their case and accents, lower case first, digits
before letters, punctuation before these. Here are its levels of comparison (Unicode
Technical Standard #10, section 4) with the weights of what labels are written in.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from skmixed._data.labels import ColumnLevels, kind_of

# In the root's order. What is not listed follows, by code point.
PUNCTUATION = "_-‐‒–—―,;:!¡?¿.·'‘’‚‹›\"“”„«»()[]{}§¶@*/\\&#%‰†‡•‧′`´^¯¨¸°©®←→↑↓+±÷×<=>¬|¦~−⁄"
CURRENCY = "¤¢$£¥€"
ACCENTS = (
    "\u0313\u0314\u0301\u0300\u0306\u0302\u030c\u030a\u0342\u0308\u030b\u0303\u0307\u0338\u0327"
    "\u0335\u0328\u0304"
)
PLACES = {c: k for k, c in enumerate(PUNCTUATION)}
PRICES = {c: k for k, c in enumerate(CURRENCY)}
RANKS = {c: k + 1 for k, c in enumerate(ACCENTS)}
# Letters that the root takes for others with a mark, and those that stand behind another.
STROKE, JOINED = "\u0335", "\u0345"
SPELLED = {own: base + STROKE for own, base in zip("đħłø", "dhlo", strict=True)}
SPELLED |= {own: base + JOINED for own, base in zip("ðŀſґ", "dlsг", strict=True)}
SPELLED |= {"æ": f"a{JOINED}e", "œ": f"o{JOINED}e", "ß": f"s{JOINED}s", "‑": "‐", "″": "′′"}
BEHIND = {
    own: (row[0], k)
    for row in ["iı", "qĸ", "nŋ", "tŧ", "zþ", "дђ", "еє", "зѕ", "иійј", "лљ", "нњ", "тћ", "чџ"]
    for k, own in enumerate(row[1:], 1)
}
COMPATIBLE = 2  # beside the case: ² beside 2, ß beside ss

# Groups of characters, from the first to the last.
BLANK, SIGN, PRICE, DIGIT, LETTER = range(5)


def in_order_of_r(levels: ColumnLevels, column: Any) -> ColumnLevels:
    """Return the labels of a column in R's order, unless they are no text or have their own."""
    has_own = isinstance(getattr(column, "dtype", None), pd.CategoricalDtype)
    if has_own or kind_of(levels.labels) != "text":
        return levels
    return ColumnLevels(sorted_text(levels.labels))


def sorted_text(labels: NDArray[Any]) -> NDArray[Any]:
    """Return distinct labels of text, (q,), in R's order."""
    return labels[sorted(range(len(labels)), key=lambda k: label_key(str(labels[k])))]


def label_key(text: str) -> tuple[Any, ...]:
    """Return what a label is sorted by: letters, then accents, then cases, then code points."""
    found = [w for char in unicodedata.normalize("NFC", text) for w in _weights(char)]
    letters = [letter for letter, _, _ in found if letter is not None]
    return letters, [accent for _, accent, _ in found], [case for _, _, case in found], text


@lru_cache(maxsize=10_000)
def _weights(own: str) -> tuple[tuple[tuple[int, ...] | None, int, int], ...]:
    """Return letter, accent and case of what a character consists of; a mark is no letter."""
    out = []
    for char, case in _elements(own):
        weight = _weight(char)
        if weight is not None:
            is_mark = bool(unicodedata.combining(char))
            out.append((None, weight[0], 0) if is_mark else (weight, 0, case))
    return tuple(out)


def _elements(own: str) -> Iterator[tuple[str, int]]:
    """Split a character into letters of lower case and marks, each with what was made of it."""
    lower = own.lower() if len(own.lower()) == 1 else own
    case = int(lower != own)
    if lower in BEHIND:
        yield lower, case
        return
    for char in SPELLED.get(lower, unicodedata.normalize("NFD", lower)):
        is_written = unicodedata.category(char)[0] in "LN" or char in "™…"
        parts = unicodedata.normalize("NFKD", char) if is_written else char
        for part in parts:
            folded = "σ" if part == "ς" else part.lower()
            yield folded, case + COMPATIBLE * (folded != char) + (part != part.lower())


def _weight(char: str) -> tuple[int, ...] | None:
    """Return what a character counts in its level; None where it counts nowhere."""
    category = unicodedata.category(char)
    if unicodedata.combining(char):
        return (RANKS.get(char, len(RANKS) + ord(char)),)
    if char.isspace():
        return (BLANK, ord(char))
    if category in ("Cc", "Cf"):
        return None
    if category == "Nd":
        return (DIGIT, unicodedata.decimal(char))
    if category == "Sc":
        return (PRICE, PRICES.get(char, len(PRICES) + ord(char)))
    if category[0] in "PS":
        return (SIGN, PLACES.get(char, len(PLACES) + ord(char)))
    before, place = BEHIND.get(char, (char, 0))
    return LETTER, ord(before), place
