"""Write what was measured into the documentation: tables, numbers in sentences, and figures.

    python -m benchmarks.report

A page has a comment before and after what is written for it, `<!-- measured KEY -->` and
`<!-- /measured -->`; `tables.py` says which keys there are.
"""

import hashlib
import json
import re
from pathlib import Path

from benchmarks.figures import draw
from benchmarks.tables import rendered

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACE = re.compile(r"(<!-- measured (?P<key>\S.*?) -->)(?P<old>.*?)(<!-- /measured -->)", re.DOTALL)


def filled(text, results):
    """The text of a page with what the results say in its places."""

    def replace(place):
        own = rendered(results, place["key"])
        # Tables and lists stand on lines of their own.
        own = f"\n\n{own}\n\n" if place["key"].startswith("table:") else own
        return place[1] + own + place[4]

    return PLACE.sub(replace, text)


def digest(path=RESULTS):
    """What a figure carries to say of which results it is."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    results = json.loads(RESULTS.read_text())
    for page in PAGES:
        old = page.read_text(encoding="utf-8")
        new = filled(old, results)
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(f"{page.relative_to(ROOT)} written")
    draw(results, ROOT / "docs" / "_static", digest())


if __name__ == "__main__":
    main()
