"""`Trace`: what a result remembers of its data, to tell whether other rows are the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Trace"]

#: Differences from the order of summation stay below this share of a column's size.
RTOL = 1e-8


@dataclass(frozen=True, eq=False)
class Trace:
    """Totals of a data set that do not depend on the order of its rows.

    Attributes
    ----------
    n_rows : int
    n_trials : float
        Weighted trials; the rows, where there are neither weights nor counts.
    n_events : float
        Weighted events.
    column_means : dict of str to float
        Mean of each coefficient's column over the events.
    column_scales : dict of str to float
        Size of each column.
    level_events : dict of str to ndarray of shape (J,)
        Weighted events of each level of each grouping factor.
    """

    n_rows: int
    n_trials: float
    n_events: float
    column_means: Mapping[str, float]
    column_scales: Mapping[str, float]
    level_events: Mapping[str, np.ndarray]

    def difference(self, other: Trace) -> str:
        """What tells two data sets apart, first this one and then the other; empty if nothing does.

        Columns and factors are held against each other where both have them.
        """
        if self.n_rows != other.n_rows:
            return f"{self.n_rows} and {other.n_rows} rows"
        if not np.isclose(self.n_trials, other.n_trials, rtol=RTOL, atol=0.0):
            return f"{self.n_trials:.6g} and {other.n_trials:.6g} weighted trials"
        mine, others = self.n_events / self.n_trials, other.n_events / other.n_trials
        if not np.isclose(mine, others, rtol=RTOL, atol=1e-12):
            return f"a mean response of {mine:.6g} and {others:.6g}"
        for name, mean in self.column_means.items():
            if name not in other.column_means:
                continue
            size = max(self.column_scales[name], other.column_scales[name], abs(mean))
            if abs(mean - other.column_means[name]) > RTOL * size:
                return (
                    f"a mean of {name!r} over the events of {mean:.6g} and "
                    f"{other.column_means[name]:.6g}"
                )
        for group, events in self.level_events.items():
            against = other.level_events.get(group)
            # the same name with other levels is another factor
            if against is None or against.shape != events.shape:
                continue
            apart = np.flatnonzero(np.abs(events - against) > RTOL * np.maximum(events, 1.0))
            if apart.size:
                first = apart[0]
                return (
                    f"{events[first]:.6g} and {against[first]:.6g} events in level number "
                    f"{first + 1} of {group!r}"
                )
        return ""
