"""The examples that need no network and little time run, and agree with themselves."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_larger_than_memory(capsys):
    runpy.run_path(str(EXAMPLES / "larger_than_memory.py"))
    lines = capsys.readouterr().out.splitlines()
    fits = dict(
        line.rsplit(maxsplit=2)[:2] for line in lines if "more" not in line and line[-1:].isdigit()
    )
    assert {"in memory", "Parquet", "CSV"} <= {name.strip() for name in fits}
    # Twelve digits are printed.
    assert len({round(float(slope), 10) for slope in fits.values()}) == 1
