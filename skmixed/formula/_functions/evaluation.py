"""Formulas evaluated by formulaic, and what it has to say of them in the words of the user."""

import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from skmixed.formula._code import as_written
from skmixed.formula._functions.refusal import FunctionError
from skmixed.formula._functions.table import namespace
from skmixed.formula._syntax import error_at, place_of

OFFERED = (
    "Functions are ns, bs, poly, scale, relevel and factor as in R, formulaic's (center, C, …), "
    "NumPy's as np.sqrt, and those that `context` names."
)


def check_formulaic() -> None:
    try:
        import formulaic  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Formulas need formulaic, which is not installed. Install it with "
            "`pip install formulaic`."
        ) from error


def evaluate(
    spec: Any, frame: pd.DataFrame, context: Mapping[str, Any], text: str, codes: Mapping[str, str]
) -> Any:
    """Evaluate a `formulaic.Formula`, which learns, or again a `formulaic.ModelSpec`.

    `text` is the whole formula, and `codes` is code as it is evaluated → as it is written.

    Raises
    ------
    ValueError
        If it cannot be evaluated, with the place in the formula.
    """
    from formulaic import ModelSpec, model_matrix
    from formulaic.errors import DataMismatchWarning, FormulaicError

    known = namespace(context, is_new=not isinstance(spec, ModelSpec))
    try:
        # What comes out missing or infinite is reported with its column's name.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            # Else C(…) takes categories that it does not know for the first one.
            warnings.simplefilter("error", DataMismatchWarning)
            return model_matrix(spec, frame, context=known, na_action="ignore", output="pandas")
    except DataMismatchWarning as error:
        raise _unknown_categories(str(error)) from None
    except FunctionError as error:
        raise _refused(error, text, 0) from None
    except (FormulaicError, SyntaxError) as error:
        message = as_written(str(error), codes)
        part = re.search(r"`(.*)` *[.\[]", message)
        at = place_of(text, part[1]) if part else 0
        if isinstance(error.__cause__, FunctionError):
            raise _refused(error.__cause__, text, at) from None
        whole = f"The formula cannot be evaluated: {message} {OFFERED}"
        raise error_at(text, at, whole) from error


def _refused(error: FunctionError, text: str, start: int) -> ValueError:
    """Say what a function has refused, with its place."""
    found = re.compile(rf"(?<![\w.]){error.function}\s*\(").search(text, start)
    return error_at(text, found.start() if found else start, str(error))


def _unknown_categories(message: str) -> ValueError:
    found = re.search(r"\{(.*)\}", message)
    listed = re.sub(r"np\.\w+\((.*?)\)", r"\1", found[1] if found else "")
    return ValueError(
        f"A factor of the formula has no coefficient for the categories {listed}: they were not "
        "there in fit, or its levels leave them out. Drop or recode those rows."
    )
