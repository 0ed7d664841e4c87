"""Docstrings of what is public: numpydoc's rules, examples, attributes, and links."""

import doctest
import importlib
import inspect
import re
import warnings

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate
from one_test import one_test_of

from skmixed import (
    MixedEffectEncoder,
    MixedLinearRegressor,
    RandomEffect,
    ResidualCovariance,
    SufficientStatistics,
    glmer,
    lmer,
    plotting,
)
from skmixed.datasets import load_penicillin, load_sleepstudy, load_toenail
from skmixed.exceptions import FitStatus
from skmixed.formula import FormulaRegressor
from skmixed.inference import ModelReport, ResultSeries, ResultTable

MODULES = [
    "skmixed",
    "skmixed.datasets",
    "skmixed.diagnostics",
    "skmixed.distributed",
    "skmixed.exceptions",
    "skmixed.formula",
    "skmixed.inference",
    "skmixed.model_selection",
    "skmixed.plotting",
]
# All of numpydoc's rules hold but these.
EXEMPT = {
    "GL01": "the text begins behind the quotes, on their line",
    "ES01": "where the first line says all, there is no more to say",
    "SS05": "takes a first word that ends in s, such as 'Residuals', for a verb",
}
# Methods are found beside each other on the page of their class.
EXEMPT_METHOD = {"SA01": "See Also"}
# A property is a line in the Attributes of its class, where its example is too.
EXEMPT_PROPERTY = {"SA01": "See Also", "EX01": "Examples"}
# Not made by a call: the fields of the first come from `statistics`, the members of the
# second are there, and functions return the others.
MADE_ELSEWHERE = {
    SufficientStatistics: {"PR01"},
    FitStatus: {"PR01"},
    ModelReport: {"PR01"},
    ResultSeries: {"PR01"},
    ResultTable: {"PR01"},
}


def public():
    """Return path → object of each name in an __all__."""
    modules = [importlib.import_module(name) for name in MODULES]
    return {f"{m.__name__}.{name}": getattr(m, name) for m in modules for name in m.__all__}


def members():
    """Return path → (class, member) of each method and property that this package defines.

    What scikit-learn defines, or generates as set_fit_request, it documents.
    """
    found = {}
    for path, cls in public().items():
        for name in dir(cls) if inspect.isclass(cls) else ():
            owner = next((c for c in cls.__mro__ if name in vars(c)), None)
            if name.startswith("_") or owner is None or not owner.__module__.startswith("skmixed"):
                continue
            member = inspect.getattr_static(cls, name)
            if isinstance(member, property):
                found[f"{path}.{name}"] = (cls, member)
            elif callable(getattr(cls, name)):
                module = getattr(getattr(cls, name), "__module__", None) or ""
                if module.startswith("skmixed") and not isinstance(member, cls):
                    found[f"{path}.{name}"] = (cls, member)
    return found


OBJECTS, MEMBERS = public(), members()
METHODS = [path for path, (_, member) in MEMBERS.items() if not isinstance(member, property)]
PROPERTIES = [path for path in MEMBERS if path not in METHODS]


def problems(path, exempt):
    with warnings.catch_warnings():
        # numpydoc looks at each attribute of a module, deprecated ones included.
        warnings.simplefilter("ignore")
        result = validate(path)
    found = [f"{code} {text}" for code, text in result["errors"] if code not in exempt]
    first = result["docstring"].strip().partition("\n")[0]
    if len(first) > 75:
        found.append(f"the first line has {len(first)} characters")
    return found


def parsed(path):
    return NumpyDocString(inspect.getdoc(resolved(path)))


def resolved(path):
    """Return the object at a dotted path."""
    parts = path.split(".")
    for k in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:k]))
        except ImportError:
            continue
        for name in parts[k:]:
            found = inspect.getattr_static(found, name)
        return found
    raise AttributeError(path)


def test_the_public_objects_are_found():
    assert {"skmixed.MixedLinearRegressor", "skmixed.inference.vcov"} <= set(OBJECTS)
    assert "skmixed.plotting.ProfileDisplay.from_estimator" in METHODS
    assert "skmixed.MixedLinearRegressor.get_metadata_routing" in METHODS
    assert "skmixed.MixedLinearRegressor.aic_" in PROPERTIES
    names = {path.rpartition(".")[2] for path in MEMBERS}
    assert not names & {"set_fit_request", "add_note", "CONVERGED"}
    assert "skmixed.MixedLinearRegressor.get_params" not in METHODS


@one_test_of(OBJECTS)
def test_objects_keep_numpydocs_rules(path):
    assert problems(path, {*EXEMPT, *MADE_ELSEWHERE.get(OBJECTS[path], ())}) == []


@one_test_of(METHODS)
def test_methods_keep_numpydocs_rules(path):
    assert problems(path, {*EXEMPT, *EXEMPT_METHOD}) == []


@one_test_of(PROPERTIES)
def test_properties_keep_numpydocs_rules(path):
    assert problems(path, {*EXEMPT, *EXEMPT_PROPERTY}) == []


@one_test_of([*OBJECTS, *METHODS])
def test_defaults_are_those_of_the_signature(path):
    found = OBJECTS[path] if path in OBJECTS else getattr(*_class_and_name(path))
    if found in MADE_ELSEWHERE or (inspect.isclass(found) and issubclass(found, Exception)):
        return
    parameters = inspect.signature(found).parameters
    for parameter in parsed(path)["Parameters"]:
        for name in parameter.name.split(", "):
            default = parameters[name.lstrip("*")].default
            said = re.findall(r"default=(.+)$", parameter.type)
            assert said == ([] if default is inspect.Parameter.empty else [_written(default)]), name


def _class_and_name(path):
    return MEMBERS[path][0], path.rpartition(".")[2]


def _written(default):
    return f'"{default}"' if isinstance(default, str) else repr(default)


@one_test_of([*OBJECTS, *METHODS])
def test_examples_run_something(path):
    """That they print what they say is what doctest is for."""
    examples = "\n".join(parsed(path)["Examples"])
    assert ">>> " in examples
    assert ("import " in examples) or path.startswith("skmixed.exceptions")


# Classes whose `__module__` is the public path: pytest's doctests of the file that they are
# in pass over them, and those of the public module over their methods.
RENAMED = [
    MixedEffectEncoder,
    MixedLinearRegressor,
    ResidualCovariance,
    RandomEffect,
    SufficientStatistics,
    FormulaRegressor,
    ModelReport,
    ResultSeries,
    ResultTable,
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


@pytest.mark.parametrize("cls", RENAMED, ids=lambda cls: cls.__name__)
def test_examples_of_methods_print_what_they_say(cls):
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = finder.find(cls, cls.__name__, module=False, globs={})
    assert found
    for examples in found:
        result = doctest.DocTestRunner(optionflags=FLAGS).run(examples)
        assert result.failed == 0, examples.name


def test_no_two_examples_are_alike():
    seen = {}
    for path in [*OBJECTS, *METHODS]:
        # A method that two classes inherit is one.
        own = OBJECTS.get(path) or resolved(path)
        seen.setdefault("\n".join(parsed(path)["Examples"]), []).append(own)
    assert [same for same in seen.values() if len(set(same)) > 1] == []


@one_test_of([*OBJECTS, *METHODS])
def test_links_lead_somewhere(path):
    """Names in See Also as Sphinx finds them from the page; others with the package's name."""
    module = path.rpartition(".")[0] if path in OBJECTS else path.rsplit(".", 2)[0]
    class_path = path if path in OBJECTS else path.rpartition(".")[0]
    for group, _ in parsed(path)["See Also"]:
        for name, _ in group:
            assert exists(f"{module}.{name}") or exists(f"{class_path}.{name}") or exists(name), (
                name
            )
    for name in re.findall(r"`~?(skmixed\.[\w.]+)`", inspect.getdoc(resolved(path))):
        assert exists(name), name


def exists(path):
    try:
        resolved(path)
    except AttributeError:
        return False
    return True


@one_test_of([*OBJECTS, *METHODS])
def test_references_are_numbered_and_cited(path):
    doc = parsed(path)
    numbers = re.findall(r"^\.\. \[(\d+)\] \S", "\n".join(doc["References"]), re.MULTILINE)
    assert numbers == [str(k + 1) for k in range(len(numbers))]
    assert bool(numbers) == bool(doc["References"])
    text = inspect.getdoc(resolved(path)).partition("References\n---")[0]
    cited = set(re.findall(r"\[(\d+)\]_", text))
    # A data set's references are where it comes from, as a whole.
    assert cited == set(numbers) or (path.startswith("skmixed.datasets") and not cited)


def documented_attributes(cls):
    return [parameter.name for parameter in NumpyDocString(inspect.getdoc(cls))["Attributes"]]


def fitted_regressor():
    return MixedLinearRegressor("Subject").fit(*load_sleepstudy(return_X_y=True))


def fitted_encoder():
    return MixedEffectEncoder().fit(*load_penicillin(return_X_y=True))


def fitted_formula():
    # With a response of classes, which has one attribute more
    return glmer("severe ~ visit + (1 | patient)", load_toenail().frame, "binomial")


@pytest.mark.parametrize("fitted", [fitted_regressor, fitted_encoder, fitted_formula])
def test_attributes_of_an_estimator_are_those_it_has_after_fit(fitted):
    model = fitted()
    cls = type(model)
    own = {*vars(model), *(n for n in dir(cls) if isinstance(getattr(cls, n), property))}
    expected = {name for name in own if name.endswith("_") and not name.startswith("_")}
    assert sorted(documented_attributes(cls)) == sorted(expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in plotting.__all__ if name.endswith("Display")])
def test_attributes_of_a_display_are_those_it_has_after_plot(name):
    import matplotlib.pyplot as plt

    cls = getattr(plotting, name)
    X, y = load_sleepstudy(return_X_y=True)
    model = MixedLinearRegressor("Subject", random_slopes="Days")
    if cls is plotting.ResidualCorrelationDisplay:
        residual = ResidualCovariance("ar1", subject="Subject", time="Days")
        model = MixedLinearRegressor(residual=residual)
    model.fit(X, y)
    rows = (X, y) if "y" in inspect.signature(cls.from_estimator).parameters else ()
    if cls is plotting.EffectsDisplay:
        rows = ("Days",)
        model = lmer("Reaction ~ Days + (Days | Subject)", load_sleepstudy().frame)
    with plt.rc_context({"backend": "agg"}):
        display = cls.from_estimator(model, *rows)
    plt.close(display.figure_)
    expected = [n for n in vars(display) if n.endswith("_")]
    assert sorted(documented_attributes(cls)) == sorted(expected)
    parameters = [n for n in vars(display) if not n.endswith("_")]
    assert parameters == list(inspect.signature(cls).parameters)
