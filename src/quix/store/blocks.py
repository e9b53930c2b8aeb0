"""Samples and roll-ups as numbers, and as the bytes they are kept as. Nothing here knows of a database.

A roll-up has four numbers for each metric: how many samples told it, the lowest, the mean and the highest. Two of them
for the same time are one again (`combine`), so that what arrives late is added to what is there, and nothing has to be
read anew.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from itertools import chain
from math import fsum, isnan, nan
from typing import Final

from quix.wire.samples import METRICS

WIDTH: Final = len(METRICS)

Row = Sequence[float]
"""The metrics of one sample; NaN where it does not tell one."""

Rollup = Sequence[float]
"""Four numbers a metric: all counts, then all lowest, all means and all highest; NaN where the count is 0."""

_NONE: Final = (0.0, nan, nan, nan)

_LEVEL: Final = 1


def rollup(rows: Iterable[Row]) -> Rollup:
    """Return the roll-up of samples."""
    return [*chain.from_iterable(zip(*(_summary(column) for column in zip(*rows, strict=True)), strict=True))]


def _summary(column: Sequence[float]) -> tuple[float, float, float, float]:
    known = [value for value in column if not isnan(value)]
    if not known:
        return _NONE
    return float(len(known)), min(known), fsum(known) / len(known), max(known)


def combine(one: Rollup, other: Rollup) -> Rollup:
    """Return the roll-up of the samples of both."""
    counts, lowest, means, highest = [], [], [], []
    for metric in range(WIDTH):
        count, added = one[metric], other[metric]
        if not added:
            source = one
        elif not count:
            source = other
        else:
            counts.append(count + added)
            lowest.append(min(one[WIDTH + metric], other[WIDTH + metric]))
            means.append((count * one[2 * WIDTH + metric] + added * other[2 * WIDTH + metric]) / (count + added))
            highest.append(max(one[3 * WIDTH + metric], other[3 * WIDTH + metric]))
            continue
        counts.append(source[metric])
        lowest.append(source[WIDTH + metric])
        means.append(source[2 * WIDTH + metric])
        highest.append(source[3 * WIDTH + metric])
    return [*counts, *lowest, *means, *highest]


def pack(offsets: Sequence[int], rows: Sequence[Sequence[float]]) -> bytes:
    """Return rows of equal length, one at least, each with its offset (0 to 2^32-1), as bytes. Numbers keep 24 bits of
    precision.

    Column by column, and of all numbers the first bytes first: what is alike comes to lie together and packs to a
    fraction.
    """
    count, width = len(rows), len(rows[0])
    plain = struct.pack(f"<{count}I{count * width}f", *offsets, *chain.from_iterable(zip(*rows, strict=True)))
    return zlib.compress(b"".join(plain[plane::4] for plane in range(4)), _LEVEL)


def unpack(data: bytes, width: int) -> tuple[Sequence[int], list[tuple[float, ...]]]:
    """Return the offsets and the rows, `width` numbers each, that `pack` was given."""
    shuffled = zlib.decompress(data)
    plain = bytearray(len(shuffled))
    size = len(shuffled) // 4
    for plane in range(4):
        plain[plane::4] = shuffled[plane * size : (plane + 1) * size]
    count = size // (width + 1)
    numbers = struct.unpack(f"<{count}I{count * width}f", plain)
    columns = (numbers[start : start + count] for start in range(count, count * (width + 1), count))
    return numbers[:count], [*zip(*columns, strict=True)]
