"""Numbers as people read them: as many digits as the error leaves meaning.

Percentages and points keep one decimal where the standard error is from 0.1 to 10 points (as a
published table does), none above, two below. Formats nothing but text without markup.
"""

from __future__ import annotations

from ssd_eval.sheets import Value

DASH = "–"


def error(value: Value) -> float:
    """The standard error, or a quarter of the interval where that says more; 0 for none known."""
    if value.low is None or value.high is None:
        return value.se or 0.0
    return max(value.se or 0.0, (value.high - value.low) / 4)


def decimals(se: float) -> int:
    """Of a percentage whose standard error, as a share of 1, is `se`; one where none is known."""
    if not se:
        return 1
    return 0 if se >= 0.1 else 1 if se >= 0.001 else 2


def shown(value: Value) -> str:
    """Without its interval."""
    if value.mean is None:
        return DASH
    if value.kind == "count":
        return f"{value.mean:,.0f}"
    if value.kind == "seconds":
        return f"{value.mean:,.1f}"
    return _percent(value.mean, value)


def limits(value: Value) -> tuple[str, str] | None:
    """The two ends of the interval, where there is one."""
    if value.low is None or value.high is None:
        return None
    return _percent(value.low, value), _percent(value.high, value)


def half_width(value: Value) -> str | None:
    """Half the interval, in points."""
    if value.low is None or value.high is None:
        return None
    return f"{50 * (value.high - value.low):.{decimals(error(value))}f}"


def published(value: Value) -> str | None:
    """The paper's number, as it prints it: one decimal."""
    if value.published is None:
        return None
    sign = "+" if value.kind == "points" else ""
    return f"{100 * value.published:{sign}.1f}"


def _percent(share: float, of: Value) -> str:
    places = decimals(error(of))
    rounded = round(100 * share, places) + 0.0  # no minus before a zero
    signed = "+" if of.kind == "points" and rounded else ""
    return f"{rounded:{signed}.{places}f}"
