"""The way back from what a formula makes of its response to the response itself."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skmixed._typing import FloatArray
from skmixed.formula._code import ALIAS, AS_NUMBER
from skmixed.formula._source import Quantity, Source

HALF_TURN = np.pi / 2.0
LN2, LN10 = float(np.log(2.0)), float(np.log(10.0))
# Of a function of one number its inverse, and the first and second derivative of that. What the
# function never is, as a negative root, is taken for the nearest value that it has.
INVERSES: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "log": (np.exp, np.exp, np.exp),
    "log2": (np.exp2, lambda t: LN2 * np.exp2(t), lambda t: LN2**2 * np.exp2(t)),
    "log10": (
        lambda t: np.exp(LN10 * t),
        lambda t: LN10 * np.exp(LN10 * t),
        lambda t: LN10**2 * np.exp(LN10 * t),
    ),
    "log1p": (np.expm1, np.exp, np.exp),
    "exp": (np.log, lambda t: 1.0 / t, lambda t: -1.0 / t**2),
    "expm1": (np.log1p, lambda t: 1.0 / (1.0 + t), lambda t: -1.0 / (1.0 + t) ** 2),
    "sqrt": (
        lambda t: np.maximum(t, 0.0) ** 2,
        lambda t: 2.0 * np.maximum(t, 0.0),
        lambda t: 2.0 * (t > 0.0),
    ),
    "cbrt": (lambda t: t**3, lambda t: 3.0 * t**2, lambda t: 6.0 * t),
    "arcsin": (
        lambda t: np.sin(np.clip(t, -HALF_TURN, HALF_TURN)),
        lambda t: np.cos(np.clip(t, -HALF_TURN, HALF_TURN)),
        lambda t: -np.sin(t) * (np.abs(t) < HALF_TURN),
    ),
    "arctanh": (
        np.tanh,
        lambda t: 1.0 - np.tanh(t) ** 2,
        lambda t: -2.0 * np.tanh(t) * (1.0 - np.tanh(t) ** 2),
    ),
    "arcsinh": (np.sinh, np.cosh, np.sinh),
}
LOGARITHMS = {"log": 1.0, "log2": LN2, "log10": LN10}
# Of an operation with a constant c its inverse, and the first and second derivative of that.
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "plus": (lambda t, c: t - c, lambda t, _: np.ones_like(t), lambda t, _: np.zeros_like(t)),
    "times": (
        lambda t, c: t / c,
        lambda t, c: np.full_like(t, 1.0 / c),
        lambda t, _: np.zeros_like(t),
    ),
    "divides": (lambda t, c: c / t, lambda t, c: -c / t**2, lambda t, c: 2.0 * c / t**3),  # c / y
    "power": (
        lambda t, c: np.maximum(t, 0.0) ** (1.0 / c),
        lambda t, c: np.maximum(t, 0.0) ** (1.0 / c - 1.0) / c,
        lambda t, c: np.maximum(t, 0.0) ** (1.0 / c - 2.0) * (1.0 - c) / c**2,
    ),
}


@dataclass(frozen=True)
class ResponseInverse:
    """The inverse of a chain of functions of one column.

    Attributes
    ----------
    name : str
        The response as the formula has it.
    steps : tuple of (str, float)
        The functions and operations, the last one first, each with its constant.
    """

    name: str
    steps: tuple[tuple[str, float], ...]

    @staticmethod
    def of(response: Quantity | None) -> "ResponseInverse | None":
        """Return what leads back to the column; None of a column as it is.

        Raises
        ------
        ValueError
            If the response is no chain of known functions of one column.
        """
        if response is None or response.sum is None:
            return None
        (term,) = response.sum.formula
        (factor,) = term.factors
        steps = _steps(ast.parse(factor.expr, mode="eval").body, response.source)
        if steps is None:
            raise ValueError(
                f"The response is {response.text}, of which the way back to the scale of the "
                "response is not known. It is of one column by sums, products and powers with "
                f"numbers, and by the functions {', '.join(INVERSES)}. Use scale='link', and "
                "transform the means and their limits back."
            )
        return ResponseInverse(response.text, steps)

    @property
    def ratio_name(self) -> str:
        """What differences become: ratios, of a multiple of a logarithm of a multiple."""
        return "ratio" if self._to_logarithm else ""

    @property
    def _to_logarithm(self) -> tuple[tuple[str, float], ...]:
        """The factors of a logarithm and itself; none where differences are no ratios."""
        names = [name for name, _ in self.steps]
        at = next((k for k, name in enumerate(names) if name in LOGARITHMS), None)
        if at is None or {*names[:at]} - {"times", "plus"} or {*names[at + 1 :]} - {"times"}:
            return ()
        return tuple(step for step in self.steps[: at + 1] if step[0] != "plus")

    def inverse(self, eta: FloatArray) -> FloatArray:
        return self._derivatives(eta)[0]

    def slope(self, eta: FloatArray) -> FloatArray:
        return self._derivatives(eta)[1]

    def bend(self, eta: FloatArray) -> FloatArray:
        return self._derivatives(eta)[2]

    def ratio(self, difference: FloatArray) -> FloatArray:
        return ResponseInverse(self.name, self._to_logarithm).inverse(difference)

    def _derivatives(self, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the inverse and its first two derivatives, step by step.

        (f∘g)' = f'(g)g' and (f∘g)'' = f''(g)g'² + f'(g)g''.
        """
        value = np.asarray(eta, dtype=float)
        slope, bend = np.ones(value.shape), np.zeros(value.shape)
        with np.errstate(all="ignore"):
            for name, constant in self.steps:
                if name in INVERSES:
                    value, first, second = (function(value) for function in INVERSES[name])
                else:
                    value, first, second = (part(value, constant) for part in OPERATIONS[name])
                slope, bend = first * slope, second * slope**2 + first * bend
        return value, slope, bend


def _steps(node: ast.expr, source: Source) -> tuple[tuple[str, float], ...] | None:
    """Return the chain of steps that code is, the last one first; None if it is none."""
    if isinstance(node, ast.Name):
        return () if ALIAS.fullmatch(node.id) else None
    if isinstance(node, ast.BinOp):
        own, inner = _operation(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        own, inner = (("times", -1.0),), node.operand
    elif isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        own, inner = _function(node.func, source), node.args[0]
    else:
        return None
    before = None if inner is None or own is None else _steps(inner, source)
    return None if own is None or before is None else (*own, *before)


def _function(node: ast.expr, source: Source) -> tuple[tuple[str, float], ...] | None:
    """Return the step that a function is, none of one that gives what it takes."""
    if isinstance(node, ast.Name) and node.id in (AS_NUMBER, "I"):
        return ()
    known = source.functions
    function = None
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        function = getattr(known.get(node.value.id), node.attr, None)
    else:
        function = known.get(node.id) if isinstance(node, ast.Name) else None
    if function is np.square:
        return (("power", 2.0),)
    return next(((((name, 0.0),)) for name in INVERSES if getattr(np, name) is function), None)


def _operation(node: ast.BinOp) -> tuple[tuple[tuple[str, float], ...] | None, ast.expr | None]:
    """Return the step that an operation with a number is, and what it is of."""
    left, right = _constant(node.left), _constant(node.right)
    if (left is None) == (right is None):
        return None, None
    inner = node.left if left is None else node.right
    number = right if left is None else left
    assert number is not None
    is_left = left is not None
    kind = type(node.op)
    if kind is ast.Add:
        return (("plus", number),), inner
    if kind is ast.Sub:
        return ((("plus", number), ("times", -1.0)) if is_left else (("plus", -number),)), inner
    if kind is ast.Mult and number:
        return (("times", number),), inner
    if kind is ast.Div and number:
        return (("divides", number) if is_left else ("times", 1.0 / number),), inner
    if kind is ast.Pow and number and not is_left:
        return (("power", number),), inner
    return None, None


def _constant(node: ast.expr) -> float | None:
    """Return the number that code is, or None."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == AS_NUMBER:
        return _constant(node.args[0])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _constant(node.operand)
        return None if inner is None else -inner
    value = node.value if isinstance(node, ast.Constant) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]
