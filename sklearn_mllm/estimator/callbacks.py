"""scikit-learn's callback protocol (1.9 and later), or nothing where it is not there."""

from __future__ import annotations

from collections.abc import Callable

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9 has no callbacks

    class CallbackSupportMixin:
        """Stands in for scikit-learn's mixin: no callbacks can be set."""

    def with_callbacks(method: Callable) -> Callable:
        return method


__all__ = ["CallbackSupportMixin", "StepReporter", "with_callbacks"]


class StepReporter:
    """Tells callbacks, and the terminal when `verbose`, about each outer step of a fit.

    Parameters
    ----------
    estimator : MixedLogisticClassifier
    X, y : the training data as given
    snapshot : callable(objective, phi) -> dict
        Fitted attributes as they would stand if the fit stopped here.
    """

    def __init__(self, estimator, X, y, snapshot: Callable, metadata: dict | None = None) -> None:
        self.estimator = estimator
        self.X = X
        self.y = y
        self.metadata = metadata
        self.snapshot = snapshot
        self.context = None
        self.task = None
        if getattr(estimator, "_skl_callbacks", None):
            self.context = estimator._init_callback_context(max_subtasks=None)
            self.context.call_on_fit_task_begin(estimator=estimator, X=X, y=y, metadata=metadata)

    @property
    def active(self) -> bool:
        return self.context is not None or bool(self.estimator.verbose)

    def __call__(self, objective, step: int, phi, value: float, gain: float) -> None:
        """One outer step has ended."""
        if self.estimator.verbose:
            print(
                f"[MixedLogisticClassifier] step {step}: log-likelihood {value:.6f}, "
                f"expected gain {gain:.3g}"
            )
        if self.context is None:
            return
        task = self.context.subcontext(task_name="step")
        task.call_on_fit_task_begin(
            estimator=self.estimator, X=self.X, y=self.y, metadata=self.metadata
        )
        task.call_on_fit_task_end(
            estimator=self.estimator, X=self.X, y=self.y, metadata=self.metadata,
            reconstruction_attributes=self.snapshot(objective, phi),
        )  # fmt: skip

    def close(self, attributes: dict) -> None:
        """The fit has ended with these fitted attributes."""
        if self.context is not None:
            self.context.call_on_fit_task_end(
                estimator=self.estimator, X=self.X, y=self.y, metadata=self.metadata,
                reconstruction_attributes=attributes,
            )  # fmt: skip
