"""Numbers and names as the screens write them."""

import math

from core import errors

printable = errors.printable


def duration(seconds: float) -> str:
    """3 s, 4:05 or 2:03:04; – for what is not known."""
    if not math.isfinite(seconds):
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def short_count(value: float) -> str:
    """950, 12.4k or 3.1M."""
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1000:.1f}k" if abs(value) < 1e6 else f"{value / 1e6:.1f}M"


def number(value: float, form: str = ".4f") -> str:
    """A number, or – when there is none."""
    return format(value, form) if math.isfinite(value) else "–"


def bar(share: float, width: int) -> str:
    """A bar of `width` characters."""
    done = round(min(max(share, 0.0), 1.0) * width)
    return "━" * done + "─" * (width - done)


def ago(seconds: float) -> str:
    """How long something is past: 5 s, 3 min, 2 h, 4 d."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
