"""scikit-learn's callbacks: what a fit tells them of its beginning and of its end.

scikit-learn has them since version 1.9; with 1.8 estimators have no ``set_callbacks``.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["CallbackSupportMixin", "telling_callbacks", "without_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ModuleNotFoundError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """What estimators have of callbacks with scikit-learn 1.8: nothing."""

    def with_callbacks(method: Callable[[Any], None]) -> Callable[[Any], None]:
        return method


# Where scikit-learn keeps the callbacks of an estimator, and the tasks of a fit under way.
KEPT = ("_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx", "_parent_callback_ctx")


def without_callbacks(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an estimator without its callbacks, as a fitted one is saved."""
    return {name: value for name, value in state.items() if name not in KEPT}


def telling_callbacks(
    change: Callable[[Any], object],
    X: Any,
    y: Any,
    sample_weight: Any = None,
    **beside: Any,
) -> Callable[[Any], None]:
    """Return a change of an estimator that tells its callbacks of the fit that it is.

    A fit is one task, without subtasks: between the steps of a search there is no model that
    predicts. At its end callbacks see the rows, weights, what is given `beside` X, and the
    fitted estimator, unless that cannot predict by X alone: a callback scores it with X and
    y, and has no way to hand on groups or exposures. What callbacks return has no effect.
    """
    given = {"sample_weight": sample_weight, **beside}
    given = {name: value for name, value in given.items() if value is not None}
    fitted: dict[str, Any] | None = {} if given.keys() <= {"sample_weight"} else None

    def changed(estimator: Any) -> None:
        if "_skl_callbacks" not in vars(estimator):
            change(estimator)
            return
        context = estimator._init_callback_context()
        task = {"estimator": estimator, "X": X, "y": y, "metadata": given}
        context.call_on_fit_task_begin(**task)
        change(estimator)
        context.call_on_fit_task_end(**task, reconstruction_attributes=fitted)

    managed: Callable[[Any], None] = with_callbacks(changed)
    return managed
