"""Bring a database to the tables of this build (Alembic, without an alembic.ini)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from quix.exits import Exit, QuixError

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
    scripts = ScriptDirectory(str(_MIGRATIONS))
    found = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := found - {script.revision for script in scripts.walk_revisions()}:
        raise QuixError(
            f"database: revision {', '.join(sorted(unknown))} is of a newer Quix; install that version or a later one",
            Exit.CONFIG,
        )
    if found != set(scripts.get_heads()):
        config = Config(attributes={"connection": connection})
        # The value is interpolated as in an .ini file, where a per cent sign is doubled.
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        command.upgrade(config, "head")
