"""Alembic runs this file for every command, on the connection that `quix.store.schema` hands over."""

from __future__ import annotations

from alembic import context

from quix.store.tables import metadata

# `render_as_batch`: SQLite alters few things of a table in place, so Alembic copies it where it has to.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
