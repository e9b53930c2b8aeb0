"""The store: one object that holds every noun, on one database."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from quix.exits import Exit, QuixError
from quix.store import schema
from quix.store.alert_channels import AlertChannels
from quix.store.alert_messages import AlertMessages
from quix.store.alert_rules import AlertRules
from quix.store.alert_silences import AlertSilences
from quix.store.alerts import Alerts
from quix.store.audit import Audit
from quix.store.backends import Backends
from quix.store.credentials import Credentials
from quix.store.database import Database
from quix.store.enrolments import Enrolments
from quix.store.errors import StoreUnavailableError
from quix.store.leases import Leases
from quix.store.roster import Roster
from quix.store.runs import Runs
from quix.store.samples import Samples
from quix.store.search import Search
from quix.store.tokens import Tokens
from quix.store.users import Users

__all__ = ["Store", "StoreUnavailableError"]

Clock = Callable[[], float]


class Store:
    """Everything that outlives the process. Several processes may hold the same database open.

    Attributes:
        users, backends, tokens, runs, leases, samples, audit: one door a noun.
        enrolments: keys that make machines backends.
        search: lists of backends; roster: all of them, in short.
        credentials: logins and personal tokens, as their users see them.
        alerts, alert_rules, alert_channels, alert_silences, alert_messages: what is watched, and who is told.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.tokens = Tokens(database)
        self.users = Users(database, self.tokens, clock)
        self.backends = Backends(database, self.tokens, clock)
        self.credentials = Credentials(database, self.tokens, clock)
        self.enrolments = Enrolments(database, clock)
        self.search = Search(database)
        self.roster = Roster(database)
        self.runs = Runs(database, clock)
        self.leases = Leases(database, clock)
        self.samples = Samples(database, clock)
        self.audit = Audit(database, clock)
        self.alerts = Alerts(database, clock)
        self.alert_rules = AlertRules(database, clock)
        self.alert_channels = AlertChannels(database, clock)
        self.alert_silences = AlertSilences(database, clock)
        self.alert_messages = AlertMessages(database, clock)

    @classmethod
    async def open(cls, url: str, clock: Clock = time.time) -> Store:
        """Open the database at a SQLAlchemy URL, creating or migrating its tables where needed.

        `clock` gives epoch seconds.

        Raises:
            QuixError: it cannot be opened, is not of Quix, or is of a newer build.
        """
        database = Database.connect(url)
        try:
            async with database.write() as connection:
                await connection.run_sync(schema.upgrade)
        except (SQLAlchemyError, StoreUnavailableError) as error:
            await database.close()
            raise QuixError(f"database: it cannot be opened: {_cause(error)}", Exit.CONFIG) from error
        except BaseException:
            await database.close()
            raise
        return cls(database, clock)

    async def close(self) -> None:
        """Let running work end and close every connection. Whatever is asked later is refused as unavailable."""
        await self.tokens.close()
        await self._database.close()


def _cause(error: BaseException) -> str:
    """What the database itself said, without SQLAlchemy's statement and link around it."""
    if isinstance(error, StoreUnavailableError) and error.__cause__ is not None:
        error = error.__cause__
    return str(getattr(error, "orig", None) or error)
