"""Fail the build where a page loads something from another host, or a file that is not there.

Links that a reader follows are free to lead anywhere. Scripts, styles, fonts, pictures and frames
come with the site, so that it can be read without a network: from a disk, in a train, behind a
firewall. What a script loads while it runs is not seen here, but for scripts within a page.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

TAG = re.compile(
    r"<(audio|embed|i?frame|image|img|input|link|object|script|source|track|use|video)\s[^>]*>"
)
ATTRIBUTE = re.compile(
    r"""\s(data|href|poster|rel|src|srcset|xlink:href)\s*=\s*("[^"]*"|'[^']*')"""
)
STYLE = re.compile(r"""url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)""")
WITHIN = re.compile(r"<style\b[^>]*>(.*?)</style>|\sstyle=\"([^\"]*)\"", re.DOTALL)
CODE = re.compile(r"<script\b[^>]*>(.*?)</script>", re.DOTALL)
CALL = re.compile(
    r"""(?:\bimport|\bfrom|\bfetch|\.src\s*=|\.href\s*=)[\s(]*["']((?:https?:)?//[^"']+)"""
)
# What a browser fetches for a <link>; the others (next, canonical, ...) are for readers.
FETCHED = {"stylesheet", "icon", "preload", "modulepreload", "prefetch", "manifest", "preconnect"}


def loads_of_tag(tag: str) -> Iterator[str]:
    found = {name: value[1:-1] for name, value in ATTRIBUTE.findall(tag)}
    if tag.startswith("<link") and not FETCHED & set(found.get("rel", "").split()):
        return
    for name in found.keys() - {"rel", "srcset"}:
        yield found[name]
    for candidate in found.get("srcset", "").split(","):
        yield from candidate.split()[:1]


def loads_of_style(text: str) -> Iterator[str]:
    for address, imported in STYLE.findall(text):
        yield (address or imported).strip()


def loads_of_page(text: str) -> Iterator[str]:
    """Yield the addresses that a browser fetches to show a page."""
    for tag in TAG.finditer(text):
        yield from loads_of_tag(tag.group())
    for block, attribute in WITHIN.findall(text):
        yield from loads_of_style(block or attribute)
    for code in CODE.findall(text):
        yield from CALL.findall(code)


def fault(address: str, folder: Path) -> str | None:
    """Return what is wrong with an address that a file of `folder` loads."""
    parts = urlsplit(address)
    if parts.netloc or parts.scheme in {"http", "https", "ftp"}:
        return "is on another host"
    if parts.scheme or not parts.path:
        return None  # data: and fragments of the page itself
    return None if (folder / unquote(parts.path)).exists() else "is not in the site"


def faults(site: Path) -> list[str]:
    """Return a sentence for each thing that a page or a style loads and should not."""
    found: set[str] = set()
    for pattern, loads in ("*.html", loads_of_page), ("*.css", loads_of_style):
        for file in sorted(site.rglob(pattern)):
            if file.name == "webpack-macros.html":  # a template of the theme, not a page
                continue
            for address in loads(file.read_text(encoding="utf-8")):
                if wrong := fault(address, file.parent):
                    found.add(f"{file.relative_to(site)} loads {address}, which {wrong}.")
    return sorted(found)


def check(app, exception) -> None:
    if exception is None and app.builder.format == "html" and (found := faults(Path(app.outdir))):
        raise RuntimeError("\n".join(["the site cannot be read without a network:", *found]))


def setup(app) -> dict[str, bool]:
    app.connect("build-finished", check, priority=900)  # after the extensions that copy files
    return {"parallel_read_safe": True, "parallel_write_safe": True}
