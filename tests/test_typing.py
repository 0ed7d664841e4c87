"""The choices of parameters as types: what they name, and that they are what is accepted."""

import ast
import inspect
import re
import types
from typing import Literal, Union, get_args, get_origin

import pytest
from numpydoc.docscrape import NumpyDocString
from test_docstrings import MEMBERS, METHODS, OBJECTS

from skmixed import typing as choices
from skmixed._estimators import intervals, predicting, sampling, target
from skmixed._fitted import checks
from skmixed._generalized_estimators import intervals as of_families
from skmixed._generalized_estimators import predicting as by_families
from skmixed._model.binomial import LINKS
from skmixed._model.correlation import CORRELATIONS
from skmixed._model.family import FAMILIES
from skmixed._model.structures import STRUCTURES
from skmixed._uncertainty.degrees_of_freedom import DDF
from skmixed.diagnostics import _correlation, _groups, _left_out, _residuals
from skmixed.formula import _families, _regressor
from skmixed.inference import _fixed_tests, _intervals, _parameters
from skmixed.inference._comparison import compare
from skmixed.inference._contrasts import adjustment, methods, standardizer
from skmixed.inference._marginal import averaging, scale, slopes
from skmixed.inference._terms import anova, joint
from skmixed.model_selection import _cross_validate
from skmixed.model_selection._conformal import fitting
from skmixed.model_selection._search import criteria
from skmixed.model_selection._splits import questions
from skmixed.plotting import _correlation as correlation_display
from skmixed.plotting import _residuals as residuals_display
from skmixed.plotting import _variance as variance_display

# What a parameter accepts, as it is checked where it is read.
ACCEPTED = {
    "AdjustmentName": ["auto", *adjustment.ADJUSTMENTS],
    "AveragingWeights": averaging.WEIGHTS,
    "ConfidenceMethod": _intervals.METHODS,
    "ContrastName": methods.METHODS,
    "Convention": compare.CONVENTIONS,
    "CorrelatedResiduals": _correlation.KINDS,
    "CorrelationQuantity": correlation_display.QUANTITIES,
    "CovarianceName": STRUCTURES,
    "Criterion": ["cv", *criteria.CRITERIA],
    "Ddf": DDF,
    "DdfOfPredictions": intervals.DDF_OF_PREDICTIONS,
    "Effects": by_families.EFFECTS,
    "EncoderTargetType": target.TARGET_TYPES,
    "EstimationMethod": checks.METHODS,
    "Family": _families.REGRESSORS,
    "GlmerFamily": _families.FAMILIES_OF_R,
    "HandleUnknown": checks.UNKNOWN,
    "Hypothesis": joint.HYPOTHESES,
    "IntervalMethod": intervals.METHODS,
    "IntervalOf": intervals.OF,
    "Link": LINKS,
    "LinkOfFamily": {link for _, link in FAMILIES},
    "NaAction": _regressor.NA_ACTIONS,
    "ParameterKind": _parameters.COMPONENTS,
    "Question": questions.QUESTIONS,
    "RefitOrFixed": _cross_validate.THETAS,
    "ResidualKind": {*_residuals.KINDS, *_residuals.FAMILY_KINDS},
    "ResidualPanel": residuals_display.PANELS,
    "ResidualStructure": CORRELATIONS,
    "Robust": _fixed_tests.ROBUST,
    "SampledEffects": sampling.EFFECTS,
    "ScaleName": scale.SCALES,
    "SlopeScale": slopes.SCALES,
    "Solver": checks.SOLVERS,
    "StandardizerName": standardizer.STANDARDIZERS,
    "Theta": _left_out.WAYS,
    "TypeOfTest": anova.TYPES,
    "VarianceBars": variance_display.KINDS,
}
# The same choice in a second place.
TWICE = [
    (intervals.OF, predicting.OF),
    (intervals.OF, of_families.OF),
    (_cross_validate.THETAS, _groups.SIGMAS),
    (_cross_validate.THETAS, fitting.THETAS),
]


def words_of(hint):
    """All words and numbers that a type names, also within unions and sequences."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    if get_origin(hint) in (Union, types.UnionType) or get_args(hint):
        return {word for own in get_args(hint) for word in words_of(own)}
    return set()


@pytest.mark.parametrize("name", sorted(set(choices.__all__) - {"Include", "Quadrature"}))
def test_a_type_names_what_is_accepted(name):
    named = get_args(getattr(choices, name))
    assert len(named) == len(set(named))
    assert set(named) == set(ACCEPTED[name])


def test_a_choice_of_two_places_is_the_same_in_both():
    assert all(tuple(own) == tuple(other) for own, other in TWICE)


def parameters():
    """Each documented parameter of a function, constructor or method with a list of words."""
    functions = {
        **OBJECTS,
        **{path: getattr(MEMBERS[path][0], path.split(".")[-1]) for path in METHODS},
    }
    for path, own in functions.items():
        function = inspect.unwrap(own.__init__ if inspect.isclass(own) else own)
        hints = getattr(function, "__annotations__", {})
        for parameter in NumpyDocString(inspect.getdoc(own) or "")["Parameters"]:
            listed = re.match(r"\{(.*?)\}", parameter.type)
            if listed and parameter.name in hints:
                hint = hints[parameter.name]
                hint = eval(hint, function.__globals__) if isinstance(hint, str) else hint
                yield path, parameter.name, set(ast.literal_eval(listed[0])), hint


def test_documented_choices_are_types():
    seen = list(parameters())
    assert len(seen) > 100
    # `ddf` of anova may be a third model, too.
    assert {(where, name) for where, name, words, hint in seen if not words <= words_of(hint)} == {
        ("skmixed.inference.anova", "ddf")
    }


@pytest.mark.parametrize("path", sorted([*OBJECTS, *METHODS]))
def test_signatures_are_short_in_notebooks(path):
    own = OBJECTS.get(path) or getattr(MEMBERS[path][0], path.split(".")[-1])
    if not (inspect.isclass(own) and issubclass(own, Warning | Exception)):
        assert "_SupportsArray" not in str(inspect.signature(own))
