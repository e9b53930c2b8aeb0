"""Several names in one parameter, with commas in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quix.api.problems import Problem, ProblemError


def choices_of(known: Sequence[str]) -> dict[str, Any]:
    """Return how the description says that a parameter is some of the names that are `known`."""
    one = "|".join(known)
    return {"pattern": f"^ *({one})( *, *({one}))* *$"}


def chosen(field: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a text has, each once.

    Raises:
        ProblemError: REQUEST_INVALID, one of them is none of those that are `known`.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise ProblemError(Problem.REQUEST_INVALID, f"{field}: {name!r} is none of {', '.join(known)}")
    return tuple(dict.fromkeys(names))
