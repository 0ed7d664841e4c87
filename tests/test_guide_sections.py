"""The sections of the page on classes and counts run alone, or after the section that they name."""

import ast
import builtins
import doctest
import re
import symtable
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "classes_and_counts.md"
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


def unbound(code: str) -> set[str]:
    """Return the names that lines of a module read and have not bound before, but for built-ins."""
    bound, missing = set(dir(builtins)), set()
    for statement in ast.parse(code).body:
        table = symtable.symtable(ast.unparse(statement), "section", "exec")
        own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned()}
        own |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_imported()}
        inner = [*table.get_children()]
        read = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()}
        while inner:
            part = inner.pop()
            read |= {symbol.get_name() for symbol in part.get_symbols() if symbol.is_global()}
            inner += part.get_children()
        # x = f(x) reads what it binds; a loop binds what its lines read
        simple = isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr)
        missing |= read - bound - (set() if simple else own)
        bound |= own
    return missing


@pytest.mark.parametrize("name", SECTIONS)
def test_section_runs_alone(name: str) -> None:
    """The page runs as a whole, as a doctest: a section runs alone where it binds what it reads."""
    text = SECTIONS[name]
    before = [SECTIONS[other] for other in NAMED.findall(text)]
    examples = doctest.DocTestParser().get_examples("\n".join([*before, text]))
    assert unbound("".join(example.source for example in examples)) == set()


def test_names_of_other_sections_are_seen():
    assert unbound("import numpy as np\ny = np.exp(x)\nx = 1") == {"x"}
    assert unbound("model = model.fit([f(k) for k in range(3)])") == {"model", "f"}
    assert unbound("def f(a):\n    return a + b\nfor k in range(3):\n    print(f(k))") == {"b"}
