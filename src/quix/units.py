"""Sizes and durations as people write them: `512M`, `1h`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SIZES: Final = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_TIMES: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


def size(text: str) -> int:
    """Return the bytes of a number with K, M, G or T (powers of 1024), or of one without. Raises ValueError."""
    return int(_times(text, _SIZES, whole=True))


def seconds(text: str) -> float:
    """Return the seconds of a number with s, m, h, d, w or y (365 days), or of one without. Raises ValueError."""
    return _times(text, _TIMES, whole=False)


def _times(text: str, units: Mapping[str, int], *, whole: bool) -> float:
    digits, factor = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    plain = digits if whole else digits.replace(".", "", 1)
    if not (plain.isascii() and plain.isdigit()) or len(digits) > 15:
        number = "whole number" if whole else "number"
        raise ValueError(f"must be a {number}, alone or with one of {', '.join(units)}, not {text!r}")
    return (int(digits) if whole else float(digits)) * factor
