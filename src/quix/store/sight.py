"""Which backends somebody may know of: what every query about backends that is made for a user is narrowed by."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from sqlalchemy import and_, select, true

from quix.store.tables import labels

Pairs = tuple[tuple[str, str], ...]
"""Names and values of labels."""


class Sight(Struct, frozen=True):
    """Those backends that have all of the `labels`, and where `backends` (ids) is not None are among them too."""

    labels: Pairs = ()
    backends: tuple[str, ...] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing that is not seen."""
        return not self.labels and self.backends is None

    def sees(self, backend_id: str, its_labels: dict[str, str]) -> bool:
        """Whether a backend with these labels is seen."""
        is_named = self.backends is None or backend_id in self.backends
        return is_named and all(its_labels.get(name) == value for name, value in self.labels)


EVERYTHING: Final = Sight()


def has_labels(column: Any, pairs: Pairs) -> Any:
    """The condition that the backend whose id is in a column has all of these labels."""
    holders = select(labels.c.backend_id)
    having = (holders.where(labels.c.name == name, labels.c.value == value) for name, value in pairs)
    return and_(true(), *(column.in_(each) for each in having))


def is_seen(column: Any, sight: Sight) -> Any:
    """The condition that the backend whose id is in a column is seen."""
    labelled = has_labels(column, sight.labels)
    return labelled if sight.backends is None else and_(labelled, column.in_(sight.backends))
