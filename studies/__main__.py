"""The command: designs are run, and the pages are written from what they gave."""

import argparse
import json
import re
import sys
import time
from pathlib import Path

from studies.page import pages
from studies.registry import DESIGNS
from studies.study import run, versions

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "studies" / "results.json"
DOCS = ROOT / "docs"


def parsed(arguments):
    parser = argparse.ArgumentParser(prog="python -m studies")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of the names of designs")
    parser.add_argument("--samples", type=int, help="as many data sets of each design")
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--page", action="store_true", help="write the pages alone")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--output", type=Path, default=DOCS, help="folder of the pages")
    return parser.parse_args(arguments)


def kept(path, header, *, is_whole):
    """Return earlier results of the other designs, which the pages show beside the new ones."""
    if is_whole or not path.exists():
        return {}
    earlier = json.loads(path.read_text("utf-8"))
    own = {name: earlier[name] for name in header}
    if own != header:
        raise SystemExit(f"{path} is of {own}, and this run of {header}. Run all designs.")
    return earlier["designs"]


def written(results):
    """Return JSON with a line for each number."""
    text = json.dumps(results, indent=1)
    return re.sub(r'\n {5,}(?=")', " ", text).replace("\n    }", " }") + "\n"


def main(arguments=None):
    given = parsed(arguments)
    if not given.page:
        header = {"random_state": given.random_state, "versions": versions()}
        found = kept(given.results, header, is_whole=given.only == [""])
        for design in (d for d in DESIGNS if any(part in d.name for part in given.only)):
            start = time.process_time()
            found[design.name] = run(design, given.random_state, given.samples)
            sys.stdout.write(f"{design.name}: {time.process_time() - start:.1f} s\n")
            sys.stdout.flush()
            names = [d.name for d in DESIGNS if d.name in found]
            ordered = header | {"designs": {name: found[name] for name in names}}
            given.results.write_text(written(ordered), "utf-8")
    results = json.loads(given.results.read_text("utf-8"))
    for name, text in pages(results, DESIGNS).items():
        (given.output / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
