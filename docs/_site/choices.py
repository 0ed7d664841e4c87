"""The directive `choices`: a table of the names in skmixed.typing and the words each allows."""

from typing import get_args

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from skmixed import typing as choices


def words(alias) -> str:
    """Return the choices of an alias as one line: words as literals, types by their names."""
    found = []
    for choice in get_args(alias):
        if isinstance(choice, type):
            found.append(f"``{choice.__name__}``")
        elif isinstance(choice, (str, int)):
            found.append(f'``"{choice}"``' if isinstance(choice, str) else f"``{choice}``")
        elif str(choice).startswith("typing.Literal"):
            found.append(words(choice))
        else:
            found.append("a sequence of ``str``")
    return ", ".join(found)


class Choices(Directive):
    """A table of all names of `skmixed.typing`."""

    def run(self):
        lines = [".. list-table::", "   :header-rows: 1", "", "   * - type", "     - choices"]
        for name in choices.__all__:
            lines += [f"   * - ``{name}``", f"     - {words(getattr(choices, name))}"]
        node = nodes.Element()
        self.state.nested_parse(StringList(lines, source="skmixed/typing.py"), 0, node)
        return node.children


def setup(app):
    """Register the directive."""
    app.add_directive("choices", Choices)
    return {"parallel_read_safe": True}
