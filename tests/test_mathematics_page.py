"""What the pages show of the source exists, and what the source says of the pages too."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
INCLUDE = re.compile(
    r"^:::\{dropdown\} `(?P<title>[^`]+)`\n"
    r"```\{literalinclude\} (?P<path>\S+)\n:pyobject: (?P<name>\S+)\n```\n:::$",
    re.MULTILINE,
)
INCLUDES = [(page, match) for page in PAGES for match in INCLUDE.finditer(page.read_text("utf-8"))]
# "docs/mathematics.md" in a docstring, and the heading it names.
POINTER = re.compile(r"docs/(\w+\.md)(?:,\s+\"([^\"]+)\")?")


def names_in(path):
    """Dotted names of the functions and classes of a file."""

    def walk(body, prefix):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield prefix + node.name
                yield from walk(node.body, f"{prefix}{node.name}.")

    return set(walk(ast.parse(path.read_text("utf-8")).body, ""))


@pytest.mark.parametrize(("page", "match"), INCLUDES, ids=[match["title"] for _, match in INCLUDES])
def test_the_source_shown_exists(page, match):
    path = (page.parent / match["path"]).resolve()
    assert path.is_file()
    assert match["name"] in names_in(path)
    module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    assert match["title"] == f"{module}.{match['name']}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_include_is_written_otherwise(page):
    found = sum(own is page for own, _ in INCLUDES)
    assert page.read_text("utf-8").count("{literalinclude}") == found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_equations_referred_to_exist_once(page):
    text = page.read_text("utf-8")
    labels = re.findall(r"^\$\$ \(([\w-]+)\)$", text, re.MULTILINE)
    assert len(labels) == len(set(labels))
    assert set(re.findall(r"\{eq\}`([\w-]+)`", text)) <= set(labels)


def test_headings_that_docstrings_name_exist():
    named = [
        (path.name, page, re.sub(r"\s+", " ", heading))
        for path in sorted((ROOT / "skmixed").rglob("*.py"))
        for page, heading in POINTER.findall(path.read_text("utf-8"))
    ]
    headings = {p.name: re.findall(r"^#+ (.+)$", p.read_text("utf-8"), re.MULTILINE) for p in PAGES}
    for source, page, heading in named:
        assert page in headings, source
        assert not heading or heading in headings[page], (source, heading)
    assert len(named) >= 10


def test_every_section_but_the_sources_points_to_code_or_computes():
    text = (ROOT / "docs" / "mathematics.md").read_text("utf-8")
    for section in text.split("\n## ")[1:-1]:
        assert "{literalinclude}" in section or ">>>" in section, section[:40]
