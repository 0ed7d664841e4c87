"""Name objects of the API without their module in lists of pages; their pages have it."""

from docutils import nodes


def shorten(app, _doctree) -> None:
    name = app.env.current_document.docname
    if name.startswith("generated/"):
        title = nodes.title()
        title += nodes.Text(app.env.titles[name].astext().rpartition(".")[2])
        app.env.titles[name] = title


def setup(app) -> dict[str, bool]:
    app.connect("doctree-read", shorten, priority=900)  # after Sphinx has collected the titles
    return {"parallel_read_safe": True, "parallel_write_safe": True}
