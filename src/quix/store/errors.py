"""What the store can say no with. SQLAlchemy's own exceptions do not leave the store."""

from __future__ import annotations

from quix.exits import Exit, QuixError
from quix.wire.reasons import Reason, Refusal

__all__ = [
    "AddressesExhaustedError",
    "AlreadyExistsError",
    "EnrolmentOverError",
    "LastAdminError",
    "NotFoundError",
    "StoreUnavailableError",
]


class AlreadyExistsError(QuixError):
    """There is one of that name; nothing was changed."""

    reason = "already_exists"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} exists already", Exit.DATA)


class NotFoundError(QuixError):
    """What a new row would belong to is gone, removed in the meantime; nothing was changed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"there is no {what}", Exit.DATA)


class LastAdminError(QuixError):
    """The change would leave nobody who may administer; nothing was changed."""

    reason = "last_admin"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the last admin; give another user the role admin first", Exit.DATA)


class EnrolmentOverError(Exception):
    """An enrolment key has no use left, or is over or gone; nothing was changed."""


class AddressesExhaustedError(Exception):
    """Every address of the pool is leased, or was until a short while ago."""


class StoreUnavailableError(Refusal):
    """The database does not answer, or not in time. A refusal, so that whoever asked is told `unavailable`.

    What the database said is in the log: it may name hosts and files that are nobody else's business.
    """

    def __init__(self) -> None:
        super().__init__(Reason.UNAVAILABLE, "The control server's database does not answer; ask again later.")
