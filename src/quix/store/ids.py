"""Ids of backends and runs: sortable by the time they were made, so that an id is a pagination cursor too."""

from __future__ import annotations

import secrets
from typing import Final

ID_LENGTH: Final = 22


def new_id(now: float) -> str:
    """Return an id of 22 lower-case hexadecimal digits for something made at `now` (epoch seconds).

    14 digits are microseconds (enough until the year 4253), 8 are random. Ids made later sort later; two made
    in the same microsecond differ by chance, and the primary key they go into catches the one time in 2^32.
    """
    return f"{int(now * 1e6):014x}{secrets.token_hex(4)}"
