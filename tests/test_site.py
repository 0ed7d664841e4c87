"""The check that the site can be read without a network sees what a browser would fetch."""

import re
import runpy
from pathlib import Path

import pytest

OFFLINE = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "_site" / "offline.py"))

ENTRY = re.compile(r"   [A-Za-z][\w.]+")
FOREIGN = [
    '<script defer="defer" src="https://cdn.example/mathjax.js"></script>',
    "<script src='//cdn.example/mathjax.js'></script>",
    '<link href="https://fonts.example/a.css" rel="stylesheet" />',
    '<link rel="shortcut icon" href="http://example.org/a.ico">',
    '<img alt="" src="https://example.org/a.png">',
    '<img src="a.png" srcset="a.png, https://example.org/a2.png 2.0x">',
    '<iframe src="https://example.org"></iframe>',
    '<video poster="https://example.org/a.png"></video>',
    '<object data="https://example.org/a.svg"></object>',
    "<style>@font-face {src: url(https://example.org/a.woff2)}</style>",
    '<style>@import "https://example.org/a.css";</style>',
    '<div style="background: url(//example.org/a.png)">',
    '<script type="module">import mermaid from "https://cdn.example/mermaid.mjs";</script>',
    '<script>s = document.createElement("script"); s.src = "https://cdn.example/a.js"</script>',
]
FREE = [
    '<a class="reference external" href="https://example.org/a.js">a paper</a>',
    '<link rel="canonical" href="https://example.org/index.html">',
    '<img src="a.png" srcset="a.png, a.png 2.0x">',
    '<script src="a.js?digest=1"></script>',
    '<img src="data:image/png;base64,AAAA">',
    '<svg><use href="#a"></use></svg>',
    '<code>&lt;script src="https://cdn.example/a.js"&gt;</code>',
    '<script>const page = {"repository": "https://example.org"};</script>',
]


@pytest.fixture
def site(tmp_path):
    for name in "a.png", "a.js":
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("content", FOREIGN)
def test_a_page_that_loads_from_another_host_is_named(site, content):
    (site / "page.html").write_text(f"<body>{content}</body>")
    (found,) = OFFLINE["faults"](site)
    assert found.startswith("page.html loads ")
    assert found.endswith(", which is on another host.")


@pytest.mark.parametrize("content", FREE)
def test_links_and_what_comes_with_the_site_are_free(site, content):
    (site / "page.html").write_text(f"<body>{content}</body>")
    assert OFFLINE["faults"](site) == []


def test_styles_and_missing_files_are_seen(site):
    (site / "styles").mkdir()
    (site / "styles" / "a.css").write_text(
        'a { background: url("../a.png") } b { src: url(https://example.org/b.woff2) }'
    )
    (site / "page.html").write_text('<script src="_static/mathjax/tex-chtml.js"></script>')
    assert OFFLINE["faults"](site) == [
        "page.html loads _static/mathjax/tex-chtml.js, which is not in the site.",
        "styles/a.css loads https://example.org/b.woff2, which is on another host.",
    ]


def test_the_build_fails(site):
    class App:
        outdir = str(site)

        class builder:  # noqa: N801
            format = "html"

    OFFLINE["check"](App, None)
    (site / "page.html").write_text(FOREIGN[0])
    with pytest.raises(RuntimeError, match=r"network:\npage\.html loads https"):
        OFFLINE["check"](App, None)
    OFFLINE["check"](App, KeyError())  # a build that has failed already says its own error


def test_the_index_of_the_api_lists_what_its_pages_list():
    docs = Path(__file__).parents[1] / "docs"

    def listed(page):
        return {line for line in page.read_text("utf-8").splitlines() if ENTRY.fullmatch(line)}

    pages = set().union(*map(listed, (docs / "reference").glob("*.rst")))
    assert "   inference.coefficient_table" in pages
    assert listed(docs / "api.rst") == pages
