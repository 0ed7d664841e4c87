"""Name objects of the API without their module in lists of pages; their pages have it."""

from docutils import nodes


def shorten(app, _doctree) -> None:
    env = app.env
    name = env.current_document.docname
    if not name.startswith("generated/"):
        return
    short = env.titles[name].astext().rpartition(".")[2]
    title = nodes.title()
    title += nodes.Text(short)
    env.titles[name] = title  # of the pages before and after
    entry = next(env.tocs[name].findall(nodes.reference))  # of the side bar
    entry.children = []
    entry += nodes.Text(short)


def setup(app) -> dict[str, bool]:
    app.connect("doctree-read", shorten, priority=900)  # after Sphinx has collected the titles
    return {"parallel_read_safe": True, "parallel_write_safe": True}
