"""Labels in queries and bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta

from quix.api.problems import Problem, ProblemError
from quix.store.sight import Pairs
from quix.wire.messages import LabelName, LabelValue

Labels = Annotated[dict[LabelName, LabelValue], Meta(max_length=16)]
"""Labels that limit somebody; all of them must be there."""


PAIR: Final[dict[str, Any]] = {"items": {"type": "string", "pattern": "^[^=]+="}}
"""How the description says that a list is of texts of the form NAME=VALUE."""


def said(labels: Mapping[str, str | None]) -> str:
    """Return labels in short, for the audit."""
    return " ".join(f"{name}-" if value is None else f"{name}={value}" for name, value in labels.items())


def pairs_of(texts: list[str] | None, field: str) -> Pairs:
    """Return the labels that texts of the form NAME=VALUE mean.

    Raises:
        ProblemError: REQUEST_INVALID, one of them has no `=`.
    """
    pairs = []
    for text in texts or ():
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ProblemError(Problem.REQUEST_INVALID, f"{field}: {text!r} is no NAME=VALUE")
        pairs.append((name, value))
    return tuple(pairs)
