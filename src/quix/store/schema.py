"""Bring a database to the tables of this build (Alembic, without an alembic.ini)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect

from quix.exits import Exit, QuixError

NEWEST: Final = "0008"
"""The revision of this build."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"

_LOCK: Final = int.from_bytes(b"quix-wsi")
"""The key of PostgreSQL's advisory lock: any number that nobody else uses."""


def upgrade(connection: Connection) -> None:
    """Run the migrations that the database lacks. The caller's transaction makes it all or nothing.

    Raises:
        QuixError: the database is of a newer build.
    """
    if connection.dialect.name == "postgresql":
        # Servers that start together take turns, for this transaction; on SQLite its BEGIN IMMEDIATE sees to that.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    found = _revisions(connection)
    if found != {NEWEST}:
        _migrate(connection, found)


def _revisions(connection: Connection) -> set[str]:
    """Return the revisions of the database; none where it is new."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars())


def _migrate(connection: Connection, found: set[str]) -> None:
    # To import Alembic takes an eighth of a server's start, and most starts migrate nothing.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    # Each value is interpolated as in an .ini file, where a per cent sign is doubled.
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if unknown := found - known:
        raise QuixError(
            f"database: revision {', '.join(sorted(unknown))} is of a newer Quix; install that version or a later one",
            Exit.CONFIG,
        )
    command.upgrade(config, "head")
