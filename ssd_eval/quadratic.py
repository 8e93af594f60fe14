"""A parabola through points by least squares, with its R² (the paper's Figure 3).

R² says how much of the points' spread the curve explains; it tests nothing. numpy does the algebra.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COEFFICIENTS = 3
TIE = 1e-12


@dataclass(frozen=True)
class Quadratic:
    """a + b x + c x². All None where `reason` says why there is no fit.

    `peak` is the x of its maximum, None where it opens upwards or lies outside of the points.
    """

    points: int
    coefficients: tuple[float, float, float] | None = None
    r_squared: float | None = None
    peak: float | None = None
    reason: str | None = None

    def at(self, x: float) -> float | None:
        if self.coefficients is None:
            return None
        a, b, c = self.coefficients
        return a + b * x + c * x * x


def fitted(points: Sequence[tuple[float, float]]) -> Quadratic:
    """Unweighted. Needs more points than coefficients, at three x or more, and some spread."""
    import numpy as np

    if any(not np.isfinite(point).all() for point in points):
        raise ValueError("a point is not finite; leave it out beforehand")
    x, y = (np.array([point[at] for point in points], np.float64) for at in (0, 1))
    if len(points) <= COEFFICIENTS or len(set(x.tolist())) < COEFFICIENTS:
        return Quadratic(len(points), reason="fewer than four cells, or three T_eff: no fit")
    total = float(((y - y.mean()) ** 2).sum())
    if total < TIE:
        return Quadratic(len(points), reason="all cells alike: nothing to fit")
    c, b, a = (float(each) for each in np.polyfit(x, y, 2))
    rest = float(((y - (a + b * x + c * x * x)) ** 2).sum())
    top = -b / (2 * c) if c < 0 else None
    inside = top is not None and float(x.min()) <= top <= float(x.max())
    return Quadratic(len(points), (a, b, c), 1 - rest / total, top if inside else None)
