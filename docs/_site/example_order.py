"""The order of the gallery: from the first fit to the special."""

from pathlib import Path

ORDER = [
    "quickstart",
    "students_in_schools",
    "reml_against_ml",
    "longitudinal",
    "displays",
    "multi_site_trial",
    "regions",
    "crossed",
    "unbalanced_groups",
    "pipeline",
    "new_groups",
    "bayesian_connection",
    "ridge_connection",
    "target_encoding",
    "encoding_classes",
    "larger_than_memory",
]


def key(filename: str) -> tuple[int, str]:
    """Return the place of an example; those that are not listed come last."""
    name = Path(filename).stem
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
