"""scikit-learn's callbacks: what a fit tells them of its beginning and of its end.

scikit-learn has them since version 1.9; with 1.8 estimators have no ``set_callbacks``.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["CallbackSupportMixin", "telling_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """What estimators have of callbacks with scikit-learn 1.8: nothing."""

    def with_callbacks(method: Callable[[Any], None]) -> Callable[[Any], None]:
        return method


def telling_callbacks(
    change: Callable[[Any], object], X: Any, y: Any, **metadata: Any
) -> Callable[[Any], None]:
    """Return a change of an estimator that tells its callbacks of the fit that it is.

    A fit is one task, without subtasks: between the steps of a search there is no model that
    predicts. At its end callbacks see the fitted estimator, the rows, and of the metadata
    what is given. What they return has no effect.
    """
    given = {name: value for name, value in metadata.items() if value is not None}

    def changed(estimator: Any) -> None:
        if "_skl_callbacks" not in vars(estimator):
            change(estimator)
            return
        context = estimator._init_callback_context()
        task = {"estimator": estimator, "X": X, "y": y, "metadata": given}
        context.call_on_fit_task_begin(**task)
        change(estimator)
        context.call_on_fit_task_end(**task, reconstruction_attributes={})

    managed: Callable[[Any], None] = with_callbacks(changed)
    return managed
