"""The sections of the page on classes and counts run alone, or after the section that they name."""

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "classes_and_counts.md"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
NAMED = re.compile(r"(?:is the model of|are those of)\s+\[[^\]]*\]\(#([\w-]+)\)")


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def sections() -> dict[str, str]:
    """Return the text under each heading that has code, by the anchor of the heading."""
    parts = re.split(r"(?m)^#+ (.*)\n", PAGE.read_text(encoding="utf-8"))
    return {
        anchor(heading): text
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
        if ">>>" in text
    }


SECTIONS = sections()


@pytest.mark.slow
@pytest.mark.parametrize("name", SECTIONS)
def test_section_runs_alone(name: str) -> None:
    text = SECTIONS[name]
    before = [SECTIONS[other] for other in NAMED.findall(text)]
    code = "\n".join([*before, text])
    test = doctest.DocTestParser().get_doctest(code, {}, name, str(PAGE), 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=report.append)
    assert not report, "".join(report)
